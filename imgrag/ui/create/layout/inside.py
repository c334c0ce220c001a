"""Where one looks inside: a button in each drawing panel, and below the panels what is seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from imgrag.runs.values import StageName
from imgrag.ui.language import label

SCRIPT = (Path(__file__).parents[2] / "inside.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class InsideView:
    """What is seen, and the button that ends the looking; inside.css shows them where there is something."""

    view: gr.HTML
    stop: gr.Button


def build_look(stage: StageName) -> gr.Button:
    """The button of a panel that draws."""
    return gr.Button(
        label("Look inside"), size="sm", min_width=80, elem_classes="ir-look", elem_id=f"ir-look-{stage}"
    )


def build_inside() -> InsideView:
    """Lay out what is seen, empty."""
    with gr.Column(elem_id="ir-inside", elem_classes="ir-panel", min_width=0):
        view = gr.HTML("", js_on_load=SCRIPT)
        stop = gr.Button(label("Stop looking"), size="sm", elem_id="ir-inside-stop")
    return InsideView(view, stop)
