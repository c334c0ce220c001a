"""From a profile to the models that residency is to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from imgrag.errors import CheckpointError, ImgragError
from imgrag.models.adapter import adapter_files
from imgrag.models.captioner import load_captioner
from imgrag.models.checkpoints import Store, cast, locate, locate_clip
from imgrag.models.clip import clip_id, load_clip
from imgrag.models.composer import load_composer
from imgrag.models.conditions import load_eye
from imgrag.models.control import load_control
from imgrag.models.generator import load_generator
from imgrag.models.llm import load_llm
from imgrag.models.profile import Checkpoint, Profile
from imgrag.models.reranker import load_reranker
from imgrag.models.residency import ModelSpec, Sized, out_of_memory
from imgrag.models.soundness import UnsoundFile
from imgrag.models.upscaler import load_upscaler
from imgrag.models.vlm import load_vlm
from imgrag.models.weights import expected_bytes
from imgrag.runs.structure import Kind

ROLES = ("generator", "vlm", "llm", "clip")
"""What every run needs. A profile may also name a "composer", for searches by picture and words, a "control", a "captioner", a
"reranker" and an "upscaler"."""
EYES: tuple[Kind, ...] = ("depth", "pose")
"""Roles that make a condition of a picture, and leave."""
ASKED_FOR = ("control", "captioner", "reranker", "upscaler", *EYES)
"""What only some runs need; the others do without its checkpoint too."""


def load_roles(profile: Profile, device: str = "cpu", store: Store | None = None) -> dict[str, ModelSpec]:
    """The models of a profile by role, found but not yet opened. A captioner that is not here is left out.

    Raises:
        CheckpointError: a checkpoint is missing or not safe to open.
    """
    store = store or Store()
    checkpoints = cast(profile)
    at, absent = _located(checkpoints, profile.name, store)
    clip = locate_clip(profile.clip.checkpoint, profile.name, store)
    loaders: dict[str, Callable[[], Sized]] = {
        "generator": partial(
            load_generator, profile.generator, at["generator"], profile.adapter, at["adapter"], device
        ),
        "vlm": partial(load_vlm, profile.vlm, at["vlm"], device),
        "llm": partial(load_llm, profile.llm, at["llm"], device),
        "clip": partial(load_clip, profile.clip.checkpoint, clip, device, profile.clip.precision),
    }
    if profile.composer is not None:
        loaders["composer"] = partial(load_composer, profile.composer, at["composer"], device)
    if "control" in at:
        folders, lora = (at["control"], at["generator"]), profile.control.lora if profile.control else ""
        loaders["control"] = partial(load_control, profile.generator, *folders, device, lora)
    if profile.captioner is not None and "captioner" in at:
        loaders["captioner"] = partial(load_captioner, profile.captioner, at["captioner"], device)
    if profile.reranker is not None and "reranker" in at:
        loaders["reranker"] = partial(load_reranker, profile.reranker, at["reranker"], device)
    if profile.upscaler is not None and "upscaler" in at:
        loaders["upscaler"] = partial(load_upscaler, profile.upscaler, at["upscaler"], device)
    loaders |= {eye: partial(load_eye, eye, at[eye], device) for eye in EYES if eye in at}
    places = {
        role: _Place(at[role], checkpoint.label, _remedy(checkpoint, profile.name, store))
        for role, checkpoint in checkpoints.items()
        if role in at
    }
    label = Checkpoint(local=profile.clip.checkpoint).label
    places["clip"] = _Place(clip, label, "Put a file of OpenAI's CLIP there.")
    with _in_a_sentence(list(places.values())):
        sizes = _sizes(profile, at, clip, device)
    opened = {
        role: ModelSpec(
            name=role,
            load=partial(_open, loaders[role], [places[role], places["adapter"]]),
            bytes=sizes[role],
            label=places[role].label,
            recurring=role in ("generator", "control", "vlm"),
            passing=role in EYES,
        )
        for role in loaders
    }
    return opened | {role: ModelSpec(role, partial(_refuse, error)) for role, error in absent.items()}


def embedder_id(profile: Profile, role: str, store: Store | None = None) -> str:
    """The `model_id` of a profile's "clip" or "composer", which is not opened. Raises CheckpointError: no file is here."""
    if role == "composer" and profile.composer is not None:
        return profile.composer.checkpoint.label
    file = locate_clip(profile.clip.checkpoint, profile.name, store)
    return clip_id(profile.clip.checkpoint, file, profile.clip.precision)


