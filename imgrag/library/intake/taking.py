"""Taking in what is given to a library: pictures are copied and zips unpacked, both below its `uploads`.

What is copied is whole or not there, and keeps its name, composed (NFC) and short enough for any disk.
"""

from __future__ import annotations

import errno
import stat
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from imgrag.errors import LibraryError
from imgrag.library.base import Skipped
from imgrag.library.engines.store import Store
from imgrag.library.intake.adding import ELSEWHERE
from imgrag.library.intake.archives import MAX_PART, unpack_pictures
from imgrag.library.intake.pictures import content_hash
from imgrag.library.intake.shards import read_shards
from imgrag.library.intake.sources import cannot_write
from imgrag.models import Embedder
from imgrag.texts import clean_line

_BLOCK = 2**20
_ABOUT_THE_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))


def kind_of(path: Path) -> str:
    """ "folder", "file", or "" for anything else, be it a pipe or a path that no disk can have."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else ""


def take_picture(path: Path, uploads: Path, check: Callable[[], None]) -> Path:
    """Copy a picture in, unless it is there already; returns where it lies.

    Raises:
        LibraryError: it cannot be read, or the disk does not take it.
    """
    try:
        target = uploads / _fitting(path)
        if target.is_file() and content_hash(target, check) == content_hash(path, check):
            return target
        uploads.mkdir(exist_ok=True)  # and not the library's folder, which may have been deleted
        target = free_path(target)
        partial = uploads / f".{uuid.uuid4().hex}.partial"
        try:
            with path.open("rb") as source, partial.open("xb") as copy:
                _copy(source, copy, check)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(error) from error
    return target


def take_zip(archive: Path, uploads: Path, check: Callable[[], None]) -> tuple[Path, tuple[Skipped, ...]]:
    """Unpack a zip into a folder called after it; returns that and what was left out, as `zip/file`.

    Raises:
        LibraryError: see `unpack_pictures`.
    """
    name = _fitting(archive.with_suffix(""))
    folder = free_path(uploads / name)
    skipped = unpack_pictures(archive, folder, check).skipped
    return folder, tuple(Skipped(f"{name}.zip/{left.file}", left.reason) for left in skipped)


def take_shard(shard: Path, store: Store, embedder: Embedder, check: Callable[[], None]) -> int:
    """Entries whose embeddings were computed elsewhere. They need no picture here to be found."""
    count = 0
    for entries, vectors, model_id in read_shards([shard], check):
        if model_id not in ("", embedder.model_id) or vectors.shape[1] != embedder.dimensions:
            raise LibraryError(
                f"{shard.name!r} holds embeddings of {model_id or 'a model it does not name'} with "
                f"{vectors.shape[1]} dimensions; this library is searched by {embedder.model_id} with "
                f"{embedder.dimensions}. Compute them with that model."
            )
        known = store.known([entry.file for entry in entries])
        new = [n for n, entry in enumerate(entries) if entry.file not in known]
        store.write([replace(entries[n], mtime_ns=ELSEWHERE) for n in new], vectors[new])
        count += len(new)
    return count


def is_about_the_disk(error: LibraryError) -> bool:
    """Whether the next file would fare no better."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _ABOUT_THE_DISK


def free_path(path: Path) -> Path:
    """The path, or with a number if it is taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _copy(source: BinaryIO, copy: BinaryIO, check: Callable[[], None]) -> None:
    while block := source.read(_BLOCK):
        check()
        copy.write(block)


def _fitting(path: Path) -> str:
    """A name for what is taken in: plain text, not hidden, and room is left for a number and a suffix."""
    most = MAX_PART - len(path.suffix.encode("utf-8", "replace"))
    stem = clean_line(path.stem).encode()[:most].decode("utf-8", "ignore").strip(". ") or "picture"
    return stem + clean_line(path.suffix)
