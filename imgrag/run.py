"""The values of a run: what was asked, what each stage found, what came of it.

All are frozen; a stage returns a new `Run`. Nothing here knows a model, a file or a page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from PIL import Image

from imgrag.errors import RequestError

MAX_PROMPT = 2000  # characters
MAX_CONCEPTS = 3
MAX_ROUNDS = 5
MAX_SEED = 2**32 - 1

StageName = Literal["initial", "verdict", "concepts", "references", "enhanced", "second_verdict"]
STAGES: tuple[StageName, ...] = ("initial", "verdict", "concepts", "references", "enhanced", "second_verdict")
Status = Literal["done", "skipped"]


@dataclass(frozen=True)
class Request:
    """What a person asks for. `None` means the profile's own value.

    Attributes:
        prompt: 1 to 2,000 characters.
        seed: of the draft and the enhanced image, 0 to 2**32 - 1.
        steps: denoising steps, 1 to 150.
        guidance_scale: classifier-free guidance, 0 to 30.
        adapter_scale: strength of the references, 0 to 2.
        similarity_floor: lowest cosine similarity, -1 to 1, at which a reference is used.
        max_concepts: missing concepts to fetch references for, 1 to 3.
        weights: of the references by position, each 0 to 2, multiplied with `adapter_scale`.
        rounds: how often to judge and draw again until the image matches, 1 to 5.
        library: a library's name or a folder of images.

    Raises:
        RequestError: a value is out of its range; the message names it and the range.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    steps: int | None = None
    guidance_scale: float | None = None
    adapter_scale: float | None = None
    similarity_floor: float | None = None
    max_concepts: int | None = None
    weights: tuple[float, ...] = ()
    rounds: int = 1
    library: str | None = None

    def __post_init__(self) -> None:
        _check_text("prompt", self.prompt)
        _check_text("negative prompt", self.negative_prompt)
        if not self.prompt.strip():
            raise RequestError(
                "The prompt is empty. Describe what to draw, for example: a dog and a toolbox."
            )
        _check_number("seed", self.seed, 0, MAX_SEED, whole=True)
        _check_number("steps", self.steps, 1, 150, whole=True)
        _check_number("guidance scale", self.guidance_scale, 0, 30)
        _check_number("adapter scale", self.adapter_scale, 0, 2)
        _check_number("similarity floor", self.similarity_floor, -1, 1)
        _check_number("number of concepts", self.max_concepts, 1, MAX_CONCEPTS, whole=True)
        _check_number("number of rounds", self.rounds, 1, MAX_ROUNDS, whole=True)
        for weight in self.weights:
            _check_number("weight of a reference", weight, 0, 2)


def _check_text(what: str, text: str) -> None:
    if len(text) > MAX_PROMPT:
        raise RequestError(
            f"The {what} has {len(text)} characters; at most {MAX_PROMPT} are allowed. Shorten it."
        )
    if "\x00" in text:
        raise RequestError(f"The {what} holds a NUL character. Remove it.")


def _check_number(what: str, value: float | None, low: float, high: float, whole: bool = False) -> None:
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise RequestError(f"The {what} is {value}; it must be {kind} from {low} to {high}.")


@dataclass(frozen=True)
class Verdict:
    """What the VLM says of an image. `raw` is its reply, word for word."""

    matches: bool
    missing: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    raw: str = ""


@dataclass(frozen=True)
class Concept:
    """A missing thing: its name, and the caption a reference is searched by."""

    name: str
    caption: str


@dataclass(frozen=True)
class Rejection:
    """A concept that is not looked up, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Candidate:
    """A picture of the library. `file` is relative to the library, `score` a cosine similarity."""

    file: str
    score: float
    name: str = ""
    caption: str = ""
    source: str = ""
    licence: str = ""
    id: int = 0  # in the library, while the file stays there


@dataclass(frozen=True)
class Reference:
    """The picture chosen for a concept, and the candidates it was chosen from, best first."""

    concept: str
    chosen: Candidate
    image: Image.Image = field(repr=False, compare=False)
    weight: float = 1.0
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class StageReport:
    """One line of the record: how a stage went. `peak_bytes` is the process's (or GPU's) peak."""

    name: StageName
    status: Status
    seconds: float = 0.0
    peak_bytes: int = 0
    reason: str = ""
    model: str = ""
    round: int = 1


@dataclass(frozen=True)
class Round:
    """One pass of judging and drawing again. A field is `None` until its stage has run.

    The first round's `verdict` is of the initial image, a later round's is the second verdict
    of the round before. `references` hold those of earlier rounds too: they guide together.
    """

    verdict: Verdict | None = None
    concepts: tuple[Concept, ...] | None = None
    rejected: tuple[Rejection, ...] = ()
    references: tuple[Reference, ...] | None = None
    unfound: tuple[Rejection, ...] = ()  # concepts without a good reference, and why
    enhanced: Image.Image | None = field(default=None, repr=False, compare=False)
    second_verdict: Verdict | None = None


@dataclass(frozen=True)
class Run:
    """Everything known so far. `kept` is 0 for the initial image, n for the nth round's."""

    id: str
    request: Request
    profile: str
    library: str
    started: str  # ISO 8601, UTC
    settings: dict[str, Any]  # the request's values with the profile's filled in
    initial: Image.Image | None = field(default=None, repr=False, compare=False)
    rounds: tuple[Round, ...] = ()
    stages: tuple[StageReport, ...] = ()
    notes: tuple[str, ...] = ()  # words the generator does not know, text that was cut, ...
    kept: int = 0
    why: str = ""  # why this image is the result, or why the run ended early
    loads: int = 0  # model loads this run caused

    @property
    def round(self) -> Round:
        """The round in hand."""
        return self.rounds[-1] if self.rounds else Round()

    @property
    def result(self) -> Image.Image | None:
        """The better image."""
        return self.rounds[self.kept - 1].enhanced if self.kept else self.initial

    def with_round(self, **changes: Any) -> Run:
        """A copy whose round in hand has these values."""
        return replace(self, rounds=(*self.rounds[:-1], replace(self.round, **changes)))
