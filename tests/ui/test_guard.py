"""The guard alone, before a short app; and before the real page, with an eye on sockets and files."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import socket
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder
from PIL import Image
from starlette.testclient import TestClient

from imgrag.ui.demo import MAX_WAITING, build_demo, launch
from imgrag.ui.server.guard import MAX_BODY, Guard, file_arguments, lies_in_cache
from tests.served import ROOT, page_pipeline

CACHE = Path(get_upload_folder())
OURS = str(CACHE / "abc" / "owl.png")
API = "/gradio_api"
FILE = {"_type": "gradio.FileData"}

ADDRESSES = [
    "http://127.0.0.1:9/a.png",
    "HTTPS://example.invalid/a.png",
    "  http://127.0.0.1:9/a.png",
    "hTTp://user:word@127.0.0.1:9/a.png",
    "ftp://127.0.0.1/a.png",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "//127.0.0.1/a.png",
    "\\\\127.0.0.1\\share\\a.png",
    "data:image/png;base64,iVBORw0KGgo=",
    "%68ttp://127.0.0.1:9/a.png",
    f"http://127.0.0.1:9{API}/file={OURS}",
]
PATHS = [
    "/etc/passwd",
    f"{CACHE}/../../etc/passwd",
    f"{CACHE}/%2e%2e/%2e%2e/etc/passwd",
    f"{CACHE}/%252e%252e/%252e%252e/etc/passwd",
    f"{CACHE}/a\0.png",
    f"{CACHE}",
    f"{CACHE}x/a.png",
    str(ROOT / "pyproject.toml"),
    "../../../etc/passwd",
    "~/.bashrc",
    "",
]


class Echo:
    """Answers with the body it got, in two pieces; at /error with what it is given."""

    def __init__(self, status: int = 200, body: bytes | None = None) -> None:
        self.status, self.body, self.asked = status, body, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        got, more = b"", True
        while more:
            message = await receive()
            got, more = got + message.get("body", b""), message.get("more_body", False)
        body = got if self.body is None else self.body
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": body[:3], "more_body": True})
        await send({"type": "http.response.body", "body": body[3:]})


def ask(document: Any, path: str = f"{API}/queue/join", **settings: Any) -> httpx.Response:
    """The guard's answer to a JSON body; the echo's, if it lets it pass."""
    return TestClient(Guard(Echo(), **settings), base_url="http://page").post(path, json=document)


class TestBodies:
    @pytest.mark.parametrize("place", [*ADDRESSES, *PATHS])
    @pytest.mark.parametrize("wrap", ["path", "url", "deep", "listed", "bare"])
    def test_what_is_no_file_of_the_cache_is_refused(self, place, wrap):
        documents = {
            "path": {"data": [{"path": place, "meta": FILE}]},
            "url": {"data": [{"path": OURS, "url": place, "meta": FILE}]},
            "deep": {"data": [[[{"a": {"image": {"path": place}}}]]], "event_data": None},
            "listed": {"data": [{"path": [OURS, place]}]},
            "bare": {"path": place},
        }
        answer = ask(documents[wrap], f"{API}/call/run")
        assert answer.status_code == 422
        assert "not fetched" in answer.json()["detail"]

    @pytest.mark.parametrize(
        "document",
        [
            {"data": [{"path": OURS, "meta": FILE}]},
            {"data": [{"path": OURS, "url": f"http://page{API}/file={OURS}", "meta": FILE}]},
            {"data": [{"path": OURS, "url": f"http://page/behind/a/proxy{API}/file={quote(OURS)}"}]},
            {"data": [{"path": OURS, "url": f"{API}/file={OURS}"}, {"path": None, "url": None}]},
            {
                "data": [
                    "http://127.0.0.1:9/a.png is what I saw",
                    "file:///etc/passwd",
                    "/etc/passwd",
                    "data:x",
                ]
            },
            {"data": [], "session_hash": "path", "fn_index": 0},
            {"session_hash": "x" * 64},
            ["path", "http://a"],
            "http://a",
        ],
    )
    def test_files_of_the_cache_and_texts_pass_as_they_are(self, document):
        answer = ask(document)
        assert answer.status_code == 200
        assert answer.json() == document

    def test_a_session_has_a_short_name(self):
        answer = ask({"data": [], "session_hash": "x" * 65})
        assert answer.status_code == 422

    def test_a_page_behind_a_proxy_may_name_its_outer_address(self):
        sent = {"data": [{"path": OURS, "url": f"https://space.example{API}/file={OURS}"}]}
        client = TestClient(Guard(Echo()), base_url="http://inside:7860")
        path = f"{API}/queue/join"
        assert client.post(path, json=sent).status_code == 422
        for header in ({"x-forwarded-host": "space.example"}, {"origin": "https://space.example"}):
            assert client.post(path, json=sent, headers=header).status_code == 200

    def test_half_a_character_is_a_sentence_wherever_it_stands(self):
        for body in (
            '{"data": ["\\ud800"]}',
            '{"event_data": {"text": "a \\udc36 dog"}}',
            '{"\\ud800": "x"}',
        ):
            for path in ("run/predict", "queue/join", "cancel", "mcp/"):
                answer = TestClient(Guard(Echo())).post(f"{API}/{path}", content=body)
                assert answer.status_code == 422 and "half of a character" in answer.text
        whole = TestClient(Guard(Echo())).post(f"{API}/run/predict", content='{"data": ["\\ud83d\\udc36"]}')
        assert whole.status_code == 200

    @pytest.mark.parametrize("number", [-1, 10**20])
    def test_a_handler_that_is_none_is_a_sentence(self, number):
        answer = ask({"data": [], "fn_index": number}, handlers=frozenset({0, 1}))
        assert answer.status_code == 422 and "does not fit" in answer.text
        assert ask({"data": [], "fn_index": 1}, handlers=frozenset({0, 1})).status_code == 200

    @pytest.mark.parametrize("name", ["%ff%00", "x" * 65, "%0a"])
    def test_a_session_that_no_page_has_is_not_kept(self, name):
        assert TestClient(Guard(Echo())).post(f"{API}/heartbeat/{name}").status_code == 422
        assert TestClient(Guard(Echo())).get(f"{API}/heartbeat/{name}").status_code == 422

    @pytest.mark.parametrize("place", [*ADDRESSES, "/etc/passwd"])
    def test_mcp_takes_no_address_where_a_picture_stands_and_any_text_elsewhere(self, place):
        def tool(**arguments: Any) -> httpx.Response:
            params = {"name": "library_search", "arguments": arguments}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            return ask([message], f"{API}/mcp/", pictures=frozenset({"image"}))

        assert tool(image=place).status_code == 422
        assert tool(image=[place]).status_code == 422
        assert tool(text=place).status_code == 200

    def test_the_queue_is_answered_in_the_shape_that_clients_read(self):
        [said] = ask({"data": [{"path": "/etc/passwd"}]}).json()["detail"]
        assert said["is_valid"] is False and "not fetched" in said["message"]

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"\xff\xfe",
            b"[" * 200_000,
            b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n{}\r\n--x--',
        ],
    )
    def test_what_is_no_json_is_refused_before_gradio_reads_it(self, body):
        echo = Echo()
        client = TestClient(Guard(echo))
        for path in (f"{API}/component_server", f"{API}/process_recording", f"{API}/run/x"):
            answer = client.post(
                path, content=body, headers={"content-type": "multipart/form-data; boundary=x"}
            )
            assert answer.status_code == 422
            assert "JSON" in answer.json()["detail"]
        assert echo.asked == 0

    def test_a_body_may_be_as_large_as_the_bound_and_no_larger(self):
        path, frame = f"{API}/queue/join", len('""')
        client = TestClient(Guard(Echo()))
        assert client.post(path, content=b'"' + b"x" * (MAX_BODY - frame) + b'"').status_code == 200
        answer = client.post(path, content=b'"' + b"x" * (MAX_BODY - frame + 1) + b'"')
        assert answer.status_code == 413
        assert "larger than 1 MB" in answer.json()["detail"]

    def test_a_body_without_a_length_is_bounded_while_it_comes(self):
        taken = 0

        async def receive() -> dict[str, Any]:
            nonlocal taken
            taken += 1
            return {"type": "http.request", "body": b"x" * 2**16, "more_body": True}

        sent = run_guard(Guard(Echo()), receive, path=f"{API}/queue/join")
        assert sent[0]["status"] == 413
        assert taken == MAX_BODY // 2**16 + 1

    def test_whoever_leaves_in_the_middle_of_a_body_is_not_waited_for(self):
        left = iter(
            [{"type": "http.request", "body": b'{"a"', "more_body": True}, {"type": "http.disconnect"}]
        )

        async def receive() -> dict[str, Any]:
            return next(left)

        assert run_guard(Guard(Echo()), receive, path=f"{API}/queue/join")[0]["status"] == 422

    def test_an_upload_passes_piece_by_piece(self):
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append((await receive())["body"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def receive() -> dict[str, Any]:
            assert not seen
            return {"type": "http.request", "body": b"x" * (MAX_BODY + 1), "more_body": True}

        assert run_guard(Guard(app), receive, path=f"{API}/upload")[0]["status"] == 200
        assert len(seen) == 1


def run_guard(guard: Guard, receive: Any, path: str, method: str = "POST") -> list[dict[str, Any]]:
    """What is sent for one request, message by message."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    asyncio.run(guard(scope, receive, send))
    return sent


