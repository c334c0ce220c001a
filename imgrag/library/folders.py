"""Folders that are there whole or not at all: they are filled, and removed, under a name that nobody lists."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new folder that is `target` once the block has come to its end; where it raises, nothing is left.

    Raises:
        OSError: it cannot be made, or a folder that holds something is there already.
    """
    partial = _beside(target)
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove it with what is in it: from one moment to the next it is no longer there by its name.

    Raises:
        OSError: one of its files is in use.
    """
    doomed = _beside(folder)
    folder.rename(doomed)
    shutil.rmtree(doomed)


def _beside(folder: Path) -> Path:
    return folder.with_name(f".{secrets.token_hex(8)}.partial")
