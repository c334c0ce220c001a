"""Pixels as models take them, and as a soft lens shows them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def normalise(pictures: torch.Tensor) -> torch.Tensor:
    """RGB in 0..1 [..., 3, h, w], as CLIP's processor gives it."""
    mean = torch.tensor(CLIP_MEAN).view(3, 1, 1)
    std = torch.tensor(CLIP_STD).view(3, 1, 1)
    return (pictures - mean) / std


def soften(pictures: torch.Tensor, rng: np.random.Generator, low: float, high: float) -> torch.Tensor:
    """Gaussian blur with one sigma in px for the whole batch."""
    sigma = rng.uniform(low, high)
    if sigma < 0.15:
        return pictures
    ticks = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (ticks / sigma) ** 2)
    kernel = (kernel / kernel.sum()).repeat(pictures.shape[1], 1)
    padded = F.pad(pictures, (3, 3, 3, 3), mode="replicate")
    across = F.conv2d(padded, kernel[:, None, None, :], groups=pictures.shape[1])
    return F.conv2d(across, kernel[:, None, :, None], groups=pictures.shape[1])
