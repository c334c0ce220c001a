"""The values of a run: what was asked, what each stage found, what came of it.

All are frozen; a stage returns a new `Run`. Nothing here knows a model, a file or a page.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Literal, get_args

from PIL import Image

from imgrag.errors import RequestError
from imgrag.runs.asking import Exchange
from imgrag.runs.checking import check_number, in_brief
from imgrag.runs.drafts import MAX_IMAGES, MAX_SEED, Draft
from imgrag.runs.knowledge import WHENS, When
from imgrag.runs.reading import Reading, Sight
from imgrag.runs.structure import Structure, Structured
from imgrag.runs.styles import LONGEST_NAME, MAX_STYLES, Styled, Use
from imgrag.texts import clean

MAX_PROMPT = 2000  # characters
MAX_CONCEPTS = 3
MAX_ROUNDS = 5

StageName = Literal["reading", "initial", "verdict", "concepts", "references", "enhanced", "second_verdict"]
STAGES: tuple[StageName, ...] = get_args(StageName)
ONCE = STAGES[:3]
"""Those of the first round alone; the others come in every round."""
Status = Literal["done", "skipped", "corrected"]
State = Literal["running", "paused", "stopped", "failed", "finished"]


@dataclass(frozen=True)
class Request:
    """What a person asks for. `None` means the profile's own value.

    Whoever asks, the prompts pass `texts.clean` here, so that what is kept of a run can be written anywhere.

    Attributes:
        prompt: 1 to 2,000 characters.
        seed: of the draft and the enhanced image, 0 to 2**32 - 1.
        steps: denoising steps, 1 to 150.
        guidance_scale: classifier-free guidance, 0 to 30.
        adapter_scale: strength of the references, 0 to 2.
        similarity_floor: lowest cosine similarity, -1 to 1, at which a reference is used.
        max_concepts: missing concepts to fetch references for, 1 to 3.
        guided_share: share of the denoising steps, 0 to 1, that the references guide; the first ones.
        weights: of the references by position, each 0 to 2, multiplied with `adapter_scale`.
        rounds: how often to judge and draw again until the image matches, 1 to 5.
        library: a library's name or a folder of images.
        knowledge: when texts are looked up for the prompt.
        knowledge_base: the name of the knowledge base that they are looked up in.
        styles: to draw in, at most 4, each with a weight from 0 to 2.
        structure: what to draw along.
        images: how many are drawn at once at first, 1 to 4; the likeliest goes on.
        look_twice: whether candidates for a reference are looked at again before one is taken.
        larger: whether the kept image is made larger and cleaner, beside what it is.

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
    guided_share: float | None = None
    knowledge: When | None = None
    knowledge_base: str | None = None
    styles: tuple[Styled, ...] = ()
    structure: Structured | None = None
    images: int = 1
    look_twice: bool | None = None
    larger: bool | None = None

    def __post_init__(self) -> None:
        for name in ("prompt", "negative_prompt"):
            text = _checked_text(name.replace("_", " "), getattr(self, name))
            object.__setattr__(self, name, text)  # frozen for everybody else
        if not self.prompt.strip():
            raise RequestError(
                "The prompt is empty. Describe what to draw, for example: a dog and a toolbox."
            )
        check_number("seed", self.seed, 0, MAX_SEED, whole=True)
        check_number("number of steps", self.steps, 1, 150, whole=True)
        check_number("guidance scale", self.guidance_scale, 0, 30)
        check_number("adapter scale", self.adapter_scale, 0, 2)
        check_number("share of guided steps", self.guided_share, 0, 1)
        check_number("similarity floor", self.similarity_floor, -1, 1)
        check_number("number of concepts", self.max_concepts, 1, MAX_CONCEPTS, whole=True)
        check_number("number of images", self.images, 1, MAX_IMAGES, whole=True)
        check_number("number of rounds", self.rounds, 1, MAX_ROUNDS, whole=True)
        for weight in self.weights:
            check_number("weight of a reference", weight, 0, 2)
        if self.knowledge not in (None, *WHENS):
            raise RequestError(f"Knowledge is {in_brief(self.knowledge)}; it must be off, on or unknown.")
        for name in ("look_twice", "larger"):
            if (value := getattr(self, name)) is not None and not isinstance(value, bool):
                what = name.replace("_", " ")
                raise RequestError(f"The setting {what!r} is {in_brief(value)}; it must be true or false.")
        _checked_text("name of the knowledge base", self.knowledge_base or "")
        _check_styles(self.styles)


