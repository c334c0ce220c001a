"""What the fold "Many at once" does: a list of prompts, or one value over another, drawn one after the other."""

from __future__ import annotations

import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from imgrag.archive.bundles import put
from imgrag.commands.batch import JOURNAL, Line, run_batch
from imgrag.commands.contact_sheet import contact_sheets
from imgrag.commands.grid import Grid, Side, laid_out, side
from imgrag.commands.grid_sheet import grid_sheet
from imgrag.commands.prompt_files import OPTIONS, parse_prompts, plainly, read_text
from imgrag.errors import Cancelled, RequestError
from imgrag.runs.values import Request
from imgrag.ui.create import markup
from imgrag.ui.create.events.runs import cached, chosen, detached, explain
from imgrag.ui.create.layout.settings import request_from
from imgrag.ui.history.owners import owner_of
from imgrag.ui.language import say, told
from imgrag.ui.server import imports
from imgrag.ui.server.uploads import check_room

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline

MOST = 48  # images of a batch on the page: others wait as long
MOST_BATCHES = 32  # that are held for pages; of more, the oldest go that are not being drawn
MAX_SEEDS = 8  # of a prompt
LONGEST = 100_000  # characters of a list
WIDEST = 4  # bytes of a character
TOO_LONG = f"The list has more than {LONGEST:,} characters. Split it."
SIDE = 192  # px of an image in the list
GRID = "grid"  # the kind that is no list of prompts

Updates = list[Any]
"""Of the panel, what stands in it, the files, and the buttons Draw all, Stop and Go on."""


@dataclass(eq=False)
class Batch:
    """What is being drawn for one page, with the lines so far; `imgrag.commands.batch.Kept`."""

    requests: Sequence[Request]
    grid: Grid | None
    results: Path  # the folder that the runs lie in
    stop: threading.Event = field(default_factory=threading.Event)
    lines: dict[int, Line] = field(default_factory=dict)  # by number
    pictures: dict[str, str] = field(default_factory=dict)  # by result, as data URIs
    state: str = "running"
    message: str = ""
    left_out: str = ""  # a sentence on what of the list no request has

    def finished(self) -> dict[str, Line]:
        """See `imgrag.commands.batch.Kept`. A run may have been deleted from the history meanwhile."""
        done = (line for line in self.lines.values() if line.state == "finished")
        return {line.request: line for line in done if line.result and (self.results / line.result).is_file()}

    def add(self, line: Line) -> None:
        """See `imgrag.commands.batch.Kept`; the line is taken up with its picture by `Many`."""

    @property
    def told(self) -> list[Line]:
        """The lines by number."""
        return [self.lines[number] for number in sorted(self.lines)]


