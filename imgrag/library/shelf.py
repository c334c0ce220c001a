"""The libraries by name: one folder each, below `datasets/libraries` or where the operator says.

Those that come with the app are there whatever the operator says, and stay as they are.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from imgrag.errors import LibraryError
from imgrag.library.base import ReadOnly
from imgrag.library.engines.sqlite_file import FILE as EMBEDDED
from imgrag.library.engines.store import Store
from imgrag.library.folders import remove_folder, whole_folder
from imgrag.library.images import ImageLibrary
from imgrag.library.intake.sources import FILE as SETTINGS
from imgrag.library.intake.sources import STATE, Settings, load_settings, save_settings
from imgrag.models.checkpoints import PROJECT
from imgrag.texts import clean_line

BUNDLED = tuple(
    PROJECT / "datasets" / "libraries" / name for name in ("pocket", "shop")
)  # these come with the app
LIBRARIES_VARIABLE = "IMGRAG_LIBRARIES"
TOKEN_VARIABLE = "IMGRAG_MILVUS_TOKEN"
ROOM = 2**16  # bytes; SQLite makes a file of half of that beside each database that it opens
_NAME = re.compile(r"[^\W_][\w .-]{0,98}[\w-]|[^\W_]")
log = logging.getLogger(__name__)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)  # no folders on Windows


def libraries_folder() -> Path:
    """Where named libraries lie: `IMGRAG_LIBRARIES`, else `datasets/libraries` of the project."""
    return Path(os.environ.get(LIBRARIES_VARIABLE) or PROJECT / "datasets" / "libraries")


def library_folders(root: Path, bundled: Sequence[Path] = BUNDLED) -> dict[str, Path]:
    """The named libraries, name -> folder: those below `root` and those that come with the app.

    Where both have the name, it is the one below `root`: whoever put it there meant it.
    """
    own = root.iterdir() if root.is_dir() else ()
    named = [folder for folder in own if folder.is_dir() and is_name(folder.name)]
    found = {folder.name: folder for folder in (*bundled, *named) if folder.is_dir()}
    return {name: found[name] for name in sorted(found)}


def library_names(root: Path, bundled: Sequence[Path] = BUNDLED) -> list[str]:
    """The named libraries in alphabetical order."""
    return list(library_folders(root, bundled))


def open_library(
    name_or_folder: str, root: Path, cache: Path, bundled: Sequence[Path] = BUNDLED
) -> ImageLibrary:
    """The library of that name, else that folder of images.

    What is remembered of a named library lies inside it, and is read from there even where it cannot be
    written: such a library is searched as it is. Of any other folder, and of a named one that remembers
    nothing and cannot be written, it lies below `cache`; where that cannot be written either, only until
    the end.

    Raises:
        LibraryError: there is neither, or its store cannot be opened.
    """
    named = library_folders(root, bundled).get(name_or_folder)
    folder = named or _plain_folder(name_or_folder, root, bundled)
    elsewhere = cache / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:20]
    own = [folder / STATE] if named else []
    complete = next((state for state in own if _remembers(state) and not is_writable(state)), None)
    state = complete or writable_folder([*own, elsewhere])
    settings = load_settings(state)
    writable = complete is None
    return ImageLibrary(
        folder,
        state,
        lambda: _open_store(settings, state, folder.name, writable),
        writable,
        _is_bundled(folder, bundled),
    )


def create_library(name: str, root: Path, uri: str = "", bundled: Sequence[Path] = BUNDLED) -> None:
    """Make an empty library. With a Milvus URI its entries are kept there.

    Raises:
        LibraryError: the name is taken or cannot be one, or Milvus cannot be reached.
    """
    name = free_name(name, root, bundled)
    if uri:
        _open_store(Settings(engine=uri), root / name / STATE, name).close()
    try:
        (root / name).mkdir(parents=True)
        save_settings(Settings(engine=uri), root / name / STATE)
    except OSError as error:
        raise LibraryError(
            f"The library {name!r} cannot be made: the folder of libraries cannot be written."
        ) from error


def copy_library(library: ImageLibrary, name: str, root: Path, bundled: Sequence[Path] = BUNDLED) -> None:
    """Make a library with the pictures of another one, none of which is embedded again.

    Raises:
        LibraryError: the name is taken or cannot be one, the disk is full, or Milvus has the entries.
    """
    name = free_name(name, root, bundled)
    try:
        with whole_folder(root / name) as partial:
            library.copy_to(partial)
    except OSError as error:
        reason = error.strerror or "a file cannot be read or written"
        raise LibraryError(f"The library {library.name!r} could not be copied: {reason}.") from error


def rename_library(old: str, new: str, root: Path, bundled: Sequence[Path] = BUNDLED) -> None:
    """Give a library that is not open another name.

    Raises:
        LibraryError: what `check_rename` raises, or one of its files is in use.
    """
    new = check_rename(old, new, root, bundled)
    with told(old):
        (root / old).rename(root / new)


def check_rename(old: str, new: str, root: Path, bundled: Sequence[Path] = BUNDLED) -> str:
    """The new name as it will be.

    Raises:
        LibraryError: there is no such library, it comes with the app, the new name is taken, or Milvus knows
            it by the old one.
    """
    require_own(old, root, bundled)
    if load_settings(root / old / STATE).engine:
        raise LibraryError(f"The library {old!r} is kept in Milvus, where its name is fixed. Make a new one.")
    return free_name(new, root, bundled)


def delete_library(name: str, root: Path, bundled: Sequence[Path] = BUNDLED) -> None:
    """Delete a library that is not open, with the pictures in its folder; folders added to it stay.

    Raises:
        LibraryError: there is no such library, it comes with the app, or one of its files is in use.
    """
    require_own(name, root, bundled)
    state = root / name / STATE
    settings = load_settings(state)
    if settings.engine:
        _open_store(settings, state, name).drop()
    with told(name):
        remove_folder(root / name)


def require_own(name: str, root: Path, bundled: Sequence[Path] = BUNDLED) -> None:
    """See that there is a library of that name which may be renamed and deleted. Raises LibraryError."""
    folders = library_folders(root, bundled)
    if name not in folders:
        raise LibraryError(f"There is no library {name!r}. Known are: {_known(folders)}.")
    if _is_bundled(folders[name], bundled):
        raise ReadOnly(name)


def free_name(name: str, root: Path, bundled: Sequence[Path] = BUNDLED) -> str:
    """The name without what is around it. Raises LibraryError: it is taken, or cannot be one."""
    name = possible_name(name)
    if name.casefold() in (taken.casefold() for taken in library_names(root, bundled)):
        raise LibraryError(f"There is a library {name!r} already. Choose another name.")
    return name


def possible_name(name: str, of: str = "library") -> str:
    """The name without what is around it. Raises LibraryError: it can be none of a folder on every system."""
    name = clean_line(name)
    if not is_name(name) or _RESERVED.fullmatch(name):
        raise LibraryError(
            f"{name[:100]!r} cannot be a {of}'s name. Use 1 to 100 letters, digits, spaces, dots, _ and -, "
            "beginning with a letter or digit."
        )
    return name


def is_name(name: str) -> bool:
    """Whether a folder of this name is listed."""
    return bool(_NAME.fullmatch(name))


def _is_bundled(folder: Path, bundled: Sequence[Path]) -> bool:
    return folder.resolve() in (one.resolve() for one in bundled)


@contextmanager
def told(name: str, of: str = "library") -> Iterator[None]:
    """What the system refuses is told in a sentence; Windows moves no folder with a file that is open."""
    try:
        yield
    except OSError as error:
        raise LibraryError(
            f"The {of} {name!r} cannot be changed: {error.strerror or 'one of its files is in use'}. "
            "Close what uses its files and try again."
        ) from error


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


def writable_folder(folders: list[Path]) -> Path:
    """The first of the folders that can be written, made if need be, else a temporary one."""
    found = next(filter(is_writable, folders), None)
    return found or Path(tempfile.mkdtemp(prefix="imgrag-"))


def is_writable(folder: Path) -> bool:
    """Whether a store can be opened there to be changed; on a full disk SQLite cannot even read one so."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(ROOM))
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


def _plain_folder(text: str, root: Path, bundled: Sequence[Path]) -> Path:
    folder = typed_folder(text)
    if folder is None:
        known = _known(library_folders(root, bundled))
        raise LibraryError(
            f"There is no library {text!r}. Known are: {known}. A folder of images will do too."
        )
    return folder


def _known(folders: Mapping[str, Path]) -> str:
    return ", ".join(folders) or "none yet"
