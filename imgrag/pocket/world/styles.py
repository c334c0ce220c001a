"""Other hands: the same icon bent, recoloured, flattened, outlined and shaded.

What is taught on these stands for styles that no training sees. All pictures are RGBA with
premultiplied alpha, float [b, 4, h, w] in 0..1; every row gets a style of its own.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

BENDS = 4  # control points a side of the elastic warp


def restyle(pictures: torch.Tensor, rng: np.random.Generator, swapped: float = 0.3) -> torch.Tensor:
    """Draw each picture in a style of its own; a share `swapped` has its colour channels permuted."""
    bent = bend(pictures, rng)
    alpha = bent[:, 3:].clamp(0, 1)
    colour = (bent[:, :3] / alpha.clamp(min=1e-2)).clamp(0, 1)
    for change in (_recolour, _flatten, _shade):
        colour = change(colour, rng)
    colour = _permute(colour, rng, swapped)
    colour = _outline(colour, alpha, rng)
    return torch.cat([colour.clamp(0, 1) * alpha, alpha], dim=1)


def ink(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Draw each picture with lines where its colours change, on its own colours, paler ones, one or white."""
    count, width = len(pictures), 3
    near = F.max_pool2d(pictures, width, stride=1, padding=1) + F.max_pool2d(
        -pictures, width, stride=1, padding=1
    )
    steep = near.amax(dim=1, keepdim=True)
    line = ((steep - _uniform(rng, 0.08, 0.3, (count, 1, 1, 1))) / 0.2).clamp(0, 1)
    alpha = torch.maximum(pictures[:, 3:], line)
    fill = (pictures[:, :3] / pictures[:, 3:].clamp(min=1e-2)).clamp(0, 1)
    fill = torch.where(pictures[:, 3:] > 0.5, fill, torch.ones(()))
    even = (
        pictures[:, :3].sum((2, 3), keepdim=True) / pictures[:, 3:].sum((2, 3), keepdim=True).clamp(min=1)
    ).clamp(0, 1)
    fill = torch.where(_luck(rng, count, 0.25), even.expand_as(fill), fill)
    fill = torch.lerp(
        fill, torch.ones(()).expand_as(fill), (_uniform(rng, -0.5, 1.3, (count, 1, 1, 1))).clamp(0, 1)
    )
    dark = _uniform(rng, 0, 0.3, (count, 3, 1, 1)).expand_as(fill)
    return torch.cat([torch.lerp(fill, dark, line) * alpha, alpha], dim=1)


def bend(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Turn, stretch and warp a little, with control points four a side."""
    count = len(pictures)
    angle = rng.normal(0, 0.12, count)
    zoom, stretch = rng.uniform(0.92, 1.2, count), rng.uniform(0.85, 1.18, count)
    rows = [
        np.stack([np.cos(angle) * zoom * stretch, -np.sin(angle) * zoom, rng.normal(0, 0.04, count)], -1),
        np.stack([np.sin(angle) * zoom, np.cos(angle) * zoom / stretch, rng.normal(0, 0.04, count)], -1),
    ]
    matrix = torch.from_numpy(np.stack(rows, axis=1).astype(np.float32))
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    strength = rng.uniform(0, 0.09, (count, 1, 1, 1)) * (rng.random((count, 1, 1, 1)) < 0.8)
    knots = torch.from_numpy((rng.standard_normal((count, 2, BENDS, BENDS)) * strength).astype(np.float32))
    warp = F.interpolate(knots, pictures.shape[2:], mode="bicubic", align_corners=True)
    return F.grid_sample(pictures, grid + warp.permute(0, 2, 3, 1), align_corners=False)


def _luck(rng: np.random.Generator, count: int, share: float) -> torch.Tensor:
    return torch.from_numpy(rng.random((count, 1, 1, 1)) < share)


def _uniform(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def _recolour(colour: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Gamma and gain for each channel, more or less saturation, a turn of the hue."""
    count = len(colour)
    changed = colour.clamp(min=1e-3) ** _uniform(rng, 0.6, 1.6, (count, 3, 1, 1))
    changed = changed * _uniform(rng, 0.75, 1.25, (count, 3, 1, 1))
    grey = changed.mean(1, keepdim=True)
    saturated = grey + (changed - grey) * _uniform(rng, 0.3, 1.6, (count, 1, 1, 1))
    mixed = torch.lerp(saturated, saturated.roll(1, dims=1), _uniform(rng, 0, 0.35, (count, 1, 1, 1)))
    return torch.where(_luck(rng, count, 0.5), mixed, saturated).clamp(0, 1)


def _flatten(colour: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Few flat colours, as in a style without gradients."""
    count = len(colour)
    levels = torch.from_numpy(rng.integers(2, 6, (count, 1, 1, 1)).astype(np.float32))
    smooth = F.avg_pool2d(F.pad(colour, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    return torch.where(_luck(rng, count, 0.4), (smooth * levels).round() / levels, colour)


def _shade(colour: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Light from one side."""
    count = len(colour)
    corners = _uniform(rng, 0.6, 1.3, (count, 1, 2, 2))
    light = F.interpolate(corners, colour.shape[2:], mode="bilinear", align_corners=True)
    return torch.where(_luck(rng, count, 0.4), colour * light, colour)


def _permute(colour: torch.Tensor, rng: np.random.Generator, share: float) -> torch.Tensor:
    swapped = colour.clone()
    for row in (rng.random(len(colour)) < share).nonzero()[0]:
        swapped[row] = colour[row, rng.permutation(3).tolist()]
    return swapped


def _outline(colour: torch.Tensor, alpha: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A dark or coloured rim, as thick as one part in 24."""
    count, width = len(colour), 2 * max(1, colour.shape[-1] // 48) + 1
    worn = -F.max_pool2d(-alpha, width, stride=1, padding=width // 2)
    rim = (alpha - worn) * _luck(rng, count, 0.3)
    return torch.lerp(colour, _uniform(rng, 0, 0.6, (count, 3, 1, 1)).expand_as(colour), rim)