class TestAnswers:
    def test_a_stream_stays_a_stream(self):
        sent: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for number in range(3):
                await send({"type": "http.response.body", "body": b"x", "more_body": number < 2})
                assert len(sent) == number + 2

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        asyncio.run(Guard(app)(scope, None, send))

    @pytest.mark.parametrize(
        "body",
        [
            "File not allowed: /tmp/gradio/abc/owl.png.",
            "Cannot move /etc/passwd",
            '{"detail": [{"input": "/home/me/x"}]}',
            r'{"detail": "C:\\Users\\me\\x.png"}',
            r'{"detail": "\\\\host\\share"}',
            "/srv/imgrag/app.py",
            "in D:/data/x",
        ],
    )
    @pytest.mark.parametrize("status", [400, 403, 422, 500])
    def test_an_error_that_names_a_path_becomes_a_sentence(self, body, status):
        answer = TestClient(Guard(Echo(status, body.encode()))).get("/x")
        assert answer.status_code == status
        assert answer.json()["detail"].endswith(".")
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize(
        "body",
        [
            '{"detail":"Not Found"}',
            '{"error":"There is no library \'x\' here."}',
            "and/or 3/4 http://a/b",
            "",
        ],
    )
    def test_another_error_stays_as_it_is(self, body):
        answer = TestClient(Guard(Echo(404, body.encode()))).get("/x")
        assert (answer.status_code, answer.text, answer.headers["x-own"]) == (404, body, "1")

    def test_a_page_that_is_fine_is_not_read(self):
        assert TestClient(Guard(Echo(200, b"see /etc/passwd"))).get("/x").text == "see /etc/passwd"


