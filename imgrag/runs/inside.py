"""What is seen inside of a drawing: its film, and where words and references acted in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image

from imgrag.runs.values import StageName


@dataclass(frozen=True)
class Heat:
    """Where a word or a reference acted.

    Attributes:
        name: the word or thing as the prompt has it, or the reference's concept.
        maps: float32 [steps, h, w], 0 and more, over the image; averaged over the heads and layers of each step.
    """

    name: str
    kind: Literal["word", "reference"]
    maps: np.ndarray = field(repr=False, compare=False)

    @property
    def mean(self) -> np.ndarray:
        """The map of all steps together, float32 [h, w]."""
        return np.asarray(self.maps.mean(axis=0))


@dataclass(frozen=True)
class Inside:
    """An image of a run, drawn again and watched.

    Attributes:
        image: as it was drawn now.
        frames: what the image looked like after each denoising step, the last one it is itself.
        heats: words in the prompt's order, then references; none where the generator shows nothing of them.
        same: whether it is the run's own image, pixel for pixel.
        note: what the person should know besides, "" if nothing.
    """

    stage: StageName
    round: int
    image: Image.Image = field(repr=False)
    frames: tuple[Image.Image, ...] = field(repr=False)
    heats: tuple[Heat, ...]
    same: bool
    note: str = ""
