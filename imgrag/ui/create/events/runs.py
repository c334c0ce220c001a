"""What the page's and the API's events do: run, go on, stop, leave. Knows the pipeline, not its models."""

from __future__ import annotations

import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from imgrag.archive import records
from imgrag.archive.restoring import write_zip
from imgrag.errors import Cancelled, ImgragError, LibraryError, RequestError
from imgrag.logs import log_event
from imgrag.runs.events import Event, Finished, Preview, StageDone, StageStarted
from imgrag.runs.trace import trace
from imgrag.runs.values import MAX_PROMPT, MAX_SEED, STAGES, Request, Run, StageName, in_brief
from imgrag.texts import clean
from imgrag.ui.create import markup
from imgrag.ui.create.board import (
    GUESSED_PACE,
    Board,
    advance,
    begin,
    board_of,
    halt,
    illustrated,
    take_up,
    timed_pace,
)
from imgrag.ui.create.layout.panels import Results, updates
from imgrag.ui.create.layout.settings import request_from
from imgrag.ui.create.thumbnails import pictures_of, thumbnails
from imgrag.ui.create.viewing import Shown, compared
from imgrag.ui.history.owners import owner_of
from imgrag.ui.language import say
from imgrag.ui.server import imports
from imgrag.ui.server.inputs import is_path
from imgrag.ui.server.sessions import Session, Sessions

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline

PREVIEW_EVERY = 0.1  # seconds; each update of the page costs the drawing a few milliseconds

T = TypeVar("T")
Updates = list[Any]
Begin = Callable[[threading.Event], Generator[Event, None, None]]
"""Starts a stream of events that ends once its argument is set."""
log = logging.getLogger(__name__)


