"""Pictures as the models want them: upright, opaque, of a sane shape."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageOps

MAX_RATIO = 20
"""Longer shapes are padded: qwen-vl-utils raises above 200, and CLIP would scale the short side up."""


def upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says, RGB or (where it is transparent) RGBA."""
    image = ImageOps.exif_transpose(image)
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def opaque(image: Image.Image, background: str = "white") -> Image.Image:
    """`upright`, with what is transparent laid on a plain colour, RGB."""
    image = upright(image)
    if image.mode == "RGB":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image).convert("RGB")


def bounded(image: Image.Image, ratio: float = MAX_RATIO) -> Image.Image:
    """`opaque`, and padded with its border's colour until the long side is at most `ratio` short ones."""
    image = opaque(image)
    shortest = -(-max(image.size) // ratio)  # rounded up
    return _padded(image, int(max(image.width, shortest)), int(max(image.height, shortest)))


def square_reference(
    image: Image.Image, background: str = "white", margin: float = 0.03, tolerance: int = 12
) -> Image.Image:
    """A reference as the adapter's image encoder wants it: square, its subject filling the frame.

    The encoder's processor crops the middle, so a wide picture would lose its ends. A border of
    one colour is cut down to `margin` (of the longer side) around what it surrounds, then the
    short side is padded with that colour.

    Args:
        background: what its transparent parts stand on.
        tolerance: how far, out of 255, a pixel may be from the border's colour and still be border.
    """
    image = opaque(image, background)
    colour = border_colour(image)
    difference = np.asarray(ImageChops.difference(image, Image.new("RGB", image.size, colour))).max(axis=2)
    framed = max(difference[0].max(), difference[-1].max(), difference[:, 0].max(), difference[:, -1].max())
    if framed <= tolerance < difference.max():
        image = image.crop(_box(difference > tolerance))
        side = max(image.size) + 2 * round(margin * max(image.size))
    else:
        side = max(image.size)
    return _padded(image, side, side, colour)


def border_colour(image: Image.Image) -> tuple[int, int, int]:
    """The median colour of the outermost pixels of an RGB picture."""
    pixels = np.asarray(image)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    red, green, blue = (int(value) for value in np.median(edge, axis=0))
    return red, green, blue


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is set in a mask [height, width]."""
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _padded(
    image: Image.Image, width: int, height: int, colour: tuple[int, int, int] | None = None
) -> Image.Image:
    if image.size == (width, height):
        return image
    canvas = Image.new("RGB", (width, height), colour or border_colour(image))
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas
