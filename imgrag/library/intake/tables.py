"""Tables about pictures: CSV, JSON lines and Parquet with a `file_name` column (Hugging Face's ImageFolder)."""

from __future__ import annotations

import csv
import json
import math
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imgrag.library.engines.store import Value
from imgrag.library.intake import beside
from imgrag.library.intake.beside import checked, place_below
from imgrag.library.intake.described import ABSENT, Described, Row, as_scalar, bounded_text, describe_row

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})")  # "007" is a text: as a number it would lose its zeros
_DECIMAL = re.compile(r"-?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|-?\d+[eE][-+]\d+")


def table_rows(root: Path, file: str) -> Iterator[tuple[str, Described]]:
    """Pictures that a table speaks of, and what it says.

    Raises:
        ValueError, OSError, csv.Error: it cannot be read; the text says why.
    """
    read = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}[Path(file).suffix]
    scalar = _csv_scalar if file.endswith(".csv") else as_scalar
    rows = named = 0
    for row in read(checked(root / file)):
        rows += 1
        name = next((row.pop(key) for key in list(row) if _is_file_name(key)), None)
        named += bool(name)
        if place := place_below(posixpath.dirname(file), name):
            yield place, describe_row(row, scalar)
    if rows and not named:
        raise ValueError("it has no file_name column")


def plain_columns(schema: Any) -> list[str]:
    """Columns of an Arrow schema that can be read as text or one value; no vectors, pictures, structs."""
    import pyarrow.types as kinds

    def is_plain(kind: Any) -> bool:
        if kinds.is_dictionary(kind):
            return is_plain(kind.value_type)
        if kinds.is_list(kind) or kinds.is_large_list(kind):
            return _is_string(kind.value_type)
        return kinds.is_primitive(kind) or kinds.is_decimal(kind) or _is_string(kind)

    return [column.name for column in schema if is_plain(column.type)]


def _is_string(kind: Any) -> bool:
    import pyarrow.types as kinds

    return kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)


def _is_file_name(column: object) -> bool:
    return isinstance(column, str) and column.strip().casefold() == "file_name"


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = file.readline()
        file.seek(0)
        # Spreadsheets of many countries write semicolons.
        reader = csv.DictReader(file, delimiter=max(",;\t", key=header.count))
        try:
            yield from reader
        except csv.Error as error:
            raise ValueError(f"line {reader.reader.line_num}: {error}") from error


def _json_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} is no JSON ({error.msg})") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            yield row


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
            if sum(group.total_byte_size for group in groups) > beside.MAX_FILE_BYTES:
                raise ValueError(f"it unfolds to more than {beside.MAX_FILE_BYTES // 2**20} MB")
            for batch in file.iter_batches(1000, columns=plain_columns(file.schema_arrow)):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError("it is no Parquet file or broken") from error


def _csv_scalar(text: Any) -> Value | None:
    """A cell -> a number, a truth value or a text."""
    cell = bounded_text(text)
    if cell.casefold() in ABSENT:
        return None
    if _INTEGER.fullmatch(cell):
        return int(cell)
    if _DECIMAL.fullmatch(cell) and math.isfinite(float(cell)):
        return float(cell)
    return cell.casefold() == "true" if cell.casefold() in ("true", "false") else cell
