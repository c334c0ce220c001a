"""Texts of a knowledge base -> HTML in the language in force. Every text from outside goes through `escape`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from imgrag.knowledge import Report
from imgrag.runs.knowledge import Fact
from imgrag.ui.create.markup import icon, origin
from imgrag.ui.language import say, told


def key(fact: Fact) -> str:
    """What the browser calls a text; neither part has a line end."""
    return f"{fact.term}\n{fact.text}"


def listed(facts: Sequence[Fact], ticks: bool) -> str:
    """A list of texts; "" without any. `ticks`: whether they can be chosen."""
    return f'<ul class="ir-facts">{"".join(_item(fact, ticks) for fact in facts)}</ul>' if facts else ""


def texts(count: int) -> str:
    """ "1 text", "1,234 texts"."""
    return say("{count} text", count=count) if count == 1 else say("{count:,} texts", count=count)


def stats(count: int, fixed: bool, damaged: Sequence[str] = ()) -> str:
    """How much a knowledge base holds, in one line."""
    whose = say("comes with the app") if fixed else ""
    aside = say("made anew, the damaged one is kept: {files}", files=", ".join(damaged)) if damaged else ""
    return f'<p class="ir-stats">{escape(" · ".join(filter(None, (texts(count), whose, aside))))}</p>'


def report(done: Report) -> str:
    """What adding did, and what of the files was left out."""
    parts = [
        say("{texts} added", texts=texts(done.added)),
        say("{count:,} there already", count=done.unchanged) if done.unchanged else "",
        say("{count:,} left out", count=done.broken) if done.broken else "",
    ]
    words = escape(say(", ").join(filter(None, parts)))
    said = f'<p class="ir-report" data-kind="done">{icon("done")}<span>{words}</span></p>'
    rows = [
        *(f"<li>{escape(told(example))}</li>" for example in done.examples),
        *(
            f"<li><strong>{escape(item.shown)}</strong> {escape(told(item.reason))}</li>"
            for item in done.problems
        ),
    ]
    if not rows:
        return said
    total = say("Not all of it could be read")
    return (
        f'{said}<details class="ir-skipped" open><summary>{total}</summary><ul>{"".join(rows)}</ul></details>'
    )


def _item(fact: Fact, ticks: bool) -> str:
    select = escape(say("Select {name}", name=fact.term))
    box = f'<input type="checkbox" data-file="{escape(key(fact))}" aria-label="{select}">' if ticks else ""
    said = f"<strong>{escape(fact.term)}</strong><span>{escape(fact.text)}</span>"
    return f'<li lang="{escape(fact.language)}"><label>{box}<span>{said}</span></label>{origin(fact.source, fact.licence)}</li>'
