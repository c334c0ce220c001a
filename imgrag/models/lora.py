"""LoRAs on a pipeline: whether a file fits it, putting on what is wanted and taking off what is not.

diffusers puts on what it can of a LoRA and warns of the rest; one of another base does nothing then. Here
such a file is refused, seen by its layers before it is put on. Both formats are taken, diffusers' and kohya's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrag.errors import StyleError
from imgrag.models import Lora
from imgrag.models.soundness import UnsoundFile, blaming, header
from imgrag.models.weights import expected_bytes
from imgrag.texts import clean_document, clean_line

if TYPE_CHECKING:
    import torch

MAX_BYTES = 1_500_000_000  # of a file; one of rank 128 for SDXL has half of that
MOST_TRIGGERS = 3
LONGEST_TRIGGER = 100  # characters
PARTS = ("unet", "text_encoder", "text_encoder_2")
_DOWN, _UP = ".lora_A", ".lora_B"


class WornLoras:
    """The LoRAs that are on a pipeline; they stay on until others are wanted, or none.

    Args:
        change: does a step that changes the pipeline's modules, with offload hooks taken off meanwhile.
    """

    def __init__(self, pipe: Any, change: Callable[[Callable[[], None]], None]) -> None:
        self._pipe = pipe
        self._change = change
        self._on: tuple[tuple[Path, str], ...] = ()

    def wear(self, loras: Sequence[Lora]) -> None:
        """Have just these on, with their scales.

        Raises:
            StyleError: one cannot be put on; none is on then.
        """
        wanted = tuple((lora.file, lora.hash) for lora in loras)
        if wanted != self._on:
            if self._on:
                self._change(self._take_off)
            if loras:
                self._change(partial(self._put_on, loras))
            self._on = wanted
        if loras:
            self._pipe.set_adapters(_names(loras), [lora.scale for lora in loras])

    def _take_off(self) -> None:
        self._on = ()
        self._pipe.unload_lora_weights()

    def _put_on(self, loras: Sequence[Lora]) -> None:
        try:
            for lora, name in zip(loras, _names(loras), strict=True):
                with _told(lora):
                    refuse_lora(lora.file, self._pipe)
                    self._load(lora.file, name)
        except BaseException:
            self._take_off()
            raise

    def _load(self, file: Path, name: str) -> None:
        with blaming(file, "cannot be put on"):
            self._pipe.load_lora_weights(
                str(file.parent),
                weight_name=file.name,
                adapter_name=name,
                local_files_only=True,
                use_safetensors=True,
            )


def refuse_lora(file: Path, pipe: Any) -> None:
    """Refuse a LoRA that a pipeline would take in part or not at all, or that would spoil what it draws.

    Raises:
        UnsoundFile: it is no safetensors, damaged, too large, of another base, or holds what is no number.
    """
    refuse_file(file)
    with blaming(file, "is no LoRA of a format that can be read here"):
        state, *_ = pipe.lora_state_dict(
            str(file.parent), weight_name=file.name, local_files_only=True, use_safetensors=True,
            unet_config=pipe.unet.config,
        )  # fmt: skip
    layers = _layers(state, pipe)
    foreign = [name for name, (down, up) in layers.items() if not _fits(name, down, up, pipe)]
    if foreign or not layers:
        raise UnsoundFile(
            file,
            f"is made for another base model: {len(foreign)} of its {len(layers)} layers are not in this generator",
        )
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise UnsoundFile(file, "holds values that are no numbers")


def refuse_file(file: Path) -> None:
    """Refuse what is no LoRA by its header alone, without a pipeline.

    Raises:
        UnsoundFile: it is no safetensors, damaged, too large, or holds no LoRA.
    """
    if file.suffix.casefold() != ".safetensors":
        raise UnsoundFile(
            file, "is no safetensors file; nothing else is opened, since a pickle could run anything"
        )
    if file.is_file() and file.stat().st_size > MAX_BYTES:
        raise UnsoundFile(file, f"is larger than {MAX_BYTES / 10**9:g} GB")
    if not any("lora" in key for key in header(file)):
        raise UnsoundFile(file, "holds no LoRA")


def lora_bytes(file: Path) -> int:
    """The most that it takes in memory. Raises UnsoundFile: it cannot be read."""
    return expected_bytes([file], 4)


def lora_metadata(file: Path) -> dict[str, str]:
    """What its trainer wrote into it, each text clean and on one line.

    Raises:
        UnsoundFile: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as tensors:
            metadata = tensors.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UnsoundFile(file, "is cut short, or no safetensors") from error
    return {clean_line(key): clean_line(value) for key, value in metadata.items()}


