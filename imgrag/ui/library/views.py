"""What stands right of the Library tab's controls, as updates of its components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from imgrag.ui.create import markup
from imgrag.ui.create.events.runs import explain
from imgrag.ui.language import say
from imgrag.ui.library import cards
from imgrag.ui.library.cards import Card

Updates = list[Any]


@dataclass(frozen=True)
class View:
    """A page of pictures or the results of a search. `fixed`: nothing can be done to the pictures."""

    heading: str = ""
    cards: Sequence[Card] = ()
    number: int = 1
    pages: int = 1
    reason: str = ""
    note: str = ""
    fixed: bool = False


def shown(view: View, message: str = "") -> Updates:
    """One value for each of `Gallery.outputs`. `message` is what went wrong."""
    many = view.pages > 1
    return [
        markup.sentence(message),
        cards.heading(view.heading, view.reason, view.note) if view.heading else "",
        cards.grid(view.cards, ticks=not view.fixed),
        gr.update(visible=many),
        view.number,
        f'<p class="ir-of">{say("of {pages:,}", pages=view.pages)}</p>',
        gr.update(interactive=view.number > 1),
        gr.update(interactive=view.number < view.pages),
        [],
        gr.update(visible=False),
        gr.update(visible=False),
    ]


def failed(error: Exception) -> Updates:
    """Likewise, when there is nothing to show but a sentence: no word of an earlier search stays."""
    return shown(View(), explain(error))
