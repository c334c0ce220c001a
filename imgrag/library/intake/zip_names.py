"""Zips that say of a name that it is UTF-8 where it is not: zipfile would refuse such a zip whole."""

from __future__ import annotations

import io
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SAYS_UTF8 = 0x800  # the flag of an entry whose name is UTF-8
END = b"PK\5\6"
_ENTRY = b"PK\1\2"
_HEAD = 46  # bytes of an entry in the list before its name
_FLAG_AT = 9  # where the byte with the flag is among them
_FLAG_IN_FILE = 7  # and where it is in what stands before the file's content


@dataclass(frozen=True)
class Contents:
    """A zip's list of contents: `begin` and `length` in bytes, `before` what precedes the zip in its file."""

    begin: int
    length: int
    before: int


class ArchiveFile(io.FileIO):
    """A zip to read, with the flag of UTF-8 taken off such names as are none; its file stays as it is.

    A name without the flag is read as code page 437, which takes every byte. Nothing of the zip but
    its list of contents is held in memory.
    """

    def __init__(self, archive: Path, contents: Contents) -> None:
        super().__init__(archive)
        self._mended: list[int] = []
        self.seek(contents.begin)
        entries = super().read(contents.length) or b""
        places = ((contents.begin + at, contents.before + file) for at, file in _falsely_flagged(entries))
        self._mended = sorted(place for pair in places for place in pair)
        self.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        at = self.tell()
        found = bytearray(super().read(-1 if size is None else size) or b"")
        first, last = (bisect_left(self._mended, end) for end in (at, at + len(found)))
        for place in self._mended[first:last]:
            found[place - at] &= ~(SAYS_UTF8 >> 8)
        return bytes(found)


def _falsely_flagged(entries: bytes) -> Iterator[tuple[int, int]]:
    """Where the flags of such names are, in a list of contents and in the zip; a broken list is left to zipfile."""
    at = 0
    while entries[at : at + 4] == _ENTRY and at + _HEAD <= len(entries):
        (flags,) = struct.unpack_from("<H", entries, at + 8)
        name, extra, comment = struct.unpack_from("<3H", entries, at + 28)
        if flags & SAYS_UTF8 and not _is_utf8(entries[at + _HEAD : at + _HEAD + name]):
            (file,) = struct.unpack_from("<I", entries, at + 42)
            yield at + _FLAG_AT, file + _FLAG_IN_FILE
        at += _HEAD + name + extra + comment


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