class TestPlaces:
    @pytest.mark.parametrize("text", [OURS, str(CACHE / "a"), str(CACHE / "a b" / "猫 100.png"), quote(OURS)])
    def test_inside(self, text):
        assert lies_in_cache(text)

    @pytest.mark.parametrize("text", [*ADDRESSES, *PATHS, "%25" * 9, "\ud800"])
    def test_outside(self, text):
        assert not lies_in_cache(text)

    def test_arguments_that_take_files_are_found(self):
        with gr.Blocks() as demo:
            inputs = {"words": gr.Textbox(), "picture": gr.Image(), "files": gr.File(file_count="multiple")}
            gr.Button().click(lambda **_: None, None, None, inputs_kwargs=inputs, api_name="find")
        assert file_arguments(demo) == {"picture", "files"}


# --- the real page -------------------------------------------------------------------------------------


class Watch:
    """What this process connects to, looks up and opens while it is on; Python's own files left out."""

    def __init__(self, port: int) -> None:
        self.port, self.on, self.seen = port, False, []
        self.own = tuple({sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), str(ROOT / "imgrag")})
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "socket.connect" and arguments[1][:2] != ("127.0.0.1", self.port):
            self.seen.append(("connect", arguments[1]))
        elif event == "socket.getaddrinfo" and arguments[:2] != ("127.0.0.1", self.port):
            self.seen.append(("look up", arguments[0]))
        elif (
            event == "open"
            and not str(arguments[0]).startswith(self.own)
            and not isinstance(arguments[0], int)
        ):
            self.seen.append(("open", str(arguments[0])))

    @contextlib.contextmanager
    def watching(self) -> Iterator[list[Any]]:
        self.seen, self.on = [], True
        try:
            yield self.seen
        finally:
            self.on = False


