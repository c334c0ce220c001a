"""Updates that cost what they change and no more."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import gradio as gr


def spare_skipped(demo: gr.Blocks) -> None:
    """Let outputs that a handler skips be left alone.

    Gradio makes every output of a handler anew at each of its steps, also one that `gr.skip()` leaves
    as it is. That takes a millisecond each, and a page that shows the drawing's steps has fifty of
    them ten times a second, which two cores do not have beside the drawing.
    """
    postprocess = demo.postprocess_data

    async def only_changed(block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        if not _is_a_value_each(predictions, block_fn.outputs):
            return await postprocess(block_fn, predictions, state)
        data: list[Any] = [gr.skip() for _ in predictions]
        changed = [n for n, value in enumerate(predictions) if not _is_skip(value)]
        if changed:
            part, values = copy(block_fn), [predictions[n] for n in changed]
            part.outputs = [block_fn.outputs[n] for n in changed]
            done = await postprocess(part, values if len(values) > 1 else values[0], state)
            for place, value in zip(changed, done, strict=True):
                data[place] = value
        return data

    demo.postprocess_data = only_changed


def _is_a_value_each(predictions: Any, outputs: Sequence[Any]) -> bool:
    return isinstance(predictions, (list, tuple)) and len(predictions) == len(outputs) > 1


def _is_skip(value: Any) -> bool:
    return isinstance(value, dict) and value == gr.skip()
