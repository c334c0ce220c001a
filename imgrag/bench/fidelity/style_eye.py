"""An eye for styles that shares nothing with the loop: a small network that learns them anew in each bench.

It sees true scenes, rendered in the six styles and plain, of every second icon that is known or shown; how often
it is right on scenes of the others is measured before it judges anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torchvision.transforms.functional import pil_to_tensor

from imgrag.pocket.world import world
from imgrag.pocket.world.renderings import RENDERINGS, rendered_scenes

PLAIN = "plain"
STYLES = (*RENDERINGS, PLAIN)
STEPS = 500
EACH = 6  # scenes of a style in a step
SEED = 5


class StyleEye:
    """Trained when it is made, which takes less than a minute of one thread.

    Attributes:
        accuracy: on `checked` scenes of icons that it never saw.
    """

    def __init__(self, steps: int = STEPS, checked: int = 350) -> None:
        torch.manual_seed(SEED)
        rng = np.random.default_rng(SEED)
        self._net = nn.Sequential(
            *_block(3, 16), *_block(16, 32), *_block(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(64, len(STYLES)),
        )  # fmt: skip
        taught, others = halves()
        self._learn(steps, taught, rng)
        self.checked = checked // len(STYLES) * len(STYLES)
        scenes, truth = _scenes(others, self.checked // len(STYLES), rng)
        with torch.no_grad():
            self.accuracy = float((self._net(scenes).argmax(1) == truth).float().mean())

    def style(self, image: Image.Image) -> str:
        """The style that a picture of 64x64 px is likeliest in, one of `STYLES`."""
        with torch.no_grad():
            scores = self._net((pil_to_tensor(image.convert("RGB")) / 255)[None])
        return STYLES[int(scores.argmax())]

    def _learn(self, steps: int, taught: np.ndarray, rng: np.random.Generator) -> None:
        self._net.train()
        optimizer = torch.optim.Adam(self._net.parameters(), lr=3e-3)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
            scenes, truth = _scenes(taught, EACH, rng)
            loss = F.cross_entropy(self._net(_worn(scenes, rng)), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self._net.eval()


def halves() -> tuple[np.ndarray, np.ndarray]:
    """Places in `world.icons()` that it learns from, and those that it does not, unseen icons among these."""
    taught = world.indices("known", "shown")[::2]
    return taught, np.setdiff1d(np.arange(len(world.icons())), taught)


def _block(inside: int, out: int) -> Sequence[nn.Module]:
    return nn.Conv2d(inside, out, 3, stride=2, padding=1), nn.BatchNorm2d(out), nn.ReLU()


def _scenes(pool: np.ndarray, each: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """So many scenes of each style, float32 [n, 3, 64, 64], and their places in `STYLES`."""
    made = [_scenes_in(style, pool, each, rng) for style in STYLES]
    return torch.cat(made), torch.arange(len(STYLES)).repeat_interleave(each)


def _scenes_in(style: str, pool: np.ndarray, count: int, rng: np.random.Generator) -> torch.Tensor:
    left, right = (torch.from_numpy(rng.choice(pool, count)) for _ in range(2))
    two = torch.from_numpy(rng.random(count) < 0.85)
    colours = world.colour_values()[rng.integers(len(world.COLOURS), size=count)]
    if style == PLAIN:
        slots = world.icon_slots()
        return world.compose(slots[left], slots[right], two, colours)
    return rendered_scenes(style, left, right, two, colours)


def _worn(scenes: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A little noise and softness, as a generator's pictures have."""
    soft = F.avg_pool2d(F.pad(scenes, (1,) * 4, mode="replicate"), 3, stride=1)
    share = torch.from_numpy(rng.random((len(scenes), 1, 1, 1), dtype=np.float32)) * 0.6
    noise = torch.from_numpy(rng.standard_normal(scenes.shape, dtype=np.float32)) * 0.03
    return torch.lerp(scenes, soft, share) + noise
