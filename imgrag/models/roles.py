"""From a profile to the four models that residency is to hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from pickle import UnpicklingError  # what torch raises for a pickle that it refuses to run

from imgrag.errors import CheckpointError, ImgragError
from imgrag.models.checkpoints import Store, cast, locate, locate_clip
from imgrag.models.clip import load_clip
from imgrag.models.composer import load_composer
from imgrag.models.generator import load_generator
from imgrag.models.llm import load_llm
from imgrag.models.profile import Profile
from imgrag.models.residency import ModelSpec, Sized, out_of_memory
from imgrag.models.vlm import load_vlm
from imgrag.models.weights import expected_bytes

ROLES = ("generator", "vlm", "llm", "clip")
"""What every run needs. A profile may also name a "composer", for searches by picture and words."""


def load_roles(profile: Profile, device: str = "cpu", store: Store | None = None) -> dict[str, ModelSpec]:
    """The models of a profile by role, found but not yet opened.

    Raises:
        CheckpointError: a checkpoint is missing or not safe to open.
    """
    store = store or Store()
    checkpoints = cast(profile)
    at = {role: locate(checkpoint, profile.name, store) for role, checkpoint in checkpoints.items()}
    clip = locate_clip(profile.clip.checkpoint, profile.name, store)
    loaders: dict[str, Callable[[], Sized]] = {
        "generator": partial(
            load_generator, profile.generator, at["generator"], profile.adapter, at["adapter"], device
        ),
        "vlm": partial(load_vlm, profile.vlm, at["vlm"], device),
        "llm": partial(load_llm, profile.llm, at["llm"], device),
        "clip": partial(load_clip, profile.clip.checkpoint, clip, device),
    }
    if profile.composer is not None:
        loaders["composer"] = partial(load_composer, profile.composer, at["composer"], device)
    sizes = {
        "generator": _generator_bytes(profile, at["generator"], at["adapter"], device),
        "vlm": _folder_bytes(at["vlm"], profile.vlm.dtype, device),
        "llm": _folder_bytes(at["llm"], profile.llm.dtype, device),
        "clip": clip.stat().st_size * (2 if device == "cpu" else 1),
    }
    if profile.composer is not None:
        sizes["composer"] = _folder_bytes(at["composer"], profile.composer.dtype, device)
    labels = {role: checkpoint.label for role, checkpoint in checkpoints.items()} | {
        "clip": profile.clip.checkpoint
    }
    return {
        role: ModelSpec(
            name=role,
            load=partial(_open, loaders[role], labels[role], profile.name),
            bytes=sizes[role],
            label=labels[role],
            recurring=role in ("generator", "vlm"),
        )
        for role in loaders
    }


def choose_device(wanted: str = "auto") -> str:
    """ "auto" is a GPU where torch finds one, else the CPU."""
    if wanted != "auto":
        return wanted
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _open(load: Callable[[], Sized], label: str, profile: str) -> Sized:
    from safetensors import SafetensorError

    try:
        return load()
    except ImgragError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, UnpicklingError, SafetensorError) as error:
        if out_of_memory(error):
            raise
        raise CheckpointError(
            f"{label} cannot be opened ({type(error).__name__}); its files are incomplete or not what the profile "
            f"says. Fetch them again with: python -m imgrag download --profile {profile}"
        ) from error


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
    encoder = profile.adapter.image_encoder_folder
    encoder_folder = adapter / encoder if "/" in encoder else adapter / profile.adapter.subfolder / encoder
    parts.append(expected_bytes(encoder_folder.glob("*.safetensors"), itemsize))
    weights = adapter / profile.adapter.subfolder / profile.adapter.weight_name
    attached = expected_bytes([weights] if weights.is_file() else [], itemsize)
    return (max(parts) if generator.offload and device != "cpu" else sum(parts)) + attached


def _folder_bytes(folder: Path, dtype: str, device: str) -> int:
    return expected_bytes(folder.glob("*.safetensors"), _itemsize(dtype, device))


def _itemsize(dtype: str, device: str) -> int | None:
    if device == "cpu":
        return 4
    return {"float32": 4, "float16": 2, "bfloat16": 2}.get(dtype)
