"""The seed: a new one for each run unless it is kept, a dice, and the last ones that were used."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import gradio as gr

from imgrag.runs.values import MAX_SEED
from imgrag.ui.language import both, label, say


@dataclass(frozen=True)
class SeedField:
    """The number, and whether the next run takes it."""

    number: gr.Number
    locked: gr.Checkbox


def build_seed() -> SeedField:
    """Lay it out. seeds.js puts the seed of each run into the field, and keeps one that a person typed."""
    with gr.Row(elem_classes="ir-seed"):
        number = gr.Number(
            0, label=label("Seed"), info=label("Same seed, same image"), precision=0, minimum=0,
            maximum=MAX_SEED, min_width=120, elem_id="ir-seed",
        )  # fmt: skip
        dice = gr.Button(label("New seed"), size="sm", min_width=80, scale=0, elem_id="ir-dice")
    locked = gr.Checkbox(
        False,
        label=label("Keep this seed"),
        info=label("Otherwise each run draws a new one"),
        container=False,
        elem_id="ir-lock",
    )
    gr.HTML(both(_used), elem_id="ir-seeds")
    dice.click(lambda: secrets.randbelow(MAX_SEED + 1), None, number, queue=False, api_visibility="private")
    return SeedField(number, locked)


def _used() -> str:
    return f'<div class="ir-used" hidden><span>{say("Used last")}</span></div>'
