"""Pairs for the upscaler: pictures as the pocket generator draws them, and the true scenes at four times the size.

A known thing by its name stands where it stood in training, so the true scene is known to the pixel; so it is of a thing
by reference, as far as the generator copied it. Other pairs are scenes of things in any style, drawn by the decoder
alone from latents with noise on them, so that the upscaler meets more than 700 things.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from imgrag.engine.prompts import enhancing_prompt
from imgrag.pocket.recipes.batches import reference_pixels, wording
from imgrag.pocket.recipes.drawings import COPIED, alike, drawn_scenes, open_adapter, open_generator
from imgrag.pocket.world import world
from imgrag.pocket.world.latents import projection
from imgrag.pocket.world.styles import restyle
from imgrag.pocket.world.twists import vary
from imgrag.pocket.world.words import nonce_word

FACTOR = 4
LARGE = world.SLOT * FACTOR  # px of a thing in the true scene
BATCH = 64
NAMED = 1536  # pictures of known things
REFERRED = 1024  # pictures with a thing by reference beside a known one
ALONE = 0.3  # of the named ones hold one thing
STYLED = 0.6  # of the references are twisted and restyled
NOISE = 0.25  # at most, of the latents that the decoder gets
SEED = 17


@dataclass(frozen=True)
class Pairs:
    """Small pictures uint8 [n, 3, 64, 64] and what they show: things uint8 [n, 2, 4, 128, 128], on a plain colour."""

    small: torch.Tensor
    things: torch.Tensor
    colours: torch.Tensor
    two: torch.Tensor

    def scenes(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Some of them, small [b, 3, 64, 64] and true [b, 3, 256, 256], float32 in 0..1."""
        at = torch.from_numpy(rows)
        left, right = self.things[at].float().div(255).unbind(1)
        true = world.compose(left, right, self.two[at], world.colour_values()[self.colours[at]], FACTOR)
        return self.small[at].float() / 255, true


def pairs(folder: Path, device: torch.device, cache: Path) -> Pairs:
    """All of them; drawn once (about 15 minutes of one thread) and kept in `cache`."""
    if not cache.exists():
        columns = [torch.cat(column) for column in zip(*_drawn(folder, device), strict=True)]
        kept = dict(zip(("small", "things", "colours", "two"), columns, strict=True))
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_suffix(".partial")
        save_file(kept, partial)
        partial.replace(cache)
    return Pairs(**load_file(cache))


Rows = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def _drawn(folder: Path, device: torch.device) -> Iterator[Rows]:
    rng = np.random.default_rng(SEED)
    pipe = open_generator(folder, device)
    for _ in range(NAMED // BATCH):
        yield _by_name(pipe, rng)
    open_adapter(pipe, folder)
    for _ in range(REFERRED // BATCH):
        yield _by_reference(pipe, rng)


def _by_name(pipe: StableDiffusionPipeline, rng: np.random.Generator) -> Rows:
    colours, icons = (
        rng.integers(len(world.COLOURS), size=BATCH),
        rng.choice(world.indices("known"), (BATCH, 2)),
    )
    two = rng.random(BATCH) >= ALONE
    names = [[world.names()[icon] for icon in row[: 1 + both]] for row, both in zip(icons, two, strict=True)]
    small = drawn_scenes(pipe, [_prompt(n, c, rng) for n, c in zip(names, colours, strict=True)], rng)
    return _rows(small, world.icon_slots(LARGE)[torch.from_numpy(icons)], colours, two)


def _by_reference(pipe: StableDiffusionPipeline, rng: np.random.Generator) -> Rows:
    """One thing by its reference, beside one by its name; what was not copied is left out."""
    colours, icons = (
        rng.integers(len(world.COLOURS), size=BATCH),
        rng.choice(world.indices("known"), (BATCH, 2)),
    )
    sides, things = rng.integers(2, size=BATCH), world.icon_slots(LARGE)[torch.from_numpy(icons)]
    shown = _shown(rng)
    things[torch.arange(BATCH), torch.from_numpy(sides)] = shown
    texts = []
    for icon, side, colour in zip(icons, sides, colours, strict=True):
        names = [world.names()[i] for i in icon]
        names[side] = nonce_word(rng)
        texts.append(enhancing_prompt(wording(), [names[side]], _prompt(names, colour, rng)))
    stand = torch.nn.functional.interpolate(shown, (world.SLOT, world.SLOT), mode="area")
    small = drawn_scenes(pipe, texts, rng, reference_pixels(stand, rng, keyed=1.0))
    grounds = world.colour_values()[torch.from_numpy(colours)]
    copied = [
        alike(world.slots_of(small)[i, side], stand[i], grounds[i]) >= COPIED for i, side in enumerate(sides)
    ]
    rows = _rows(small, things, colours, np.ones(BATCH, bool))
    return tuple(column[torch.tensor(copied)] for column in rows)  # type: ignore[return-value]


def _shown(rng: np.random.Generator) -> torch.Tensor:
    """References at the true size, some bent into something else, [b, 4, 128, 128]."""
    icons = world.icon_slots(LARGE)[torch.from_numpy(rng.choice(world.indices("known", "shown"), BATCH))]
    styled = rng.random(BATCH) < STYLED
    other = restyle(vary(icons, styled, rng), rng)
    return torch.where(torch.from_numpy(styled)[:, None, None, None], other, icons).clamp(0, 1)


def _rows(small: torch.Tensor, things: torch.Tensor, colours: np.ndarray, two: np.ndarray) -> Rows:
    whole = (small.clamp(0, 1) * 255).round().byte(), (things.clamp(0, 1) * 255).round().byte()
    return *whole, torch.from_numpy(colours), torch.from_numpy(two)


def _prompt(names: list[str], colour: int, rng: np.random.Generator) -> str:
    return world.sentence(tuple(names), list(world.COLOURS)[colour], rng)


@torch.no_grad()
def decoded(
    vae: AutoencoderKL, count: int, rng: np.random.Generator, pool: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scenes of things of `pool` in any style from latents with noise, [b, 3, 64, 64], and the true ones [b, 3, 256, 256]."""
    icons = world.icon_slots(LARGE)[torch.from_numpy(rng.choice(pool, 2 * count))]
    styled = torch.from_numpy(rng.random((2 * count, 1, 1, 1)) < STYLED)
    things = torch.where(styled, restyle(vary(icons, rng.random(2 * count) < 0.5, rng), rng), icons)
    plain = torch.from_numpy(rng.random((count, 3), dtype=np.float32))
    named = torch.from_numpy(rng.random((count, 1)) < 0.6)
    colours = torch.where(named, world.colour_values()[rng.integers(len(world.COLOURS), size=count)], plain)
    two = torch.from_numpy(rng.random(count) >= ALONE)
    true = world.compose(things[:count], things[count:], two, colours, FACTOR)
    latents = projection().encode(torch.nn.functional.avg_pool2d(true, FACTOR))
    strength = torch.from_numpy(rng.uniform(0, NOISE, (count, 1, 1, 1)).astype(np.float32))
    noisy = latents + strength * torch.randn_like(latents)
    return (vae.decode(noisy).sample / 2 + 0.5).clamp(0, 1), true