class Runs:
    """The handlers of one page. `libraries` maps the names the browser knows to what a request takes.

    It may change while the page is up. What a handler returns is updates of the panels, then of the
    Run button.
    """

    def __init__(self, pipeline: ImageRAGPipeline, libraries: Mapping[str, str]) -> None:
        self._pipeline = pipeline
        self._libraries = libraries
        self._pace: Mapping[StageName, float] = GUESSED_PACE
        self.sessions = Sessions()

    def stream(
        self,
        request: gr.Request,
        pause: bool = False,
        key: str | None = None,
        locked: bool = True,
        **values: Any,
    ) -> Iterator[Updates]:
        """Run for the page: one list of updates a step. What cannot be drawn is said, and the page stays as it is.

        Args:
            key: what only this browser holds.
            locked: whether the seed is the one that is given; otherwise one is drawn.
        """
        seed = values.get("seed") if locked else secrets.randbelow(MAX_SEED + 1)
        try:
            wanted = self._request({**values, "seed": seed})
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            yield self.refused(request, error, _is_no_prompt(values.get("prompt")))
            return

        def events(stop: threading.Event) -> Generator[Event, None, None]:
            return self._pipeline.stream(wanted, stop, pause=pause, owner=owner_of(key))

        board = replace(begin(wanted.prompt, time.monotonic()), seed=wanted.seed)
        yield from self._followed(request, board, events)

    def go_on(self, request: gr.Request, pause: bool = False) -> Iterator[Updates]:
        """Go on with the page's run after a pause, a stop or a failure."""
        yield from self.changed(request, pause, lambda run: run)

    def changed(
        self, request: gr.Request, pause: bool, change: Callable[[Run], Run], notice: str = ""
    ) -> Iterator[Updates]:
        """Change the page's run, and go on with it from there; `notice` is said of what comes of it.

        What cannot be changed so is said, and everything stays as it was.
        """
        known = self.run_of(request)
        try:
            if known is None:
                raise RequestError("There is no run on this page. Press Run, or open one from the history.")
            run = change(known)
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            yield self.refused(request, error)
            return
        yield from self.taken_up(request, run, pause, notice=notice)

    def taken_up(
        self, request: gr.Request, run: Run, pause: bool = False, like: str = "", notice: str = ""
    ) -> Iterator[Updates]:
        """Go on with a run that is known.

        Args:
            like: the hash of the result's pixels, if it is drawn again and should be the same.
            notice: a word on what comes of it.
        """
        board = replace(take_up(run, time.monotonic()), notice=notice)
        board = self._illustrated(board, run)
        yield from self._followed(
            request, board, lambda stop: self._pipeline.resume(run, stop, pause=pause), like
        )

    def show(self, request: gr.Request, run: Run, notice: str = "", message: str = "") -> Updates:
        """Put a run that is known on the page as it is, with a good word or a bad one; updates of everything.

        Its library is what this page offers by that name, or the profile's own: a record may name any folder.
        """
        run = replace(run, request=replace(run.request, library=self.offered(run.library)))
        board = replace(board_of(run), notice=notice, message=message)
        board = self._illustrated(board, run)
        session = self.sessions.open(request.session_hash or "", board)
        session.ended.set()
        results = self._results(run) if board.phase == "finished" else None
        return [*updates(None, board, self._pace, results), _run_button(board)]

    def lost(self, prompt: str, stage: str) -> Updates:
        """Updates that say of a run that it ended before anything of it was kept.

        Args:
            stage: which was at work then, "" before the first.
        """
        words = {
            "": say("This page was reloaded or cut off before its run had begun."),
            "reading": say("This page was reloaded or cut off while the prompt was read."),
            "initial": say("This page was reloaded or cut off while the initial image was drawn; a run is kept from that image on."),
        }.get(stage, say("This run was stopped when the page was reloaded or cut off, and nothing of it is kept."))  # fmt: skip
        words += say(" Your prompt is in its field again.")
        updates = self._said(Board(prompt=prompt, phase="stopped"))
        updates[1] = markup.lost(words)
        return updates

    def run_of(self, request: gr.Request) -> Run | None:
        """The run on this page, as far as it is known."""
        session = self.sessions.get(request.session_hash or "")
        return session.board.run if session is not None else None

    def is_at_work(self, request: gr.Request) -> bool:
        """Whether a run is at work on this page."""
        session = self.sessions.get(request.session_hash or "")
        return session is not None and session.board.phase in ("running", "stopping")

    def folder(self, run: Run) -> Path:
        """Where a run is kept."""
        return Path(self._pipeline.results) / run.id

    def is_used(self, request: gr.Request) -> bool:
        """Whether the page has a run of its own."""
        return self.sessions.get(request.session_hash or "") is not None

    def offered(self, library: str) -> str | None:
        """What a request takes for a library of this name; `None` if it is not offered here."""
        return self._libraries.get(library)

    def as_it_is(self) -> Updates:
        """Updates that change nothing."""
        return [gr.skip()] * (len(updates(Board(), Board())) + 1)

    def refused(self, request: gr.Request, error: Exception, at_prompt: bool = False) -> Updates:
        """Updates that say what was wrong, at the prompt's field or above; the run on the page stays."""
        session = self.sessions.get(request.session_hash or "")
        board = session.board if session is not None else Board()
        message = explain(error, board.run_id)
        updates = self._said(replace(board, message=message))
        if at_prompt:
            updates[1] = markup.sentence(message, "prompt")
        return updates

    def stop(self, request: gr.Request) -> Updates:
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
            return self.as_it_is()
        session.ended.wait()
        board = session.board
        if board.phase != "finished":  # it may have come to its end while it was told to stop
            board = self._end(session, "stopped")
        # Everything anew: what changed last may have been under way to the page and lost by the stop.
        results = self._results(board.run) if board.phase == "finished" and board.run is not None else None
        return [*updates(None, board, self._pace, results), _run_button(board)]

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.sessions.close(request.session_hash or "")

    def call(self, **values: Any) -> Iterator[tuple[str | None, dict[str, Any] | None]]:
        """Run for a program: what goes on, an update a stage and denoising step, and at last image and record.

        Gradio can end this between two updates only, so a program that cancels waits for one step.

        Raises:
            gr.Error: with the sentence a person would read.
        """
        run, run_id = None, ""
        try:
            wanted = self._request(values)
            for event in self._events(lambda stop: self._pipeline.stream(wanted, stop), threading.Event()):
                if isinstance(event, StageStarted):
                    run_id = event.run_id
                    yield None, {"status": "running", "stage": event.stage, "of": len(STAGES)}
                if isinstance(event, Preview):
                    done = {"stage": event.stage, "step": event.step, "steps": event.steps}
                    yield None, {"status": "running", **done, "of": len(STAGES)}
                run = event.run if isinstance(event, Finished) else run
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a sentence
            raise gr.Error(explain(error, run_id), print_exception=False) from None
        if run is not None:
            yield cached(self.folder(run) / "result.png"), records.record(run)

    def library_names(self) -> list[str]:
        """The libraries a request can name."""
        return list(self._libraries)

    def _followed(self, request: gr.Request, board: Board, begin: Begin, like: str = "") -> Iterator[Updates]:
        """The updates of a run from its first board to its last."""
        session = self.sessions.open(request.session_hash or "", board)
        before: Board | None = None
        try:
            for now in self._boards(session, begin, like):
                done = now.run if now.phase == "finished" else None
                results = self._results(done) if done is not None else None
                yield [*updates(before, now, self._pace, results), _run_button(now)]
                before = now
        finally:
            session.ended.set()

    def _said(self, board: Board) -> Updates:
        """The board with its message and nothing else new."""
        return [*updates(replace(board, message=""), board, self._pace), _run_button(board)]

    def _boards(self, session: Session, begin: Begin, like: str) -> Iterator[Board]:
        """The boards of a run, first to last; previews that come faster than a page can show are left out."""
        shown = 0.0
        yield session.board
        try:
            for event in self._events(begin, session.stop):
                session.board = self._advanced(session.board, event, like)
                if not isinstance(event, Preview) or time.monotonic() - shown > PREVIEW_EVERY:
                    yield session.board
                    shown = time.monotonic()
            self._learn(session.board)
        except Cancelled:
            yield self._end(session, "stopped")
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            yield self._end(session, "failed", explain(error, session.board.run_id))

    def _advanced(self, board: Board, event: Event, like: str) -> Board:
        board = advance(board, event, time.monotonic(), self._pipeline.residency.usage())
        if isinstance(event, StageDone) and event.stage in ("reading", "references"):
            return self._illustrated(board, event.run)
        if isinstance(event, Finished) and like and event.run.result is not None:
            same = records.pixel_hash(event.run.result) == like
            words = (
                say("Drawn again: the same image, pixel for pixel.")
                if same
                else say("Drawn again, but not the same image: other weights, another library or machine.")
            )
            return replace(board, notice=words)
        return board

    def _events(self, begin: Begin, stop: threading.Event) -> Iterator[Event]:
        """The pipeline's stream. Closing it returns at once: Gradio does so on its event loop."""
        events = begin(stop)
        imports.wait()
        yield from detached(events, stop)

    def _illustrated(self, board: Board, run: Run) -> Board:
        """The board with the library's pictures. The run does not wait for them."""
        try:
            library = self._pipeline.library_of(run.request)
        except LibraryError:  # it is gone; names stand there instead
            return board
        files = {c.file for found in run.round.references or () for c in found.candidates}
        board = illustrated(board, "references", thumbnails(library, {file: file for file in files}))
        read = run.reading.things if run.reading is not None else ()
        return illustrated(board, "reading", pictures_of(library, read))

    def _end(self, session: Session, phase: Literal["stopped", "failed"], message: str = "") -> Board:
        session.board = halt(session.board, phase, message)
        return session.board

    def _learn(self, board: Board) -> None:
        """Remember how long the stages took here: the next run's estimate rests on it."""
        if board.run is not None:
            self._pace = timed_pace(board.run, self._pace)

    def _request(self, values: dict[str, Any]) -> Request:
        return request_from(**{**values, "library": chosen(self._libraries, values.get("library"))})

    def _results(self, run: Run) -> Results:
        folder = self.folder(run)
        with tempfile.TemporaryDirectory() as place:
            bundle = cached(write_zip(run, folder, Path(place) / f"imgrag-{run.id}.zip"))
        files = [cached(folder / name) for name in ("result.png", *(compared(run) or ()))]
        shown = Shown(*files)
        if run.larger is not None:
            shown = replace(shown, image=cached(folder / records.LARGER), judged=shown.image)
        return Results(shown, cached(folder / "run.json"), bundle, trace(run))


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


