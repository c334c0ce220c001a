"""The part of a profile that says how captions are found for a picture, and which of them count."""

from __future__ import annotations

from dataclasses import dataclass

from imgrag.errors import ProfileError
from imgrag.pictures import is_colour
from imgrag.runs.captions import MOST_CELLS, MOST_NEIGHBOURS
from imgrag.runs.values import in_brief


@dataclass(frozen=True, kw_only=True)
class CaptionsProfile:
    """How captions are written.

    Attributes:
        library: whose captions are read unless a request names another.
        k: neighbours of the whole picture.
        k_parts: neighbours of each part.
        columns: of the grid of parts; one column and one row are no parts.
        rows: of the grid of parts.
        part: width and height of a part, as a share of the picture's; parts may overlap.
        part_ground: the colour on which parts with a plain ground are looked at, as the library's pictures of single
            things have it; "" for as they are.
        floor: lowest cosine similarity at which a neighbour of the whole counts.
        part_floor: likewise of a part.
        ahead: by how much the first neighbour of a part must stand out from the next five to count, see
            `captions.neighbours`; 0 for not at all.
    """

    library: str = ""
    k: int = 5
    k_parts: int = 2
    columns: int = 2
    rows: int = 2
    part: float = 0.6
    part_ground: str = ""
    floor: float = -1.0
    part_floor: float = -1.0
    ahead: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("k", MOST_NEIGHBOURS), ("k_parts", MOST_NEIGHBOURS), ("columns", MOST_CELLS), ("rows", MOST_CELLS)):  # fmt: skip
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ProfileError(f"captions.{name} is {in_brief(value)}, not from 1 to {most}")
        for name in ("floor", "part_floor"):
            if not -1 <= getattr(self, name) <= 1:
                raise ProfileError(f"captions.{name} is {getattr(self, name)}, not from -1 to 1")
        if self.part_ground and not is_colour(self.part_ground):
            raise ProfileError(f"captions.part_ground {self.part_ground!r} is no colour")
        if not 0 < self.part <= 1:
            raise ProfileError(f"captions.part is {self.part}, not above 0 and up to 1")
        if not 0 <= self.ahead <= 2:
            raise ProfileError(f"captions.ahead is {self.ahead}, not from 0 to 2")
