"""Tables of delimited text as people and programs write them, with the mistakes that both make."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from imgrag.library.intake.described import MAX_COLUMNS, Row, is_caption, named_columns
from imgrag.library.intake.plain_text import MAX_LINE, bounded_lines, open_text

MAX_LINES = 1000  # of one row: a quote that is still open then was never meant to be one
DELIMITERS = ",;\t|"  # spreadsheets of many countries write semicolons
_SEPARATOR = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)  # the first line of some of Excel's files


def delimited_rows(path: Path, check: Callable[[], None]) -> Iterator[Row]:
    """The rows below the first line that is not blank, by column; every cell is a text.

    A quote that is never closed is a character like others. What is too much for the columns belongs to
    the caption, or else to the last column: somebody wrote a comma without quotes.

    Raises:
        ValueError, OSError: it cannot be read, or not any further.
    """
    csv.field_size_limit(MAX_LINE)  # of the whole process; 128 kB unless told
    with open_text(path, check) as file:
        lines = _Lines(bounded_lines(file, check))
        delimiter = _delimiter(lines)
        header = next(_records(lines, delimiter), [])
        columns = named_columns(header[:MAX_COLUMNS])
        last = len(header) - 1
        at = next((number for number, column in enumerate(columns) if is_caption(column)), last)
        for cells in _records(lines, delimiter, len(header)):
            yield dict(zip(columns, _fitted(cells, len(header), at, delimiter), strict=False))


class _Unclosed(csv.Error):
    """A row goes on for so long that a quote was never closed."""


class _Lines:
    """Lines that can be put back. `taken` are those of the row in hand."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self.begin()

    def begin(self) -> None:
        """The next line is the first of a row."""
        self.taken: list[str] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= MAX_LINES or self._size > MAX_LINE:
            raise _Unclosed
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        self._size += len(line)
        return line

    def put_back(self, first: int) -> None:
        """Those taken from number `first` on come again."""
        self._again.extendleft(reversed(self.taken[first:]))


def _delimiter(lines: _Lines) -> str:
    """Looks at the first line that is not blank: what stands most often in it, or what it says."""
    for line in lines:
        if said := _SEPARATOR.fullmatch(line):
            return said[1]
        if line.strip(f"{DELIMITERS} \r\n"):
            lines.put_back(-1)
            return max(DELIMITERS, key=line.count)
        lines.begin()
    return DELIMITERS[0]


def _records(lines: _Lines, delimiter: str, width: int = 0) -> Iterator[list[str]]:
    """Rows as cells, but blank ones. Of a row with a wrong quote the first line stands for itself."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            lines.put_back(1)
            cells = _mended(lines.taken[0], delimiter, width)
        if any(map(str.strip, cells)):
            yield cells


def _mended(line: str, delimiter: str, width: int) -> list[str]:
    """The cells of a line with a wrong quote: as csv guesses, or cut at every delimiter if that fits better."""
    guessed = next(csv.reader([line], delimiter=delimiter), [])
    if len(guessed) == width:
        return guessed
    return [cell.strip('"') for cell in line.rstrip().split(delimiter)]


def _fitted(cells: list[str], width: int, at: int, delimiter: str) -> list[str]:
    """As many cells as there are columns: what is too much is put together at `at`."""
    while len(cells) > width and not cells[-1].strip():
        cells.pop()
    surplus = len(cells) - width
    if surplus <= 0:
        return cells
    return [*cells[:at], delimiter.join(cells[at : at + surplus + 1]), *cells[at + surplus + 1 :]]