def trigger_words(file: Path) -> tuple[str, ...]:
    """What has to stand in a prompt for a LoRA to show, as its trainer wrote down; often nothing.

    By `modelspec.trigger_phrase`, else the tags that kohya's trainer saw with each picture.

    Raises:
        UnsoundFile: it cannot be read.
    """
    metadata = lora_metadata(file)
    phrase = metadata.get("modelspec.trigger_phrase", "")[:LONGEST_TRIGGER]
    return (phrase,) if phrase else _constant_tags(metadata)


def _constant_tags(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The tags that stand with every picture of a folder."""
    folders, sizes = (_object(metadata.get(key, "")) for key in ("ss_tag_frequency", "ss_dataset_dirs"))
    found: dict[str, None] = {}
    for name, tags in folders.items():
        size = sizes.get(name)
        count = size.get("img_count") if isinstance(size, dict) else None
        if isinstance(tags, dict) and isinstance(count, int):
            found |= {
                clean_line(tag[:LONGEST_TRIGGER]): None for tag, seen in tags.items() if seen == count > 1
            }
    return tuple(filter(None, found))[:MOST_TRIGGERS]


def _object(text: str) -> dict[str, Any]:
    try:
        found = clean_document(json.loads(text))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _layers(state: Mapping[str, torch.Tensor], pipe: Any) -> dict[str, tuple[Any, Any]]:
    """The two matrices of each layer, by its name in the pipeline as diffusers will look for it."""
    from diffusers.utils.state_dict_utils import (
        convert_state_dict_to_diffusers,
        convert_state_dict_to_peft,
        convert_unet_state_dict_to_peft,
    )

    found: dict[str, list[Any]] = {}
    for part in {key.partition(".")[0] for key in state}:
        own = {
            key.removeprefix(f"{part}."): value for key, value in state.items() if key.startswith(f"{part}.")
        }
        if part.startswith("text_encoder"):
            own = convert_state_dict_to_peft(convert_state_dict_to_diffusers(own))
            if not hasattr(getattr(pipe, part, None), "text_model"):
                own = {key.removeprefix("text_model."): value for key, value in own.items()}
        else:
            own = convert_unet_state_dict_to_peft(own)
        for key, value in own.items():
            for at, mark in enumerate((_DOWN, _UP)):
                if mark in key:
                    found.setdefault(f"{part}.{key.partition(mark)[0]}", [None, None])[at] = value
    return {name: (down, up) for name, (down, up) in found.items()}


def _fits(name: str, down: Any, up: Any, pipe: Any) -> bool:
    """Whether two matrices [rank, in] and [out, rank] change a layer of the pipeline, [out, in]."""
    part, _, path = name.partition(".")
    try:
        weight = getattr(pipe, part).get_submodule(path).weight if part in PARTS else None
    except AttributeError:
        return False
    if weight is None or down is None or up is None:
        return False
    return (
        down.shape[1:] == weight.shape[1:] and up.shape[0] == weight.shape[0] and up.shape[1] == down.shape[0]
    )


@contextmanager
def _told(lora: Lora) -> Iterator[None]:
    """What is wrong with a LoRA's file, in a sentence that names its style and no path."""
    try:
        yield
    except UnsoundFile as error:
        raise StyleError(
            f"The LoRA of the style {lora.name!r} {error.what}. Do without this style, or add it again with a LoRA "
            "that was made for this generator."
        ) from error


def _names(loras: Sequence[Lora]) -> list[str]:
    """What each is called on the pipeline; a style's own name may have a dot, which no module may."""
    return [f"style_{number}" for number in range(len(loras))]
