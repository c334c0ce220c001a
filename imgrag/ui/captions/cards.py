"""Neighbours -> HTML in the language in force, and the words for them that can be ticked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from imgrag.runs.captions import WHOLE_PICTURE, Captioned, Neighbour
from imgrag.texts import shortened
from imgrag.ui.create import markup
from imgrag.ui.language import say

SIDE = 96  # px of a neighbour's picture


def step(number: int, title: str, told: str = "") -> str:
    """The head of a panel."""
    return (
        f'<div class="ir-head"><span class="ir-number">{number}</span><h2>{escape(title)}</h2></div>'
        f'<p class="ir-meta">{escape(told)}</p>'
    )


def part_title(part: str) -> str:
    """What a part of the picture is called."""
    titles = {
        WHOLE_PICTURE: say("The whole picture"), "left": say("Left"), "middle": say("Middle"), "right": say("Right"),
        "upper left": say("Upper left"), "upper right": say("Upper right"), "lower left": say("Lower left"),
        "lower right": say("Lower right"), "upper": say("Upper"), "central": say("Central"), "lower": say("Lower"),
        "upper middle": say("Upper middle"), "lower middle": say("Lower middle"), "central left": say("Central left"),
        "central middle": say("Central middle"), "central right": say("Central right"),
    }  # fmt: skip
    return titles.get(part, part)


def key(neighbour: Neighbour) -> str:
    """What the browser knows a neighbour by."""
    return f"{neighbour.part}\n{neighbour.candidate.file}"


def choice(neighbour: Neighbour) -> tuple[str, str]:
    """A tick: its words and its key."""
    found = neighbour.candidate
    words = f"{part_title(neighbour.part)} · {found.score:.2f} · {shortened(neighbour.caption)}"
    return words if neighbour.counts else f"{words} · {say('too unlike, not read')}", key(neighbour)


def neighbours(captioned: Captioned, thumbnail: Callable[[str], str]) -> str:
    """All neighbours by part, with picture, score, caption and source.

    Args:
        thumbnail: gives a file's picture as a data URI, "" where it cannot be read.
    """
    return "".join(
        _part(part, [one for one in captioned.neighbours if one.part == part], thumbnail)
        for part in captioned.parts
    )


def _part(part: str, found: Sequence[Neighbour], thumbnail: Callable[[str], str]) -> str:
    items = "".join(_card(one, thumbnail(one.candidate.file)) for one in found)
    shown = f'<ul class="ir-cards">{items}</ul>' if items else f"<p>{escape(say('nothing alike'))}</p>"
    return f"<h3>{escape(part_title(part))}</h3>{shown}"


def _card(neighbour: Neighbour, picture: str) -> str:
    found = neighbour.candidate
    name = escape(neighbour.caption or found.file)
    seen = f'<img src="{picture}" alt="{name}">' if picture else ""
    unread = "" if neighbour.counts else markup.chip("muted", say("too unlike, not read"), "skipped")
    return (
        f'<li class="ir-card">{seen}<strong>{name}</strong>{markup.score(found.score)}'
        f"{markup.origin(found.source, found.licence)}{unread}</li>"
    )


def written(captioned: Captioned) -> str:
    """By which model the caption was written, with which adapter, and how long each step took."""
    seconds = sum(report.seconds for report in captioned.stages)
    by = say("Written by {model} in {seconds:.1f} s", model=captioned.model, seconds=seconds)
    worn = say(", with the adapter {name}", name=captioned.adapter) if captioned.adapter else ""
    return f'<p class="ir-meta">{escape(by + worn)}</p>'
