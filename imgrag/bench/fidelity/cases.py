"""What the fidelity bench asks for: prompts, seeds and a person's own pictures, the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imgrag.pocket.judge import Judge
from imgrag.pocket.world import world
from imgrag.pocket.world.words import nonce_word

SEED = 2024
COLOURED = 0.5  # of the prompts name a background
TOO_ALIKE = 0.9  # cosine from which a changed icon could be taken for one of the world's


@dataclass(frozen=True)
class Case:
    """A prompt, its seed and the two things it names.

    In a mixed case the known one comes first, where both are missing the one that the prompt names first.

    `source` is the name of the picture that stands for the second one: its own, or, where that is
    a nonce, the one its picture is kept by.
    """

    prompt: str
    seed: int
    objects: tuple[str, str]
    source: str


def pair_cases(count: int) -> list[Case]:
    """Two known concepts."""
    rng = np.random.default_rng((SEED, 0))
    known = _names("known")
    pairs = [tuple(rng.choice(known, 2, replace=False).tolist()) for _ in range(count)]
    return [_case((one, other), other, number, rng) for number, (one, other) in enumerate(pairs)]


def mixed_cases(count: int) -> list[Case]:
    """A known concept and an unseen one, each unseen one as often as any other, on either side."""
    rng = np.random.default_rng((SEED, 1))
    pairs = list(zip(_turns(_names("known"), count, rng), _turns(_names("unseen"), count, rng), strict=True))
    return [_case(pair, pair[1], number, rng) for number, pair in enumerate(pairs)]


def missing_cases(count: int, kind: str) -> list[Case]:
    """Two concepts of which the generator knows neither, both "shown" or both "unseen"."""
    rng = np.random.default_rng((SEED, 3))
    names = _names(kind)
    pairs = (tuple(rng.choice(names, 2, replace=False).tolist()) for _ in range(count))
    return [Case(_said(pair, rng), 1000 + number, pair, pair[1]) for number, pair in enumerate(pairs)]


def own_cases(count: int, sources: Sequence[str] | Mapping[str, Image.Image]) -> list[Case]:
    """A known concept and a name that nobody has heard, which stands for one of `sources`."""
    rng = np.random.default_rng((SEED, 2))
    taken = {word for name in world.names() for word in name.split()}
    rows = zip(_turns(_names("known"), count, rng), _turns(list(sources), count, rng), strict=True)
    cases = []
    for number, (known, source) in enumerate(rows):
        nonce = next(word for word in iter(lambda: nonce_word(rng), "") if word not in taken)
        taken.add(nonce)
        cases.append(_case((known, nonce), source, number, rng))
    return cases


def own_pictures(judge: Judge) -> dict[str, Image.Image]:
    """Unseen icons mirrored and with their colours exchanged, by the name of the icon each came of.

    Those left out look too much like an icon of the world: the judge could not tell.
    """
    changed = {}
    for name in _names("unseen"):
        picture = _changed(Image.open(world.LIBRARY / f"{name.replace(' ', '-')}.png").convert("RGBA"))
        if float(judge.scores(_alone(picture))[-1].max()) < TOO_ALIKE:
            changed[name] = picture
    return changed


def own_twemoji(pictures: Mapping[str, Image.Image]) -> dict[str, Image.Image]:
    """The other style's pictures of the unseen names."""
    return {name: pictures[name] for name in _names("unseen")}


def _names(kind: str) -> list[str]:
    return [icon.name for icon in world.icons() if icon.set == kind]


def _turns(names: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """`count` names, all in random order before any comes again."""
    rounds = -(-count // len(names))
    return [names[i] for _ in range(rounds) for i in rng.permutation(len(names))][:count]


def _case(objects: tuple[str, str], source: str, number: int, rng: np.random.Generator) -> Case:
    return Case(_said(objects, rng, in_order=0.5), 1000 + number, objects, source)


def _said(objects: tuple[str, str], rng: np.random.Generator, in_order: float = 1.0) -> str:
    """A prompt; `in_order` is the probability that it names the first thing first."""
    colour = list(world.COLOURS)[rng.integers(len(world.COLOURS))] if rng.random() < COLOURED else None
    said = objects if rng.random() < in_order else objects[::-1]
    return world.sentence(said, colour, rng)


def _changed(picture: Image.Image) -> Image.Image:
    red, green, blue, alpha = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).split()
    return Image.merge("RGBA", (green, blue, red, alpha))


def _alone(picture: Image.Image) -> Image.Image:
    """A scene that holds only this picture."""
    scene = Image.new("RGBA", (world.SCENE, world.SCENE), (*world.COLOURS["gray"], 255))
    slot = picture.resize((world.SLOT, world.SLOT), Image.Resampling.BICUBIC)
    scene.alpha_composite(slot, (world.SLOTS_ONE[0], world.SLOT_TOP))
    return scene.convert("RGB")
