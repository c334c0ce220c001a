"""JSON of any size, entry by entry: no more of it is held at once than one entry may take."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from imgrag.library.intake.plain_text import BLOCK, open_text

MAX_ENTRY = 4 * 2**20  # characters
_DIGITS = 19  # of a whole number that has 64 bits; Python refuses to read one of more than 4,300
_SPACE = re.compile(r"[ \t\r\n]*")
_CUT = re.compile(r"[-+.\deE]*\Z")  # the rest of a number that the end of what was read cuts
_DEEP = "it is nested too deeply"


def decode(text: str) -> Any:
    """A short JSON text as a value; whole numbers beyond 64 bits as texts.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError(_DEEP) from error


def entries(path: Path, check: Callable[[], None]) -> Iterator[tuple[str, Any]]:
    """The entries of a JSON file, with the key they stand under; "" in a list.

    Where an object holds a list, each of that list's entries comes by itself.

    Raises:
        ValueError, OSError: it cannot be read, or not any further.
    """
    with open_text(path, check) as file:
        window = _Window(file, check)
        opening = window.peek()
        if opening == "[":
            yield from (("", entry) for entry in window.items())
        elif opening == "{":
            yield from window.members()
        elif opening:
            window.value()


def mentions(path: Path, text: str, check: Callable[[], None]) -> bool:
    """Whether a file has this text somewhere; tells quickly that a large one is about something else."""
    last = ""
    with open_text(path, check) as file:
        while block := file.read(BLOCK):
            check()
            if text in last + block:
                return True
            last = block[-len(text) :]
    return False


class _Window:
    """The part of a document that is being read."""

    def __init__(self, file: TextIO, check: Callable[[], None]) -> None:
        self._file = file
        self._check = check
        self._text = ""
        self._at = 0
        self._line = 1  # the one that the part begins in

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def items(self) -> Iterator[Any]:
        """The entries of the list that begins here."""
        self._step("[")
        if self.peek() == "]":
            self._step("]")
            return
        while True:
            yield self.value()
            if self._step(",]") == "]":
                return

    def members(self) -> Iterator[tuple[str, Any]]:
        """What the object that begins here holds, by key."""
        self._step("{")
        if self.peek() == "}":
            return
        while True:
            key = str(self.value())
            self._step(":")
            if self.peek() == "[":
                yield from ((key, entry) for entry in self.items())
            else:
                yield key, self.value()
            if self._step(",}") == "}":
                return

    def value(self) -> Any:
        """The value that begins here."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError as error:
                raise ValueError(_DEEP) from error
            except json.JSONDecodeError as error:
                self._need_more(error)
                continue
            if _CUT.match(self._text, end) and self._more():
                continue
            self._at = end
            return value

    def _need_more(self, error: json.JSONDecodeError) -> None:
        """The value may only be cut off where the part ends; raises ValueError if it is not."""
        line = self._line + error.lineno - 1
        if len(self._text) - self._at > MAX_ENTRY:
            raise ValueError(f"an entry is broken or longer than {MAX_ENTRY // 2**20} MB") from error
        if not self._more():
            raise ValueError(f"line {line} is no JSON ({error.msg})") from error

    def _step(self, expected: str) -> str:
        """Over one of these characters."""
        found = self.peek()
        if not found or found not in expected:
            line = self._line + self._text.count("\n", 0, self._at)
            raise ValueError(f"line {line} is no JSON (Expecting {' or '.join(expected)})")
        self._at += 1
        return found

    def _more(self) -> bool:
        self._check()
        self._line += self._text.count("\n", 0, self._at)
        block = self._file.read(BLOCK)
        self._text = self._text[self._at :] + block
        self._at = 0
        return bool(block)


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _DIGITS else digits


_DECODER = json.JSONDecoder(parse_int=_whole)
