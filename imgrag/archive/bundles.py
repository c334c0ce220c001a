"""Many runs in one zip, a folder each: its pictures, of which those of a finished run carry it, and its record."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imgrag.archive import records
from imgrag.archive.marks import name_of
from imgrag.archive.writers import partial_prefix
from imgrag.errors import RecordError

NEVER = 1980, 1, 1, 0, 0, 0
"""The first moment that a zip knows; with the clock no two zips would be the same."""
CALLED = 40  # characters of a folder's name before the run's id


def write_bundle(folders: Sequence[Path], target: Path) -> Path:
    """The runs in these folders as one zip; returns `target`. It does not say whose they are.

    Raises:
        RecordError: one of them cannot be read, or the zip cannot be written.
    """
    try:
        with new_zip(target) as archive:
            for folder in folders:
                _add(archive, folder)
    except OSError as error:
        raise RecordError("The zip of these runs cannot be written. Look at the history again.") from error
    return target


@contextmanager
def new_zip(target: Path) -> Iterator[zipfile.ZipFile]:
    """A zip to put files into, which is at `target` once all are in it, and nowhere if that fails."""
    partial = target.with_name(f"{partial_prefix()}{target.name}")
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            yield archive
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, folder: Path) -> None:
    record = {**records.open_record(folder.parent, folder.name), "owner": ""}
    record.pop("worker", None)  # a process of this machine
    called = re.sub(r"[^\w -]+", "", name_of(folder) or str(record.get("prompt", "")))[:CALLED].strip()
    place = f"{called} {folder.name}".strip()
    for name in record.get("pixels", {}):
        if name == Path(name).name:  # a record that is damaged may name anything
            put(archive, f"{place}/{name}", (folder / name).read_bytes())
    put(archive, f"{place}/{records.RECORD}", json.dumps(record, indent=2) + "\n")


def put(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    """Add a file so that the same files make the same zip, whenever it is made: it is then served as one."""
    entry = zipfile.ZipInfo(name, NEVER)
    entry.external_attr = 0o644 << 16  # or nobody may read what is unpacked
    archive.writestr(entry, content)
