"""The images that a run draws at first, all at once, of which one goes on. Pure values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

MAX_IMAGES = 4
MAX_SEED = 2**32 - 1
DRAFT = "draft"
"""What a person changes who takes another of them."""


@dataclass(frozen=True)
class Draft:
    """One of them.

    Attributes:
        image: `None` where it is to be drawn again.
        likelihood: how likely the judge finds it, in nats, that all is there; `None` until it is judged.
    """

    image: Image.Image | None = field(default=None, repr=False, compare=False)
    likelihood: float | None = None


def seeds_of(seed: int, images: int) -> list[int]:
    """The seeds of the images that are drawn at once: the run's own, and those after it."""
    return [(seed + number) % (MAX_SEED + 1) for number in range(images)]


def likeliest(drafts: Sequence[Draft]) -> int | None:
    """Which of them the judge finds likeliest, the first of those that are alike; `None` until all are judged."""
    judged = [draft.likelihood for draft in drafts if draft.likelihood is not None]
    return judged.index(max(judged)) if judged and len(judged) == len(drafts) else None


def name_of(number: int) -> str:
    """What a correction calls the draft of this index."""
    return f"image {number + 1}"


def draft_name(number: int) -> str:
    """The file of one of the images that were drawn at once; the first is 0."""
    return f"draft-{number + 1}.png"
