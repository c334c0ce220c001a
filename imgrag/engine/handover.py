"""Work in a thread of its own, handed over piece by piece to whoever iterates."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Generator
from typing import TypeVar

WAIT = 0.2  # seconds between looks; Windows cannot interrupt a longer wait

T = TypeVar("T")


class _Ended:
    """Behind the last piece: the work is done, or broke with this error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def handed_over(
    work: Callable[[Callable[[T], None]], None], stop: threading.Event
) -> Generator[T, None, None]:
    """Run `work(put)` in a thread and yield what it puts, in order.

    Whoever leaves early sets `stop` by that, and waits until the work has ended: `work` should look
    at `stop` often. What it raises is raised here, without the frames that would keep its models alive.
    """
    pieces: queue.SimpleQueue[T | _Ended] = queue.SimpleQueue()
    worker = threading.Thread(target=_worked, args=(work, pieces), daemon=True)
    worker.start()
    piece: T | _Ended | None = None
    try:
        while not isinstance(piece, _Ended):
            try:
                piece = pieces.get(timeout=WAIT)
            except queue.Empty:
                continue
            if not isinstance(piece, _Ended):
                yield piece
        if piece.error is not None:
            raise piece.error
    finally:
        if not isinstance(piece, _Ended):
            stop.set()
        worker.join()


def _worked(work: Callable[[Callable[[T], None]], None], pieces: queue.SimpleQueue[T | _Ended]) -> None:
    try:
        work(pieces.put)
    except BaseException as error:  # noqa: BLE001  whoever iterates raises it again
        _forget_frames(error)
        pieces.put(_Ended(error))
    else:
        pieces.put(_Ended())


def _forget_frames(error: BaseException | None) -> None:
    """The frames of a failed stage hold its model; without this it would stay in memory."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # an error can be its own cause
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
