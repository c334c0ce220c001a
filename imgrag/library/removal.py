"""Pictures that were taken out of a library, and lie ready to be put back until they are forgotten.

Copies that a library made wait in a hidden folder beside those it has, so that nothing is copied
again; entries and vectors wait in memory, so that nothing is embedded again.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imgrag.library.engines.store import Entry, Store
from imgrag.library.intake.pictures import content_hash
from imgrag.library.intake.sources import UPLOADS
from imgrag.library.intake.taking import free_path

WAITING = ".removed"  # the folder inside `UPLOADS`, hidden as all are that no library looks into
KEPT_SECONDS = 86_400  # that copies outlive a process that was killed
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """What one model had of the pictures: entries, and vectors float32 [n, d]."""

    entries: tuple[Entry, ...]
    vectors: np.ndarray


@dataclass(frozen=True)
class Removal:
    """What was taken out at once.

    Attributes:
        token: names the folder in which the copies wait.
        files: the pictures by file.
        excluded: those of them that stay on the disk where they are, and are passed over from now on.
        rows: model id -> what is needed to find them again.
    """

    token: str
    files: tuple[str, ...]
    excluded: tuple[str, ...]
    rows: Mapping[str, Rows]

    @property
    def moved(self) -> list[str]:
        """The pictures that are copies of the library's own."""
        return [file for file in self.files if file not in self.excluded]


def noted(files: Sequence[str], stores: Iterable[Store]) -> Removal:
    """What has to be remembered of these pictures before they go."""
    excluded = tuple(file for file in files if not file.startswith(f"{UPLOADS}/"))
    rows = {store.model: _rows(files, store) for store in stores if store.model}
    return Removal(secrets.token_hex(8), tuple(files), excluded, rows)


def set_aside(removal: Removal, folder: Path) -> None:
    """Move the library's own copies to where they wait. What has vanished stays away."""
    for file in removal.moved:
        if (folder / file).exists():
            _move(folder / file, _place(removal, folder) / file)


def brought_back(removal: Removal, folder: Path) -> dict[str, str]:
    """Move the copies back; returns what each picture is called from now on.

    Meanwhile somebody may have added another of the same name, and it keeps that.
    """
    names = {file: file for file in removal.excluded}
    for file in removal.moved:
        waiting = _place(removal, folder) / file
        if not waiting.exists():
            continue
        target = folder / file
        if not target.exists() or content_hash(target) != content_hash(waiting):
            target = free_path(target)
            _move(waiting, target)
        names[file] = target.relative_to(folder).as_posix()
    forget(removal, folder)
    return names


def called(rows: Rows, names: Mapping[str, str], store: Store) -> Rows:
    """The rows under the names their pictures have now, without those that the store has again by itself."""
    known = store.known(list(names.values()))
    places = [n for n, e in enumerate(rows.entries) if e.file in names and names[e.file] not in known]
    entries = tuple(
        replace(entry, file=names[entry.file]) for entry in (rows.entries[place] for place in places)
    )
    return Rows(entries, rows.vectors[places])


def forget(removal: Removal, folder: Path) -> None:
    """Delete the copies for good."""
    shutil.rmtree(_place(removal, folder), ignore_errors=True)


def sweep(folder: Path) -> None:
    """Delete what a process that was killed has left waiting in a library's folder."""
    for left in (folder / UPLOADS / WAITING).glob("*"):
        try:
            if time.time() - left.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(left)
        except OSError as error:  # another process was faster, or it is not ours
            log.info("%s stays for now: %s", left.name, error)


def _rows(files: Sequence[str], store: Store) -> Rows:
    known = store.known(files).values()
    vectors = store.vectors({entry.digest for entry in known})
    entries = tuple(entry for entry in known if entry.digest in vectors)
    found = [vectors[entry.digest] for entry in entries]
    return Rows(entries, np.stack(found) if found else np.zeros((0, 0), np.float32))


def _place(removal: Removal, folder: Path) -> Path:
    return folder / UPLOADS / WAITING / removal.token


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
