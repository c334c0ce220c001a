"""The prompt's field: what this profile draws, what was typed as it is read, and names that complete it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gradio as gr

from imgrag.engine.reading.vocabulary import Vocabulary
from imgrag.ui.create.readings import drawable
from imgrag.ui.language import both, label

TYPED = (Path(__file__).parents[2] / "typed.js").read_text(encoding="utf-8")
CHANGED = "() => { document.dispatchEvent(new Event('imgrag:prompt')); return []; }"
"""Examples and surprises fill the field without a key being pressed."""


@dataclass(frozen=True)
class PromptField:
    """The field, and below it what `Typing` says of its text."""

    prompt: gr.Textbox
    typed: gr.HTML


def build_prompt(draws: str, vocabulary: Vocabulary | None) -> PromptField:
    """`draws` is the profile's line on what it draws, `vocabulary` has its names if they have an end.

    What is said of the text is rendered by whoever lays the buttons out: it grows, and they must not move.
    """
    gr.HTML(both(partial(drawable, draws, vocabulary)), elem_id="ir-draws")
    prompt = gr.Textbox(
        label=label("Prompt"),
        placeholder=label("a dog and a toolbox"),
        lines=1,
        max_lines=5,
        autofocus=True,
        elem_id="ir-prompt",
    )
    return PromptField(prompt, gr.HTML("", js_on_load=TYPED, elem_id="ir-typed", render=False))
