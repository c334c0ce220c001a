"""What a library keeps of its pictures, and what an engine that keeps it must do.

Two engines: `sqlite.EmbeddedStore` (SQLite and FAISS in one folder) and `milvus.MilvusStore`. One
suite of tests, `tests/library/test_stores.py`, runs on both.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from imgrag.library.search.filters import Filter

T = TypeVar("T")
Value = str | int | float | bool

CLOSED = "The library was closed meanwhile. Please try again."
MOST_COLUMNS = 100  # that are told by name
ASKED = 500  # values in one statement or expression
RARE = 1000  # entries that a word is looked up for; what more of them hold says little
WRITTEN_BY = "captioned_by"  # the field of an entry whose caption a model wrote, with the model's name
EXACT, LISTS, TWO_STAGES = "exact", "lists", "two stages"  # how the embedded engine keeps vectors
LONGEST_NAME = 40  # characters of what is a name and no sentence


@dataclass(frozen=True)
class Entry:
    """A picture of a library.

    Attributes:
        file: its name within the library, unique there: "cat.png", "photos/cats/tom.jpg".
        digest: SHA-256 of the file's bytes, in hex.
        size: of the file, in bytes.
        mtime_ns: when the file was last changed; with `size` it tells whether to look again.
        fields: any other metadata, such as category or price.
        id: positive and stable while the file stays in the library; 0 until a store gave one.
    """

    file: str
    digest: str
    size: int = 0
    mtime_ns: int = 0
    name: str = ""
    caption: str = ""
    source: str = ""
    licence: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict)
    id: int = 0


@dataclass(frozen=True)
class Hit:
    """An entry's id and its cosine similarity to the query."""

    id: int
    score: float


@dataclass(frozen=True)
class Sizes:
    """What there is on disk and how it is searched.

    Attributes:
        pictures: bytes of the entries' picture files.
        index: bytes of what the engine keeps; `None` if only a server knows.
        kind: `EXACT`, `LISTS` or `TWO_STAGES`; "" if only a server knows.
    """

    pictures: int
    index: int | None
    kind: str = ""

    def told(self) -> dict[str, Any]:
        """As the library's figures have it."""
        return {"index": self.kind, "bytes": {"pictures": self.pictures, "index": self.index}}


def blocks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many values at a time as one question to an engine takes; SQLite takes 999 at least."""
    return (items[start : start + ASKED] for start in range(0, len(items), ASKED))


def best_first(hits: Iterable[Hit]) -> list[Hit]:
    """The most similar first, ties in the order of ids."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))


class Store(Protocol):
    """Entries with one vector each under the selected model.

    Every model has a column of its own: what was written under one model is neither found nor
    counted under another. Vectors are float32 of length 1. Whatever a method has returned from
    survives `kill -9`.
    """

    @property
    def model(self) -> str:
        """The selected model's id, "" while there is none or nobody has told which it is."""
        ...

    def select(self, model_id: str, dimensions: int) -> None:
        """Choose the model that everything else is about.

        Before the first call it is the model that most entries have a vector of.
        """
        ...

    def count(self, where: Filter | None = None) -> int:
        """How many entries there are (that pass)."""
        ...

    def page(self, offset: int, limit: int, where: Filter | None = None) -> list[Entry]:
        """Entries in the order of their ids."""
        ...

    def get(self, ids: Sequence[int]) -> list[Entry]:
        """Those entries, in this order; ids that are not there are left out."""
        ...

    def known(self, files: Sequence[str]) -> dict[str, Entry]:
        """The entries of these files, by file."""
        ...

    def files(self) -> Iterator[str]:
        """The files of all entries."""
        ...

    def vectors(self, digests: Iterable[str]) -> dict[str, np.ndarray]:
        """Vectors [d] of pictures with these contents, by digest; what has none is left out."""
        ...

    def write(self, entries: Sequence[Entry], vectors: np.ndarray) -> list[int]:
        """Add entries, or change those whose file is known, all or none; returns their ids.

        An entry's own `id` is ignored: a known file keeps the id it has. `vectors` is [n, d].
        """
        ...

    def remove(self, files: Iterable[str]) -> int:
        """Remove the entries of these files; returns how many there were."""
        ...

    def search(self, vector: np.ndarray, k: int, where: Filter | None = None, without: str = "") -> list[Hit]:
        """The `k` most similar entries, best first; ties in the order of ids.

        k are returned whenever k entries pass `where`. `without` is a digest to leave out.
        """
        ...

    def named(self, name: str, where: Filter | None = None) -> list[int]:
        """Ids of at most 1,000 entries that are literally called `name` (see `base.literal_names`)."""
        ...

    def holding(self, words: Sequence[str], where: Filter | None = None) -> dict[str, np.ndarray]:
        """Ids int64 [n], ascending, of the entries that hold a word (see `search.words`), by word.

        A word that more than `RARE` entries hold is left out, and so are all where an engine keeps none.
        """
        ...

    def scored(self, vector: np.ndarray, ids: Sequence[int], without: str = "") -> list[Hit]:
        """How similar these entries are, best first, ties in the order of ids; what is not there is left out."""
        ...

    def names(self) -> set[str]:
        """Everything that entries are literally called, as far as it has at most `LONGEST_NAME` characters."""
        ...

    def version(self) -> Hashable:
        """Another one whenever something was written or removed, as far as the engine can tell."""
        ...

    def stamp(self) -> str:
        """What is kept, in a word: another one after whatever anybody wrote or removed, in any process.

        "" where the engine cannot tell.
        """
        ...

    def rows(self, size: int = 1000) -> Iterator[tuple[list[Entry], np.ndarray]]:
        """Everything in blocks of entries and their vectors [n, d]."""
        ...

    def sizes(self) -> Sizes:
        """How much room it all takes."""
        ...

    def optimise(self) -> None:
        """Bring the index up to date with what was written since; may take long."""
        ...

    def columns(self) -> list[str]:
        """The names of the other metadata that entries have, at most `MOST_COLUMNS`, in alphabetical order."""
        ...

    def copy_to(self, folder: Path) -> None:
        """Write everything of all models into `folder`, as an embedded store keeps it.

        Raises:
            LibraryError: what is kept is not in this engine's hands.
        """
        ...

    def close(self, why: str = CLOSED) -> None:
        """Let go of files and connections, once. Whoever asks later gets a LibraryError that says `why`."""
        ...

    def drop(self) -> None:
        """Forget everything of all models, and close."""
        ...
