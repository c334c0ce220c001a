"""The files that lie beside pictures: which there are, and how they say which picture they speak of."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from imgrag.library.intake.walking import IRREGULAR, walk

MAX_FILE_BYTES = 512 * 2**20  # of one file, and of what a compressed one unfolds to


def files_below(
    root: Path, check: Callable[[], None] = lambda: None, reach: Path | None = None
) -> Iterator[str]:
    """All regular files below `root` but hidden ones, relative to it; links are followed as far as `walk` does."""
    with contextlib.suppress(OSError):  # there is no such folder, or it cannot be listed
        yield from (file for file, _, why in walk(root, lambda name: True, reach, check) if not why)


def checked(path: Path) -> Path:
    """The path. Raises ValueError if it is no regular file, whose opening may never end, or one too large to be read."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(IRREGULAR)
    if status.st_size > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES // 2**20} MB")
    return path


def folder_category(file: str) -> str:
    """The folder a picture lies in: "cats/tom.jpg" -> "cats"; "" if it lies in none."""
    return PurePosixPath(file).parent.name