def _checked_text(what: str, text: Any) -> str:
    """The text, clean. Its length is looked at first: cleaning a hundred megabytes takes its time."""
    if not isinstance(text, str):
        raise RequestError(f"The {what} must be a text.")
    if len(text) > MAX_PROMPT:
        raise RequestError(
            f"The {what} has {len(text)} characters; at most {MAX_PROMPT} are allowed. Shorten it."
        )
    return clean(text)


def _check_styles(styles: Sequence[Styled]) -> None:
    if len(styles) > MAX_STYLES:
        raise RequestError(
            f"{len(styles)} styles are named; at most {MAX_STYLES} go into one image. Drop some."
        )
    for style in styles:
        if not isinstance(style.name, str) or not 0 < len(style.name) <= LONGEST_NAME:
            raise RequestError(f"A style has a name of 1 to {LONGEST_NAME} characters.")
        check_number("weight of a style", style.weight, 0, 2)
    if len({style.name for style in styles}) < len(styles):
        raise RequestError("A style is named twice. Name each once.")


@dataclass(frozen=True)
class Verdict:
    """What the VLM says of an image.

    It matches, it lacks what is `missing`, or neither is sure; `sights` tell it of each thing of the prompt.
    `raw` is its reply in its own words; `readable` that it says anything.
    """

    matches: bool
    missing: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    raw: str = ""
    readable: bool = True
    sights: tuple[Sight, ...] = ()

    @property
    def unsure(self) -> tuple[Sight, ...]:
        """The things of which it cannot be told whether they are there."""
        return tuple(sight for sight in self.sights if sight.outcome == "not sure")


def verdict_reply(seen: Sequence[str], missing: Sequence[str]) -> str:
    """The reply a model gives when it keeps to the format; what the pocket VLM is trained to say."""
    matches = "no" if missing else "yes"
    return (
        f"Seen: {', '.join(seen) or 'nothing'}\nMatches: {matches}\nMissing: {', '.join(missing) or 'none'}"
    )


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
    """A picture of the library. `file` is relative to the library, `score` a cosine similarity.

    `worded` is the share 0 to 1 of the name's words that stand in what the library has of it, the rarer the heavier.
    `sure` is the likelihood 0 to 1 that a model which looked again says yes to it; `None`: none looked.
    """

    file: str
    score: float
    name: str = ""
    caption: str = ""
    source: str = ""
    licence: str = ""
    id: int = 0  # in the library, while the file stays there
    worded: float = 0.0
    sure: float | None = None


@dataclass(frozen=True)
class Box:
    """A part of a picture: its edges as fractions of width and height, 0 at the left and top.

    Raises:
        RequestError: an edge lies outside of the picture, or the box has no area.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def __post_init__(self) -> None:
        for edge in (self.left, self.top, self.right, self.bottom):
            check_number("edge of a box", edge, 0, 1)
        if self.left >= self.right or self.top >= self.bottom:
            raise RequestError(
                f"The box from {self.left:g}, {self.top:g} to {self.right:g}, {self.bottom:g} has no area; "
                "its left edge must come before its right one and its top before its bottom."
            )

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in a picture of this size, at least one pixel each way."""
        left = min(round(self.left * width), width - 1)
        top = min(round(self.top * height), height - 1)
        return left, top, max(round(self.right * width), left + 1), max(round(self.bottom * height), top + 1)


WHOLE = Box()


@dataclass(frozen=True)
class Reference:
    """The picture chosen for a concept, and the candidates it was chosen from, best first.

    Attributes:
        image: the picture as it lies in the library, or as a person gave it.
        weight: 0 to 2, multiplied with the adapter's scale.
        crop: the part of the picture that is shown to the adapter and to the judge.
        region: the part of the enhanced image that it guides.
        own: a person's own picture; it lies in no library.
        use: whether its style or its thing alone guides.
    """

    concept: str
    chosen: Candidate
    image: Image.Image = field(repr=False, compare=False)
    weight: float = 1.0
    candidates: tuple[Candidate, ...] = ()
    crop: Box = WHOLE
    region: Box = WHOLE
    own: bool = False
    use: Use = "both"

    @property
    def picture(self) -> Image.Image:
        """What is used of the image."""
        return self.image if self.crop == WHOLE else self.image.crop(self.crop.pixels(*self.image.size))


