"""Entries as rows of SQLite and back, and values in statements."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgrag.library.engines.store import Entry, Hit, blocks

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


def as_vectors(blobs: Sequence[bytes], dimensions: int) -> np.ndarray:
    """float32 [n, d]."""
    return np.frombuffer(b"".join(blobs), np.float32).reshape(len(blobs), dimensions)


def similarities(rows: Sequence[tuple[int, bytes]], vector: np.ndarray) -> list[Hit]:
    """How similar vectors that are given by id are to one that is given."""
    if not rows:
        return []
    packed = np.frombuffer(b"".join(row[1] for row in rows), np.float32).reshape(len(rows), -1)
    scores = (packed @ vector).tolist()
    return [Hit(row[0], score) for row, score in zip(rows, scores, strict=True)]


def marks(values: Sequence[Any]) -> str:
    """A place for each value in a statement."""
    return ", ".join("?" * len(values))


def numbers(base: sqlite3.Connection, files: Iterable[str]) -> dict[str, int]:
    """The ids of those files that are known."""
    found: dict[str, int] = {}
    for block in blocks(list(files)):
        found.update(base.execute(f"select file, id from images where file in ({marks(block)})", block))
    return found


def embed(base: sqlite3.Connection, model: int, vectors: Mapping[int, tuple[str, bytes]], epoch: int) -> None:
    """Write vectors that are new or changed; what other models made of an older content goes, marked so."""
    same: set[int] = set()
    for block in blocks(list(vectors)):
        text = f"select id, vector from embeddings where id in ({marks(block)}) and model = ?"
        same |= {n for n, old in base.execute(text, [*block, model]) if old == vectors[n][1]}
    changed = [(digest, vector, n) for n, (digest, vector) in vectors.items() if n not in same]
    base.executemany(
        "insert or replace into gone select distinct id, ? from embeddings where id = ? and digest != ? and model != ?",
        [(epoch, n, digest, model) for digest, _, n in changed],
    )
    base.executemany(
        "delete from embeddings where digest != ? and id = ?", [(digest, n) for digest, _, n in changed]
    )
    base.executemany(
        "insert or replace into embeddings values (?, ?, ?, ?, ?)",
        [(model, n, digest, epoch, vector) for digest, vector, n in changed],
    )


def vector_blocks(
    base: sqlite3.Connection, model: int, size: int = 10_000
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All vectors of a model in blocks of ids int64 [n] and vectors float32 [n, d]."""
    last = 0
    text = "select id, vector from embeddings where model = ? and id > ? order by id limit ?"
    while rows := base.execute(text, (model, last, size)).fetchall():
        ids = np.array([row[0] for row in rows], np.int64)
        packed = np.frombuffer(b"".join(row[1] for row in rows), np.float32)
        yield ids, packed.reshape(len(rows), -1)
        last = rows[-1][0]
