"""One library as each model sees it: what is searched."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from imgrag.errors import LibraryError
from imgrag.library.base import plain_name
from imgrag.library.engines.store import CLOSED, Entry, Hit, Store
from imgrag.library.search.filters import Filter
from imgrag.library.search.fusion import MOST_WORDED, NOTHING, Asked, fused, read
from imgrag.runs.values import Candidate

Scored = tuple[Entry, float]  # an entry and its cosine similarity to the query


class Column:
    """`imgrag.library.base.Searchable`: a store on which one model is selected for good."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def search(self, vector: np.ndarray, name: str, k: int) -> list[Candidate]:
        """See `Searchable.search`."""
        asked = read(self.store, name) if name else NOTHING
        found = self._ranked(vector, name, asked, k, None, "")
        return [as_candidate(entry, score, asked.worded(entry)) for entry, score in found]

    def ranked(
        self, vector: np.ndarray, name: str, k: int, where: Filter | None = None, without: str = ""
    ) -> list[Scored]:
        """What `search` finds, whole. `without` is the digest of a picture to leave out."""
        asked = read(self.store, name, where) if name else NOTHING
        return self._ranked(vector, name, asked, k, where, without)

    def _ranked(
        self, vector: np.ndarray, name: str, asked: Asked, k: int, where: Filter | None, without: str
    ) -> list[Scored]:
        plain = plain_name(name)
        named = self.store.scored(vector, self.store.named(plain, where), without) if plain else []
        near = self.store.search(vector, k + len(named[:k]), where, without)
        scores = {hit.id: hit.score for hit in (*near, *named)}
        strengths = asked.strengths()
        best = sorted(strengths, key=lambda number: -strengths[number])[:MOST_WORDED]
        others = self.store.scored(vector, [number for number in best if number not in scores], without)
        scores |= {hit.id: hit.score for hit in others}
        worded = [Hit(number, scores[number]) for number in best if number in scores]
        order = dict.fromkeys((*(hit.id for hit in named), *fused(near, worded, strengths)))
        return [(entry, scores[entry.id]) for entry in self.store.get(list(order)[:k])]

    def rewrite(self, entries: Sequence[Entry]) -> None:
        """Keep what is said of some pictures from now on; the pictures stay the same."""
        vectors = self.store.vectors({entry.digest for entry in entries})
        known = [entry for entry in entries if entry.digest in vectors]
        if known:
            self.store.write(known, np.stack([vectors[entry.digest] for entry in known]))

    def nearest(self, vector: np.ndarray) -> Scored | None:
        """The most similar entry and its score; `None` in an empty library."""
        hits = self.store.search(vector, 1)
        entries = self.store.get([hit.id for hit in hits])
        return (entries[0], hits[0].score) if entries else None


class Columns:
    """The stores of an open library: one to browse in, and a column for each model that was asked for.

    Each is opened by itself, so that no two threads ever disagree on which model is selected.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._first = open_store()
        self._by_model: dict[str, Column] = {}
        self._opening = threading.Lock()
        self._closed = ""  # why they are

    @property
    def browsed(self) -> Store:
        """The first model's that was asked for, else the fullest there was when the library was opened."""
        return next((column.store for column in list(self._by_model.values())), self._first)

    @property
    def stores(self) -> list[Store]:
        return [self._first, *(column.store for column in list(self._by_model.values()))]

    def get(self, model_id: str) -> Column | None:
        """The column of a model, if it was asked for."""
        return self._by_model.get(model_id)

    def of(self, model_id: str, dimensions: int) -> Column:
        """The column of a model. Raises LibraryError: the library was closed."""
        with self._opening:
            if self._closed:
                raise LibraryError(self._closed)
            if model_id not in self._by_model:
                store = self._open_store()
                store.select(model_id, dimensions)
                self._by_model[model_id] = Column(store)
            return self._by_model[model_id]

    def close(self, why: str = CLOSED) -> None:
        """Let go of all of them. Whoever asks later gets a LibraryError that says `why`."""
        with self._opening:
            self._closed = self._closed or why
            for store in self.stores:
                store.close(why)


def as_candidate(entry: Entry, score: float, worded: float = 0.0) -> Candidate:
    """An entry as the stages and pages know it."""
    return Candidate(
        entry.file, round(score, 4), entry.name, entry.caption, entry.source, entry.licence, entry.id,
        round(worded, 4),
    )  # fmt: skip
