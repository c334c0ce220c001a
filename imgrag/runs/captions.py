"""What a captioned picture is: its neighbours, the prompt made of their captions, and what was written.

As in retrieval-augmented captioning (SmallCap; Ramos et al., 2023) a model is told what similar pictures are said
to show. Here it is told that of the picture's parts too, which see a thing that the whole hides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from imgrag.errors import RequestError
from imgrag.runs.values import Box, Candidate, in_brief
from imgrag.texts import clean_line

CaptionStage = Literal["neighbours", "prompt", "caption"]
CAPTION_STAGES: tuple[CaptionStage, ...] = get_args(CaptionStage)
WHOLE_PICTURE = "whole"
SEVERAL = " / "  # between the captions of a picture that has several
NOTHING = "nothing"
SOMETHING = "something"  # what the pocket captioner calls what no neighbour tells of
ASKED = "Caption:"
LONGEST = 160  # characters of a neighbour's caption that are read
MAX_CAPTION = 2000  # characters
MAX_CAPTION_PROMPT = 8000  # characters
MOST_NEIGHBOURS = 50
MOST_CELLS = 3
ACROSS = {1: ("",), 2: ("left", "right"), 3: ("left", "middle", "right")}
DOWN = {1: ("",), 2: ("upper", "lower"), 3: ("upper", "central", "lower")}


@dataclass(frozen=True)
class Neighbour:
    """A picture of the library that is like a picture, or like a part of it.

    Attributes:
        part: `WHOLE_PICTURE`, or the name of a part.
        counts: whether it is like enough for its caption to be read.
    """

    part: str
    candidate: Candidate
    counts: bool = True

    @property
    def caption(self) -> str:
        """The first of its captions, as the prompt has it."""
        return next(iter(own_captions(self.candidate.caption)), "")[:LONGEST]


@dataclass(frozen=True)
class CaptionReport:
    """How a stage went."""

    name: CaptionStage
    seconds: float
    model: str = ""


@dataclass(frozen=True)
class Captioned:
    """Everything known of a picture's caption so far.

    Attributes:
        file: what the picture is called, "" if nobody said.
        parts: those that were looked at, the whole first.
        neighbours: by part, the most similar first; those that a person took out are not among them.
        prompt: what the model is asked; a person may have edited it.
        caption: what it wrote, "" while it has not.
        adapter: the LoRA that the model wore.
        edited: whether the prompt is a person's own.
        note: what the person should know.
    """

    id: str = ""
    file: str = ""
    library: str = ""
    parts: tuple[str, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    prompt: str = ""
    caption: str = ""
    model: str = ""
    adapter: str = ""
    edited: bool = False
    note: str = ""
    stages: tuple[CaptionReport, ...] = ()


def check_neighbours(k: int | None) -> None:
    """Raises RequestError: there cannot be so many neighbours."""
    if k is not None and (isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST_NEIGHBOURS):
        raise RequestError(
            f"The number of neighbours is {in_brief(k)}; it must be a whole number from 1 to {MOST_NEIGHBOURS}."
        )


def parts_of(columns: int, rows: int, size: float) -> dict[str, Box]:
    """The parts of a picture by name, in reading order: as large a share of it each, spread evenly.

    "left", "upper right", "central"; none of a grid with a single cell.
    """
    if columns * rows == 1:
        return {}
    return {
        f"{down} {across}".strip(): Box(x, y, min(1.0, x + size), min(1.0, y + size))
        for down, y in zip(DOWN[rows], _edges(rows, size), strict=True)
        for across, x in zip(ACROSS[columns], _edges(columns, size), strict=True)
    }


def _edges(count: int, size: float) -> list[float]:
    return [(1 - size) / 2] if count == 1 else [(1 - size) * at / (count - 1) for at in range(count)]


def own_captions(caption: str) -> list[str]:
    """The captions of a picture, of which COCO has five."""
    return [text for part in caption.split(SEVERAL) if (text := clean_line(part))]


def told_of(parts: Iterable[str], neighbours: Iterable[Neighbour]) -> dict[str, list[str]]:
    """The captions that count, by part."""
    told: dict[str, list[str]] = {part: [] for part in parts}
    for neighbour in neighbours:
        if neighbour.counts and neighbour.caption:
            told.setdefault(neighbour.part, []).append(neighbour.caption)
    return told


def caption_prompt(told: Mapping[str, Sequence[str]]) -> str:
    """The prompt for captions by part, the whole first; a part without any is told as such.

    What several captions of one part say alike is told once.
    """
    return "\n".join([*(_line(part, captions) for part, captions in told.items()), ASKED])


def _line(part: str, captions: Sequence[str]) -> str:
    title = "Like it" if part == WHOLE_PICTURE else f"Its {part}"
    return f"{title}: {'; '.join(dict.fromkeys(captions)) or NOTHING}"
