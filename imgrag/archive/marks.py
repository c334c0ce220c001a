"""What a person put on a run, in files beside its record: that it stays, what it is called, that it is shared.

A record is written once, with the run; these may change at any time. They go with the run's folder, and into no zip.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from imgrag.archive import records
from imgrag.archive.writers import partial_prefix
from imgrag.errors import RecordError
from imgrag.texts import clean_line

PINNED = "pinned"  # an empty file
NAMED = "name.txt"
SHARED = "shared.txt"  # the secret part of a link
MAX_NAME = 100  # characters
SECRET = re.compile(r"[\w-]{32}", re.ASCII)  # 24 random bytes
NO_LINK = "There is nothing under this link. It may have been taken back, or its run deleted."


def name_of(folder: Path) -> str:
    """What a person calls the run in this folder, "" if nothing."""
    return clean_line(_read(folder / NAMED, 4 * MAX_NAME))[:MAX_NAME]


def give_name(folder: Path, name: str) -> None:
    """Call it so; "" takes the name away. Of a long one the beginning is kept."""
    _put(folder / NAMED, clean_line(name)[:MAX_NAME].rstrip())


def link_of(folder: Path) -> str:
    """The token under which anybody may look at the run in this folder, "" where nobody may."""
    secret = _read(folder / SHARED, 100)
    return f"{folder.name}.{secret}" if SECRET.fullmatch(secret) else ""


def share(folder: Path) -> str:
    """Let anybody who has the token look at the run in this folder; returns it, the same one each time."""
    if not link_of(folder):
        _put(folder / SHARED, secrets.token_urlsafe(24))
    return link_of(folder)


def unshare(folder: Path) -> None:
    """Take the link back; one that is made later has another token."""
    _put(folder / SHARED, "")


def shared_folder(results: Path, token: str) -> Path:
    """The folder of the finished run that this token was made for.

    Raises:
        RecordError: there is none. It is the same error whatever is wrong with the token.
    """
    run_id, _, _ = token.partition(".")
    if records.is_id(run_id) and hmac.compare_digest(link_of(results / run_id).encode(), token.encode()):
        with suppress(RecordError):
            if records.open_record(results, run_id).get("state") == "finished":
                return results / run_id
    raise RecordError(NO_LINK)


def _read(file: Path, most: int) -> str:
    """The first bytes of a text; "" if there is none."""
    with suppress(OSError):
        if file.is_file():  # a pipe would be waited for without end
            with file.open("rb") as opened:
                return opened.read(most).decode("utf-8", "replace").strip()
    return ""


def _put(file: Path, text: str) -> None:
    """Raises RecordError: it cannot be written."""
    try:
        if not text:
            file.unlink(missing_ok=True)
            return
        partial = file.with_name(f"{partial_prefix()}{secrets.token_hex(4)}-{file.name}")
        # Two tabs may put the same mark at once.
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, file)
    except OSError as error:
        raise RecordError("This cannot be kept: the run's folder cannot be written.") from error
