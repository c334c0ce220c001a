"""Pages that leave their browser's other tabs a connection: streams.js in each, and what it asks for.

Gradio's page holds a connection for as long as it is open, the heartbeat; what breaks it is the end of its
session. Instead, a page says itself that it is closed, as a POST to the heartbeat. Programs hold theirs as
before. Read in gradio 6.31's routes.py and queueing.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgrag.ui.server.guard import API
from imgrag.ui.server.shared import PLACE

if TYPE_CHECKING:
    import gradio as gr

HEARTBEAT = f"{API}heartbeat/"
FILE = Path(__file__).parents[1] / "streams.js"
SCRIPT = f"<script>{FILE.read_text(encoding='utf-8')}</script></head>".encode()


class Streams:
    """The middleware. It stands inside whatever compresses answers."""

    def __init__(self, app: ASGIApp, demo: gr.Blocks) -> None:
        self._app = app
        self._demo = demo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and HEARTBEAT in scope["path"]:
            await self._left({**scope, "method": "GET"})
            await Response(status_code=204)(scope, receive, send)
            return
        bare = scope["type"] == "http" and scope["path"].startswith(
            PLACE
        )  # whoever opens a link runs nothing
        await self._app(scope, receive, send if bare else _with_script(send))

    async def _left(self, scope: Scope) -> None:
        """What Gradio does where a heartbeat breaks, and where the stream of a page's events does."""
        beaten = asyncio.Event()

        async def receive() -> Message:
            await beaten.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                beaten.set()

        await self._app(scope, receive, send)
        await self._demo._queue.clean_events(session_hash=scope["path"].partition(HEARTBEAT)[2])


def _with_script(send: Send) -> Send:
    """`send` with the script in a page's head. Gradio adds its own `head` when its scripts are at work already."""
    held: list[Message] = []

    async def sending(message: Message) -> None:
        if not held and not _is_page(message):
            await send(message)
            return
        held.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            body = b"".join(part.get("body", b"") for part in held[1:]).replace(b"</head>", SCRIPT, 1)
            MutableHeaders(scope=held[0])["content-length"] = str(len(body))
            await send(held[0])
            await send({"type": "http.response.body", "body": body})

    return sending


def _is_page(message: Message) -> bool:
    if message["type"] != "http.response.start":
        return False
    return MutableHeaders(scope=message).get("content-type", "").startswith("text/html")
