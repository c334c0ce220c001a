"""The knowledge bases by name: one folder each, below `datasets/knowledge` or where the operator says.

Those that come with the app are CSV files. They are there whatever the operator says and stay as they are; their
index lies in a cache under their content's hash, so that they are searched on disks that cannot be written too.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from imgrag.errors import LibraryError
from imgrag.knowledge.base import WORDS, DeletedMeanwhile, KnowledgeBase
from imgrag.knowledge.reading import read_facts
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.engines.sqlite_file import FILE
from imgrag.library.folders import remove_folder, whole_folder
from imgrag.library.intake.pictures import content_hash
from imgrag.library.intake.walking import identity
from imgrag.library.opened import OpenLibraries
from imgrag.library.shelf import is_name, is_writable, possible_name, told, writable_folder
from imgrag.models.checkpoints import PROJECT

BUNDLED = PROJECT / "datasets" / "knowledge"
CACHE = PROJECT / ".cache" / "knowledge"
KNOWLEDGE_VARIABLE = "IMGRAG_KNOWLEDGE"
SHOWN = 10  # names in a sentence


def knowledge_folder() -> Path:
    """Where a person's own lie: `IMGRAG_KNOWLEDGE`, else `datasets/knowledge` of the project."""
    return Path(os.environ.get(KNOWLEDGE_VARIABLE) or BUNDLED)


class KnowledgeShelf:
    """The knowledge bases of a folder, and those that come with the app. Where both have a name, it is the folder's.

    Args:
        root: where a person's own lie; see `knowledge_folder`.
        cache: where the index of those that come with the app is kept.
        bundled: the folder of CSV files that come with the app.
    """

    def __init__(self, root: Path | None = None, cache: Path = CACHE, bundled: Path = BUNDLED) -> None:
        self._root = root or knowledge_folder()
        self._cache = cache
        self._bundled = bundled
        self._open = OpenLibraries(self._opened)

    def names(self) -> list[str]:
        """In alphabetical order."""
        return sorted({**self._files(), **self._folders()})

    def open(self, name: str) -> KnowledgeBase:
        """The base of that name. It stays open for who asks next. Raises LibraryError: there is none."""
        return self._open.get(name)

    def damaged(self, name: str) -> list[str]:
        """Files of that base that were found broken and put aside; what it holds since then began empty."""
        folder = self._folders().get(name)
        return sorted(file.name for file in folder.glob("*.broken")) if folder else []

    def create(self, name: str) -> None:
        """Make an empty one. Raises LibraryError: the name is taken or cannot be one, or nothing can be written."""
        name = self._free(name)
        try:
            with whole_folder(self._root / name) as folder:
                store = EmbeddedStore(folder)
                store.select(WORDS, 1)
                store.close()
        except (OSError, LibraryError) as error:
            raise LibraryError(
                f"The knowledge base {name!r} cannot be made: its folder cannot be written."
            ) from error

    def copy(self, name: str, new: str) -> None:
        """Make one with the texts of another. Raises LibraryError, as `create` does."""
        base = self.open(name)
        new = self._free(new)
        try:
            with whole_folder(self._root / new) as folder:
                base.copy_to(folder)
        except OSError as error:
            raise LibraryError(
                f"The knowledge base {name!r} could not be copied: its folder cannot be written."
            ) from error

    def delete(self, name: str) -> None:
        """Delete one with its texts. Raises LibraryError: it comes with the app, is not there, or is in use."""
        self.open(name).require_own()
        self._open.close(name, str(DeletedMeanwhile(name)))
        with told(name, "knowledge base"):
            remove_folder(self._root / name)

    def _folders(self) -> dict[str, Path]:
        """Where the operator names no folder there are none, and what comes with the app is there still."""
        try:
            own = list(self._root.iterdir())
        except OSError:
            return {}
        return {folder.name: folder for folder in own if is_name(folder.name) and (folder / FILE).is_file()}

    def _files(self) -> dict[str, Path]:
        return {
            file.stem: file for file in self._bundled.glob("*.csv") if is_name(file.stem) and file.is_file()
        }

    def _free(self, name: str) -> str:
        name = possible_name(name, "knowledge base")
        if name.casefold() in (taken.casefold() for taken in self.names()):
            raise LibraryError(f"There is a knowledge base {name!r} already. Choose another name.")
        return name

    def _opened(self, name: str) -> KnowledgeBase:
        if folder := self._folders().get(name):
            return self._own(folder)
        if file := self._files().get(name):
            return self._indexed(file)
        names = self.names()
        known = ", ".join((*names[:SHOWN], "…") if len(names) > SHOWN else names) or "none yet"
        raise LibraryError(f"There is no knowledge base {name[:100]!r}. Known are: {known}.")

    def _own(self, folder: Path) -> KnowledgeBase:
        here = _state(folder)
        writable = is_writable(folder)

        def is_there() -> bool:
            return here is not None and _state(folder) == here

        def opened() -> EmbeddedStore:
            if not is_there():
                raise DeletedMeanwhile(folder.name)
            return EmbeddedStore(folder, writable, make=False)

        return KnowledgeBase(folder.name, opened, is_there, writable=writable)

    def _indexed(self, file: Path) -> KnowledgeBase:
        """One that comes with the app; its texts are put into the index when that is new."""
        here = _state(file)
        place = writable_folder([self._cache / f".{content_hash(file)[:20]}"])
        base = KnowledgeBase(file.stem, partial(EmbeddedStore, place), lambda: _state(file) == here, True)
        if not base.count():
            base.take([read_facts(file)])
        return base


def _state(path: Path) -> tuple[int, ...] | None:
    """What tells a folder, and a file as it is, from another one of the same name."""
    try:
        changed = path.stat().st_mtime_ns if path.is_file() else 0
        return (*identity(path), changed)
    except OSError:
        return None
