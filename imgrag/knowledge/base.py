"""One knowledge base: texts in a store of the library's, found by words, or by words and CLIP's vectors.

A text is an entry of the store: its term the name, what it says the caption. Every text stands in the column
of no model, `WORDS`, whose vectors say nothing; a CLIP gets its own column when it is first asked with.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imgrag.errors import LibraryError
from imgrag.knowledge.reading import EXAMPLES, MOST_TEXTS, Read, Report, read_facts
from imgrag.library.base import plain_name
from imgrag.library.engines.store import CLOSED, Entry, Store
from imgrag.library.search.column import Columns
from imgrag.library.search.fusion import MOST_WORDED, fused, read
from imgrag.library.search.queries import Query
from imgrag.library.search.words import asked_words
from imgrag.models import Embedder
from imgrag.runs.knowledge import Fact
from imgrag.runs.values import in_brief

WORDS = "words"  # the model that is none
MAX_RESULTS = 1000
BATCH = 256  # texts that are embedded at a time
OF_TEXT = 0.2  # how much of its strength keeps what mentions the words and is about something else


class ComesWithTheApp(LibraryError):
    """Somebody would change a knowledge base that comes with the app."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The knowledge base {name!r} comes with the app and stays as it is. Make a copy and change that."
        )


class DeletedMeanwhile(LibraryError):
    """A knowledge base is not there any more, or another one of its name is."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The knowledge base {name!r} was deleted meanwhile.")


@dataclass(frozen=True)
class _Worded:
    """An entry that words found.

    Attributes:
        share: how much of its term is asked for.
        said: how much the words say for it, see `fusion.Asked.strengths`.
    """

    entry: Entry
    share: float
    said: float

    @property
    def strength(self) -> float:
        return self.said * (OF_TEXT + (1 - OF_TEXT) * self.share)


class KnowledgeBase:
    """Texts under one name.

    Args:
        open_store: opens its store; each model gets one of its own.
        is_there: whether it still lies where it was opened, as it was.
        read_only: it comes with the app, and its texts stay as they are.
        writable: whether its store can be written; where it cannot, words alone find.

    Raises:
        LibraryError: the store cannot be opened.
    """

    def __init__(
        self,
        name: str,
        open_store: Callable[[], Store],
        is_there: Callable[[], bool] = lambda: True,
        read_only: bool = False,
        writable: bool = True,
    ) -> None:
        self.name = name
        self.read_only = read_only
        self.is_there = is_there
        self._writable = writable
        self._columns = Columns(open_store)
        self._lock = threading.Lock()
        weakref.finalize(self, self._columns.close)

    @property
    def _store(self) -> Store:
        return self._columns.of(WORDS, 1).store

    def count(self) -> int:
        """How many texts there are."""
        return self._store.count()

    def texts(self, offset: int = 0, limit: int = 100) -> list[Fact]:
        """Some of them, in the order they came."""
        return [self._as_fact(entry) for entry in self._store.page(offset, limit)]

    def search(
        self,
        text: str,
        k: int,
        embedder: Embedder | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> list[Fact]:
        """The best `k` for a text, such as a whole prompt; of those that words find, all are about a word of it.

        Without an embedder by words alone, and no model is asked. With one, by words and vectors as one ranking;
        what it has not seen yet is embedded first, and `check`, called before each batch, may raise to stop that.

        Raises:
            LibraryError: there is no text to search by, `k` is out of its range, or the base was closed or deleted.
        """
        if not 1 <= k <= MAX_RESULTS:
            raise LibraryError(f"The number of results is {in_brief(k)}; it must be from 1 to {MAX_RESULTS}.")
        asked = Query(text).text
        found = self._worded(asked)
        if embedder is None or not self._writable:
            return [self._as_fact(one.entry) for one in found[:k]]
        column = self._embedded(embedder, check)
        vector = embedder.embed_texts([asked])[0]
        near = column.search(vector, k)
        strengths = {one.entry.id: one.strength for one in found}
        scored = column.scored(vector, list(strengths))
        scores = {hit.id: hit.score for hit in (*scored, *near)}
        whole = [one.entry.id for one in found if one.share == 1 and one.entry.id in scores]
        order = list(dict.fromkeys((*whole, *fused(near, scored, strengths))))[:k]
        return [self._as_fact(entry, scores[entry.id]) for entry in column.get(order)]

    def add(self, *paths: Path, check: Callable[[], None] = lambda: None) -> Report:
        """Take in the texts of files and folders. What is wrong with one row costs that row alone.

        Raises:
            LibraryError: a path holds no texts that can be read, or too many; nothing is kept then. Or it
                comes with the app.
        """
        self.require_own()
        return self.take([read_facts(path, check) for path in paths])

    def take(self, reads: Sequence[Read]) -> Report:
        """Keep what was read, all or nothing."""
        with self._changing():
            wanted = {entry.file: entry for each in reads for entry in map(_as_entry, each.facts)}
            known = self._store.known(list(wanted))
            if self.count() + len(wanted) - len(known) > MOST_TEXTS:
                raise LibraryError(
                    f"The knowledge base {self.name!r} would hold more than {MOST_TEXTS:,} texts. Make another one."
                )
            changed = [e for e in wanted.values() if e.file not in known or replace(known[e.file], id=0) != e]
            self._store.write(changed, np.ones((len(changed), 1), np.float32))
        return Report(
            len(wanted) - len(known),
            len(known),
            sum(each.broken for each in reads),
            tuple(example for each in reads for example in each.examples)[:EXAMPLES],
            tuple(problem for each in reads for problem in each.problems),
        )

    def remove(self, term: str, text: str = "") -> int:
        """Take out the texts of a term, or that one; returns how many there were.

        Raises:
            LibraryError: it comes with the app, or there is none.
        """
        self.require_own()
        with self._changing():
            doomed = list(self._store.known([_key(term, text)])) if text else self._about(term)
            if not doomed:
                raise LibraryError(f"The knowledge base {self.name!r} has no text about {term[:80]!r}.")
            return self._store.remove(doomed)

    def _about(self, term: str) -> list[str]:
        """The entries that are called so by their term, and not by what their text says."""
        plain = plain_name(term)
        here = self._store.get(self._store.named(plain))
        return [entry.file for entry in here if plain_name(entry.name) == plain]

    def require_own(self) -> None:
        """See that its texts may be changed. Raises LibraryError: it comes with the app."""
        if self.read_only:
            raise ComesWithTheApp(self.name)

    def copy_to(self, folder: Path) -> None:
        """Write all of it into a folder. Raises OSError: the folder cannot be written."""
        self._store.copy_to(folder)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        if not self._writable:
            raise LibraryError(
                f"The knowledge base {self.name!r} lies on a disk that cannot be written or is full. To change it, "
                "make room there and start again, or copy it to another disk."
            )
        with self._lock:
            if not self.is_there():
                raise DeletedMeanwhile(self.name)
            yield

    def close(self, why: str = CLOSED) -> None:
        """Let go of its files. Whoever asks later gets a LibraryError that says `why`."""
        self._columns.close(why)

    def _worded(self, asked: str) -> list[_Worded]:
        """What words find, best first: what is wholly asked for, the longer terms before, then by what words say.

        What a text mentions on its way ("a poppy is red") says little, and what it is about nearly all.
        """
        strengths = read(self._store, asked).strengths()
        best = sorted(strengths, key=lambda number: -strengths[number])[:MOST_WORDED]
        words = frozenset(asked_words(asked))
        found = [_Worded(e, _share(e.name, words), strengths[e.id]) for e in self._store.get(best)]
        return sorted(found, key=lambda one: (one.share < 1, -one.strength, one.entry.id))

    def _embedded(self, embedder: Embedder, check: Callable[[], None]) -> Store:
        """The column of a model, with every text in it."""
        column = self._columns.of(embedder.model_id, embedder.dimensions).store
        with self._changing():
            if column.count() < self.count():
                for block in _missing(self._store, column):
                    check()
                    column.write(block, embedder.embed_texts([_spoken(entry) for entry in block]))
        return column

    def _as_fact(self, entry: Entry, score: float = 0.0) -> Fact:
        language = str(entry.fields.get("language", ""))
        return Fact(
            entry.name, entry.caption, language, entry.source, entry.licence, self.name, round(score, 4)
        )


def _missing(store: Store, column: Store) -> Iterator[list[Entry]]:
    """Entries of one column that another lacks."""
    for offset in range(0, store.count(), BATCH):
        page = store.page(offset, BATCH)
        known = column.known([entry.file for entry in page])
        if missing := [entry for entry in page if entry.file not in known]:
            yield missing


def _as_entry(fact: Fact) -> Entry:
    """A text is known by what it is about and what it says; with another source it is the same."""
    key = _key(fact.term, fact.text)
    fields = {"language": fact.language}
    return Entry(key, key, 0, 0, fact.term, fact.text, fact.source, fact.licence, fields)


def _key(term: str, text: str) -> str:
    return hashlib.sha256(f"{term}\0{text}".encode("utf-8", "replace")).hexdigest()


def _spoken(entry: Entry) -> str:
    """What is embedded of a text."""
    return (
        entry.caption
        if plain_name(entry.name) in plain_name(entry.caption)
        else f"{entry.name}: {entry.caption}"
    )


def share_of_term(term: str, text: str) -> float:
    """How much of a term a text asks for, 0 to 1: all of "the king of the beasts" where "king" and "beasts" stand."""
    return _share(term, frozenset(asked_words(text)))


def _share(term: str, words: frozenset[str]) -> float:
    own = asked_words(plain_name(term))
    return sum(word in words for word in own) / len(own) if own else 0.0
