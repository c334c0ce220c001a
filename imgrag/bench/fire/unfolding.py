"""Rows about tables that unfold: a few bytes beside a picture that ask for memory, or for time, without end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from imgrag.bench import Figure
from imgrag.bench.library.adding import MemoryGrowth
from imgrag.bench.library.counts import in_new_process
from imgrag.library.intake.metadata import read_metadata

Figures = dict[str, Figure]
MEGABYTE = 2**20
WORDS = ("it ", "line ", "an entry ", "a row ", "the tables ")
"""How a sentence about a file begins."""


def tables(folder: Path, count: int) -> Figures:
    """Each kind of table beside one picture, `count` being thousands of its rows or kilobytes of its cell.

    What reading one takes beyond what the process had, how long nobody looks at the stop, and how many
    end otherwise than with a value or a sentence.
    """
    for kind, (name, write) in TABLES.items():
        place = folder / kind
        place.mkdir()
        (place / "a.png").touch()
        write(place / name, count)
    grown, waits, said = in_new_process(reading, [folder / kind for kind in TABLES])
    wrong = [text for reasons in said for text in reasons if not text.startswith(WORDS)]
    for kind, wait, reasons in zip(TABLES, waits, said, strict=True):
        print(f"unfolding {kind}: {wait:.2f} s, {reasons}", file=sys.stderr)
    return {
        "unfold_memory": Figure(grown / MEGABYTE, len(TABLES)),
        "unfold_stop": Figure(max(waits), len(TABLES)),
        "unfold_untold": Figure(len(wrong), len(TABLES)),
    }


def reading(folders: Sequence[Path]) -> tuple[int, list[float], list[list[str]]]:
    """Bytes that reading the metadata of folders takes, the longest time without a look at the stop, problems."""
    import_module("pyarrow.parquet")
    with MemoryGrowth() as memory:
        waits, said = zip(*map(_read, folders), strict=True)
    return memory.bytes, list(waits), list(said)


def _read(folder: Path) -> tuple[float, list[str]]:
    last, longest = time.monotonic(), 0.0

    def check() -> None:
        nonlocal last, longest
        now = time.monotonic()
        last, longest = now, max(longest, now - last)

    try:
        said = [problem.reason for problem in read_metadata(folder, check).problems]
    except Exception as error:  # noqa: BLE001  that is what is counted
        said = [type(error).__name__]
    check()
    return longest, said


def _shared_value(path: Path, count: int) -> None:
    """A text as long as there are rows, which all of them share: 791 bytes for a gigabyte."""
    import pyarrow as pa

    _write(path, {"file_name": pa.array(["a.png"] * 1000), "caption": _repeated("x" * (count << 10), 1000)})


def _shared_tags(path: Path, count: int) -> None:
    """Likewise in lists."""
    import pyarrow as pa

    tags = pa.ListArray.from_arrays(
        pa.array(range(0, 3001, 3), pa.int32()), _repeated("x" * (count << 10), 3000)
    )
    _write(path, {"file_name": pa.array(["a.png"] * 1000), "tags": tags})


def _endless_list(path: Path, count: int) -> None:
    """One row with a list of as many values as others have rows."""
    import pyarrow as pa

    length = count * 30_000
    tags = pa.ListArray.from_arrays(pa.array([0, length], pa.int32()), _repeated("x", length))
    _write(path, {"file_name": pa.array(["a.png"]), "tags": tags})


def _equal_rows(path: Path, count: int) -> None:
    """Rows about another picture, all the same."""
    _write(path, {"file_name": _repeated("b.png", count * 30_000), "x": _repeated("y", count * 30_000)})


def _plain_value(path: Path, count: int) -> None:
    """Texts that are written out, and compressed."""
    import pyarrow as pa

    columns = {"file_name": pa.array(["a.png"] * 100), "caption": pa.array(["x" * (count << 10)] * 100)}
    _write(path, columns, use_dictionary=False)


def _many_columns(path: Path, count: int) -> None:
    import pyarrow as pa

    names = {f"column {number}": _repeated("x" * 1000, 1000) for number in range(count * 2)}
    _write(path, {"file_name": pa.array(["a.png"] * 1000), **names})


def _write(path: Path, columns: dict[str, object], **options: object) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(columns)
    rows = max(1, table.num_rows)
    pq.write_table(table, path, compression="zstd", write_statistics=False, row_group_size=rows, **options)


def _repeated(text: str, count: int) -> object:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), [text])


def _text(begin: str, unit: str, end: str) -> Callable[[Path, int], None]:
    """Writes `unit` for 20 kB times the count."""

    def write(path: Path, count: int) -> None:
        path.write_text(begin + unit * (count * 20_000 // len(unit)) + end, encoding="utf-8")

    return write


TABLES = {
    "shared-value": ("metadata.parquet", _shared_value),
    "shared-tags": ("metadata.parquet", _shared_tags),
    "endless-list": ("metadata.parquet", _endless_list),
    "equal-rows": ("metadata.parquet", _equal_rows),
    "plain-value": ("metadata.parquet", _plain_value),
    "many-columns": ("metadata.parquet", _many_columns),
    "long-cell": ("metadata.csv", _text("file_name,caption\na.png,", "x", "\n")),
    "open-quotes": ("metadata.csv", _text("file_name,caption\n", 'b.png,"x\n', "")),
    "many-cells": ("metadata.csv", _text("file_name", ",x", "\na.png\n")),
    "long-line": ("metadata.jsonl", _text('{"file_name": "', "x", '"}')),
    "short-lines": ("metadata.jsonl", _text("", "{}\n", "")),
    "empty-lists": ("metadata.json", _text("[[", "[],", "[]]]")),
    "empty-rows": ("metadata.json", _text("[", "{},", "{}]")),
    "other-names": ("metadata.json", _text("[", '{"file_name": "x/a.png"},', "{}]")),
    "deep": ("metadata.json", _text("", "[", "")),
    "images": ("x.json", _text('{"images": [', '{"id": 1, "file_name": "x/a.png"},', "{}]}")),
    "annotations": ("x.json", _text('{"annotations": [', '{"image_id": 1},', '{}], "images": []}')),
}
"""Kind -> the file's name, and what writes it so large."""
