"""How much strangers may upload: a request, all of them together, and as long as the disk has room.

Gradio bounds the size of a file, not how many come, and leaves a file that was cut off where it is. The
folder that it is about is the one that Gradio serves files from, pictures of runs included.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio.to_thread
from gradio.utils import get_upload_folder
from starlette.formparsers import MultiPartException
from starlette.types import Message, Receive

from imgrag.errors import RequestError

MAX_REQUEST = 2 * 2**30  # bytes of one request, which may bring several files
MAX_HELD = 10 * 2**30  # bytes in the folder
SPARE = 2**30  # bytes of the disk that stay free
IN_USE = 3600.0  # seconds in which a file is not dropped for others
LOOK = 10.0  # seconds between two looks at the folder
EMPTY = 60.0  # seconds after which an empty file is none that is still to be filled

FULL = "There is no room for uploads just now. Please try again later."
TOO_MANY = f"More than {MAX_REQUEST // 2**30} GB at once. Please upload fewer files at a time."
UNSERVED = "There is no room for downloads just now. Please try again later."
CUT_OFF = "The upload was cut off."


class Uploads:
    """What may still come into `folder`, over all requests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked = -LOOK
        self._left = 0

    async def bounded(self, receive: Receive) -> Receive:
        """`receive`, which ends an upload that is too much or cut off the way Gradio cleans up after.

        Raises:
            MultiPartException: nothing may come at all.
        """
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            self._left = await anyio.to_thread.run_sync(_room, self._folder)
        if self._left <= 0:
            raise MultiPartException(FULL)
        taken = 0

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.disconnect":
                raise MultiPartException(CUT_OFF)
            taken += len(message.get("body", b""))
            self._take(len(message.get("body", b"")), taken)
            return message

        return receiving

    def _take(self, size: int, of_request: int) -> None:
        self._left -= size
        if of_request > MAX_REQUEST:
            raise MultiPartException(TOO_MANY)
        if self._left < 0:
            raise MultiPartException(FULL)


def check_room() -> None:
    """What is made for a download lies in the same folder. Raises RequestError: nothing more has room there."""
    if _room(Path(get_upload_folder())) <= 0:
        raise RequestError(UNSERVED)


def drop_empty(folder: Path) -> None:
    """Drop the empty files that Gradio leaves beside those which an event was given."""
    for file in folder.glob("tmp*"):
        with suppress(FileNotFoundError):
            found = file.stat()
            if file.is_file() and not found.st_size and time.time() - found.st_mtime > EMPTY:
                file.unlink()


def _room(folder: Path) -> int:
    """Bytes that may come; files that nobody has used for long go first where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    held = sum(size for _, size, _ in _files(folder))
    if held >= MAX_HELD:
        held -= _dropped(folder, held - MAX_HELD * 3 // 4)
    return min(MAX_HELD - held, shutil.disk_usage(folder).free - SPARE)


def _dropped(folder: Path, wanted: int) -> int:
    """Drop the oldest files that are not in use until `wanted` bytes are gone; how many went."""
    gone, now = 0, time.time()
    for used, size, file in sorted(_files(folder)):
        if gone >= wanted or now - used < IN_USE:
            break
        file.unlink(missing_ok=True)
        gone += size
    return gone


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each file was written, its bytes, and itself."""
    for file in folder.rglob("*"):
        try:
            found = file.stat()
            if file.is_file():
                yield found.st_mtime, found.st_size, file
        except FileNotFoundError:  # gone as we look
            continue
