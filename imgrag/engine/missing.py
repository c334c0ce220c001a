"""What is missing in an image and worth looking up: of the judge's words, what the prompt holds and a picture can show."""

from __future__ import annotations

import re
from collections.abc import Sequence

import simplemma

from imgrag.engine.context import Context
from imgrag.engine.judging import ask, is_asked
from imgrag.engine.prompts import parse_yes_no, validation_question
from imgrag.engine.reading.lexicon import Lexicon
from imgrag.models import Chat
from imgrag.runs.decisions import folded
from imgrag.runs.reading import Sight
from imgrag.runs.values import Concept, Rejection, Run, Verdict, verdict_reply

QUERY_NAME = 60  # characters of a prompt that serve as a concept's name
UNKNOWN = "neither these models nor the library know the word"


def wanted_of(verdict: Verdict, run: Run) -> list[str]:
    """What is to be looked up: things that are not there or not surely, and what else the judge misses."""
    if not verdict.readable and run.reading is not None:
        return [thing.name for thing in run.reading.drawn if "generator" not in thing.known]
    names = list(dict.fromkeys((*verdict.missing, *_unsure(verdict))))
    shown = folded([s.name for s in verdict.sights if s.sureness is None or s.outcome == "there" or s.fewer])
    return [name for name in names if name.casefold() not in shown]


def left_out_of(sights: Sequence[Sight]) -> list[Rejection]:
    """What nobody looks up and why; of what is there, only fewer, the verdict tells already."""
    return [
        Rejection(sight.name, sight.reason)
        for sight in sights
        if sight.outcome != "there" and sight.reason and not sight.fewer
    ]


def feedback_of(verdict: Verdict, wanted: Sequence[str]) -> str:
    """The judge's words; with sights, what words and likelihoods say together."""
    if not verdict.sights:
        return verdict.raw
    return verdict_reply([name for name in verdict.seen if name.casefold() not in folded(wanted)], wanted)


def is_held(name: str, wanted: Sequence[str], run: Run) -> bool:
    """Whether a name that the LLM gives is one that is wanted, or made of words of the prompt."""
    if run.reading is None or name.casefold() in folded(wanted):
        return True
    if not run.reading.things:
        return is_asked(name, run)
    there = {simplemma.lemmatize(word, "en") for word in _words(run.prompt)}
    is_other_thing = run.reading.named(name) is not None
    return not is_other_thing and any(simplemma.lemmatize(word, "en") in there for word in _words(name))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]{3,}", text.casefold())


def once(concepts: Sequence[Concept]) -> list[Concept]:
    """The concepts, each name once."""
    first: dict[str, Concept] = {}
    for concept in concepts:
        first.setdefault(concept.name.casefold(), concept)
    return list(first.values())


def whole_prompt(prompt: str) -> Concept:
    """The prompt as a query; its beginning, cut at a word, as a name."""
    words = " ".join(prompt.split())
    name = words if len(words) <= QUERY_NAME else words[:QUERY_NAME].rsplit(" ", 1)[0]
    return Concept(name, words)


def sift(
    concepts: Sequence[Concept], llm: Chat, run: Run, context: Context
) -> tuple[list[Concept], list[Rejection]]:
    """The concepts worth looking up, and the others with the reason."""
    accepted, rejected = [], []
    for concept in concepts:
        if reason := _rejection(concept, llm, run, context):
            rejected.append(Rejection(concept.name, reason))
        else:
            accepted.append(concept)
    return accepted, rejected


def _rejection(concept: Concept, llm: Chat, run: Run, context: Context) -> str:
    """Why a concept is not looked up, "" if it is. In doubt it is: the floor still guards the result.

    Of what the library has a picture by that very name, nobody needs to be asked whether there can be one:
    a model that never met the name of somebody's own thing would deny it.
    """
    verdict = run.round.verdict
    assert verdict is not None
    name = concept.name.casefold()
    if name in folded(verdict.seen) and name not in folded(verdict.missing) | folded(_unsure(verdict)):
        return "the image already shows it"
    vocabulary, words = context.vocabulary, concept.name.split()
    lexicon = Lexicon(vocabulary, context.library)
    if lexicon.owned(words) or lexicon.mentioned(words):
        return ""
    if vocabulary is not None and vocabulary.knows(concept.name):
        return ""
    if vocabulary is not None:
        return UNKNOWN  # a model that never met a word cannot tell whether it is an idea
    possible, _ = ask(llm, validation_question(concept.name), (), parse_yes_no, run, context)
    return "no picture can show it" if possible is False else ""


def _unsure(verdict: Verdict) -> list[str]:
    return [sight.name for sight in verdict.unsure]
