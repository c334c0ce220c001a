"""The runs that were kept: whose they are, which are pinned, and which make room when the disk is full.

A person's runs are known by an owner, a hash of what only that person's browser holds. A run without
an owner, such as a command's, is in nobody's history.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgrag.archive import marks, records
from imgrag.archive.bundles import write_bundle
from imgrag.archive.checked import text_of, whole_of
from imgrag.archive.marks import PINNED
from imgrag.archive.reading import reading_of, verdict_of
from imgrag.archive.restoring import open_run
from imgrag.errors import RecordError
from imgrag.runs.reading import Reading
from imgrag.runs.values import MAX_PROMPT, MAX_SEED, Run, Verdict

DAMAGED = "damaged"
DRAWN = re.compile(r"(?:initial|result|enhanced(?:-[2-9])?)\.png")
SETTLED = 2.0  # seconds; file systems tell two changes apart if they are so far from each other


@dataclass(frozen=True)
class Entry:
    """A line of a history.

    `state` is a run's, or "interrupted" where its process ended in the middle, or "damaged" where the
    record cannot be read: such a run can only be deleted.
    """

    id: str
    prompt: str = ""
    title: str = ""  # the prompt, or as a person read it last
    seed: int = 0
    started: str = ""
    state: str = DAMAGED
    kept: int = 0
    library: str = ""
    corrected: bool = False  # whether a person changed anything of it
    picture: Path | None = None  # its result, or what it has of one
    pinned: bool = False
    verdict: Verdict | None = None  # on that picture
    reading: Reading | None = None
    name: str = ""  # that a person gave it
    shared: bool = False  # whether anybody who has its link may look at it

    def has(self, words: str) -> bool:
        """Whether each of these words stands in its prompt, its name or the names of its things, in any case."""
        things = self.reading.things if self.reading is not None else ()
        texts = (self.prompt, self.title, self.name, *(thing.name for thing in things))
        whole = "\n".join(texts).casefold()
        return all(word in whole for word in words.casefold().split())


class History:
    """The runs below a folder. Every method takes the owner, and to others a run does not exist.

    Whose a run is never changes, so it is read once: of thousands of runs, a history opens its own.
    """

    def __init__(self, results: Path) -> None:
        self._results = results
        self._owners: dict[str, str] = {}  # by id

    def entries(self, owner: str, limit: int | None = None, words: str = "") -> list[Entry]:
        """The owner's runs, newest first; with `words`, those that have them."""
        if not owner:
            return []
        found: list[Entry] = []
        for run_id in self._newest_first():
            if limit is not None and len(found) == limit:
                break
            if not _same(self._owners.get(run_id, owner), owner):
                continue
            record = self._look(run_id)
            entry = _entry(record, self._results / run_id) if self._is_of(run_id, owner) else None
            if entry is not None and entry.has(words):
                found.append(entry)
        return found

    def entry(self, run_id: str, owner: str) -> Entry:
        """The line of one run. Raises what `open` raises."""
        folder = self._folder(run_id, owner)
        return _entry(self._look(run_id), folder) or Entry(run_id)

    def _look(self, run_id: str) -> dict[str, Any] | None:
        """The record of a run, `None` if it is damaged or gone. Whose it is, if that can be told, is known then."""
        try:
            record = records.open_record(self._results, run_id)
            owner: str | None = str(record.get("owner", ""))
        except RecordError:
            record, owner = None, records.owner_in(self._results / run_id / records.RECORD)
        if owner is not None:
            self._owners[run_id] = sys.intern(owner)
        return record

    def _is_of(self, run_id: str, owner: str) -> bool:
        return bool(owner) and _same(self._owners.get(run_id, ""), owner)

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

    def twin(self, run: Run, owner: str) -> str:
        """The id of the owner's run that is this one, though it may have come from a file; "" without one."""
        lasting = _lasting(json.loads(json.dumps(records.record(run))))
        alike = (entry for entry in self.entries(owner) if entry.prompt == run.request.prompt)
        return next((entry.id for entry in alike if _lasting(self._look(entry.id) or {}) == lasting), "")

    def drawn_from(self, carried: Mapping[str, Any], owner: str) -> str:
        """The id of the owner's run whose PNG carries this record, "" without one."""
        alike = (entry for entry in self.entries(owner) if entry.prompt == carried.get("prompt"))
        return next((entry.id for entry in alike if self._carries(entry.id, carried)), "")

    def _carries(self, run_id: str, carried: Mapping[str, Any]) -> bool:
        found = self._look(run_id) or {}
        with suppress(AttributeError, TypeError):  # it is damaged
            return found.get("state") == "finished" and records.reproducible(found) == carried
        return False

    def pin(self, run_id: str, owner: str, pinned: bool) -> None:
        """Keep a run from making room for others, or no longer. Raises what `open` raises."""
        mark = self._folder(run_id, owner) / PINNED
        if pinned:
            mark.touch()
        else:
            mark.unlink(missing_ok=True)

    def name(self, run_id: str, owner: str, name: str) -> None:
        """Call a run so; "" takes its name away. Raises what `open` raises, and RecordError: it cannot be kept."""
        marks.give_name(self._folder(run_id, owner), name)

    def bundle(self, run_ids: Sequence[str], owner: str, target: Path) -> Path:
        """These runs as one zip; returns `target`. Raises what `open` and `write_bundle` raise."""
        return write_bundle([self._folder(run_id, owner) for run_id in run_ids], target)

    def share(self, run_id: str, owner: str) -> str:
        """The token under which anybody may look at a finished run. Raises what `name` raises."""
        folder = self._folder(run_id, owner)
        if records.open_record(self._results, run_id).get("state") != "finished":
            raise RecordError("This run is not finished. Go on with it, then share it.")
        return marks.share(folder)

    def unshare(self, run_id: str, owner: str) -> None:
        """Take a run's link back. Raises what `name` raises, and RecordError: it has none."""
        folder = self._folder(run_id, owner)
        if not marks.link_of(folder):
            raise RecordError("There is no link to this run.")
        marks.unshare(folder)

    def delete(self, run_id: str, owner: str) -> None:
        """Remove a run. Raises what `open` raises, and
        RecordError: the run is at work.
        """
        folder = self._folder(run_id, owner)
        if _is_at_work(self._results, run_id):
            raise RecordError("This run is at work. Stop it before you delete it.")
        _remove(folder)

    def _folder(self, run_id: str, owner: str) -> Path:
        folder = records.run_folder(self._results, run_id)
        self._look(run_id)
        if not folder.is_dir() or not self._is_of(run_id, owner):
            raise RecordError(f"There is no run {run_id}.")
        return folder


