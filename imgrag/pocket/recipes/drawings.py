"""Objects as the pocket generator itself draws them, for the VLM's last terms.

Every picture holds two objects whose nature is known by construction: a known concept drawn by
name, the smear of a word the generator does not know, or what a reference picture shows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from imgrag.engine.prompts import enhancing_prompt
from imgrag.pocket.recipes.batches import reference_pixels, wording
from imgrag.pocket.recipes.judging import VIEW, Copy, Studio, to_slot
from imgrag.pocket.world import world
from imgrag.pocket.world.styles import restyle
from imgrag.pocket.world.twists import draw_twist
from imgrag.pocket.world.words import nonce_word

PICTURES = 576
REFERRED = 576  # pictures with a reference
STYLED = 0.6  # of the references are twisted and restyled
COPIED = 0.6  # cosine from which a drawn slot holds what its reference shows
PICKED = 0.5  # of the icons of a lesson are such as the bank holds on the lesson's background
BATCH = 64
STEPS = 16
GUIDANCE = 2.0
SEED = 5


@dataclass(frozen=True)
class Drawn:
    """One slot cut out of a drawn picture, [3, 32, 32] in 0..1.

    `icon` is -1 for a smear and `STRANGE` for what has no name; `reference` is [4, 112, 112].
    """

    icon: int
    colour: int
    pixels: torch.Tensor
    reference: torch.Tensor | None = None


SMEAR, STRANGE = -1, -2


class Drawings(Studio):
    """Slots from the bank; an icon the bank lacks on that background comes clean."""

    def __init__(self, bank: list[Drawn]) -> None:
        self._bank: dict[tuple[int, int], list[torch.Tensor]] = defaultdict(list)
        self._icons: dict[int, list[int]] = defaultdict(list)
        self._copies: dict[int, list[Copy]] = defaultdict(list)
        for drawn in bank:
            slot = torch.cat([drawn.pixels, torch.ones(1, *drawn.pixels.shape[1:])])
            if drawn.reference is not None:
                self._copies[drawn.colour].append(Copy(drawn.reference, slot))
            self._bank[drawn.icon, drawn.colour].append(slot)
            if drawn.icon >= 0:
                self._icons[drawn.colour].append(drawn.icon)

    def pick(self, colour: int, rng: np.random.Generator) -> int:
        drawn = self._icons[colour]
        if drawn and rng.random() < PICKED:
            return drawn[rng.integers(len(drawn))]
        return super().pick(colour, rng)

    def copy(self, colour: int, rng: np.random.Generator) -> Copy | None:
        copies = self._copies[colour]
        return copies[rng.integers(len(copies))] if copies and rng.random() < PICKED else None

    def icon(self, icon: int, colour: int, rng: np.random.Generator) -> torch.Tensor:
        found = self._bank.get((icon, colour))
        return found[rng.integers(len(found))] if found else super().icon(icon, colour, rng)

    def odd(self, colour: int, rng: np.random.Generator) -> torch.Tensor:
        found = self._bank.get((STRANGE, colour))
        if found and rng.random() < PICKED:
            return found[rng.integers(len(found))]
        return super().odd(colour, rng)

    def smear(self, colour: int, rng: np.random.Generator) -> torch.Tensor:
        found = self._bank.get((SMEAR, colour))
        return found[rng.integers(len(found))] if found else super().smear(colour, rng)


def draw_bank(folder: Path, device: torch.device, pictures: int = PICTURES) -> list[Drawn]:
    """Draw pictures with the generator in `folder` and cut their slots out."""
    pipe = open_generator(folder, device)
    rng = np.random.default_rng(SEED)
    return [drawn for _ in range(pictures // BATCH) for drawn in _draw(pipe, rng)]


def draw_copies(
    folder: Path, device: torch.device, pictures: int = REFERRED, seed: int = SEED
) -> list[Drawn]:
    """Likewise with the adapter in `folder`, one reference a picture; what it did not copy is left out."""
    pipe = open_generator(folder, device)
    open_adapter(pipe, folder)
    rng = np.random.default_rng((seed, 1))
    return [drawn for _ in range(pictures // BATCH) for drawn in _draw_copies(pipe, rng)]


def open_generator(folder: Path, device: torch.device) -> StableDiffusionPipeline:
    """The pipeline in `folder`, in float32."""
    pipe = StableDiffusionPipeline.from_pretrained(folder / "generator", torch_dtype=torch.float32).to(device)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def open_adapter(pipe: StableDiffusionPipeline, folder: Path) -> None:
    """Attach the adapter in `folder` to it."""
    pipe.load_ip_adapter(
        str(folder / "adapter"),
        subfolder="",
        weight_name="ip-adapter.safetensors",
        image_encoder_folder="image_encoder",
    )


def _draw(pipe: StableDiffusionPipeline, rng: np.random.Generator) -> list[Drawn]:
    colours = rng.integers(len(world.COLOURS), size=BATCH)
    icons = rng.choice(world.indices("known"), (BATCH, 2))
    icons[rng.random((BATCH, 2)) < 0.4] = SMEAR
    texts = [_prompt(_names(icons[i], rng), int(colours[i]), rng) for i in range(BATCH)]
    slots = world.slots_of(drawn_scenes(pipe, texts, rng))
    return [
        Drawn(int(icons[i, side]), int(colours[i]), slots[i][side]) for i in range(BATCH) for side in (0, 1)
    ]


def _draw_copies(pipe: StableDiffusionPipeline, rng: np.random.Generator) -> list[Drawn]:
    """One thing by its reference, beside one by its name or a smear."""
    colours = rng.integers(len(world.COLOURS), size=BATCH)
    icons = rng.choice(world.indices("known"), (BATCH, 2))
    icons[rng.random((BATCH, 2)) < 0.4] = SMEAR
    sides = rng.integers(2, size=BATCH)
    shown, references = _references(rng)
    texts = []
    for i in range(BATCH):
        names = _names(icons[i], rng)
        names[sides[i]] = nonce_word(rng)
        icons[i, sides[i]] = shown[i]
        texts.append(enhancing_prompt(wording(), [names[sides[i]]], _prompt(names, int(colours[i]), rng)))
    stand = torch.stack([to_slot(reference) for reference in references])
    pixels = reference_pixels(stand, rng, keyed=1.0)
    slots, grounds = world.slots_of(drawn_scenes(pipe, texts, rng, pixels)), world.colour_values()[colours]
    drawn = []
    for i in range(BATCH):
        for side in (0, 1):
            copied = side == sides[i]
            if not copied or alike(slots[i][side], stand[i], grounds[i]) >= COPIED:
                reference = references[i] if copied else None
                drawn.append(Drawn(int(icons[i, side]), int(colours[i]), slots[i][side], reference))
    return drawn


def _references(rng: np.random.Generator) -> tuple[np.ndarray, torch.Tensor]:
    """Which icon each shows, `STRANGE` where it is bent into something else, and they, [b, 4, 112, 112]."""
    shown = rng.choice(len(world.names()), BATCH)
    references = world.icon_slots(VIEW)[torch.from_numpy(shown)]
    styled = rng.random(BATCH) < STYLED
    twisted = torch.stack([draw_twist(rng)(reference) for reference in references])
    other = torch.from_numpy(styled)[:, None, None, None]
    return np.where(styled, STRANGE, shown), torch.where(other, restyle(twisted, rng), references)


def alike(slot: torch.Tensor, icon: torch.Tensor, ground: torch.Tensor) -> float:
    """Cosine of a drawn slot [3, 32, 32] and of an icon [4, 32, 32], both less the background [3]."""
    wanted = world.over(icon[None], ground[None])[0]
    one, other = ((picture - ground[:, None, None]).flatten() for picture in (slot, wanted))
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def drawn_scenes(
    pipe: StableDiffusionPipeline,
    texts: list[str],
    rng: np.random.Generator,
    references: torch.Tensor | None = None,
) -> torch.Tensor:
    """A drawing of each text, by a reference each [b, 3, 32, 32] or without; [b, 3, 64, 64] in 0..1."""
    seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
    if references is not None:  # diffusers itself would take the same ones for all rows
        images = references.to(pipe.device)
        seen, unseen = pipe.encode_image(images, pipe.device, 1, output_hidden_states=True)
        both = torch.cat([unseen, seen])[:, None]
        pipe.prepare_ip_adapter_image_embeds = lambda *_: [both]
    drawn = pipe(
        texts,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=seed,
        ip_adapter_image=references,
        output_type="pt",
    )
    return drawn.images.cpu().float()


def _names(icons: np.ndarray, rng: np.random.Generator) -> list[str]:
    return [nonce_word(rng) if icon < 0 else world.names()[icon] for icon in icons]


def _prompt(names: list[str], colour: int, rng: np.random.Generator) -> str:
    return world.sentence(tuple(names), list(world.COLOURS)[colour], rng)
