"""Recipe: the pocket ControlNet (Zhang et al., 2023), which draws things where lines are.

It learns through the generator, which keeps its weights, from lines of things anywhere and at any size. A LoRA on the
U-Net learns with it and is worn only while there are lines: alone, the ControlNet put things where they were drawn
and could not draw them, for the generator knows its things at one size and in three places. Targets lie on the latents'
grid, nearest to the lines. Half of the batches give a reference too, whose thing no name tells: what it looks like
comes from the reference, where it stands and how large it is from the lines. Prompts are dropped at times and lines
never, for guidance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionPipeline

from imgrag.pocket.recipes.adapting import attach_lora, save_lora
from imgrag.pocket.recipes.batches import Batch, dropped, prompts_of, reference_pixels
from imgrag.pocket.recipes.generator import batch_loss, build_scheduler, plain_unet
from imgrag.pocket.recipes.inventions import invent
from imgrag.pocket.recipes.training import Fitted, Schedule, fit, together
from imgrag.pocket.world import world
from imgrag.pocket.world.latents import PATCH, projection
from imgrag.pocket.world.placing import FINE, Place, edges, is_taught, layer, places, sketches, snapped
from imgrag.pocket.world.twists import vary

BATCH = 64
TERMS = {
    "control": Schedule(steps=1700, lr=1e-3, ema=0.995, warmup=60, save_every=50),
    "control-longer": Schedule(steps=1400, lr=1e-3, seed=1, ema=0.995, warmup=20, save_every=50),
}
WORN: dict[str, Any] = {"rank": 16, "alpha": 96, "convolutions": True}  # much alpha makes up for the rate
LORA = "lora.safetensors"
REFERRED = 0.55  # of the batches have references
TWO = 0.5  # of the scenes hold two things
EDGED = 0.35  # of the lines are Canny's edges of the scene
INVENTED = 0.3  # of the references show what nobody ever drew
SWAPPED = 0.15  # of the prompts name the right or lower thing first
KEYED = 0.75  # of the references stand on the profile's own ground
THING = 2.0  # how much places with a thing count; without, 1
LARGE = 64  # px of the icons that are placed


@dataclass(frozen=True)
class Lesson:
    """One step's inputs: a `Batch`, and its lines [b, 3, 64, 64]."""

    batch: Batch
    lines: torch.Tensor


def lesson(rng: np.random.Generator, count: int = BATCH) -> Lesson:
    """Scenes of one or two things, all with a reference for one of them or none."""
    refers = bool(rng.random() < REFERRED)
    two = rng.random(count) < TWO
    chosen, referred = _things(rng, count, two, refers)
    pictures = [_pictures(chosen[:, i], referred[:, i], rng) for i in (0, 1)]
    where = [places(rng, bool(both), is_taught) for both in two]
    plain = world.colour_values()[colour := rng.integers(len(world.COLOURS), size=count)]
    stands = [[snapped(place) for place in each] for each in where]
    small = _together(pictures, stands, two)
    scenes = world.over(small, plain)
    lines = _lines(pictures, where, two, plain, rng)
    swapped = two & (rng.random(count) < SWAPPED)
    order = np.where(swapped[:, None], [[1, 0]], [[0, 1]])
    rows = np.arange(count)[:, None]
    prompts = prompts_of(chosen[rows, order], referred[rows, order], two, colour, rng)
    references = _references(pictures, referred, rng) if refers else None
    dropped(prompts, references, rng)
    weights = 1 + (THING - 1) * torch.nn.functional.max_pool2d(small[:, 3:], PATCH)
    batch = Batch(projection().encode(scenes), prompts, references, weights)
    return Lesson(batch, lines.expand(-1, 3, -1, -1).contiguous())


