"""What is sent for the fields of a handler: nothing, or what a field does not take.

A browser sends `null` for a component that is not shown, and a program for whatever it likes. Numbers,
choices and files can be left open, and handlers know that; a text, ticks and a slider always have a value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Any

import gradio as gr

from imgrag.errors import ImgragError, RequestError
from imgrag.runs.values import in_brief

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
                    _stands_for(block) if value is None else _fitting(block, value)
                    for block, value in zip(block_fn.inputs, inputs, strict=True)
                ]
            return list(await preprocess(block_fn, inputs, *others, **named))
        except ImgragError:
            raise
        except (gr.Error, *_CANNOT_BE_READ) as error:
            sentence = await _refusal(preprocess, block_fn, inputs, *others, **named)
            raise RequestError(sentence or str(error)) from error

    demo.preprocess_data = taken


def is_path(value: Any) -> bool:
    """Whether something that was sent may be the path of a file."""
    return bool(re.search(r"[/\\]", str(value)))


async def _refusal(
    preprocess: Callable[..., Awaitable[Any]],
    block_fn: Any,
    inputs: Sequence[Any],
    *others: Any,
    **named: Any,
) -> str:
    """Which field does not take what it was sent, and what it takes; "" if each of them does by itself."""
    alone = copy(block_fn)
    for place, (block, value) in enumerate(zip(block_fn.inputs, inputs, strict=False)):
        alone.inputs, alone.component_prop_inputs = [block], [0] * (place in block_fn.component_prop_inputs)
        try:
            if value is not None:
                await preprocess(alone, [_fitting(block, value)], *others, **named)
        except (gr.Error, *_CANNOT_BE_READ) as error:
            if isinstance(error, gr.Error) and isinstance(block, gr.File | gr.Image):
                return str(error.message)  # it says which files are taken
            # Sent back, a path would be a path on the page, whoever wrote it.
            sent = "that" if is_path(value) else repr(in_brief(value))
            return f"The field {_name(block)!r} does not take {sent}; it takes {_kind(block)}."
    return ""


def _name(block: Any) -> str:
    """A field's label in English, without the mark by which the browser translates it; else what sort of field it is."""
    said = str(getattr(block, "label", None) or type(block).__name__)
    start, mark, rest = said.partition("{")
    try:
        return str(json.loads(mark + rest)["key"]) if mark else start
    except (ValueError, KeyError, TypeError):
        return said


def _kind(block: Any) -> str:
    """What a field takes, in words."""
    if isinstance(block, gr.Number | gr.Slider):
        low, high = block.minimum, block.maximum
        return "a number" if low is None or high is None else f"a number from {low} to {high}"
    if isinstance(block, gr.Radio):
        return f"one of: {', '.join(str(value) for _, value in block.choices)}"
    if isinstance(block, gr.File | gr.Image):
        return "a file"
    return "a text" if isinstance(block, gr.Textbox | gr.Dropdown) else "something else"


def _stands_for(block: Any) -> Any:
    if isinstance(block, gr.Textbox):
        return block.value or ""
    if isinstance(block, gr.CheckboxGroup):
        return block.value or []
    return block.value if isinstance(block, gr.Checkbox | gr.Slider) else None


def _fitting(block: Any, value: Any) -> Any:
    """The value, unless Gradio would make another of it: a text of a number, a choice of a list; or it is NaN."""
    chosen = isinstance(block, gr.Radio) or (isinstance(block, gr.Dropdown) and not block.multiselect)
    several = chosen and isinstance(value, (list, dict))
    if several or (isinstance(block, gr.Textbox) and not isinstance(value, str)):
        raise TypeError(f"{type(value).__name__} for {type(block).__name__}")
    if isinstance(value, float) and not math.isfinite(value):  # JSON knows none, but Python reads it
        raise ValueError(value)
    return value
