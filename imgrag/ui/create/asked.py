"""What the models were asked in a step and what they answered -> HTML, word for word and folded away."""

from __future__ import annotations

from html import escape

from imgrag.runs.asking import Exchange
from imgrag.ui.create.board import PanelState
from imgrag.ui.create.markup import duration
from imgrag.ui.language import say


def asked(panel: PanelState) -> str:
    """Every exchange of the panel's stage, in order; "" where no model was asked."""
    report = panel.run.report(panel.stage, panel.round) if panel.run is not None else None
    if report is None or not report.asked:
        return ""
    heading = escape(say("Asked and answered ({count})", count=len(report.asked)))
    items = "".join(map(_exchange, report.asked))
    return f'<details class="ir-asked"><summary>{heading}</summary><ol>{items}</ol></details>'


def _exchange(one: Exchange) -> str:
    question, answer = escape(say("Question")), escape(say("Answer"))
    return (
        f'<li><div class="ir-origin">{escape(_about(one))}</div>'
        f'<div class="ir-label">{question}</div><pre>{escape(one.question)}</pre>'
        f'<div class="ir-label">{answer}</div><pre>{escape(one.answer)}</pre></li>'
    )


def _about(one: Exchange) -> str:
    """Who was asked with how many pictures, how long it took, and how many tokens both texts are."""
    parts = [
        {"llm": say("Language model"), "vlm": say("Judge")}.get(one.role, one.role),
        say("pictures shown: {count}", count=one.pictures) if one.pictures else "",
        _tokens(one),
        duration(one.seconds),
        say("temperature {temperature:g}", temperature=one.temperature) if one.temperature else "",
    ]
    return " · ".join(filter(None, parts))


def _tokens(one: Exchange) -> str:
    """Of a likelihood nothing is written."""
    if not one.written:
        return say("{read} tokens read", read=one.read)
    return say("{read} tokens read, {written} written", read=one.read, written=one.written)
