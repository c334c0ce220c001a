"""Rows about strangers: who costs memory, asks from elsewhere, guesses, and holds connections for nothing."""

from __future__ import annotations

import itertools
import json
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from imgrag.bench import Figure
from imgrag.bench.fire.faults import explain
from imgrag.bench.fire.memory import growth_each
from imgrag.bench.fire.server import MEGABYTE, Server, serving
from imgrag.bench.fire.visitor import API, Visitor

Figures = dict[str, Figure]
PROMPT = "a dog and a toolbox quick"
LOGIN = ("ann", "secret")
WITH_LOGIN = ("--auth", ":".join(LOGIN))
DESCRIPTORS = 1024
SLOW_SECONDS = 15.0  # after which nobody who sends a byte a second has a connection left
PIECE = 2**16


def new_sessions(server: Server, count: int) -> Figures:
    """Memory of the whole process over `count` sessions that ask for something and never come back."""
    with Visitor(server.url) as visitor:
        event = next(
            event for event in visitor.events if not event["queue"] and event["api_name"] == "libraries"
        )
        for number in range(50 + count):
            if number == 50:  # the first ones warm up
                before = server.settled_memory()
            visitor.session = secrets.token_hex(6)
            visitor.fire(event)
    return {"new_sessions": Figure((server.settled_memory() - before) / MEGABYTE, count)}


def visitors(server: Server, count: int) -> Figures:
    """Memory for each of `count` visitors with a run of their own, who neither close the page nor come back."""
    with Visitor(server.url) as first:
        config = first.config
    return {"visitors": Figure(growth_each(server, lambda: _run_once(server, config), count), count)}


def before_login(folder: Path, count: int) -> Figures:
    """Routes that keep state, asked without a login `count` times each; then as many heartbeats that close at once."""
    with serving(folder, *WITH_LOGIN) as server, _client(server) as http:
        answered = [
            f"{method} {path}"
            for method, path in _routes()
            for _ in range(count)
            if _answers(http, method, path)
        ]
        http.post("/login", data=dict(zip(("username", "password"), LOGIN, strict=True))).raise_for_status()
        slowest = _closing(server, http, count * 10)
    explain("before_login", answered)
    asked = len(_routes()) * count
    return {"before_login": Figure(len(answered), asked), "closing": Figure(slowest, count * 10)}


def elsewhere(server: Server, count: int) -> Figures:
    """Requests that other pages can have a browser send, and requests for hosts that are none of ours."""
    port = httpx.URL(server.url).port
    foreign = [
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": f"http://127.0.0.1:{(port or 1) - 1}"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, {"sec-fetch-site": "same-site"},
        {"host": "evil.example"}, {"host": f"evil.example:{port}", "origin": f"http://evil.example:{port}"},
        {"x-forwarded-host": "evil.example", "origin": "https://evil.example"},
    ]  # fmt: skip
    let_in = []
    with _client(server) as http:
        for headers, path in itertools.product(
            foreign[:count], ("/config", f"{API}/upload", f"{API}/run/libraries")
        ):
            answer = _sent(http, path, headers)
            named = [name for name in answer.headers if name.startswith("access-control-")]
            if answer.is_success or named:
                let_in.append(f"{path} {headers}: {answer.status_code} {named}")
        own = _sent(http, f"{API}/run/libraries", {"origin": server.url, "sec-fetch-site": "same-origin"})
        let_in += [] if own.is_success else ["the page itself is refused"]
    explain("elsewhere", let_in)
    return {"elsewhere": Figure(len(let_in), len(foreign[:count]) * 3 + 1)}


def guesses(folder: Path, count: int) -> Figures:
    """`count` wrong passwords at once from one address, and whether somebody else comes in meanwhile."""
    with serving(folder, *WITH_LOGIN, FORWARDED_ALLOW_IPS="127.0.0.1") as server, _client(server) as http:

        def guess(number: int) -> int:
            return _login(http, "192.0.2.1", "ann", f"wrong{number}").status_code

        with ThreadPoolExecutor(16) as pool:
            looked_at = sum(status != 429 for status in pool.map(guess, range(count)))
        kept_out = not _login(http, "192.0.2.2", *LOGIN).is_success
    return {"guesses": Figure(looked_at, count), "guesses_other": Figure(kept_out, 1)}


def idle(folder: Path, count: int) -> Figures:
    """How long the page takes with `count` idle connections, where the process has 1,024 descriptors."""
    _raise_descriptors(count + 256)
    slowest = 0.0
    with serving(folder, "--descriptors", str(DESCRIPTORS)) as server, ExitStack() as stack:
        for number in range(count):
            stack.enter_context(_connected(server))
            if number % 100 == 99 or number == count - 1:
                slowest = max(slowest, _newcomer_seconds(server))
    return {"idle": Figure(slowest, count)}


