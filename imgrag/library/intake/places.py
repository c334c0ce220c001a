"""Which picture is meant by a name that somebody wrote down: exactly, or as far as it is clear.

Names are compared composed (NFC): macOS and zips write them decomposed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import PurePosixPath

from imgrag.library.intake.beside import folder_category
from imgrag.texts import clean

SEVERAL = 100  # pictures of one name; of so many none is clear
MAX_NAME = 4096  # characters of a path, as systems have it
TAIL = 8  # folders of a path that count where it is not known from the root on


@dataclass(frozen=True)
class Place:
    """A picture's path, composed; `exact` if the name was spelled so."""

    picture: str
    exact: bool = True


class Places:
    """The pictures below a root, by their paths relative to it."""

    def __init__(self, pictures: Iterable[str]) -> None:
        self._pictures = frozenset(map(clean, pictures))

    def __len__(self) -> int:
        return len(self._pictures)

    def find(self, file: str, name: object, anywhere: bool = False) -> Place | None:
        """The picture that `file` calls `name`; `None` if there is none, or several that may be meant.

        One that is spelled so counts before one that differs in upper and lower case or by its ending.
        Then come those of this name in the folders below, and at last the name without its first
        folders: for "/data/images/a.png" also "images/a.png" and "a.png".

        Args:
            anywhere: also outside of the file's own folder. Of several the nearest counts, then the one
                whose folder the file is called after: "captions_val2017.json" is about "val2017".
        """
        folder = posixpath.dirname(clean(file))
        if isinstance(name, str) and posixpath.join(folder, name) in self._pictures:
            return Place(posixpath.join(folder, name))  # as nearly all are spelled
        exact = place_below(folder, name)
        if exact in self._pictures:
            return Place(exact)
        inner = _inner(name)
        if not inner:
            return None
        found = self._at([folder], inner) or (exact and self._below(file, inner, anywhere))
        bases = list(_upwards(folder)) if anywhere else [folder]
        for tail in [] if found else _tails(inner):
            found = found or self._at(bases, tail)
        return Place(found[0], exact=False) if found and len(found) == 1 else None

    def _at(self, bases: Iterable[str], inner: str) -> list[str]:
        """Pictures at this place, seen from the first of the folders that has any."""
        spelled = (self._spelled.get(posixpath.join(base, inner).casefold()) for base in bases)
        return next(filter(None, spelled), [])

    def _below(self, file: str, inner: str, anywhere: bool) -> list[str]:
        """Pictures whose path ends so."""
        folder = posixpath.dirname(clean(file))
        same = self._ending.get(inner.casefold(), [])
        if (len(same) == 1 and anywhere) or len(same) >= SEVERAL:
            return same
        if not anywhere:
            return [path for path in same if not folder or path.startswith(f"{folder}/")]
        nearest = max((_common(folder, path) for path in same), default=0)
        near = [path for path in same if _common(folder, path) == nearest]
        called = [path for path in near if folder_category(path) in PurePosixPath(file).stem]
        return called if len(near) > 1 and len(called) == 1 else near

    @cached_property
    def _spelled(self) -> dict[str, list[str]]:
        """Path in lower case, with and without its ending -> pictures."""
        return _gathered((spelling, path) for path in self._pictures for spelling in _spellings(path))

    @cached_property
    def _ending(self) -> dict[str, list[str]]:
        """Likewise the last parts of paths."""
        return _gathered(
            (tail, path)
            for path in self._pictures
            for spelling in _spellings(path)
            for tail in (spelling, *_tails(spelling))
        )


def place_below(folder: str, name: object) -> str:
    """A file's path relative to the root; "" if it is none, or outside of `folder`."""
    inner = _inner(name)
    if inner.startswith("/") or re.match(r"[A-Za-z]:", inner):
        return ""
    return posixpath.join(folder, inner) if inner else ""


def _inner(name: object) -> str:
    """A name as a path; "" if it is none or leads upwards."""
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME:
        return ""
    inner = posixpath.normpath(clean(name).strip().replace("\\", "/"))
    return "" if inner in (".", "..", "/") or inner.startswith("../") else inner


def _upwards(folder: str) -> Iterator[str]:
    """A folder and those that it lies in; "" is the root."""
    yield folder
    while folder:
        folder = posixpath.dirname(folder)
        yield folder


def _spellings(path: str) -> tuple[str, str]:
    folded = path.casefold()
    return folded, posixpath.splitext(folded)[0]


def _tails(path: str) -> Iterator[str]:
    """A path without its first folder, then without two, and so on; the last ones alone of a long path."""
    parts = path.split("/")
    return ("/".join(parts[at:]) for at in range(max(1, len(parts) - TAIL), len(parts)))


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Pictures by key, each once and at most `SEVERAL`."""
    found: dict[str, list[str]] = {}
    for key, path in pairs:
        paths = found.setdefault(key, [])
        if len(paths) < SEVERAL and path not in paths[-1:]:
            paths.append(path)
    return found


def _common(folder: str, path: str) -> int:
    """How many folders, from the root on, two paths have in common."""
    pairs = zip(PurePosixPath(folder).parts, PurePosixPath(path).parts, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