def _lasting(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in records.PASSING}


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
    return (results / run_id / PINNED).exists() or _is_at_work(results, run_id)


def _is_at_work(results: Path, run_id: str) -> bool:
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


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _entry(record: dict[str, Any] | None, folder: Path) -> Entry | None:
    """The line of a run, `None` if it has gone since."""
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        if record is not None:
            return _read(record, folder)
    return Entry(folder.name) if (folder / records.RECORD).exists() else None


def _read(record: dict[str, Any], folder: Path) -> Entry:
    """The line of a record. Raises KeyError, TypeError, ValueError or OverflowError: it is damaged."""
    kept, seed = whole_of(record["kept"]), whole_of(record["seed"])
    best = record.get("result") or (record.get("enhanced") if kept else None) or record.get("initial")
    if not 0 <= seed <= MAX_SEED or (best and not DRAWN.fullmatch(text_of(best))):
        raise ValueError("a seed or a file that no run has")
    return Entry(
        id=folder.name,
        prompt=text_of(record["prompt"])[:MAX_PROMPT],
        title=title_of(record)[:MAX_PROMPT],
        seed=seed,
        started=text_of(record["started"]),
        state=text_of(record.get("state", "finished")),
        kept=kept,
        library=text_of(record["library"]),
        corrected=bool(text_of(record.get("parent", "")) or record.get("corrections")),
        picture=folder / best if best else None,
        pinned=(folder / PINNED).exists(),
        verdict=_judged(record, kept),
        reading=reading_of(record),
        name=marks.name_of(folder),
        shared=bool(marks.link_of(folder)),
    )


def title_of(record: Mapping[str, Any]) -> str:
    """What a run is called: its prompt, or a person's own reading of it. Raises ValueError: it is no text."""
    read = [row["after"] for row in record.get("corrections", ()) if row["what"] == "reading"]
    return text_of([record["prompt"], *read][-1])


def _judged(record: dict[str, Any], kept: int) -> Verdict | None:
    """The verdict on the image that was kept, `None` before there is one. Raises what `_read` raises."""
    rounds = record.get("rounds", [])
    if not rounds:
        return None
    row = rounds[kept - 1].get("second_verdict") if kept else rounds[0].get("verdict")
    return verdict_of(row)
