"""What weights take: on a device once loaded, and beforehand by their files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

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
    """
    from safetensors import safe_open

    total = 0
    for file in files:
        with safe_open(file, framework="np") as tensors:
            for key in tensors.keys():  # noqa: SIM118 (it is no mapping)
                entry = tensors.get_slice(key)
                count = 1
                for length in entry.get_shape():
                    count *= length
                total += count * _itemsize(entry.get_dtype(), itemsize)
    return total


def _itemsize(stored: str, wanted: int | None) -> int:
    """`stored` as safetensors writes it: F16, BF16, I32, U8, BOOL, F8_E4M3, ..."""
    if wanted is not None and stored in ("F16", "BF16", "F32", "F64"):
        return wanted
    digits = "".join(character for character in stored.split("_")[0] if character.isdigit())
    return max(1, int(digits or 8) // 8)
