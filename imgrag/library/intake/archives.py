"""Unpacking a zip of pictures that a stranger uploaded.

Everything is decided on the archive's list of contents, before a byte is written. The list may
lie about sizes: zipfile reads no more of an entry than its listed size and checks its sum, so
that an entry that holds more is broken, and what holds less is found by counting.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import struct
import unicodedata
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imgrag.errors import LibraryError
from imgrag.library.base import Skipped
from imgrag.library.intake.captions import captions_beside
from imgrag.library.intake.metadata import is_metadata
from imgrag.library.intake.pictures import SUFFIXES

MAX_ENTRIES = 20_000
MAX_LIST_BYTES = MAX_ENTRIES * 512  # an entry in the list takes 46 bytes and its name
MAX_BYTES = 2 * 2**30
MAX_FILE_BYTES = 200 * 2**20
MAX_RATIO = 200  # pictures hardly shrink; only bombs and empty pages do
SMALL_BYTES = 10 * 2**20  # what may unfold by any factor
MAX_PART = 200  # characters of a file's or folder's name
MAX_NAME = 1000  # characters of the whole name
_BLOCK = 2**20
_BROKEN = "The file is no zip, or a broken one. Pack the pictures again."
_UNPORTABLE = re.compile(
    r'^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?$|[<>:"|?*\x00-\x1f]|[. ]$', re.IGNORECASE
)


@dataclass(frozen=True)
class Unpacked:
    """What became of an archive.

    Attributes:
        files: pictures that were written, relative to the folder, with "/".
        skipped: what was not written, and why; hidden files are not mentioned.
    """

    files: tuple[str, ...]
    skipped: tuple[Skipped, ...]


def unpack_pictures(archive: Path, folder: Path, check: Callable[[], None] = lambda: None) -> Unpacked:
    """Write the pictures of a zip, and the metadata beside them, to a new folder, all or nothing.

    Args:
        folder: must not be there yet; those around it are made if need be.
        check: called before each file; it may raise to stop, and nothing remains then.

    Raises:
        LibraryError: the zip is broken, holds no pictures, or could do harm.
    """
    if folder.exists():
        raise LibraryError(f"There is already something called {folder.name!r}. Choose another name.")
    try:
        _check_list(archive)
        with zipfile.ZipFile(archive) as opened:
            _check_entries(opened)
            wanted, skipped = _sorted_out(opened.infolist())
            if not any(_is_picture(file) for file in wanted):
                raise LibraryError(
                    "The zip holds no pictures. Pack .png, .jpg, .webp, .gif, .bmp or .tif files."
                )
            written, broken = _write(opened, wanted, folder, check)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, struct.error) as error:
        raise LibraryError(_BROKEN) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # the list of contents points to before the file's begin
            raise LibraryError(_BROKEN) from error
        reason = error.strerror or "it cannot be read or written"  # its own text has paths of this machine
        raise LibraryError(f"The zip could not be unpacked: {reason}.") from error
    return Unpacked(tuple(file for file in written if _is_picture(file)), (*skipped, *broken))


def _check_list(archive: Path) -> None:
    """Refuse a list of contents that is huge, before zipfile reads it into memory."""
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 22 - 2**16 - 20))  # the last record, its comment, and what may precede it
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0:
        raise zipfile.BadZipFile("no end of central directory")
    entries, length = struct.unpack_from("<HI", tail, at + 10)
    if tail[max(0, at - 20) :].startswith(b"PK\6\7"):
        raise LibraryError(
            "The zip is of the kind for huge archives (Zip64). Pack the pictures in smaller zips."
        )
    if entries > MAX_ENTRIES or length > MAX_LIST_BYTES:
        raise LibraryError(f"The zip holds more than {MAX_ENTRIES:,} files. Pack fewer pictures in each.")


def _check_entries(opened: zipfile.ZipFile) -> None:
    entries = opened.infolist()
    if len(entries) > MAX_ENTRIES:
        raise LibraryError(f"The zip holds {len(entries):,} files; at most {MAX_ENTRIES:,} are allowed.")
    for entry in entries:
        _check_name(entry.orig_filename)
        _check_kind(entry)
    _check_names(entries)
    _check_sizes(entries)
    _check_places(entries, opened.start_dir)


def _check_name(name: str) -> None:
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or re.match(r"[A-Za-z]:", name) or ".." in parts:
        raise LibraryError(
            f"The zip holds {_shown(name)}, which leads out of its folder. It was not unpacked."
        )


def _check_kind(entry: zipfile.ZipInfo) -> None:
    """Refuse what is neither a plain file nor a folder, and what zipfile cannot read safely."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR and not entry.is_dir()):
        raise LibraryError(
            f"The zip holds {_shown(entry.orig_filename)}, a link or special file. It was not unpacked."
        )
    if entry.flag_bits & 0x2041:  # encrypted, strongly encrypted, masked
        raise LibraryError("The zip is encrypted. Pack the pictures without a password.")
    # LZMA may ask for 4 GB before it unpacks anything.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise LibraryError("The zip is compressed in an unusual way. Pack it with Deflate, the usual one.")


