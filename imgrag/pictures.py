"""Pictures as the models want them: upright, opaque, of a sane shape.

Whoever prepares one says how closely the model looks, its `side` in pixels: what is padded is made
smaller before, so that a picture of 40,000 x 1 pixels does not become one of 40,000 x 2,000.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageColor, ImageOps

MAX_RATIO = 20
"""Longer shapes are padded: qwen-vl-utils raises above 200, and CLIP would scale the short side up."""
KEPT = 4  # times `side` is kept where a picture is made smaller, so that the model's own scaling decides
ROWS = 64  # of a strip
GROUND = 12  # of 255, in any channel: what differs less from the border's colour is ground
THING = 36  # likewise: what differs more has nothing of the ground in it


def strips(image: Image.Image, rows: int = ROWS) -> Iterator[Image.Image]:
    """A picture from top to bottom, for what would else take a second whole one."""
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says, RGB or (where it is transparent) RGBA; itself if it is so already."""
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def opaque(image: Image.Image, background: str = "white") -> Image.Image:
    """`upright`, with what is transparent laid on a plain colour, RGB."""
    image = upright(image)
    if image.mode == "RGB":
        return image
    flat = Image.new("RGB", image.size)
    for place, strip in enumerate(strips(image)):
        laid = Image.alpha_composite(Image.new("RGBA", strip.size, background), strip)
        flat.paste(laid.convert("RGB"), (0, place * ROWS))
    return flat


def shrunk(image: Image.Image, longest: float) -> Image.Image:
    """Made smaller by a whole number if its long side has more pixels than that."""
    factor = math.ceil(max(image.size) / longest)
    return upright(image).reduce(factor) if factor > 1 else image


def beside(images: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size as one: a single one as it is, up to four in two columns, all as large as a single one."""
    if len(images) == 1:
        return images[0]
    width, height = images[0].size
    sheet = Image.new("RGB", (width, height), "white")
    half = (width // 2, height // 2)
    for number, image in enumerate(images):
        sheet.paste(image.resize(half), (number % 2 * half[0], number // 2 * half[1]))
    return sheet


def bounded(image: Image.Image, side: int, ratio: float = MAX_RATIO) -> Image.Image:
    """`opaque`, and padded with its border's colour until the long side is at most `ratio` short ones.

    Args:
        side: px; the model looks at the area of a square of this. What is padded has at most 16 times that.
    """
    if max(image.size) > ratio * min(image.size):
        image = shrunk(image, KEPT * side * math.sqrt(ratio))
    image = opaque(image)
    shortest = -(-max(image.size) // ratio)  # rounded up
    return _padded(image, int(max(image.width, shortest)), int(max(image.height, shortest)))


def slimmest(max_pixels: int, patch: int) -> float:
    """The ratio up to which a picture, scaled to an area, has room for two patches on its short side.

    With less than one qwen-vl-utils scales that side to nothing.
    """
    return max(1.0, min(MAX_RATIO, max_pixels / (2 * patch) ** 2))


def square_reference(
    image: Image.Image, side: int, background: str = "white", margin: float = 0.03, tolerance: int = 12
) -> Image.Image:
    """A reference as the adapter's image encoder wants it: square, its subject filling the frame.

    The encoder's processor crops the middle, so a wide picture would lose its ends. A border of
    one colour is cut down to `margin` (of the longer side) around what it surrounds, then the
    short side is padded with that colour.

    Args:
        side: px; how closely the encoder looks. Twice as much as usual is kept, since the subject may be small.
        background: what its transparent parts stand on.
        tolerance: how far, out of 255, a pixel may be from the border's colour and still be border.
    """
    image = opaque(shrunk(image, 2 * KEPT * side), background)
    colour = border_colour(image)
    difference = np.asarray(ImageChops.difference(image, Image.new("RGB", image.size, colour))).max(axis=2)
    framed = max(difference[0].max(), difference[-1].max(), difference[:, 0].max(), difference[:, -1].max())
    if framed <= tolerance < difference.max():
        image = image.crop(_box(difference > tolerance))
        whole = max(image.size) + 2 * round(margin * max(image.size))
    else:
        whole = max(image.size)
    return _padded(image, whole, whole, colour)


def border_colour(image: Image.Image) -> tuple[int, int, int]:
    """The median colour of the outermost pixels of an RGB picture."""
    right, bottom = image.size
    sides = (
        (0, 0, right, 1),
        (0, bottom - 1, right, bottom),
        (0, 0, 1, bottom),
        (right - 1, 0, right, bottom),
    )
    edge = np.concatenate([np.asarray(image.crop(side)).reshape(-1, 3) for side in sides])
    red, green, blue = (int(value) for value in np.median(edge, axis=0))
    return red, green, blue


def on_ground(image: Image.Image, colour: str) -> Image.Image:
    """`opaque`, with a plain ground made another colour; as it is where less than half of its border is of one colour.

    What lies between thing and ground, as soft edges do, gets its share of the new one.
    """
    image = opaque(image)
    old = np.asarray(border_colour(image), np.float32)
    pixels = np.asarray(image, np.float32)
    difference = np.abs(pixels - old).max(axis=2)
    edge = np.concatenate([difference[0], difference[-1], difference[:, 0], difference[:, -1]])
    if (edge <= GROUND).mean() < 0.5 or difference.max() <= GROUND:
        return image
    share = 1 - np.clip(difference / THING, 0, 1)[..., None]
    moved = pixels + share * (np.asarray(ImageColor.getrgb(colour)[:3], np.float32) - old)
    return Image.fromarray(moved.round().clip(0, 255).astype(np.uint8))


def is_colour(name: str) -> bool:
    """Whether Pillow knows a colour, "white" or "#ff00ff"."""
    try:
        ImageColor.getrgb(name)
    except ValueError:
        return False
    return True


def columns(image: Image.Image, count: int) -> list[Image.Image]:
    """An RGB image cut into so many columns, each in the middle of an image of its size, on its own ground."""
    width, height = image.size
    edges = [round(width * at / count) for at in range(count + 1)]
    cut = (image.crop((left, 0, right, height)) for left, right in pairwise(edges))
    return [_padded(column, width, height) for column in cut]


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
