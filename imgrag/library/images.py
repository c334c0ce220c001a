"""A library of pictures: folders are followed, entries kept in a store, pictures found and opened.

An image is known by the hash of its content, an embedding by that hash and the model's id: what
did not change is not embedded again, and two models never mix.
"""

from __future__ import annotations

import shutil
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.errors import LibraryError
from imgrag.library import removal
from imgrag.library.base import ReadOnly, Skipped, spellings
from imgrag.library.called import Called, Memory
from imgrag.library.engines.store import CLOSED, Entry, Store
from imgrag.library.intake.adding import Adding, Progress, Report, finished
from imgrag.library.intake.pictures import SUFFIXES, UNTAKEN, UnreadablePicture, read_picture, thumbnail
from imgrag.library.intake.shards import export_shards, is_shard
from imgrag.library.intake.sources import (
    NOT_TAKEN,
    STATE,
    UPLOADS,
    Settings,
    Source,
    has_pictures,
    load_settings,
    pictures_of,
    place_of,
    save_settings,
    sources,
    unread,
    with_folder,
)
from imgrag.library.intake.taking import is_about_the_disk, kind_of, take_picture, take_shard, take_zip
from imgrag.library.intake.walking import identity_if_there
from imgrag.library.removal import Removal
from imgrag.library.search.column import Column, Columns
from imgrag.library.search.filters import Filter
from imgrag.library.stamp import Stamp, stamp_of
from imgrag.models import Embedder
from imgrag.texts import clean, clean_line

NOTICED_SECONDS = 10.0  # until who adds has noticed that the library is closed; a batch may take longer
FOLLOWED = 20_000  # entries up to which every run looks whether files have changed


class _Busy(LibraryError):
    """Another thread is changing the library."""