class Many:
    """The handlers of one page.

    Args:
        libraries: name in the browser -> what a request takes, as it is at each look.
    """

    def __init__(self, pipeline: ImageRAGPipeline, libraries: Mapping[str, str]) -> None:
        self._pipeline = pipeline
        self._libraries = libraries
        self._batches: dict[str, Batch] = {}  # by session hash

    def read(self, request: gr.Request, path: str | None) -> list[Any]:
        """A file's prompts for the field, where they can be looked at before anything is drawn; then the updates.

        The field has no ending, so what only that says of the text comes as lines of JSON.

        Raises:
            RequestError: it is no text, or too long.
        """
        if path and Path(path).stat().st_size > WIDEST * LONGEST:  # or all of it would be read for nothing
            raise RequestError(TOO_LONG)
        said: list[str] = []
        text = plainly(read_text(Path(path)), Path(path).suffix.lower(), said.append) if path else ""
        if len(text) > LONGEST:
            raise RequestError(TOO_LONG)
        updates = self._refused(request, said[0]) if said else [gr.skip()] * 6
        return [text, *updates]

    def begin(
        self,
        request: gr.Request,
        key: str | None,
        kind: str | None,
        prompts: str,
        seeds: float | None,
        across: str | None,
        across_values: str,
        down: str | None,
        down_values: str,
        **values: Any,
    ) -> Iterator[Updates]:
        """Draw all of it: updates after each image, and at last the files. What cannot be drawn is said."""
        try:
            base = self._base(values, kind == GRID)
            grid = self._grid((across, across_values), (down, down_values)) if kind == GRID else None
            said: list[str] = []
            listed = [base] if grid else self._listed(prompts, base, said.append)
            requests = laid_out(listed, grid, int(seeds or 1) if grid is None else 1)
            if len(requests) > MOST:
                raise RequestError(f"These are {len(requests)} images; at most {MOST} are drawn at once.")
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            yield self._refused(request, explain(error))
            return
        self._end(request)
        batch = Batch(requests, grid, Path(self._pipeline.results), left_out="".join(said))
        self._hold(request.session_hash or "", batch)
        yield from self._drawn(batch, owner_of(key))

    def go_on(self, request: gr.Request, key: str | None) -> Iterator[Updates]:
        """Draw what is left after a stop or a failure."""
        batch = self._batches.get(request.session_hash or "")
        if batch is None or batch.state == "running":
            yield self._buttons(batch)
            return
        batch.stop, batch.state, batch.message = threading.Event(), "running", ""
        yield from self._drawn(batch, owner_of(key))

    def stop(self, request: gr.Request) -> Updates:
        """End it within one denoising step; what was drawn stays, and `files` makes its files."""
        batch = self._batches.get(request.session_hash or "")
        if batch is None or batch.state != "running":  # what was to begin waits no longer
            return self._buttons(batch)
        batch.stop.set()
        batch.state = "stopped"
        return self._view(batch)

    def files(self, request: gr.Request) -> Updates:
        """The files of what was stopped; they take longer than a Stop may."""
        batch = self._batches.get(request.session_hash or "")
        return self._buttons(batch) if batch is None or batch.state == "running" else self._settled(batch)

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self._end(request)
        self._batches.pop(request.session_hash or "", None)

    def _hold(self, page: str, batch: Batch) -> None:
        self._batches.pop(page, None)
        self._batches[page] = batch
        resting = [name for name, held in self._batches.items() if held.state != "running"]
        for name in resting[: max(0, len(self._batches) - MOST_BATCHES)]:
            self._batches.pop(name, None)

    def _end(self, request: gr.Request) -> None:
        if (batch := self._batches.get(request.session_hash or "")) is not None:
            batch.stop.set()

    def _base(self, values: Mapping[str, Any], prompt: bool) -> Request:
        """What all of them share; the prompt's own field counts in a grid only."""
        named = {**values, "library": chosen(self._libraries, values.get("library"))}
        return request_from(**named if prompt else {**named, "prompt": "-"})

    def _grid(self, *typed: tuple[str | None, str]) -> Grid:
        found = [self._side(setting, text) if setting else None for setting, text in typed]
        if found == [None, None]:
            raise RequestError("Choose what varies across or down.")
        return Grid(*found)

    def _side(self, setting: str, text: str) -> Side:
        return side(setting, text, lambda name: chosen(self._libraries, name))

    def _listed(self, prompts: str, base: Request, tell: Callable[[str], None]) -> list[Request]:
        if len(prompts) > LONGEST:
            raise RequestError(TOO_LONG)
        usual = {name: getattr(base, name) for name in Request.__dataclass_fields__ if name != "prompt"}
        return parse_prompts(prompts, usual, MOST, tell, name="the list", allowed=OPTIONS)

    def _drawn(self, batch: Batch, owner: str) -> Iterator[Updates]:
        stop = batch.stop
        yield self._view(batch)
        imports.wait()
        events = run_batch(self._pipeline, batch.requests, stop, batch, owner)
        state, message = "finished", ""
        try:
            for event in detached(events, stop):
                if isinstance(event, Line):
                    self._take(batch, event)
                    yield self._view(batch)
        except Cancelled:
            state = "stopped"
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            state, message = "stopped", explain(error)
        if batch.stop is stop:  # or it was stopped and goes on already, within this step
            batch.state, batch.message = state, message
            yield self._settled(batch)

    def _take(self, batch: Batch, line: Line) -> None:
        batch.lines[line.number] = line
        if line.result and line.result not in batch.pictures:
            with Image.open(batch.results / line.result) as image:
                batch.pictures[line.result] = markup.data_uri(image, SIDE, "webp")

    def _settled(self, batch: Batch) -> Updates:
        files: list[str] = []
        try:
            files = self._files(batch)
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            batch.message = explain(error)
        return self._view(batch, files)

    def _files(self, batch: Batch) -> list[str]:
        """The grid or the contact sheets, and everything as a zip.

        Raises:
            RequestError: there is no room for them.
        """
        lines = batch.told
        if not lines:
            return []
        check_room()
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            sheets = contact_sheets(lines, batch.results, folder)
            if batch.grid is not None:
                sheets.insert(0, grid_sheet(lines, batch.results, folder, batch.grid.across, batch.grid.down))
            return [cached(file) for file in (*sheets, _zipped(lines, sheets, batch.results, folder))]

    def _refused(self, request: gr.Request, message: str) -> Updates:
        batch = self._batches.get(request.session_hash or "")
        said = markup.sentence(told(message), "many")
        shown = said if batch is None else said + _list(batch)
        return [gr.update(visible=True), shown, *self._buttons(batch)[2:]]

    def _buttons(self, batch: Batch | None) -> Updates:
        """Nothing new but that Stop, which a press of Draw all or Go on enables, is as it should be."""
        running = batch is not None and batch.state == "running"
        return [*[gr.skip()] * 4, gr.update(interactive=running), gr.skip()]

    def _view(self, batch: Batch, files: list[str] | None = None) -> Updates:
        running, left = batch.state == "running", len(batch.lines) < len(batch.requests)
        said = "".join(markup.sentence(words, "many") for words in (batch.message, batch.left_out))
        return [
            gr.update(visible=True), said + _list(batch), gr.update(value=files, visible=bool(files)),
            gr.update(interactive=not running), gr.update(interactive=running),
            gr.update(visible=not running and left),
        ]  # fmt: skip


