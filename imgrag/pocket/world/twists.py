"""New icons out of old ones, for what has to be copied and cannot be known: mirrored, turned, recoloured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Twist:
    """One way of making a new icon out of an old one."""

    channels: tuple[int, int, int]
    mirrored: bool
    turns: int  # quarter turns

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        """RGBA [4, h, w] -> the same shape."""
        picture = picture[[*self.channels, 3]]
        if self.mirrored:
            picture = picture.flip(2)
        return torch.rot90(picture, self.turns, (1, 2)) if self.turns else picture


def draw_twist(rng: np.random.Generator) -> Twist:
    channels = tuple(rng.permutation(3).tolist()) if rng.random() < 0.6 else (0, 1, 2)
    mirrored = bool(rng.random() < 0.5)
    return Twist(channels, mirrored, int(rng.integers(1, 4)) if rng.random() < 0.2 else 0)


def vary(slots: torch.Tensor, which: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """New icons out of old ones where `which` [b] says so."""
    varied = slots.clone()
    for i in which.nonzero()[0]:
        varied[i] = draw_twist(rng)(slots[i])
    return varied
