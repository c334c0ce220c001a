"""Scenes with things anywhere and at any size, and their lines: what the pocket ControlNet learns from and is measured on.

Lines are white on black, float [b, 1, 64, 64], as `imgrag.models.conditions` makes them of a person's picture: Canny's
edges of the scene, or a sketch, which is a thing's outline and some of what is in it, bent, broken and of any breadth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from imgrag.models.conditions import HELD, STRONG, WEAK
from imgrag.pocket.world import world

FINE = 2  # times a scene's px; sketches are drawn so, and then made smaller
SIDES_ONE = (20, 56)  # px, of a thing that stands alone
SIDES_TWO = (20, 32)
GRID = 8  # px, of the latents
SNAPPED = range(24, 64, GRID)  # px, the sides that things are drawn at
STACKED = 0.3  # of the scenes of two things, the share in which one stands above the other
OUTLINED = 0.35  # of the sketches, the share that has nothing but the outline
BREAKS = 0.35  # of the sketches, the share whose lines are broken


@dataclass(frozen=True)
class Place:
    """The square in which a thing stands, in px of a scene."""

    left: int
    top: int
    side: int


def is_taught(place: Place) -> bool:
    """Whether a lesson may have a thing there, at that size."""
    return place.side % 2 == 0 and place.left % 3 != 1 and place.top % 3 != 1


def is_held_out(place: Place) -> bool:
    """Neither the size nor either coordinate is in any lesson."""
    return place.side % 2 == 1 and place.left % 3 == 1 and place.top % 3 == 1


def snapped(place: Place) -> Place:
    """The square on the latents' grid that comes nearest, in the same half of the scene if it lies in one.

    What lies across the grid would need patches that the generator never drew. Nearest is by intersection over union.
    """
    return max(_on_grid(_half_of(place)), key=lambda other: _shared(place, other))


@cache
def _on_grid(area: tuple[int, int, int, int]) -> tuple[Place, ...]:
    left, top, right, bottom = area
    return tuple(
        Place(x, y, side)
        for side in SNAPPED
        for x in range(left, right - side + 1, GRID)
        for y in range(top, bottom - side + 1, GRID)
    )


def _half_of(place: Place) -> tuple[int, int, int, int]:
    """The left, right, upper or lower half that holds it, else the whole scene."""
    half, whole = world.SCENE // 2, world.SCENE
    right, bottom = place.left + place.side, place.top + place.side
    if right <= half or place.left >= half:
        return (0, 0, half, whole) if right <= half else (half, 0, whole, whole)
    if bottom <= half or place.top >= half:
        return (0, 0, whole, half) if bottom <= half else (0, half, whole, whole)
    return (0, 0, whole, whole)


def _shared(one: Place, other: Place) -> float:
    width = min(one.left + one.side, other.left + other.side) - max(one.left, other.left)
    height = min(one.top + one.side, other.top + other.side) - max(one.top, other.top)
    both = max(0, width) * max(0, height)
    return both / (one.side**2 + other.side**2 - both)


def places(rng: np.random.Generator, two: bool, allowed: Callable[[Place], bool]) -> tuple[Place, ...]:
    """One place, or two that do not touch, the left or the upper one first."""
    if not two:
        return (_place(rng, (0, 0), (world.SCENE, world.SCENE), SIDES_ONE, allowed),)
    half = world.SCENE // 2
    if rng.random() < STACKED:
        areas = (((0, 0), (world.SCENE, half)), ((0, half), (world.SCENE, half)))
    else:
        areas = (((0, 0), (half, world.SCENE)), ((half, 0), (half, world.SCENE)))
    return tuple(_place(rng, corner, size, SIDES_TWO, allowed) for corner, size in areas)


def _place(
    rng: np.random.Generator,
    corner: tuple[int, int],
    size: tuple[int, int],
    sides: tuple[int, int],
    allowed: Callable[[Place], bool],
) -> Place:
    while True:
        side = int(rng.integers(sides[0], sides[1] + 1))
        left = corner[0] + int(rng.integers(size[0] - side + 1))
        top = corner[1] + int(rng.integers(size[1] - side + 1))
        if allowed(place := Place(left, top, side)):
            return place


def layer(pictures: torch.Tensor, where: Sequence[Place], scale: int = 1) -> torch.Tensor:
    """Premultiplied pictures [n, 4, s, s], each in its place: [n, 4, 64 * scale, 64 * scale]."""
    side = world.SCENE * scale
    laid = torch.zeros(len(pictures), 4, side, side)
    for row, (picture, place) in enumerate(zip(pictures, where, strict=True)):
        size, left, top = place.side * scale, place.left * scale, place.top * scale
        scaled = F.interpolate(picture[None], (size, size), mode="bicubic", antialias=True)[0].clamp(0, 1)
        laid[row, :, top : top + size, left : left + size] = scaled
    return laid


def edges(scenes: torch.Tensor) -> torch.Tensor:
    """Canny's edges of scenes in 0..1 [b, 3, 64, 64], as a person's picture has them made."""
    grey = (scenes.permute(0, 2, 3, 1) * 255).round().clamp(0, 255).byte().numpy()
    found = [cv2.Canny(cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY), WEAK, STRONG) for scene in grey]
    return torch.from_numpy(np.stack(found)).float()[:, None] / 255


def sketches(layers: torch.Tensor, rng: np.random.Generator, jitter: float = 1.0) -> torch.Tensor:
    """What a hand might draw of things [n, 4, 128, 128] (see `layer`, `scale` of `FINE`).

    Args:
        jitter: how far the hand strays, about in px of a scene.
    """
    drawn = torch.from_numpy(np.stack([_drawn(thing, rng) for thing in layers.numpy()]))[:, None]
    drawn = _broken(_wobbled(drawn, rng, jitter), rng)
    held = F.avg_pool2d(drawn, FINE)
    return (held > HELD * held.amax((1, 2, 3), keepdim=True).clamp(min=1e-3)).float()


def _drawn(thing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The outline of one thing [4, h, w], mostly with some of its inner lines, as broad as the pen: [h, w]."""
    alpha = (255 * thing[3].clip(0, 1)).astype(np.uint8)
    lines = cv2.Canny(np.where(alpha > 100, 255, 0).astype(np.uint8), WEAK, STRONG)
    if rng.random() > OUTLINED:
        colour = (255 * (thing[:3] + 1 - thing[3]).clip(0, 1)).astype(np.uint8).transpose(1, 2, 0)
        weak = int(rng.integers(40, 180))
        lines = np.maximum(lines, cv2.Canny(cv2.GaussianBlur(colour, (3, 3), 0), weak, 2 * weak))
    breadth = int(rng.integers(2, 5))
    return cv2.dilate(lines, np.ones((breadth, breadth), np.uint8)).astype(np.float32) / 255


def _wobbled(drawn: torch.Tensor, rng: np.random.Generator, jitter: float) -> torch.Tensor:
    """Lines that stray from where they should be, by a smooth field of `jitter` px."""
    count, side = len(drawn), drawn.shape[-1]
    knots = rng.standard_normal((count, 2, 7, 7)).astype(np.float32)
    strength = (rng.random((count, 1, 1, 1)) * jitter * 2 / world.SCENE).astype(np.float32)
    field = F.interpolate(
        torch.from_numpy(knots * strength), (side, side), mode="bicubic", align_corners=True
    )
    still = F.affine_grid(torch.eye(2, 3).expand(count, 2, 3), list(drawn.shape), align_corners=False)
    return F.grid_sample(drawn, still + field.permute(0, 2, 3, 1), align_corners=False)


def _broken(drawn: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Some of them with gaps."""
    count, side = len(drawn), drawn.shape[-1]
    coarse = torch.from_numpy(rng.random((count, 1, 12, 12), dtype=np.float32))
    kept = F.interpolate(coarse, (side, side), mode="bilinear") > 0.3
    whole = torch.from_numpy(rng.random((count, 1, 1, 1)) > BREAKS)
    return drawn * (kept | whole)
