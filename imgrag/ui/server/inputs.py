"""What is sent for the fields of a handler: nothing, or what a field does not take.

A browser sends `null` for a component that is not shown, and a program for whatever it likes. Numbers,
choices and files can be left open, and handlers know that; a text, a tick and a slider always have a value.
"""

from __future__ import annotations

import math
from typing import Any

import gradio as gr

from imgrag.errors import RequestError

REFUSED = (
    "A field was sent a value of a kind that it does not take. Load the page again; a program finds under "
    "“Use via API” what each field takes."
)
_CANNOT_BE_READ = (TypeError, ValueError, KeyError, AttributeError, IndexError)
"""What Gradio's components raise at a list for a number, at a text for a file."""


def take_inputs(demo: gr.Blocks) -> None:
    """Let every handler of the page get what its fields take.

    Where nothing was sent that is the component's own value, or nothing. Raises in the handler's place:
        RequestError: a field was sent what it does not take.
    """
    preprocess = demo.preprocess_data

    async def taken(block_fn: Any, inputs: list[Any], *others: Any, **named: Any) -> list[Any]:
        try:
            if len(inputs) == len(block_fn.inputs):
                inputs = [
                    _stands_for(block) if value is None else _finite(value)
                    for block, value in zip(block_fn.inputs, inputs, strict=True)
                ]
            return list(await preprocess(block_fn, inputs, *others, **named))
        except _CANNOT_BE_READ as error:
            raise RequestError(REFUSED) from error

    demo.preprocess_data = taken


def _stands_for(block: Any) -> Any:
    if isinstance(block, gr.Textbox):
        return block.value or ""
    return block.value if isinstance(block, gr.Checkbox | gr.Slider) else None


def _finite(value: Any) -> Any:
    """The value; JSON knows no NaN, but Python reads one."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(value)
    return value
