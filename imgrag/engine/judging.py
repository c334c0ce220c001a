"""What a judge makes of an image: its own words, and each thing of the prompt by itself.

One short question a thing, answered by the likelihood of "yes" against "no" (VQAScore, Lin et al., 2024; TIFA,
Hu et al., 2023; DSG, Cho et al., 2024). Words and likelihoods have to agree before a thing counts as there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TypeVar

import simplemma
from PIL import Image

from imgrag.engine.context import Context
from imgrag.engine.prompts import SAME, Introduced, parse_verdict, spelt_as_in, thing_question
from imgrag.engine.reading.lexicon import is_english, is_plural, singular
from imgrag.engine.reading.phrases import counted
from imgrag.engine.reading.things import PLURAL
from imgrag.engine.reading.words import DETERMINERS
from imgrag.library import is_literal
from imgrag.models import Chat, Judge
from imgrag.pictures import columns
from imgrag.runs.decisions import folded
from imgrag.runs.layout import FREE
from imgrag.runs.reading import SEEN, Reading, Sight, Thing
from imgrag.runs.values import MAX_SEED, Candidate, Comparison, Reference, Run, StageName, Verdict
from imgrag.runs.variation import WARM, times_asked

T = TypeVar("T")
TEMPERATURES = (0.0, 0.3, 0.7)
"""Of the first question and of each time it is asked again."""
LEAST = 1e-6  # of a likelihood, so that its logarithm is a number


def ask(
    chat: Chat,
    question: str,
    images: Sequence[Image.Image],
    parse: Callable[[str], T | None],
    run: Run,
    context: Context,
    stage: StageName | None = None,
) -> tuple[T | None, str]:
    """What a reply says, and the reply; asked again with rising temperature while it cannot be read.

    Where a person had the stage's model asked again, none of the questions is at 0 and each has a seed of its own.
    """
    raw, times = "", 0 if stage is None else times_asked(run, stage)
    for attempt, usual in enumerate(TEMPERATURES):
        context.check()
        temperature = max(usual, WARM) if times else usual
        seed = (run.settings["seed"] + attempt + len(TEMPERATURES) * times) % (MAX_SEED + 1)
        raw = chat.reply(question, images, temperature=temperature, seed=seed)
        parsed = parse(raw)
        if parsed is not None:
            return parsed, raw
    return None, raw


def verdict_on(
    vlm: Judge,
    images: Sequence[Image.Image],
    question: str,
    introduced: Sequence[Introduced],
    run: Run,
    context: Context,
    stage: StageName,
) -> tuple[Verdict | None, str]:
    """The VLM's verdict on the first image, its names spelt as in the prompt, a sight for each thing, and its reply."""
    verdict, raw = ask(vlm, question, images, parse_verdict, run, context, stage)
    if verdict is None:
        return None, raw
    missing = tuple(spelt_as_in(run.prompt, name) for name in verdict.missing)
    verdict = replace(verdict, missing=missing)
    if run.reading is None:
        return verdict, raw
    unwanted = _unwanted(vlm, images, run.reading, context)
    if not run.reading.things:
        closed = context.vocabulary is not None
        missing = tuple(name for name in missing if not closed or is_asked(name, run))
        matches = verdict.matches and not closed
        return replace(verdict, matches=matches, missing=missing, sights=unwanted), raw
    surenesses = dict(
        zip(run.reading.drawn, sureness_of(vlm, images, run.reading.drawn, introduced), strict=True)
    )
    look = _Look(
        verdict,
        shown=folded([reference.concept for reference in introduced if reference.alike is None]),
        dubious=_dubious(vlm, images, introduced, context),
        counts=_counts(vlm, images, run.reading.drawn, introduced, context),
        context=context,
    )
    sights = tuple(look.sight(thing, surenesses.get(thing)) for thing in run.reading.things)
    return with_sights(verdict, (*sights, *unwanted), closed=context.vocabulary is not None), raw