class ImageLibrary(Called):
    """Pictures below `folder` and in the folders added to it.

    Args:
        folder: the library's own pictures.
        state: where settings, index and skipped files are remembered.
        open_store: opens one of the two engines.
        writable: whether `state` can be written; a library where it cannot is searched as it is.
        read_only: it comes with the app, and its pictures stay as they are.

    When nobody holds it any more, it lets go of its files.
    """

    def __init__(
        self,
        folder: Path,
        state: Path,
        open_store: Callable[[], Store],
        writable: bool = True,
        read_only: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        self.name = self.folder.name
        self.read_only = read_only
        self._place = identity_if_there(self.folder)
        self._gone = ""  # why it is
        self._followed: dict[str, str] = {}  # what lay there when all was last taken in, by model
        self._state = state
        self._writable = writable
        self._news: tuple[Skipped, ...] = ()
        self._columns = Columns(open_store)
        self._settings = load_settings(state)
        self._memory = Memory()
        self._adding = threading.Lock()
        weakref.finalize(self, self._columns.close)
        if not read_only:
            removal.sweep(self.folder)

    @property
    def _browsed(self) -> Store:
        return self._columns.browsed

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Files that are no usable pictures, and why."""
        return tuple(Skipped(file, why) for file, (_, _, why) in self._settings.unreadable.items())

    def news(self) -> tuple[Skipped, ...]:
        """See `Library.news`."""
        news, self._news = self._news, ()
        left = (skipped for skipped in news if skipped.file in self._settings.unreadable)
        return tuple(Skipped(skipped.shown, skipped.reason) for skipped in left)

    @property
    def sources(self) -> list[Source]:
        """Where the pictures lie, the library's own folder first."""
        return sources(self.folder, self._settings)

    def require_pictures(self) -> None:
        """See `Library.require_pictures`."""
        if not self._browsed.count() and not any(map(has_pictures, self.sources)):
            raise LibraryError(f"The library {self.name!r} holds no images. Add some to it first.")

    def index(self, embedder: Embedder, check: Callable[[], None] = lambda: None) -> Column:
        """See `Library.index`. A large library is searched as it is; `add` looks for changes."""
        column = self.column(embedder)
        if self._writable and column.store.count() <= FOLLOWED:
            with suppress(_Busy), self._changing():
                lies = self.stamp().lies
                self._news += finished(self._follow(embedder, check)).skipped
                self._followed[embedder.model_id] = lies
        if not column.store.count():
            nothing = f"The library {self.name!r} has no image that can be read. Add some to it first."
            raise LibraryError(nothing)
        return column

    def stamp(self) -> Stamp:
        """What a search would find in it now, in a word. Looks at the files that `index` would follow."""
        follows = self._writable and self._browsed.count() <= FOLLOWED
        return stamp_of(self.folder, self._browsed, self.sources if follows else (), not self.read_only)

    def is_settled(self, stamp: Stamp, model_id: str) -> bool:
        """Whether it is so still, and whatever lies in its folders was taken in by that model."""
        return self.stamp() == stamp and stamp.lies in ("", self._followed.get(model_id))

    def column(self, embedder: Embedder) -> Column:
        """What a model has embedded so far."""
        self._require_there()
        return self._columns.of(embedder.model_id, embedder.dimensions)

    def is_there(self) -> bool:
        """Whether its folder is still the one that was opened; somebody may have deleted or renamed it."""
        return not self._gone and identity_if_there(self.folder) == self._place

    def require_own(self) -> None:
        """See that its pictures may be changed. Raises LibraryError: it comes with the app."""
        if self.read_only:
            raise ReadOnly(self.name)

    def add(
        self,
        paths: Sequence[Path],
        embedder: Embedder,
        check: Callable[[], None] = lambda: None,
        reach: Path | None = None,
    ) -> Iterator[Progress | Report]:
        """Take in folders (where they lie), picture files and zips (copied) and Parquet shards.

        Yields `Progress` and at last a `Report`; without paths it looks what has changed. To stop
        it, raise from `check`: what was done is kept, and the next call goes on from there. What cannot
        be added is skipped, by name; copies of what turns out to be no picture are not kept.

        Args:
            reach: where links within the folders may lead; only within each folder itself unless told.

        Raises:
            LibraryError: nothing of `paths` can be added, the disk is full, the library cannot be
                written or comes with the app, it was deleted or renamed meanwhile, or another thread is adding.
        """
        if paths:
            self.require_own()
        with self._changing():
            imported, skipped = self._take_all(paths, embedder, check, reach)
            for event in self._follow(embedder, check, rejecting=True):
                if isinstance(event, Report):
                    event = replace(event, added=event.added + imported, skipped=(*skipped, *event.skipped))
                yield event

    def open(self, file: str) -> Image.Image:
        """See `Library.open`."""
        return self._read(file, read_picture)

    def thumbnail(self, file: str, side: int) -> Image.Image:
        """A small copy of a picture, at most `side` px. Raises what `open` raises."""
        return self._read(file, lambda path: thumbnail(path, side))

    def entries(self, offset: int, limit: int, where: Filter | None = None) -> list[Entry]:
        """A page of what is in the library, in the order it came."""
        return self._browsed.page(offset, limit, where)

    def count(self, where: Filter | None = None) -> int:
        """How many pictures there are (that pass)."""
        return self._browsed.count(where)

    def columns(self) -> list[str]:
        """The names of the metadata that a filter can compare besides `filters.COLUMNS`."""
        return self._browsed.columns()

    def remove(self, files: Sequence[str]) -> int:
        """Take pictures out for good; returns how many there were. Raises what `take_out` raises.

        Copies made by `add` are deleted, others stay on disk.
        """
        removed = self.take_out(files)
        self.forget(removed)
        return len(removed.files)

    def take_out(self, files: Sequence[str]) -> Removal:
        """Take pictures out so that they can be put back, until they are forgotten.

        Raises:
            LibraryError: something is being added at the moment, or the library comes with the app.
        """
        self.require_own()
        with self._changing():
            here = self._browsed.known([form for file in files for form in spellings(file)])
            taken = removal.noted(list(here), self._columns.stores)
            self._remember(replace(self._settings, excluded=(*self._settings.excluded, *taken.excluded)))
            for store in self._columns.stores:  # Milvus keeps each model's apart
                store.remove(taken.files)
            removal.set_aside(taken, self.folder)
        return taken

    def put_back(self, taken: Removal) -> int:
        """Put back what was taken out and is not forgotten; returns how many pictures that are.

        Raises:
            LibraryError: something is being added at the moment.
        """
        with self._changing():
            names = removal.brought_back(taken, self.folder)
            left = tuple(file for file in self._settings.excluded if file not in taken.excluded)
            self._remember(replace(self._settings, excluded=left))
            for model_id, rows in taken.rows.items():
                store = self._columns.of(model_id, rows.vectors.shape[1]).store
                again = removal.called(rows, names, store)
                store.write(again.entries, again.vectors)
        return len(names)

    def forget(self, taken: Removal) -> None:
        """Delete the copies that were taken out."""
        removal.forget(taken, self.folder)

    def copy_to(self, folder: Path) -> None:
        """Copy pictures and embeddings into a folder; what was added to it from elsewhere stays there.

        Raises:
            LibraryError: it is kept in Milvus.
            OSError: the folder cannot be written.
        """
        settings = self._settings
        folder.mkdir(exist_ok=True)
        self._browsed.copy_to(folder / STATE)
        save_settings(settings, folder / STATE)
        shutil.copytree(self.folder, folder, symlinks=True, ignore=unread, dirs_exist_ok=True)

    def stats(self) -> dict[str, Any]:
        """Counts, bytes on disk and names for people; no path leaves the server."""
        return {
            "name": self.name,
            "images": self._browsed.count(),
            "engine": "milvus" if self._settings.engine else "faiss",
            "folders": list(self._settings.folders),
            **self._browsed.sizes().told(),
            "removed": len(self._settings.excluded),
            "skipped": [{"file": skipped.file, "reason": skipped.reason} for skipped in self.skipped],
            "broken": sorted(path.name for path in self._state.glob("*.broken")),
            "read_only": self.read_only,
        }

    def export(self, folder: Path, model_id: str) -> list[Path]:
        """Write ids, metadata and embeddings as Parquet shards; returns the files."""
        column = self._columns.get(model_id)
        return export_shards(column.store.rows() if column else (), folder, model_id)

    def close(self, why: str = CLOSED) -> None:
        """Let go of the stores. Whoever is at work in the library gets a LibraryError that says `why`.

        Waits a while for who adds to notice, so that nothing is written where the library was.
        """
        self._gone = why
        self._columns.close(why)
        if self._adding.acquire(timeout=NOTICED_SECONDS):
            self._adding.release()

    def _on_disk(self) -> set[str]:
        """The files of pictures that lie there now; none of a large library, which nobody follows unasked."""
        if self._browsed.count() > FOLLOWED:
            return set()
        files = {clean(picture.file) for source in self.sources for picture in pictures_of(source)}
        return files - set(map(clean, self._settings.excluded))

    def _require_there(self) -> None:
        if not self.is_there():
            raise LibraryError(self._gone or f"The library {self.name!r} was deleted or renamed meanwhile.")

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One thread at a time; nobody waits. A plain lock, since a generator may end in another thread."""
        self._require_there()
        if not self._writable:
            raise LibraryError(
                f"The library {self.name!r} lies on a disk that cannot be written or is full. To change it, make room "
                "there and start again, or copy it to another disk."
            )
        if not self._adding.acquire(blocking=False):
            raise _Busy(f"Something is being added to {self.name!r} already. Wait until it is done.")
        try:
            yield
        except Exception:
            self._require_there()  # whatever went wrong, this is why
            raise
        finally:
            self._adding.release()

    def _follow(
        self, embedder: Embedder, check: Callable[[], None], rejecting: bool = False
    ) -> Iterator[Progress | Report]:
        def checked() -> None:
            self._require_there()
            check()

        store = self.column(embedder).store
        adding = Adding(self.sources, self._settings, store, embedder, checked, rejecting)
        try:
            for event in adding:
                self._require_there()  # the last batch may have gone where nobody finds it
                yield event
        finally:
            if adding.settings != self._settings and self.is_there():
                self._remember(adding.settings)

    def _remember(self, settings: Settings) -> None:
        save_settings(settings, self._state)
        self._settings = settings

    def _take_all(
        self, paths: Sequence[Path], embedder: Embedder, check: Callable[[], None], reach: Path | None
    ) -> tuple[int, list[Skipped]]:
        """How many entries came with shards, and what was left out: one broken file stops none of the others."""
        imported = 0
        skipped: list[Skipped] = []
        wrong: list[Skipped] = []
        for path in paths:
            self._require_there()
            check()
            try:
                if kind_of(path) == "file" and is_shard(path):
                    imported += take_shard(path, self.column(embedder).store, embedder, check)
                else:
                    skipped += self._take(path, check, reach)
            except LibraryError as error:
                if len(paths) == 1 or is_about_the_disk(error):
                    raise
                wrong.append(Skipped(clean_line(path.name), str(error)))
        if paths and len(wrong) == len(paths):
            raise LibraryError(" ".join(f"{left.file}: {left.reason}" for left in wrong[:3]))
        return imported, [*wrong, *skipped]

    def _take(self, path: Path, check: Callable[[], None], reach: Path | None) -> tuple[Skipped, ...]:
        """Bring one path to where `_follow` finds it; returns what of a zip was left out."""
        kind, suffix = kind_of(path), path.suffix.lower()
        skipped: tuple[Skipped, ...] = ()
        if kind == "folder":
            self._remember(with_folder(self._settings, path, self.folder, reach))
            return ()
        if kind == "file" and suffix == ".zip":
            taken, skipped = take_zip(path, self.folder / UPLOADS, check)
        elif kind == "file" and suffix in SUFFIXES:
            taken = take_picture(path, self.folder / UPLOADS, check)
        elif kind == "file" and suffix in UNTAKEN:
            raise LibraryError(f"{clean_line(path.name)!r} cannot be added: {NOT_TAKEN}.")
        else:
            raise LibraryError(
                f"{clean_line(path.name)!r} cannot be added: it is no folder, picture, zip or Parquet shard that exists."
            )
        pending = taken.relative_to(self.folder).as_posix()
        self._remember(replace(self._settings, pending=(*self._settings.pending, pending)))
        return skipped

    def _read(self, file: str, read: Callable[[Path], Image.Image]) -> Image.Image:
        known = next(iter(self._browsed.known(spellings(file))), None)
        path = place_of(known, self.sources) if known is not None else None
        if path is None:
            raise LibraryError(f"The library {self.name!r} has no picture {file!r}.")
        try:
            return read(path)
        except UnreadablePicture as error:
            raise LibraryError(
                f"The picture {file!r} of the library {self.name!r} cannot be read: {error}."
            ) from error
