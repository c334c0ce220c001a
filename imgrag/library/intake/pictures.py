"""Reading picture files that nobody vouches for.

What decoding costs in memory: a JPEG of any allowed size read with `side` about 5 MB, since it is
scaled while it is decoded. A progressive JPEG needs 3 to 6 bytes a pixel on the way, as libjpeg
keeps all its coefficients, and any other format up to 4 where it is reduced and 8 where it is not:
at most 400 MB, given back before the picture is returned. They are not refused: scans and large
product pictures come as such files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 50_000_000
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
UNTAKEN = frozenset(
    ".svg .svgz .psd .ai .eps .pdf .raw .dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf .pef .x3f".split()
)  # what people call pictures too
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_STRIP = 64  # rows of a reduced picture that are made at a time
_SPARE = 2  # times `side` is kept, so that the caller's own scaling decides how the picture looks


class UnreadablePicture(Exception):
    """The file is no picture that can be used; the text says why in a few words."""


def read_picture(path: Path, side: int | None = None) -> Image.Image:
    """Decode a file's first frame, upright, RGB or (where it is transparent) RGBA.

    The size is read from the header before anything is decoded, so that a small file cannot
    unfold into gigabytes.

    Args:
        side: a picture at least this many pixels long on its short side is enough. It is then
            scaled down early, which saves memory and time; a smaller one is left as it is.

    Raises:
        UnreadablePicture: it is not there, empty, no picture, broken, or larger than 50 megapixels.
    """
    try:
        if path.stat().st_size == 0:
            raise UnreadablePicture("it is empty")
        with Image.open(path, formats=FORMATS) as picture:
            _check_size(picture)
            if side:
                picture.draft(None, (_SPARE * side, _SPARE * side))  # only JPEG has this
            picture.load()
            return ImageOps.exif_transpose(_reduced(picture, side))
    except UnreadablePicture:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UnreadablePicture("it cannot be opened") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadablePicture("it is too large") from error
    except Image.UnidentifiedImageError as error:
        raise UnreadablePicture("it is no picture") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on broken files
        raise UnreadablePicture("it is broken or cut off") from error


def thumbnail(path: Path, side: int) -> Image.Image:
    """A picture scaled to fit a square of `side` pixels, for browsing; never scaled up.

    Raises:
        UnreadablePicture: as `read_picture`.
    """
    picture = read_picture(path, side)
    picture.thumbnail((side, side))
    return picture


def _check_size(picture: Image.Image) -> None:
    pixels = picture.width * picture.height
    if pixels > MAX_PIXELS:
        raise UnreadablePicture(f"it has {pixels / 1e6:.0f} megapixels, more than {MAX_PIXELS / 1e6:.0f}")


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Any mode -> RGB or RGBA."""
    if picture.mode[0] in "IF":
        picture = _eight_bit_grey(picture)
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    mode = "RGBA" if transparent else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _eight_bit_grey(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits, 32 bits or floats -> 8 bits. It is scaled, where Pillow itself would clip it."""
    levels = np.asarray(picture)
    if levels.dtype.itemsize == 2:
        grey = Image.fromarray((levels >> 8).astype(np.uint8))
    else:
        levels = np.nan_to_num(levels.astype(np.float32), posinf=0, neginf=0)
        grey = Image.fromarray((levels * _scale(float(levels.max()))).clip(0, 255).astype(np.uint8))
    # A transparent level among 65,536 means another one among 256.
    grey.info = {key: value for key, value in picture.info.items() if key != "transparency"}
    return grey


def _scale(brightest: float) -> float:
    """Such files do not say what white is: it is the next usual one, or else the brightest level."""
    white = next((usual for usual in (1, 255, 65_535) if brightest <= usual), brightest)
    return 255 / white


def _reduced(picture: Image.Image, side: int | None) -> Image.Image:
    """8 bits, and as far as `side` allows scaled down by a whole number."""
    factor = min(picture.size) // (_SPARE * side) if side else 1
    if factor <= 1:
        return _eight_bit(picture)
    if picture.mode in ("I", "F"):  # only the whole of it tells what white is
        return _eight_bit(picture).reduce(factor)
    return _stacked([_eight_bit(strip).reduce(factor) for strip in _strips(picture, _STRIP * factor)])


def _strips(picture: Image.Image, rows: int) -> Iterator[Image.Image]:
    """A picture from top to bottom: never a second whole one in another mode."""
    for top in range(0, picture.height, rows):
        yield picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def _stacked(strips: Sequence[Image.Image]) -> Image.Image:
    """What `_strips` took apart, with its EXIF."""
    height = sum(strip.height for strip in strips)
    whole = Image.new(strips[0].mode, (strips[0].width, height))
    whole.info = strips[0].info.copy()
    top = 0
    for strip in strips:
        whole.paste(strip, (0, top))
        top += strip.height
    return whole


def content_hash(path: Path, check: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of the file's bytes, in hex. `check` is called now and then; it may raise to stop."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            check()
            digest.update(block)
    return digest.hexdigest()
