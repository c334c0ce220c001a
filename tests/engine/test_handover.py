"""Work in a thread, handed over: the order, an error, and leaving early."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import closing

import pytest

from imgrag.engine.handover import handed_over

Put = Callable[[int], None]


class Worker:
    """Puts numbers until it is stopped, and remembers what it did."""

    def __init__(self, most: int = 10**9) -> None:
        self.stop = threading.Event()
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None
        self._most = most

    def __call__(self, put: Put) -> None:
        self.thread = threading.current_thread()
        try:
            for number in range(self._most):
                if self.stop.is_set():
                    break
                put(number)
                self.stop.wait(0.001)
        finally:
            self.ended.set()

    @property
    def is_gone(self) -> bool:
        return self.ended.is_set() and self.thread is not None and not self.thread.is_alive()


def stream(worker: Worker) -> Generator[int, None, None]:
    return handed_over(worker, worker.stop)


def test_pieces_come_in_order_and_the_thread_ends() -> None:
    worker = Worker(50)
    assert list(stream(worker)) == list(range(50))
    assert worker.is_gone and not worker.stop.is_set()


def test_nothing_runs_before_the_first_piece_is_asked_for() -> None:
    worker = Worker(1)
    pieces = stream(worker)
    pieces.close()
    assert worker.thread is None


def test_pieces_come_as_they_are_made() -> None:
    go = threading.Event()

    def work(put: Put) -> None:
        put(1)
        assert go.wait(10)
        put(2)

    pieces = handed_over(work, threading.Event())
    assert next(pieces) == 1
    go.set()
    assert list(pieces) == [2]


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def work(put: Put) -> None:
        put(1)
        raise KeyError("broken")

    got = []
    with pytest.raises(KeyError, match="broken"):
        for piece in handed_over(work, threading.Event()):
            got.append(piece)
    assert got == [1]


def test_leaving_early_stops_the_work_and_waits_for_it() -> None:
    worker = Worker()
    pieces = stream(worker)
    assert [next(pieces), next(pieces)] == [0, 1]
    pieces.close()
    assert worker.stop.is_set() and worker.is_gone


def test_an_error_of_the_one_who_takes_stops_the_work() -> None:
    worker = Worker()
    with pytest.raises(ZeroDivisionError), closing(stream(worker)) as pieces:
        for piece in pieces:
            _ = 1 / (2 - piece)
    assert worker.stop.is_set() and worker.is_gone


def test_an_error_thrown_into_the_stream_stops_the_work() -> None:
    worker = Worker()
    pieces = stream(worker)
    next(pieces)
    with pytest.raises(KeyboardInterrupt):
        pieces.throw(KeyboardInterrupt())
    assert worker.stop.is_set() and worker.is_gone


def test_an_error_while_leaving_is_not_told() -> None:
    stop = threading.Event()

    def work(put: Put) -> None:
        put(1)
        stop.wait(10)
        raise KeyError("too late")

    pieces = handed_over(work, stop)
    next(pieces)
    pieces.close()
    assert stop.is_set()


def test_an_error_holds_nothing_of_the_work() -> None:
    class Model:
        pass

    held: list[weakref.ref[Model]] = []

    def inner(model: Model) -> None:
        raise ValueError("inside") from None

    def work(put: Put) -> None:
        model = Model()
        held.append(weakref.ref(model))
        try:
            inner(model)
        except ValueError as error:
            raise RuntimeError("outside") from error

    with pytest.raises(RuntimeError, match="outside") as caught:
        list(handed_over(work, threading.Event()))
    gc.collect()
    assert caught.value.__cause__ is not None and held[0]() is None
