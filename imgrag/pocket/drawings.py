"""Objects as the pocket generator itself draws them, for the VLM's last term.

Every picture holds two objects whose nature is known by construction: a known concept drawn by
name, the smear of a word the generator does not know, or a copy of a reference in any style.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from imgrag.pocket import world
from imgrag.pocket.generator import ground, normalise, wording
from imgrag.pocket.judging import Copy, Hands, to_slot
from imgrag.pocket.words import nonce_word
from imgrag.prompts import enhancing_prompt

PICTURES = 576
BATCH = 64
STEPS = 16
GUIDANCE = 2.0
SEED = 5
CLEAN_COPIES = 0.3  # of the references, these stand in the scene as they are
ALIKE = 0.7  # correlation of a copy with what it should be


@dataclass(frozen=True)
class Drawn:
    """One slot cut out of a drawn picture, [3, 32, 32] in 0..1. `icon` is -1 for a smear."""

    icon: int
    colour: int
    pixels: torch.Tensor

    @property
    def slot(self) -> torch.Tensor:
        """Opaque, [4, 32, 32]: it brings its background along."""
        return torch.cat([self.pixels, torch.ones(1, *self.pixels.shape[1:])])


@dataclass(frozen=True)
class DrawnCopy:
    """A slot drawn after a reference [4, 112, 112]; `nameless` if that is no longer what its icon is."""

    drawn: Drawn
    reference: torch.Tensor
    nameless: bool


@dataclass(frozen=True)
class Bank:
    """What the generator drew by name, and what it copied."""

    named: Sequence[Drawn]
    copied: Sequence[DrawnCopy]


class Drawings(Hands):
    """Slots from the bank; an icon the bank lacks on that background comes clean."""

    def __init__(self, bank: Bank) -> None:
        self._named: dict[tuple[int, int], list[torch.Tensor]] = defaultdict(list)
        for drawn in bank.named:
            self._named[drawn.icon, drawn.colour].append(drawn.slot)
        self._copied: dict[tuple[int, bool], list[Copy]] = defaultdict(list)
        for copied in bank.copied:
            copy = Copy(copied.drawn.icon, copied.reference, copied.drawn.slot)
            self._copied[copied.drawn.colour, copied.nameless].append(copy)

    def icon(self, icon: int, colour: int, rng: np.random.Generator) -> torch.Tensor:
        found = self._named.get((icon, colour))
        return found[rng.integers(len(found))] if found else super().icon(icon, colour, rng)

    def smear(self, colour: int, rng: np.random.Generator) -> torch.Tensor:
        found = self._named.get((-1, colour))
        return found[rng.integers(len(found))] if found else super().smear(colour, rng)

    def copy(self, icon: int, colour: int, invented: bool, rng: np.random.Generator) -> Copy:
        found = self._copied.get((colour, invented))
        if not found or rng.random() < CLEAN_COPIES:
            return super().copy(icon, colour, invented, rng)
        return found[rng.integers(len(found))]


def draw_bank(folder: Path, device: torch.device, pictures: int = PICTURES) -> Bank:
    """Draw pictures with the generator in `folder`, half of them after references, and cut their slots out."""
    pipe = StableDiffusionPipeline.from_pretrained(folder / "generator", torch_dtype=torch.float32).to(device)
    pipe.set_progress_bar_config(disable=True)
    rng = np.random.default_rng(SEED)
    named = [drawn for _ in range(pictures // BATCH) for drawn in _draw(pipe, rng)]
    pipe.load_ip_adapter(
        str(folder / "adapter"), subfolder="", weight_name="ip-adapter.safetensors",
        image_encoder_folder="image_encoder", local_files_only=True,
    )  # fmt: skip
    copied = [copy for _ in range(pictures // BATCH) for copy in _draw_copies(pipe, rng)]
    return Bank(named, copied)


def _draw(pipe: StableDiffusionPipeline, rng: np.random.Generator) -> list[Drawn]:
    colours = rng.integers(len(world.COLOURS), size=BATCH)
    icons = rng.choice(world.indices("known"), (BATCH, 2))
    icons[rng.random((BATCH, 2)) < 0.4] = -1
    texts = [_prompt(icons[i], int(colours[i]), rng) for i in range(BATCH)]
    scenes = _scenes(pipe, texts, rng)
    return [
        Drawn(int(icons[i, side]), int(colours[i]), _slot(scenes[i], side))
        for i in range(BATCH)
        for side in range(2)
    ]


def _draw_copies(pipe: StableDiffusionPipeline, rng: np.random.Generator) -> list[DrawnCopy]:
    """A known thing beside a copied one in each picture; copies that came out unlike are left out."""
    colours = rng.integers(len(world.COLOURS), size=BATCH)
    known = rng.choice(world.indices("known"), BATCH)
    icons, sides = rng.integers(len(world.names()), size=BATCH), rng.integers(2, size=BATCH)
    nameless = rng.random(BATCH) < 0.5
    hands = Hands()
    references = torch.stack(
        [hands.copy(int(i), 0, bool(n), rng).reference for i, n in zip(icons, nameless, strict=True)]
    )
    texts = []
    for row in range(BATCH):
        name = nonce_word(rng) if nameless[row] else world.names()[icons[row]]
        objects = [world.names()[known[row]], name]
        text = world.sentence(
            tuple(objects if sides[row] else objects[::-1]), list(world.COLOURS)[colours[row]], rng
        )
        texts.append(enhancing_prompt(wording(), [name], text))
    scenes = _scenes(pipe, texts, rng, _embeds(pipe, references))
    wanted = world.over(torch.stack([to_slot(r) for r in references]), world.colour_values()[colours])
    copies = []
    for row in range(BATCH):
        drawn = Drawn(int(icons[row]), int(colours[row]), _slot(scenes[row], int(sides[row])))
        if _likeness(drawn.pixels, wanted[row]) > ALIKE:
            copies.append(DrawnCopy(drawn, references[row], bool(nameless[row])))
    return copies


def _embeds(pipe: StableDiffusionPipeline, references: torch.Tensor) -> torch.Tensor:
    """What the pipeline makes of references, for guidance: of no picture, then of each, [2b, 1, 17, 192]."""
    plain = ground().expand(len(references), 3)
    pixels = normalise(world.over(torch.stack([to_slot(r) for r in references]), plain)).to(pipe.device)
    both = torch.cat([torch.zeros_like(pixels), pixels])
    with torch.no_grad():
        return pipe.image_encoder(both, output_hidden_states=True).hidden_states[-2][:, None]


def _scenes(
    pipe: StableDiffusionPipeline,
    texts: list[str],
    rng: np.random.Generator,
    embeds: torch.Tensor | None = None,
) -> torch.Tensor:
    """Pictures [b, 3, 64, 64] in 0..1."""
    seed = torch.Generator().manual_seed(int(rng.integers(2**31)))
    guided = {} if embeds is None else {"ip_adapter_image_embeds": [embeds]}
    drawn = pipe(
        texts, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=seed, output_type="pt", **guided
    )
    return drawn.images.cpu().float()


def _slot(scene: torch.Tensor, side: int) -> torch.Tensor:
    x = world.SLOTS_TWO[side]
    return scene[:, world.SLOT_TOP : world.SLOT_TOP + world.SLOT, x : x + world.SLOT].clone()


def _likeness(one: torch.Tensor, other: torch.Tensor) -> float:
    """Correlation of two pictures."""
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def _prompt(icons: np.ndarray, colour: int, rng: np.random.Generator) -> str:
    objects = [nonce_word(rng) if icon < 0 else world.names()[icon] for icon in icons]
    return world.sentence(tuple(objects), list(world.COLOURS)[colour], rng)
