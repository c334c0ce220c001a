"""The parts of a diffusers folder, opened one by one, so that a wrong one is known by its name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrag.models.soundness import UnsoundFile, blaming, open_part, read_json, refuse_vocabulary

if TYPE_CHECKING:
    import torch

LIBRARIES = ("diffusers", "transformers")
UNWANTED = "safety_checker"


def open_parts(folder: Path, variant: str, dtype: torch.dtype) -> dict[str, Any]:
    """The parts that `model_index.json` names, as arguments of the pipeline; `None` for a safety checker.

    Raises:
        UnsoundFile: one is damaged, or does not hold what the index says.
    """
    parts: dict[str, Any] = {}
    for name, entry in read_json(folder / "model_index.json").items():
        kind = _class_of(entry)
        if name == UNWANTED:
            parts[name] = None
        elif kind is not None:
            parts[name] = _opened(kind, folder / name, variant, dtype)
    return parts


def refuse_strangers(folder: Path, pipe: Any) -> None:
    """Refuse parts that are whole and do not fit each other.

    Raises:
        UnsoundFile: one is another pipeline's.
    """
    unet, width = pipe.unet.config, 0
    for number in ("", "_2"):
        encoder = getattr(pipe, f"text_encoder{number}", None)
        if encoder is not None:
            _refuse_tokenizer(folder / f"tokenizer{number}", getattr(pipe, f"tokenizer{number}"), encoder)
            width += encoder.config.hidden_size
    if width != unet.cross_attention_dim:
        what = f"gives {width} numbers a token, and the U-Net wants {unet.cross_attention_dim}"
        raise UnsoundFile(folder / "text_encoder" / "config.json", what)
    channels = pipe.vae.config.latent_channels
    if channels != unet.in_channels:
        what = f"has latents of {channels} channels, and the U-Net of {unet.in_channels}"
        raise UnsoundFile(folder / "vae" / "config.json", what)


def _refuse_tokenizer(folder: Path, tokenizer: Any, encoder: Any) -> None:
    refuse_vocabulary(folder, tokenizer, encoder)
    window, places = tokenizer.model_max_length, encoder.config.max_position_embeddings
    if window > places:
        raise UnsoundFile(folder, f"gives up to {window} tokens, and the text encoder has {places} places")


def _class_of(entry: Any) -> Any:
    """The class that an entry `[library, class]` names, `None` if it names none of the two libraries'."""
    if not isinstance(entry, list) or len(entry) != 2 or entry[0] not in LIBRARIES:
        return None
    return getattr(importlib.import_module(entry[0]), str(entry[1]), None)


def _opened(kind: Any, folder: Path, variant: str, dtype: torch.dtype) -> Any:
    import torch

    if issubclass(kind, torch.nn.Module):
        return open_part(kind, folder, variant, dtype=dtype)
    with blaming(folder, f"holds no {kind.__name__} that can be opened here"):
        return kind.from_pretrained(folder, local_files_only=True)
