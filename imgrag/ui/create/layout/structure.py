"""The fold "Structure" of the left column: a sketch, a picture, or the initial image's own, and how strongly it guides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from imgrag.models.controlling import ControlProfile
from imgrag.ui.language import both, label, say
from imgrag.ui.library.uploads import picture_upload

SKETCH = (Path(__file__).parents[2] / "sketch.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class StructureFold:
    """The inputs under the names of `request_from`'s arguments, and what else moves."""

    inputs: dict[str, gr.components.Component]
    picture: gr.Image
    seen: gr.HTML
    example: gr.Button


def build_structure(profile: ControlProfile | None, by_part: bool) -> StructureFold:
    """Lay the fold out; it is not shown where the profile draws along nothing.

    Args:
        by_part: a reference can give its style or its thing alone.
    """
    with gr.Accordion(label("Structure"), open=False, visible=profile is not None, elem_id="ir-structure"):
        gr.HTML(both(_canvas), js_on_load=SKETCH, elem_id="ir-sketch")
        strokes = gr.Textbox(
            "", label="Sketch", elem_id="ir-strokes", info="x y x y ..., 0 to 1000; ; between strokes"
        )
        example = gr.Button(
            label("From sketch to design: an example"), size="sm", elem_id="ir-sketch-example"
        )
        picture = picture_upload(
            sources=["upload", "clipboard"], label=label("Or a picture"), height=150, alt_text="Structure",
            elem_id="ir-control",
        )  # fmt: skip
        control = gr.Textbox(
            "", label="Control", elem_id="ir-control-name", info="The name that /structure gave to a picture"
        )
        kind = gr.Radio(
            kinds(profile),
            value="edges",
            label=label("What to take of the picture"),
            elem_id="ir-control-kind",
        )
        seen = gr.HTML("", elem_id="ir-control-seen")
        own = gr.Checkbox(
            False, label=label("Keep the initial image's own structure"), elem_id="ir-control-initial",
            info=label("References change what is in it, not where it stands"),
        )  # fmt: skip
        similar = gr.Radio(
            similars(by_part), value="", label=label("References that look like the sketch"),
            elem_id="ir-control-similar", info=label("The nearest picture of the library guides too"),
        )  # fmt: skip
        scale = gr.Slider(
            0, 2, profile.scale if profile else 1.0, step=0.05, label=label("Structure scale"),
            info=label("How strongly the structure guides"),
        )  # fmt: skip
        share = gr.Slider(
            0, 1, profile.share if profile else 1.0, step=0.05, label=label("Structure share"),
            info=label("Of the steps, the first, that it guides"),
        )  # fmt: skip
    inputs = {
        "sketch": strokes, "control": control, "control_kind": kind, "control_scale": scale, "control_share": share,
        "control_initial": own, "control_similar": similar,
    }  # fmt: skip
    return StructureFold(inputs, picture, seen, example)


def kinds(control: ControlProfile | None) -> list[tuple[str, str]]:
    """What a picture can give, as choices."""
    words = {
        "edges": say("Its edges"), "depth": say("Its depth"), "pose": say("A person's pose"),
        "sketch": say("It is a sketch"), "lines": say("It is a line drawing"),
    }  # fmt: skip
    return [(words[kind], kind) for kind in (control.kinds if control else ("edges", "sketch"))]


def similars(by_part: bool) -> list[tuple[str, str]]:
    """What a picture that looks like the sketch can give, as choices."""
    parts = [(say("Its style only"), "style"), (say("The thing only"), "thing")] if by_part else []
    return [(say("None"), ""), (say("All of it"), "both"), *parts]


def speaking(control: ControlProfile | None, by_part: bool) -> list[Any]:
    """Updates of the choices, in the page's language."""
    return [gr.update(choices=kinds(control)), gr.update(choices=similars(by_part))]


def _canvas() -> str:
    names = {"undo": say("Undo"), "clear": say("Clear")}
    buttons = "".join(
        f'<button type="button" data-sketch="{act}">{words}</button>' for act, words in names.items()
    )
    return (
        f'<div class="ir-label">{say("Draw a sketch")}</div>'
        f'<canvas width="512" height="512" role="img" aria-label="{say("Draw a sketch")}"></canvas>'
        f'<div class="ir-sketch-buttons">{buttons}</div>'
    )
