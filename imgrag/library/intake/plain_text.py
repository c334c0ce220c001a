"""Text files as other programs write them: in which encoding, and line by line within bounds."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from imgrag.library.intake.beside import checked

BLOCK = 2**18  # bytes, or characters, read between two looks at the stop
PER_LINE = 200  # characters that reading a short line costs besides
MAX_LINE = 4 * 2**20  # characters
_COMMON = 0xD7  # the first byte of GB 2312's common characters is at most this
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def open_text(path: Path, check: Callable[[], None]) -> TextIO:
    """A text file, its line ends as they are; U+FFFD stands for what is no character in its encoding.

    Raises:
        ValueError, OSError: it is too large or cannot be opened.
    """
    return checked(path).open(newline="", encoding=_encoding(path, check), errors="replace")


def bounded_lines(file: TextIO, check: Callable[[], None]) -> Iterator[str]:
    """Its lines with their ends. Raises ValueError at one of more than 4 MB."""
    number = passed = 0
    while line := file.readline(MAX_LINE):
        number += 1
        passed += len(line) + PER_LINE
        if passed > BLOCK:
            check()
            passed = 0
        if len(line) == MAX_LINE:
            raise ValueError(f"line {number} is longer than {MAX_LINE // 2**20} MB")
        yield line.replace("\0", "")  # csv refuses it before Python 3.11


def _encoding(path: Path, check: Callable[[], None]) -> str:
    """What its first bytes say; else UTF-8, if all of it is; else what spreadsheets write."""
    with path.open("rb") as file:
        head = file.read(3)
        for mark, encoding in _MARKS.items():
            if head.startswith(mark):
                return encoding
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        while block := file.read(BLOCK):
            check()
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return _not_quite_utf_8(block)
    return "utf-8"


def _not_quite_utf_8(block: bytes) -> str:
    """Chinese GBK, UTF-8 with a few broken characters, or else what Western Windows writes.

    Detectors of encodings take a table with one "é" for anything. In GBK the characters of GB 2312 have
    two bytes beyond ASCII each, and at least half of what people write is common: "öß" is not.
    """
    inner = block.partition(b"\n")[2].rpartition(b"\n")[0]  # whole lines
    sample = block if inner.isascii() else inner
    with contextlib.suppress(UnicodeDecodeError):
        pairs = [
            character.encode("gb2312") for character in sample.decode("gb2312") if not character.isascii()
        ]
        if len(pairs) <= 2 * sum(pair[0] <= _COMMON for pair in pairs):
            return "gb18030"
    read = sample.decode("utf-8", "replace")
    foreign = sum(not character.isascii() for character in read)
    return "utf-8" if foreign > 2 * read.count("\ufffd") else "cp1252"
