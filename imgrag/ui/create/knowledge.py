"""What was looked up for a prompt -> HTML, in the language in force. Every text that comes from outside goes through `escape`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from imgrag.engine.prompts import fact_line
from imgrag.runs.knowledge import Augmentation, Fact
from imgrag.runs.reading import Reading
from imgrag.ui.create.markup import long_list, origin
from imgrag.ui.language import say, told

SHOWN = 12  # texts that are named one by one


def rows(read: Reading) -> list[tuple[str, str]]:
    """What stood there before, the texts with where they come from, and what came of it; escaped."""
    found = read.augmentation
    if found is None:
        return []
    used = not found.reason
    written = (say("Written again") if used else say("Written again, and not used"), escape(found.rewritten))
    return [
        (say("Without knowledge it is"), escape(found.original) if used else ""),
        (say("Looked up"), _facts(found.facts)),
        written,
        (say("Why the original is drawn"), escape(told(found.reason))),
    ]


def ground(read: Reading) -> str:
    """The background, with the phrase that it stands for where a text told it; escaped."""
    term = _told(read.background, read.augmentation)
    said = f"<small>{escape(say('from “{phrase}”', phrase=term))}</small>" if term else ""
    return escape(read.background) + said


def _told(word: str, found: Augmentation | None) -> str:
    """The term of the text that names a ground, "" where none does or none was used."""
    if not word or found is None or found.reason or word in found.original.split():
        return ""
    return next((f.term for f in found.facts if re.search(rf"\b{re.escape(word)}\b", f.text)), "")


def _source(fact: Fact) -> str:
    """Where a text was found, and where it was taken from."""
    return " · ".join(filter(None, (fact.base, fact.source)))


def _facts(facts: Sequence[Fact]) -> str:
    items = [
        f"<li>{escape(fact_line(fact.term, fact.text))}{origin(_source(fact), fact.licence)}</li>"
        for fact in facts
    ]
    return long_list(items, SHOWN)
