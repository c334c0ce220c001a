"""Pocket's ControlNet: do things stand where a sketch has them, at that size, and are they still recognised there.

Sketches are made of true scenes, at sizes and places that no lesson had; some as by an unsteady hand. Where a
thing stands is told by plain image processing, and compared with the true scene's own box. What does not stand there
is not recognised there. The judge knows one size, so it is shown the drawn square, moved and scaled as the thing's box
was; the rows of "the very square" do without, and then what stands a few px beside it may be missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from imgrag.bench import Bar, Figure
from imgrag.bench.fidelity.sketching import Sketched, sketched
from imgrag.bench.fidelity.workbench import Workbench
from imgrag.pocket.standing import boxes, moved, overlap, recognised, square

STEADY, UNSTEADY = 0.5, 2.0  # px by which the hand strays
THERE = 0.5  # intersection over union of the boxes
BARS = (
    Bar("structure_place", "a sketch: the thing stands where it was drawn", 0.80, 0.95),
    Bar("structure_known", "  a known thing, recognised there", 0.85, 0.95),
    Bar("structure_unseen", "  an unseen thing by reference, recognised there", 0.70, 0.90),
    Bar("structure_hand_place", "by an unsteady hand: it stands where it was drawn", 0.80, 0.95),
    Bar("structure_hand_known", "  a known thing, recognised there", 0.85, 0.95),
    Bar("structure_square_known", "a known thing, recognised in the very square that was drawn"),
    Bar("structure_square_unseen", "  an unseen thing by reference"),
    Bar("structure_without", "the same without the sketch: it stands there"),
    Bar("structure_true", "the true scenes themselves: recognised there"),
)


@dataclass(frozen=True)
class Stood:
    """Of each thing: whether it stands where it was drawn, is recognised there, and in the very square that was drawn."""

    there: tuple[bool, ...]
    named: tuple[bool, ...]
    square: tuple[bool, ...]


def measure_structure(bench: Workbench, prompts: int) -> dict[str, Figure]:
    """Half of the prompts name known things, half one that a reference shows; a fifth more are drawn unsteadily."""
    half = max(1, prompts // 2)
    known, unseen = sketched(half, False, STEADY, 0), sketched(half, True, STEADY, 1)
    hand = sketched(max(1, prompts // 5), False, UNSTEADY, 2)
    drawn = [_stood(bench, case, image) for case, image in bench.along("sketch, known", known)]
    shown = [_stood(bench, case, image) for case, image in bench.along("sketch, unseen by reference", unseen)]
    byhand = [_stood(bench, case, image) for case, image in bench.along("unsteady sketch, known", hand)]
    free = [_stood(bench, case, image) for case, image in bench.along("no sketch", known, without=True)]
    true = [_stood(bench, case, case.truth) for case in (*known, *unseen)]
    told = {
        "structure_place": [flag for stood in (*drawn, *shown) for flag in stood.there],
        "structure_known": [flag for stood in drawn for flag in stood.named],
        "structure_unseen": _of_the_shown(unseen, [stood.named for stood in shown]),
        "structure_square_known": [flag for stood in drawn for flag in stood.square],
        "structure_square_unseen": _of_the_shown(unseen, [stood.square for stood in shown]),
        "structure_hand_place": [flag for stood in byhand for flag in stood.there],
        "structure_hand_known": [flag for stood in byhand for flag in stood.named],
        "structure_without": [flag for stood in free for flag in stood.there],
        "structure_true": [flag for stood in true for flag in stood.named],
    }  # fmt: skip
    return {key: Figure(sum(flags) / len(flags), len(flags)) for key, flags in told.items()}


def _of_the_shown(cases: Sequence[Sketched], flags: Sequence[tuple[bool, ...]]) -> list[bool]:
    """Of the things that a reference shows."""
    return [each[case.shown] for case, each in zip(cases, flags, strict=True) if case.shown is not None]


def _stood(bench: Workbench, case: Sketched, image: Image.Image) -> Stood:
    there, named, very = [], [], []
    wanted, got = boxes(case.truth, case.where), boxes(image, case.where)
    for place, name, one, other in zip(case.where, case.things, wanted, got, strict=True):
        now = moved(place, one, other) if one and other and overlap(one, other) >= THERE else None
        there.append(now is not None)
        named.append(now is not None and recognised(image, now, name, bench.judge))
        very.append(recognised(image, square(place), name, bench.judge))
    return Stood(tuple(there), tuple(named), tuple(very))
