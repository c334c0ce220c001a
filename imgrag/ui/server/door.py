"""Who may ask for anything: the page itself, of those who have logged in, a bounded number at once.

It stands before everything, Gradio's own middleware too. Health is for all. For the rest, `Host` has to be one
that the page is served under, and whoever says where a request comes from has to say: from here. Browsers say
so, programs need not. Where there is a login, nothing answers before it but what it takes to log in. It
reads no body, and sends no header that would let another page read an answer.
"""

from __future__ import annotations

from asyncio import sleep
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gradio.routes import App
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgrag.ui.server.guard import API, SECURITY_HEADERS
from imgrag.ui.server.hosts import Hosts
from imgrag.ui.server.logins import Guesses, TooManyGuesses

MAX_TARGET = 8192  # bytes of a path with its query
PAGE = frozenset({"", "/"})
HEALTH = frozenset({"/healthz", "/healthz/ready"})
LOGIN = "/login"
OPEN = HEALTH | {
    "", LOGIN, "/logout", "/theme.css", f"{API}theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/pwa_icon",
    f"{API}startup-events", f"{API}login_check", f"{API}user",
}  # fmt: skip
"""What answers before the login: it keeps nothing, and tells nothing of the page."""
OPEN_BELOW = ("/assets/", "/static/", "/svelte/", "/pwa_icon/")
SHARED = "/shared/"  # runs that anybody may look at who has their link, where the operator allows that
CLOSED = frozenset({f"{API}deep_link", f"{API}dev/reload"})
"""Links to a page's state, which this page does not offer, and what only Gradio's own developers need."""

WRONG_HOST = "This page is not served under that name. Whoever runs it can add the name with --allowed-hosts."
FOREIGN = "Only this page itself may ask for that, and no other page."
TOO_LONG = "The address is too long."
NOT_HERE = "There is no such page here."
CROWD = "Too many requests at once from your address. Please try again in a minute."