def with_sights(verdict: Verdict, sights: Sequence[Sight], closed: bool) -> Verdict:
    """The verdict as its words and its sights have it together: it matches only if each thing is there.

    What the judge calls missing without being a thing of the prompt, such as a style, counts where the models'
    words have no end; elsewhere it is a word that they made up.
    """
    named = folded([sight.name for sight in sights])
    absent = [sight.name for sight in sights if sight.outcome == "absent"]
    others = [] if closed else [name for name in verdict.missing if name.casefold() not in named]
    there = all(sight.outcome == "there" for sight in sights)
    said = verdict.matches or (closed and bool(verdict.missing) and not folded(verdict.missing) & named)
    return replace(
        verdict, matches=said and there and not others, missing=(*absent, *others), sights=tuple(sights)
    )


def is_asked(name: str, run: Run) -> bool:
    """Whether all words of a name are words of the prompt: as typed, translated, or written again."""
    assert run.reading is not None
    told = run.reading.augmentation
    texts = (run.request.prompt, run.reading.translation, told.rewritten if told else "")
    words = _lemmas(name)
    return bool(words) and words <= _lemmas(" ".join(texts))


def _lemmas(text: str) -> set[str]:
    return {simplemma.lemmatize(word, "en") for word in re.findall(r"[^\W\d_]+", text.casefold())}


def sureness_of(
    vlm: Judge, images: Sequence[Image.Image], things: Sequence[Thing], introduced: Sequence[Introduced]
) -> list[float]:
    """How sure the judge is of each thing in the first image, 0 to 1."""
    return vlm.sureness([thing_question(thing.name, introduced) for thing in things], images)


def is_called(candidate: Candidate, name: str) -> bool:
    """Whether a picture is called that, or what it is called holds it; of a plain word that says too little."""
    return is_literal(candidate, name) or (candidate.worded >= 1 and not is_english(name))


def introduction(reference: Reference, run: Run, context: Context) -> Introduced:
    """How a reference is shown to the judge: as the thing, or as the nearest picture that there is."""
    by_hand = any(c.stage == "references" and c.what.endswith(reference.concept) for c in run.corrections)
    called = is_called(reference.chosen, reference.concept)
    if reference.own or by_hand or called or reference.chosen.score >= context.close:
        return Introduced(reference.concept)
    return Introduced(reference.concept, reference.chosen.score)


def compare(vlm: Judge, introduced: Sequence[Introduced], run: Run) -> Comparison:
    """The likelihoods of all things together, with each of the two images in the first place."""
    references, enhanced = run.round.references, run.round.enhanced
    assert references and enhanced is not None and run.result is not None
    pictures = [reference.picture for reference in references]
    earlier, later = (
        likelihood(vlm, [image, *pictures], introduced, run) for image in (run.result, enhanced)
    )
    return Comparison(earlier, later)


def likelihood(
    vlm: Judge, images: Sequence[Image.Image], introduced: Sequence[Introduced], run: Run
) -> float:
    """How likely it is, in nats, that all things of the prompt are in the first image."""
    things = run.reading.drawn if run.reading is not None else ()
    things = things or (Thing(run.prompt, run.prompt),)
    return sum(math.log(max(LEAST, sure)) for sure in sureness_of(vlm, images, things, introduced))


def _dubious(
    vlm: Judge, images: Sequence[Image.Image], introduced: Sequence[Introduced], context: Context
) -> dict[str, float]:
    """The concepts whose picture is only the nearest there is, and not found in the image without its name."""
    nearest = [
        (reference, picture)
        for reference, picture in zip(introduced, images[1:], strict=True)
        if reference.alike is not None
    ]
    return {
        reference.concept.casefold(): reference.alike or 0.0
        for reference, picture in nearest
        if vlm.sureness([SAME], [images[0], picture])[0] < context.sure_yes
    }


def _unwanted(
    vlm: Judge, images: Sequence[Image.Image], reading: Reading, context: Context
) -> tuple[Sight, ...]:
    """What is there for sure, of the known things that the prompt does not want."""
    if context.vocabulary is None:
        return ()
    names = [name for name in reading.negative.split(", ") if context.vocabulary.knows(name)]
    surenesses = sureness_of(vlm, images, [Thing(name, name) for name in names], ()) if names else []
    return tuple(
        Sight(f"no {name}", "not sure", None, SEEN)
        for name, sureness in zip(names, surenesses, strict=True)
        if sureness >= context.sure_yes
    )


