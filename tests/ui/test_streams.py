"""What a page that is closed says as its last word, at a short page of Gradio's behind the real door."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from gradio.routes import App
from starlette.responses import HTMLResponse, PlainTextResponse

from imgrag.ui.demo import app_settings
from imgrag.ui.server.guard import API
from imgrag.ui.server.hosts import served
from imgrag.ui.server.streams import Streams

HEADERS = {"host": "127.0.0.1", "origin": "http://127.0.0.1"}


@pytest.fixture(params=[None, [("ann", "word")]], ids=["open", "login"])
def page(request):
    """A page with a login and without; which of its sessions have ended."""
    left: list[str | None] = []

    def leave(request: gr.Request) -> None:
        left.append(request.session_hash)

    with gr.Blocks() as demo:
        demo.unload(leave)
    demo.share_url = None
    settings = app_settings(demo, served(frozenset(), None, lambda: None), 100)
    demo.auth = request.param
    app = App.create_app(demo, app_kwargs=settings)
    if request.param:
        app.auth = {"ann": "word"}
    with TestClient(app, base_url="http://127.0.0.1", headers=HEADERS) as client:
        yield SimpleNamespace(client=client, left=left, login=request.param)


def test_the_last_word_ends_the_session_and_nobody_elses(page):
    answer = page.client.post(f"{API}heartbeat/mine")
    if page.login:
        assert (answer.status_code, page.left) == (401, [])
        page.client.post("/login", data={"username": "ann", "password": "word"})
        answer = page.client.post(f"{API}heartbeat/mine")
    assert (answer.status_code, page.left) == (204, ["mine"])


def test_another_page_cannot_say_it(page):
    answer = page.client.post(f"{API}heartbeat/mine", headers={"origin": "https://evil.example"})
    assert (answer.status_code, page.left) == (403, [])


@pytest.mark.parametrize("kind", [HTMLResponse, PlainTextResponse])
def test_the_script_stands_in_the_head_of_a_page(kind):
    client = TestClient(Streams(kind("<head></head><body>größe</body>"), gr.Blocks()))
    text = client.get("/").text
    assert text.endswith("</head><body>größe</body>")
    assert ("window.fetch =" in text) == (kind is HTMLResponse)
