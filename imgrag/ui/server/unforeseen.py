"""What nobody foresaw, in any handler of the page and of its endpoints, becomes a sentence."""

from __future__ import annotations

from typing import Any

import gradio as gr

from imgrag.ui.create.events.runs import explain
from imgrag.ui.language import language_of, speaking, told


def tell_unforeseen(demo: gr.Blocks) -> None:
    """Let the person who asked read what went wrong, and the log hold the rest under the same number.

    It stands around all that Gradio does for an event: reading the inputs, each step of the handler,
    writing the outputs. What is a `gr.Error` already is handed on.
    """
    process = demo.process_api

    async def told_api(*arguments: Any, **named: Any) -> dict[str, Any]:
        try:
            return dict(await process(*arguments, **named))
        except gr.Error:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            with speaking(_language(named.get("request"))):
                sentence = told(explain(error))
            raise gr.Error(sentence, print_exception=False) from None

    demo.process_api = told_api


def _language(request: Any) -> Any:
    return language_of(request) if isinstance(request, gr.Request) else "en"
