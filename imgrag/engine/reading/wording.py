"""What a generator is asked for, where it draws nothing but things on a plain ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imgrag.engine.prompts import with_article
from imgrag.runs.reading import Thing


def worded(things: Sequence[Thing], background: str) -> str:
    """ "an owl and an owl on a red background", in the order of the things; "" without any."""
    named = [with_article(thing.name) for thing in things for _ in range(thing.drawn)]
    ground = f" on {with_article(background)} background" if background else ""
    return " and ".join(named) + ground if named else ""


def rationed(things: Sequence[Thing], most: int) -> tuple[Thing, ...]:
    """The things with what a generator that draws at most so many makes of each.

    Whatever it knows goes first, then what there is a picture of, then what nobody knows; each kind in the
    order of the prompt, one of each before two of any. Of what it does not know by name it draws one.
    """
    drawn = [0] * len(things)
    order = sorted(range(len(things)), key=lambda at: _rank(things[at]))
    wanted = [thing.number if "generator" in thing.known else 1 for thing in things]
    while sum(drawn) < most and any(drawn[at] < wanted[at] for at in order):
        for at in order:
            if sum(drawn) < most and drawn[at] < wanted[at]:
                drawn[at] += 1
    return tuple(replace(thing, drawn=count) for thing, count in zip(things, drawn, strict=True))


def _rank(thing: Thing) -> int:
    return 0 if "generator" in thing.known else 1 if thing.known else 2
