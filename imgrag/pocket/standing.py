"""Where things stand in a scene, by plain image processing; it shares nothing with what drew it.

Whatever differs from the border's colour is a thing. Its parts belong to the place, of those given, that is nearest.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.ops import box_iou

from imgrag.pictures import border_colour
from imgrag.pocket.judge import Judge
from imgrag.pocket.world import world
from imgrag.pocket.world.placing import Place

APART = 36  # of 255, in any channel: what differs less is ground
SPECK = 10  # px; what is smaller is no part of a thing

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in px."""


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


def recognised(image: Image.Image, place: Place, name: str, judge: Judge) -> bool:
    """Whether the judge names what stands in a place so, brought to the size and place that it looks at."""
    scene = image.convert("RGB")
    cut = scene.crop((place.left, place.top, place.left + place.side, place.top + place.side))
    alone = Image.new("RGB", (world.SCENE, world.SCENE), border_colour(scene))
    slot = cut.resize((world.SLOT, world.SLOT), Image.Resampling.LANCZOS)
    alone.paste(slot, (world.SLOTS_ONE[0], world.SLOT_TOP))
    return judge.rank(alone, "middle")[0] == name and name in judge.shown(alone)


def _middle(place: Place) -> np.ndarray:
    return np.array([place.left + place.side / 2, place.top + place.side / 2])


def _around(parts: Sequence[np.ndarray]) -> Box:
    lefts, tops, widths, heights = np.stack(parts).T[:4]
    return int(lefts.min()), int(tops.min()), int((lefts + widths).max()), int((tops + heights).max())
