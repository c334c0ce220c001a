"""What weights take: on a device once loaded, and beforehand by their files."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from imgrag.models.soundness import header

if TYPE_CHECKING:
    import torch


def tensor_bytes(module: torch.nn.Module) -> int:
    """Bytes of a module's parameters and buffers, shared ones once."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return sum(tensor.nbytes for tensor in tensors.values())


def expected_bytes(files: Iterable[Path], itemsize: int | None) -> int:
    """Bytes the weights of safetensors files take once loaded.

    Args:
        itemsize: bytes of a floating point number in memory; `None` leaves each as it is stored.

    Raises:
        UnsoundFile: a file is empty, cut short or no safetensors.
    """
    sizes = (
        math.prod(shape) * _itemsize(dtype, itemsize)
        for file in files
        for dtype, shape in header(file).values()
    )
    return sum(sizes)


def _itemsize(stored: str, wanted: int | None) -> int:
    """`stored` as safetensors writes it: F16, BF16, I32, U8, BOOL, F8_E4M3, ..."""
    if wanted is not None and stored in ("F16", "BF16", "F32", "F64"):
        return wanted
    digits = "".join(character for character in stored.split("_")[0] if character.isdigit())
    return max(1, int(digits or 8) // 8)
