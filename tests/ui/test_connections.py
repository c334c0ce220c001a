"""Connections that do not get on, at a short app and a real server."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from imgrag.ui.server import connections


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body to its end and says how long it was; at /long it sends more than anybody takes."""
    got, more = 0, True
    while more:
        message = await receive()
        got, more = got + len(message.get("body", b"")), message.get("more_body", False)
    body = b"x" * 2**25 if scope["path"] == "/long" else str(got).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def serving(most: int = 100) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(echo, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    connections.bound(server, most)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(connections, name, 0.3)
    monkeypatch.setattr(connections, "LOOK", 0.05)


def connect(port: int, start: str = "") -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), timeout=10)
    one.sendall(start.replace("\n", "\r\n").encode())
    return one


def hung_up(one: socket.socket) -> bool:
    try:
        return one.recv(1000) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "start", ["", "GET / HTTP/1.1\nHost: x\nX-Slow: ", "POST / HTTP/1.1\nHost: x\nContent-Length: 9000\n\n"]
)
def test_whoever_sends_next_to_nothing_is_hung_up_on(start):
    with serving() as port, connect(port, start) as one:
        with contextlib.suppress(OSError):
            for _ in range(40):  # a byte now and then does not help
                one.sendall(b"x")
                time.sleep(0.05)
        assert hung_up(one)


def test_a_body_that_gets_on_is_waited_for():
    with serving() as port, connect(port, "POST / HTTP/1.1\nHost: x\nContent-Length: 100000\n\n") as one:
        for _ in range(10):
            one.sendall(b"x" * 10_000)
            time.sleep(0.1)
        assert b"100000" in one.recv(1000)


def test_whoever_takes_nothing_of_an_answer_is_hung_up_on():
    with serving() as port, connect(port, "GET /long HTTP/1.1\nHost: x\n\n") as one:
        time.sleep(1)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := one.recv(2**20):
                taken += len(piece)
        assert taken < 2**25


def test_idle_ones_make_room_for_whoever_asks(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 60)
    with serving(most=20) as port, contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(port)) for _ in range(60)]
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "0"
        assert hung_up(held[0])
        held[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert held[-1].recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no descriptors to bound")
def test_half_of_the_descriptors_are_for_connections():
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    try:
        most = connections.most_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 300
        assert most == min(connections.MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
