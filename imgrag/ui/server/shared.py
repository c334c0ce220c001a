"""Runs that their owners share by a link: a page that anybody may look at, without scripts, and its picture.

Only where the operator allows links are these routes there at all. A token opens one finished run and nothing
beside it. Whatever is wrong with one, the answer is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

import gradio as gr
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from imgrag.archive.marks import NO_LINK, link_of, shared_folder
from imgrag.archive.restoring import open_run
from imgrag.errors import RecordError
from imgrag.runs.trace import trace
from imgrag.runs.values import Run
from imgrag.ui.language import language, language_of, say, speaking, told

PLACE = "/shared/"  # what the paths of these pages begin with
UNKEPT = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}  # it may be taken back
POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
STYLE = """
:root { color-scheme: light dark; }
body { max-width: 760px; margin: 0 auto; padding: 24px 16px 48px; font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 22px; line-height: 1.3; } h2 { font-size: 16px; margin: 28px 0 6px; }
img { display: block; width: 100%; height: auto; border-radius: 12px; }
ol { margin: 0; padding-left: 22px; font-size: 14px; } p { font-size: 14px; } a { color: inherit; }
"""


def routes(results: Path) -> list[Route]:
    """`/shared/TOKEN`, and below it the picture, of the runs in this folder."""

    def page(request: Request) -> Response:
        return _answered(request, lambda folder: _page(open_run(results, folder.name), link_of(folder)))

    def picture(request: Request) -> Response:
        return _answered(request, lambda folder: _picture(folder / "result.png"))

    def _answered(request: Request, answer: Callable[[Path], Response]) -> Response:
        with speaking(language_of(gr.Request(request))):
            try:
                return answer(shared_folder(results, request.path_params["token"]))
            except RecordError as error:
                return _html(f"<p>{escape(told(str(error)))}</p>", 404)

    return [Route(f"{PLACE}{{token}}", page), Route(f"{PLACE}{{token}}/result.png", picture)]


def _picture(file: Path) -> Response:
    if not file.is_file():  # it was deleted by hand; Starlette would break off over it
        raise RecordError(NO_LINK)
    return FileResponse(file, headers=UNKEPT)


def _page(run: Run, token: str) -> Response:
    """The picture, its prompt, and how it was decided."""
    prompt, source = escape(run.request.prompt), f"{token}/result.png"
    lines = "".join(f"<li>{escape(told(line))}</li>" for line in trace(run))
    return _html(
        f'<h1>{prompt}</h1><img src="{source}" alt="{prompt}">'
        f'<p><a href="{source}" download="imgrag-{run.id}.png">{escape(say("Save the PNG with its record"))}</a></p>'
        f"<h2>{escape(say('How it was decided'))}</h2><ol>{lines}</ol>",
        200,
    )


def _html(body: str, status: int) -> Response:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>ImageRAG</title><style>{STYLE}</style>'
    whole = f'<!doctype html><html lang="{language()}"><head>{head}</head><body>{body}</body></html>'
    return HTMLResponse(whole, status, {**UNKEPT, "Content-Security-Policy": POLICY})
