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


def redraw(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Draw each picture as `restyle` does or by quite another hand: lines, pale fills, few tones, hatches, shadows.

    Of the things below each happens to a part of the rows, so that most rows get two or three of them.
    """
    styled = restyle(pictures, rng)
    alpha = styled[:, 3:].clamp(0, 1)
    colour = (styled[:, :3] / alpha.clamp(min=1e-2)).clamp(0, 1)
    edges = _edges(colour, alpha)
    for change, share in ((_palette, 0.3), (_wash, 0.35), (_hatch, 0.15), (_slope, 0.2)):
        colour = torch.where(_luck(rng, len(colour), share), change(colour, rng), colour)
    ink = _uniform(rng, 0, 0.25, (len(colour), 1, 1, 1)) + _uniform(rng, 0, 0.2, (len(colour), 3, 1, 1))
    ink = torch.where(_luck(rng, len(colour), 0.15), 1 - ink, ink)
    colour = torch.lerp(colour, ink.expand_as(colour), edges * _luck(rng, len(colour), 0.5))
    colour, alpha = _rim(colour, alpha, ink, rng)
    return _shadow(torch.cat([colour.clamp(0, 1) * alpha, alpha], dim=1), rng)


def _edges(colour: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Where colours change within a thing, [b, 1, h, w] in 0..1."""
    smooth = F.avg_pool2d(F.pad(colour * alpha + 1 - alpha, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    across = (smooth[:, :, :, 1:] - smooth[:, :, :, :-1]).abs().amax(1, keepdim=True)
    down = (smooth[:, :, 1:] - smooth[:, :, :-1]).abs().amax(1, keepdim=True)
    change = torch.maximum(F.pad(across, (0, 1, 0, 0)), F.pad(down, (0, 0, 0, 1)))
    return torch.sigmoid(40 * (change - 0.1))


def _palette(colour: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Light and dark in three to five tones between two or three colours of its own."""
    count = len(colour)
    levels = torch.from_numpy(rng.integers(3, 6, (count, 1, 1, 1)).astype(np.float32))
    light = colour.mean(1, keepdim=True)
    light = torch.where(_luck(rng, count, 0.7), (light * levels).round() / levels, light)
    ends = ((0.0, 0.5), (0.1, 0.9), (0.5, 1.0))
    dark, middle, bright = (_uniform(rng, low, high, (count, 3, 1, 1)) for low, high in ends)
    lower, upper = torch.lerp(dark, middle, (2 * light).clamp(0, 1)), (2 * light - 1).clamp(0, 1)
    return torch.lerp(lower, bright.expand_as(lower), upper)


def _wash(colour: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Paler, up to paper with hardly a colour."""
    return torch.lerp(colour, torch.ones_like(colour), _uniform(rng, 0.3, 0.92, (len(colour), 1, 1, 1)))


def _hatch(colour: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Strokes of a pencil in one direction, the denser the darker."""
    count, (high, wide) = len(colour), colour.shape[2:]
    angle, period = rng.uniform(0, np.pi, count), rng.uniform(2.5, 6, count) * wide / 64
    down, across = np.mgrid[:high, :wide]
    phase = np.cos(angle)[:, None, None] * across + np.sin(angle)[:, None, None] * down
    waves = torch.from_numpy(np.sin(2 * np.pi * phase / period[:, None, None]).astype(np.float32))[:, None]
    drawn = torch.sigmoid(6 * (waves - 2 * colour.mean(1, keepdim=True) + 1))
    return torch.lerp(1 - 0.3 * (1 - colour), colour * 0.4, drawn)


def _slope(colour: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A gradient of two colours laid over it."""
    corners = _uniform(rng, 0, 1, (len(colour), 3, 2, 2))
    gradient = F.interpolate(corners, colour.shape[2:], mode="bilinear", align_corners=True)
    return torch.lerp(colour, gradient, _uniform(rng, 0.2, 0.6, (len(colour), 1, 1, 1)))


def _rim(
    colour: torch.Tensor, alpha: torch.Tensor, ink: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """A line around the thing, from hardly one to one part in ten; it makes the thing larger."""
    chosen = rng.integers(0, 4, len(colour))
    for step in range(1, 4):
        done = torch.from_numpy(chosen == step)[:, None, None, None]
        width = 2 * round(step * colour.shape[-1] / 64) + 1
        grown = F.max_pool2d(alpha, width, stride=1, padding=width // 2)
        line = torch.where(done, grown * (1 - alpha), torch.zeros_like(alpha))
        colour, alpha = torch.lerp(colour, ink.expand_as(colour), line), torch.where(done, grown, alpha)
    return colour, alpha


def _shadow(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A soft shadow beside some of them."""
    shift = rng.integers(1, 4, 2) * pictures.shape[-1] // 64
    cast = F.avg_pool2d(pictures[:, 3:].roll(shift.tolist(), (2, 3)), 5, stride=1, padding=2)
    cast = cast * _uniform(rng, 0.2, 0.6, (len(pictures), 1, 1, 1)) * _luck(rng, len(pictures), 0.2)
    under = (1 - pictures[:, 3:]) * cast
    return torch.cat([pictures[:, :3], pictures[:, 3:] + under], dim=1)
