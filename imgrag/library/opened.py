"""The libraries that are open: each once, and no more of them than the system has handles for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

from imgrag.library.engines.store import CLOSED
from imgrag.library.images import ImageLibrary

HELD = 16  # libraries that nobody uses at the moment; each has about five files open


class OpenLibraries:
    """Opens libraries and hands them out.

    The ones that were used last are held open. Others stay open as long as somebody has them in
    hand, so that none is closed in the middle of its use, and close by themselves then.
    """

    def __init__(self, opener: Callable[[str], ImageLibrary], held: int = HELD) -> None:
        self._opener = opener
        self._most = held
        self._held: OrderedDict[str, ImageLibrary] = OrderedDict()  # the last used at the end
        self._alive: WeakValueDictionary[str, ImageLibrary] = WeakValueDictionary()
        self._opening = threading.Lock()

    def get(self, name: str) -> ImageLibrary:
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
