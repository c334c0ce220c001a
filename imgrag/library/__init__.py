"""The reference library: pictures with names, captions, sources and licences, searched by CLIP.

Stages know the `Library` protocol and `is_literal`; where the pictures lie and how they are
found is the business of the one class behind it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from imgrag.checkpoints import PROJECT
from imgrag.errors import LibraryError
from imgrag.library.base import Library, Skipped, is_literal
from imgrag.library.folder import FolderLibrary

__all__ = ["Library", "Skipped", "is_literal", "libraries_folder", "library_names", "open_library"]

LIBRARIES_VARIABLE = "IMGRAG_LIBRARIES"
_NAME = re.compile(r"[\w][\w .-]{0,99}")


def libraries_folder() -> Path:
    """Where named libraries lie: `IMGRAG_LIBRARIES`, else `datasets/libraries` of the project."""
    return Path(os.environ.get(LIBRARIES_VARIABLE) or PROJECT / "datasets" / "libraries")


def library_names(root: Path) -> list[str]:
    """The named libraries below `root`."""
    folders = root.iterdir() if root.is_dir() else ()
    return sorted(folder.name for folder in folders if folder.is_dir() and _NAME.fullmatch(folder.name))


def open_library(name_or_folder: str, root: Path, cache: Path) -> Library:
    """The library of that name below `root`, else that folder of images.

    Raises:
        LibraryError: there is neither, or it holds no picture.
    """
    if name_or_folder in library_names(root):
        return _filled(FolderLibrary(root / name_or_folder, cache))
    folder = Path(name_or_folder).expanduser()
    if not name_or_folder.strip() or "\x00" in name_or_folder or not folder.is_dir():
        known = ", ".join(library_names(root)) or "none yet"
        raise LibraryError(
            f"There is no library {name_or_folder!r}. Known are: {known}. A folder of images will do too."
        )
    return _filled(FolderLibrary(folder, cache))


def _filled(library: FolderLibrary) -> FolderLibrary:
    if not library.files():
        raise LibraryError(f"The library {library.name!r} holds no images. Put some into its folder.")
    return library
