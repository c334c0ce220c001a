"""Where the things of a prompt will stand, for a generator that has a fixed idea of it. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from imgrag.runs.values import WHOLE, Box, Reference, Run

FREE, SIDE_BY_SIDE = LAYOUTS = ("free", "side by side")
"""Anywhere, or next to each other from left to right in the order in which the prompt names them."""


def placed(references: Sequence[Reference], run: Run, layout: str) -> tuple[Reference, ...]:
    """The references, each with the part of the image where its thing will stand.

    With one thing missing there is nothing to keep apart, and its reference guides the whole image: that
    copies fine icons better (`bench fidelity`, right reference). What a person has placed stays where it
    is, and so does what the prompt does not name.
    """
    if layout == FREE:
        return tuple(references)
    verdict = run.rounds[0].verdict if run.rounds else None
    seen, missing = (verdict.seen, verdict.missing) if verdict is not None else ((), ())
    prompt, wanted = run.prompt, [*missing, *(reference.concept for reference in references)]
    if len(_order(prompt, wanted)) < 2:
        return tuple(references)
    order = _order(prompt, [*seen, *wanted])
    return tuple(_placed(reference, order) for reference in references)


def regions_of(reference: Reference, run: Run, layout: str) -> tuple[Box, ...]:
    """Where a reference guides: its own region, or each place of a thing that is drawn more than once."""
    things = run.reading.drawn if run.reading is not None else ()
    places = [thing.name.casefold() for thing in things for _ in range(thing.drawn)]
    name = reference.concept.casefold()
    if layout == FREE or reference.region != WHOLE or places.count(name) < 2:
        return (reference.region,)
    return tuple(_column(at, len(places)) for at, place in enumerate(places) if place == name)


def _order(prompt: str, names: Sequence[str]) -> list[str]:
    """The names that the prompt holds as words, each once, from left to right."""
    text, places = prompt.casefold(), {}
    for name in sorted({name.casefold() for name in names if name.strip()}, key=len, reverse=True):
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
        if found:
            places[name] = found.start()
            text = text[: found.start()] + "\0" * len(name) + text[found.end() :]  # no dog in a hot dog
    return sorted(places, key=lambda name: places[name])


def _placed(reference: Reference, order: Sequence[str]) -> Reference:
    name = reference.concept.casefold()
    if reference.region != WHOLE or name not in order:
        return reference
    return replace(reference, region=_column(order.index(name), len(order)))


def _column(place: int, count: int) -> Box:
    """The part of an image where the thing at this place of so many side by side stands."""
    return Box(left=place / count, right=(place + 1) / count)
