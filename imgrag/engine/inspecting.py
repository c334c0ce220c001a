"""A drawing of a run, drawn again to look inside: its film, and where words and references acted.

The stage itself draws, with the values that it had then, so the image is the same bit for bit; beside it a `Watch`
takes in what the generator does. Nobody pays for it who does not ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from imgrag.archive.records import pixel_hash
from imgrag.engine.context import Context, Lender, Lending
from imgrag.engine.stages import Stage, draw, enhance
from imgrag.engine.styling import drawn_as
from imgrag.errors import RequestError
from imgrag.models.attention import Watch, Word
from imgrag.runs.inside import Heat, Inside
from imgrag.runs.layout import regions_of
from imgrag.runs.values import Run, StageName

DRAWN: Mapping[StageName, Stage] = {"initial": draw, "enhanced": enhance}
NO_ATTENTION = "This generator has no cross-attention, so where words and references acted cannot be shown."
NO_REFERENCES = "This generator does not show where references acted."


def inspected(run: Run, stage: StageName, number: int, context: Context) -> Inside:
    """Draw one of a run's images again and look inside.

    Args:
        number: of the round, for an enhanced image.

    Raises:
        RequestError: the run has no such image, or it was not drawn here.
    """
    before = _image(run, stage, number)
    if before is None:
        raise RequestError("This image is not drawn yet, so there is nothing to look into.")
    report = run.report(stage, number)
    if report is None or report.status != "done":
        raise RequestError("This image was not drawn here but given, so there is nothing to look into.")
    again, frames, heats = watched(run, stage, number, context)
    image = _image(again, stage, number)
    assert image is not None
    same = pixel_hash(image) == pixel_hash(before)
    return Inside(stage, number, image, tuple(frames), tuple(heats), same, _note(stage, heats))


def watched(
    run: Run, stage: StageName, number: int, context: Context
) -> tuple[Run, list[Image.Image], list[Heat]]:
    """The run with an image drawn anew, its film, and where words and references acted."""
    watch = Watch(run.chosen if stage == "initial" else 0)
    then = replace(run, rounds=run.rounds[:number])
    again = DRAWN[stage](then, replace(context, residency=Watched(context.residency, watch)))
    heats = [*_words(watch, run), *(_references(watch, then, context) if stage == "enhanced" else ())]
    return again, watch.frames, heats


class Watched(Lending):
    """Lends what a residency lends; the generator among it draws under a watch."""

    def __init__(self, lender: Lender, watch: Watch) -> None:
        super().__init__(
            lender, lambda role, model: WatchedGenerator(model, watch) if role == "generator" else model
        )


class WatchedGenerator:
    """A generator that shows what it does while it draws."""

    def __init__(self, generator: Any, watch: Watch) -> None:
        self._generator = generator
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def draw(self, prompt: str, **settings: Any) -> list[Image.Image]:
        """See `imgrag.models.Generator`."""
        drawn: list[Image.Image] = self._generator.draw(prompt, **settings, watch=self._watch)
        return drawn


def _image(run: Run, stage: StageName, number: int) -> Image.Image | None:
    if stage == "initial":
        return run.initial
    return run.rounds[number - 1].enhanced if 1 <= number <= len(run.rounds) else None


def _note(stage: StageName, heats: Sequence[Heat]) -> str:
    if not heats:
        return NO_ATTENTION
    shown = stage == "initial" or any(heat.kind == "reference" for heat in heats)
    return "" if shown else NO_REFERENCES


def _words(watch: Watch, run: Run) -> Iterator[Heat]:
    """A map for each thing that the prompt names and for each other word of it, its tokens averaged."""
    maps = watch.maps("words")
    if maps is None:
        return
    for words in _grouped(_own(watch, run), [thing.spelling for thing in _things(run)]):
        tokens = [place for word in words for place in word.tokens if place < maps.shape[1]]
        if tokens:
            yield Heat(" ".join(word.text for word in words), "word", maps[:, tokens].mean(axis=1))


def _things(run: Run) -> Sequence[Any]:
    return () if run.reading is None else run.reading.things


def _own(watch: Watch, run: Run) -> list[Word]:
    """The words without those that the profile's wording of the second drawing puts before them."""
    own = len(_letters(drawn_as(run.prompt, run)))
    left = sum(len(word.text) for word in watch.words) - own
    kept = []
    for word in watch.words:
        if left <= 0:
            kept.append(word)
        left -= len(word.text)
    return kept


def _letters(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


def _grouped(words: Sequence[Word], names: Sequence[str]) -> list[list[Word]]:
    """Words, those that are a name together as one."""
    spelt = [name.casefold().split() for name in names]
    groups, at = [], 0
    while at < len(words):
        texts = [word.text.casefold() for word in words[at:]]
        size = max((len(name) for name in spelt if name and texts[: len(name)] == name), default=1)
        groups.append(list(words[at : at + size]))
        at += size
    return groups


def _references(watch: Watch, run: Run, context: Context) -> Iterator[Heat]:
    """A map for each reference, whatever many places it guides."""
    maps, references = watch.maps("pictures"), run.round.references or ()
    places = [len(list(regions_of(reference, run, context.layout))) for reference in references]
    if maps is None or maps.shape[1] != sum(places):
        return
    ends = np.cumsum(places)
    for reference, end, count in zip(references, ends, places, strict=True):
        yield Heat(reference.concept, "reference", maps[:, end - count : end].sum(axis=1))
