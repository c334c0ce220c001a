"""The runs that were kept: whose they are, which are pinned, and which make room when the disk is full.

A person's runs are known by an owner, a hash of what only that person's browser holds. A run without
an owner, such as a command's, is in nobody's history.
"""

from __future__ import annotations

import hmac
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgrag import records
from imgrag.errors import RecordError
from imgrag.restoring import open_run
from imgrag.run import Run

PINNED = "pinned"  # an empty file in a run's folder


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
    """The runs below a folder. Every method takes the owner, and to others a run does not exist."""

    def __init__(self, results: Path) -> None:
        self._results = results

    def entries(self, owner: str, limit: int | None = None) -> list[Entry]:
        """The owner's runs, newest first."""
        if not owner:
            return []
        found = []
        for run_id in sorted(_ids(self._results), reverse=True):
            with suppress(RecordError):
                record = records.open_record(self._results, run_id)
                if _is_of(record, owner):
                    found.append(_entry(record, self._results / run_id))
            if limit is not None and len(found) == limit:
                break
        return found

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


def trim(results: Path, cap: int, spare: str = "") -> int:
    """Remove the oldest runs that nobody pinned until all take at most `cap` bytes; returns how many went.

    What is left of a run that was half removed, or that nobody can read, counts and goes like a run.

    Args:
        spare: the id of a run that stays in any case. Runs that are at work stay as well.
    """
    sizes = {run_id: _size(results / run_id) for run_id in sorted(_ids(results))}
    total, removed = sum(sizes.values()), 0
    for run_id, size in sizes.items():
        if total <= cap:
            break
        if run_id != spare and not _stays(results, run_id):
            _remove(results / run_id)
            total, removed = total - size, removed + 1
    return removed


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
    return bool(owner) and hmac.compare_digest(str(record.get("owner", "")).encode(), owner.encode())


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
