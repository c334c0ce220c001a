"""Where a library's pictures lie: its own folder, and folders that stay where they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from imgrag.errors import LibraryError
from imgrag.library.intake.pictures import SUFFIXES, UNTAKEN
from imgrag.library.intake.walking import is_speakable, walk, why_unread
from imgrag.texts import clean

FILE = "library.json"
STATE = ".imgrag"  # the folder inside a library that holds what imgrag keeps about it
UPLOADS = "uploads"  # the folder inside a library that holds copies of what was given to it
METADATA = (".csv", ".tsv", ".jsonl", ".parquet", ".json", ".xlsx", ".xls", ".ods", ".txt", ".caption")
NOT_TAKEN = f"this kind is not taken; taken are {' '.join(sorted(SUFFIXES))}"
MOMENTS = 2**63  # nanoseconds; stores have 64 bits, and dates from 1601 and of 2603 do not fit
READING = 1  # raised when more is taken or read than before: what was left out is then tried again
_OF_INTEREST = {*SUFFIXES, *UNTAKEN, *METADATA}
Left = tuple[int, int, str]  # size, mtime_ns, why: a file that is no usable picture


@dataclass(frozen=True)
class Settings:
    """What is remembered of a library besides its entries.

    Attributes:
        engine: "" for the embedded store, else Milvus's URI.
        folders: label -> absolute folder that is indexed where it lies.
        excluded: files that were removed from the library but not from the disk.
        unreadable: file -> [size, mtime_ns, reason] of what is no usable picture.
        described: label -> how its metadata files looked when they were last read.
        reach: label -> absolute folder in which links may lead anywhere; without one they stay in the source.
        pending: what `add` copied in, and nobody has tried to read yet.
        reading: `READING` at the last look.
    """

    engine: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()
    unreadable: Mapping[str, Left] = field(default_factory=dict)
    described: Mapping[str, str] = field(default_factory=dict)
    reach: Mapping[str, str] = field(default_factory=dict)
    pending: tuple[str, ...] = ()
    reading: int = 0


@dataclass(frozen=True)
class Source:
    """A folder of pictures. Its files are called `label/relative`, those of the library itself `relative`."""

    label: str
    folder: Path
    reach: Path  # where links may lead

    def file(self, relative: str) -> str:
        return f"{self.label}/{relative}" if self.label else relative

    def relative(self, file: str) -> str:
        return file.removeprefix(f"{self.label}/") if self.label else file


@dataclass(frozen=True)
class Found:
    """A picture file on the disk."""

    source: Source
    relative: str  # POSIX
    size: int
    mtime_ns: int

    @property
    def file(self) -> str:
        return self.source.file(self.relative)

    @property
    def path(self) -> Path:
        return self.source.folder / self.relative


def load_settings(state: Path) -> Settings:
    """What was remembered; a library that was never saved has the defaults.

    Raises:
        LibraryError: the file is there and broken.
    """
    try:
        values = json.loads((state / FILE).read_text(encoding="utf-8"))
        return Settings(
            str(values["engine"]),
            {str(label): str(folder) for label, folder in values["folders"].items()},
            tuple(map(str, values["excluded"])),
            {file: (int(s), int(t), str(why)) for file, (s, t, why) in values["unreadable"].items()},
            dict(values["described"]),
            {str(label): str(folder) for label, folder in values.get("reach", {}).items()},
            tuple(map(str, values.get("pending", ()))),
            int(values.get("reading", 0)),
        )
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LibraryError(
            f"{FILE} of a library cannot be read ({error}). Delete it to begin again; no picture is lost."
        ) from error


def save_settings(settings: Settings, state: Path) -> None:
    """Written beside and renamed.

    Raises:
        LibraryError: the disk does not take it; what was there before stays.
    """
    partial = state / f"{FILE}.{os.getpid()}.partial"
    try:
        state.mkdir(exist_ok=True)  # and not the library's folder, which may have been deleted
        partial.write_text(json.dumps(asdict(settings), indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(partial, state / FILE)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise cannot_write(error) from error


def cannot_write(error: OSError) -> LibraryError:
    """One sentence for what an error of the disk means to an add; its own text has paths of this machine."""
    reason = error.strerror or "its disk does not take it"
    return LibraryError(
        f"The library cannot be written: {reason}. What was there is whole: make room on its disk, then add again."
    )


def with_folder(settings: Settings, folder: Path, own: Path, reach: Path | None = None) -> Settings:
    """The settings with one more folder, unless it lies in one that is there already.

    Args:
        reach: where links in it may lead, at least; the folder itself unless told.

    Raises:
        LibraryError: the folder holds the library itself, or its path is no text.
    """
    folder = folder.resolve()
    if own.is_relative_to(folder) and own != folder:
        raise LibraryError(f"The folder {folder.name!r} holds this library itself. Add a folder beside it.")
    if not is_speakable(str(folder)):
        raise LibraryError(
            f"The folder {ascii(folder.name)[1:-1]!r} has a name that is no plain text. Give it another one."
        )
    label = {there: label for label, there in settings.folders.items()}.get(str(folder), "")
    if not label:
        if any(folder.is_relative_to(there) for there in (own, *map(Path, settings.folders.values()))):
            return settings
        label = _free_label(folder.name, {*settings.folders, *(path.name for path in own.iterdir())})
    far = {} if reach is None else {label: str(reach.resolve())}
    return replace(
        settings, folders={**settings.folders, label: str(folder)}, reach={**settings.reach, **far}
    )


def _free_label(name: str, taken: Container[str]) -> str:
    base = re.sub(r"[^\w.-]+", "-", clean(name)).strip("-.") or "folder"
    return next(label for label in (base, *(f"{base}-{n}" for n in range(2, 10_000))) if label not in taken)


def sources(own: Path, settings: Settings) -> list[Source]:
    """The library's own folder first."""
    added = [
        Source(label, Path(folder), Path(settings.reach.get(label, folder)))
        for label, folder in settings.folders.items()
    ]
    return [Source("", own, own), *added]