def slow(server: Server, count: int) -> Figures:
    """Connections that send a byte a second, of a head and of a body; how many are still held after 15 seconds."""
    body = f"POST {API}/queue/join HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90000\r\n\r\n"
    upload = f"POST {API}/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90000\r\n"
    upload += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    starts = [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ", body.encode(), upload.encode()]
    with ExitStack() as stack:
        held = []
        for start in starts * count:
            held.append(stack.enter_context(_connected(server)))
            held[-1].sendall(start)
        deadline = time.monotonic() + SLOW_SECONDS
        while held and time.monotonic() < deadline:
            time.sleep(1)
            held = [one for one in held if _still_takes(one)]
    return {"slow": Figure(len(held), len(starts) * count)}


def cut_uploads(server: Server, count: int) -> Figures:
    """Files that `count` uploads leave on the disk when they are cut off near their end."""
    head = f"POST {API}/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {MEGABYTE * 2}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    part = '--x\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'
    before = _unfinished(server.uploads)
    for _ in range(count):
        with _connected(server) as one:
            one.sendall((head + part).encode() + b"x" * MEGABYTE)
    deadline = time.monotonic() + 10
    time.sleep(1)  # the last ones are still taken in
    while (left := _unfinished(server.uploads) - before) and time.monotonic() < deadline:
        time.sleep(0.1)
    return {"cut_uploads": Figure(len(left), count)}


def _newcomer_seconds(server: Server) -> float:
    """How long the page takes for somebody who has no connection yet; a minute if it does not answer."""
    begun = time.monotonic()
    with _client(server) as http:
        try:
            http.get("/").raise_for_status()
        except httpx.HTTPError:
            return max(60.0, time.monotonic() - begun)
    return time.monotonic() - begun


def _run_once(server: Server, config: dict[str, Any]) -> None:
    with Visitor(server.url) as visitor:
        visitor.__dict__["config"] = config  # one look at the page is enough for all
        visitor.run(PROMPT, 1)


def _routes() -> list[tuple[str, str]]:
    """What keeps something of whoever asks, or could change something."""
    get = ("heartbeat/any", "queue/data?session_hash=any", "upload_progress?upload_id=any", "call/run/any",
           "deep_link?session_hash=any", "dev/reload", "stream/any/1/1/playlist.m3u8", "info", "queue/status")  # fmt: skip
    post = ("queue/join", "run/libraries", "api/libraries", "call/libraries", "upload", "component_server",
            "cancel", "reset", "stream/any", "stream/any/close", "process_recording", "vibe-edit", "mcp/")  # fmt: skip
    asked = [*(("GET", f"{API}/{path}") for path in get), *(("POST", f"{API}/{path}") for path in post)]
    return [*asked, ("GET", "/config"), ("GET", "/monitoring")]


def _answers(http: httpx.Client, method: str, path: str) -> bool:
    body = {"data": [], "session_hash": "any", "event_id": "any", "fn_index": 0}
    with http.stream(method, path, content=json.dumps(body) if method == "POST" else None) as answer:
        return answer.status_code not in (401, 404, 405)


def _closing(server: Server, http: httpx.Client, count: int) -> float:
    """Seconds that `/healthz` takes at most while so many heartbeats are closed at once."""
    cookies = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    with ExitStack() as stack:
        for number in range(count):
            one = stack.enter_context(_connected(server))
            head = f"GET {API}/heartbeat/closing{number} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookies}\r\n\r\n"
            one.sendall(head.encode())
            one.recv(PIECE)
    slowest, until = 0.0, time.monotonic() + 5
    while time.monotonic() < until:
        begun = time.monotonic()
        http.get("/healthz").raise_for_status()
        slowest = max(slowest, time.monotonic() - begun)
    return slowest


def _sent(http: httpx.Client, path: str, headers: dict[str, str]) -> httpx.Response:
    if path == "/config":
        return http.get(path, headers=headers)
    if path.endswith("upload"):
        return http.post(path, headers=headers, files={"files": ("x.txt", b"x")})
    return http.post(path, headers=headers, json={"data": []})


def _login(http: httpx.Client, address: str, name: str, word: str) -> httpx.Response:
    """A login for somebody at this address, as a proxy on this machine hands it on."""
    return http.post(
        "/login", data={"username": name, "password": word}, headers={"x-forwarded-for": address}
    )


def _client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=60, trust_env=False)


@contextmanager
def _connected(server: Server) -> Iterator[socket.socket]:
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port or 80), timeout=20) as one:
        yield one


def _still_takes(one: socket.socket) -> bool:
    """Whether a byte can be sent and the other side has not hung up."""
    try:
        one.sendall(b"x")
        one.setblocking(False)
        return one.recv(PIECE) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        one.settimeout(20)


def _raise_descriptors(wanted: int) -> None:
    """Let this process hold so many sockets, where it may."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))


def _unfinished(uploads: Path) -> set[Path]:
    """Uploads under way, or cut off: those that are whole have a folder each."""
    return {file for file in uploads.iterdir() if file.is_file()} if uploads.is_dir() else set()
