"""What stands before every route of Gradio's: no address is fetched, no path outside its cache is opened.

Gradio opens what a request's files name before a handler runs: addresses are fetched, for `file=` and for
the picture arguments of MCP tools too. The guard reads each JSON body first and refuses those, bounds the
body, closes the routes that fetch, and keeps the server's paths out of what it answers. Texts stay texts: a
prompt may mention an address. Uploads pass as streams; `max_file_size` and `Uploads` bound them. It knows no
component and no handler.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from gradio.utils import get_upload_folder
from gradio_client.utils import value_is_file
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgrag.ui.server.uploads import Uploads

if TYPE_CHECKING:
    import gradio as gr

MAX_BODY = 2**20  # bytes, of everything but an upload
MAX_SESSION = 64  # characters of the name that a page gives itself; Gradio keeps it
DECODINGS = 3  # times that a path may be percent-encoded
API = "/gradio_api/"
FILE_URL = f"{API}file="
PLACES = frozenset({"path", "url"})  # the keys under which Gradio looks for a file
PLAIN = frozenset({"GET", "HEAD", "OPTIONS"})  # Gradio reads no body of these

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# Gradio's page has scripts and styles in its markup and compiles the `js` of events, so these are allowed;
# what it may not do is to load from elsewhere or to send anything there.
PAGE_POLICY = "; ".join(
    (
        "default-src 'self' data: blob:",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
UNFRAMED = f"{PAGE_POLICY}; frame-ancestors 'self'"  # of a page that is no Space: those are shown in a frame

ADDRESS = "Upload the picture itself: addresses are not fetched, and no other path is opened."
TOO_LARGE = f"The request is larger than {MAX_BODY // 2**20} MB. Upload files instead of sending them in it."
NO_JSON = "The request is not readable as JSON."
NO_FILE = "There is no such file here."
BUSY = "Too many are waiting already. Please try again in a minute."
FAILED = "Something went wrong on our side. Please try again; the server's log tells more."
HALF = "The text holds half of a character, which nothing can write. Type or paste it again."
UNFIT = "The request does not fit what is served here."

# /tmp/imgrag/x, C:\Users\x, \\host\share, also as JSON writes their backslashes
_ABSOLUTE_PATH = re.compile(rb"(?<![\w.:/])/[\w.~-]+/[\w.~-]|\b[A-Za-z]:[\\/]|\\\\\w")
_HALF = re.compile("[\ud800-\udfff]")  # a surrogate alone, which has no UTF-8
_HEARTBEAT = f"{API}heartbeat/"
_FILE_ROUTE = re.compile(rf"{API}(?:file[=/]|proxy=)(.*)", re.DOTALL)


class Guard:
    """The middleware, in plain ASGI so that streams stay streams.

    Args:
        app: what it stands before.
        pictures: names of arguments that MCP tools take files in, as bare strings.
        handlers: the numbers of the page's; without any, none is looked for.
        framed: other pages may show this one in a frame.
    """

    def __init__(
        self,
        app: ASGIApp,
        pictures: frozenset[str] = frozenset(),
        handlers: frozenset[int] = frozenset(),
        framed: bool = False,
    ) -> None:
        self._app = app
        self._handlers = handlers
        self._pictures = pictures
        self._policy = PAGE_POLICY if framed else UNFRAMED
        self._uploads = Uploads(Path(get_upload_folder()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _careful(scope, send, self._policy)
        try:
            _check_route(scope["path"])
            receive = await self._checked(scope, receive)
        except _Refused as refusal:
            await _answer(scope["path"], refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive) -> Receive:
        """What hands the request's body on, after a look at it."""
        path, headers = scope["path"].rstrip("/"), Headers(scope=scope)
        if scope["method"] in PLAIN:
            return receive
        if path.endswith(f"{API}upload"):
            return await self._upload(receive)
        body = await _read(headers, receive)
        if body and not path.endswith("/login"):  # that one sends a form of two texts
            names = PLACES | (self._pictures if f"{API}mcp" in path else frozenset())
            _check_body(body, names, _hosts(headers), self._handlers)
        return _replayed(body, receive)

    async def _upload(self, receive: Receive) -> Receive:
        try:
            return await self._uploads.bounded(receive)
        except MultiPartException as error:
            raise _Refused(507, error.message) from None


def file_arguments(demo: gr.Blocks) -> frozenset[str]:
    """The names of the arguments that take files, over all named endpoints of the page."""
    endpoints = demo.get_api_info()["named_endpoints"].values()
    parameters = [parameter for endpoint in endpoints for parameter in endpoint["parameters"]]
    return frozenset(p["parameter_name"] for p in parameters if value_is_file(p["type"]))


def lies_in_cache(text: str) -> bool:
    """Whether `text` is the absolute path of something below the folder that Gradio serves files from.

    Nothing is opened or looked up, and a percent-encoded path is judged by what it decodes to.
    """
    folder = Path(get_upload_folder())
    for _ in range(DECODINGS):
        path = Path(text)
        if "\0" in text or ".." in path.parts or folder not in path.parents:
            return False
        before, text = text, unquote(text)
        if text == before:
            return True
    return False


