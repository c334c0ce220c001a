"""What a library tells of its pictures' names, also of those that came since it was last looked through."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from imgrag.library.base import literal_names, plain_name
from imgrag.library.engines.store import Entry, Store
from imgrag.library.search.column import as_candidate
from imgrag.library.search.fusion import read
from imgrag.library.search.names import Names, names_of
from imgrag.library.search.words import asked_words, words_of
from imgrag.runs.knowledge import Fact
from imgrag.runs.values import Candidate

TYPING_SECONDS = 10.0  # for which a look at the disk serves who types; 20,000 files take 0.3 s
LOOKED_AT = 100  # entries with a rare word of a name, to see whether they hold its common ones


@dataclass(frozen=True)
class Look:
    """The files that lay on the disk, and what they are called."""

    files: frozenset[str] = frozenset()

    @cached_property
    def named(self) -> dict[str, str]:
        """Every literal name -> the first file that is called so."""
        return {
            name: file for file in sorted(self.files, reverse=True) for name in literal_names("", "", file)
        }

    @cached_property
    def words(self) -> frozenset[frozenset[str]]:
        """The words of each file's name."""
        return frozenset(frozenset(words_of(Entry(file, ""))) for file in self.files)


class Memory:
    """The names of a library made ready, for as long as none is written or comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: Hashable = None
        self._names = names_of(())
        self._look = Look()
        self._looked = -math.inf

    def look(self, look: Callable[[], set[str]], seconds: float) -> Look:
        """What `look` finds; it is asked again unless it was in the last `seconds`."""
        with self._lock:
            if time.monotonic() - self._looked > seconds:
                files = frozenset(look())
                self._look = self._look if files == self._look.files else Look(files)
                self._looked = time.monotonic()
            return self._look

    def names(self, store: Store, look: Look) -> Names:
        """Those of the store and of what lay on the disk."""
        with self._lock:
            of = (id(store), store.version(), look.files)
            if self._of != of:
                self._names, self._of = names_of(store.names() | look.named.keys()), of
            return self._names


class Moment:
    """What a library tells of its names for one reading: one look at the disk, every question asked once.

    Args:
        look: the look at the disk; taken when something is asked that the store does not know.
    """

    def __init__(self, store: Store, memory: Memory, look: Callable[[], Look]) -> None:
        self._store = store
        self._memory = memory
        self._take_look = look
        self._called: dict[str, Candidate | None] = {}
        self._mentions: dict[str, bool] = {}

    def holds(self, name: str) -> bool:
        """See `Library.holds`."""
        return self.called(name) is not None

    def called(self, name: str) -> Candidate | None:
        """See `Library.called`."""
        if name not in self._called:
            self._called[name] = self._find(plain_name(name))
        return self._called[name]

    def mentions(self, name: str) -> bool:
        """See `Library.mentions`."""
        if name not in self._mentions:
            self._mentions[name] = self._is_mentioned(name)
        return self._mentions[name]

    def near(self, name: str, limit: int = 3) -> list[str]:
        """See `Library.near`."""
        return self._spelled(self._names.near(name, limit))

    def completions(self, prefix: str, limit: int = 8) -> list[str]:
        """See `Library.completions`."""
        return self._spelled(self._names.completions(prefix, limit))

    @cached_property
    def _look(self) -> Look:
        return self._take_look()

    @cached_property
    def _names(self) -> Names:
        return self._memory.names(self._store, self._look)

    def _find(self, plain: str) -> Candidate | None:
        if not plain:
            return None
        for entry in self._store.get(self._store.named(plain)[:1]):
            return as_candidate(entry, 0.0, 1.0)
        file = self._look.named.get(plain)
        return None if file is None else Candidate(file, 0.0, PurePosixPath(file).stem, worded=1.0)

    def tells(self, name: str) -> Fact | None:
        """See `Library.tells`."""
        said = ((entry, _said(entry, name)) for entry in self._mentioning(name))
        return next((Fact(name, text, "", e.source, e.licence) for e, text in said if text), None)

    def _mentioning(self, name: str) -> list[Entry]:
        """Entries that hold all words of a name, one of them rare."""
        asked = read(self._store, name)
        strengths = asked.strengths()
        best = sorted(strengths, key=lambda number: -strengths[number])[:LOOKED_AT]
        return [entry for entry in self._store.get(best) if asked.worded(entry) == 1]

    def _is_mentioned(self, name: str) -> bool:
        if self._mentioning(name):
            return True
        words = set(asked_words(plain_name(name)))
        return bool(words) and any(words <= held for held in self._look.words)

    def _spelled(self, plain: list[str]) -> list[str]:
        found = []
        for name in plain:
            entries = self._store.get(self._store.named(name)[:1])
            found.append(_spelling(entries[0], name) if entries else name)
        return list(dict.fromkeys(found))


class Called(ABC):
    """The part of a library that knows what its pictures are called; see `Library` for what each method gives."""

    _memory: Memory

    @property
    @abstractmethod
    def _browsed(self) -> Store: ...

    @abstractmethod
    def _on_disk(self) -> set[str]:
        """The files of its folders as they are now, or none where a look would take long."""

    def moment(self, seconds: float = 0) -> Moment:
        """Its names as they are; a look at the disk in the last `seconds` counts as one of now."""
        return Moment(self._browsed, self._memory, lambda: self._memory.look(self._on_disk, seconds))

    def holds(self, name: str) -> bool:
        """See `Library.holds`."""
        return self.moment().holds(name)

    def called(self, name: str) -> Candidate | None:
        """See `Library.called`."""
        return self.moment().called(name)

    def mentions(self, name: str) -> bool:
        """See `Library.mentions`."""
        return self.moment().mentions(name)

    def tells(self, name: str) -> Fact | None:
        """See `Library.tells`."""
        return self.moment().tells(name)

    def near(self, name: str, limit: int = 3) -> list[str]:
        """See `Library.near`."""
        return self.moment().near(name, limit)

    def completions(self, prefix: str, limit: int = 8) -> list[str]:
        """See `Library.completions`. Who types waits for no look at the disk between two letters."""
        return self.moment(TYPING_SECONDS).completions(prefix, limit)


def _said(entry: Entry, name: str) -> str:
    """What an entry says beside a name: its caption, else its fields; "" where that is no more.

    Nor does it say anything where the name is a part of its own: "test" of a test tube.
    """
    fields = ", ".join(f"{field}: {value}" for field, value in entry.fields.items())
    own = set(asked_words(plain_name(name)))
    if own <= set(asked_words(plain_name(entry.name))):
        return ""
    return next((text for text in (entry.caption, fields) if set(asked_words(plain_name(text))) - own), "")


def _spelling(entry: Entry, plain: str) -> str:
    """How an entry spells what it is called."""
    spelled = (entry.name, entry.caption, PurePosixPath(entry.file).stem)
    return next((text for text in spelled if plain_name(text) == plain), plain)
