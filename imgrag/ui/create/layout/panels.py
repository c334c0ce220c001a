"""The right column: one panel a stage and the result, as Gradio components and their updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from imgrag.runs.values import StageName
from imgrag.ui.create import findings, markup, usage, verdicts, viewing
from imgrag.ui.create.board import DRAWING, GUESSED_PACE, Board, PanelState
from imgrag.ui.create.layout.forms import (
    BUTTONS,
    FIELDS,
    PICK,
    STRUCTURING,
    TAKE,
    Forms,
    build_form,
    form_updates,
    in_order,
)
from imgrag.ui.create.layout.inside import InsideView, build_inside, build_look
from imgrag.ui.language import both, label, say

VIEWER = (Path(__file__).parents[2] / "viewer.js").read_text(encoding="utf-8")
PREVIEW_SIDE = 512  # px; a preview is looked at for a moment, so it need not be larger


@dataclass(frozen=True)
class Results:
    """The files of a finished run that the page offers (its images, its record, all as a zip), and its trace."""

    shown: viewing.Shown
    record: str
    bundle: str
    trace: Sequence[str]


@dataclass(frozen=True)
class Panels:
    """Every component a run writes to; `outputs` is their order in each update."""

    strip: gr.HTML
    banner: gr.HTML
    usage: gr.HTML
    heads: dict[StageName, gr.HTML]
    images: dict[StageName, gr.Image]
    bodies: dict[StageName, gr.HTML]
    result: gr.Column
    picture: gr.HTML
    outcome: gr.HTML
    save_image: gr.DownloadButton
    save_record: gr.DownloadButton
    save_bundle: gr.DownloadButton
    trace: gr.HTML
    replay: gr.Button
    caption: gr.Button
    go_on: gr.Button
    looks: dict[StageName, gr.Button]
    inside: InsideView
    forms: Forms

    @property
    def outputs(self) -> list[gr.blocks.Block]:
        return [
            self.strip,
            self.banner,
            self.usage,
            *self.heads.values(),
            *self.images.values(),
            *self.bodies.values(),
            self.result,
            self.picture,
            self.outcome,
            self.save_image,
            self.save_record,
            self.save_bundle,
            self.trace,
            self.inside.view,
            self.go_on,
            *self.forms.outputs,
        ]


def build_panels(by_part: bool = False, along: bool = False) -> Panels:
    """Lay the right column out, idle.

    Args:
        by_part: a reference can give its style or its thing alone.
        along: images can be drawn along a structure.
    """
    board = Board()
    strip = gr.HTML(both(lambda: markup.strip(board)), elem_id="ir-strip")
    banner = gr.HTML("", elem_id="ir-banner")
    go_on = gr.Button(
        label("Continue"), variant="primary", size="md", visible=False, elem_id="ir-continue", scale=0
    )
    result = _build_result()
    used = gr.HTML("", elem_id="ir-usage")
    forms = Forms({}, {})
    heads: dict[StageName, gr.HTML] = {}
    images: dict[StageName, gr.Image] = {}
    bodies: dict[StageName, gr.HTML] = {}
    looks: dict[StageName, gr.Button] = {}
    with gr.Row(elem_classes="ir-board", equal_height=True):
        for number, panel in enumerate(board.panels, start=1):
            with gr.Column(elem_classes=["ir-panel", f"ir-stage-{panel.stage}"], min_width=0):
                heads[panel.stage] = gr.HTML(both(partial(markup.head, panel, number)))
                if panel.stage in DRAWING:
                    images[panel.stage] = _picture(markup.title(panel.stage), elem_classes="ir-picture")
                bodies[panel.stage] = gr.HTML(
                    findings.body(panel), elem_classes="ir-body", **_clickable(panel)
                )
                if panel.stage in DRAWING:
                    looks[panel.stage] = build_look(panel.stage)
                build_form(panel.stage, forms)
    inside = build_inside()
    forms.fields["use"].visible = by_part
    for name in STRUCTURING:
        forms.buttons[name].visible = along
    return Panels(
        strip, banner, used, heads, images, bodies, **result, go_on=go_on, looks=looks, inside=inside,
        forms=in_order(forms),
    )  # fmt: skip


def _clickable(panel: PanelState) -> dict[str, str]:
    scripts = {"references": PICK, "initial": TAKE}
    return {"js_on_load": scripts[panel.stage]} if panel.stage in scripts else {}


def _build_result() -> dict[str, Any]:
    with gr.Column(elem_id="ir-result", elem_classes="ir-panel", visible=False, min_width=0) as result:
        picture = gr.HTML("", js_on_load=VIEWER, elem_id="ir-viewer")
        with gr.Column(elem_id="ir-decided", min_width=0):
            gr.HTML(both(viewing.heading))
            outcome = gr.HTML("")
            with gr.Row(elem_classes="ir-downloads"):
                save_image = gr.DownloadButton(label("Save PNG"), size="md", min_width=90)
                save_record = gr.DownloadButton("run.json", size="md", min_width=90)
                save_bundle = gr.DownloadButton(label("All as zip"), size="md", min_width=90)
                replay = gr.Button(label("Replay"), size="md", min_width=90, elem_id="ir-replay")
                caption = gr.Button(label("Caption it"), size="md", min_width=90, elem_id="ir-caption-it")
            with gr.Accordion(label("How it was decided"), open=True, elem_classes="ir-trace-box"):
                trace = gr.HTML("")
    return {
        "result": result, "picture": picture, "outcome": outcome, "save_image": save_image,
        "save_record": save_record, "save_bundle": save_bundle, "trace": trace, "replay": replay,
        "caption": caption,
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
        usage.picture(after)
        if before is None or _ended(before, after) or _busy(before, after)
        else gr.skip(),
        *(markup.head(panel, number) if new else gr.skip() for number, panel, new in numbered),
        *(_shown(panel, after) if new else gr.skip() for _, panel, new in numbered if panel.stage in DRAWING),
        *(findings.body(panel) if new else gr.skip() for _, panel, new in numbered),
        *_result_updates(before, after, results),
        "" if before is None else gr.skip(),  # what was seen inside is of what stood here before
        *_tail(before, after),
    ]


def _ended(before: Board, after: Board) -> bool:
    """Whether a stage has ended in between."""
    return any(old.seconds != new.seconds for old, new in zip(before.panels, after.panels, strict=True))


def _busy(before: Board, after: Board) -> bool:
    """Whether other models are in memory or at work."""
    return (before.usage and before.usage.models) != (after.usage and after.usage.models)


def _tail(before: Board | None, after: Board) -> list[Any]:
    """The button to continue with, and the forms: they change only when a run begins or ends."""
    if before is not None and before.phase == after.phase:
        return [gr.skip()] * (1 + len(FIELDS) + len(BUTTONS))
    waits = after.phase in ("paused", "stopped", "failed") and after.run is not None
    return [gr.update(visible=waits), *form_updates(after)]


def _shown(panel: PanelState, board: Board) -> dict[str, Any]:
    image = panel.image
    if image is not None and panel.status == "running":
        image = image.copy()
        image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BILINEAR)
    alt = say("{image} for the prompt: {prompt}", image=markup.title(panel.stage), prompt=board.prompt)
    return gr.update(value=image, alt_text=alt[:300])


def _result_updates(before: Board | None, after: Board, results: Results | None) -> list[Any]:
    """Of the picture and what is told of it. Without results it shows what is drawn, once a run has begun."""
    if after.phase != "finished" or after.run is None or results is None:
        if before is None:
            begun = after.phase != "idle"
            return [gr.update(visible=begun), viewing.picture(after, None), "", *[gr.skip()] * 4]
        return [gr.skip()] * 7
    return [
        gr.update(visible=True),
        viewing.picture(after, results.shown),
        markup.notice(after.notice) + verdicts.outcome(after.run),
        gr.update(value=str(results.shown.image)),
        gr.update(value=str(results.record)),
        gr.update(value=str(results.bundle)),
        markup.trace_list(results.trace),
    ]


def _picture(alt: str, **settings: Any) -> gr.Image:
    return gr.Image(
        type="pil", format="png", label=alt, show_label=False, alt_text=alt, interactive=False,
        buttons=[], **settings,
    )  # fmt: skip
