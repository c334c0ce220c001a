"""What the batch endpoint does: a list of prompts for a program, which has a line for each as it ends."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from imgrag.commands.batch import Line, run_batch
from imgrag.commands.contact_sheet import contact_sheets
from imgrag.commands.prompt_files import parse_prompts, parse_styles
from imgrag.runs.drafts import MAX_IMAGES
from imgrag.runs.events import StageStarted
from imgrag.runs.structure import KINDS
from imgrag.ui.create.events.runs import cached, chosen, detached, explain
from imgrag.ui.create.structures import asked_for
from imgrag.ui.server import imports

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline

MAX_PROMPTS = 50  # fewer than a page of the contact sheet holds

Update = tuple[list[dict[str, Any]], str | None]


class Batches:
    """The handlers of one page's endpoint.

    Args:
        libraries: name in the browser -> what a request takes, as it is at each look.
    """

    def __init__(self, pipeline: ImageRAGPipeline, libraries: Mapping[str, str]) -> None:
        self._pipeline = pipeline
        self._libraries = libraries
        self._stops: dict[str, threading.Event] = {}  # by session hash

    def call(
        self,
        prompts: str,
        seed: float | None,
        library: str | None,
        knowledge: str | None,
        knowledge_base: str | None,
        styles: str | None,
        control: str | None,
        control_kind: str | None,
        control_scale: float | None,
        control_share: float | None,
        control_initial: bool | None,
        control_similar: str | None,
        images: float | None,
        look_twice: str | None,
        request: gr.Request,
    ) -> Iterator[Update]:
        """Run prompts, one a line: the lines so far, an update a stage, and at last the contact sheet.

        Raises:
            gr.Error: with the sentence a person would read.
        """
        lines: list[Line] = []
        session = request.session_hash or ""
        stop = self._stops[session] = threading.Event()
        try:
            usual = self._usual(seed, library, knowledge, knowledge_base, styles)
            usual["images"] = 1 if images is None else images
            strength = control_scale, control_share, bool(control_initial), control_similar
            usual["look_twice"] = _flag(look_twice)
            usual["structure"] = asked_for("", control, control_kind, *strength)
            for event in self._events(prompts, usual, stop):
                if isinstance(event, Line):
                    lines.append(event)
                if isinstance(event, Line | StageStarted):
                    yield [asdict(line) for line in lines], None
            sheet = self._sheet(lines)
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a sentence
            raise gr.Error(explain(error), print_exception=False) from None
        finally:
            self._forget(session, stop)
        yield [asdict(line) for line in lines], sheet

    def leave(self, request: gr.Request) -> None:
        """The page was closed, or the program has gone: its batch ends within one step."""
        stop = self._stops.pop(request.session_hash or "", None)
        if stop is not None:
            stop.set()

    def _events(self, prompts: str, usual: Mapping[str, Any], stop: threading.Event) -> Iterator[Any]:
        requests = parse_prompts(prompts or "", usual, MAX_PROMPTS, suffix=".txt")
        imports.wait()
        yield from detached(run_batch(self._pipeline, requests, stop), stop)

    def _usual(
        self,
        seed: float | None,
        library: str | None,
        knowledge: str | None,
        base: str | None,
        styles: str | None,
    ) -> dict[str, Any]:
        """What all the requests share."""
        named = chosen(self._libraries, library)
        return {
            "seed": seed or 0, "library": named, "knowledge": knowledge or None, "knowledge_base": base or None,
            "styles": parse_styles(styles or ""),
        }  # fmt: skip

    def _sheet(self, lines: Sequence[Line]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            (sheet,) = contact_sheets(lines, Path(self._pipeline.results), Path(folder))
            return cached(sheet)

    def _forget(self, session: str, stop: threading.Event) -> None:
        if self._stops.get(session) is stop:
            del self._stops[session]


def _flag(text: str | None) -> Any:
    """What a text says, `None` for nothing; the request refuses what is neither true nor false."""
    said = (text or "").strip().casefold()
    return {"": None, "true": True, "false": False}.get(said, said)


def wire_batch_api(
    batches: Batches, library: str, strength: tuple[float, float], gpu: dict[str, Any]
) -> None:
    """The endpoint `/batch`; `strength` is a structure's scale and share, `gpu` what events that touch a model share."""
    prompts = gr.Textbox(visible=False, label="Prompts", info=f"One a line, at most {MAX_PROMPTS}")
    seed = gr.Number(0, visible=False, label="Seed", precision=0)
    name = gr.Textbox(library, visible=False, label="Library")
    when = gr.Textbox(
        "", visible=False, label="Knowledge", info="off, on or unknown; empty for the profile's"
    )
    base = gr.Textbox("", visible=False, label="Knowledge base")
    styles = gr.Textbox("", visible=False, label="Styles", info="Such as ink:0.8, with commas between")
    structure = [
        gr.Textbox("", visible=False, label="Control", info="The name that /structure gave to a picture"),
        gr.Textbox("", visible=False, label="Control kind", info=f"One of {', '.join(KINDS)}"),
        gr.Slider(0, 2, strength[0], visible=False, label="Control scale"),
        gr.Slider(0, 1, strength[1], visible=False, label="Control share"),
        gr.Checkbox(False, visible=False, label="Control initial"),
        gr.Textbox("", visible=False, label="Control similar", info="both, style or thing; empty for none"),
    ]
    images = gr.Slider(1, MAX_IMAGES, 1, step=1, precision=0, visible=False, label="Images")
    twice = gr.Textbox("", visible=False, label="Look twice", info="true or false; empty for the profile's")
    lines = gr.JSON(visible=False, label="lines")
    sheet = gr.Image(type="filepath", format="png", visible=False, label="contact sheet")
    gr.Button(visible=False).click(
        batches.call,
        [prompts, seed, name, when, base, styles, *structure, images, twice],
        [lines, sheet],
        api_name="batch",
        **gpu,
    )