class _Refused(Exception):
    """The request goes no further; the text is for whoever sent it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def _answer(path: str, refusal: _Refused) -> JSONResponse:
    """One sentence. What joins the queue gets it in the shape that Gradio's clients read at a 422."""
    if refusal.status == 422 and path.rstrip("/").endswith(f"{API}queue/join"):
        said = {"__type__": "validate", "is_valid": False, "message": str(refusal)}
        return JSONResponse({"detail": [said]}, 422)
    return JSONResponse({"detail": str(refusal)}, refusal.status)


def _check_route(path: str) -> None:
    """Only files of the cache are served; `proxy=` serves none, since no Space is loaded."""
    found = _FILE_ROUTE.search(path)
    if found and ("proxy=" in path[: found.start(1)] or not lies_in_cache(found[1])):
        raise _Refused(404, NO_FILE)
    if _HEARTBEAT in path and not _may_be_session(path.partition(_HEARTBEAT)[2]):
        raise _Refused(422, UNFIT)


def _may_be_session(name: str) -> bool:
    return len(name) <= MAX_SESSION and name.isascii() and name.isprintable()


async def _read(headers: Mapping[str, str], receive: Receive) -> bytes:
    """The whole body. A length that is declared too large is refused before any of it is read."""
    if headers.get("content-length", "0").isdecimal() and int(headers.get("content-length", "0")) > MAX_BODY:
        raise _Refused(413, TOO_LARGE)
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)  # absent where the sender has gone
        if len(body) > MAX_BODY:
            raise _Refused(413, TOO_LARGE)
    return bytes(body)


def _check_body(body: bytes, names: frozenset[str], hosts: frozenset[str], handlers: frozenset[int]) -> None:
    """Refuse a body that is no JSON, or asks for no handler, or holds under one of `names` no file of the cache."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _Refused(422, NO_JSON) from None
    asked = document.get("fn_index") if isinstance(document, dict) else None
    if isinstance(asked, int) and handlers and asked not in handlers:
        raise _Refused(422, UNFIT)
    for name, text in _texts(document):
        if _HALF.search(text) or _HALF.search(name):
            raise _Refused(422, HALF)
        if name == "session_hash" and not _may_be_session(text):
            raise _Refused(422, UNFIT)
        if name in names and not (lies_in_cache(text) or (name == "url" and _own_file(text, hosts))):
            raise _Refused(422, ADDRESS)


def _texts(document: Any) -> Iterator[tuple[str, str]]:
    """Every text at any depth, with the key it stands under. A list stands under its own key."""
    left = [("", document)]
    while left:
        name, value = left.pop()
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, dict):
            left.extend(value.items())
        elif isinstance(value, list):
            left.extend((name, item) for item in value)


def _own_file(url: str, hosts: frozenset[str]) -> bool:
    """Whether it is this page's own address of a file in the cache: the browser sends it beside the path."""
    start, _, path = url.partition(FILE_URL)
    try:
        parts = urlsplit(start)
    except ValueError:
        return False
    ours = parts.scheme in ("http", "https") and parts.netloc in hosts
    return (ours or not (parts.scheme or parts.netloc)) and lies_in_cache(path)


def _hosts(headers: Headers) -> frozenset[str]:
    """The names under which the page was asked for. They need no trust: no address is fetched."""
    named = [headers.get("host", ""), *headers.get("x-forwarded-host", "").split(",")]
    return frozenset({*(name.strip() for name in named), urlsplit(headers.get("origin", "")).netloc} - {""})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` with the body that was read already, in one piece; then whatever comes later."""
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again


def _careful(scope: Scope, send: Send, policy: str) -> Send:
    """`send` with the security headers, which holds an error back until it is seen to name no path."""
    held: list[Message] = []

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            _add_headers(MutableHeaders(scope=message), policy)
            if message["status"] >= 400:
                held.append(message)
                return
        if not held:
            await send(message)
            return
        held.append(message)
        if not message.get("more_body"):
            start, body = _harmless(held[0], b"".join(part.get("body", b"") for part in held[1:]))
            held.clear()
            await send(start)
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return sending


def _add_headers(headers: MutableHeaders, policy: str) -> None:
    for name, value in SECURITY_HEADERS.items():
        headers[name] = value
    if headers.get("content-type", "").startswith("text/html"):
        headers.setdefault("Content-Security-Policy", policy)  # a page may have a stricter one of its own


def _harmless(start: Message, body: bytes) -> tuple[Message, bytes]:
    """An error's start and body as they are, or with a sentence instead of what nobody should read."""
    status = start["status"]
    if status == 503 and b"Queue is full" in body:
        sentence = BUSY
    elif _ABSOLUTE_PATH.search(body):
        sentence = FAILED if status >= 500 else UNFIT
    else:
        return start, body
    body = json.dumps({"detail": sentence}).encode()
    headers = MutableHeaders(scope=start)
    headers["content-type"] = "application/json"
    headers["content-length"] = str(len(body))
    return start, body
