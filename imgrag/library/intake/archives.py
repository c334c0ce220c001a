"""Unpacking a zip that a stranger uploaded: of pictures, or of whatever else is sought in it.

Everything is decided on the archive's list of contents, before a byte is written. The list may
lie about sizes: zipfile reads no more of an entry than its listed size and checks its sum, so
that an entry that holds more is broken, and what holds less is found by counting.

What is wrong with the zip, or could do harm, refuses it whole; what is wrong with one file leaves out that file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import struct
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from imgrag.errors import LibraryError
from imgrag.library.base import Skipped
from imgrag.library.intake.captions import captions_beside
from imgrag.library.intake.metadata import is_metadata
from imgrag.library.intake.pictures import SUFFIXES, TAKEN, UNTAKEN
from imgrag.library.intake.sources import NOT_TAKEN
from imgrag.library.intake.walking import is_speakable
from imgrag.library.intake.zip_names import END, SAYS_UTF8, ArchiveFile, Contents
from imgrag.texts import clean

MAX_ENTRIES = 20_000
MAX_LIST_BYTES = MAX_ENTRIES * 512  # an entry in the list takes 46 bytes and its name
MAX_BYTES = 2 * 2**30
MAX_FILE_BYTES = 200 * 2**20
MAX_RATIO = 200  # pictures hardly shrink; only bombs and empty pages do
SMALL_BYTES = 10 * 2**20  # what may unfold by any factor
MAX_PART = 200  # characters of a file's or folder's name
MAX_NAME = 1000  # characters of the whole name
MAX_DEPTH = 100  # folders around a file
_BLOCK = 2**20
_BROKEN = "The file is no zip, or a broken one. Pack it again."
_MISFITS = frozenset(
    (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
)  # what a disk says of a name that it cannot have, or not beside the others
_UNPORTABLE = re.compile(
    r'^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?$|[<>:"|?*\x00-\x1f]|[. ]$', re.IGNORECASE
)


@dataclass(frozen=True)
class Unpacked:
    """What became of an archive.

    Attributes:
        files: those sought that were written, relative to the folder, with "/", composed (NFC).
        skipped: what was not written, and why; hidden files are not mentioned.
    """

    files: tuple[str, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class Sought:
    """What is unpacked of a zip.

    Attributes:
        is_one: whether a file of this name is sought.
        why_not: of the names of all files, why one of them is left out, "" if it is not; what is not sought
            may come along.
        none: what is said where there is none.
        bytes: that it may unpack to.
    """

    is_one: Callable[[str], bool]
    why_not: Callable[[Sequence[str]], Callable[[str], str]]
    none: str
    bytes: int = MAX_BYTES


def unpack_pictures(archive: Path, folder: Path, check: Callable[[], None] = lambda: None) -> Unpacked:
    """Write the pictures of a zip, and the metadata beside them; see `unpack`."""
    none = f"The zip holds no pictures. Pack files of {TAKEN}."
    return unpack(archive, folder, Sought(_is_picture, _no_picture, none), check)


def unpack(archive: Path, folder: Path, sought: Sought, check: Callable[[], None] = lambda: None) -> Unpacked:
    """Write what is sought in a zip to a new folder, all or nothing.

    Args:
        folder: must not be there yet; those around it are made if need be.
        check: called before each file and now and then within; it may raise to stop, and nothing remains then.

    Raises:
        LibraryError: the zip is broken, holds nothing that is sought, or could do harm.
    """
    if folder.exists():
        raise LibraryError(f"There is already something called {folder.name!r}. Choose another name.")
    try:
        contents = check_list(archive)
        with ArchiveFile(archive, contents) as content, zipfile.ZipFile(content) as opened:
            _check_entries(opened, sought.bytes)
            wanted, skipped = _sorted_out(opened.infolist(), sought)
            if not any(map(sought.is_one, wanted)):
                raise LibraryError(sought.none)
            written, broken = _write(opened, wanted, folder, check)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, struct.error) as error:
        raise LibraryError(_BROKEN) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # the list of contents points to before the file's begin
            raise LibraryError(_BROKEN) from error
        reason = error.strerror or "it cannot be read or written"  # its own text has paths of this machine
        raise LibraryError(f"The zip could not be unpacked: {reason}.") from error
    return Unpacked(tuple(file for file in written if sought.is_one(file)), (*skipped, *broken))


def check_list(archive: Path) -> Contents:
    """Refuse a list of contents that is huge, before zipfile reads it into memory.

    Raises LibraryError, and BadZipFile: it is no zip.
    """
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - 22 - 2**16 - 20))  # the last record, its comment, what may precede it
        tail = file.read()
    at = tail.rfind(END)
    if at < 0:
        raise zipfile.BadZipFile("no end of central directory")
    entries, length, offset = struct.unpack_from("<H2I", tail, at + 10)
    if tail[max(0, at - 20) :].startswith(b"PK\6\7"):
        raise LibraryError("The zip is of the kind for huge archives (Zip64). Pack it in smaller ones.")
    if entries > MAX_ENTRIES or length > MAX_LIST_BYTES:
        raise LibraryError(f"The zip holds more than {MAX_ENTRIES:,} files. Pack fewer in each.")
    begin = max(0, start + at - length)
    return Contents(begin, length, max(0, begin - offset))


def _check_entries(opened: zipfile.ZipFile, most: int) -> None:
    entries = opened.infolist()
    if len(entries) > MAX_ENTRIES:
        raise LibraryError(f"The zip holds {len(entries):,} files; at most {MAX_ENTRIES:,} are allowed.")
    for entry in entries:
        _check_name(entry.orig_filename)
        _check_kind(entry)
    _check_names(entries)
    _check_sizes(entries, most)
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
        raise LibraryError("The zip is encrypted. Pack it without a password.")
    # LZMA may ask for 4 GB before it unpacks anything.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise LibraryError("The zip is compressed in an unusual way. Pack it with Deflate, the usual one.")


def _check_names(entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.orig_filename for entry in entries]
    files = {name for name in names if not name.endswith("/")}
    fitting = (name for name in names if not _is_too_long(name))
    if len(set(names)) < len(names) or any(above in files for name in fitting for above in _above(name)):
        raise LibraryError("The zip holds two files of one name. Pack it again.")


def _above(name: str) -> Iterator[str]:
    return (name[: slash.start()] for slash in re.finditer("/", name[:-1]))


def _is_too_long(name: str) -> bool:
    parts = name.split("/")
    longest = max(len(part.encode("utf-8", "replace")) for part in parts)
    return len(name) > MAX_NAME or len(parts) > MAX_DEPTH or longest > MAX_PART


def _check_sizes(entries: list[zipfile.ZipInfo], most: int) -> None:
    for entry in entries:
        if entry.file_size > MAX_FILE_BYTES:
            raise LibraryError(
                f"{_shown(entry.orig_filename)} in the zip has {entry.file_size / 2**20:,.0f} MB; "
                f"at most {MAX_FILE_BYTES // 2**20} are allowed."
            )
    whole = sum(entry.file_size for entry in entries)
    if whole > most:
        raise LibraryError(
            f"The zip unpacks to {whole / 2**30:.1f} GB; at most {most / 2**30:g} are allowed."
        )
    if whole > SMALL_BYTES and whole > MAX_RATIO * sum(entry.compress_size for entry in entries):
        raise LibraryError(
            "The zip unpacks to more than 200 times its size. Pictures and texts do not; pack it again."
        )


def _check_places(entries: list[zipfile.ZipInfo], end: int) -> None:
    """Refuse entries that share bytes: so a few of them unfold many times."""
    for entry in sorted(entries, key=lambda entry: -entry.header_offset):
        # 30 bytes, the name, perhaps more, then the content
        if entry.header_offset + 30 + len(entry.orig_filename) + entry.compress_size > end:
            raise LibraryError("The zip is broken: its files overlap. Pack it again.")
        end = entry.header_offset


def _sorted_out(
    entries: Sequence[zipfile.ZipInfo], sought: Sought
) -> tuple[dict[str, zipfile.ZipInfo], list[Skipped]]:
    """Which entries are written, by name, and which are not."""
    wanted: dict[str, zipfile.ZipInfo] = {}
    skipped = []
    spelled: set[str] = set()
    why_not = sought.why_not([_name(entry) for entry in entries])
    for entry in entries:
        name = clean(_name(entry))
        if entry.is_dir() or _is_hidden(name):
            continue
        if reason := why_not(_name(entry)) or _unwanted(_name(entry), name.casefold() in spelled):
            skipped.append(Skipped(name, reason))
        else:
            spelled.add(name.casefold())
            wanted[name] = entry
    return wanted, skipped


def _name(entry: zipfile.ZipInfo) -> str:
    """What a file is called: macOS writes UTF-8, as other programs do, but does not say so."""
    name = entry.orig_filename
    if not entry.flag_bits & SAYS_UTF8 and not name.isascii():
        with contextlib.suppress(UnicodeError):
            return name.encode("cp437").decode()
    return name


def _no_picture(names: Sequence[str]) -> Callable[[str], str]:
    """Pictures are taken, and what may speak of them."""
    captions = {clean(name) for name in captions_beside(names).values()}

    def why_not(name: str) -> str:
        if PurePosixPath(name).suffix.lower() in UNTAKEN:
            return NOT_TAKEN
        is_taken = _is_picture(name) or clean(name) in captions or is_metadata(name)
        return "" if is_taken else "it is no picture"

    return why_not


def _unwanted(name: str, is_met: bool) -> str:
    """Why a file cannot be written; "" if it can."""
    if _is_too_long(name):
        return "its name is too long"
    parts = name.split("/")
    if not is_speakable(name) or any(not p or p == "." or _UNPORTABLE.search(p) for p in parts):
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
            if reason := _unpacked(opened, entry, partial / name, check):
                broken.append(Skipped(name, reason))
            else:
                written.append(name)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return written, broken


def _unpacked(
    opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, check: Callable[[], None]
) -> str:
    """Write one file; returns why it could not be, or "". Raises OSError if the disk takes no more at all."""
    check()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        out = target.open("xb")
    except OSError as error:
        if error.errno not in _MISFITS:
            raise
        return "its name is not possible beside the others on this disk"
    with out:
        whole = _extracted(opened, entry, out, check)
    if whole:
        return ""
    target.unlink()
    return "it is broken in the zip"


def _extracted(
    opened: zipfile.ZipFile, entry: zipfile.ZipInfo, out: BinaryIO, check: Callable[[], None]
) -> bool:
    """Write one file; returns whether it is as large as listed and its sum is right."""
    written = 0
    try:
        with opened.open(entry) as content:
            while block := content.read(_BLOCK):
                check()
                out.write(block)
                written += len(block)
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError):
        return False
    return written == entry.file_size


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")
