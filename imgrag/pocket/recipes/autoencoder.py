"""Recipe: the autoencoder (AutoencoderKL) whose latents are the patch projection of `latents.py`.

Its encoder is trained to give the projections, its decoder to invert them; so the generator can
be trained on the projections at once, beside it. Crops of one slot first (cheap), whole scenes
for the last third (so that neighbouring patches meet without seams).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from imgrag.pocket.recipes.precision import autocast
from imgrag.pocket.recipes.training import Fitted, Schedule, fit
from imgrag.pocket.world import world
from imgrag.pocket.world.latents import CHANNELS, projection, random_scenes
from imgrag.pocket.world.twists import vary

SCHEDULE = Schedule(steps=1300, lr=2e-3, ema=0.99, warmup=100, save_every=200)
CROPS = 64
SCENES = 20
LATENT_NOISE = 0.03  # the generator's latents are never exact


def build() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        sample_size=world.SCENE,
        latent_channels=CHANNELS,
        scaling_factor=1.0,
        block_out_channels=(24, 48, 96, 128),
        layers_per_block=1,
        norm_num_groups=8,
        mid_block_add_attention=False,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


def crops(rng: np.random.Generator, count: int) -> torch.Tensor:
    """Single slots on plain backgrounds, float32 [count, 3, 32, 32] in 0..1."""
    pool = world.indices("known", "shown")
    slots = vary(world.icon_slots()[rng.choice(pool, count)], rng.random(count) < 0.5, rng)
    colours = world.colour_values()[rng.integers(len(world.COLOURS), size=count)]
    return world.over(slots, colours)


def train(folder: Path, device: torch.device, steps: int = SCHEDULE.steps) -> Fitted:
    """Train the autoencoder and write it to `folder/generator/vae`."""
    torch.manual_seed(SCHEDULE.seed)
    model = build().to(device)

    def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
        whole = step >= steps * 2 // 3
        pictures = random_scenes(SCENES, rng, world.indices("known", "shown")) if whole else crops(rng, CROPS)
        return batch_loss(model, pictures, device)

    fitted = fit("autoencoder", {"vae": model}, loss, replace(SCHEDULE, steps=steps), device)
    model.cpu().half().save_pretrained(folder / "generator" / "vae", max_shard_size="9MB")
    return fitted


def batch_loss(model: AutoencoderKL, pictures: torch.Tensor, device: torch.device) -> torch.Tensor:
    latents = projection().encode(pictures).to(device)
    targets = pictures.to(device) * 2 - 1
    with autocast(device):
        mean, log_variance = model.quant_conv(model.encoder(targets)).float().chunk(2, dim=1)
        decoded = model.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample.float()
    # The encoder is deterministic by design: its variance is held near e^-8.
    encoding = F.mse_loss(mean, latents) + 1e-3 * (log_variance + 8).square().mean()
    return F.l1_loss(decoded, targets) + 2 * F.mse_loss(decoded, targets) + 0.3 * encoding


@torch.no_grad()
def evaluate(model: AutoencoderKL) -> dict[str, float]:
    """Fidelity on scenes of unseen icons, decoder and round trip, in dB."""
    scenes = random_scenes(200, np.random.default_rng(11), world.indices("unseen"))
    latents = projection().encode(scenes)
    round_trip = model.decode(model.encode(scenes * 2 - 1).latent_dist.mean).sample
    return {
        "decoder_psnr_unseen": _psnr(model.decode(latents).sample, scenes),
        "round_trip_psnr_unseen": _psnr(round_trip, scenes),
        "linear_psnr_unseen": _psnr(projection().decode(latents) * 2 - 1, scenes),
    }


def _psnr(decoded: torch.Tensor, scenes: torch.Tensor) -> float:
    error = ((decoded / 2 + 0.5).clamp(0, 1) - scenes).square().mean().item()
    return round(-10 * math.log10(error), 2)
