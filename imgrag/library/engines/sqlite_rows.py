"""Entries as rows of SQLite and back, and values in statements."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgrag.library.engines.store import Entry

BLOCK = 500  # values in one statement; SQLite takes 999 at least
PUT = """
insert into images (file, digest, size, mtime_ns, name, caption, source, licence, fields)
values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (file) do update set digest = excluded.digest,
size = excluded.size, mtime_ns = excluded.mtime_ns, name = excluded.name, caption = excluded.caption,
source = excluded.source, licence = excluded.licence, fields = excluded.fields
"""
ENTRY = "i.file, i.digest, i.size, i.mtime_ns, i.name, i.caption, i.source, i.licence, i.fields, i.id"


def size_of(file: Path) -> int:
    """In bytes; 0 if another process has done away with it, as with SQLite's log."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def columns_of(entry: Entry) -> tuple[Any, ...]:
    """What `PUT` takes."""
    fields = json.dumps(dict(entry.fields), ensure_ascii=False)
    return (
        entry.file, entry.digest, entry.size, entry.mtime_ns,
        entry.name, entry.caption, entry.source, entry.licence, fields,
    )  # fmt: skip


def as_entry(row: tuple) -> Entry:
    """What a query of `ENTRY` gave."""
    file, digest, size, mtime_ns, name, caption, source, licence, fields, number = row
    return Entry(file, digest, size, mtime_ns, name, caption, source, licence, json.loads(fields), number)


def as_vector(blob: bytes) -> np.ndarray:
    """float32 [d]."""
    return np.frombuffer(blob, np.float32)


def marks(values: Sequence[Any]) -> str:
    """A place for each value in a statement."""
    return ", ".join("?" * len(values))


def blocks(items: list[Any]) -> Iterator[list[Any]]:
    """As many values at a time as one statement takes."""
    return (items[start : start + BLOCK] for start in range(0, len(items), BLOCK))
