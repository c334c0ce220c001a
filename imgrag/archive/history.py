"""The runs that were kept: whose they are, which are pinned, and which make room when the disk is full.

A person's runs are known by an owner, a hash of what only that person's browser holds. A run without
an owner, such as a command's, is in nobody's history.
"""

from __future__ import annotations

import hmac
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgrag.archive import records
from imgrag.archive.restoring import open_run
from imgrag.errors import RecordError
from imgrag.runs.values import Run

PINNED = "pinned"  # an empty file in a run's folder
SETTLED = 2.0  # seconds; file systems tell two changes apart if they are so far from each other


@dataclass(frozen=True)
class Entry:
    """A line of a history. `state` is a run's, or "interrupted" where its process ended in the middle."""

    id: str
    prompt: str
    seed: int
    started: str
    state: str
    kept: int
    library: str
    parent: str
    picture: Path | None  # its result, or what it has of one
    pinned: bool = False


class History:
    """The runs below a folder. Every method takes the owner, and to others a run does not exist.

    Whose a run is never changes, so it is read once: of thousands of runs, a history opens its own.
    """

    def __init__(self, results: Path) -> None:
        self._results = results
        self._owners: dict[str, str] = {}  # by id

    def entries(self, owner: str, limit: int | None = None) -> list[Entry]:
        """The owner's runs, newest first."""
        if not owner:
            return []
        found: list[Entry] = []
        for run_id in self._newest_first():
            if limit is not None and len(found) == limit:
                break
            if not _same(self._owners.get(run_id, owner), owner):
                continue
            with suppress(RecordError):
                record = records.open_record(self._results, run_id)
                self._owners[run_id] = sys.intern(_owner(record))
                if _is_of(record, owner):
                    found.append(_entry(record, self._results / run_id))
        return found

    def _newest_first(self) -> Sequence[str]:
        """All ids; owners of runs that have gone are forgotten."""
        ids = sorted(_ids(self._results), reverse=True)
        known = self._owners
        self._owners = {run_id: known[run_id] for run_id in ids if run_id in known}
        return ids

    def open(self, run_id: str, owner: str) -> Run:
        """A run with its pictures.

        Raises:
            RecordError: the owner has no such run.
        """
        self._folder(run_id, owner)
        return open_run(self._results, run_id)

    def pin(self, run_id: str, owner: str, pinned: bool) -> None:
        """Keep a run from making room for others, or no longer. Raises what `open` raises."""
        mark = self._folder(run_id, owner) / PINNED
        if pinned:
            mark.touch()
        else:
            mark.unlink(missing_ok=True)

    def delete(self, run_id: str, owner: str) -> None:
        """Remove a run. Raises what `open` raises, and
        RecordError: the run is at work.
        """
        folder = self._folder(run_id, owner)
        if records.open_record(self._results, run_id).get("state") == "running":
            raise RecordError("This run is at work. Stop it before you delete it.")
        _remove(folder)

    def _folder(self, run_id: str, owner: str) -> Path:
        record = records.open_record(self._results, run_id)
        if not _is_of(record, owner):
            raise RecordError(f"There is no run {run_id}.")
        return self._results / run_id


class Room:
    """Keeps what all runs below a folder take at most `cap` bytes: the oldest that nobody pinned go.

    What is left of a run that was half removed, or that nobody can read, counts and goes like a run. A
    run's folder is measured again only when something in it has changed.
    """

    def __init__(self, results: Path, cap: int) -> None:
        self._results = results
        self._cap = cap
        self._known: dict[str, tuple[int, int]] = {}  # by id: when it last changed in ns, bytes

    def make(self, spare: str = "") -> int:
        """Remove runs until the others fit; returns how many went.

        Args:
            spare: the id of a run that stays in any case. Runs that are at work stay as well.
        """
        sizes = self._sizes()
        total, removed = sum(sizes.values()), 0
        for run_id, size in sizes.items():
            if total <= self._cap:
                break
            if run_id != spare and not _stays(self._results, run_id):
                _remove(self._results / run_id)
                total, removed = total - size, removed + 1
        return removed

    def _sizes(self) -> dict[str, int]:
        """Bytes by id, oldest first."""
        before, self._known = self._known, {}
        sizes, now = {}, time.time_ns()
        for run_id, changed in sorted(_changes(self._results)):
            measured, size = before.get(run_id, (None, 0))
            sizes[run_id] = size if measured == changed else _size(self._results / run_id)
            if now - changed > SETTLED * 1e9:
                self._known[run_id] = changed, sizes[run_id]
        return sizes


def _stays(results: Path, run_id: str) -> bool:
    if (results / run_id / PINNED).exists():
        return True
    try:
        return records.open_record(results, run_id).get("state") == "running"
    except RecordError:
        return False


def _ids(results: Path) -> Iterator[str]:
    if results.is_dir():
        yield from (folder.name for folder in results.iterdir() if records.is_id(folder.name))


def _changes(results: Path) -> Iterator[tuple[str, int]]:
    """The ids, each with when a file last came into its folder or left it, in ns."""
    if results.is_dir():
        with os.scandir(results) as folders:
            for folder in folders:
                with suppress(OSError):  # it has gone since
                    if records.is_id(folder.name):
                        yield folder.name, folder.stat().st_mtime_ns


def _size(folder: Path) -> int:
    total = 0
    with suppress(OSError):  # it may be going at this moment
        total = sum(file.stat().st_size for file in folder.iterdir())
    return total


def _remove(folder: Path) -> None:
    """The record goes first, so that a run that is half removed is none."""
    with suppress(OSError):
        (folder / records.RECORD).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _is_of(record: dict[str, Any], owner: str) -> bool:
    return bool(owner) and _same(_owner(record), owner)


def _owner(record: dict[str, Any]) -> str:
    return str(record.get("owner", ""))


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _entry(record: dict[str, Any], folder: Path) -> Entry:
    try:
        kept = int(record["kept"])
        best = record.get("result") or (record.get("enhanced") if kept else None) or record.get("initial")
        return Entry(
            id=folder.name,
            prompt=str(record["prompt"]),
            seed=int(record["seed"]),
            started=str(record["started"]),
            state=str(record.get("state", "finished")),
            kept=kept,
            library=str(record["library"]),
            parent=str(record.get("parent", "")),
            picture=folder / str(best) if best else None,
            pinned=(folder / PINNED).exists(),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"The record of the run {folder.name} cannot be read.") from error