def _located(
    checkpoints: Mapping[str, Checkpoint], profile: str, store: Store
) -> tuple[dict[str, Path], dict[str, CheckpointError]]:
    """Where each checkpoint lies, and what to say of those that are not here and that not every run needs."""
    at, absent = dict[str, Path](), dict[str, CheckpointError]()
    for role, checkpoint in checkpoints.items():
        try:
            at[role] = locate(checkpoint, profile, store)
        except CheckpointError as error:
            if role not in ASKED_FOR:
                raise
            absent[role] = error
    return at, absent


def _refuse(error: CheckpointError) -> Sized:
    raise error


def choose_device(wanted: str = "auto") -> str:
    """ "auto" is a GPU where torch finds one, else the CPU."""
    if wanted != "auto":
        return wanted
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@dataclass(frozen=True)
class _Place:
    """Where a checkpoint lies, its name for a person, and what to do if it cannot be opened."""

    path: Path
    label: str
    remedy: str

    def name_of(self, file: Path) -> str:
        """A file of this checkpoint, without a path of this machine."""
        return "/".join((self.label, *file.relative_to(self.path).parts))


def _remedy(checkpoint: Checkpoint, profile: str, store: Store) -> str:
    """What to do about a checkpoint that is found and cannot be opened."""
    if not checkpoint.hub:
        return "Put the model's own file there; those that come with the project lie in its assets folder."
    if checkpoint.local and (store.root / checkpoint.local).is_dir():
        return f"Delete its folder and fetch it again with: python -m imgrag download --profile {profile}"
    return f"Fetch it again with: python -m imgrag download --profile {profile}"


def _open(load: Callable[[], Sized], places: Sequence[_Place]) -> Sized:
    """The model; `places` are those of its checkpoints."""
    with _in_a_sentence(places):
        return load()


@contextmanager
def _in_a_sentence(places: Sequence[_Place]) -> Iterator[None]:
    """Turn what is wrong with a checkpoint into one sentence, with the file's name if it can be told."""
    try:
        yield
    except ImgragError:
        raise
    except UnsoundFile as error:
        place = next(place for place in places if error.file.is_relative_to(place.path))
        raise CheckpointError(error.sentence(place.name_of(error.file), place.remedy)) from error
    except Exception as error:  # over files that it does not understand a library may raise anything
        if out_of_memory(error):
            raise
        place = places[0]
        raise CheckpointError(
            f"{place.label} cannot be opened ({type(error).__name__}); its files are not what the profile says. "
            f"{place.remedy}"
        ) from error


def _sizes(profile: Profile, at: Mapping[str, Path], clip: Path, device: str) -> dict[str, int]:
    """The bytes each role will take."""
    sizes = {
        "generator": _generator_bytes(profile, at["generator"], at["adapter"], device),
        "vlm": _folder_bytes(at["vlm"], profile.vlm.dtype, device),
        "llm": _folder_bytes(at["llm"], profile.llm.dtype, device),
        "clip": clip.stat().st_size * (2 if device == "cpu" else 1),
    }
    if profile.composer is not None:
        sizes["composer"] = _folder_bytes(at["composer"], profile.composer.dtype, device)
    if "control" in at:
        sizes["control"] = _folder_bytes(at["control"], profile.generator.dtype, device)
    if profile.captioner is not None and "captioner" in at:
        sizes["captioner"] = _folder_bytes(at["captioner"], profile.captioner.dtype, device)
    if profile.reranker is not None and "reranker" in at:
        sizes["reranker"] = _folder_bytes(at["reranker"], profile.reranker.dtype, device)
    if "upscaler" in at:
        sizes["upscaler"] = _folder_bytes(at["upscaler"], "float32", device)
    return sizes | {eye: _folder_bytes(at[eye], "float32", device) for eye in EYES if eye in at}


def _generator_bytes(profile: Profile, folder: Path, adapter: Path, device: str) -> int:
    """The pipeline with its adapter attached; with offload, the largest of their parts."""
    generator = profile.generator
    itemsize = _itemsize(generator.dtype, device)
    ending = (
        f".{generator.checkpoint.variant}.safetensors" if generator.checkpoint.variant else ".safetensors"
    )
    parts = [
        expected_bytes((file for file in part.glob("*.safetensors") if file.name.endswith(ending)), itemsize)
        for part in folder.iterdir()
        if part.is_dir()
    ]
    weights, encoder = adapter_files(profile.adapter, adapter)
    parts.append(expected_bytes(encoder.glob("*.safetensors"), itemsize))
    attached = expected_bytes([weights], itemsize)
    return (max(parts) if generator.offload and device != "cpu" else sum(parts)) + attached


def _folder_bytes(folder: Path, dtype: str, device: str) -> int:
    return expected_bytes(folder.glob("*.safetensors"), _itemsize(dtype, device))


def _itemsize(dtype: str, device: str) -> int | None:
    if device == "cpu":
        return 4
    return {"float32": 4, "float16": 2, "bfloat16": 2}.get(dtype)
