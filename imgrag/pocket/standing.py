"""Where things stand in a scene, by plain image processing; it shares nothing with what drew it.

Whatever differs from the border's colour is a thing. Its parts belong to the place, of those given, that is nearest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.ops import box_iou

from imgrag.pictures import border_colour
from imgrag.pocket.judge import Judge
from imgrag.pocket.world import world
from imgrag.pocket.world.placing import Place

APART = 36  # of 255, in any channel: what differs less is ground
SPECK = 10  # px; what is smaller is no part of a thing

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in px."""
Square = tuple[float, float, float]
"""Left, top and side, in px; it may reach beyond the scene."""


def boxes(image: Image.Image, places: Sequence[Place]) -> list[Box | None]:
    """The box of what stands nearest to each place, `None` where nothing does."""
    scene = image.convert("RGB")
    ground = np.asarray(border_colour(scene), np.int16)
    drawn = (np.abs(np.asarray(scene, np.int16) - ground).max(2) > APART).astype(np.uint8)
    _, _, stats, middles = cv2.connectedComponentsWithStats(drawn, connectivity=8)
    found: list[list[np.ndarray]] = [[] for _ in places]
    for part, middle in zip(stats[1:], middles[1:], strict=True):
        if part[cv2.CC_STAT_AREA] >= SPECK:
            distances = [np.hypot(*(middle - _middle(place))) / place.side for place in places]
            found[int(np.argmin(distances))].append(part)
    return [_around(parts) if parts else None for parts in found]


def overlap(one: Box | None, other: Box | None) -> float:
    """Intersection over union of two boxes; 0 where there is none."""
    if one is None or other is None:
        return 0.0
    return float(box_iou(torch.tensor([one]), torch.tensor([other])))


def moved(place: Place, wanted: Box, found: Box) -> Square:
    """The place, moved and made larger or smaller as the box of what stands there was."""
    growth = math.sqrt(_area(found) / _area(wanted))
    left, top = (
        (found[axis] + found[axis + 2] - growth * (wanted[axis] + wanted[axis + 2])) / 2 + growth * corner
        for axis, corner in enumerate((place.left, place.top))
    )
    return left, top, growth * place.side


def square(place: Place) -> Square:
    """The very square of a place."""
    return float(place.left), float(place.top), float(place.side)


def recognised(image: Image.Image, where: Square, name: str, judge: Judge) -> bool:
    """Whether the judge names what stands in a square so, brought to the size and place that it looks at."""
    scene, (left, top, side) = image.convert("RGB"), where
    ground = border_colour(scene)
    around = ImageOps.expand(scene, world.SCENE, ground)
    west, north = (min(max(edge, -world.SCENE), world.SCENE) + world.SCENE for edge in (left, top))
    east, south = (min(edge + side, 3 * world.SCENE) for edge in (west, north))
    box = (west, north, east, south)
    slot = around.resize((world.SLOT, world.SLOT), Image.Resampling.LANCZOS, box=box)
    alone = Image.new("RGB", (world.SCENE, world.SCENE), ground)
    alone.paste(slot, (world.SLOTS_ONE[0], world.SLOT_TOP))
    return judge.rank(alone, "middle")[0] == name and name in judge.shown(alone)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _middle(place: Place) -> np.ndarray:
    return np.array([place.left + place.side / 2, place.top + place.side / 2])


def _around(parts: Sequence[np.ndarray]) -> Box:
    lefts, tops, widths, heights = np.stack(parts).T[:4]
    return int(lefts.min()), int(tops.min()), int((lefts + widths).max()), int((tops + heights).max())
