"""What lies below a folder: regular files are found, everything else is named, nothing is opened.

Links are followed, each folder and file once and under its own name first, as far as they stay where
they may lead: below the folder itself, or below a larger one that whoever added the folder was allowed.
A link that leads elsewhere is named, so that nobody reaches the rest of the disk through a folder that
others can write to. What strangers send holds no links: `archives` refuses them.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

OFTEN = 1000  # entries between two looks at the stop
IRREGULAR = "it is no regular file"
UNSPEAKABLE = "its name is no plain text; give it another one"
LEADS_OUT = "it is a link that leads out of its folder; add the folder that it leads to"
LEADS_NOWHERE = "it is a link that leads nowhere"
UNREAD = "it cannot be read"
_UNREACHED = {
    errno.ELOOP: "it is a link that leads in a circle",
    errno.ENAMETOOLONG: "its path is too long",
    errno.EACCES: "it may not be read",
}
AWAY = frozenset((LEADS_NOWHERE, UNREAD, *_UNREACHED.values()))  # what was below may come back

Step = tuple[str, "os.DirEntry[str]", str]


def walk(
    root: Path,
    wanted: Callable[[str], bool],
    reach: Path | None = None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Step]:
    """All that is not hidden, by name: its path relative to `root` with "/", its entry, why it is passed over.

    Why is "" for a regular file, and those are given if `wanted` says so of their name. The path is
    spelled as on the disk, but escaped where it is no text. Nothing recurses: depth costs no stack.

    Args:
        reach: where links may lead; `root` alone unless told.
        check: called now and then; it may raise to stop.

    Raises:
        OSError: `root` itself cannot be listed.
    """
    return _Walk(wanted, os.path.realpath(reach or root), check).steps(str(root))


def is_speakable(name: str) -> bool:
    """Whether a name is text: well-formed, without control characters."""
    plain = name.isascii() and name.isprintable()
    return plain or not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


def why_unread(error: OSError) -> str:
    """What is wrong with a file or folder, in a few words."""
    return _UNREACHED.get(error.errno or 0, UNREAD)


def identity(path: str | Path) -> tuple[int, int]:
    """What tells a file or folder from another one of the same name. Raises OSError: it cannot be asked."""
    status = Path(path).stat()
    return status.st_dev, status.st_ino


def identity_if_there(folder: Path) -> tuple[int, int] | None:
    """See `identity`; `None` if the folder is not there."""
    try:
        return identity(folder)
    except OSError:
        return None


class _Walk:
    """One walk: the folders it has met, and the links that are left for its end."""

    def __init__(self, wanted: Callable[[str], bool], reach: str, check: Callable[[], None]) -> None:
        self._wanted = wanted
        self._reach = reach
        self._check = check
        self._count = 0
        self._folders: set[tuple[int, int]] = set()
        self._targets: set[tuple[int, int]] = set()
        self._links: deque[tuple[str, os.DirEntry[str]]] = deque()

    def steps(self, root: str) -> Iterator[Step]:
        """Folders behind links come before files behind links: what lies in one goes by its own name."""
        yield from self._below(self._listed(root), "")
        files = []
        while self._links:
            relative, entry = self._links.popleft()
            try:
                if why := self._why_not(entry):
                    yield relative, entry, why
                elif entry.is_dir():
                    yield from self._below(self._listed(entry.path), f"{relative}/")
                elif self._wanted(entry.name):
                    files.append((relative, entry))
            except OSError as error:
                yield relative, entry, why_unread(error)
        yield from ((relative, entry, "") for relative, entry in files if self._is_new(entry))

    def _below(self, entries: Iterator[os.DirEntry[str]], prefix: str) -> Iterator[Step]:
        levels = [(prefix, entries)]
        while levels:
            prefix, entries = levels[-1]
            entry = next(entries, None)
            if entry is None:
                levels.pop()
                continue
            relative = prefix + entry.name
            try:
                if not is_speakable(entry.name):
                    yield prefix + ascii(entry.name)[1:-1], entry, UNSPEAKABLE
                elif entry.is_file(follow_symlinks=False):
                    if self._wanted(entry.name):
                        yield relative, entry, ""
                elif entry.is_symlink():
                    self._links.append((relative, entry))
                elif entry.is_dir(follow_symlinks=False):
                    levels.append((f"{relative}/", self._listed(entry.path)))
                else:
                    yield relative, entry, IRREGULAR
            except OSError as error:
                yield relative, entry, why_unread(error)

    def _listed(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """What is not hidden in a folder, by name; nothing of one that was met before. Raises OSError."""
        met = identity(folder)
        if met[1] and met in self._folders:  # some network disks of Windows give no number
            return iter(())
        self._folders.add(met)
        found = []
        with os.scandir(folder) as entries:
            for entry in entries:
                self._count += 1
                if self._count % OFTEN == 0:
                    self._check()
                if not entry.name.startswith("."):
                    found.append(entry)
        return iter(sorted(found, key=lambda entry: entry.name))

    def _why_not(self, link: os.DirEntry[str]) -> str:
        """Why a link is not followed; "" if it is."""
        self._check()
        try:
            Path(link.path).stat()
        except OSError as error:
            return _UNREACHED.get(error.errno or 0, LEADS_NOWHERE)
        if not (link.is_dir() or link.is_file()):
            return IRREGULAR
        if link.is_file() and not self._wanted(link.name):
            return ""
        return "" if Path(os.path.realpath(link.path)).is_relative_to(self._reach) else LEADS_OUT

    def _is_new(self, link: os.DirEntry[str]) -> bool:
        """Whether the file behind a link was not met: in its own folder, or behind another link."""
        folder, name = os.path.split(os.path.realpath(link.path))
        try:
            own = identity(folder) in self._folders and not name.startswith(".")
            target = identity(link.path)
        except OSError:  # it has vanished since
            return False
        met = (own and self._wanted(name) and is_speakable(name)) or target in self._targets
        self._targets.add(target)
        return not met