def _check_names(entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.orig_filename for entry in entries]
    files = {name for name in names if not name.endswith("/")}
    if len(set(names)) < len(names) or any(str(parent) in files for name in names for parent in _above(name)):
        raise LibraryError("The zip holds two files of one name. Pack it again.")


def _above(name: str) -> Iterable[PurePosixPath]:
    return PurePosixPath(name).parents


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    for entry in entries:
        if entry.file_size > MAX_FILE_BYTES:
            raise LibraryError(
                f"{_shown(entry.orig_filename)} in the zip has {entry.file_size / 2**20:,.0f} MB; "
                f"at most {MAX_FILE_BYTES // 2**20} are allowed."
            )
    whole = sum(entry.file_size for entry in entries)
    if whole > MAX_BYTES:
        raise LibraryError(
            f"The zip unpacks to {whole / 2**30:.1f} GB; at most {MAX_BYTES // 2**30} are allowed."
        )
    if whole > SMALL_BYTES and whole > MAX_RATIO * sum(entry.compress_size for entry in entries):
        raise LibraryError("The zip unpacks to more than 200 times its size. Pictures do not; pack it again.")


def _check_places(entries: list[zipfile.ZipInfo], end: int) -> None:
    """Refuse entries that share bytes: so a few of them unfold many times."""
    for entry in sorted(entries, key=lambda entry: -entry.header_offset):
        # 30 bytes, the name, perhaps more, then the content
        if entry.header_offset + 30 + len(entry.orig_filename) + entry.compress_size > end:
            raise LibraryError("The zip is broken: its files overlap. Pack the pictures again.")
        end = entry.header_offset


def _sorted_out(entries: Sequence[zipfile.ZipInfo]) -> tuple[dict[str, zipfile.ZipInfo], list[Skipped]]:
    """Which entries are written, by name, and which are not."""
    wanted: dict[str, zipfile.ZipInfo] = {}
    skipped = []
    spelled: set[str] = set()
    captions = set(captions_beside(entry.orig_filename for entry in entries).values())
    for entry in entries:
        name = entry.orig_filename
        if entry.is_dir() or _is_hidden(name):
            continue
        spelling = unicodedata.normalize("NFC", name).casefold()
        if reason := _unwanted(name, name in captions, spelling in spelled):
            skipped.append(Skipped(name, reason))
        else:
            spelled.add(spelling)
            wanted[name] = entry
    return wanted, skipped


def _unwanted(name: str, is_caption: bool, is_met: bool) -> str:
    """Why a file is not written; "" if it is."""
    parts = name.split("/")
    if not (_is_picture(name) or is_caption or is_metadata(name)):
        return "it is no picture"
    if len(name) > MAX_NAME or any(len(part.encode("utf-8", "replace")) > MAX_PART for part in parts):
        return "its name is too long"
    if any(not part or part == "." or _UNPORTABLE.search(part) for part in parts):
        return "its name is not possible on every system"
    return "its name differs from another only in upper and lower case" if is_met else ""


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _is_hidden(name: str) -> bool:
    return any((part.startswith(".") and part != ".") or part == "__MACOSX" for part in name.split("/"))


def _write(
    opened: zipfile.ZipFile, wanted: dict[str, zipfile.ZipInfo], folder: Path, check: Callable[[], None]
) -> tuple[list[str], list[Skipped]]:
    """Write beside `folder`, then rename. Returns what is there, and what turned out to be broken."""
    partial = folder.with_name(f".{uuid.uuid4().hex}.partial")
    written, broken = [], []
    try:
        partial.mkdir(parents=True)
        for name, entry in wanted.items():
            check()
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if _extracted(opened, entry, target):
                written.append(name)
            else:
                target.unlink()
                broken.append(Skipped(name, "it is broken in the zip"))
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return written, broken


def _extracted(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> bool:
    """Write one file; returns whether it is as large as listed and its sum is right."""
    written = 0
    with target.open("wb") as out:
        try:
            with opened.open(entry) as content:
                while block := content.read(_BLOCK):
                    out.write(block)
                    written += len(block)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            return False
    return written == entry.file_size


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")
