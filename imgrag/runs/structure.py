"""The structure of a run: the lines, depths or limbs that its images are drawn along. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from PIL import Image

from imgrag.errors import RequestError
from imgrag.runs.checking import check_number, in_brief
from imgrag.runs.styles import USES, Use

Kind = Literal["edges", "depth", "pose", "sketch", "lines"]
"""What a condition is made of: a picture's edges, depths or limbs, what a person sketched, or clean lines."""
KINDS: tuple[Kind, ...] = get_args(Kind)
OWN: Kind = "edges"
"""What is taken of an initial image, whose composition an enhanced one is to keep."""


_NAMES: Mapping[Kind, str] = {
    "edges": "a picture's edges", "depth": "a picture's depth", "pose": "a picture's pose", "sketch": "a sketch",
    "lines": "given lines",
}  # fmt: skip


@dataclass(frozen=True)
class Structured:
    """A structure that a person wants. `None` of a number means the profile's own value.

    Attributes:
        picture: what the condition is made of, as `condition_of` takes it; `None` for the initial image's own
            structure, which the enhanced images are to keep.
        kind: what to make of the picture.
        scale: how strongly it guides, 0 to 2.
        share: of the denoising steps, the first ones, that it guides.
        similar: what a picture of a similar look in the library is to give, `None` where none is sought.

    Raises:
        RequestError: a value is out of its range.
    """

    picture: Image.Image | None = field(default=None, repr=False)
    kind: Kind = "sketch"
    scale: float | None = None
    share: float | None = None
    similar: Use | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise RequestError(
                f"The kind of structure is {in_brief(self.kind)!r}; it must be one of {', '.join(KINDS)}."
            )
        check_number("scale of the structure", self.scale, 0, 2)
        check_number("share of the structure", self.share, 0, 1)
        if self.similar not in (None, *USES):
            raise RequestError(
                f"What is taken of similar pictures is {in_brief(self.similar)!r}; it must be both, style or thing."
            )
        if self.similar is not None and self.picture is None:
            raise RequestError(
                "Similar pictures are found by a sketch or a picture. Give one, or leave them out."
            )


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
        similar: what a picture of a similar look in the library gives, `None` where none is sought.
    """

    kind: Kind
    scale: float
    share: float
    image: Image.Image | None = field(default=None, repr=False, compare=False)
    initial: bool = False
    similar: Use | None = None

    @property
    def in_words(self) -> str:
        """For a sentence."""
        what = "the initial image's own edges" if self.initial else _NAMES[self.kind]
        return f"{what} (scale {self.scale:g}, share {self.share:g})"
