"""One library as each model sees it: what is searched."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from imgrag.errors import LibraryError
from imgrag.library.base import plain_name
from imgrag.library.engines.store import CLOSED, Entry, Store
from imgrag.library.search.filters import Filter
from imgrag.runs.values import Candidate

Scored = tuple[Entry, float]  # an entry and its cosine similarity to the query


class Column:
    """`imgrag.library.base.Searchable`: a store on which one model is selected for good."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def search(self, vector: np.ndarray, name: str, k: int) -> list[Candidate]:
        """See `Searchable.search`."""
        return [as_candidate(*scored) for scored in self.ranked(vector, name, k)]

    def ranked(
        self, vector: np.ndarray, name: str, k: int, where: Filter | None = None, without: str = ""
    ) -> list[Scored]:
        """What `search` finds, whole. `without` is the digest of a picture to leave out."""
        literal = self._literal(vector, plain_name(name), where, without)[:k] if name else []
        called = {entry.id for entry, _ in literal}
        hits = self.store.search(vector, k + len(called), where, without)
        scores = {hit.id: hit.score for hit in hits if hit.id not in called}
        rest = self.store.get(list(scores)[: k - len(literal)])
        return literal + [(entry, scores[entry.id]) for entry in rest]

    def nearest(self, vector: np.ndarray) -> Scored | None:
        """The most similar entry and its score; `None` in an empty library."""
        hits = self.store.search(vector, 1)
        entries = self.store.get([hit.id for hit in hits])
        return (entries[0], hits[0].score) if entries else None

    def _literal(self, vector: np.ndarray, name: str, where: Filter | None, without: str) -> list[Scored]:
        entries = self.store.get(self.store.named(name, where)) if name else []
        vectors = self.store.vectors({entry.digest for entry in entries})
        found = [
            (entry, float(vectors[entry.digest] @ vector))
            for entry in entries
            if entry.digest in vectors and entry.digest != without
        ]
        return sorted(found, key=lambda scored: -scored[1])


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


def as_candidate(entry: Entry, score: float) -> Candidate:
    """An entry as the stages and pages know it."""
    return Candidate(
        entry.file, round(score, 4), entry.name, entry.caption, entry.source, entry.licence, entry.id
    )
