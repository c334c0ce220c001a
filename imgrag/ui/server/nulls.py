"""What a field that sends nothing stands for.

A browser sends `null` for a component that is not shown, and a program for whatever it likes. Numbers,
choices and files can be left open, and handlers know that; a text, a tick and a slider always have a value.
"""

from __future__ import annotations

from typing import Any

import gradio as gr


def take_nulls(demo: gr.Blocks) -> None:
    """Let every handler of the page get the component's own value where nothing was sent."""
    preprocess = demo.preprocess_data

    async def filled(block_fn: Any, inputs: list[Any], *others: Any, **named: Any) -> list[Any]:
        if len(inputs) == len(block_fn.inputs):
            inputs = [
                _stands_for(block) if value is None else value
                for block, value in zip(block_fn.inputs, inputs, strict=True)
            ]
        return list(await preprocess(block_fn, inputs, *others, **named))

    demo.preprocess_data = filled


def _stands_for(block: Any) -> Any:
    if isinstance(block, gr.Textbox):
        return block.value or ""
    return block.value if isinstance(block, gr.Checkbox | gr.Slider) else None