class Door:
    """The outermost middleware.

    Args:
        app: what it stands before.
        served: Gradio's application, which knows who has logged in.
        hosts: where the page may be asked for.
        framed: other pages may show this one in a frame, as Spaces do.
        each: requests of one address that may be under way at once.
        shared: runs are shown to anybody who has their link.
    """

    def __init__(
        self, app: ASGIApp, served: App, hosts: Hosts, framed: bool, each: int, shared: bool = False
    ) -> None:
        self._app = app
        self._served = served
        self._hosts = hosts
        self._framed = framed
        self._each = each
        self._below = (SHARED,) if shared else ()
        self._guesses = Guesses()
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # the page has none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            send = self._closed_to_others(scope, send)
            await (self._refusal(scope) or self._let_in)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on; each address has a bounded number of them under way."""
        address = (scope.get("client") or ("",))[0]
        if self._under_way[address] >= self._each and scope["path"] not in HEALTH:
            await _said(503, CROWD)(scope, receive, send)
            return
        self._under_way[address] += 1
        try:
            guesses = _route(scope) == LOGIN and scope["method"] == "POST"
            await (self._guessed(address) if guesses else self._app)(scope, receive, send)
        finally:
            self._under_way[address] -= 1
            self._under_way += Counter()  # drops those that have none left

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Why the request goes no further; `None` if it may."""
        if scope["path"] in HEALTH:
            return None
        headers = Headers(scope=scope)
        asked = [headers.get("host", ""), *_listed(headers, "x-forwarded-host")[:1]]
        if not all(map(self._hosts.serves, asked)):
            return _said(421, WRONG_HOST)
        if not self._own(scope, headers, asked):
            return _said(403, FOREIGN)
        if len(scope["path"]) + len(scope.get("query_string", b"")) > MAX_TARGET:
            return _said(414, TOO_LONG)
        if _route(scope) in CLOSED:
            return _said(404, NOT_HERE)
        return None if self._open_to(scope) else _unknown()

    def _own(self, scope: Scope, headers: Headers, asked: list[str]) -> bool:
        """Whether this page asks, or a person or program that is no page at all."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and not self._hosts.owns(origin, asked):
            return False
        return site in ("same-origin", "none") or self._arrives(scope, headers)

    def _arrives(self, scope: Scope, headers: Headers) -> bool:
        """Whether somebody follows a link to the page from elsewhere."""
        shown = headers.get("sec-fetch-dest") in ({"document", "iframe"} if self._framed else {"document"})
        moves = scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
        return shown and moves and (scope["path"] in PAGE or scope["path"].startswith(self._below))

    def _open_to(self, scope: Scope) -> bool:
        """Whether there is no login, or it has been passed, or the route is open before it."""
        if self._served.auth is None:
            return True
        route = _route(scope)
        if route in OPEN or (
            route.startswith(OPEN_BELOW + self._below) and scope["method"] in ("GET", "HEAD")
        ):
            return True
        cookies, name = Request(scope).cookies, self._served.cookie_id
        token = cookies.get(f"access-token-{name}") or cookies.get(f"access-token-unsecure-{name}")
        return token in self._served.tokens

    def _guessed(self, address: str) -> ASGIApp:
        """The application for a login: it waits its turn, and is told from a guess by how it ends."""

        async def guess(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] < 400:
                    self._guesses.right(address)
                await send(message)

            try:
                await sleep(self._guesses.turn(address))
            except TooManyGuesses as wait:
                await _said(429, str(wait), {"Retry-After": str(wait.seconds)})(scope, receive, send)
                return
            await self._app(scope, receive, sending)

        return guess

    def _closed_to_others(self, scope: Scope, send: Send) -> Send:
        """`send` without CORS headers, and with cookies that come back to this page alone."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", [])]}
                self._tidy(MutableHeaders(scope=message), _encrypted(scope))
            await send(message)

        return sending

    def _tidy(self, headers: MutableHeaders, encrypted: bool) -> None:
        for name in {name for name in headers if name.startswith("access-control-")}:
            del headers[name]
        cookies = headers.getlist("set-cookie")
        if cookies and not self._framed:  # in a frame, the page's own cookies count as another's
            del headers["set-cookie"]
            for cookie in cookies:
                headers.append("set-cookie", _kept_home(cookie, encrypted))


@asynccontextmanager
async def stood_before(
    app: App, hosts: Hosts, framed: bool, each: int, shared: bool = False
) -> AsyncIterator[None]:
    """Let the application be reached through a `Door` alone."""
    app.middleware_stack = Door(app.middleware_stack, app, hosts, framed, each, shared)
    yield


def _route(scope: Scope) -> str:
    """The path as Gradio's routes know it: with or without a slash at the end."""
    path: str = scope["path"]
    return path.rstrip("/")


def _listed(headers: Headers, name: str) -> list[str]:
    return [part.strip() for part in headers.get(name, "").split(",") if part.strip()]


def _encrypted(scope: Scope) -> bool:
    """Whether the browser speaks TLS, with us or with a proxy before us."""
    return scope.get("scheme") == "https" or _listed(Headers(scope=scope), "x-forwarded-proto")[:1] == [
        "https"
    ]


def _kept_home(cookie: str, encrypted: bool) -> str:
    """A cookie that no other page's request brings along and no script reads."""
    parts = [part.strip() for part in cookie.split(";")]
    kept = [p for p in parts if p.partition("=")[0].lower() not in ("samesite", "secure", "httponly")]
    return "; ".join([*kept, "HttpOnly", "SameSite=Lax", *(["Secure"] if encrypted else [])])


def _said(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, {**SECURITY_HEADERS, **(headers or {})})


def _unknown() -> JSONResponse:
    """In the shape of Gradio's own, which its clients read."""
    detail = {"error": "Not authenticated", "auth_message": None}
    return JSONResponse({"detail": detail}, 401, SECURITY_HEADERS)
