"""Runs given away: a PNG, a zip, one zip of many, or a link where the operator allows links."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from imgrag.archive.history import History
from imgrag.archive.restoring import write_zip
from imgrag.errors import RecordError, RequestError
from imgrag.ui.create.events.runs import Runs, cached, explain
from imgrag.ui.history.events import ids_of, said_by
from imgrag.ui.history.owners import owner_of
from imgrag.ui.language import say, told
from imgrag.ui.server.uploads import check_room

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline

Given = dict[str, str]
"""What sharing.js is to do: download `file` as `name`, show a `link` (without what the page's own address begins
with), or say `said`."""
GIVE = "(given) => { if (given) document.dispatchEvent(new CustomEvent('imgrag:given', { detail: given })); }"


class Sharing:
    """The handlers of one page.

    Args:
        links: whether runs may be shown to anybody who has their link.
    """

    def __init__(self, runs: Runs, pipeline: ImageRAGPipeline, links: bool) -> None:
        self._runs = runs
        self._results = Path(pipeline.results)
        self._history = History(self._results)
        acts: dict[str, Callable[[str, str], Given]] = {"share-png": self._png, "share-zip": self._zip}
        linking = {"share-link": self._link, "share-unlink": self._unlink}
        self._acts = {**acts, **(linking if links else {})}

    def give(self, request: gr.Request, key: str | None, event: gr.EventData) -> Given | None:
        """A button of a run's menu, of the one that is shown or of one of the history, or of all that are ticked."""
        try:
            act = str(said_by(event, "act"))
            if act == "download":
                return self._bundle(ids_of(event), owner_of(key))
            if act in self._acts:
                return self._acts[act](self._run_id(request, str(said_by(event, "id"))), owner_of(key))
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            return {"said": told(explain(error))}
        return None

    def _run_id(self, request: gr.Request, run_id: str) -> str:
        run = self._runs.run_of(request)
        if not run_id and run is None:
            raise RequestError("There is no run on this page. Press Run, or open one from the history.")
        return run_id or (run.id if run is not None else "")

    def _png(self, run_id: str, owner: str) -> Given:
        picture = self._history.entry(run_id, owner).picture
        if picture is None:
            raise RecordError("This run has drawn no picture yet. Take one from another run.")
        return _made(f"imgrag-{run_id}.png", lambda target: Path(shutil.copyfile(picture, target)))

    def _zip(self, run_id: str, owner: str) -> Given:
        run = self._history.open(run_id, owner)
        return _made(f"imgrag-{run_id}.zip", lambda target: write_zip(run, self._results / run_id, target))

    def _bundle(self, run_ids: list[str], owner: str) -> Given:
        if not run_ids:
            raise RequestError("Nothing is ticked. Tick the runs that you want.")
        return _made("imgrag-runs.zip", lambda target: self._history.bundle(run_ids, owner, target))

    def _link(self, run_id: str, owner: str) -> Given:
        return {"link": f"shared/{self._history.share(run_id, owner)}"}

    def _unlink(self, run_id: str, owner: str) -> Given:
        self._history.unshare(run_id, owner)
        return {"said": say("The link is taken back: it shows nothing any more.")}


def wire_sharing(sharing: Sharing, menus: list[Any], key: gr.BrowserState) -> None:
    """Let the menus of runs (components) give away what they say."""
    light: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
    given = gr.JSON(visible=False)
    for menu in menus:
        menu.select(sharing.give, key, given, **light).success(None, given, None, js=GIVE, **light)


def _made(name: str, write: Callable[[Path], Path]) -> Given:
    """What is written for a moment, as a file that may be served for a day.

    Raises:
        RequestError: there is no room for it.
    """
    check_room()
    with tempfile.TemporaryDirectory() as place:
        return {"file": cached(write(Path(place) / name)), "name": name}
