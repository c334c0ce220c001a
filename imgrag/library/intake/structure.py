"""What a picture file is made of, looked at before any decoder sees it.

Decoders work long for what costs a sender nothing: a scan without content, a million empty chunks,
tags that all point to the same megabyte. Each is counted here, and too many are refused in words.
Honest files stay far below the bounds: a progressive JPEG has some ten scans.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Mapping
from typing import IO

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

MAX_SCANS = 500  # of a JPEG; encoders write 10 to 20
MAX_SEGMENTS = 4_000  # before a JPEG's first scan: a colour profile has at most 255, long XMP some hundred
MAX_METADATA = 32 * 2**20  # bytes there, of which Pillow joins some again and again
MAX_RUBBISH = 2**16  # bytes there that belong to nothing
MAX_BLOCKS = 10_000  # before a GIF's picture, of 255 bytes
MAX_CHUNKS = 100_000  # of a PNG; the usual ones hold 8 kB
MAX_VALUES = 250_000  # of numbers in a tag of TIFF or EXIF, such as where the strips lie
SLACK = 32 * 2**20  # bytes that tags may claim beyond what a file has: some programs write nonsense

_BLOCK = 2**14
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # neither stuffing nor a restart within a scan
_SCAN, _END = 0xDA, 0xD9
_BARE = (0x01, 0xD8)  # markers without a length
_UNUSUAL = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}  # lossless, hierarchical, arithmetic
_BYTES = (1, 2, 6, 7)  # types of TIFF whose values stay bytes until somebody asks
_NESTED = 8 * b"Exif\0\0"
_LONG = "it has too much before its picture begins; save it anew"


class UnreadablePicture(Exception):
    """The file is no picture that can be used; the text says why in a few words."""


def foreign_kind(file: IO[bytes]) -> str:
    """What people take for a picture and no reader here knows, "" for anything else; at the begin afterwards."""
    head = file.read(256)
    file.seek(0)
    return next((kind for kind, signature in _FOREIGN.items() if signature.match(head)), "")


def check_structure(file: IO[bytes]) -> None:
    """Look at what leads to the picture; the file stands at its begin afterwards.

    Raises:
        UnreadablePicture: it is more than a decoder should be kept busy with.
    """
    head = file.read(8)
    for signature, check in _CHECKS.items():
        if head.startswith(signature):
            file.seek(len(signature))
            check(file)
    file.seek(0)


def count_scans(file: IO[bytes]) -> int:
    """How often a decoder would go through the picture of a JPEG; the file stands at its begin afterwards.

    The markers are those that libjpeg itself would find.

    Raises:
        UnreadablePicture: more than `MAX_SCANS` times.
    """
    file.seek(2)
    scans = 0
    while marker := _next_segment(file):
        scans += marker == _SCAN
        if scans > MAX_SCANS:
            raise UnreadablePicture(f"it is a JPEG with more than {MAX_SCANS} scans; save it anew")
    file.seek(0)
    return scans


def bound_metadata() -> None:
    """Let Pillow read no more tags of TIFF and EXIF than the file can hold, whatever format they come in.

    It reads each one at once, and nothing keeps 5,000 of them from pointing to the same megabyte; and it
    takes the word Exif off their front as often as it stands there, with a copy of the rest each time.
    """
    load_directory, load_exif = ImageFileDirectory_v2.load, Image.Exif.load

    def load_checked_directory(directory: ImageFileDirectory_v2, file: IO[bytes]) -> None:
        _check_directory(directory, file)
        load_directory(directory, file)

    def load_checked_exif(exif: Image.Exif, data: bytes) -> None:
        if data and data.startswith(_NESTED):
            raise UnreadablePicture("its EXIF is nonsense; save it anew")
        load_exif(exif, data)

    ImageFileDirectory_v2.load = load_checked_directory  # type: ignore[method-assign, assignment]
    Image.Exif.load = load_checked_exif  # type: ignore[method-assign, assignment]


def _check_jpeg(file: IO[bytes]) -> None:
    """Everything before the first scan; Pillow goes byte by byte through what is no segment."""
    rubbish = 0
    for _ in range(MAX_SEGMENTS):
        begin = file.tell()
        marker = _next_marker(file)
        if marker in _UNUSUAL:
            raise UnreadablePicture(
                "it is a JPEG of a kind that no browser shows; save it as an ordinary one"
            )
        if marker in (0, _SCAN, _END):
            return
        rubbish += file.tell() - begin - 2
        _skip_segment(file, marker)
        if rubbish > MAX_RUBBISH or file.tell() > MAX_METADATA:
            break
    raise UnreadablePicture(_LONG)


def _next_segment(file: IO[bytes]) -> int:
    """The next marker of a JPEG, the file behind what belongs to it; 0 at the end."""
    marker = _next_marker(file)
    if marker in (0, _END):
        return 0
    _skip_segment(file, marker)
    return marker


def _skip_segment(file: IO[bytes], marker: int) -> None:
    if marker not in _BARE:
        length = int.from_bytes(file.read(2), "big")
        file.seek(max(0, length - 2), os.SEEK_CUR)


def _next_marker(file: IO[bytes]) -> int:
    while block := file.read(_BLOCK):
        if found := _MARKER.search(block):
            file.seek(found.end() - len(block), os.SEEK_CUR)
            return block[found.end() - 1]
        if block.endswith(b"\xff") and len(block) > 1:  # the marker may begin here
            file.seek(-1, os.SEEK_CUR)
    return 0


def _check_png(file: IO[bytes]) -> None:
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        file.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)  # and its sum
    raise UnreadablePicture(f"it is a PNG in more than {MAX_CHUNKS:,} pieces; save it anew")


def _check_gif(file: IO[bytes]) -> None:
    screen = file.read(7)
    if len(screen) == 7 and screen[4] & 0x80:
        file.seek(3 << ((screen[4] & 7) + 1), os.SEEK_CUR)  # its colours
    left = MAX_BLOCKS
    while left and (block := file.read(1)) not in (b"", b",", b";"):
        left -= 1
        if block == b"!":
            file.seek(1, os.SEEK_CUR)
            while left and (length := file.read(1)) not in (b"", b"\0"):
                left -= 1
                file.seek(length[0], os.SEEK_CUR)
    if not left:
        raise UnreadablePicture(_LONG)


def _check_directory(directory: ImageFileDirectory_v2, file: IO[bytes]) -> None:
    """Look at each tag's type, count and place as `load` will; the file stands where it stood."""
    order, begin = ("<" if directory.prefix == b"II" else ">"), file.tell()
    layout = struct.Struct(f"{order}HHQQ" if directory._bigtiff else f"{order}HHLL")
    counted = struct.Struct(f"{order}Q" if directory._bigtiff else f"{order}H")
    size = file.seek(0, os.SEEK_END)
    file.seek(begin)
    (count,) = counted.unpack(file.read(counted.size).ljust(counted.size, b"\0"))
    wanted = 0
    for _ in range(min(count, 2**16)):
        tag = file.read(layout.size)
        if len(tag) < layout.size:
            break
        _, kind, values, place = layout.unpack(tag)
        if kind not in _BYTES and values > MAX_VALUES:
            raise UnreadablePicture(f"it has a tag of more than {MAX_VALUES:,} numbers; save it anew")
        length = values * directory._load_dispatch.get(kind, (0,))[0]
        wanted += min(length, max(0, size - place))
        if wanted > size + SLACK:
            raise UnreadablePicture("its tags claim more than the file holds; save it anew")
    file.seek(begin)


_FOREIGN: Mapping[str, re.Pattern[bytes]] = {
    "an SVG drawing": re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.*|<!.*)?<svg[\s>]", re.DOTALL),
    "a Photoshop file": re.compile(rb"8BPS"),
    "a PDF": re.compile(rb"%PDF-"),
    "a PostScript file": re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"),
    "a JPEG XL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "),
    "a JPEG 2000": re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    "a camera's raw file": re.compile(
        rb"II\*\0....CR|....ftypcrx |FUJIFILMCCD-RAW|II(?:RO|RS|U\0)|FOVb", re.DOTALL
    ),
}
_CHECKS: Mapping[bytes, Callable[[IO[bytes]], None]] = {
    b"\xff\xd8": _check_jpeg,
    b"\x89PNG\r\n\x1a\n": _check_png,
    b"GIF87a": _check_gif,
    b"GIF89a": _check_gif,
}
