"""The fold "Many at once" of the left column and its panel in the right one, and which event leads where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from imgrag.commands.prompt_files import CSV, JSON, PLAIN
from imgrag.ui.create.layout.settings import Controls
from imgrag.ui.create.many import GRID, LONGEST, MAX_SEEDS, Many, settings
from imgrag.ui.language import label, say
from imgrag.ui.library.uploads import BESIDE

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
REVEAL = """
watch("value", () => {
    if (element.querySelector(".ir-waits") && !element.querySelector("img"))
        element.closest("#ir-many-panel")?.scrollIntoView({ block: "nearest" });
});
"""
"""Where the panel is below the fold, as on a phone: the page goes there once something is drawn in it."""
USUAL = ("seed", "1-4"), ("adapter_scale", "0.3, 0.6, 1")  # across and down, to begin with


@dataclass(frozen=True)
class ManyFold:
    """What is asked, in the order of `Many.begin`, and the buttons."""

    asked: dict[str, Any]
    file: gr.File
    draw: gr.Button
    stop: gr.Button
    lists: gr.Column
    grids: gr.Column


@dataclass(frozen=True)
class ManyPanel:
    """What was drawn."""

    panel: gr.Column
    shown: gr.HTML
    files: gr.File
    go_on: gr.Button


def build_many() -> ManyFold:
    """The fold, closed."""
    with gr.Accordion(label("Many at once"), open=False, elem_id="ir-many"):
        kind = gr.Radio(_kinds(), value="list", label=label("What is drawn"), elem_id="ir-many-kind")
        with gr.Column(min_width=0) as lists:
            prompts = gr.Textbox(
                "", label=label("Prompts"), info=label("One a line, or a table or JSON with a column named prompt"),
                lines=4, max_lines=10, max_length=LONGEST, elem_id="ir-many-prompts",
            )  # fmt: skip
            file = gr.File(
                label=label("Or a file of prompts"), file_types=[*PLAIN, *JSON, *CSV], type="filepath", height=150,
                elem_id="ir-many-file",
            )  # fmt: skip
            seeds = gr.Slider(1, MAX_SEEDS, 1, step=1, precision=0, label=label("Images of each"))
        with gr.Column(min_width=0, visible=False) as grids:
            sides = [
                _build_side(name, words, *usual)
                for (name, words), usual in zip(
                    (("across", label("Across")), ("down", label("Down"))), USUAL, strict=True
                )
            ]
        with gr.Row(elem_classes="ir-buttons"):
            draw = gr.Button(
                label("Draw all"), variant="primary", min_width=110, scale=2, elem_id="ir-many-draw"
            )
            stop = gr.Button(label("Stop"), min_width=70, scale=1, interactive=False, elem_id="ir-many-stop")
    asked = {"kind": kind, "prompts": prompts, "seeds": seeds, **sides[0], **sides[1]}
    return ManyFold(asked, file, draw, stop, lists, grids)


def _build_side(name: str, words: str, setting: str, values: str) -> dict[str, Any]:
    with gr.Row(elem_classes="ir-side"):
        chosen = gr.Dropdown(
            _settings(), value=setting, label=words, min_width=110, elem_id=f"ir-many-{name}"
        )
        typed = gr.Textbox(
            values, label=label("Values"), info=label("With commas between; whole numbers also as 1-4"), min_width=110,
            max_lines=1, elem_id=f"ir-many-{name}-values",
        )  # fmt: skip
    return {name: chosen, f"{name}_values": typed}


def _kinds() -> list[tuple[str, str]]:
    return [(say("A list of prompts"), "list"), (say("One value over another"), GRID)]


def _settings() -> list[tuple[str, str]]:
    return [(words, setting) for setting, words in settings().items()]


def build_many_panel() -> ManyPanel:
    """The panel above a run's own, which is there once something is drawn in it."""
    with gr.Column(elem_classes="ir-panel", min_width=0, visible=False, elem_id="ir-many-panel") as panel:
        gr.HTML(f'<div class="ir-head"><h2>{label("Many at once")}</h2></div>')
        shown = gr.HTML("", js_on_load=REVEAL, elem_id="ir-many-shown")
        go_on = gr.Button(label("Go on"), visible=False, size="sm", elem_id="ir-many-go-on")
        files = gr.File(
            label=label("Sheets, and everything as a zip"), file_count="multiple", interactive=False, visible=False,
            elem_id="ir-many-files",
        )  # fmt: skip
    return ManyPanel(panel, shown, files, go_on)


def wire_many(
    many: Many,
    fold: ManyFold,
    panel: ManyPanel,
    controls: Controls,
    key: gr.BrowserState,
    gpu: dict[str, Any],
) -> None:
    """The events; a stop takes what waits out of the queue as well."""
    outputs = [panel.panel, panel.shown, panel.files, fold.draw, fold.stop, panel.go_on]
    heavy: dict[str, Any] = {
        "trigger_mode": "once", "show_progress": "hidden", "api_visibility": "private", **gpu,
    }  # fmt: skip
    inputs = {**controls.inputs, **fold.asked, "key": key}
    begun = fold.draw.click(many.begin, None, outputs, inputs_kwargs=inputs, **heavy)
    going_on = panel.go_on.click(many.go_on, key, outputs, **heavy)
    for button in (fold.draw, panel.go_on):  # others may be drawn before it, and it can be stopped meanwhile
        button.click(lambda: gr.update(interactive=True), None, fold.stop, **QUIET)
    stopped = fold.stop.click(many.stop, None, outputs, cancels=[begun, going_on], **QUIET)
    stopped.then(many.files, None, outputs, **QUIET)
    fold.file.upload(
        many.read, fold.file, [fold.asked["prompts"], *outputs], **{**BESIDE, "api_visibility": "private"}
    )
    fold.asked["kind"].change(
        lambda kind: [gr.update(visible=kind != GRID), gr.update(visible=kind == GRID)],
        fold.asked["kind"], [fold.lists, fold.grids], **QUIET,
    )  # fmt: skip


def speaking_many(fold: ManyFold) -> list[Any]:
    """What `many_choices` updates."""
    return [fold.asked["kind"], fold.asked["across"], fold.asked["down"]]


def many_choices() -> list[Any]:
    """Updates of the choices, in the page's language."""
    return [gr.update(choices=_kinds()), *[gr.update(choices=_settings())] * 2]
