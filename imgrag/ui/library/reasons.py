"""Why each hit was found, written onto the cards of a search. It waits for models, so it reads no pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from imgrag.ui.create.events.runs import explain
from imgrag.ui.language import say
from imgrag.ui.library import cards
from imgrag.ui.library.views import Updates, View

if TYPE_CHECKING:
    from imgrag.engine.librarian import Librarian, Result
    from imgrag.library.search.explaining import Explanation


@dataclass(frozen=True)
class Hits:
    """What was found for a text, and the view that shows it: a card for each result, in their order."""

    query: str
    view: View
    results: Sequence[Result]


class Reasons:
    """The handler of one page."""

    def __init__(self, librarian: Librarian) -> None:
        self._librarian = librarian

    def write(self, wanted: bool, hits: Hits | None) -> Iterator[Updates]:
        """Updates of the heading and the cards: how far it is, then the reasons, if they were wanted."""
        if not wanted or hits is None or not hits.results:
            yield [gr.skip()] * 2
            return
        told: list[Explanation] = []
        try:
            for one in self._librarian.explained(hits.query, hits.results):
                yield [_under_way(hits, len(told)), gr.skip()]
                told.append(one)
        except Exception as error:  # noqa: BLE001  whatever it is, the person gets a sentence
            yield [_heading(replace(hits.view, note=explain(error))), gr.skip()]
            return
        whys = [replace(card, why=why) for card, why in zip(hits.view.cards, told, strict=True)]
        yield [_heading(hits.view), cards.grid(whys, ticks=not hits.view.fixed)]


def wire_reasons(
    found: Any,
    reasons: Reasons,
    inputs: list[Any],
    outputs: list[Any],
    leaving: list[Any],
    gpu: dict[str, Any],
) -> None:
    """After an event that `found` something reasons are written, until one of `leaving` shows something else."""
    written = found.success(
        reasons.write, inputs, outputs, show_progress="hidden", api_visibility="private", **gpu
    )
    gr.on(leaving, None, cancels=written)


def _under_way(hits: Hits, done: int) -> str:
    words = say("Saying why each was found: {done} of {total}", done=done, total=len(hits.results))
    return _heading(hits.view) + cards.working(words, done / len(hits.results))


def _heading(view: View) -> str:
    return cards.heading(view.heading, view.reason, view.note)
