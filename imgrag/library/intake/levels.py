"""Levels of more than 8 bits -> 8, in files that do not say which level is white.

White is the next usual level above the brightest that is there: scans of 12 bits come in files of 16,
and as such would be nearly black. A picture is looked at in strips, never as a second whole one.
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image, ImageFile

from imgrag.pictures import ROWS, strips

_WHITES = (1, 255, 1023, 4095, 16_383, 65_535)
_OTHER = "B" if sys.byteorder == "little" else "L"
_LOWER = {"RGB;16B": "RGB;16L", "RGB;16L": "RGB;16B", "RGB;16N": f"RGB;16{_OTHER}"}
"""How Pillow is told to take the upper eight of 16 bits a colour -> what makes it take the lower ones."""


def is_deep(picture: Image.Image) -> bool:
    """Whether it is grey of 16 bits, 32 bits or floats, which Pillow would clip."""
    return picture.mode[0] in "IF"


def white_of(picture: Image.Image) -> float:
    """The level that is white in deep grey."""
    return _white(max(float(_levels(strip).max()) for strip in strips(picture)))


def eight_bit_grey(picture: Image.Image, white: float) -> Image.Image:
    """Deep grey -> L."""
    grey = Image.fromarray(_scaled(_levels(picture), white))
    # A transparent level among 65,536 means another one among 256.
    grey.info = {key: value for key, value in picture.info.items() if key != "transparency"}
    return grey


def has_lower_half(picture: ImageFile.ImageFile) -> bool:
    """Whether it is in colours of 16 bits, of which Pillow takes the upper eight; ask before it is decoded."""
    return any(_raw_mode(tile) in _LOWER for tile in picture.tile)


def ask_for_lower_half(picture: ImageFile.ImageFile) -> None:
    """Let Pillow decode the lower eight bits of each colour instead."""
    tiles = []
    for tile in picture.tile:
        lower, args = _LOWER[_raw_mode(tile)], tile.args
        tiles.append(tile._replace(args=(lower, *args[1:]) if isinstance(args, tuple) else lower))
    picture.tile = tiles


def is_dark(picture: Image.Image) -> bool:
    """Whether the upper halves alone say that white is less than what 16 bits can hold."""
    return all(np.asarray(strip).max() < 64 for strip in strips(picture))


def joined(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """Both halves of 16 bits a colour, RGB each -> RGB."""
    pairs = list(zip(strips(upper), strips(lower), strict=True))
    white = _white(max(float(_both(*pair).max()) for pair in pairs))
    whole = Image.new("RGB", upper.size)
    for place, pair in enumerate(pairs):
        whole.paste(Image.fromarray(_scaled(_both(*pair), white)), (0, place * ROWS))
    whole.info = {key: value for key, value in upper.info.items() if key != "transparency"}
    return whole


def _raw_mode(tile: ImageFile._Tile) -> str:
    args = tile.args
    return str(args[0] if isinstance(args, tuple) and args else args)


def _both(upper: Image.Image, lower: Image.Image) -> np.ndarray:
    return (np.asarray(upper).astype(np.uint16) << 8) | np.asarray(lower)


def _levels(picture: Image.Image) -> np.ndarray:
    """uint16 or float32 [height, width] without what is no number."""
    levels = np.asarray(picture)
    if levels.dtype.itemsize == 2:
        return levels
    return np.nan_to_num(levels.astype(np.float32), posinf=0, neginf=0)


def _white(brightest: float) -> float:
    """The next usual white, or else the brightest level."""
    return next((usual for usual in _WHITES if brightest <= usual), brightest)


def _scaled(levels: np.ndarray, white: float) -> np.ndarray:
    """Levels up to `white` -> uint8. Of whole numbers the upper eight bits are taken, as Pillow does."""
    if levels.dtype.itemsize == 2 and white > 1:
        return (levels >> (int(white).bit_length() - 8)).astype(np.uint8)
    return (levels.astype(np.float32) * (255 / white)).clip(0, 255).astype(np.uint8)