def _things(
    rng: np.random.Generator, count: int, two: np.ndarray, refers: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Places in `world.icons()` [b, 2], and which of them a reference shows."""
    known, shown = world.indices("known"), world.indices("shown")
    chosen = rng.choice(known, (count, 2))
    referred = np.zeros((count, 2), bool)
    if refers:
        referred[np.arange(count), np.where(two, rng.integers(2, size=count), 0)] = True
        fresh = referred & (rng.random((count, 2)) < 0.85)
        chosen[fresh] = rng.choice(shown, int(fresh.sum()))
    return chosen, referred


def _pictures(chosen: np.ndarray, referred: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Of these things, [b, 4, 64, 64]; those that a reference shows are often changed, or made up."""
    count = len(chosen)
    pictures = vary(world.icon_slots(LARGE)[chosen], referred & (rng.random(count) < 0.5), rng)
    made_up = (referred & (rng.random(count) < INVENTED)).nonzero()[0]
    if len(made_up):
        slots = invent(len(made_up), rng)
        pictures[torch.from_numpy(made_up)] = torch.nn.functional.interpolate(
            slots, (LARGE, LARGE), mode="bilinear"
        )
    return pictures


def _at(where: Sequence[Sequence[Place]], number: int) -> list[Place]:
    """Where the first or the second thing of each scene stands; that of one that has no second is no matter."""
    return [each[min(number, len(each) - 1)] for each in where]


def _together(
    pictures: list[torch.Tensor], where: Sequence[Sequence[Place]], two: np.ndarray
) -> torch.Tensor:
    """Both things in their places, [b, 4, 64, 64]."""
    first, second = (layer(pictures[i], _at(where, i)) for i in (0, 1))
    second[torch.from_numpy(~two)] = 0
    return first + second


def _lines(
    pictures: list[torch.Tensor], where: Sequence[Sequence[Place]], two: np.ndarray, plain: torch.Tensor,
    rng: np.random.Generator,
) -> torch.Tensor:  # fmt: skip
    """Of things where they are drawn: Canny's edges, or a sketch, [b, 1, 64, 64]."""
    drawn = [sketches(layer(pictures[i], _at(where, i), FINE), rng) for i in (0, 1)]
    drawn[1][torch.from_numpy(~two)] = 0
    edged = torch.from_numpy(rng.random((len(two), 1, 1, 1)) < EDGED)
    return torch.where(
        edged, edges(world.over(_together(pictures, where, two), plain)), torch.maximum(*drawn)
    )


def _references(pictures: list[torch.Tensor], referred: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    second = torch.from_numpy(referred[:, 1])[:, None, None, None]
    shown = torch.where(second, pictures[1], pictures[0])
    small = torch.nn.functional.interpolate(shown, (world.SLOT, world.SLOT), mode="bicubic", antialias=True)
    return reference_pixels(small.clamp(0, 1), rng, KEYED)[:, None]


def control_loss(
    given: Lesson, control: ControlNetModel, parts: dict[str, Any], alphas: torch.Tensor,
    rng: np.random.Generator, device: torch.device,
) -> torch.Tensor:  # fmt: skip
    """Mean squared error of the predicted velocity, as the generator's own, but for the lines beside it."""

    def steer(noisy: torch.Tensor, times: torch.Tensor, text: torch.Tensor) -> dict[str, Any]:
        down, mid = control(noisy, times, text, given.lines.to(device), return_dict=False)
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}

    return batch_loss(given.batch, parts, alphas, rng, device, steer)


def generator_parts(folder: Path, device: torch.device) -> dict[str, Any]:
    """The bundled generator with its adapter attached, frozen: its pipeline, U-Net, text encoder, image encoder."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder / "generator", safety_checker=None)
    pipeline.load_ip_adapter(
        str(folder / "adapter"), subfolder="", weight_name="ip-adapter.safetensors", image_encoder_folder="image_encoder"
    )  # fmt: skip
    parts = {name: getattr(pipeline, name) for name in ("unet", "text_encoder", "image_encoder")}
    frozen = {name: part.float().to(device).eval().requires_grad_(False) for name, part in parts.items()}
    return {"pipeline": pipeline, **frozen}


def build(parts: dict[str, Any]) -> ControlNetModel:
    """A copy of the U-Net's way down, whose answers begin at nothing; it reads no references."""
    return ControlNetModel.from_unet(plain_unet(parts["unet"]))


def train(folder: Path, device: torch.device) -> Fitted:
    """Train ControlNet and LoRA on the bundled generator and write `folder/control`, in fp16."""
    torch.manual_seed(TERMS["control"].seed)
    parts = generator_parts(folder, device)
    control = build(parts).to(device)
    lora = attach_lora(parts["unet"], device, **WORN)
    alphas = build_scheduler().alphas_cumprod.to(device)

    def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
        return control_loss(lesson(rng), control, parts, alphas, rng, device)

    modules = {"control": control, "lora": lora}
    terms = [fit(name, modules, loss, schedule, device) for name, schedule in TERMS.items()]
    save(folder / "control", control, parts)
    return together(terms)


def save(folder: Path, control: ControlNetModel, parts: dict[str, Any]) -> None:
    """Write both, in fp16."""
    control.cpu().half().save_pretrained(folder, max_shard_size="9MB")
    save_lora(folder / LORA, parts["pipeline"])


def evaluate(folder: Path) -> dict[str, float]:
    """What is written: parameters in millions and size in MB, of the ControlNet and of the LoRA."""
    net = ControlNetModel.from_pretrained(folder / "control")
    sizes = {
        file.name: file.stat().st_size / 1e6 for file in sorted((folder / "control").glob("*.safetensors"))
    }
    lora = sizes.pop(LORA)
    return {
        "parameters_millions": round(net.num_parameters() / 1e6, 2),
        "control_mb": round(sum(sizes.values()), 2),
        "largest_file_mb": round(max([lora, *sizes.values()]), 2),
        "lora_mb": round(lora, 2),
    }
