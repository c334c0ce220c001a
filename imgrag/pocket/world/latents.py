"""The latents of the pocket world: an orthogonal projection of every 8x8 px patch.

Principal components of the patches of random scenes (Turk & Pentland, "Eigenfaces", 1991,
applied to patches). They are strictly local, which is what makes copying a reference an easy
look-up; the autoencoder is trained to give them and to invert them.

The channels are partly evened out and kept small. With one common scale the background's three
channels had 90% of the variance and stood out of the noise at almost every timestep: after
128,000 samples the generator still drew what it saw in the noise and hardly read its prompt
(Chen, "On the Importance of Noise Scheduling for Diffusion Models", 2023, on input scaling).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from imgrag.pocket.world.world import colour_values, compose, icon_slots, indices

PATCH = 8  # px
CHANNELS = 32
SCENES = 6000
SEED = 7
EVENING = 0.35  # a channel of variance v is divided by v ** 0.35; 0.5 would whiten
VARIANCE = 0.36  # of the latents, all channels together


@dataclass(frozen=True)
class Projection:
    """`basis` [192, 32] with orthonormal columns, `mean` [192], and a `scale` for each channel [32]."""

    basis: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    def encode(self, scenes: torch.Tensor) -> torch.Tensor:
        """Scenes in 0..1 [b, 3, h, w] -> latents [b, 32, h / 8, w / 8]."""
        patches = F.unfold(scenes, PATCH, stride=PATCH)  # [b, 192, n]
        flat = torch.einsum("bpn,pc->bcn", patches - self.mean[None, :, None], self.basis)
        rows = scenes.shape[2] // PATCH
        return (flat * self.scale[:, None]).unflatten(2, (rows, -1))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """The least-squares inverse of `encode`: latents [b, 32, h, w] -> scenes [b, 3, 8h, 8w]."""
        size = (latents.shape[2] * PATCH, latents.shape[3] * PATCH)
        flat = latents.flatten(2) / self.scale[:, None]
        patches = torch.einsum("bcn,pc->bpn", flat, self.basis) + self.mean[None, :, None]
        return F.fold(patches, size, PATCH, stride=PATCH)


def random_scenes(count: int, rng: np.random.Generator, pool: np.ndarray) -> torch.Tensor:
    """True scenes of random objects from `pool`, float32 [count, 3, 64, 64] in 0..1."""
    slots = icon_slots()
    left, right = slots[rng.choice(pool, count)], slots[rng.choice(pool, count)]
    two = torch.from_numpy(rng.random(count) < 0.8)
    colours = colour_values()[rng.integers(len(colour_values()), size=count)]
    return compose(left, right, two, colours)


@cache
def projection() -> Projection:
    """The projection of this world; the same on every call and machine up to rounding."""
    scenes = random_scenes(SCENES, np.random.default_rng(SEED), indices("known", "shown"))
    patches = F.unfold(scenes, PATCH, stride=PATCH).transpose(1, 2).reshape(-1, 192).double()
    mean = patches.mean(0)
    centred = patches - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    basis = vectors.flip(1)[:, :CHANNELS]
    # An eigenvector's sign is arbitrary: fix it, so that two machines agree.
    basis = basis * torch.sign(basis.gather(0, basis.abs().argmax(0, keepdim=True)))
    variances = values.flip(0)[:CHANNELS]
    scale = variances**-EVENING
    scale = scale * (VARIANCE / (variances * scale**2).mean()).sqrt()
    return Projection(basis.float(), mean.float(), scale.float())
