"""Reading picture files that nobody vouches for.

What decoding costs in memory: a JPEG of any allowed size about 5 MB where `side` is small, since it
is scaled while it is decoded. One in several scans needs 3 to 6 bytes a pixel on the way, as libjpeg
keeps all its coefficients: at most 400 MB, or it is refused. PNG, TIFF, GIF and BMP take 4 to 8 bytes
a pixel, HEIC and AVIF 10, WebP 17: at most 850 MB. All is given back but the picture, which has
at most 25 megapixels. What it costs in time is bounded by `structure`.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

from PIL import Image, ImageFile, ImageOps
from PIL.JpegImagePlugin import JpegImageFile, jpeg_factory
from pillow_heif import register_heif_opener

from imgrag.library.intake.levels import (
    ask_for_lower_half,
    eight_bit_grey,
    has_lower_half,
    is_dark,
    is_deep,
    joined,
    white_of,
)
from imgrag.library.intake.structure import (
    UnreadablePicture,
    bound_metadata,
    check_structure,
    count_scans,
    foreign_kind,
)
from imgrag.pictures import ROWS, strips

MAX_PIXELS = 65_000_000
MAX_JPEG_PIXELS = 250_000_000
MAX_WEBP_PIXELS = 50_000_000
MAX_HELD = 400_000_000  # bytes of a JPEG's coefficients
MAX_SCANNED = 2_500_000_000  # pixels over all scans of a JPEG: some seconds
MAX_WHOLE = 25_000_000  # pixels of what is returned
SIDE = 1024  # px; nothing looks more closely at a picture than at so many on its short side
SUFFIXES = frozenset(".png .jpg .jpeg .jpe .jfif .webp .gif .bmp .tif .tiff .heic .heif .hif .avif".split())
UNTAKEN = frozenset(
    ".svg .svgz .psd .ai .eps .pdf .raw .dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf .pef .x3f".split()
)  # what people call pictures too
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF")
MOVING = ("GIF", "PNG", "WEBP", "AVIF")
TAKEN = "PNG, JPEG, WebP, GIF, BMP, TIFF, HEIC, AVIF"
_LARGE = 16_000_000  # pixels; of those that are no JPEG and cannot be scaled while they are decoded
_TURNS = threading.BoundedSemaphore(2)  # that many large ones are decoded at once, whoever sends them
_SPARE = 2  # times `side` is kept, so that the caller's own scaling decides how the picture looks

register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
bound_metadata()


def read_picture(path: Path, side: int = SIDE) -> Image.Image:
    """Decode a file's first frame, upright, RGB or (where it is transparent) RGBA.

    What it is is known by its content. Its size is read from the header before anything is decoded,
    so that a small file cannot unfold into gigabytes.

    Args:
        side: a picture at least this many pixels long on its short side is enough. It is then
            scaled down early, which saves memory and time; a smaller one is left as it is.

    Raises:
        UnreadablePicture: it is not there, empty, no picture, broken, or larger than 65 megapixels
            (250 as a JPEG).
    """
    with _explained(), _file(path) as file, opened(file) as picture, _turn(picture):
        return ImageOps.exif_transpose(_decoded(picture, file, side))


def read_still(path: Path, side: int = SIDE) -> Image.Image:
    """As `read_picture`, of what does not move.

    Raises:
        UnreadablePicture: as `read_picture`, or it is animated.
    """
    with _explained(), _file(path) as file, opened(file) as picture:
        if picture.format in MOVING and getattr(picture, "is_animated", False):
            raise UnreadablePicture("it is animated; save one picture of it")
    return read_picture(path, side)


def thumbnail(path: Path, side: int) -> Image.Image:
    """A picture scaled to fit a square of `side` pixels, for browsing; never scaled up.

    Raises:
        UnreadablePicture: as `read_picture`.
    """
    picture = read_picture(path, side)
    picture.thumbnail((side, side))
    return picture


@contextmanager
def opened(file: IO[bytes]) -> Iterator[ImageFile.ImageFile]:
    """A picture of which the header is read and nothing decoded.

    Raises:
        UnreadablePicture: its structure would keep a decoder busy, or it has too many pixels.
        Exception: whatever Pillow's readers raise on broken files.
    """
    check_structure(file)
    is_jpeg = file.read(2) == b"\xff\xd8"
    file.seek(0)
    # `Image.open` knows one bound of pixels for all formats; the bounds here are narrower but for JPEG.
    with jpeg_factory(file) if is_jpeg else Image.open(file, formats=FORMATS) as picture:
        _check_size(picture)
        yield picture


def content_hash(path: Path, check: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of the file's bytes, in hex. `check` is called now and then; it may raise to stop."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            check()
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _explained() -> Iterator[None]:
    """Whatever went wrong with a picture, in words that name no path."""
    try:
        yield
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


@contextmanager
def _file(path: Path) -> Iterator[IO[bytes]]:
    """A file that holds something, and nothing that is known to be of a kind that is not taken."""
    if path.stat().st_size == 0:
        raise UnreadablePicture("it is empty")
    with path.open("rb") as file:
        if kind := foreign_kind(file):
            raise UnreadablePicture(f"it is {kind}, which is not taken; save it as one of {TAKEN}")
        yield file


def _check_size(picture: ImageFile.ImageFile) -> None:
    limits = {"WEBP": MAX_WEBP_PIXELS}
    most = (
        MAX_JPEG_PIXELS
        if isinstance(picture, JpegImageFile)
        else limits.get(picture.format or "", MAX_PIXELS)
    )
    pixels = picture.width * picture.height
    if pixels > most:
        raise UnreadablePicture(f"it has {math.ceil(pixels / 1e6)} megapixels, more than {most // 10**6}")


def _check_scans(picture: JpegImageFile, scans: int) -> None:
    """A JPEG in several scans is held as coefficients of 2 bytes, and gone through once a scan."""
    if scans < 2:
        return
    pixels = picture.width * picture.height
    across, down = (max(layer[place] for layer in picture.layer) for place in (1, 2))
    held = 2 * pixels * sum(layer[1] * layer[2] for layer in picture.layer) / (across * down)
    if held > MAX_HELD:
        raise UnreadablePicture(
            f"it is a progressive JPEG that takes {held / 1e6:.0f} MB to read, more than {MAX_HELD / 1e6:.0f}; "
            "save it as a baseline one"
        )
    if pixels * scans > MAX_SCANNED:
        raise UnreadablePicture(f"it is a JPEG with {scans} scans, too many for its size; save it anew")


def _turn(picture: ImageFile.ImageFile) -> AbstractContextManager[object]:
    is_large = picture.width * picture.height > _LARGE and not isinstance(picture, JpegImageFile)
    return _TURNS if is_large else nullcontext()


def _decoded(picture: ImageFile.ImageFile, file: IO[bytes], side: int) -> Image.Image:
    if isinstance(picture, JpegImageFile):
        begin = file.tell()
        _check_scans(picture, count_scans(file))
        file.seek(begin)
        factor = _factor(picture.size, side)
        picture.draft(None, (max(1, picture.width // factor), max(1, picture.height // factor)))
    halved = has_lower_half(picture)
    picture.load()
    if halved and is_dark(picture):
        file.seek(0)
        with opened(file) as lower:
            ask_for_lower_half(lower)
            lower.load()
            return _reduced(joined(picture, lower), side)
    return _reduced(picture, side)


def _factor(size: tuple[int, int], side: int) -> int:
    """By which whole number a picture may be made smaller, and has to be if it is too much as a whole."""
    return max(1, min(size) // (_SPARE * side), math.ceil(math.sqrt(math.prod(size) / MAX_WHOLE)))


def _reduced(picture: Image.Image, side: int) -> Image.Image:
    """8 bits, and as far as `side` allows scaled down by a whole number."""
    factor = _factor(picture.size, side)
    white = white_of(picture) if is_deep(picture) else 0.0
    if factor == 1:
        return _eight_bit(picture, white)
    parts = strips(picture, ROWS * factor)
    return _stacked([_eight_bit(strip, white).reduce(factor) for strip in parts])


def _eight_bit(picture: Image.Image, white: float) -> Image.Image:
    """Any mode -> RGB or RGBA. `white`: the level that is white, where it is deep."""
    if is_deep(picture):
        picture = eight_bit_grey(picture, white)
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _stacked(parts: Sequence[Image.Image]) -> Image.Image:
    """What `strips` took apart, with its EXIF."""
    height = sum(part.height for part in parts)
    whole = Image.new(parts[0].mode, (parts[0].width, height))
    whole.info = parts[0].info.copy()
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    return whole