def _counts(
    vlm: Judge,
    images: Sequence[Image.Image],
    things: Sequence[Thing],
    introduced: Sequence[Introduced],
    context: Context,
) -> dict[str, int]:
    """Of what is to be there more than once, in how many places the judge is sure of it.

    Only for a generator whose things have places of their own: a judge names a thing once however often it
    sees it, and so each place is looked at by itself.
    """
    several = [thing for thing in things if thing.drawn > 1]
    if context.layout == FREE or not several:
        return {}
    places = columns(images[0], sum(thing.drawn for thing in things))
    looks = [sureness_of(vlm, [place, *images[1:]], several, introduced) for place in places]
    return {
        thing.name: sum(sureness >= context.sure_yes for sureness in surenesses)
        for thing, surenesses in zip(several, zip(*looks, strict=True), strict=True)
    }


@dataclass(frozen=True)
class _Look:
    """What there is to judge each thing by.

    Attributes:
        shown: concepts, folded, of which a picture is beside the image.
        dubious: those whose picture is only the nearest, and not found in the image, with how alike it is.
        counts: of things that are drawn more than once, how often they were seen where that was looked for.
    """

    verdict: Verdict
    shown: Set[str]
    dubious: Mapping[str, float]
    counts: Mapping[str, int]
    context: Context

    def sight(self, thing: Thing, sureness: float | None) -> Sight:
        """One thing by what the judge says and by how sure it is; `None`: it was not asked."""
        name = thing.name
        if sureness is None:
            reason = "it is left out" if thing.known else f'these models do not know "{name}"'
            return Sight(name, "absent" if thing.known else "not sure", None, reason)
        unsure = sureness < self.context.sure_yes
        if sureness <= self.context.sure_no or (self._missed(name) and unsure):
            return Sight(name, "absent", sureness)
        if reason := self._doubt(thing, unsure):
            return Sight(name, "not sure", sureness, reason)
        if thing.drawn < thing.number:
            return Sight(name, "absent", sureness, f"{thing.drawn} drawn for {thing.number}")
        return Sight(name, "there", sureness)

    def _missed(self, name: str) -> bool:
        return name.casefold() in folded(self.verdict.missing)

    def _doubt(self, thing: Thing, unsure: bool) -> str:
        """Why it cannot be said that a thing is there, "" if it can."""
        name, folded_name = thing.name, thing.name.casefold()
        closed = self.context.vocabulary is not None
        if closed and "judge" not in thing.known and folded_name not in self.shown:
            return f'these models do not know "{name}"'
        if folded_name in self.dubious:
            return f"the nearest picture, {self.dubious[folded_name]:.0%} alike, is not found in the image"
        if self._missed(name):
            return "the judge says both"
        if unsure:
            return "the judge is undecided"
        seen = 1 if thing.drawn == 1 else self.counts.get(name, times_seen(self.verdict.raw, name))
        return "" if seen >= thing.drawn else f"{thing.drawn} are asked for; the judge sees {seen}"


def times_seen(reply: str, name: str) -> int:
    """How many of a thing a verdict's reply lists among what it sees: "a dog, two dogs" are three."""
    line = re.search(r"seen\s*:\s*(.*)", reply, re.IGNORECASE)
    items = re.split(r"\s*,\s*|\s+and\s+", line.group(1)) if line else []
    return sum(_number_of(item.strip(" .").casefold().split(), name) for item in items)


def _number_of(words: Sequence[str], name: str) -> int:
    """How many of a thing these words are; a plural without a number is taken for two."""
    first, *rest = words or [""]
    number = counted(first)
    thing = words if number is None and first not in DETERMINERS else rest
    if singular(thing) != singular(name.casefold().split()):
        return 0
    return (PLURAL if is_plural(thing[-1]) else 1) if number is None else number
