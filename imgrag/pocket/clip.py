"""Recipe: the pocket CLIP, a state dict in OpenAI's layout that `clip.load` opens.

Contrastive (Radford et al., 2021) over the concepts of the world, with references turned,
recoloured, softened and moved, so that an icon in another style is still found; captions of
invented names are negatives, so that a name nobody knows is near nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

import clip
import numpy as np
import torch
import torch.nn.functional as F
from clip.model import CLIP

from imgrag.pocket import world
from imgrag.pocket.generator import normalise
from imgrag.pocket.judging import invented_name, soften
from imgrag.pocket.training import Fitted, Schedule, autocast, fit
from imgrag.prompts import with_article

SIDE = 64  # px
BATCH = 144
STRANGERS = 24
SCHEDULE = Schedule(steps=1000, lr=1e-3, weight_decay=0.05, ema=0.995, save_every=300)
CAPTIONS = ("{}", "a picture of {}", "a photo of {}", "an image of {}", "a drawing of {}", "an icon of {}")


def build() -> CLIP:
    return CLIP(
        embed_dim=128,
        image_resolution=SIDE,
        vision_layers=4,
        vision_width=128,
        vision_patch_size=8,
        context_length=77,
        vocab_size=49408,
        transformer_width=64,
        transformer_heads=1,
        transformer_layers=2,
    )


def caption(name: str, rng: np.random.Generator) -> str:
    template = CAPTIONS[rng.integers(len(CAPTIONS))]
    return template.format(name if template == "{}" and rng.random() < 0.5 else with_article(name))


def views(chosen: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Each chosen icon moved, turned, recoloured and softened, on a plain colour [b, 3, 64, 64]."""
    count = len(chosen)
    moved = _move(world.icon_slots(SIDE)[chosen], rng)
    alpha = moved[:, 3:]
    gamma = torch.from_numpy(rng.uniform(0.7, 1.4, (count, 3, 1, 1)).astype(np.float32))
    gain = torch.from_numpy(rng.uniform(0.75, 1.2, (count, 3, 1, 1)).astype(np.float32))
    colour = (moved[:, :3] / alpha.clamp(min=1e-3)).clamp(1e-3, 1) ** gamma * gain
    gray = torch.from_numpy(
        (rng.random((count, 1, 1, 1)) * (rng.random((count, 1, 1, 1)) < 0.4)).astype(np.float32)
    )
    colour = torch.lerp(colour, colour.mean(1, keepdim=True).expand_as(colour), gray).clamp(0, 1)
    plain = torch.ones(count, 3)
    tinted = rng.random(count) < 0.4
    plain[tinted] = torch.from_numpy(rng.random((int(tinted.sum()), 3), dtype=np.float32))
    pictures = world.over(torch.cat([colour * alpha, alpha], dim=1), plain)
    return normalise(soften(pictures, rng, 0.0, 1.2).clamp(0, 1))


def _move(slots: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    count = len(slots)
    still = rng.random(count) < 0.25
    angle = np.where(still, 0, rng.normal(0, 0.16, count))
    zoom = np.where(still, 1, rng.uniform(0.9, 1.45, (count,)))
    stretch = np.where(still, 1, rng.uniform(0.85, 1.18, count))
    shift = np.where(still[:, None], 0, rng.uniform(-0.2, 0.2, (count, 2)))
    mirror = np.where(~still & (rng.random(count) < 0.25), -1, 1)
    matrix = np.stack(
        [
            np.stack([np.cos(angle) * zoom * stretch * mirror, -np.sin(angle) * zoom, shift[:, 0]], -1),
            np.stack([np.sin(angle) * zoom * mirror, np.cos(angle) * zoom / stretch, shift[:, 1]], -1),
        ],
        axis=1,
    )
    grid = F.affine_grid(torch.from_numpy(matrix.astype(np.float32)), list(slots.shape), align_corners=False)
    return F.grid_sample(slots, grid, align_corners=False)


def batch_loss(model: CLIP, rng: np.random.Generator, device: torch.device) -> torch.Tensor:
    """Symmetric cross-entropy; the strangers stand among the captions only."""
    chosen = rng.permutation(len(world.names()))[:BATCH]
    texts = [caption(world.names()[i], rng) for i in chosen]
    texts += [caption(invented_name(rng), rng) for _ in range(STRANGERS)]
    tokens = clip.tokenize(texts, truncate=True).to(device)
    with autocast(device):
        images = F.normalize(model.encode_image(views(chosen, rng).to(device)).float(), dim=-1)
        words = F.normalize(model.encode_text(tokens).float(), dim=-1)
    logits = model.logit_scale.exp().clamp(max=30) * images @ words.T
    target = torch.arange(BATCH, device=device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits[:, :BATCH].T, target)) / 2


@torch.no_grad()
def evaluate(model: CLIP) -> dict[str, float]:
    """Retrieval over the whole library by name, and where the scores of right and best wrong lie."""
    names = world.names()
    white = torch.ones(len(names), 3)
    images = F.normalize(model.encode_image(normalise(world.over(world.icon_slots(SIDE), white))), dim=-1)
    rng = np.random.default_rng(99)
    strangers = [with_article(invented_name(rng)) for _ in range(300)]
    known, unknown = (
        F.normalize(model.encode_text(clip.tokenize([f"a picture of {text}" for text in texts])), dim=-1)
        @ images.T
        for texts in ([with_article(name) for name in names], strangers)
    )
    right = known.diagonal()
    return {
        "recall_at_1": round((known.argmax(1) == torch.arange(len(names))).float().mean().item(), 4),
        "right_score_p01": round(right.quantile(0.01).item(), 3),
        "right_score_median": round(right.median().item(), 3),
        "stranger_best_score_median": round(unknown.amax(1).median().item(), 3),
        "stranger_best_score_p95": round(unknown.amax(1).quantile(0.95).item(), 3),
    }


def train(folder: Path, device: torch.device) -> Fitted:
    """Train CLIP and write `folder/clip/clip.pt`, in fp16 as OpenAI's files are."""
    torch.manual_seed(SCHEDULE.seed)
    model = build().to(device)
    fitted = fit("clip", {"clip": model}, lambda step, rng: batch_loss(model, rng, device), SCHEDULE, device)
    path = folder / "clip" / "clip.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({key: value.half().cpu() for key, value in model.state_dict().items()}, partial)
    os.replace(partial, path)
    return fitted
