"""The remote engine: Milvus, from a local file (Milvus Lite) to a cluster, through one client.

A collection holds what one library has under one model. Ids are hashes of the files' names: they
need no counter, and are spread evenly, which is what paging builds on. Milvus answers the part of
a filter that every version of it answers alike; `filters.passes` decides the rest.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from imgrag.errors import LibraryError
from imgrag.library.base import literal_names
from imgrag.library.engines.milvus_client import connect, is_local, let_go, make_ready, understood
from imgrag.library.engines.milvus_filters import ALL, among, both, narrowed, quoted
from imgrag.library.engines.milvus_paging import Row, scan, seek
from imgrag.library.engines.milvus_rows import (
    ENTRY,
    about,
    as_entry,
    as_row,
    columns_of_a_row,
    filtered_values,
    hashed,
    key,
    matrix,
    prefix,
    refuse_shared_ids,
    requests,
)
from imgrag.library.engines.milvus_stamp import MilvusStamp
from imgrag.library.engines.store import (
    CLOSED,
    LONGEST_NAME,
    MOST_COLUMNS,
    RARE,
    Entry,
    Hit,
    Sizes,
    best_first,
    blocks,
)
from imgrag.library.search.filters import Filter, passes

MANY = 50_000  # entries from which a server searches a graph instead of every vector
FEW = 20_000  # entries that pass a filter; up to here a graph is not asked, it would miss some
NAMED = 1000  # entries of one literal name
LOOKED_AT = 25  # blocks of rows, for the names of columns
MOST_HITS = 16_384  # that one search of Milvus gives
BLOCK = 2000  # rows of one query
ANSWER_SECONDS = 60
BUILD_SECONDS = 3600  # to write out, to index and to load
BREADTH = 128  # of the search in a graph: recall@10 of 0.999 at 100,000 x 512

OUTDATED = "Milvus has it from an earlier version. Export it, and add the shards to a new library."
log = logging.getLogger(__name__)

_QUICK = ("query", "search", "upsert", "delete", "list_indexes", "describe_index", "describe_collection")


class MilvusStore:
    """`Store` at `uri`: a path that ends in .db, or http(s)://host:port of a server.

    Args:
        name: the library's; two libraries of different names share nothing.
        token: "user:password" or a key, for servers that ask for one.
        many: entries from which `optimise` builds a graph.

    Raises:
        LibraryError: pymilvus is missing, the server cannot be reached, or the file is in use.
    """

    def __init__(self, uri: str, name: str, token: str = "", many: int = MANY) -> None:
        self._uri, self._many = uri, many
        self._prefix = prefix(name)  # of the names of its collections
        self._library = name
        self._lock = threading.RLock()
        self._closed = ""  # why it is
        self._client = connect(uri, token)
        collections = self._collections()
        for collection in collections:
            make_ready(self._ask, collection)
        self._stamp = MilvusStamp(self._ask, key(self._prefix))
        self._model = ""  # that was selected
        self._look_into(max(collections, key=self._rows, default=""))

    @property
    def model(self) -> str:
        """See `Store.model`. The collection's description ends with it, which Milvus Lite does not keep."""
        if self._model or not self._collection:
            return self._model
        said = self._ask("describe_collection", self._collection)
        return str(said.get("description", "")).removeprefix(about(self._library, ""))

    def select(self, model_id: str, dimensions: int) -> None:
        """See `Store.select`."""
        collection = self._prefix + hashed(model_id)
        with self._lock:
            if collection not in self._collections():
                self._create(collection, model_id, dimensions)
            known = int(self._columns_of(collection)["vector"]["dim"])
            if known != dimensions:
                raise LibraryError(
                    f"The model {model_id!r} gives {dimensions} dimensions; this library knows it with {known}."
                )
            self._model = model_id
            self._look_into(collection)

    def count(self, where: Filter | None = None) -> int:
        """See `Store.count`."""
        text, rest = narrowed(where)
        if rest is None:
            return self._rows(self._collection, text)
        return sum(passes(rest, filtered_values(row)) for rows in self._scan(text, ENTRY) for row in rows)

    def page(self, offset: int, limit: int, where: Filter | None = None) -> list[Entry]:
        """See `Store.page`."""
        text, rest = narrowed(where)
        part, below = seek(self._counted, text, offset) if rest is None else ({}, 0)
        first = offset - below
        size = min(BLOCK, first + limit + 50) if rest is None else BLOCK
        entries = (
            as_entry(row)
            for rows in self._scan(text, ENTRY, size, **part)
            for row in rows
            if passes(rest, filtered_values(row))
        )
        return list(islice(entries, first, first + limit))

    def get(self, ids: Sequence[int]) -> list[Entry]:
        """See `Store.get`."""
        found = {
            row["id"]: as_entry(row)
            for block in blocks(ids)
            for row in self._query(among("id", block), ENTRY)
        }
        return [found[number] for number in ids if number in found]

    def known(self, files: Sequence[str]) -> dict[str, Entry]:
        """See `Store.known`."""
        wanted = {key(file): file for file in files}
        return {entry.file: entry for entry in self.get(list(wanted)) if wanted[entry.id] == entry.file}

    def files(self) -> Iterator[str]:
        """See `Store.files`."""
        return (row["file"] for rows in self._scan(ALL, ["id", "file"], size=5 * BLOCK) for row in rows)

    def vectors(self, digests: Iterable[str]) -> dict[str, np.ndarray]:
        """See `Store.vectors`."""
        found = {}
        for block in blocks(list(digests)):
            for row in self._query(
                among("digest", [quoted(digest) for digest in block]), ["digest", "vector"]
            ):
                found[row["digest"]] = np.array(row["vector"], np.float32)
        return found

    def write(self, entries: Sequence[Entry], vectors: np.ndarray) -> list[int]:
        """See `Store.write`.

        Milvus takes a request whole or not at all, and has no transaction over several: above
        16 MB, entries of the first requests stay when a later one fails.

        Raises:
            LibraryError: an entry is too long for Milvus, or two files would share an id.
        """
        if not self._collection:
            raise ValueError("no model is selected")
        rows = {key(e.file): as_row(e, v, self._keeps_words) for e, v in zip(entries, vectors, strict=True)}
        with self._lock, self._stamp.changing():
            refuse_shared_ids(entries, lambda ids: self._query(among("id", ids), ["id", "file"]))
            for batch in requests(list(rows.values())):
                self._ask("upsert", self._collection, data=batch)
        return [key(entry.file) for entry in entries]

    def remove(self, files: Iterable[str]) -> int:
        """See `Store.remove`."""
        removed = 0
        for block in blocks(list(files)):
            with self._lock:
                ids = [entry.id for entry in self.known(block).values()]
                removed += len(ids)  # what `delete` returns differs between Lite and a server
                with self._stamp.changing():
                    for collection in self._collections() if ids else ():
                        self._ask("delete", collection, ids=ids)
        return removed

    def search(self, vector: np.ndarray, k: int, where: Filter | None = None, without: str = "") -> list[Hit]:
        """See `Store.search`."""
        text, rest = narrowed(where)
        if without:
            text = both(text, f"digest != {quoted(without)}")
        if not self._collection or k < 1:
            return []
        kind = self._index_kind()
        # A graph that is walked first and filtered afterwards loses 10 to 27 % of a selective filter's
        # hits; whoever passes is therefore looked at one by one, as long as that is quick.
        if kind != "FLAT" and where is not None and self._rows(self._collection, text) <= FEW:
            return self._exact(vector, k, text, rest)
        return self._nearest(vector, k, text, rest, kind)

    def named(self, name: str, where: Filter | None = None) -> list[int]:
        """See `Store.named`."""
        return list(islice(self._matching(f"array_contains(names, {key(name)})", where), NAMED))

    def holding(self, words: Sequence[str], where: Filter | None = None) -> dict[str, np.ndarray]:
        """See `Store.holding`. What many entries hold stays so as long as this store is open."""
        found = {}
        for word in words if self._keeps_words else ():
            text = f"array_contains(words, {key(word)})"
            if word not in self._common and len(self._query(text, ["id"], limit=RARE + 1)) > RARE:
                self._common.add(word)
            if word not in self._common:
                found[word] = np.array(sorted(self._matching(text, where)), np.int64)
        return found

    def scored(self, vector: np.ndarray, ids: Sequence[int], without: str = "") -> list[Hit]:
        """See `Store.scored`."""
        asked = (self._query(among("id", block), ["id", "digest", "vector"]) for block in blocks(ids))
        rows = [row for block in asked for row in block if row["digest"] != without]
        scores = (matrix(rows) @ vector).tolist() if rows else []
        return best_first(Hit(row["id"], score) for row, score in zip(rows, scores, strict=True))

    def names(self) -> set[str]:
        """See `Store.names`. Milvus cannot list them, so it is those of many entries and not of all."""
        scanned = self._scan(ALL, ["id", "file", "name", "caption"], size=5 * BLOCK)
        rows = (row for block in islice(scanned, LOOKED_AT) for row in block)
        found = (literal_names(row["name"], row["caption"], row["file"]) for row in rows)
        return {name for names in found for name in names if len(name) <= LONGEST_NAME}

    def version(self) -> tuple[str, int]:
        """See `Store.version`. While somebody writes, the number of entries tells."""
        return self.stamp(), self.count()

    def stamp(self) -> str:
        """See `Store.stamp`."""
        return self._stamp.read()

    def rows(self, size: int = 1000) -> Iterator[tuple[list[Entry], np.ndarray]]:
        """See `Store.rows`."""
        for rows in self._scan(ALL, [*ENTRY, "vector"], size=size):
            for start in range(0, len(rows), size):
                block = rows[start : start + size]
                yield [as_entry(row) for row in block], matrix(block)

    def sizes(self) -> Sizes:
        """See `Store.sizes`. A local file is that of all libraries in it."""
        rows = (row for block in self._scan(ALL, ["id", "size"], size=5 * BLOCK) for row in block)
        index = Path(self._uri).stat().st_size if is_local(self._uri) else None
        return Sizes(sum(int(row["size"]) for row in rows), index)

    def optimise(self) -> None:
        """See `Store.optimise`. Whoever searches while a server changes to a graph gets an error."""
        if not self._collection:
            return
        with self._lock:
            self._ask("flush", self._collection)
            if not is_local(self._uri) and self._index_kind() == "FLAT" and self.count() >= self._many:
                self._ask("release_collection", self._collection)
                self._ask("drop_index", self._collection, index_name="vector")
                make_ready(self._ask, self._collection, "HNSW")

    def drop(self) -> None:
        """Delete everything that Milvus has of this library, under all models."""
        with self._lock, self._stamp.changing():
            for collection in self._collections():
                self._ask("drop_collection", collection)
            self._collection = ""

    def columns(self) -> list[str]:
        """See `Store.columns`. Milvus cannot list them, so it is those of many entries and not of all."""
        names: set[str] = set()
        for rows in islice(self._scan(ALL, ["id", "fields"]), LOOKED_AT):
            names.update(name for row in rows for name in row["fields"])
            if len(names) >= MOST_COLUMNS:
                break
        return sorted(names)[:MOST_COLUMNS]

    def copy_to(self, folder: Path) -> None:
        """See `Store.copy_to`."""
        raise LibraryError(
            "A library in Milvus is not copied. Export it, and add the shards to a new library."
        )

    def close(self, why: str = CLOSED) -> None:
        """See `Store.close`."""
        with self._lock:
            closed, self._closed = self._closed, self._closed or why
        if not closed:
            self._client.close()
        if not closed and is_local(self._uri):
            let_go(self._uri)

    def _require_open(self) -> None:
        if self._closed:
            raise LibraryError(self._closed)

    def _collections(self) -> list[str]:
        self._require_open()
        with understood(self._uri):
            names = self._client.list_collections(timeout=ANSWER_SECONDS)
        return sorted(name for name in names if name.startswith(self._prefix))

    def _create(self, collection: str, model_id: str, dimensions: int) -> None:
        schema = columns_of_a_row(about(self._library, model_id), dimensions)
        # Strong: what one process wrote, the next call of any other finds.
        self._ask("create_collection", collection, schema=schema, consistency_level="Strong")
        make_ready(self._ask, collection)

    def _columns_of(self, collection: str) -> dict[str, Any]:
        columns = self._ask("describe_collection", collection)["fields"]
        return {column["name"]: column["params"] for column in columns}

    def _index_kind(self) -> str:
        """Asked each time, as another process may have changed it."""
        return str(self._ask("describe_index", self._collection, index_name="vector")["index_type"])

    def _ask(self, method: str, collection: str, **arguments: Any) -> Any:
        """One call to Milvus about a collection; its errors as a sentence."""
        self._require_open()
        seconds = ANSWER_SECONDS if method in _QUICK else BUILD_SECONDS
        with understood(self._uri):
            return getattr(self._client, method)(collection, timeout=seconds, **arguments)

    def _look_into(self, collection: str) -> None:
        """Choose a collection; one that an earlier version made keeps no words, and cannot be given them."""
        self._collection = collection
        self._keeps_words = bool(collection) and "words" in self._columns_of(collection)
        self._common: set[str] = set()  # words that more than `RARE` entries hold
        if collection and not self._keeps_words:
            log.warning("the library %s is searched without words: %s", self._library, OUTDATED)

    def _query(self, text: str, columns: list[str], **bounds: int) -> list[Row]:
        if not self._collection:
            return []
        return list(self._ask("query", self._collection, filter=text, output_fields=columns, **bounds))

    def _matching(self, condition: str, where: Filter | None) -> Iterator[int]:
        """Ids of the entries that an expression of Milvus matches and that pass."""
        text, rest = narrowed(where)
        rows = (row for block in self._scan(both(text, condition), ENTRY) for row in block)
        return (row["id"] for row in rows if passes(rest, filtered_values(row)))

    def _rows(self, collection: str, text: str = ALL) -> int:
        if not collection:
            return 0
        return int(self._ask("query", collection, filter=text, output_fields=["count(*)"])[0]["count(*)"])

    def _scan(self, text: str, columns: list[str], size: int = BLOCK, **part: int) -> Iterator[list[Row]]:
        """See `scan`."""
        return scan(self._query, self._counted, text, columns, size, **part)

    def _counted(self, text: str) -> int:
        return self._rows(self._collection, text)

    def _nearest(self, vector: np.ndarray, k: int, text: str, rest: Filter | None, kind: str) -> list[Hit]:
        """What Milvus finds, asking for more until k pass and nothing as near as the last is missing."""
        hits: list[Hit] = []
        asked = k + 16
        while asked <= MOST_HITS:
            rows = self._found(vector, asked, text, kind, ENTRY if rest else [])
            hits = best_first(
                Hit(r["id"], r["distance"])
                for r in rows
                if passes(rest, filtered_values(r.get("entity", {})))
            )
            tied = len(hits) > k and hits[k].score == hits[k - 1].score
            every = len(rows) < asked and len(rows) >= self._rows(self._collection, text)
            if every or (len(hits) > k and not tied):
                return hits[:k]
            asked *= 4
        return hits[:k] if len(hits) >= k else self._exact(vector, k, text, rest)

    def _found(
        self, vector: np.ndarray, limit: int, text: str, kind: str, columns: list[str]
    ) -> list[dict[str, Any]]:
        params = {"ef": max(BREADTH, limit)} if kind == "HNSW" else {}
        found = self._ask(
            "search", self._collection, data=[np.asarray(vector, np.float32)], anns_field="vector",
            limit=limit, filter=text, output_fields=columns, search_params={"params": params},
        )  # fmt: skip
        return list(found[0])

    def _exact(self, vector: np.ndarray, k: int, text: str, rest: Filter | None) -> list[Hit]:
        """The best of all rows that pass, one by one."""
        best: list[Hit] = []
        columns = ["id", "vector"] if rest is None else [*ENTRY, "vector"]
        for block in self._scan(text, columns):
            rows = [row for row in block if passes(rest, filtered_values(row))]
            if rows:
                scores = (matrix(rows) @ vector).tolist()
                best = best_first([*best, *(Hit(r["id"], s) for r, s in zip(rows, scores, strict=True))])[:k]
        return best
