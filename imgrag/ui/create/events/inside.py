"""What happens when somebody looks inside: the image is drawn again in its turn, and shown as a film with maps."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from imgrag.errors import Cancelled
from imgrag.runs.events import Preview
from imgrag.runs.values import Run, StageName
from imgrag.ui.create import inside
from imgrag.ui.create.events.runs import Runs, detached, explain
from imgrag.ui.language import say

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline
    from imgrag.ui.create.layout.inside import InsideView

Seen = Mapping[str, str]
"""The run's id under "run", and what is seen of its images by stage."""


class Looks:
    """The handlers. Each gives what is seen by now, and the markup of it."""

    def __init__(self, runs: Runs, pipeline: ImageRAGPipeline) -> None:
        self._runs = runs
        self._pipeline = pipeline
        self._stops: dict[str, threading.Event] = {}  # of the looks at work, by session hash

    def look(self, stage: StageName, request: gr.Request, seen: Seen) -> Iterator[list[Any]]:
        """Draw the image of this panel again and show what goes on in it."""
        run = self._runs.run_of(request)
        if run is None:
            yield [seen, inside.viewer({}, say("There is no run on this page yet."))]
            return
        seen = seen if seen and seen.get("run") == run.id else {"run": run.id}
        try:
            for html, now in self._drawn(run, stage, seen, request.session_hash or ""):
                if not self._is_shown(run, request):  # nothing of it stays under another one
                    yield [{}, inside.viewer({})]
                    return
                seen = now
                yield [now, html]
        except Cancelled:
            seen = seen if self._is_shown(run, request) else {}
            yield [seen, inside.viewer(seen)]
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            said = explain(error, run.id)
            yield [seen, inside.viewer(seen, said)] if self._is_shown(run, request) else [{}, ""]

    def _is_shown(self, run: Run, request: gr.Request) -> bool:
        """Whether the page still has this run: another may have been begun or opened meanwhile."""
        now = self._runs.run_of(request)
        return now is not None and now.id == run.id

    def stop(self, request: gr.Request) -> None:
        """End the look of this page within a step; its last update is what was seen before."""
        if stop := self._stops.get(request.session_hash or ""):
            stop.set()

    def _drawn(self, run: Run, stage: StageName, seen: Seen, page: str) -> Iterator[tuple[str, Seen]]:
        self._stops[page] = stop = threading.Event()
        number = max(1, len(run.rounds) if stage == "enhanced" else 1)
        try:
            yield inside.progress(stage, None), seen
            for event in detached(self._pipeline.inspect(run, stop, stage=stage, number=number), stop):
                if isinstance(event, Preview):
                    yield inside.progress(stage, event), seen
                else:
                    seen = {**seen, stage: inside.figure(event)}
                    yield inside.viewer(seen), seen
        finally:
            self._stops.pop(page, None)


def wire_inside(
    looks: Looks, buttons: Mapping[StageName, gr.Button], place: InsideView, gpu: Mapping[str, Any]
) -> None:
    """Let the buttons look; a look waits for its turn as a run does."""
    seen = gr.State({})
    outputs = [seen, place.view]
    heavy: dict[str, Any] = {
        "trigger_mode": "once",
        "show_progress": "hidden",
        "api_visibility": "private",
        **gpu,
    }
    for stage, button in buttons.items():
        button.click(_of(looks, stage), seen, outputs, **heavy)
    place.stop.click(looks.stop, None, None, queue=False, show_progress="hidden", api_visibility="private")


def _of(looks: Looks, stage: StageName) -> Any:
    def handler(request: gr.Request, seen: Seen) -> Iterator[list[Any]]:
        yield from looks.look(stage, request, seen)

    return handler
