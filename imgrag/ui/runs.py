"""What the page's and the API's events do: run, stop, leave. Knows the pipeline, not its models."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from imgrag import records
from imgrag.errors import Cancelled, ImgragError, LibraryError, RequestError
from imgrag.events import Event, Finished, Preview, StageDone, StageStarted
from imgrag.run import STAGES, Request, Run, StageName
from imgrag.ui import imports, markup
from imgrag.ui.board import GUESSED_PACE, Board, advance, begin, halt, illustrated, timed_pace
from imgrag.ui.panels import Results, updates
from imgrag.ui.sessions import Session, Sessions
from imgrag.ui.settings import request_from

if TYPE_CHECKING:
    from imgrag.pipeline import ImageRAGPipeline

PREVIEW_EVERY = 0.1  # seconds; each update of the page costs the drawing a few milliseconds
THUMBNAIL = 64  # px; of a candidate among the references

T = TypeVar("T")
log = logging.getLogger(__name__)


class Runs:
    """The handlers of one page. `libraries` maps the names the browser knows to what a request takes.

    It may change while the page is up.
    """

    def __init__(self, pipeline: ImageRAGPipeline, libraries: Mapping[str, str]) -> None:
        self._pipeline = pipeline
        self._libraries = libraries
        self._pace: Mapping[StageName, float] = GUESSED_PACE
        self.sessions = Sessions()

    def stream(self, request: gr.Request, **values: Any) -> Iterator[list[Any]]:
        """Run for the page: one list of updates (panels, then the Run button) a step."""
        session = self.sessions.open(
            request.session_hash or "", begin(values.get("prompt") or "", time.monotonic())
        )
        before: Board | None = None
        try:
            for board in self._boards(session, values):
                done = board.run if board.phase == "finished" else None
                results = self._results(done) if done is not None else None
                yield [*updates(before, board, self._pace, results), _run_button(board)]
                before = board
        finally:
            session.ended.set()

    def stop(self, request: gr.Request) -> list[Any]:
        """Tell the page's run to stop, and the page that it was told: updates of the strip and the Run button."""
        session = self.sessions.stop(request.session_hash or "")
        if session is None:
            return [gr.skip()] * 2
        board = replace(session.board, phase="stopping")
        return [markup.strip(board, self._pace), _run_button(board)]

    def settle(self, request: gr.Request) -> list[Any]:
        """Wait until the stopped run has ended, one denoising step at most, and show it as stopped.

        Gradio takes no new run from the page before that, so the Run button comes back then and not earlier.
        """
        session = self.sessions.get(request.session_hash or "")
        if session is None or not session.stop.is_set():
            return [gr.skip()] * (len(updates(None, Board())) + 1)
        session.ended.wait()
        session.board = halt(session.board, "stopped")
        # Everything anew: what changed last may have been under way to the page and lost by the stop.
        return [*updates(None, session.board, self._pace), _run_button(session.board)]

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.sessions.close(request.session_hash or "")

    def call(self, **values: Any) -> Iterator[tuple[str | None, dict[str, Any] | None]]:
        """Run for a program: what goes on, an update a stage, and at last the image and the record.

        Raises:
            gr.Error: with the sentence a person would read.
        """
        run: Run | None = None
        try:
            for event in self._events(values, threading.Event()):
                if isinstance(event, StageStarted):
                    yield None, {"status": "running", "stage": event.stage, "of": len(STAGES)}
                run = event.run if isinstance(event, Finished) else run
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a sentence
            raise gr.Error(explain(error, run), print_exception=False) from None
        if run is not None:
            yield cached(self._folder(run) / "result.png"), records.record(run)

    def library_names(self) -> list[str]:
        """The libraries a request can name."""
        return list(self._libraries)

    def _boards(self, session: Session, values: dict[str, Any]) -> Iterator[Board]:
        """The boards of a run, first to last; previews that come faster than a page can show are left out."""
        shown = 0.0
        yield session.board
        try:
            for event in self._events(values, session.stop):
                board = advance(session.board, event, time.monotonic())
                found = event.run if isinstance(event, StageDone) and event.stage == "references" else None
                session.board = illustrated(board, self._thumbnails(found)) if found else board
                if not isinstance(event, Preview) or time.monotonic() - shown > PREVIEW_EVERY:
                    yield session.board
                    shown = time.monotonic()
            self._learn(session.board)
        except Cancelled:
            yield self._end(session, "stopped")
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            yield self._end(session, "failed", explain(error, session.board.run))

    def _events(self, values: dict[str, Any], stop: threading.Event) -> Iterator[Event]:
        """The pipeline's stream. Closing it returns at once: Gradio does so on its event loop."""
        request = self._request(values)
        imports.wait()
        yield from detached(self._pipeline.stream(request, stop), stop)

    def _thumbnails(self, run: Run) -> dict[str, str]:
        """Pictures of the candidates, as data URIs by file. The run does not wait for them."""
        library = self._pipeline.library(run.request.library or self._pipeline.profile.retrieval.library)
        shown = {}
        for file in {c.file for found in run.round.references or () for c in found.candidates}:
            with suppress(LibraryError):  # it vanished since it was found; its name stands there instead
                shown[file] = markup.data_uri(library.thumbnail(file, THUMBNAIL), THUMBNAIL, "webp")
        return shown

    def _end(self, session: Session, phase: Literal["stopped", "failed"], message: str = "") -> Board:
        session.board = halt(session.board, phase, message)
        return session.board

    def _learn(self, board: Board) -> None:
        """Remember how long the stages took here: the next run's estimate rests on it."""
        if board.run is not None:
            self._pace = timed_pace(board.run, self._pace)

    def _request(self, values: dict[str, Any]) -> Request:
        library = values.get("library")
        if library and library not in self._libraries:
            known = ", ".join(self._libraries)
            raise RequestError(f"There is no library {library!r} here. Choose one of: {known}.")
        return request_from(**{**values, "library": self._libraries[library] if library else None})

    def _results(self, run: Run) -> Results:
        folder = self._folder(run)
        return Results(cached(folder / "result.png"), cached(folder / "run.json"), records.trace(run))

    def _folder(self, run: Run) -> Path:
        return Path(self._pipeline.results) / run.id


def detached(steps: Generator[T, None, Any], stop: threading.Event) -> Iterator[T]:
    """`steps`, which can be left at once: closing sets `stop` and waits for nothing."""
    try:
        for step in steps:  # noqa: UP028  `yield from` would hand the close on and wait for it
            yield step
    except GeneratorExit:
        stop.set()
        # The generator's own close waits for the step at work, so it gets a thread to wait in.
        threading.Thread(target=steps.close, daemon=True).start()
        raise


def explain(error: Exception, run: Run | None) -> str:
    """One sentence for the person. What nobody foresaw is logged with a number that finds it again."""
    if isinstance(error, ImgragError):
        return str(error)
    number = run.id if run is not None else secrets.token_hex(4)
    log.error("run %s failed", number, exc_info=error)
    return f"Something went wrong on our side (run {number}). Please try again; the server's log tells more."


def cached(file: Path) -> str:
    """A copy that Gradio may serve, wherever the results lie; gone a day later."""
    return save_file_to_cache(file, get_upload_folder())


def _run_button(board: Board) -> Any:
    label = {"running": "Running…", "stopping": "Stopping…"}.get(board.phase, "Run")
    return gr.update(value=label, interactive=label == "Run")
