"""Bringing a library up to date: look, read, embed, write, forget what is gone.

Pictures are read, and scaled to what the model looks at, by threads while the batch before is
embedded. Every batch is written before the next one is announced, so a stop at any moment loses at
most one batch of work.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np
from PIL import Image

from imgrag.library.base import Skipped
from imgrag.library.engines.store import WRITTEN_BY, Entry, Store
from imgrag.library.intake.beside import folder_category
from imgrag.library.intake.described import Described
from imgrag.library.intake.findings import NAMED
from imgrag.library.intake.metadata import Metadata, read_metadata
from imgrag.library.intake.pictures import UnreadablePicture, content_hash, read_picture
from imgrag.library.intake.sources import (
    READING,
    UPLOADS,
    Found,
    Left,
    Settings,
    Source,
    has_pictures,
    look,
)
from imgrag.library.intake.tags import describe_picture
from imgrag.library.intake.walking import AWAY
from imgrag.models import Embedder
from imgrag.texts import clean, clean_line

T = TypeVar("T")
BATCH = 64  # pictures embedded and written at a time
FIRST = 8  # pictures of the first batch, for which nothing is embedded meanwhile; they double
LOOK = 512  # files compared with the store at a time
READERS = max(1, min(4, (os.cpu_count() or 2) - 1))  # a core is left to the model
AHEAD = 2 * BATCH  # pictures read before they are wanted
CLOSED = "it cannot be opened"  # now; it is tried again at every look
ELSEWHERE = -1  # `mtime_ns` of an entry whose picture is not among the library's files


@dataclass(frozen=True)
class Progress:
    """`done` of `total` files are dealt with; `eta` are the seconds left, `None` while nobody knows."""

    done: int
    total: int
    what: str
    eta: float | None = None


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        skipped: what could not be used and was not told before, or has changed since.
        problems: files about pictures that could not be read now; the pictures are there without them.
        unmatched: rows in such files that found no picture.
        unmatched_names: what at most three of them call it.
    """

    added: int
    changed: int
    removed: int
    unchanged: int
    skipped: tuple[Skipped, ...]
    seconds: float
    problems: tuple[Skipped, ...] = ()
    unmatched: int = 0
    unmatched_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wanted:
    """A file to look into: its entry so far, and whether its content may be another one.

    `renew` has it written again even if nothing differs: names are compared in other ways than before.
    """

    found: Found
    known: Entry | None
    whole: bool
    renew: bool = False


@dataclass(frozen=True)
class _Read:
    """A file that was looked at: its entry and, unless only that changed, its picture; or what is wrong."""

    wanted: _Wanted
    entry: Entry
    picture: Image.Image | None = None
    wrong: str = ""

    @property
    def same(self) -> bool:
        """Nothing changed after all."""
        known = self.wanted.known
        return not self.wanted.whole and known is not None and self.entry == replace(known, id=0)

    @property
    def done(self) -> bool:
        """There is nothing to write."""
        return bool(self.wrong) or (self.same and not self.wanted.renew)


