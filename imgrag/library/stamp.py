"""What a library is at a moment, in a word: what was found then is found as long as the word is the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from imgrag.library.engines.store import Store
from imgrag.library.intake.sources import Source


@dataclass(frozen=True)
class Stamp:
    """Which library it is, what its store keeps, and what lies in its folders.

    Attributes:
        kept: "" where nobody can tell; nothing is remembered of such a library.
        lies: "" where nobody follows the folders.
    """

    place: str
    kept: str
    lies: str


def stamp_of(folder: Path, store: Store, followed: Iterable[Source], whole: bool) -> Stamp:
    """The stamp of a library in `folder`.

    Args:
        followed: the sources whose files every search looks at.
        whole: whether files are looked at too; else only whether any came, went or was renamed.
    """
    lines = "\n".join(line for source in followed for line in _lines(source, whole))
    lies = hashlib.blake2b(os.fsencode(lines), digest_size=16).hexdigest() if lines else ""
    return Stamp(str(folder), store.stamp(), lies)


def _lines(source: Source, whole: bool) -> Iterator[str]:
    """A line for each folder and file that is not hidden; links are followed as far as `walking` follows them.

    The time of the last change of the entry itself counts too: a file that may be read again has no other.
    """
    reach, met = os.path.realpath(source.reach), set[tuple[int, int]]()
    waiting = [str(source.folder)]
    while waiting:
        folder = waiting.pop()
        try:
            status = Path(folder).stat()
            yield f"{folder}/{status.st_ino},{status.st_mtime_ns},{status.st_ctime_ns}"
            if (status.st_dev, status.st_ino) in met:
                continue
            met.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or _leads_out(entry, reach):
                        continue
                    if entry.is_dir():
                        waiting.append(entry.path)
                    elif whole:
                        yield _line(entry)
        except OSError as error:
            yield f"{folder}: {error.errno}"


def _line(entry: os.DirEntry[str]) -> str:
    """Of a file; a link may lead nowhere."""
    try:
        status = entry.stat()
    except OSError as error:
        return f"{entry.name}: {error.errno}"
    return f"{entry.name},{status.st_size},{status.st_mtime_ns},{status.st_ctime_ns}"


def _leads_out(entry: os.DirEntry[str], reach: str) -> bool:
    return entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(reach)
