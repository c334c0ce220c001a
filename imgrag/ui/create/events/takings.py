"""Single things of a run or a library's picture go into fields: the prompt, the seed, a picture of one's own.

A picture goes into the field of a fold, where the person sees it, chooses what it is to stand for, and has it used.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from imgrag.archive.history import History
from imgrag.engine.librarian import Librarian
from imgrag.engine.prompts import with_article
from imgrag.errors import LibraryError, RequestError
from imgrag.runs.values import Run
from imgrag.texts import clean_line
from imgrag.ui.create.events.runs import Runs, Updates, cached, chosen
from imgrag.ui.create.markup import data_uri
from imgrag.ui.create.takings import ACTS
from imgrag.ui.history.owners import owner_of
from imgrag.ui.library.uploads import PICTURES

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline

PLACES = {"take-prompt": "prompt", "take-name": "prompt", "take-seed": "seed", "take-initial": "initial",
          "take-reference": "references"}  # fmt: skip
LARGE = 1024  # px of a library's picture that is looked at
ENLARGE = (
    "(large) => { if (large) document.dispatchEvent(new CustomEvent('imgrag:large', { detail: large })); }"
)
SHOW = """
(place) => {
    if (!place) return;
    document.querySelectorAll("details.ir-take[open]").forEach((menu) => { menu.open = false; });
    document.dispatchEvent(new Event("imgrag:prompt"));
    const fold = { seed: "#ir-settings", initial: "#ir-correct-initial", references: "#ir-correct-references" }[place];
    const head = fold && document.querySelector(`${fold} > button`);
    if (head && !head.classList.contains("open")) head.click();
    const aim = (tries) => {
        const found = document.querySelector({ prompt: "#ir-prompt textarea", seed: "#ir-seed input", initial: "#ir-do-use_image",
            references: "#ir-do-own" }[place]);
        if (!found?.offsetParent) return void (tries && setTimeout(aim, 100, tries - 1));
        (document.querySelector(fold ?? "#ir-prompt")).scrollIntoView({ block: "center" });
        found.focus({ preventScroll: true });
    };
    setTimeout(aim, 100, 30);
}
"""
"""Open the fold that something went into, and bring the keyboard there."""


class Takings:
    """The handlers. Each gives where it went ("" for nowhere), the tab to show, prompt, seed, whether that is kept,
    and library; then updates as `Runs` does.

    Args:
        forms: the panels' fields by name; `outputs` is what `Runs` updates.
        offered: what the browser calls a library -> what the librarian does.
    """

    def __init__(
        self, runs: Runs, pipeline: ImageRAGPipeline, offered: Mapping[str, str], forms: Mapping[str, Any],
        outputs: list[Any],
    ) -> None:  # fmt: skip
        self._runs = runs
        self._history = History(Path(pipeline.results))
        self._librarian = Librarian(pipeline)
        self._offered = offered
        self._own = {
            "initial": outputs.index(forms["own_image"]),
            "references": outputs.index(forms["own_picture"]),
        }

    def of_run(self, request: gr.Request, key: str | None, event: gr.EventData) -> Updates:
        """A button of a run's menu, of the one that is shown or of one of the history."""
        if event.act not in ACTS:
            return self._nothing()
        try:
            run = self._run(request, key, str(event.id))
            if event.act == "take-prompt":
                return self._filled("prompt", prompt=run.request.prompt)
            if event.act == "take-seed":
                return self._filled("seed", seed=run.settings["seed"])
            return self._picture(request, PLACES[event.act], self._file(run), run)
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            return self._refused(request, error)

    def of_library(
        self, request: gr.Request, library: str | None, prompt: str | None, event: gr.EventData
    ) -> Updates:
        """A button of the menu of a library's picture: its name into the prompt, or the picture into a fold."""
        if event.act not in ACTS:
            return self._nothing()
        try:
            if event.act == "take-name":
                return self._filled("prompt", prompt=joined(prompt or "", str(event.name)), library=library)
            file = str(event.id)
            name = chosen(self._offered, library)
            if name is None:
                raise LibraryError("No library is chosen. Create one, or choose one from the list.")
            return self._picture(request, "references", self._copy(name, file), None)
        except Exception as error:  # noqa: BLE001
            return self._refused(request, error)

    def large(self, library: str | None, event: gr.EventData) -> Any:
        """A card's picture is looked at: the file and a copy as large as a window."""
        if event.act != "look" or library is None or library not in self._offered:
            return None
        with suppress(LibraryError):  # it vanished since it was shown; the small one stays
            picture = self._librarian.thumbnail(self._offered[library], str(event.id), LARGE)
            return {"file": str(event.id), "src": data_uri(picture, LARGE, "webp")}
        return None

    def _run(self, request: gr.Request, key: str | None, run_id: str) -> Run:
        if run_id:
            return self._history.open(run_id, owner_of(key))
        run = self._runs.run_of(request)
        if run is None:
            raise RequestError("There is no run on this page. Press Run, or open one from the history.")
        return run

    def _file(self, run: Run) -> str:
        """A copy of a run's picture that may be served: its result, or of one that goes on what it has drawn first."""
        names = ("result.png", "initial.png")
        files = [file for name in names if (file := self._runs.folder(run) / name).is_file()]
        if not files:
            raise RequestError("This run has drawn no picture yet. Take one from another run.")
        return cached(files[0])

    def _copy(self, library: str, file: str) -> str:
        """A copy of a library's picture under its own name."""
        picture = self._librarian.picture(library, file)
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place) / f"{Path(file).stem}.png"
            picture.save(copy, compress_level=1)
            return cached(copy)

    def _picture(self, request: gr.Request, place: str, file: str, run: Run | None) -> Updates:
        """The picture in a fold of the run that is shown. Where none is, that is the run that it came from."""
        if self._runs.is_at_work(request):
            raise RequestError("A run is at work here. Take the picture once it is over.")
        updates = self._runs.as_it_is()
        if self._runs.run_of(request) is None:
            if run is None:
                raise RequestError("There is no run on this page. Press Run, or open one from the history.")
            updates = self._runs.show(request, run)
        updates[self._own[place]] = file
        return [*self._filled(place)[:6], *updates]

    def _filled(
        self, place: str, prompt: Any = None, seed: Any = None, library: str | None = None
    ) -> Updates:
        fields = (prompt, seed, True if seed is not None else None, library)
        given = [gr.skip() if value is None else value for value in fields]
        return [place, gr.Tabs(selected="create"), *given, *self._runs.as_it_is()]

    def _nothing(self) -> Updates:
        return ["", *[gr.skip()] * 5, *self._runs.as_it_is()]

    def _refused(self, request: gr.Request, error: Exception) -> Updates:
        return ["", gr.Tabs(selected="create"), *[gr.skip()] * 4, *self._runs.refused(request, error)]


def joined(prompt: str, name: str) -> str:
    """The prompt with one more thing in it."""
    thing = with_article(clean_line(name))
    return f"{prompt.rstrip(' .,')} and {thing}" if prompt.strip() else thing


def wire_takings(
    takings: Takings, menus: list[Any], gallery: Any, library: Any, key: gr.BrowserState, tabs: gr.Tabs,
    inputs: Mapping[str, Any], locked: gr.Checkbox, outputs: list[Any],
) -> None:  # fmt: skip
    """Let the menus of runs (components) and that of the library's cards do what they say."""
    light: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
    place = gr.Textbox("", visible=False)
    given = [place, tabs, inputs["prompt"], inputs["seed"], locked, inputs["library"], *outputs]
    events = [menu.select(takings.of_run, key, given, **light) for menu in menus]
    events.append(gallery.select(takings.of_library, [library, inputs["prompt"]], given, **PICTURES))
    large = gr.JSON(visible=False)
    looking = gallery.select(takings.large, library, large, **PICTURES)
    looking.success(None, large, None, js=ENLARGE, **light)
    for event in events:
        event.success(None, place, None, js=SHOW, **light)
