"""The right column: one panel a stage and the result, as Gradio components and their updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from imgrag.run import Run, StageName
from imgrag.ui import markup
from imgrag.ui.board import DRAWING, GUESSED_PACE, Board, PanelState

PREVIEW_SIDE = 512  # px; a preview is looked at for a moment, so it need not be larger

ALT = {"initial": "Initial image", "enhanced": "Enhanced image"}


@dataclass(frozen=True)
class Results:
    """The files of a finished run that the page offers: its image, its record, its trace."""

    image: str
    record: str
    trace: Sequence[str]


@dataclass(frozen=True)
class Panels:
    """Every component a run writes to; `outputs` is their order in each update."""

    strip: gr.HTML
    banner: gr.HTML
    heads: dict[StageName, gr.HTML]
    images: dict[StageName, gr.Image]
    bodies: dict[StageName, gr.HTML]
    result: gr.Column
    outcome: gr.HTML
    slider: gr.ImageSlider
    single: gr.Image
    save_image: gr.DownloadButton
    save_record: gr.DownloadButton
    trace: gr.HTML

    @property
    def outputs(self) -> list[gr.blocks.Block]:
        return [
            self.strip,
            self.banner,
            *self.heads.values(),
            *self.images.values(),
            *self.bodies.values(),
            self.result,
            self.outcome,
            self.slider,
            self.single,
            self.save_image,
            self.save_record,
            self.trace,
        ]


def build_panels() -> Panels:
    """Lay the right column out, idle."""
    board = Board()
    strip = gr.HTML(markup.strip(board), elem_id="ir-strip")
    banner = gr.HTML("", elem_id="ir-banner")
    heads: dict[StageName, gr.HTML] = {}
    images: dict[StageName, gr.Image] = {}
    bodies: dict[StageName, gr.HTML] = {}
    with gr.Row(elem_classes="ir-board", equal_height=True):
        for number, panel in enumerate(board.panels, start=1):
            with gr.Column(elem_classes=["ir-panel", f"ir-stage-{panel.stage}"], min_width=0):
                heads[panel.stage] = gr.HTML(markup.head(panel, number))
                if panel.stage in DRAWING:
                    images[panel.stage] = _picture(ALT[panel.stage], elem_classes="ir-picture")
                bodies[panel.stage] = gr.HTML(markup.body(panel), elem_classes="ir-body")
    return Panels(strip, banner, heads, images, bodies, **_build_result())


def _build_result() -> dict[str, Any]:
    with gr.Column(elem_id="ir-result", elem_classes="ir-panel", visible=False, min_width=0) as result:
        gr.HTML('<div class="ir-head"><h2>Result</h2></div>')
        with gr.Row(elem_classes="ir-result-row"):
            with gr.Column(scale=5, min_width=260):
                slider = gr.ImageSlider(
                    type="pil", format="png", label="Before and after", show_label=False, buttons=["fullscreen"],
                    elem_classes="ir-slider", visible=False,
                )  # fmt: skip
                single = _picture("Result", elem_classes=["ir-picture", "ir-single"], visible=False)
            with gr.Column(scale=4, min_width=260):
                outcome = gr.HTML("")
                with gr.Row(elem_classes="ir-downloads"):
                    save_image = gr.DownloadButton("Save PNG", size="md", min_width=100)
                    save_record = gr.DownloadButton("Save run.json", size="md", min_width=100)
                with gr.Accordion("How it was decided", open=True, elem_classes="ir-trace-box"):
                    trace = gr.HTML("")
    return {
        "result": result, "outcome": outcome, "slider": slider, "single": single,
        "save_image": save_image, "save_record": save_record, "trace": trace,
    }  # fmt: skip


def updates(
    before: Board | None,
    after: Board,
    pace: Mapping[StageName, float] = GUESSED_PACE,
    results: Results | None = None,
) -> list[Any]:
    """One value for each of `Panels.outputs`; what did not change between the boards is skipped."""
    changed = [
        before is None or old is not new
        for old, new in zip((before or after).panels, after.panels, strict=True)
    ]
    numbered = [
        (n, panel, new) for n, (panel, new) in enumerate(zip(after.panels, changed, strict=True), start=1)
    ]
    return [
        markup.strip(after, pace),
        markup.banner(after) if before is None or before.message != after.message else gr.skip(),
        *(markup.head(panel, number) if new else gr.skip() for number, panel, new in numbered),
        *(_shown(panel, after) if new else gr.skip() for _, panel, new in numbered if panel.stage in DRAWING),
        *(markup.body(panel) if new else gr.skip() for _, panel, new in numbered),
        *_result_updates(before, after, results),
    ]


def _shown(panel: PanelState, board: Board) -> dict[str, Any]:
    image = panel.image
    if image is not None and panel.status == "running":
        image = image.copy()
        image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BILINEAR)
    alt = f"{ALT[panel.stage]} for the prompt: {board.prompt}"
    return gr.update(value=image, alt_text=alt[:300])


def _result_updates(before: Board | None, after: Board, results: Results | None) -> list[Any]:
    if after.phase != "finished" or after.run is None or results is None:
        if before is None:
            return [gr.update(visible=False), *[gr.skip()] * 6]
        return [gr.skip()] * 7
    pair = _pair(after.run)
    alt = f"Result for the prompt: {after.prompt}"
    return [
        gr.update(visible=True),
        markup.outcome(after.run),
        gr.update(value=pair, visible=pair is not None),
        gr.update(value=after.run.result if pair is None else None, visible=pair is None, alt_text=alt[:300]),
        gr.update(value=str(results.image)),
        gr.update(value=str(results.record)),
        markup.trace_list(results.trace),
    ]


def _pair(run: Run) -> tuple[Image.Image, Image.Image] | None:
    """The initial image and the one it is compared with: the kept one, else the last one drawn."""
    drawn = [item.enhanced for item in run.rounds if item.enhanced is not None]
    after = run.result if run.kept else (drawn[-1] if drawn else None)
    return (run.initial, after) if run.initial is not None and after is not None else None


def _picture(alt: str, **settings: Any) -> gr.Image:
    return gr.Image(
        type="pil", format="png", label=alt, show_label=False, alt_text=alt, interactive=False,
        buttons=["fullscreen"], **settings,
    )  # fmt: skip
