"""What the History tab's events do: list, open, pin, delete, compare, and bring a run back from a file."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import gradio as gr
from anyio import to_thread
from PIL import Image

from imgrag.archive import records
from imgrag.archive.history import Entry, History
from imgrag.archive.restoring import carried, drawn_anew, open_picture, promised, read_png, read_zip, taken_in
from imgrag.engine.librarian import Librarian
from imgrag.errors import LibraryError, RecordError, RequestError
from imgrag.runs.values import MAX_PROMPT, Run
from imgrag.texts import clean
from imgrag.ui.create import markup
from imgrag.ui.create.events.runs import Runs, Updates, explain
from imgrag.ui.create.events.takings import ENLARGE, LARGE
from imgrag.ui.create.fields import Fields
from imgrag.ui.create.markup import data_uri
from imgrag.ui.history.layout import REVEAL, HistoryTab, cards, heading_of, side_by_side
from imgrag.ui.history.owners import owner_of
from imgrag.ui.language import say
from imgrag.ui.library.uploads import PICTURES

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline

LOOK = 0.3  # seconds between two looks at a run that is to end
LOOKS = 200  # at most; it ends with its step
MAX_WORDS = 200  # characters of a search
SHOWN = 60  # runs; older ones are on disk and open by their files


class Past:
    """The handlers of one page's history. `key` is what only this browser holds."""

    def __init__(self, runs: Runs, pipeline: ImageRAGPipeline, fields: Fields) -> None:
        self._runs = runs
        self._pipeline = pipeline
        self._fields = fields
        self._history = History(Path(pipeline.results))

    def entries(self, key: str | None, words: str = "") -> Updates:
        """Updates of `HistoryTab.view`: the browser's runs, or those of them that have these words."""
        return self._view(key, words)

    async def arrive(self, request: gr.Request, key: str | None, left: Any, draft: Any = None) -> Updates:
        """The page was opened: updates of `Runs`, then of the fields.

        It shows the run that was on it before a reload, or that its address names (?run=ID), or says a word on one
        that broke off.

        Args:
            left: what was at work on it when it was reloaded or cut off, or which run it showed, as page.js keeps
                it: that comes first.
            draft: what stood in the fields before a reload.
        """
        typed = self._fields.of_draft(draft)
        if not isinstance(left, dict) or not left.get("prompt"):
            before = str(left.get("shown") or "") if isinstance(left, dict) else ""
            *shown, run = await to_thread.run_sync(self._visited, request, key, before)
            return [*shown, *(self._fields.of_run(run) if run is not None and not draft else typed)]
        run_id, stage = str(left.get("run") or ""), str(left.get("stage") or "")
        prompt = clean(str(left["prompt"]))[:MAX_PROMPT]
        at_work = await self._at_work(run_id)
        if self._runs.is_used(request):  # something else was begun meanwhile
            return [*self._runs.as_it_is(), *typed]
        if at_work:
            error = RecordError("The run that was on this page is still at work. It will be in the history.")
            return [*self._runs.refused(request, error), *typed]
        shown = await to_thread.run_sync(self._left, request, key, run_id, prompt, stage)
        return [*shown, *(typed if draft else self._fields.of_draft({"prompt": prompt}))]

    async def _at_work(self, run_id: str) -> bool:
        """Whether a run still is at work after it was given the time that its step may take."""
        for _ in range(LOOKS):
            if not await to_thread.run_sync(self._is_at_work, run_id):
                return False
            await sleep(LOOK)
        return True

    def _is_at_work(self, run_id: str) -> bool:
        with suppress(RecordError):
            return records.open_record(Path(self._pipeline.results), run_id).get("state") == "running"
        return False

    def _left(self, request: gr.Request, key: str | None, run_id: str, prompt: str, stage: str) -> Updates:
        """The run that the page left behind, with a word on how it ended, or at least its prompt."""
        try:
            run = self._here(self._history.open(run_id, owner_of(key)))
        except RecordError:
            return self._runs.lost(prompt, stage)
        notice = say("This run came to its end while the page was away.") if run.state == "finished" else ""
        message = ""
        if run.state in ("stopped", "running"):  # or its process ended
            message = say(
                "This run was stopped when the page was reloaded or cut off. Press Continue to go on from here."
            )
        return self._runs.show(request, run, notice, message)

    def _visited(self, request: gr.Request, key: str | None, before: str) -> Updates:
        """Updates of `Runs`, and the run that was opened if one was. `before`: the one that was shown, if any."""
        if self._runs.is_used(request):  # something was begun meanwhile
            return [*self._runs.as_it_is(), None]
        with suppress(RecordError):  # it has gone since
            run = self._here(self._history.open(before, owner_of(key)))
            return [*self._runs.show(request, run), run]
        wanted = dict(request.query_params).get("run")
        if wanted:
            return [*self._opened(request, key, wanted), self._runs.run_of(request)]
        left = [
            entry for entry in self._history.entries(owner_of(key), SHOWN) if entry.state == "interrupted"
        ]
        if not left:
            return [*self._runs.as_it_is(), None]
        prompt = shorten(left[0].prompt, 60, placeholder="…")
        error = RecordError(
            f'The run "{prompt}" was interrupted. Go on after its last finished step: open it in the history.'
        )
        return [*self._runs.refused(request, error), None]

    def act(self, key: str | None, words: str, event: gr.EventData) -> Updates:
        """What is done with a run, or with all that are ticked. Updates of `HistoryTab.view`."""
        owner = owner_of(key)
        acts: dict[str, Callable[[str], object]] = {
            "pin": lambda run_id: self._history.pin(run_id, owner, True),
            "unpin": lambda run_id: self._history.pin(run_id, owner, False),
            "delete": lambda run_id: self._history.delete(run_id, owner),
            "name": lambda run_id: self._history.name(run_id, owner, str(event.name)),
        }
        if event.act not in acts:
            return [gr.skip()] * 4
        wrong = ""
        for run_id in ids_of(event):
            try:
                acts[event.act](run_id)
            except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
                wrong = explain(error)
        return self._view(key, words, wrong)

    def look(self, key: str | None, event: gr.EventData) -> Any:
        """A card's picture is looked at: the run's id and a copy as large as a window."""
        if event.act != "look":
            return None
        with suppress(RecordError):  # it went since it was shown; the small one stays
            entry = self._history.entry(str(event.id), owner_of(key))
            if entry.picture is not None:
                return {"file": entry.id, "src": data_uri(open_picture(entry.picture), LARGE, "webp")}
        return None

    def open(self, request: gr.Request, key: str | None, event: gr.EventData) -> Updates:
        """A card's "Open": the tab to show, updates of `Runs`, and of the fields, which ask for the run again."""
        if event.act != "open":
            return [gr.skip(), *self._runs.as_it_is(), *self._fields.as_they_are()]
        run_id = str(event.id)
        shown = self._opened(request, key, run_id)
        run = self._runs.run_of(request)
        opened = run is not None and run.id == run_id
        fields = self._fields.of_run(run) if opened and run is not None else self._fields.as_they_are()
        return [gr.Tabs(selected="create"), *shown, *fields]

    def compare(self, key: str | None, event: gr.EventData) -> Any:
        """The two that are ticked, side by side; "" with fewer."""
        if event.act != "compare":
            return gr.skip()
        ids = ids_of(event)[:2]
        if len(ids) < 2:
            return ""
        try:
            left, right = (self._history.open(run_id, owner_of(key)) for run_id in ids)
        except RecordError as error:
            return markup.sentence(str(error))
        return side_by_side(left, right)

    def bring(self, request: gr.Request, key: str | None, path: str | None) -> Updates:
        """A PNG or a zip was brought along: the banner, its field, the tab to show, what `go_on` takes, then
        updates of `Runs` and of the fields.

        The field is emptied, so that it takes the next one. The file may have been dropped on the other
        tab, so both say what was wrong with it. No model is needed to read it, so none is waited for.
        """
        try:
            twin = self._drawn_here(path, key)
            run, like = self._read(path, key)
            finished = bool(twin) or run.state == "finished"
            twin = twin or (self._history.twin(run, owner_of(key)) if finished else "")
            if twin:
                run = self._here(self._history.open(twin, owner_of(key)))
            elif finished:
                records.save(run, Path(self._pipeline.results))
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            words = explain(error)
            said = self._runs.refused(request, RecordError(words))
            return [markup.sentence(words), None, gr.skip(), None, *said, *self._fields.as_they_are()]
        notice = say("The run is back as it was saved.") if finished else ""
        notice = say("This run is in your history already.") if twin else notice
        shown = self._runs.show(request, run, notice)
        like_it = None if finished else like
        return ["", None, gr.Tabs(selected="create"), like_it, *shown, *self._fields.of_run(run)]

    def go_on(self, request: gr.Request, like: str | None) -> Iterator[Updates]:
        """Go on with the run that `bring` put on the page, unless `like` is `None`: it is finished, or was none.

        Args:
            like: the hash of the pixels that its result should have; "" if anything will do.
        """
        run = self._runs.run_of(request)
        if like is None or run is None:
            yield self._runs.as_it_is()
            return
        yield from self._runs.taken_up(request, run, like=like)

    def replay(self, request: gr.Request, key: str | None) -> Iterator[Updates]:
        """Draw the page's run again from its decisions alone, to see that it gives the same image."""
        run = self._runs.run_of(request)
        if run is None or run.result is None or run.state != "finished":
            yield self._runs.as_it_is()
            return
        again = taken_in(drawn_anew(run), owner_of(key))
        yield from self._runs.taken_up(request, again, like=records.pixel_hash(run.result))

    def _opened(self, request: gr.Request, key: str | None, run_id: str) -> Updates:
        try:
            run = self._history.open(run_id, owner_of(key))
        except RecordError as error:
            return self._runs.refused(request, error)
        return self._runs.show(request, self._here(run))

    def _here(self, run: Run) -> Run:
        """The run with its library as this page knows it, or with the profile's own if it has gone."""
        return replace(run, request=replace(run.request, library=self._runs.offered(run.library)))

    def _read(self, path: str | None, key: str | None) -> tuple[Run, str]:
        """The run in a file as this browser's own, and the hash of the result it should give again."""
        if not path:
            raise RecordError("There is no file yet. Choose a PNG or a zip that was saved here.")
        if path.lower().endswith(".zip"):
            run, like = read_zip(Path(path)), ""
        else:
            run, like = read_png(Path(path), self._found), promised(Path(path))
        if run.profile != self._pipeline.profile.name:
            raise RecordError(
                f"This run was made by the profile {run.profile!r}, and {self._pipeline.profile.name!r} is at work "
                "here. Start the app with that profile to bring it back."
            )
        return taken_in(self._here(run), owner_of(key)), like

    def _drawn_here(self, path: str | None, key: str | None) -> str:
        """The id of this browser's run whose PNG it is, "" if it is none of them."""
        if not path or path.lower().endswith(".zip"):
            return ""
        return self._history.drawn_from(carried(Path(path)), owner_of(key))

    def _found(self, library: str, file: str) -> Image.Image:
        name = self._runs.offered(library)
        if name is None:
            raise LibraryError(
                f"This run took its references from the library {library!r}, which is not here."
            )
        return Librarian(self._pipeline).picture(name, file)

    def _view(self, key: str | None, words: str = "", message: str = "") -> Updates:
        words = words[:MAX_WORDS]
        found = self._history.entries(owner_of(key), SHOWN + 1, words)
        entries = found[:SHOWN]
        shown = [_picture(entry) for entry in entries]
        heading = heading_of(len(entries), words, len(found) > SHOWN)
        return [markup.sentence(message), heading, cards(entries, shown), ""]


