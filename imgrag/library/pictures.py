"""Reading picture files that nobody vouches for."""

from __future__ import annotations

import hashlib
from pathlib import Path

from PIL import Image, ImageOps

MAX_PIXELS = 50_000_000
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class UnreadablePicture(Exception):
    """The file is no picture that can be used; the text says why in a few words."""


def read_picture(path: Path) -> Image.Image:
    """Decode a file's first frame, upright, RGB or (where it is transparent) RGBA.

    The size is read from the header before anything is decoded, so that a small file cannot
    unfold into gigabytes.

    Raises:
        UnreadablePicture: it is empty, no picture, broken, or larger than 50 megapixels.
    """
    try:
        if path.stat().st_size == 0:
            raise UnreadablePicture("it is empty")
        with Image.open(path, formats=FORMATS) as picture:
            _check_size(picture)
            picture.load()
            return _eight_bit(ImageOps.exif_transpose(picture))
    except UnreadablePicture:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadablePicture("it is too large") from error
    except Image.UnidentifiedImageError as error:
        raise UnreadablePicture("it is no picture") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on broken files
        raise UnreadablePicture("it is broken or cut off") from error


def _check_size(picture: Image.Image) -> None:
    pixels = picture.width * picture.height
    if pixels > MAX_PIXELS:
        raise UnreadablePicture(f"it has {pixels / 1e6:.0f} megapixels, more than {MAX_PIXELS / 1e6:.0f}")


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Any mode -> RGB or RGBA; 16 bit grey is scaled, where Pillow itself would clip it."""
    if picture.mode.startswith("I;16") or picture.mode == "I":
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    return picture.convert("RGBA" if transparent else "RGB")


def content_hash(path: Path) -> str:
    """SHA-256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