def _zipped(lines: Sequence[Line], sheets: Sequence[Path], results: Path, folder: Path) -> Path:
    """The kept images, each a PNG that brings its run back, the sheets, and a line of JSON for each."""
    file = folder / "imgrag-many.zip"
    with zipfile.ZipFile(file, "w") as bundle:
        for sheet in sheets:
            put(bundle, sheet.name, sheet.read_bytes())
        for line in lines:
            if line.result and (results / line.result).is_file():
                put(bundle, f"{line.number:03}-{line.id}.png", (results / line.result).read_bytes())
        put(bundle, JOURNAL, "".join(f"{line.json()}\n" for line in lines))
    return file


def _list(batch: Batch) -> str:
    """How far it is, and a card an image; a grid's lie as they do in it."""
    columns = len(batch.grid.across.values) if batch.grid is not None and batch.grid.across is not None else 0
    style = f' style="--ir-columns: {columns}"' if columns else ""
    cards = "".join(_card(batch, number) for number in range(1, len(batch.requests) + 1))
    kind = "ir-many-grid" if columns else "ir-cards"
    return f'<p class="ir-meta" role="status">{escape(_progress(batch))}</p><ul class="{kind}"{style}>{cards}</ul>'


def _progress(batch: Batch) -> str:
    done, total = len(batch.lines), len(batch.requests)
    if batch.state == "running" and done:
        made = [line.seconds for line in batch.lines.values() if not line.reused]
        about = markup.duration((total - done) * sum(made) / max(1, len(made)))
        return say("{done} of {total} drawn, about {time} left", done=done, total=total, time=about)
    failed = sum(line.state == "failed" for line in batch.lines.values())
    if failed:
        return say("{done} of {total} drawn, {failed} failed", done=done - failed, total=total, failed=failed)
    return say("{done} of {total} drawn", done=done, total=total)


def _card(batch: Batch, number: int) -> str:
    line, request = batch.lines.get(number), batch.requests[number - 1]
    words = escape(_called(batch, number) or request.prompt)
    if line is None:
        return f'<li class="ir-card ir-waits"><span class="ir-unread"></span><strong>{words}</strong></li>'
    told_of = escape(told(line.error or line.why))
    if line.result is None:
        seen = f'<span class="ir-unread">{escape(say("no picture"))}</span>'
        return f'<li class="ir-card">{seen}<strong>{words}</strong><p class="ir-why">{told_of}</p></li>'
    seen = f'<img src="{batch.pictures.get(line.result, "")}" alt="{escape(line.prompt)}">'
    link = f'<a href="?run={escape(line.id)}" target="_blank" rel="noopener">{seen}<strong title="{words}">{words}</strong></a>'
    seed = "" if batch.grid else f'<p class="ir-caption">{escape(say("seed {seed}", seed=line.seed))}</p>'
    return f'<li class="ir-card" title="{told_of}">{link}{seed}</li>'


def _called(batch: Batch, number: int) -> str:
    """Where an image lies in a grid: "seed 2, adapter scale 0.6"."""
    if batch.grid is None:
        return ""
    across, down = _words(batch.grid.across), _words(batch.grid.down)
    row, column = divmod(number - 1, len(across))
    return ", ".join(filter(None, (across[column], down[row])))


def _words(one: Side | None) -> list[str]:
    return [""] if one is None else [f"{settings()[one.setting]} {value}" for value in one.typed]


def settings() -> dict[str, str]:
    """What can vary, in the page's language; "" is nothing."""
    return {
        "": say("Nothing"), "seed": say("Seed"), "steps": say("Steps"), "rounds": say("Rounds"),
        "max_concepts": say("Number of concepts"), "guidance_scale": say("Guidance scale"),
        "adapter_scale": say("Adapter scale"), "guided_share": say("Guided share"),
        "similarity_floor": say("Similarity floor"), "styles": say("Styles"), "library": say("Library"),
    }  # fmt: skip
