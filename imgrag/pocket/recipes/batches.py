"""What the generator and its adapter learn from: scenes, prompts and reference pictures, made as they go.

References stand mostly on a colour that nothing has: on white, a white thing has no outline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from PIL import ImageColor

from imgrag.engine.prompts import enhancing_prompt
from imgrag.models.profile import load_profile
from imgrag.pocket.recipes.inventions import gather, invent
from imgrag.pocket.world import world
from imgrag.pocket.world.latents import PATCH, projection
from imgrag.pocket.world.pixels import normalise
from imgrag.pocket.world.twists import vary
from imgrag.pocket.world.words import nonce_word

BATCH = 64
KINDS = ("text", "one", "pair")  # batches without a reference, with one, with two
USUAL_CONTRAST = 0.03  # variance of a slot's pixels
WEIGHTS = (0.6, 3.5)


@dataclass(frozen=True)
class Mix:
    """What a term learns from.

    Attributes:
        shares: of the `KINDS` of batches.
        invented: of the references, the share that `invent` makes.
        gathered: of the references, the share that other hands drew.
        keyed: of the references, the share that stands on the profile's own ground.
        evened: faint things count as much as strong ones.
    """

    shares: tuple[float, float, float]
    invented: float = 0.0
    gathered: float = 0.0
    keyed: float = 0.0
    evened: bool = False


@dataclass(frozen=True)
class Batch:
    """Inputs of one step: latents [b, 32, 8, 8], prompts, reference pixels [b, n, 3, 32, 32].

    `weights` [b, 1, 8, 8] says how much each place counts.
    """

    latents: torch.Tensor
    prompts: list[str]
    references: torch.Tensor | None
    weights: torch.Tensor


@cache
def wording() -> str:
    """How the pocket profile words the second generation."""
    return load_profile("pocket").generator.enhancing_prompt


@cache
def ground() -> torch.Tensor:
    """What transparent references stand on in the pocket profile, float32 [3] in 0..1."""
    return torch.tensor(ImageColor.getrgb(load_profile("pocket").adapter.background)[:3]) / 255


def sample(rng: np.random.Generator, mix: Mix, count: int = BATCH) -> Batch:
    """One batch of a kind drawn by the mix's shares: text alone, one reference, or two references."""
    kind = rng.choice(KINDS, p=mix.shares)
    known, shown = world.indices("known"), world.indices("shown")
    chosen = rng.choice(known, (count, 2))
    referred = np.zeros((count, 2), bool)
    two = rng.random(count) < 0.85
    if kind == "text":
        unnamed = two & (rng.random(count) < 0.12)
        chosen[unnamed, rng.integers(2, size=int(unnamed.sum()))] = rng.choice(shown, int(unnamed.sum()))
    elif kind == "one":
        place = np.where(two, rng.integers(2, size=count), 0)
        referred[np.arange(count), place] = True
        other = rng.random(count) < 0.05
        chosen[other, 1 - place[other]] = rng.choice(shown, int(other.sum()))
    else:
        two[:] = True
        referred[:] = True
    fresh = referred & (rng.random((count, 2)) < 0.78)
    chosen[fresh] = rng.choice(shown, int(fresh.sum()))
    slots = [
        vary(world.icon_slots()[chosen[:, i]], referred[:, i] & (rng.random(count) < 0.6), rng)
        for i in (0, 1)
    ]
    luck = rng.random((count, 2)) if mix.invented or mix.gathered else np.ones((count, 2))
    _put(slots, referred & (luck < mix.invented), invent, rng)
    _put(slots, referred & (luck > 1 - mix.gathered), gather, rng)
    colour = rng.integers(len(world.COLOURS), size=count)
    plain = world.colour_values()[colour]
    scenes = world.compose(slots[0], slots[1], torch.from_numpy(two), plain)
    prompts = prompts_of(chosen, referred, two, colour, rng)
    references = _references(kind, slots, referred, rng, mix.keyed)
    dropped(prompts, references, rng)
    weights = (
        contrast_weights(slots, torch.from_numpy(two), plain) if mix.evened else torch.ones(count, 1, 8, 8)
    )
    return Batch(projection().encode(scenes), prompts, references, weights)


