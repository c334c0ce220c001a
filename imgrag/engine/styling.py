"""What the styles of a run make of its drawings: the generator's prompt, what is kept out, and the LoRAs.

The models that read, judge and look up are asked for the things, as without a style.
"""

from __future__ import annotations

from collections.abc import Sequence

from imgrag.engine.context import Context
from imgrag.models import Lora
from imgrag.runs.styles import MAX_STYLES, Styling, joined, worded_in
from imgrag.runs.values import Run


def wanted_styles(run: Run, called: Sequence[Styling], context: Context) -> tuple[Styling, ...]:
    """The styles that the request picks and those that its prompt calls.

    Raises:
        StyleError: one is not there, or cannot be read.
    """
    shelf = context.styles
    picked = [shelf.styling(shelf.get(style.name), style.weight) for style in run.request.styles]
    found = joined(picked, called)
    if len(found) > MAX_STYLES:
        context.note(f"At most {MAX_STYLES} styles go into one image; the prompt calls more.")
    return found[:MAX_STYLES]


def styles_of(run: Run) -> tuple[Styling, ...]:
    """What a run draws in."""
    return () if run.reading is None else run.reading.styles


def drawn_as(prompt: str, run: Run) -> str:
    """What the generator is asked for."""
    return worded_in(styles_of(run), prompt)


def kept_out(run: Run) -> str:
    """The negative prompt of the settings, what the prompt itself says shall not be there, and what styles leave out."""
    read = run.reading.negative if run.reading is not None else ""
    return ", ".join(
        filter(None, (run.settings["negative_prompt"], read, *(s.negative for s in styles_of(run))))
    )


def loras_of(run: Run, context: Context) -> list[Lora]:
    """The LoRAs of a run's styles. One that is another file than when the run was read is told.

    Raises:
        StyleError: one is not there any more, or cannot be read.
    """
    found = []
    for style in styles_of(run):
        lora = context.styles.lora(style)
        if lora is None:
            continue
        if lora.hash != style.lora:
            context.note(f"The LoRA of the style {style.title!r} was changed since this run was made.")
        found.append(lora)
    return found
