"""Connections that get on: whoever sends nothing, or next to nothing, makes room for others.

uvicorn waits for ever for the head of a first request and for every body, and takes connections until the
process has no descriptor left for anything. What a request is about is none of its business.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # for the head of a request, and for a connection without one
BODY_SECONDS = 10.0  # for a body, besides what its size takes
BODY_RATE = 1024  # bytes a second, at least
ANSWER_SECONDS = 60.0  # in which the other side takes nothing of an answer that waits for it
LOOK = 1.0  # seconds between two looks at a connection
DESCRIPTORS = 4096  # as many as are asked for; macOS gives no more than 10,240
MOST = 1000  # connections, wherever they come from


class Connection(H11Protocol):
    """One connection; one that is idle is closed where there are too many."""

    most = MOST

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._stands: tuple[str, object] = ("", None)
        self._since, self._received = self.loop.time(), 0
        self._blocked: float | None = None  # since when an answer waits for the other side
        self._make_room()
        self._looking = self.loop.call_later(LOOK, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)

    def pause_writing(self) -> None:
        self._blocked = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._blocked = None
        super().resume_writing()

    def idle_since(self) -> float | None:
        """Since when nothing is asked for; `None` while something is."""
        return self._since if self._at()[0] == "head" else None

    def _at(self) -> tuple[str, object]:
        """What it is at, "head", "body" or "answer", and of which request."""
        if self.cycle is None or self.cycle.response_complete:
            return "head", self.cycle
        return ("body" if self.cycle.more_body and not self.flow.read_paused else "answer"), self.cycle

    def _look(self) -> None:
        now = self.loop.time()
        if self._at() != self._stands:
            self._stands, self._since, self._received = self._at(), now, 0
        if self._overdue(now):
            self.transport.abort()
        else:
            self._looking = self.loop.call_later(LOOK, self._look)

    def _overdue(self, now: float) -> bool:
        if self._blocked is not None and now - self._blocked > ANSWER_SECONDS:
            return True
        allowed = {"head": HEAD_SECONDS, "body": BODY_SECONDS + self._received / BODY_RATE}
        return now - self._since > allowed.get(self._stands[0], float("inf"))

    def _make_room(self) -> None:
        """Whoever never asked for anything goes first: of the others, a next request may be on its way."""
        others = [one for one in self.connections if isinstance(one, Connection) and one is not self]
        others = [one for one in others if not one.transport.is_closing()]
        idle = [
            (one.cycle is not None, since, id(one), one)
            for one in others
            if (since := one.idle_since()) is not None
        ]
        if idle and len(others) >= self.most:
            min(idle)[-1].transport.close()


def most_connections() -> int:
    """How many connections this process can hold; half of its descriptors, since an answer may open a file.

    The descriptors are raised as far as they may be.
    """
    if sys.platform == "win32":
        return MOST
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MOST if soft == resource.RLIM_INFINITY else max(16, min(MOST, soft // 2))


def bound(server: uvicorn.Server, most: int) -> None:
    """Let a server that runs hold at most so many connections, from the next one on."""
    kind: Any = type("Bounded", (Connection,), {"most": most})
    server.config.limit_concurrency = most * 3 // 2  # where none is idle: 503, from uvicorn itself
    server.config.http_protocol_class = kind