@dataclass(frozen=True)
class Look:
    """What lies in a source.

    Attributes:
        pictures: in the order of their names, those behind links last.
        left: file -> size, mtime_ns and why, of what is neither picture nor metadata but might be taken for it.
        signature: changes whenever a metadata file does.
    """

    pictures: list[Found]
    left: dict[str, Left]
    signature: str


def look(source: Source, check: Callable[[], None] = lambda: None) -> Look:
    """Walk through a source once. `check` is called now and then; it may raise to stop.

    Raises:
        OSError: its folder is away, or cannot be listed.
    """
    pictures, left, metadata = [], {}, []
    for relative, entry, why in walk(source.folder, _is_of_interest, source.reach, check):
        try:
            status = entry.stat(follow_symlinks=not why)
            size, moment = status.st_size, status.st_mtime_ns % MOMENTS
        except FileNotFoundError:  # it has vanished since
            continue
        except OSError as error:
            size, moment, why = 0, 0, why or why_unread(error)
        suffix = _suffix(relative)
        if why or suffix in UNTAKEN:
            left[source.file(relative)] = (size, moment, why or NOT_TAKEN)
        elif suffix in SUFFIXES:
            pictures.append(Found(source, relative, size, moment))
        else:
            metadata.append((relative, size, moment))
    return Look(pictures, left, json.dumps(metadata))


def _suffix(name: str) -> str:
    """Ten times as fast as a `Path`'s, which counts at 100,000 files."""
    return "." + name.rpartition(".")[2].lower()


def _is_of_interest(name: str) -> bool:
    return _suffix(name) in _OF_INTEREST


def pictures_of(source: Source) -> Sequence[Found]:
    """The pictures that lie there now; none while its folder is away."""
    with suppress(OSError):
        return look(source).pictures
    return ()


def has_pictures(source: Source) -> bool:
    """Whether there is a picture; stops at the first."""
    try:
        steps = walk(source.folder, lambda name: _suffix(name) in SUFFIXES, source.reach)
        return any(not why for _, _, why in steps)
    except OSError:
        return False


def place_of(file: str, known: Sequence[Source]) -> Path | None:
    """Where a file of these sources lies, if it lies where its source's links may lead."""
    for source in reversed(known):
        if not source.label or file.startswith(f"{source.label}/"):
            path = source.folder / source.relative(file)
            inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source.reach))
            return path if inside else None
    return None


def unread(folder: str, names: list[str]) -> list[str]:
    """What no library reads: hidden things, pipes and devices."""
    return [
        name
        for name in names
        if name.startswith(".") or not (Path(folder, name).is_file() or Path(folder, name).is_dir())
    ]
