"""Recipe: the pocket upscaler, Real-ESRGAN's compact network (SRVGGNetCompact; Wang et al., 2021), four times as large.

By regression alone, so that it puts nothing into a picture that is not there: it cleans the ground, evens the edges, and
draws sharp what it knows from the pairs of `enlarging`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from safetensors.torch import save_file
from spandrel import ModelLoader
from torch import nn

from imgrag.pocket.recipes.enlarging import FACTOR, Pairs, decoded, pairs
from imgrag.pocket.recipes.precision import autocast
from imgrag.pocket.recipes.training import CACHE, Fitted, Schedule, fit
from imgrag.pocket.world import world

SCHEDULE = Schedule(steps=6000, lr=1e-3, seed=6, ema=0.998, warmup=60, save_every=100)
MEAN = 0.6  # of a picture's values, which the first layer takes away
ASTRAY = 0.3  # of the usual spread of weights, beside handing on
WIDTH, DEPTH = 48, 14
BATCH = 12
DECODED = 0.34  # of a batch are drawn by the decoder alone
CROP = 32  # px of the small picture
EDGES = 0.5  # of the loss of differences between neighbours, which blur is cheap in
FILE = "upscaler.safetensors"


def build() -> nn.Module:
    """The network, by spandrel from weights of its shape."""
    body: list[nn.Module] = [nn.Conv2d(3, WIDTH, 3, 1, 1), nn.PReLU(WIDTH)]
    for _ in range(DEPTH):
        body += [nn.Conv2d(WIDTH, WIDTH, 3, 1, 1), nn.PReLU(WIDTH)]
    body.append(nn.Conv2d(WIDTH, 3 * FACTOR**2, 3, 1, 1))
    begin(body)
    state = {f"body.{key}": value for key, value in nn.ModuleList(body).state_dict().items()}
    model: nn.Module = ModelLoader().load_from_state_dict(state).model
    return model.float().requires_grad_(True)


@torch.no_grad()
def begin(body: list[Any]) -> None:
    """Layers that hand on what they get, and a last one that adds nothing to the small picture's own pixels.

    As in DiracNets (Zagoruyko and Komodakis, 2017). With torch's own weights a picture fades away on its way through so
    many plain layers, and nothing is learned.
    """
    first, *middle, last = body[::2]
    first.bias.copy_(-MEAN * first.weight.sum((1, 2, 3)))
    for layer in middle:
        nn.init.kaiming_normal_(layer.weight, a=0.25)
        layer.weight.mul_(ASTRAY)
        layer.weight[range(WIDTH), range(WIDTH), 1, 1] += 1
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


def batch_loss(
    model: nn.Module, drawn: Pairs, vae: AutoencoderKL, rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    """L1 of pixels and of the differences between neighbours, on crops."""
    by_decoder = round(BATCH * DECODED)
    first = drawn.scenes(rng.integers(len(drawn.small), size=BATCH - by_decoder))
    second = decoded(vae, by_decoder, rng, world.indices("known", "shown"))
    small, true = (torch.cat(both) for both in zip(first, second, strict=True))
    small, true = _cropped(small, true, rng)
    with autocast(device):
        large = model(small.to(device)).float()
    true = true.to(device)
    return F.l1_loss(large, true) + EDGES * (_differences(large, true, -1) + _differences(large, true, -2))


def _differences(large: torch.Tensor, true: torch.Tensor, axis: int) -> torch.Tensor:
    return F.l1_loss(large.diff(dim=axis), true.diff(dim=axis))


def _cropped(
    small: torch.Tensor, true: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A window of each pair, half of them mirrored."""
    ones, others = [], []
    for one, other in zip(small, true, strict=True):
        top, left = rng.integers(one.shape[-1] - CROP + 1, size=2)
        flip = (-1,) if rng.random() < 0.5 else ()
        ones.append(_window(one, top, left, CROP).flip(flip))
        others.append(_window(other, top * FACTOR, left * FACTOR, CROP * FACTOR).flip(flip))
    return torch.stack(ones), torch.stack(others)


def _window(picture: torch.Tensor, top: int, left: int, side: int) -> torch.Tensor:
    return picture[:, top : top + side, left : left + side]


def train(folder: Path, device: torch.device) -> Fitted:
    """Train it on what the generator in `folder` draws, and write `folder/upscaler`."""
    torch.manual_seed(SCHEDULE.seed)
    model = build().to(device)
    drawn = pairs(folder, device, CACHE / "upscaler-pairs.safetensors")
    vae = AutoencoderKL.from_pretrained(folder / "generator" / "vae").float().eval()

    def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
        return batch_loss(model, drawn, vae, rng, device)

    fitted = fit("upscaler", {"upscaler": model}, loss, SCHEDULE, device)
    file = folder / "upscaler" / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    save_file({key: value.half().contiguous() for key, value in model.cpu().state_dict().items()}, partial)
    partial.replace(file)
    return fitted


@torch.no_grad()
def evaluate(folder: Path) -> dict[str, float]:
    """On scenes of unseen icons by the decoder: dB of the large picture, of bicubic enlarging, and the ground's unrest."""
    vae = AutoencoderKL.from_pretrained(folder / "generator" / "vae").float().eval()
    model = ModelLoader().load_from_file(folder / "upscaler" / FILE).model.float().eval()
    torch.manual_seed(0)
    small, true = decoded(vae, 64, np.random.default_rng(12), world.indices("unseen"))
    large = model(small).clamp(0, 1)
    plain = F.interpolate(small, scale_factor=FACTOR, mode="bicubic").clamp(0, 1)
    ground = slice(0, 12 * FACTOR)
    return {
        "parameters_millions": round(sum(p.numel() for p in model.parameters()) / 1e6, 2),
        "psnr": _psnr(large, true),
        "psnr_bicubic": _psnr(plain, true),
        "ground_deviation": round(255 * large[..., ground, :].flatten(2).std(-1).mean().item(), 2),
        "ground_deviation_bicubic": round(255 * plain[..., ground, :].flatten(2).std(-1).mean().item(), 2),
    }


def _psnr(large: torch.Tensor, true: torch.Tensor) -> float:
    return round(-10 * F.mse_loss(large, true).log10().item(), 2)
