"""The embedded engine: SQLite keeps everything, FAISS finds what is near.

SQLite's transactions are the truth; the FAISS index is a snapshot of it at an epoch. What was
written since is searched exactly beside it, what was changed or removed since is left out.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from imgrag.errors import LibraryError
from imgrag.library.engines import vectors as snapshots
from imgrag.library.engines.sqlite_file import (
    COLUMN_NAMES,
    FILE,
    FULLEST,
    advance,
    copy_database,
    explained,
    in_words,
    open_database,
    open_unwritable,
    stamp,
    transaction,
)
from imgrag.library.engines.sqlite_filters import as_sql
from imgrag.library.engines.sqlite_rows import (
    ENTRY,
    PUT,
    as_entry,
    as_vector,
    as_vectors,
    columns_of,
    embed,
    marks,
    numbers,
    similarities,
    size_of,
    vector_blocks,
)
from imgrag.library.engines.sqlite_words import describe, holders, keeps_words, read_earlier, short_names
from imgrag.library.engines.store import CLOSED, MOST_COLUMNS, Entry, Hit, Sizes, best_first, blocks
from imgrag.library.engines.vectors import Near, VectorIndex
from imgrag.library.search.filters import COLUMNS, Filter, like

NAMED = 1000  # entries of one literal name
HELD = 500  # words whose entries are remembered
TAIL = 5000  # vectors that are searched beside the snapshot before it is made anew
_HERE = "from images i join embeddings e on e.model = ? and e.id = i.id"


class EmbeddedStore:
    """`Store` in one folder. Several processes may open it; threads of one share it.

    Whatever it does raises LibraryError if the disk is full or does not answer; what was there stays whole.

    Args:
        writable: whether the folder can be written. Where it cannot, what is there is found and read.
        make: whether the folder is made where there is none.

    Raises:
        LibraryError: the folder cannot be written, or its file is no such store.
    """

    def __init__(self, folder: Path, writable: bool = True, make: bool = True) -> None:
        self._folder = folder
        self._writable = writable
        self._lock = threading.RLock()
        self._closed = ""  # why it is
        try:
            if writable and make:
                folder.mkdir(parents=True, exist_ok=True)
            self._connection = (open_database if writable else open_unwritable)(folder / FILE)
        except (OSError, sqlite3.Error) as error:
            otherwise = f"The store cannot be opened ({error}). Check that its folder can be written."
            raise LibraryError(in_words(error, otherwise)) from error
        self._base.create_function("is_like", 2, like, deterministic=True)
        self._model, self._dimensions, self._model_id = self._row(FULLEST) or (0, 0, "")
        self._near = Near()
        self._passing = lru_cache(maxsize=8)(self._passing_at)
        self._holders = lru_cache(maxsize=HELD)(self._holders_at)
        self._counted = lru_cache(maxsize=4)(self._count_at)
        if writable:
            read_earlier(self._base, self._changing)
        self._keeps_words = keeps_words(self._base)

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
            return self._counted(self._model, self.version())
        condition, values = as_sql(where)
        return int(self._one(f"select count(*) {_HERE} where {condition}", self._model, *values))

    def page(self, offset: int, limit: int, where: Filter | None = None) -> list[Entry]:
        """See `Store.page`."""
        condition, values = as_sql(where)
        text = f"select {ENTRY} {_HERE} where {condition} order by i.id limit ? offset ?"
        return [as_entry(row) for row in self._all(text, self._model, *values, limit, offset)]

    def get(self, ids: Sequence[int]) -> list[Entry]:
        """See `Store.get`."""
        found = {}
        for block in blocks(list(ids)):
            text = f"select {ENTRY} from images i where i.id in ({marks(block)})"
            found.update({row[-1]: as_entry(row) for row in self._all(text, *block)})
        return [found[number] for number in ids if number in found]

    def known(self, files: Sequence[str]) -> dict[str, Entry]:
        """See `Store.known`."""
        found = {}
        for block in blocks(list(files)):
            text = f"select {ENTRY} {_HERE} where i.file in ({marks(block)})"
            found.update({row[0]: as_entry(row) for row in self._all(text, self._model, *block)})
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
        for block in blocks(list(digests)):
            text = f"select digest, vector from embeddings where digest in ({marks(block)}) and model = ?"
            found.update({row[0]: as_vector(row[1]) for row in self._all(text, *block, self._model)})
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
            before = numbers(self._base, packed)
            self._base.executemany(PUT, [columns_of(entry) for entry in entries])
            ids = numbers(self._base, packed)
            describe(self._base, {ids[entry.file]: entry for entry in entries}, list(before.values()))
            embed(self._base, self._model, {ids[e.file]: (e.digest, packed[e.file]) for e in entries}, epoch)
        return [ids[entry.file] for entry in entries]

    def remove(self, files: Iterable[str]) -> int:
        """See `Store.remove`."""
        removed = 0
        with self._changing():
            epoch = self._next_epoch()
            for block in blocks(list(files)):
                ids = list(numbers(self._base, block).values())
                removed += len(ids)
                for table in ("images", "embeddings"):
                    self._base.execute(f"delete from {table} where id in ({marks(ids)})", ids)
                describe(self._base, {}, ids)
                gone = [(number, epoch) for number in ids]
                self._base.executemany("insert or replace into gone values (?, ?)", gone)
        return removed

    def search(self, vector: np.ndarray, k: int, where: Filter | None = None, without: str = "") -> list[Hit]:
        """See `Store.search`."""
        with self._lock:
            near = self._up_to_date()
            among = self._passing(where, near.epoch) if where is not None else None
            same = self._all("select id from images where digest = ?", without) if without else []
            barred = frozenset(row[0] for row in same)
            return near.search(np.ascontiguousarray(vector, np.float32), k, among, barred, self.scored)

    def named(self, name: str, where: Filter | None = None) -> list[int]:
        """See `Store.named`."""
        condition, values = as_sql(where)
        text = f"""select distinct i.id from names n join images i on i.id = n.id
            join embeddings e on e.model = ? and e.id = i.id where n.name = ? and {condition}
            order by i.id limit {NAMED}"""
        return [row[0] for row in self._all(text, self._model, name, *values)]

    def holding(self, words: Sequence[str], where: Filter | None = None) -> dict[str, np.ndarray]:
        """See `Store.holding`."""
        if not self._keeps_words:
            return {}
        with self._lock:
            version = self.version()
            found = {word: self._holders(word, version) for word in words}
            rare = {word: ids for word, ids in found.items() if ids is not None}
            if where is not None:
                passing = self._passing(where, version)
                rare = {word: ids[np.isin(ids, passing)] for word, ids in rare.items()}
            return rare

    def scored(self, vector: np.ndarray, ids: Sequence[int], without: str = "") -> list[Hit]:
        """See `Store.scored`."""
        hits: list[Hit] = []
        for block in blocks(list(ids)):
            text = f"select id, vector from embeddings where model = ? and digest != ? and id in ({marks(block)})"
            hits += similarities(self._all(text, self._model, without, *block), vector)
        return best_first(hits)

    def names(self) -> set[str]:
        """See `Store.names`."""
        with self._lock, explained():
            return short_names(self._base)

    def version(self) -> int:
        """See `Store.version`: the epoch."""
        return int(self._one("select epoch from state"))

    def stamp(self) -> str:
        """See `Store.stamp`."""
        with self._lock, explained():
            return stamp(self._base)

    def rows(self, size: int = 1000) -> Iterator[tuple[list[Entry], np.ndarray]]:
        """See `Store.rows`."""
        last = 0
        text = f"select e.vector, {ENTRY} {_HERE} where e.id > ? order by e.id limit ?"
        while rows := self._all(text, self._model, last, size):
            yield [as_entry(row[1:]) for row in rows], np.stack([as_vector(row[0]) for row in rows])
            last = rows[-1][-1]

    def sizes(self) -> Sizes:
        """See `Store.sizes`."""
        text = f"select coalesce(sum(i.size), 0) {_HERE}"
        kept = [*self._folder.glob(f"{FILE}*"), *self._folder.glob("index-*.faiss")]
        main = self._near.main  # another thread may let go of it
        kind = main.kind if main else snapshots.kind_for(self.count())
        return Sizes(int(self._one(text, self._model)), sum(map(size_of, kept)), kind)

    def optimise(self) -> None:
        """See `Store.optimise`."""
        with self._lock:
            count = self.count()
            if count < snapshots.FLAT_BELOW:
                self._near = snapshots.let_go(self._near, self._folder, self._model, count)
                return
            near = self._up_to_date()
            if near.speaks_for(count, TAIL):
                return
            whole = near.suits(count) and not near.stale
            main = near.main if near.main and whole else self._build()
            self._near = Near(main, snapshots.save(main, self._folder, self._model))

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
            self._next_epoch()
            for table in ("images", "embeddings", "fields", "names", "words", "gone", "models"):
                self._base.execute(f"delete from {table}")
        self.close()
        for snapshot in self._folder.glob("index-*.faiss"):
            snapshot.unlink(missing_ok=True)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction: all or nothing."""
        with self._lock, explained(), transaction(self._base):
            yield

    def _next_epoch(self) -> int:
        advance(self._base)
        epoch = self.version()
        snapshots.discard_from(self._folder, epoch)  # left by a database that was broken or put back
        if self._near.main is not None and self._near.main.epoch >= epoch:
            self._near = Near()
        self._near.seen = -1
        return epoch

    def _up_to_date(self) -> Near:
        """The index with what was written since; looks only whether anything was."""
        version = self._one("pragma data_version")
        near = self._near
        if near.seen == version:
            return near
        epoch = self.version()
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
        text = "select id, vector from embeddings where model = ? and changed > ? order by id"
        rows = self._all(text, self._model, since) if since < epoch else []
        near.ids = np.array([row[0] for row in rows], np.int64)
        near.tail = as_vectors([row[1] for row in rows], self._dimensions)
        gone = self._all("select id from gone where epoch > ?", since) if since < epoch else []
        near.stale = frozenset(near.ids.tolist()) | {row[0] for row in gone}

    def _build(self) -> VectorIndex:
        epoch = self.version()
        with explained():
            vectors = vector_blocks(self._base, self._model)
            return snapshots.build(vectors, self.count(), self._dimensions or 1, epoch)

    def _passing_at(self, where: Filter, epoch: int) -> np.ndarray:
        """Ids of entries that pass, as of an epoch: the cache's key."""
        condition, values = as_sql(where)
        rows = self._all(f"select i.id from images i where {condition}", *values)
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def _holders_at(self, word: str, version: int) -> np.ndarray | None:
        """See `holders`; `version` is the cache's key."""
        with explained():
            return holders(self._base, word)

    def _count_at(self, model: int, version: int) -> int:
        return int(self._one("select count(*) from embeddings where model = ?", model))

    def _all(self, text: str, *values: Any) -> list[tuple]:
        with self._lock, explained():
            return self._base.execute(text, values).fetchall()

    def _row(self, text: str, *values: Any) -> tuple | None:
        with self._lock, explained():
            return self._base.execute(text, values).fetchone()

    def _one(self, text: str, *values: Any) -> Any:
        return self._all(text, *values)[0][0]
