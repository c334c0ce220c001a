"""The libraries by name: one folder each, below `datasets/libraries` or where the operator says."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
from pathlib import Path

from imgrag.errors import LibraryError
from imgrag.library.engines.sqlite_file import FILE as EMBEDDED
from imgrag.library.engines.store import Store
from imgrag.library.images import ImageLibrary
from imgrag.library.intake.sources import FILE as SETTINGS
from imgrag.library.intake.sources import STATE, Settings, load_settings, save_settings
from imgrag.models.checkpoints import PROJECT

LIBRARIES_VARIABLE = "IMGRAG_LIBRARIES"
TOKEN_VARIABLE = "IMGRAG_MILVUS_TOKEN"
_NAME = re.compile(r"[^\W_][\w .-]{0,98}[\w-]|[^\W_]")
log = logging.getLogger(__name__)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)  # no folders on Windows


def libraries_folder() -> Path:
    """Where named libraries lie: `IMGRAG_LIBRARIES`, else `datasets/libraries` of the project."""
    return Path(os.environ.get(LIBRARIES_VARIABLE) or PROJECT / "datasets" / "libraries")


def library_names(root: Path) -> list[str]:
    """The named libraries below `root`."""
    folders = root.iterdir() if root.is_dir() else ()
    return sorted(folder.name for folder in folders if folder.is_dir() and _NAME.fullmatch(folder.name))


def open_library(name_or_folder: str, root: Path, cache: Path) -> ImageLibrary:
    """The library of that name below `root`, else that folder of images.

    What is remembered of a named library lies inside it, and is read from there even where it cannot be
    written: such a library is searched as it is. Of any other folder, and of a named one that remembers
    nothing and cannot be written, it lies below `cache`; where that cannot be written either, only until
    the end.

    Raises:
        LibraryError: there is neither, or its store cannot be opened.
    """
    named = name_or_folder in library_names(root)
    folder = root / name_or_folder if named else _plain_folder(name_or_folder, root)
    elsewhere = cache / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:20]
    own = [folder / STATE] if named else []
    complete = next((state for state in own if _remembers(state) and not _is_writable(state)), None)
    state = complete or _writable([*own, elsewhere])
    settings = load_settings(state)
    writable = complete is None
    return ImageLibrary(folder, state, lambda: _open_store(settings, state, folder.name, writable), writable)


def create_library(name: str, root: Path, uri: str = "") -> None:
    """Make an empty library. With a Milvus URI its entries are kept there.

    Raises:
        LibraryError: the name is taken or cannot be one, or Milvus cannot be reached.
    """
    name = _free_name(name, root)
    if uri:
        _open_store(Settings(engine=uri), root / name / STATE, name).close()
    try:
        (root / name).mkdir(parents=True)
        save_settings(Settings(engine=uri), root / name / STATE)
    except OSError as error:
        raise LibraryError(
            f"The library {name!r} cannot be made: the folder of libraries cannot be written."
        ) from error


def rename_library(old: str, new: str, root: Path) -> None:
    """Give a library that is not open another name.

    Raises:
        LibraryError: there is no such library, the new name is taken, or Milvus knows it by the old one.
    """
    _require(old, root)
    if load_settings(root / old / STATE).engine:
        raise LibraryError(f"The library {old!r} is kept in Milvus, where its name is fixed. Make a new one.")
    (root / old).rename(root / _free_name(new, root))


def delete_library(name: str, root: Path) -> None:
    """Delete a library that is not open, with the pictures in its folder; folders added to it stay.

    Raises:
        LibraryError: there is no such library.
    """
    _require(name, root)
    state = root / name / STATE
    settings = load_settings(state)
    if settings.engine:
        _open_store(settings, state, name).drop()
    doomed = root / f".{name}.partial"
    (root / name).rename(doomed)
    shutil.rmtree(doomed)


def _open_store(settings: Settings, state: Path, name: str, writable: bool = True) -> Store:
    if settings.engine:
        from imgrag.library.engines.milvus import MilvusStore

        return MilvusStore(settings.engine, name, os.environ.get(TOKEN_VARIABLE, ""))
    from imgrag.library.engines.sqlite import EmbeddedStore

    return EmbeddedStore(state, writable)


def _remembers(state: Path) -> bool:
    """Whether a library's entries are there, or at least where they are kept."""
    return (state / EMBEDDED).is_file() or (
        (state / SETTINGS).is_file() and bool(load_settings(state).engine)
    )


def _writable(folders: list[Path]) -> Path:
    """The first of the folders that can be written, made if need be, else a temporary one."""
    found = next(filter(_is_writable, folders), None)
    return found or Path(tempfile.mkdtemp(prefix="imgrag-"))


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        log.info("%s cannot be written: %s", folder, error)
        return False


def typed_folder(text: str) -> Path | None:
    """The folder of this machine that a person means, `None` if there is none."""
    try:
        folder = Path(text).expanduser()
        return folder if text.strip() and folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # a name too long for a file, nobody's home, a NUL
        return None


def _plain_folder(text: str, root: Path) -> Path:
    folder = typed_folder(text)
    if folder is None:
        known = ", ".join(library_names(root)) or "none yet"
        raise LibraryError(
            f"There is no library {text!r}. Known are: {known}. A folder of images will do too."
        )
    return folder


def _require(name: str, root: Path) -> None:
    if name not in library_names(root):
        known = ", ".join(library_names(root)) or "none yet"
        raise LibraryError(f"There is no library {name!r}. Known are: {known}.")


def _free_name(name: str, root: Path) -> str:
    name = name.strip()
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise LibraryError(
            f"{name[:100]!r} cannot be a library's name. Use 1 to 100 letters, digits, spaces, dots, _ and -, "
            "beginning with a letter or digit."
        )
    if name.casefold() in (taken.casefold() for taken in library_names(root)):
        raise LibraryError(f"There is a library {name!r} already. Choose another name.")
    return name
