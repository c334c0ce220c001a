"""A text file beside a picture that holds its caption, as trainers of image models keep them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from imgrag.library.intake.described import MAX_TEXT, bounded_text
from imgrag.library.intake.pictures import SUFFIXES
from imgrag.library.intake.plain_text import open_text
from imgrag.texts import clean

CAPTIONS = (".txt", ".caption")
MAX_BYTES = 2**16  # a longer text is no caption
_NUMBERS = re.compile(r"[-+\d.eE\s]*")  # where objects lie (YOLO's labels), which is no caption


def captions_beside(files: Iterable[str]) -> dict[str, str]:
    """Picture -> the file that is called as it is, and holds its caption."""
    named = list(files)
    beside = {_stem(file): file for file in named if file.lower().endswith(CAPTIONS)}
    pictures = (file for file in named if beside and posixpath.splitext(file)[1].lower() in SUFFIXES)
    return {picture: beside[_stem(picture)] for picture in pictures if _stem(picture) in beside}


def _stem(file: str) -> str:
    return posixpath.splitext(clean(file))[0]


def read_caption(path: Path) -> str:
    """The caption on one line; "" if there is none, or it cannot be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return ""
        with open_text(path, lambda: None) as file:
            text = bounded_text(" ".join(file.read(4 * MAX_TEXT).split()))
    except (OSError, ValueError):
        return ""
    return "" if _NUMBERS.fullmatch(text) else text
