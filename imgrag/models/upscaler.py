"""The upscaler: a super-resolution network that `spandrel` knows by its weights. A large picture goes through in tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgrag.errors import RequestError
from imgrag.models.soundness import UnsoundFile, blaming, header
from imgrag.models.upscaling import UpscalerProfile
from imgrag.models.weights import tensor_bytes

MARGIN = 16  # px around a tile that are seen and thrown away, so that tiles meet without seams
MOST = 64 * 10**6  # pixels of what comes out


def load_upscaler(profile: UpscalerProfile, folder: Path, device: str) -> SpandrelUpscaler:
    """Open a profile's upscaler.

    Raises:
        UnsoundFile: the file is damaged, or no network for single RGB pictures that spandrel knows.
    """
    from spandrel import ImageModelDescriptor, ModelLoader

    file = folder / profile.weight_name
    header(file)
    with blaming(file, "is no super-resolution network that spandrel knows"):
        opened = ModelLoader("cpu").load_from_file(file)
    if not isinstance(opened, ImageModelDescriptor) or (opened.input_channels, opened.output_channels) != (
        3,
        3,
    ):
        raise UnsoundFile(file, "is no network that makes one RGB picture of another")
    return SpandrelUpscaler(opened.to(device).float().eval(), profile.tile)


class SpandrelUpscaler:
    """`imgrag.models.Upscaler`."""

    def __init__(self, network: Any, tile: int) -> None:
        self._network, self._tile = network, tile

    @property
    def nbytes(self) -> int:
        return tensor_bytes(self._network.model)

    @property
    def factor(self) -> int:
        """See `imgrag.models.Upscaler`."""
        return int(self._network.scale)

    def enlarge(self, picture: Image.Image, check: Callable[[], None] = lambda: None) -> Image.Image:
        """See `imgrag.models.Upscaler`."""
        width, height = (side * self.factor for side in picture.size)
        if width * height > MOST:
            raise RequestError(
                f"The picture would be {width} x {height} pixels large; at most {MOST // 10**6} megapixels are made. "
                "Choose a smaller one."
            )
        large = Image.new("RGB", (width, height))
        for left, top, right, bottom in _tiles(picture.size, self._tile):
            check()
            large.paste(
                self._piece(picture, left, top, right, bottom), (left * self.factor, top * self.factor)
            )
        return large

    def _piece(self, picture: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
        """One tile, enlarged with what stands around it."""
        seen = (
            max(left - MARGIN, 0), max(top - MARGIN, 0),
            min(right + MARGIN, picture.width), min(bottom + MARGIN, picture.height),
        )  # fmt: skip
        whole = self._through(picture.convert("RGB").crop(seen))
        edges = (left - seen[0], top - seen[1], right - seen[0], bottom - seen[1])
        return whole.crop(tuple(edge * self.factor for edge in edges))  # type: ignore[arg-type]

    def _through(self, picture: Image.Image) -> Image.Image:
        import torch

        pixels = torch.from_numpy(np.array(picture, dtype=np.float32) / 255).permute(2, 0, 1)[None]
        with torch.inference_mode():
            large = self._network(pixels.to(self._network.device))[0].float().clamp(0, 1).cpu()
        return Image.fromarray((large * 255).round().byte().permute(1, 2, 0).numpy())


def _tiles(size: tuple[int, int], side: int) -> Iterator[tuple[int, int, int, int]]:
    """(left, top, right, bottom) of each piece, row by row."""
    width, height = size
    step = side or max(size)
    for top in range(0, height, step):
        for left in range(0, width, step):
            yield left, top, min(left + step, width), min(top + step, height)