def _is_no_prompt(prompt: Any) -> bool:
    return not isinstance(prompt, str) or not prompt.strip() or len(prompt) > MAX_PROMPT


def explain(error: Exception, run_id: str = "") -> str:
    """One sentence for the person. What nobody foresaw is logged with a number that finds it again."""
    if isinstance(error, ImgragError):
        return clean(str(error))
    number = run_id or secrets.token_hex(4)
    log_event(log, "unexpected", run=number, level=logging.ERROR, error=error)
    return f"Something went wrong on our side (run {number}). Please try again; the server's log tells more."


def chosen(libraries: Mapping[str, str], name: str | None) -> str | None:
    """What a request takes for the library of this name, `None` for the profile's own.

    Raises:
        RequestError: it is not offered here.
    """
    if name and (not isinstance(name, str) or name not in libraries):
        known = ", ".join(libraries)
        if is_path(name):  # sent back, it would be a path on the page, whoever wrote it
            raise RequestError(f"A library goes by its name here, not by a path. Choose one of: {known}.")
        raise RequestError(f"There is no library {in_brief(name)!r} here. Choose one of: {known}.")
    return libraries[name] if name else None


def cached(file: Path) -> str:
    """A copy that Gradio may serve, wherever the results lie; gone a day later."""
    return save_file_to_cache(file, get_upload_folder())


def _run_button(board: Board) -> Any:
    words = {"running": say("Running…"), "stopping": say("Stopping…")}.get(board.phase)
    return gr.update(value=words or say("Run"), interactive=words is None)
