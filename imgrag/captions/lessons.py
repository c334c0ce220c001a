"""What a captioner's LoRA is learnt from: prompts made of a library's captions, and the captions that people wrote.

A picture's own captions are never among its neighbours', or it would learn to copy the answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from imgrag.captions.pipeline import BATCH, CaptionPipeline, CaptionRequest
from imgrag.errors import LibraryError, RequestError
from imgrag.library import ImageLibrary
from imgrag.library.engines.store import WRITTEN_BY, Entry
from imgrag.models.profile import tomllib
from imgrag.runs.captions import caption_prompt, own_captions, told_of
from imgrag.runs.values import in_brief

SETTINGS = Path(__file__).with_name("lora.toml")
LEAST = 10  # pictures with captions
PAGE = 1000


@dataclass(frozen=True)
class Lesson:
    """How a LoRA is learnt; see `lora.toml`."""

    rank: int
    alpha: int
    dropout: float
    targets: tuple[str, ...]
    rate: float
    batch: int
    dropped: float
    validation: float
    samples: int = 5000
    epochs: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("rank", 1, 256), ("alpha", 1, 1024), ("dropout", 0, 0.9), ("rate", 1e-7, 1), ("batch", 1, 1024),
            ("dropped", 0, 0.9), ("validation", 0.01, 0.5), ("samples", LEAST, 10**6), ("epochs", 1, 1000),
            ("seed", 0, 2**31),
        ):  # fmt: skip
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise RequestError(f"The {name} is {in_brief(value)}, not from {least:g} to {most:g}.")
        if not self.targets or not all(isinstance(target, str) for target in self.targets):
            raise RequestError("The targets must be a list of names of layers.")


@dataclass(frozen=True)
class Sample:
    """A prompt, the caption to learn, and all captions of the picture, to measure by."""

    file: str
    prompt: str
    target: str
    captions: tuple[str, ...]


def read_lesson(path: Path = SETTINGS, **chosen: int) -> Lesson:
    """The settings of a TOML file with what a person chose besides. Raises RequestError: they make no sense."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Lesson(**{**table, "targets": tuple(table.get("targets", ())), **chosen})
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"The settings {path.name!r} cannot be used: {in_brief(error)}.") from error


def captioned(library: ImageLibrary) -> Iterator[Entry]:
    """The pictures that a person captioned, in the order they came."""
    for start in range(0, library.count(), PAGE):
        for entry in library.entries(start, PAGE):
            if own_captions(entry.caption) and WRITTEN_BY not in entry.fields:
                yield entry


def samples(
    captions: CaptionPipeline,
    library: ImageLibrary,
    request: CaptionRequest,
    lesson: Lesson,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> list[Sample]:
    """Prompts and captions of as many pictures as there are and as are wanted, by the seed in an order of their own.

    Raises:
        LibraryError: too few pictures have captions, or one cannot be read.
    """
    search = captions.search(request)
    entries = list(captioned(library))
    if len(entries) < LEAST:
        raise LibraryError(
            f"{len(entries)} pictures of the library {library.name!r} have a caption that a person wrote; "
            f"at least {LEAST} are needed."
        )
    rng = np.random.default_rng(lesson.seed)
    chosen = [entries[i] for i in rng.permutation(len(entries))[: lesson.samples]]
    made: list[Sample] = []
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        found = captions.found(
            [library.open(entry.file) for entry in batch], search, [entry.digest for entry in batch]
        )
        for entry, near in zip(batch, found, strict=True):
            kept = () if rng.random() < lesson.dropped else near
            own = own_captions(entry.caption)
            prompt = caption_prompt(told_of(search.parts, kept))
            made.append(Sample(entry.file, prompt, own[int(rng.integers(len(own)))], tuple(own)))
        told(len(made), len(chosen))
    return made


def split(made: Sequence[Sample], lesson: Lesson) -> tuple[list[Sample], list[Sample]]:
    """Those to train by and those to measure by."""
    kept = max(1, round(len(made) * lesson.validation))
    return list(made[kept:]), list(made[:kept])


def write_samples(made: Sequence[Sample], file: Path) -> None:
    """As JSON lines, whole or not at all."""
    partial = file.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as lines:
        for sample in made:
            lines.write(json.dumps(asdict(sample), ensure_ascii=False) + "\n")
    os.replace(partial, file)


def read_samples(file: Path) -> list[Sample]:
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [Sample(row["file"], row["prompt"], row["target"], tuple(row["captions"])) for row in rows]


def digest(*parts: object) -> str:
    """Changes with any of these."""
    return sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:12]
