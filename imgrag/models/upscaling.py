"""The part of a profile that says what makes an image larger and cleaner once it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from imgrag.models.places import Checkpoint, require

LEAST_TILE = 64  # px


@dataclass(frozen=True, kw_only=True)
class UpscalerProfile:
    """A single-image super-resolution network that `spandrel` opens, such as those of the ESRGAN family.

    Attributes:
        weight_name: its file in the checkpoint's folder.
        tile: side in pixels of the pieces that a larger picture is enlarged in; 0 for the whole at once.
        usual: whether every kept image is enlarged unless a request says otherwise.
    """

    checkpoint: Checkpoint
    weight_name: str
    tile: int = 512
    usual: bool = False

    def __post_init__(self) -> None:
        require(
            self.weight_name.endswith(".safetensors"),
            f"upscaler.weight_name {self.weight_name!r} is no safetensors",
        )
        require(
            self.tile == 0 or LEAST_TILE <= self.tile <= 4096,
            f"upscaler.tile is {self.tile}, neither 0 nor from {LEAST_TILE} to 4096",
        )
