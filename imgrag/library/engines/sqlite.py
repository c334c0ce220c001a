"""The embedded engine: SQLite keeps everything, FAISS finds what is near.

SQLite's transactions are the truth; the FAISS index is a snapshot of it at an epoch. What was
written since is searched exactly beside it, what was changed or removed since is left out.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from imgrag.errors import LibraryError
from imgrag.library.base import literal_names
from imgrag.library.engines import vectors as snapshots
from imgrag.library.engines.sqlite_file import (
    COLUMN_NAMES,
    FILE,
    copy_database,
    explained,
    open_database,
    open_unwritable,
)
from imgrag.library.engines.sqlite_filters import as_sql
from imgrag.library.engines.store import CLOSED, MOST_COLUMNS, Entry, Hit, Sizes
from imgrag.library.engines.vectors import Near, VectorIndex
from imgrag.library.search.filters import COLUMNS, Filter, like

NAMED = 1000  # entries of one literal name
TAIL = 5000  # vectors that are searched beside the snapshot before it is made anew
BLOCK = 500  # values in one statement; SQLite takes 999 at least
_PUT = """
insert into images (file, digest, size, mtime_ns, name, caption, source, licence, fields)
values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (file) do update set digest = excluded.digest,
size = excluded.size, mtime_ns = excluded.mtime_ns, name = excluded.name, caption = excluded.caption,
source = excluded.source, licence = excluded.licence, fields = excluded.fields
"""
_ENTRY = "i.file, i.digest, i.size, i.mtime_ns, i.name, i.caption, i.source, i.licence, i.fields, i.id"
_HERE = "from images i join embeddings e on e.model = ? and e.id = i.id"


class EmbeddedStore:
    """`Store` in one folder. Several processes may open it; threads of one share it.

    Whatever it does raises LibraryError if the disk is full or does not answer; what was there stays whole.

    Args:
        writable: whether the folder can be written. Where it cannot, what is there is found and read.

    Raises:
        LibraryError: the folder cannot be written, or its file is no such store.
    """

    def __init__(self, folder: Path, writable: bool = True) -> None:
        self._folder = folder
        self._writable = writable
        self._lock = threading.RLock()
        self._closed = ""  # why it is
        try:
            if writable:
                folder.mkdir(parents=True, exist_ok=True)
            self._connection = (open_database if writable else open_unwritable)(folder / FILE)
        except (OSError, sqlite3.Error) as error:
            raise LibraryError(
                f"The store of this library cannot be opened ({error}). Check that its folder can be written."
            ) from error
        self._base.create_function("is_like", 2, like, deterministic=True)
        self._model, self._dimensions, self._model_id = self._fullest()
        self._near = Near()
        self._passing = lru_cache(maxsize=8)(self._passing_at)

    @property
    def _base(self) -> sqlite3.Connection:
        if self._closed:
            raise LibraryError(self._closed)
        return self._connection

    @property
    def model(self) -> str:
        """See `Store.model`."""
        return self._model_id

    def select(self, model_id: str, dimensions: int) -> None:
        """See `Store.select`."""
        text = "select number, dimensions from models where id = ?"
        with self._changing():
            if self._writable:
                self._base.execute(
                    "insert or ignore into models (id, dimensions) values (?, ?)", (model_id, dimensions)
                )
            number, known = self._row(text, model_id) or (0, dimensions)
            if not number:
                raise LibraryError(
                    f"This library lies on a disk that cannot be written, and was never read with the model "
                    f"{model_id!r}. Copy it to another disk."
                )
            if known != dimensions:
                raise LibraryError(
                    f"The model {model_id!r} gives {dimensions} dimensions; this library knows it with {known}."
                )
            if number != self._model:
                self._model, self._dimensions, self._model_id = number, dimensions, model_id
                self._near = Near()

    def count(self, where: Filter | None = None) -> int:
        """See `Store.count`."""
        if where is None:
            return int(self._one("select count(*) from embeddings where model = ?", self._model))
        condition, values = as_sql(where)
        return int(self._one(f"select count(*) {_HERE} where {condition}", self._model, *values))

    def page(self, offset: int, limit: int, where: Filter | None = None) -> list[Entry]:
        """See `Store.page`."""
        condition, values = as_sql(where)
        text = f"select {_ENTRY} {_HERE} where {condition} order by i.id limit ? offset ?"
        return [_entry(row) for row in self._all(text, self._model, *values, limit, offset)]

    def get(self, ids: Sequence[int]) -> list[Entry]:
        """See `Store.get`."""
        found = {}
        for block in _blocks(list(ids)):
            text = f"select {_ENTRY} from images i where i.id in ({_marks(block)})"
            found.update({row[-1]: _entry(row) for row in self._all(text, *block)})
        return [found[number] for number in ids if number in found]

    def known(self, files: Sequence[str]) -> dict[str, Entry]:
        """See `Store.known`."""
        found = {}
        for block in _blocks(list(files)):
            text = f"select {_ENTRY} {_HERE} where i.file in ({_marks(block)})"
            found.update({row[0]: _entry(row) for row in self._all(text, self._model, *block)})
        return found

    def files(self) -> Iterator[str]:
        """See `Store.files`."""
        last = ""
        text = f"select i.file {_HERE} where i.file > ? order by i.file limit 10000"
        while rows := self._all(text, self._model, last):
            yield from (row[0] for row in rows)
            last = rows[-1][0]

    def vectors(self, digests: Iterable[str]) -> dict[str, np.ndarray]:
        """See `Store.vectors`."""
        found = {}
        for block in _blocks(list(digests)):
            text = f"select digest, vector from embeddings where digest in ({_marks(block)}) and model = ?"
            found.update({row[0]: _vector(row[1]) for row in self._all(text, *block, self._model)})
        return found

    def write(self, entries: Sequence[Entry], vectors: np.ndarray) -> list[int]:
        """See `Store.write`."""
        if self._model == 0:
            raise ValueError("no model is selected")
        packed = {
            entry.file: vector.tobytes()
            for entry, vector in zip(entries, np.asarray(vectors, np.float32), strict=True)
        }
        with self._changing():
            epoch = self._next_epoch()
            before = self._numbers(packed)
            self._base.executemany(_PUT, [_columns(entry) for entry in entries])
            numbers = self._numbers(packed)
            self._describe({numbers[entry.file]: entry for entry in entries}, list(before.values()))
            self._embed({numbers[e.file]: (e.digest, packed[e.file]) for e in entries}, epoch)
        return [numbers[entry.file] for entry in entries]

    def remove(self, files: Iterable[str]) -> int:
        """See `Store.remove`."""
        removed = 0
        with self._changing():
            epoch = self._next_epoch()
            for block in _blocks(list(files)):
                ids = [
                    row[0]
                    for row in self._all(f"select id from images where file in ({_marks(block)})", *block)
                ]
                removed += len(ids)
                for table in ("images", "embeddings", "fields", "names"):
                    self._base.execute(f"delete from {table} where id in ({_marks(ids)})", ids)
                self._base.executemany("insert into gone values (?, ?)", [(number, epoch) for number in ids])
        return removed

    def search(self, vector: np.ndarray, k: int, where: Filter | None = None, without: str = "") -> list[Hit]:
        """See `Store.search`."""
        with self._lock:
            near = self._up_to_date()
            among = self._passing(where, near.epoch) if where is not None else None
            barred: frozenset[int] = frozenset()
            if without:
                rows = self._all("select id from images where digest = ?", without)
                barred = frozenset(row[0] for row in rows)
            return near.search(np.ascontiguousarray(vector, np.float32), k, among, barred)

    def named(self, name: str, where: Filter | None = None) -> list[int]:
        """See `Store.named`."""
        condition, values = as_sql(where)
        text = f"""select distinct i.id from names n join images i on i.id = n.id
            join embeddings e on e.model = ? and e.id = i.id where n.name = ? and {condition}
            order by i.id limit {NAMED}"""
        return [row[0] for row in self._all(text, self._model, name, *values)]

    def rows(self, size: int = 1000) -> Iterator[tuple[list[Entry], np.ndarray]]:
        """See `Store.rows`."""
        last = 0
        text = f"select e.vector, {_ENTRY} {_HERE} where e.id > ? order by e.id limit ?"
        while rows := self._all(text, self._model, last, size):
            yield [_entry(row[1:]) for row in rows], np.stack([_vector(row[0]) for row in rows])
            last = rows[-1][-1]

    def sizes(self) -> Sizes:
        """See `Store.sizes`."""
        text = f"select coalesce(sum(i.size), 0) {_HERE}"
        kept = [*self._folder.glob(f"{FILE}*"), *self._folder.glob("index-*.faiss")]
        return Sizes(int(self._one(text, self._model)), sum(map(_size, kept)))

    def optimise(self) -> None:
        """See `Store.optimise`."""
        with self._lock:
            if not self._model or self.count() < snapshots.FLAT_BELOW:
                return
            near = self._up_to_date()
            assert near.main is not None
            if near.saved and len(near.stale) < max(TAIL, len(near.main) // 10):
                return
            main = self._build() if near.stale else near.main
            saved = snapshots.save(main, self._folder, self._model)
            self._near = Near(main, saved)

    def faiss_index(self) -> faiss.Index:
        """The index that `search` asks, for benchmarks."""
        with self._lock:
            main = self._up_to_date().main
            assert main is not None
            return main.faiss

    def columns(self) -> list[str]:
        """See `Store.columns`."""
        names = (row[0] for row in self._all(COLUMN_NAMES, MOST_COLUMNS + len(COLUMNS)))
        return [name for name in names if name not in COLUMNS][:MOST_COLUMNS]

    def copy_to(self, folder: Path) -> None:
        """See `Store.copy_to`."""
        folder.mkdir(exist_ok=True)
        with self._lock:
            copy_database(self._base, folder / FILE)
            for snapshot in self._folder.glob("index-*.faiss"):
                shutil.copyfile(snapshot, folder / snapshot.name)

    def close(self, why: str = CLOSED) -> None:
        """See `Store.close`."""
        with self._lock:
            if not self._closed:
                self._connection.close()
                self._near = Near()  # and the file that its index looks into
            self._closed = self._closed or why

    def drop(self) -> None:
        """See `Store.drop`."""
        with self._changing():
            for table in ("images", "embeddings", "fields", "names", "gone", "models"):
                self._base.execute(f"delete from {table}")
        self.close()
        for snapshot in self._folder.glob("index-*.faiss"):
            snapshot.unlink(missing_ok=True)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction: all or nothing."""
        with self._lock, explained(), self._base:
            yield

    def _fullest(self) -> tuple[int, int, str]:
        row = self._row(
            """select m.number, m.dimensions, m.id from models m left join embeddings e on e.model = m.number
            group by m.number order by count(e.id) desc limit 1"""
        )
        return row or (0, 0, "")

    def _next_epoch(self) -> int:
        self._base.execute("update state set epoch = epoch + 1")
        self._near.seen = -1
        return int(self._one("select epoch from state"))

    def _numbers(self, files: Iterable[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for block in _blocks(list(files)):
            found.update(self._all(f"select file, id from images where file in ({_marks(block)})", *block))
        return found

    def _describe(self, entries: Mapping[int, Entry], known: Sequence[int]) -> None:
        """What filters and literal names look at."""
        for block in _blocks(list(known)):
            for table in ("fields", "names"):
                self._base.execute(f"delete from {table} where id in ({_marks(block)})", block)
        rows = [
            (key, value, number)
            for number, entry in entries.items()
            for key, value in {**entry.fields, **{c: getattr(entry, c) for c in COLUMNS}}.items()
        ]
        self._base.executemany("insert into fields values (?, ?, ?)", rows)
        names = [
            (name, number)
            for number, entry in entries.items()
            for name in literal_names(entry.name, entry.caption, entry.file)
        ]
        self._base.executemany("insert into names values (?, ?)", names)

    def _embed(self, vectors: Mapping[int, tuple[str, bytes]], epoch: int) -> None:
        """Vectors that are new or changed; what other models made of an older content goes."""
        same: set[int] = set()
        for block in _blocks(list(vectors)):
            text = f"select id, vector from embeddings where id in ({_marks(block)}) and model = ?"
            same |= {n for n, old in self._all(text, *block, self._model) if old == vectors[n][1]}
        changed = [(digest, vector, n) for n, (digest, vector) in vectors.items() if n not in same]
        self._base.executemany(
            "delete from embeddings where digest != ? and id = ?", [(digest, n) for digest, _, n in changed]
        )
        self._base.executemany(
            "insert or replace into embeddings values (?, ?, ?, ?, ?)",
            [(self._model, n, digest, epoch, vector) for digest, vector, n in changed],
        )

    def _up_to_date(self) -> Near:
        """The index with what was written since; looks only whether anything was."""
        version = self._one("pragma data_version")
        near = self._near
        if near.seen == version:
            return near
        epoch = int(self._one("select epoch from state"))
        if near.main is None:
            near.main = snapshots.load(self._folder, self._model, self._dimensions, epoch)
            near.saved = near.main is not None
            near.main = near.main or self._build()
        self._follow(near, epoch)
        if len(near.stale) > max(TAIL, len(near.main) // 2):
            self._near = near = Near(self._build())
            self._follow(near, epoch)
        near.seen, near.epoch = version, epoch
        return near

    def _follow(self, near: Near, epoch: int) -> None:
        assert near.main is not None
        since = near.main.epoch
        rows = []
        if since < epoch:
            text = "select id, vector from embeddings where model = ? and changed > ? order by id"
            rows = self._all(text, self._model, since)
        near.ids = np.array([row[0] for row in rows], np.int64)
        near.tail = (
            np.stack([_vector(row[1]) for row in rows])
            if rows
            else np.zeros((0, self._dimensions), np.float32)
        )
        gone = self._all("select id from gone where epoch > ?", since) if since < epoch else []
        near.stale = frozenset(near.ids.tolist()) | {row[0] for row in gone}

    def _build(self) -> VectorIndex:
        epoch = int(self._one("select epoch from state"))
        return snapshots.build(self._vector_blocks(), self.count(), self._dimensions or 1, epoch)

    def _vector_blocks(self, size: int = 10_000) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        last = 0
        text = "select id, vector from embeddings where model = ? and id > ? order by id limit ?"
        while rows := self._all(text, self._model, last, size):
            ids = np.array([row[0] for row in rows], np.int64)
            packed = np.frombuffer(b"".join(row[1] for row in rows), np.float32)
            yield ids, packed.reshape(len(rows), -1)
            last = rows[-1][0]

    def _passing_at(self, where: Filter, epoch: int) -> np.ndarray:
        """Ids of entries that pass, as of an epoch: the cache's key."""
        condition, values = as_sql(where)
        rows = self._all(f"select i.id from images i where {condition}", *values)
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def _all(self, text: str, *values: Any) -> list[tuple]:
        with self._lock, explained():
            return self._base.execute(text, values).fetchall()

    def _row(self, text: str, *values: Any) -> tuple | None:
        with self._lock, explained():
            return self._base.execute(text, values).fetchone()

    def _one(self, text: str, *values: Any) -> Any:
        row = self._row(text, *values)
        assert row is not None
        return row[0]


def _size(file: Path) -> int:
    """In bytes; 0 if another process has done away with it, as with SQLite's log."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _columns(entry: Entry) -> tuple[Any, ...]:
    fields = json.dumps(dict(entry.fields), ensure_ascii=False)
    return (
        entry.file, entry.digest, entry.size, entry.mtime_ns,
        entry.name, entry.caption, entry.source, entry.licence, fields,
    )  # fmt: skip


def _entry(row: tuple) -> Entry:
    file, digest, size, mtime_ns, name, caption, source, licence, fields, number = row
    return Entry(file, digest, size, mtime_ns, name, caption, source, licence, json.loads(fields), number)


def _vector(blob: bytes) -> np.ndarray:
    return np.frombuffer(blob, np.float32)


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _blocks(items: list[Any]) -> Iterator[list[Any]]:
    return (items[start : start + BLOCK] for start in range(0, len(items), BLOCK))
