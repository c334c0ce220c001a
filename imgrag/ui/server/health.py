"""Whether the server lives and whether it is ready for a run, for whoever watches it.

Asked past the queue and answered on the event loop, also while the models work. Open to all, so it names
nothing: no path, no model, no run.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from imgrag.ui.server import imports


def routes() -> list[Route]:
    """`/healthz`: 200 while the server lives. `/healthz/ready`: 200, or 503 until a run could begin."""
    return [Route("/healthz", _live), Route("/healthz/ready", _ready)]


async def _live(request: Request) -> JSONResponse:
    return JSONResponse({"live": True, "ready": imports.ready()})


async def _ready(request: Request) -> JSONResponse:
    ready = imports.ready()
    return JSONResponse({"ready": ready}, 200 if ready else 503)
