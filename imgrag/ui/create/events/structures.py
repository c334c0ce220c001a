"""What the fold "Structure" and the endpoints `/structure` and `/enlarge` do: take a picture, show what it becomes, fill the example in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from imgrag.errors import RequestError
from imgrag.runs.structure import KINDS
from imgrag.ui.create import markup
from imgrag.ui.create.events.runs import explain
from imgrag.ui.create.layout.structure import StructureFold
from imgrag.ui.create.structures import EXAMPLE, EXAMPLE_PROMPT, asked_for, hold, shown
from imgrag.ui.language import say
from imgrag.ui.library.uploads import BESIDE, PICTURES, picture_upload, read_upload

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline

LARGEST = 1024  # px of the short side of a picture that is made larger
CHANGED = "() => { document.dispatchEvent(new Event('imgrag:sketch')); document.dispatchEvent(new Event('imgrag:prompt')); return []; }"
"""The example fills the field of strokes without a hand."""


def wire_structure(fold: StructureFold, pipeline: ImageRAGPipeline, prompt: gr.Textbox) -> None:
    """Take a picture before models are waited for, show what it becomes, and let the example fill the fold."""
    name, kind = fold.inputs["control"], fold.inputs["control_kind"]

    def take(path: str | None, kind: str) -> list[Any]:
        """Keep an uploaded picture: its name, and what it becomes."""
        try:
            kept = hold(path) if path else ""
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            return ["", markup.sentence(explain(error))]
        return [kept, _look(pipeline, kept, kind)]

    gr.on(
        [fold.picture.upload, fold.picture.clear], take, [fold.picture, kind], [name, fold.seen], **PICTURES
    )
    kind.input(lambda name, kind: _look(pipeline, name, kind), [name, kind], fold.seen, **PICTURES)  # type: ignore[attr-defined]
    example = fold.example.click(
        lambda: (EXAMPLE_PROMPT, EXAMPLE, None, "", "both", ""), None,
        [prompt, fold.inputs["sketch"], fold.picture, name, fold.inputs["control_similar"], fold.seen], queue=False,
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    example.then(None, js=CHANGED, api_visibility="private")


def wire_structure_api(pipeline: ImageRAGPipeline) -> None:
    """The endpoint `/structure`: a picture's name for `/run` and `/batch`, and the condition that it gives."""

    def named(picture: str | None, kind: str | None) -> tuple[str, Image.Image]:
        try:
            if not picture:
                raise RequestError("There is no picture yet. Choose one first.")
            name = hold(picture)
            return name, _condition(pipeline, name, kind or "sketch")
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a sentence
            raise gr.Error(explain(error), print_exception=False) from None

    picture = picture_upload(visible=False, label="Picture")
    kind = gr.Textbox("sketch", visible=False, label="Kind", info=f"One of {', '.join(KINDS)}")
    outputs = [
        gr.Textbox(visible=False, label="control"),
        gr.Image(type="pil", format="png", visible=False, label="condition"),
    ]
    settings = {**PICTURES, "api_visibility": "public"}
    gr.Button(visible=False).click(named, [picture, kind], outputs, api_name="structure", **settings)


def wire_enlarging_api(pipeline: ImageRAGPipeline) -> None:
    """The endpoint `/enlarge`: a picture larger and cleaner."""

    def enlarged(picture: str | None) -> Image.Image:
        try:
            if not picture:
                raise RequestError("There is no picture yet. Choose one first.")
            return pipeline.enlarge(read_upload(picture, LARGEST))
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a sentence
            raise gr.Error(explain(error), print_exception=False) from None

    picture = picture_upload(visible=False, label="Picture")
    larger = gr.Image(type="pil", format="png", visible=False, label="larger")
    gr.Button(visible=False).click(enlarged, picture, larger, api_name="enlarge", **BESIDE)


def _condition(pipeline: ImageRAGPipeline, name: str, kind: str) -> Image.Image:
    wanted = asked_for("", name, kind, None, None, False, None)
    assert wanted is not None and wanted.picture is not None
    return pipeline.condition(wanted.picture, wanted.kind)


def _look(pipeline: ImageRAGPipeline, name: str, kind: str) -> str:
    """The condition, or a sentence on why there is none."""
    if not name:
        return ""
    try:
        return shown(_condition(pipeline, name, kind), say("What the image is drawn along"))
    except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
        return markup.sentence(explain(error))
