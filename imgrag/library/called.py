"""What a library tells of its pictures' names, also of those that came since it was last looked through."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from pathlib import PurePosixPath

from imgrag.library.base import literal_names, plain_name
from imgrag.library.engines.store import Entry, Store
from imgrag.library.search.column import as_candidate
from imgrag.library.search.fusion import read
from imgrag.library.search.names import Names, names_of
from imgrag.library.search.words import asked_words, words_of
from imgrag.runs.values import Candidate

TYPING_SECONDS = 10.0  # for which a look at the disk serves completions; 20,000 files take 0.3 s
LOOKED_AT = 100  # entries with a rare word of a name, to see whether they hold its common ones


class Memory:
    """The names of a library made ready, for as long as none is written or comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: Hashable = None
        self._names = names_of(())
        self._new: frozenset[str] = frozenset()
        self._looked = -math.inf

    def names(self, store: Store, look: Callable[[], set[str]], seconds: float) -> Names:
        """Those of the store and of the files that `look` gives, asked again unless it was in the last `seconds`."""
        with self._lock:
            if time.monotonic() - self._looked > seconds:
                self._new = frozenset(name for file in look() for name in literal_names("", "", file))
                self._looked = time.monotonic()
            of = (id(store), store.version(), self._new)
            if self._of != of:
                self._names, self._of = names_of(store.names() | self._new), of
            return self._names


class Called(ABC):
    """The part of a library that knows what its pictures are called; see `Library` for what each method gives."""

    _memory: Memory

    @property
    @abstractmethod
    def _browsed(self) -> Store: ...

    @abstractmethod
    def _on_disk(self) -> set[str]:
        """The files of its folders as they are now, or none where a look would take long."""

    def holds(self, name: str) -> bool:
        """See `Library.holds`."""
        return self.called(name) is not None

    def called(self, name: str) -> Candidate | None:
        """See `Library.called`."""
        plain = plain_name(name)
        if not plain:
            return None
        for entry in self._browsed.get(self._browsed.named(plain)[:1]):
            return as_candidate(entry, 0.0, 1.0)
        files = sorted(file for file in self._on_disk() if plain in literal_names("", "", file))
        return Candidate(files[0], 0.0, PurePosixPath(files[0]).stem, worded=1.0) if files else None

    def mentions(self, name: str) -> bool:
        """See `Library.mentions`."""
        asked = read(self._browsed, name)
        strengths = asked.strengths()
        best = sorted(strengths, key=lambda number: -strengths[number])[:LOOKED_AT]
        if any(asked.worded(entry) == 1 for entry in self._browsed.get(best)):
            return True
        words = set(asked_words(plain_name(name)))
        return bool(words) and any(words <= set(words_of(Entry(file, ""))) for file in self._on_disk())

    def near(self, name: str, limit: int = 3) -> list[str]:
        """See `Library.near`."""
        names = self._memory.names(self._browsed, self._on_disk, 0)
        return self._spelled(names.near(name, limit))

    def completions(self, prefix: str, limit: int = 8) -> list[str]:
        """See `Library.completions`. Who types waits for no look at the disk between two letters."""
        names = self._memory.names(self._browsed, self._on_disk, TYPING_SECONDS)
        return self._spelled(names.completions(prefix, limit))

    def _spelled(self, plain: list[str]) -> list[str]:
        found = []
        for name in plain:
            entries = self._browsed.get(self._browsed.named(name)[:1])
            found.append(_spelling(entries[0], name) if entries else name)
        return list(dict.fromkeys(found))


def _spelling(entry: Entry, plain: str) -> str:
    """How an entry spells what it is called."""
    spelled = (entry.name, entry.caption, PurePosixPath(entry.file).stem)
    return next((text for text in spelled if plain_name(text) == plain), plain)