@dataclass(frozen=True)
class Correction:
    """What a person changed: a value of a stage's finding, before and after, in words."""

    stage: StageName
    round: int
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class StageReport:
    """One line of the record: how a stage went. `peak_bytes` is the process's (or GPU's) peak.

    `reused` tells that the finding was taken over from the run that this one goes on from. `notes` are what the
    person should know, such as text that was cut, `asked` what the models were asked.
    """

    name: StageName
    status: Status
    seconds: float = 0.0
    peak_bytes: int = 0
    reason: str = ""
    model: str = ""
    round: int = 1
    reused: bool = False
    notes: tuple[str, ...] = ()
    asked: tuple[Exchange, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """How likely the judge finds it, in nats, that all is there, in the earlier image and in the enhanced one."""

    earlier: float
    enhanced: float


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
    comparison: Comparison | None = None  # made where the verdicts leave it open which image is better


@dataclass(frozen=True)
class Run:
    """Everything known so far. `kept` is 0 for the initial image, n for the nth round's, `larger` is it enlarged.

    A stage has run when it has a report; whatever goes on with a run computes only what has none.
    `parent` is the id of the run whose findings were corrected, `owner` tells whose history it is in.
    `drafts` are there where several images were drawn at once; `chosen` is the index of the initial one.
    """

    id: str
    request: Request
    profile: str
    library: str
    started: str  # ISO 8601, UTC
    settings: dict[str, Any]  # the request's values with the profile's filled in
    reading: Reading | None = None
    structure: Structure | None = None
    drafts: tuple[Draft, ...] = ()
    chosen: int = 0
    initial: Image.Image | None = field(default=None, repr=False, compare=False)
    rounds: tuple[Round, ...] = ()
    stages: tuple[StageReport, ...] = ()
    kept: int = 0
    larger: Image.Image | None = field(default=None, repr=False, compare=False)
    why: str = ""  # why this image is the result, or why the run ended early
    loads: int = 0  # model loads this run caused
    state: State = "running"
    corrections: tuple[Correction, ...] = ()
    parent: str = ""
    owner: str = ""

    @property
    def prompt(self) -> str:
        """What the models are asked for: the prompt as it was read."""
        return self.request.prompt if self.reading is None else self.reading.prompt

    @property
    def round(self) -> Round:
        """The round in hand."""
        return self.rounds[-1] if self.rounds else Round()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the stages want the person to know, each once."""
        return tuple(dict.fromkeys(note for report in self.stages for note in report.notes))

    def report(self, stage: StageName, number: int) -> StageReport | None:
        """How a stage of a round went, `None` while it has not run."""
        return next((r for r in self.stages if (r.name, r.round) == (stage, number)), None)

    def with_report(self, report: StageReport) -> Run:
        """A copy with this report, in the order of rounds and stages, whenever it came."""
        others = [r for r in self.stages if (r.name, r.round) != (report.name, report.round)]
        ordered = sorted((*others, report), key=lambda r: (r.round, STAGES.index(r.name)))
        return replace(self, stages=tuple(ordered))

    @property
    def verdict(self) -> Verdict | None:
        """What is said of the better image, `None` while nothing is."""
        if self.kept:
            return self.rounds[self.kept - 1].second_verdict
        return self.rounds[0].verdict if self.rounds else None

    @property
    def result(self) -> Image.Image | None:
        """The better image."""
        return self.rounds[self.kept - 1].enhanced if self.kept else self.initial

    def with_round(self, **changes: Any) -> Run:
        """A copy whose round in hand has these values."""
        return replace(self, rounds=(*self.rounds[:-1], replace(self.round, **changes)))


def new_id(now: datetime) -> str:
    """Such as "20261122-034416271828-ab12cd": the UTC time to the microsecond, so that ids sort by time, and a random part."""
    return f"{now.astimezone(timezone.utc):%Y%m%d-%H%M%S%f}-{secrets.token_hex(3)}"
