"""What the structure rows ask for: prompts and sketches of true scenes, the same every time.

Sizes and places are such as no lesson of the ControlNet had.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps

from imgrag.pocket.world import world
from imgrag.pocket.world.placing import FINE, Place, is_held_out, layer, places, sketches

SEED = 2025
PEN = 4  # times a scene's px, at which a sketch is given


@dataclass(frozen=True)
class Sketched:
    """A prompt and its sketch.

    Attributes:
        things: as the prompt names them, and `where` each is drawn.
        shown: which of them a reference shows, `None` for none.
        truth: the true scene.
        sketch: dark strokes on white, as a person gives it.
    """

    prompt: str
    seed: int
    things: tuple[str, ...]
    where: tuple[Place, ...]
    shown: int | None
    truth: Image.Image
    sketch: Image.Image


def sketched(count: int, by_reference: bool, jitter: float, term: int) -> list[Sketched]:
    """Prompts of one thing or two, by turns; with a reference one of them is unseen."""
    rng = np.random.default_rng((SEED, term))
    return [_case(number, number % 2 == 1, by_reference, jitter, rng) for number in range(count)]


def _case(number: int, two: bool, by_reference: bool, jitter: float, rng: np.random.Generator) -> Sketched:
    rows = rng.choice(world.indices("known"), 2 if two else 1, replace=False)
    shown = int(rng.integers(len(rows))) if by_reference else None
    if shown is not None:
        rows[shown] = rng.choice(world.indices("unseen"))
    where = places(rng, two, is_held_out)
    colour = int(rng.integers(len(world.COLOURS)))
    pictures = world.icon_slots(2 * world.SLOT)[rows]
    truth = world.over(layer(pictures, where).sum(0, keepdim=True), world.colour_values()[[colour]])
    lines = sketches(layer(pictures, where, FINE), rng, jitter).amax(0)
    things = tuple(world.names()[row] for row in rows)
    prompt = world.sentence(things, list(world.COLOURS)[colour], rng)
    return Sketched(prompt, 3000 + number, things, where, shown, world.to_image(truth[0]), _paper(lines))


def _paper(lines: torch.Tensor) -> Image.Image:
    """Lines [1, 64, 64] as dark strokes on white."""
    paper = ImageOps.invert(world.to_image(lines.expand(3, -1, -1)))
    return paper.resize((PEN * world.SCENE, PEN * world.SCENE), Image.Resampling.NEAREST)