def _put(
    slots: list[torch.Tensor],
    which: np.ndarray,
    made: Callable[[int, np.random.Generator], torch.Tensor],
    rng: np.random.Generator,
) -> None:
    """In place; `which` is [b, 2]. Their names are no matter: those of shown icons are `<unk>` too."""
    for i, pictures in enumerate(slots):
        rows = which[:, i].nonzero()[0]
        if len(rows):
            pictures[torch.from_numpy(rows)] = made(len(rows), rng)


def reference_pixels(slots: torch.Tensor, rng: np.random.Generator, keyed: float = 0.0) -> torch.Tensor:
    """References [b, 3, 32, 32] as CLIP's processor gives them: on the profile's ground, or mostly on white."""
    count = len(slots)
    plain = torch.ones(count, 3)
    coloured = rng.random(count) < 0.15
    plain[coloured] = torch.from_numpy(rng.random((int(coloured.sum()), 3), dtype=np.float32))
    if keyed:
        plain[torch.from_numpy(rng.random(count) < keyed)] = ground()
    return normalise(world.over(slots, plain))


def contrast_weights(slots: list[torch.Tensor], two: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
    """How much each place of the latents counts, [b, 1, 8, 8]: the less a thing stands out, the more.

    A grey thing on grey is small in squared error and as much to a person as any other.
    """
    stamps = []
    for slot in slots:
        seen = world.over(slot, plain)
        contrast = seen.var(dim=(2, 3)).mean(1)
        weight = (USUAL_CONTRAST / contrast).clamp(*WEIGHTS)
        stamps.append(
            torch.cat([weight[:, None, None, None].expand_as(slot[:, :3]), torch.ones_like(slot[:, 3:])], 1)
        )
    placed = world.compose(stamps[0], stamps[1], two, torch.ones_like(plain))
    return placed[:, :1, ::PATCH, ::PATCH]


def prompts_of(
    chosen: np.ndarray, referred: np.ndarray, two: np.ndarray, colour: np.ndarray, rng: np.random.Generator
) -> list[str]:
    names, colours = world.names(), list(world.COLOURS)
    known = set(world.indices("known").tolist())
    prompts = []
    for row in range(len(chosen)):
        objects = [
            names[i] if i in known or rng.random() < 0.5 else nonce_word(rng)
            for i in chosen[row, : 2 if two[row] else 1]
        ]
        text = world.sentence(tuple(objects), colours[colour[row]] if rng.random() < 0.5 else None, rng)
        concepts = [name for name, shown in zip(objects, referred[row], strict=False) if shown]
        if concepts and rng.random() < 0.75:
            text = enhancing_prompt(wording(), concepts, text)
        prompts.append(text)
    return prompts


def _references(
    kind: str, slots: list[torch.Tensor], referred: np.ndarray, rng: np.random.Generator, keyed: float
) -> torch.Tensor | None:
    if kind == "text":
        return None
    if kind == "one":
        second = torch.from_numpy(referred[:, 1])[:, None, None, None]
        return reference_pixels(torch.where(second, slots[1], slots[0]), rng, keyed)[:, None]
    pair = torch.stack([reference_pixels(slot, rng, keyed) for slot in slots], dim=1)
    swapped = torch.from_numpy(rng.random(len(pair)) < 0.5)
    pair[swapped] = pair[swapped].flip(1)
    return pair


def dropped(prompts: list[str], references: torch.Tensor | None, rng: np.random.Generator) -> None:
    """Leave out conditions, for guidance: diffusers encodes a black tensor where there is none."""
    luck = rng.random(len(prompts))
    for row in (luck < 0.12).nonzero()[0]:
        prompts[row] = ""
    if references is not None:
        references[torch.from_numpy((luck < 0.09) | (luck > 0.97))] = 0
