"""Objects as the pocket generator itself draws them, for the VLM's last term.

Every picture holds two objects whose nature is known by construction: a known concept drawn by
name, any concept drawn from its reference, or the smear of a word the generator does not know.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from imgrag import prompts
from imgrag.pocket import world
from imgrag.pocket.generator import ENHANCING, normalise
from imgrag.pocket.judging import Studio
from imgrag.pocket.words import nonce_word

PICTURES = 1536
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
    """Draw pictures with the checkpoints in `folder` and cut their slots out."""
    pipe = StableDiffusionPipeline.from_pretrained(folder / "generator", torch_dtype=torch.float32).to(device)
    pipe.set_progress_bar_config(disable=True)
    rng = np.random.default_rng(SEED)
    bank = []
    for _ in range(pictures // BATCH // 3):
        bank += _draw(pipe, rng, referred=False, device=device)
    pipe.load_ip_adapter(
        str(folder / "adapter"), subfolder="", weight_name="ip-adapter.safetensors", image_encoder_folder="image_encoder"
    )
    for _ in range(pictures // BATCH * 2 // 3):
        bank += _draw(pipe, rng, referred=True, device=device)
    return bank


def _draw(
    pipe: StableDiffusionPipeline, rng: np.random.Generator, referred: bool, device: torch.device
) -> list[Drawn]:
    known = world.indices("known")
    colours = rng.integers(len(world.COLOURS), size=BATCH)
    icons = rng.choice(known, (BATCH, 2))
    place = rng.integers(2, size=BATCH)
    rows = np.arange(BATCH)
    icons[rows, place] = rng.integers(len(world.names()), size=BATCH)
    texts = [_prompt(icons[i], int(place[i]), int(colours[i]), referred, rng) for i in rows]
    extra = {}
    if referred:
        extra["ip_adapter_image_embeds"] = [_embeds(pipe, icons[rows, place], device)]
    else:
        icons[rows, place] = -1
    seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
    images = pipe(texts, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=seed, output_type="pt", **extra)
    scenes = images.images.cpu().float()
    top = slice(world.SLOT_TOP, world.SLOT_TOP + world.SLOT)
    return [
        Drawn(int(icons[i, side]), int(colours[i]), scenes[i, :, top, x : x + world.SLOT].clone())
        for i in rows
        for side, x in enumerate(world.SLOTS_TWO)
    ]


def _prompt(icons: np.ndarray, place: int, colour: int, referred: bool, rng: np.random.Generator) -> str:
    objects = [world.names()[i] for i in icons]
    if not referred or rng.random() < 0.5:
        objects[place] = nonce_word(rng)
    text = world.sentence(tuple(objects), list(world.COLOURS)[colour], rng)
    return prompts.enhancing_prompt(ENHANCING, [objects[place]], text) if referred else text


def _embeds(pipe: StableDiffusionPipeline, icons: np.ndarray, device: torch.device) -> torch.Tensor:
    """One reference a row, [2 * b, 1, 17, 192]: the unconditional half first."""
    pixels = normalise(world.over(world.icon_slots()[icons], torch.ones(len(icons), 3))).to(device)
    both = torch.cat([torch.zeros_like(pixels), pixels])
    with torch.no_grad():
        return pipe.image_encoder(both, output_hidden_states=True).hidden_states[-2][:, None]