class Adding:
    """One pass over all sources of a library; iterate over it. `settings` is what to remember then.

    Args:
        check: called often, also from other threads; it may raise to stop.
        rejecting: whether copies that turn out to be no pictures are deleted; the report tells of them.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        settings: Settings,
        store: Store,
        embedder: Embedder,
        check: Callable[[], None],
        rejecting: bool = False,
    ) -> None:
        self.settings = settings
        self._afresh = settings.reading != READING
        self._told = {} if self._afresh else settings.unreadable
        self._sources = sources
        self._store = store
        self._embedder = embedder
        self._prepare = embedder.prepare
        self._check = check
        self._rejecting = rejecting
        self._seen: set[str] = set()
        self._away: set[str] = set()  # labels of sources that cannot be listed
        self._unreadable: dict[str, Left] = {}
        self._added = self._changed = self._broken = 0
        self._metadata: dict[str, Metadata] = {}
        self._reading = threading.Lock()

    def __iter__(self) -> Iterator[Progress | Report]:
        begun = time.monotonic()
        found, signatures = self._look()
        wanted = self._wanted(found, signatures)
        for batch in _growing(_ahead(self._read, wanted)):
            self._check()
            self._write(batch)
            done = self._added + self._changed
            passed = time.monotonic() - begun
            left = len(found) - len(self._seen)
            eta = passed / max(1, len(self._seen)) * left if left else None
            yield Progress(len(self._seen), len(found), f"{done} embedded or changed", eta)
        removed = self._forget()
        news = [
            Skipped(file, left[2]) for file, left in self._unreadable.items() if self._told.get(file) != left
        ]
        self._remember(signatures)
        yield Progress(len(found), len(found), "ordering the index")
        self._store.optimise()
        unchanged = len(found) - self._added - self._changed - self._broken
        seconds = round(time.monotonic() - begun, 3)
        counts = (self._added, self._changed, removed, unchanged)
        yield Report(*counts, tuple(news), seconds, *self._remarks())

    def _look(self) -> tuple[list[Found], dict[str, str]]:
        """The pictures that were not taken out, and each source's metadata signature."""
        excluded = set(map(clean, self.settings.excluded))
        found, signatures = [], {}
        for source in self._sources:
            try:
                seen = look(source, self._check)
            except OSError:
                self._away.add(source.label)
                continue
            found += [picture for picture in seen.pictures if clean(picture.file) not in excluded]
            self._unreadable.update(seen.left)
            signatures[source.label] = seen.signature
        return found, signatures

    def _remember(self, signatures: Mapping[str, str]) -> None:
        if self._rejecting:
            self._reject()
        self.settings = replace(
            self.settings,
            unreadable=self._unreadable,
            described={**self.settings.described, **signatures},
            pending=() if self._rejecting else self.settings.pending,
            reading=READING,
        )

    def _reject(self) -> None:
        """Delete what was copied in and is no picture; who sent it has the original, and is told."""
        own = self._sources[0]
        for place in self.settings.pending:
            inside = [file for file in self._unreadable if file == place or file.startswith(f"{place}/")]
            for file in inside:
                if self._unreadable[file][2] != CLOSED:
                    (own.folder / file).unlink(missing_ok=True)
                    del self._unreadable[file]
            folder = own.folder / place
            if folder.is_dir() and not has_pictures(replace(own, folder=folder)):
                shutil.rmtree(folder)

    def _wanted(self, found: Iterable[Found], signatures: Mapping[str, str]) -> Iterator[_Wanted]:
        """The files to look into."""
        for block in _batches(iter(found), LOOK):
            self._check()
            known = self._store.known([picture.file for picture in block])
            for picture in block:
                self._seen.add(picture.file)
                entry = known.get(picture.file)
                same = entry is not None and (entry.size, entry.mtime_ns) == (picture.size, picture.mtime_ns)
                bad = self._told.get(picture.file)
                label = picture.source.label
                if bad is not None and bad[:2] == (picture.size, picture.mtime_ns) and bad[2] != CLOSED:
                    self._unreadable[picture.file] = bad
                    self._broken += 1
                elif not same:
                    yield _Wanted(picture, entry, whole=True)
                elif self._afresh or signatures[label] != self.settings.described.get(label):
                    yield _Wanted(picture, entry, whole=False, renew=self._afresh)

    def _read(self, wanted: _Wanted) -> _Read:
        """In a thread: hash, decode and scale, or only describe again."""
        found, known = wanted.found, wanted.known
        if known is not None and not wanted.whole:
            return _Read(wanted, _still_captioned(self._entry(found, known.digest), known))
        try:
            digest = content_hash(found.path, self._check)
            picture = self._prepare(read_picture(found.path, side=self._embedder.side))
        except (UnreadablePicture, OSError) as error:
            wrong = str(error) if isinstance(error, UnreadablePicture) else CLOSED
            return _Read(wanted, Entry(found.file, ""), wrong=wrong)
        return _Read(wanted, self._entry(found, digest), picture)

    def _entry(self, found: Found, digest: str) -> Entry:
        """What is known beside the picture, then inside it, then what its file is called."""
        relative = clean(found.relative)  # the disk may spell it otherwise: macOS decomposes
        stem = clean_line(PurePosixPath(relative).stem.replace("-", " ").replace("_", " "))
        category = folder_category(relative.removeprefix(f"{UPLOADS}/"))
        called = Described(name=stem, fields={"category": category} if category else {})
        beside = self._described(found.source).of(found.relative)
        known = beside.filled_from(describe_picture(found.path)).filled_from(called)
        return Entry(
            file=found.file,
            digest=digest,
            size=found.size,
            mtime_ns=found.mtime_ns,
            name=known.name,
            caption=known.caption,
            source=known.source,
            licence=known.licence,
            fields=known.fields,
        )

    def _described(self, source: Source) -> Metadata:
        """Read once a pass; readers that come meanwhile wait for it."""
        with self._reading:
            if source.label not in self._metadata:
                self._metadata[source.label] = read_metadata(source.folder, self._check, source.reach)
            return self._metadata[source.label]

    def _remarks(self) -> tuple[tuple[Skipped, ...], int, tuple[str, ...]]:
        """What came of the metadata of all sources: problems, rows without a picture, names of three."""
        read = [
            (source, self._metadata[source.label])
            for source in self._sources
            if source.label in self._metadata
        ]
        problems = tuple(
            Skipped(source.file(problem.file), problem.reason)
            for source, metadata in read
            for problem in metadata.problems
        )
        names = [name for _, metadata in read for name in metadata.unmatched_names]
        return problems, sum(metadata.unmatched for _, metadata in read), tuple(names[:NAMED])

    def _write(self, batch: Sequence[_Read]) -> None:
        for read in batch:
            found = read.wanted.found
            if read.wrong:
                self._unreadable[found.file] = (found.size, found.mtime_ns, read.wrong)
                self._broken += 1
        usable = [read for read in batch if not read.done]
        if not usable:
            return
        vectors = self._store.vectors({read.entry.digest for read in usable})
        new = {
            read.entry.digest: read.picture
            for read in usable
            if read.picture is not None and read.entry.digest not in vectors
        }
        if new:
            embedded = np.asarray(self._embedder.embed_images(list(new.values())), np.float32)
            vectors.update(zip(new, embedded, strict=True))
        self._store.write(
            [read.entry for read in usable], np.stack([vectors[read.entry.digest] for read in usable])
        )
        self._added += sum(read.wanted.known is None for read in usable)
        self._changed += sum(read.wanted.known is not None and not read.same for read in usable)

    def _forget(self) -> int:
        """Remove entries whose file is gone; what lies in a folder that is away as a whole is taken to come back."""
        missing = [
            file
            for file in self._store.files()
            if (file not in self._seen or file in self._unreadable) and not self._is_away(file)
        ]
        removed = 0
        for block in _batches(iter(missing), LOOK):
            self._check()
            known = self._store.known(block)
            removed += self._store.remove([file for file in block if known[file].mtime_ns != ELSEWHERE])
        return removed

    def _is_away(self, file: str) -> bool:
        """Whether it lies in a source, or behind a folder or link, that cannot be read at the moment."""
        above = [str(folder) for folder in PurePosixPath(file).parents][:-1]  # the nearest first
        source = above[-1] if above and above[-1] in self.settings.folders else ""
        return source in self._away or any(
            self._unreadable[folder][2] in AWAY for folder in above if folder in self._unreadable
        )


def _still_captioned(entry: Entry, known: Entry) -> Entry:
    """A caption that a model wrote stands in no file; it stays until a person says something of the picture."""
    writer = known.fields.get(WRITTEN_BY)
    if writer is None or entry.caption:
        return entry
    return replace(entry, caption=known.caption, fields={**entry.fields, WRITTEN_BY: writer})


def finished(events: Iterable[Progress | Report]) -> Report:
    """Go through with it and return the report."""
    reports = [event for event in events if isinstance(event, Report)]
    return reports[-1]


def _ahead(read: Callable[[_Wanted], _Read], wanted: Iterator[_Wanted]) -> Iterator[_Read]:
    """Results in order, `AHEAD` of them in the making."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as readers:
        waiting: deque[Future[_Read]] = deque()
        try:
            for item in wanted:
                waiting.append(readers.submit(read, item))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _growing(items: Iterator[T]) -> Iterator[list[T]]:
    size = min(FIRST, BATCH)
    while batch := list(islice(items, size)):
        yield batch
        size = min(2 * size, BATCH)


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(items, size)):
        yield batch