@contextlib.contextmanager
def served_here(
    folder: Path, host: str = "127.0.0.1", called: str = "127.0.0.1", **options: Any
) -> Iterator[httpx.Client]:
    """The real page, served by a thread of this process at `host`, and a client that asks it as `called`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    demo, usual = build_demo(page_pipeline(folder)), Image.MAX_IMAGE_PIXELS
    demo.block_thread = lambda: None  # the server has a thread of its own
    launch(demo, warm_up=False, server_name=host, server_port=port, **options)
    with httpx.Client(base_url=f"http://{called}:{port}", timeout=60) as client:
        yield client
    demo.close(verbose=False)
    Image.MAX_IMAGE_PIXELS = usual  # the page's is for the whole process


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[httpx.Client]:
    with served_here(tmp_path_factory.mktemp("page")) as client:
        yield client


@pytest.fixture(scope="module")
def watch(page) -> Watch:
    return Watch(page.base_url.port)


@pytest.fixture(scope="module")
def events(page) -> list[dict[str, Any]]:
    """Every event of the page that takes a file: its number, its data by default, and which of them are files."""
    config = page.get("/config").json()
    parts = {part["id"]: part for part in config["components"]}
    found = []
    for event in config["dependencies"]:
        inputs = [parts[number] for number in event["inputs"]]
        files = [
            n for n, part in enumerate(inputs) if part["type"] in ("image", "file", "gallery", "imageeditor")
        ]
        if files:
            data = [part["props"].get("value") for part in inputs]
            found.append({"fn_index": event["id"], "data": data, "files": files, "api": event["api_name"]})
    return found


def join(page: httpx.Client, event: dict[str, Any], value: Any, at: int) -> httpx.Response:
    data = [*event["data"]]
    data[at] = value
    body = {"data": data, "fn_index": event["fn_index"], "session_hash": "guarded"}
    return page.post(f"{API}/queue/join", json=body)


def upload(page: httpx.Client, name: str = "owl.png") -> str:
    written = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(written, "PNG")
    return page.post(f"{API}/upload", files={"files": (name, written.getvalue(), "image/png")}).json()[0]


class TestPage:
    def test_the_watch_sees_what_any_thread_does(self, watch, tmp_path):
        (tmp_path / "a.txt").write_text("x")

        def stray() -> None:
            (tmp_path / "a.txt").read_text()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", 9), timeout=1)

        with watch.watching() as seen:
            thread = threading.Thread(target=stray)
            thread.start()
            thread.join()
        assert {("open", str(tmp_path / "a.txt")), ("connect", ("127.0.0.1", 9))} <= set(seen)

    def test_the_page_has_events_that_take_files(self, events):
        assert {"library_search"} <= {event["api"] for event in events}
        assert len(events) >= 3

    @pytest.mark.parametrize("place", [*ADDRESSES[:-1], "/etc/passwd"])
    def test_no_address_in_any_picture_input_opens_anything(self, page, events, watch, place):
        with watch.watching() as seen:
            for event in events:
                for at in event["files"]:
                    one = {"path": place, "meta": FILE}
                    for value in (one, [one], {"path": OURS, "url": place, "meta": FILE}):
                        assert join(page, event, value, at).status_code == 422
        assert seen == []

    @pytest.mark.parametrize("route", ["call/library_search", "call/v2/library_search", "run/library_search"])
    def test_the_other_ways_in_are_guarded_too(self, page, watch, route):
        picture = {"path": "http://127.0.0.1:9/a.png", "meta": FILE}
        with watch.watching() as seen:
            for body in ({"data": ["pocket", "", picture]}, {"image": picture}):
                answer = page.post(f"{API}/{route}", json=body)
                assert (answer.status_code, "not fetched" in answer.json()["detail"]) == (422, True)
        assert seen == []

    @pytest.mark.parametrize("place", [*PATHS, *ADDRESSES])
    def test_no_path_or_address_is_served(self, page, watch, place):
        with watch.watching() as seen:
            for route in (f"{API}/file=", f"{API}/file/", f"{API}/proxy="):
                for escaped in (quote(place), quote(place, safe=""), quote(quote(place, safe=""), safe="")):
                    status, text = raw_get(page, route + escaped)
                    assert status in (400, 403, 404)
                    assert not names_a_path(text)
        assert seen == []

    def test_an_upload_is_served_and_can_be_searched_by(self, page, events):
        path = upload(page)
        answer = page.get(f"{API}/file={path}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        event = next(event for event in events if event["api"] == "library_search")
        given = {"path": path, "url": f"http://127.0.0.1:{page.base_url.port}{API}/file={path}", "meta": FILE}
        assert join(page, event, given, event["files"][0]).status_code == 200

    @pytest.mark.parametrize("name", ["../../owl.png", "/etc/owl.png", "..\\..\\owl.png", "a/../../b.png"])
    def test_an_upload_lands_in_the_cache_whatever_its_name(self, page, name):
        assert lies_in_cache(upload(page, name))

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "queue/join", {"data": [], "fn_index": 9999, "session_hash": "x"}),
            ("POST", "queue/join", {"data": "x", "fn_index": "/etc/passwd", "session_hash": 3}),
            ("POST", "queue/join", {"data": []}),
            ("POST", "run/nothing", {"data": []}),
            ("POST", "run/run", {"data": ["/etc/passwd"]}),
            ("POST", "call/library_search", {"data": {"a": 1}}),
            ("POST", "call/v2/nothing", {}),
            ("POST", "component_server", {"data": {}, "component_id": 9999, "fn_name": "ls", "session_hash": "x"}),
            ("POST", "component_server", {"data": "/etc", "component_id": 1, "fn_name": "postprocess", "session_hash": "x"}),
            ("POST", "process_recording", {}),
            ("POST", "vibe-edit", {"prompt": "x"}),
            ("POST", "run-history/connect", {"bucket_id": "x"}),
            ("GET", "custom_component/1/client/component/..%2f..%2fx", None),
            ("GET", "stream/a/b/1/playlist.m3u8", None),
            ("GET", "runs", None),
            ("GET", "../static/%2e%2e%2f%2e%2e%2fetc/passwd", None),
            ("GET", "../assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd", None),
            ("GET", "mcp/../../x", None),
            ("DELETE", "queue/join", None),
        ],
    )  # fmt: skip
    def test_no_error_names_a_path_or_shows_a_trace(self, page, method, path, body):
        content = None if body is None else json.dumps(body)
        status, text = raw_request(page, method, f"{API}/{path}", content)
        assert status >= 400
        assert not names_a_path(text)
        assert "Traceback" not in text

    @pytest.mark.parametrize("link", ["../../etc", "%2e%2e%2f%2e%2e", "/etc/passwd", "a" * 500, "\0"])
    def test_a_deep_link_leads_nowhere_else(self, page, watch, link):
        with watch.watching() as seen:
            for path in (f"/?deep_link={quote(link)}", f"/config?deep_link={quote(link)}"):
                assert "root:" not in page.get(path).text
        assert [place for what, place in seen if what != "open" or "etc" in place] == []

    def test_a_large_body_is_refused_with_and_without_a_length(self, page):
        body = json.dumps({"data": ["x" * 6_000_000], "fn_index": 0, "session_hash": "x"}).encode()
        pieces = (body[at : at + 2**16] for at in range(0, len(body), 2**16))
        for content in (body, pieces):
            try:
                answer = page.post(
                    f"{API}/queue/join", content=content, headers={"content-type": "application/json"}
                )
            except httpx.WriteError:  # the server has hung up before all of it was sent
                continue
            assert answer.status_code == 413
            assert "larger than 1 MB" in answer.json()["detail"]
        assert page.get("/healthz").is_success

    def test_pages_and_answers_carry_the_security_headers(self, page):
        for path in ("/", "/config", "/healthz", f"{API}/file=/etc/passwd"):
            headers = page.get(path).headers
            assert (headers["x-content-type-options"], headers["referrer-policy"]) == (
                "nosniff",
                "no-referrer",
            )
        policy = page.get("/").headers["content-security-policy"]
        assert "object-src 'none'" in policy and "frame-ancestors 'self'" in policy

    def test_one_runs_eight_wait_and_the_next_is_told_so_while_the_server_stays_well(self, tmp_path):
        with served_here(tmp_path) as page:
            config = page.get("/config").json()
            parts = {part["id"]: part for part in config["components"]}
            event = next(event for event in config["dependencies"] if event["api_name"] == "run")
            data = ["slow car", *(parts[number]["props"].get("value") for number in event["inputs"][1:])]
            answers = []
            for number in range(MAX_WAITING + 3):
                body = {"data": data, "fn_index": event["id"], "session_hash": f"s{number}"}
                answers.append(page.post(f"{API}/queue/join", json=body))
                if number == 0:
                    wait_until_it_runs(page)
            assert [answer.status_code for answer in answers] == [200] * (MAX_WAITING + 1) + [503] * 2
            assert answers[-1].json() == {
                "detail": "Too many are waiting already. Please try again in a minute."
            }
            assert page.get("/healthz").json() == {"live": True, "ready": True}


def wait_until_it_runs(page: httpx.Client) -> None:
    for _ in range(200):
        if page.get(f"{API}/queue/status").json()["queue_size"] == 0:
            return
        time.sleep(0.05)


def raw_request(page: httpx.Client, method: str, target: str, body: str | None = None) -> tuple[int, str]:
    """A request whose target is sent as it is: `httpx` would tidy it first."""
    connection = http.client.HTTPConnection("127.0.0.1", page.base_url.port, timeout=60)
    headers = {"content-type": "application/json"} if body is not None else {}
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, text


def raw_get(page: httpx.Client, target: str) -> tuple[int, str]:
    return raw_request(page, "GET", target)


def names_a_path(text: str) -> bool:
    folders = (CACHE, ROOT, Path(tempfile.gettempdir()), Path.home(), Path(sys.prefix), Path("/etc"))
    return any(f"{folder}" in text or json.dumps(str(folder))[1:-1] in text for folder in folders)
