"""The files that lie beside pictures: which there are, and how they say which picture they speak of."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MAX_FILE_BYTES = 512 * 2**20  # of one file, and of what a compressed one unfolds to


def files_below(root: Path) -> Iterator[str]:
    """All files below `root` but hidden ones, relative to it."""
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        place = Path(folder).relative_to(root).as_posix()
        yield from (posixpath.normpath(f"{place}/{name}") for name in names if not name.startswith("."))


def is_inside(root: Path, path: Path) -> bool:
    """Whether a path lies below `root` when its links are followed."""
    return path.resolve().is_relative_to(root.resolve())


def checked(path: Path) -> Path:
    """The path. Raises ValueError if it is no regular file, or one too large to be read."""
    if not path.is_file():
        raise ValueError("it is no regular file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES // 2**20} MB")
    return path


def folder_category(file: str) -> str:
    """The folder a picture lies in: "cats/tom.jpg" -> "cats"; "" if it lies in none."""
    return PurePosixPath(file).parent.name
