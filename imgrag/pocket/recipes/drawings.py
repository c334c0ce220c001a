"""Objects as the pocket generator itself draws them, for the VLM's last term.

Every picture holds two objects whose nature is known by construction: a known concept drawn by
name, or the smear of a word the generator does not know.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from imgrag.pocket.recipes.judging import Studio
from imgrag.pocket.world import world
from imgrag.pocket.world.words import nonce_word

PICTURES = 576
BATCH = 64
STEPS = 16
GUIDANCE = 2.0
SEED = 5


@dataclass(frozen=True)
class Drawn:
    """One slot cut out of a drawn picture, [3, 32, 32] in 0..1. `icon` is -1 for a smear."""

    icon: int
    colour: int
    pixels: torch.Tensor


class Drawings(Studio):
    """Slots from the bank; an icon the bank lacks on that background comes clean."""

    def __init__(self, bank: list[Drawn]) -> None:
        self._bank: dict[tuple[int, int], list[torch.Tensor]] = defaultdict(list)
        for drawn in bank:
            opaque = torch.ones(1, *drawn.pixels.shape[1:])
            self._bank[drawn.icon, drawn.colour].append(torch.cat([drawn.pixels, opaque]))

    def icon(self, icon: int, colour: int, rng: np.random.Generator) -> torch.Tensor:
        found = self._bank.get((icon, colour))
        return found[rng.integers(len(found))] if found else super().icon(icon, colour, rng)

    def smear(self, colour: int, rng: np.random.Generator) -> torch.Tensor:
        found = self._bank.get((-1, colour))
        return found[rng.integers(len(found))] if found else super().smear(colour, rng)


def draw_bank(folder: Path, device: torch.device, pictures: int = PICTURES) -> list[Drawn]:
    """Draw pictures with the generator in `folder` and cut their slots out."""
    pipe = StableDiffusionPipeline.from_pretrained(folder / "generator", torch_dtype=torch.float32).to(device)
    pipe.set_progress_bar_config(disable=True)
    rng = np.random.default_rng(SEED)
    return [drawn for _ in range(pictures // BATCH) for drawn in _draw(pipe, rng)]


def _draw(pipe: StableDiffusionPipeline, rng: np.random.Generator) -> list[Drawn]:
    colours = rng.integers(len(world.COLOURS), size=BATCH)
    icons = rng.choice(world.indices("known"), (BATCH, 2))
    icons[rng.random((BATCH, 2)) < 0.4] = -1
    texts = [_prompt(icons[i], int(colours[i]), rng) for i in range(BATCH)]
    seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
    drawn = pipe(texts, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=seed, output_type="pt")
    scenes = drawn.images.cpu().float()
    rows = slice(world.SLOT_TOP, world.SLOT_TOP + world.SLOT)
    return [
        Drawn(int(icons[i, side]), int(colours[i]), scenes[i, :, rows, x : x + world.SLOT].clone())
        for i in range(BATCH)
        for side, x in enumerate(world.SLOTS_TWO)
    ]


def _prompt(icons: np.ndarray, colour: int, rng: np.random.Generator) -> str:
    objects = [nonce_word(rng) if icon < 0 else world.names()[icon] for icon in icons]
    return world.sentence(tuple(objects), list(world.COLOURS)[colour], rng)
