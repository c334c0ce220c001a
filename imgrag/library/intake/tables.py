"""Tables about pictures: CSV, JSON and Parquet with a column of file names (Hugging Face's ImageFolder)."""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from imgrag.library.engines.store import Value
from imgrag.library.intake import beside
from imgrag.library.intake.beside import checked
from imgrag.library.intake.delimited import delimited_rows
from imgrag.library.intake.described import (
    ABSENT,
    MAX_FIELD_NAME,
    MAX_ITEMS,
    Row,
    as_scalar,
    bounded_text,
    field_name,
)
from imgrag.library.intake.documents import decode, entries
from imgrag.library.intake.parquet import batches, open_parquet, plain_columns, rows_of, unfolded_bytes
from imgrag.library.intake.plain_text import bounded_lines, open_text

STEM = "metadata"
KINDS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
UNREAD = (".xlsx", ".xls", ".ods")
FILE_NAMES = (
    "filename imagefilename image file filepath imagefile imagepath imagename path img imgpath 文件名 图片"
).split()  # as `_spelling` has them; the first that a table has is its column of file names
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})")  # "007" is a text: as a number it would lose its zeros
_DECIMAL = re.compile(r"-?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|-?\d+[eE][-+]\d+")


def is_table(file: str) -> bool:
    """Whether a file of this name is a table about pictures, also of a kind that is not read."""
    stem, suffix = posixpath.splitext(posixpath.basename(file.casefold()))
    return stem == STEM and suffix in (*KINDS, *UNREAD)


def table_order(file: str) -> int:
    """Which kind of table is asked first."""
    return (*KINDS, *UNREAD).index(posixpath.splitext(file.casefold())[1])


def table_rows(path: Path, check: Callable[[], None]) -> Iterator[tuple[object, Row]]:
    """What each row calls its picture, and its other columns.

    Raises:
        ValueError, OSError: it cannot be read, or not any further; the text says why.
    """
    kind = path.suffix.casefold()
    if kind in UNREAD:
        raise ValueError(f"{kind} is not read; save the table as CSV")
    read = {".jsonl": _line_rows, ".json": _entry_rows, ".parquet": parquet_rows}.get(kind, delimited_rows)
    rows = named = 0
    for row in read(path, check):
        rows += 1
        column = _file_column(row)
        named += column is not None
        yield (None if column is None else row.pop(column)), row
    if rows and not named:
        raise ValueError("it has no column that names the pictures; call it file_name")


def scalar_of(path: Path) -> Callable[[Any], Value | None]:
    """How the fields of a table are read."""
    return _cell if path.suffix.casefold() in (".csv", ".tsv") else as_scalar


def _file_column(row: Row) -> str | None:
    """The column that holds the name of a row's picture, if there is one."""
    spelled: dict[str, str] = {}
    for column, value in row.items():
        if isinstance(value, str | int | None):
            spelled.setdefault(_spelling(column[:MAX_FIELD_NAME]), column)
    return next((spelled[name] for name in FILE_NAMES if name in spelled), None)


@lru_cache(maxsize=1024)
def _spelling(column: str) -> str:
    """ "Image File_Name" -> "imagefilename"."""
    return re.sub(r"[\s_-]+", "", field_name(column)).casefold()


def _line_rows(path: Path, check: Callable[[], None]) -> Iterator[Row]:
    """JSON lines. A broken one does not lose the others."""
    wrong = None
    for row in json_lines(path, check):
        if isinstance(row, ValueError):
            wrong = wrong or ValueError(f"{row}; lines that are were read")
        else:
            yield row
    if wrong:
        raise wrong


def json_lines(path: Path, check: Callable[[], None]) -> Iterator[Row | ValueError]:
    """Each line of a file as a row, or what is wrong with it; blank ones are rows without a column.

    Raises:
        ValueError, OSError: the file cannot be read, or not any further.
    """
    with open_text(path, check) as file:
        for number, line in enumerate(bounded_lines(file, check), 1):
            try:
                row = decode(line) if line.strip() else {}
            except ValueError as error:
                said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                yield ValueError(f"line {number} is no JSON ({said})")
                continue
            yield row if isinstance(row, dict) else ValueError(f"line {number} is no JSON object")


def _entry_rows(path: Path, check: Callable[[], None]) -> Iterator[Row]:
    """A JSON list of rows, or an object with a row, a caption or several under each picture's name."""
    for name, group in groupby(entries(path, check), key=itemgetter(0)):
        captions: list[str] = []
        for _, entry in group:
            if isinstance(entry, dict):
                yield entry if _file_column(entry) is not None or not name else {"file_name": name, **entry}
            elif isinstance(entry, str) and len(captions) < MAX_ITEMS:
                captions.append(bounded_text(entry))
        if captions and name:
            yield {"file_name": name, "caption": captions}


def parquet_rows(path: Path, check: Callable[[], None]) -> Iterator[Row]:
    """The rows of a Parquet file, without vectors and structures.

    Raises:
        ValueError, OSError: it is none, or broken, or unfolds to too much.
    """
    import pyarrow as pa

    try:
        with open_parquet(checked(path)) as file:
            columns = plain_columns(file.schema_arrow)
            if unfolded_bytes(file, columns) > beside.MAX_FILE_BYTES:
                raise ValueError(f"it unfolds to more than {beside.MAX_FILE_BYTES // 2**20} MB")
            for batch in batches(file, columns, check):
                yield from rows_of(batch)
    except (pa.ArrowException, OSError) as error:
        raise ValueError("it is no Parquet file or broken") from error


def _cell(text: Any) -> Value | None:
    """A cell -> a number, a truth value or a text."""
    cell = bounded_text(text)
    if cell.casefold() in ABSENT:
        return None
    if _INTEGER.fullmatch(cell):
        return int(cell)
    if _DECIMAL.fullmatch(cell) and math.isfinite(float(cell)):
        return float(cell)
    return cell.casefold() == "true" if cell.casefold() in ("true", "false") else cell
