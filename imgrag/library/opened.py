"""The libraries that are open: each once, and no more of them than the system has handles for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from imgrag.library.engines.store import CLOSED

HELD = 16  # libraries that nobody uses at the moment; each has about five files open


class Openable(Protocol):
    """A library, or another thing that has files open and lies under a name."""

    def is_there(self) -> bool:
        """Whether it still lies where it was opened, as it was."""
        ...

    def close(self, why: str = CLOSED) -> None:
        """Let go of its files. Whoever asks later gets a LibraryError that says `why`."""
        ...


Opened = TypeVar("Opened", bound=Openable)


class OpenLibraries(Generic[Opened]):
    """Opens libraries and hands them out.

    The ones that were used last are held open. Others stay open as long as somebody has them in
    hand, so that none is closed in the middle of its use, and close by themselves then.
    """

    def __init__(self, opener: Callable[[str], Opened], held: int = HELD) -> None:
        self._opener = opener
        self._most = held
        self._held: OrderedDict[str, Opened] = OrderedDict()  # the last used at the end
        self._alive: WeakValueDictionary[str, Opened] = WeakValueDictionary()
        self._opening = threading.Lock()

    def get(self, name: str) -> Opened:
        """The library of that name or folder. Raises LibraryError: there is none."""
        with self._opening:
            library = self._alive.get(name)
            if library is None or not library.is_there():
                self._held.pop(name, None)  # another process has deleted or renamed it
                library = self._alive[name] = self._opener(name)
            self._held[name] = library
            self._held.move_to_end(name)
            while len(self._held) > self._most:
                self._held.popitem(last=False)
            return library

    def close(self, name: str, why: str = CLOSED) -> None:
        """Close a library. Whoever is at work in it gets a LibraryError that says `why`."""
        with self._opening:
            self._held.pop(name, None)
            library = self._alive.pop(name, None)
        if library is not None:
            library.close(why)
