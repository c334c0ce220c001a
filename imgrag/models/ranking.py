"""The parts of a profile that say how what was found is looked at again, and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imgrag.models.places import Checkpoint, require
from imgrag.runs.values import in_brief

Kind = Literal["words", "picture", "both"]
WAYS = ("score", "collage")
MOST_LOOKED_AT = 24


@dataclass(frozen=True, kw_only=True)
class RankingProfile:
    """How the best of a search are ranked.

    Each is scored by its cosine similarity plus a weight times the log-odds of "yes" to whether it is what is asked for.

    Attributes:
        way: "score" asks about each picture by itself, "collage" shows the VLM all of them at once.
        best: how many are looked at.
        words: the weight where words alone are asked.
        picture: likewise of a picture alone.
        both: likewise of a picture and words together.
        fills: share of the side that a picture has when it is looked at, on its border's colour.
        passes: likelihood of "yes" from which on a picture counts as what is asked for.
        look_twice: whether a run ranks the candidates of a reference so before it takes one.
    """

    way: str = "score"
    best: int = 8
    words: float = 0.02
    picture: float = 0.02
    both: float = 0.02
    fills: float = 1.0
    passes: float = 0.5
    look_twice: bool = False

    def __post_init__(self) -> None:
        require(self.way in WAYS, f"ranking.way is {self.way!r}, none of {', '.join(WAYS)}")
        require(
            2 <= self.best <= MOST_LOOKED_AT,
            f"ranking.best is {in_brief(self.best)}, not from 2 to {MOST_LOOKED_AT}",
        )
        for name in ("words", "picture", "both"):
            weight = getattr(self, name)
            require(0 <= weight <= 1, f"ranking.{name} is {weight}, not from 0 to 1")
        require(0.1 <= self.fills <= 1, f"ranking.fills is {self.fills}, not from 0.1 to 1")
        require(0 <= self.passes <= 1, f"ranking.passes is {self.passes}, not from 0 to 1")

    def weight(self, kind: Kind) -> float:
        """Of the log-odds, where that is asked."""
        return {"words": self.words, "picture": self.picture, "both": self.both}[kind]


@dataclass(frozen=True, kw_only=True)
class RerankerProfile:
    """A checkpoint that was trained to say whether a picture is what is asked for. Without one the VLM is asked.

    Pictures are scaled until their area lies within the bounds (pixels).
    """

    checkpoint: Checkpoint
    min_pixels: int
    max_pixels: int
    dtype: str = "float32"
    instruction: str = "Retrieve images relevant to the user's query."
