"""The files that lie beside pictures: which there are, and how they say which picture they speak of."""

from __future__ import annotations

import os
import posixpath
import re
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
    """The path. Raises ValueError if the file is too large to be read."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES // 2**20} MB")
    return path


def place_below(folder: str, name: object) -> str:
    """A file's path relative to the root; "" if it is none, or outside of `folder`."""
    if not isinstance(name, str) or not name.strip():
        return ""
    inner = posixpath.normpath(name.strip().replace("\\", "/"))
    if inner.startswith(("/", "../")) or inner in (".", "..") or re.match(r"[A-Za-z]:", inner):
        return ""
    return posixpath.join(folder, inner)


def folder_category(file: str) -> str:
    """The folder a picture lies in: "cats/tom.jpg" -> "cats"; "" if it lies in none."""
    return PurePosixPath(file).parent.name
