"""The structure of a run: the lines, depths or limbs that its images are drawn along. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from PIL import Image

Kind = Literal["edges", "depth", "pose", "sketch", "lines"]
"""What a condition is made of: a picture's edges, depths or limbs, what a person sketched, or clean lines."""
KINDS: tuple[Kind, ...] = get_args(Kind)
OWN: Kind = "edges"
"""What is taken of an initial image, whose composition an enhanced one is to keep."""


@dataclass(frozen=True)
class Structure:
    """A structure as a run is drawn along it.

    Attributes:
        kind: what the condition was made of.
        scale: how strongly it guides, 0 to 2.
        share: of the denoising steps, the first ones, that it guides.
        image: the condition, RGB of the output's size, white lines on black for all but depth and pose; `None` until
            the initial image is there whose own structure it is to be.
        initial: it is the initial image's own, for the enhanced ones.
    """

    kind: Kind
    scale: float
    share: float
    image: Image.Image | None = field(default=None, repr=False, compare=False)
    initial: bool = False

    @property
    def in_words(self) -> str:
        """For a sentence."""
        what = "the initial image's own edges" if self.initial else f"a picture's {self.kind}"
        named = {"sketch": "a sketch", "lines": "lines"}
        what = what if self.initial else named.get(self.kind, what)
        return f"{what}, scale {self.scale:g}, share {self.share:g}"