def ids_of(event: gr.EventData) -> list[str]:
    """The runs that an event is about, each once and no more than there are cards."""
    ids = said_by(event, "ids")
    return list(dict.fromkeys(map(str, ids)))[:SHOWN] if isinstance(ids, list) else []


def said_by(event: gr.EventData, name: str) -> Any:
    """What the page says of an event under this name. Raises RequestError: nothing, so it is no page of ours."""
    try:
        return getattr(event, name)
    except (AttributeError, TypeError):  # or what came is no object at all
        raise RequestError("This does not say what is to be done. Reload the page and try again.") from None


def _picture(entry: Entry) -> Image.Image | None:
    """What a card shows; a picture that is damaged is as good as none."""
    with suppress(RecordError):
        return open_picture(entry.picture) if entry.picture is not None else None
    return None


def wire_history(
    tab: HistoryTab, past: Past, key: gr.BrowserState, tabs: gr.Tabs, replay: gr.Button, outputs: list[Any],
    fields: list[Any], gpu: dict[str, Any],
) -> list[Any]:  # fmt: skip
    """Let the tab do what it says; returns the events that a Stop has to end."""
    light: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    heavy: dict[str, Any] = {
        "trigger_mode": "once", "show_progress": "minimal", "show_progress_on": outputs[0],
        "api_visibility": "private", **gpu,
    }  # fmt: skip
    seen = [key, tab.search]
    tab.tab.select(past.entries, seen, tab.view, **light)
    tab.search.change(past.entries, seen, tab.view, trigger_mode="always_last", **light)
    tab.grid.select(past.act, seen, tab.view, **light)
    large = gr.JSON(visible=False)
    looking = tab.grid.select(past.look, key, large, **light)
    looking.success(None, large, None, js=ENLARGE, **light)
    opening = tab.grid.select(past.open, key, [tabs, *outputs, *fields], **light)
    opening.success(None, js=REVEAL, api_visibility="private")
    tab.grid.select(past.compare, key, tab.pair, **light)
    like = gr.State(None)
    bringing = tab.file.upload(
        past.bring,
        [key, tab.file],
        [tab.banner, tab.file, tabs, like, *outputs, *fields],
        trigger_mode="once",
        **PICTURES,
    )
    bringing.success(None, js=REVEAL, api_visibility="private")
    going_on = bringing.then(past.go_on, like, outputs, **heavy)
    replaying = replay.click(past.replay, key, outputs, **heavy)
    return [bringing, going_on, replaying]
