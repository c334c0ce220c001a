"""Pictures that keep a decoder busy: small files that take long to read, or much memory, pixel for pixel.

Each was found to take seconds or gigabytes before it was bounded; a name says what it is made of.
"""

from __future__ import annotations

import io
import struct

from PIL import Image

from imgrag.bench.fire.payloads import chunk, png

PIXELS = (7_000, 7_000)
SCANS = 2_500  # of the worst one, which took half a minute


def refused(count: int) -> list[tuple[str, bytes]]:
    """The first `count` of them: (name, content). Each has to be refused in words."""
    made = (_scans, _short_scans, _comments, _extensions, _chunks, _tags_of_tiff, _tags_of_png,
            _tags_of_jpeg, _nested_exif, _segments, _rubbish)  # fmt: skip
    return [make() for make in made[:count]]


def slowest() -> tuple[str, bytes]:
    """A picture that is taken, and takes as long as any that is."""
    return "slow.jpg", progressive((8_000, 8_000), 28)


def progressive(size: tuple[int, int], scans: int) -> bytes:
    """A red JPEG with so many scans more than it needs: the last one again and again."""
    whole = _saved("JPEG", size, progressive=True, subsampling=0)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * scans + whole[-2:]


def _scans() -> tuple[str, bytes]:
    return "scans.jpg", progressive(PIXELS, SCANS)


def _short_scans() -> tuple[str, bytes]:
    """Scans without any content, in a picture that is soon gone through."""
    whole = _saved("JPEG", (64, 64), progressive=True)
    at = whole.rindex(b"\xff\xda")
    header = whole[at : at + 2 + int.from_bytes(whole[at + 2 : at + 4], "big")]
    return "short-scans.jpg", whole[:-2] + header * 300_000 + whole[-2:]


def _comments() -> tuple[str, bytes]:
    return "comments.gif", _before_the_picture(b"!\xfe" + (b"\xff" + bytes(255)) * 20_000 + b"\0")


def _extensions() -> tuple[str, bytes]:
    return "extensions.gif", _before_the_picture(b"!\xfe\0" * 1_000_000)


def _before_the_picture(blocks: bytes) -> bytes:
    whole = _saved("GIF", (8, 8))
    at = whole.index(b",", 13)
    return whole[:at] + blocks + whole[at:]


def _chunks() -> tuple[str, bytes]:
    return "chunks.png", _with_chunks(chunk(b"abCd", b"") * 500_000)


def _tags_of_tiff() -> tuple[str, bytes]:
    tags = ((256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 8), (279, 64))
    return "tags.tif", _directory([struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags], 200_000)


def _tags_of_png() -> tuple[str, bytes]:
    return "tags.png", _with_chunks(chunk(b"eXIf", _directory([], 200_000)))


def _tags_of_jpeg() -> tuple[str, bytes]:
    exif = b"Exif\0\0" + _directory([], 63_000)
    return "tags.jpg", _with_segments(b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif)


def _nested_exif() -> tuple[str, bytes]:
    return "exif.png", _with_chunks(chunk(b"eXIf", b"Exif\0\0" * 300_000))


def _segments() -> tuple[str, bytes]:
    return "segments.jpg", _with_segments(b"\xff\xfe\0\2" * 1_000_000)


def _rubbish() -> tuple[str, bytes]:
    return "rubbish.jpg", _with_segments(bytes(5_000_000))


def _directory(tags: list[bytes], size: int) -> bytes:
    """A TIFF of so many bytes, with tags that all point to nearly all of it."""
    tags = tags + [struct.pack("<HHII", 1000 + n, 7, size - 8, 0) for n in range(4_000)]
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(tags) + bytes(4)
    return head.ljust(size, b"\0")


def _with_chunks(chunks: bytes) -> bytes:
    whole = png((8, 8))
    return whole[:33] + chunks + whole[33:]


def _with_segments(segments: bytes) -> bytes:
    whole = _saved("JPEG", (8, 8))
    return whole[:2] + segments + whole[2:]


def _saved(kind: str, size: tuple[int, int], **settings: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 40, 40)).save(file, kind, **settings)
    return file.getvalue()
