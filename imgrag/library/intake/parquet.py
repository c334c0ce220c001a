"""Parquet within bounds on what it unfolds to, which may be a million times the file.

Texts stay in their dictionaries, so that a value of a megabyte that a thousand rows share is there
once, and is cut before it is a thousand texts. Batches are as long as what they hold is large.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from imgrag.library.intake.described import MAX_COLUMNS, MAX_TEXT, Row, named_columns
from imgrag.library.intake.parquet_pages import check_pages

ROWS = 1000  # of a batch
BATCH_BYTES = 32 * 2**20  # decoded; of one row too
SMALL_BYTES = 32 * 2**20  # what a row group may unfold to by any factor
MAX_RATIO = 50  # texts shrink to a tenth, vectors hardly; only bombs shrink so
MAX_DOCUMENT = 2**20  # bytes of a text that is JSON
_CUT = 4 * MAX_TEXT  # bytes of any other: four may be one character
_NUMBER = 8  # bytes of a value in a column of lists
_OUT_OF_RANGE = re.compile(
    "<value out of range.*>", re.DOTALL
)  # what Arrow writes for a date beyond its calendar


class TooMuch(ValueError):
    """It unfolds to more than a description of pictures does."""


def open_parquet(path: Path) -> Any:
    """A `pyarrow.parquet.ParquetFile`.

    Raises:
        ValueError, OSError: it is none, or broken, or its pages unfold to more than it says.
    """
    import pyarrow.parquet as pq

    about = pq.read_metadata(path)
    check_pages(path, about)
    texts = [
        column.path
        for column in map(about.schema.column, range(about.num_columns))
        if column.physical_type == "BYTE_ARRAY"
    ]
    return pq.ParquetFile(path, metadata=about, read_dictionary=texts, pre_buffer=False, buffer_size=2**20)


def batches(file: Any, columns: Sequence[str], check: Callable[[], None]) -> Iterator[Any]:
    """All rows in record batches of at most 1,000, with these columns; `check` is called before each.

    Raises:
        TooMuch: it would not fit.
        ValueError, OSError: it is broken.
    """
    for number in range(file.metadata.num_row_groups):
        rows = _rows_at_once(file.metadata.row_group(number), frozenset(columns))
        for batch in file.iter_batches(rows, row_groups=[number], columns=list(columns)):
            check()
            yield batch


def unfolded_bytes(file: Any, columns: Sequence[str]) -> int:
    """What these columns unfold to, texts that several rows share counted once."""
    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    return sum(_decoded(chunk) for group in groups for chunk in _chunks(group, frozenset(columns)))


def plain_columns(schema: Any) -> list[str]:
    """Columns of an Arrow schema that can be read as text or one value; no vectors, pictures, structs."""
    return [column.name for column in schema if _is_plain(column.type)][:MAX_COLUMNS]


def rows_of(batch: Any, but: str = "", document: str = "") -> list[Row]:
    """The rows of a record batch, without the column `but`; texts of the column `document` may be long."""
    columns = [(name, batch.column(at)) for at, name in enumerate(batch.schema.names) if name != but]
    if not columns:
        return [{} for _ in range(batch.num_rows)]
    names = named_columns(name for name, _ in columns)
    read = [values(column, MAX_DOCUMENT if name == document else _CUT) for name, column in columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*read, strict=True)]


def values(column: Any, most: int) -> list[Any]:
    """A column as Python has it, texts of at most so many bytes; what has no value there is a text or `None`."""
    import pyarrow as pa
    import pyarrow.types as kinds

    kind = column.type
    if kinds.is_dictionary(kind):
        return _shared(column, most)
    if kinds.is_list(kind) or kinds.is_large_list(kind):
        return _lists(column, most)
    if _is_string(kind):
        return _texts(column, most)
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError, KeyError):  # beyond Python's calendar, or a time zone that is none
        naive = column.cast(pa.timestamp(kind.unit)) if kinds.is_timestamp(kind) else column
        written = naive.cast(pa.string()).to_pylist()
        return [None if text is None or _OUT_OF_RANGE.fullmatch(text) else text for text in written]


def _rows_at_once(group: Any, columns: frozenset[str]) -> int:
    chunks = list(_chunks(group, columns))
    decoded = sum(map(_decoded, chunks))
    if decoded > max(SMALL_BYTES, MAX_RATIO * sum(chunk.total_compressed_size for chunk in chunks)):
        raise TooMuch(f"it unfolds to more than {MAX_RATIO} times its size")
    if decoded > BATCH_BYTES * max(1, group.num_rows):
        raise TooMuch(f"a row of it unfolds to more than {BATCH_BYTES // 2**20} MB")
    return max(1, min(ROWS, BATCH_BYTES * group.num_rows // max(1, decoded)))


def _chunks(group: Any, columns: frozenset[str]) -> Iterator[Any]:
    for chunk in map(group.column, range(group.num_columns)):
        path = chunk.path_in_schema
        if path in columns or path.partition(".")[0] in columns:
            yield chunk


def _decoded(chunk: Any) -> int:
    """Bytes of a column within a row group; of lists, how many values there are says more than the pages."""
    is_list = "." in chunk.path_in_schema
    return max(chunk.total_uncompressed_size, _NUMBER * chunk.num_values if is_list else 0)


def _is_plain(kind: Any) -> bool:
    import pyarrow.types as kinds

    if kinds.is_dictionary(kind):
        return _is_plain(kind.value_type)
    if kinds.is_list(kind) or kinds.is_large_list(kind):
        inner = kind.value_type
        return _is_string(inner.value_type if kinds.is_dictionary(inner) else inner)
    return kinds.is_primitive(kind) or kinds.is_decimal(kind) or _is_string(kind)


def _is_string(kind: Any) -> bool:
    import pyarrow.types as kinds

    return kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)


def _shared(column: Any, most: int) -> list[Any]:
    """A dictionary column: each value that occurs is made once."""
    used = column.indices.unique().drop_null()
    made = dict(zip(used.to_pylist(), values(column.dictionary.take(used), most), strict=True))
    return [made.get(index) for index in column.indices.to_pylist()]


def _lists(column: Any, most: int) -> list[Any]:
    import pyarrow.compute as pc

    inner, at, lists = values(column.flatten(), most), 0, []
    for length in pc.list_value_length(column).to_pylist():
        lists.append(None if length is None else inner[at : at + length])
        at += length or 0
    return lists


def _texts(column: Any, most: int) -> list[str | None]:
    """Cut as bytes. What is no UTF-8 becomes U+FFFD."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cut = pc.binary_slice(column.cast(pa.large_binary()), 0, most)
    return [None if data is None else data.decode("utf-8", "replace") for data in cut.to_pylist()]
