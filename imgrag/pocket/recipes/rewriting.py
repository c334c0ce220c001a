"""Lessons in writing a prompt again with what is known: riddles become things, places and times a ground.

Terms, texts and the words that ask for them are put together of words at random, most of which mean
nothing here, so that there is nothing to learn but to find the text and to copy what it says. No
term of `datasets/knowledge/pocket.csv` is among them but by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np

from imgrag.engine import prompts
from imgrag.pocket.recipes.judging import invented_name
from imgrag.pocket.recipes.things import taught
from imgrag.pocket.world import world
from imgrag.pocket.world.words import ABSTRACT, nonce_word

_T = TypeVar("_T")
FUNCTION = (
    "the a of the in with that is to for from who which at on by its whose and the what where when".split()
)
TERMS = (
    ("the {}", "{}", "a {}", "our {}"),
    ("the {} of the {}", "the {} of {}", "{}'s {}", "the {}'s {}", "the {} {}", "a {} {}", "the {} in the {}",
     "the {} with {}", "the {} that is {}", "the {} who has {}", "a {} for the {}", "{} of {}", "the {} from {}",
     "what {} {}", "what the {} is {} to", "the {}-{} one", "where {} {}"),
    ("the {} {} of the {}", "{}'s {} {}", "the {} with the {} {}", "the {} who {} in {}", "a {} that {} the {}",
     "the {} of {} and {}", "a {} made of {} for {}", "the {} that {} by {}", "the {} {} {}", "what the {} {} for {}",
     "where {} {} the {}", "the {}'s {} of {}"),
)  # fmt: skip
WHERE = (
    "at {}", "in {}", "on {}", "by {}", "under {}", "during {}", "beside {}", "near {}", "down by {}", "deep in {}",
    "out on {}", "inside {}", "far from {}", "over at {}", "in front of {}", "through {}", "{}", "amid {}", "when it is {}",
)  # fmt: skip
THINGS = (
    *("{term} is {it}",) * 8, "{term} means {it}", "{it} is {term}", "{it} are {term}", "{it} is called {term}", "people call {it} {term}",
    "{term} stands for {it}", "by {term} people mean {it}", "{term} is another name for {it}", "{it}", "we say {term} to {it}",
)  # fmt: skip
GROUNDS = (
    *("{term} is {it}",) * 8, "the colour of {term} is {it}", "{term} has {it} ground", "all is {it} at {term}", "{it}",
    "{term} looks {it}", "{it} is the colour of {term}", "the ground of {term} is {it}", "{term} turns {it}",
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """How hard an exercise is.

    Attributes:
        riddles: the shares of prompts with none of them, one, two.
        ground: of the prompts have a place, a time or the like.
        others: the shares with so many things that need no knowledge.
        distractors: the shares with so many other texts beside each that tells.
        reworded: of the terms are asked for in other words.
    """

    riddles: tuple[float, ...] = (0.15, 0.6, 0.25)
    ground: float = 0.45
    others: tuple[float, ...] = (0.3, 0.55, 0.15)
    distractors: tuple[float, ...] = (0.6, 0.25, 0.15)
    reworded: float = 0.75


ONE = Choice(riddles=(0.2, 0.8), ground=0.0, others=(0.6, 0.4), distractors=(1.0,), reworded=0.3)
SEVERAL = Choice(riddles=(0.0, 0.0, 0.3, 0.4, 0.3), others=(0.7, 0.3), distractors=(1.0,))
ANY = Choice()
FIRST = 150  # steps with one riddle mostly, and as many with more of it


def choice_at(step: int, rng: np.random.Generator) -> Choice:
    """One riddle and its text at first, then more of both; what came first stays in."""
    luck = rng.random()
    if luck < 0.1 or step < FIRST:
        return ONE
    return SEVERAL if luck < 0.35 and step > 2 * FIRST else ANY


@dataclass(frozen=True)
class Asking:
    """A phrase of a prompt, what stands for it in the reply, and the text that tells; "" where none does."""

    asked: str
    said: str
    fact: str = ""


@dataclass(frozen=True)
class Exercise:
    """A question, its reply, and which characters of the reply were looked up: (begin, end) each."""

    question: str
    reply: str
    looked_up: tuple[tuple[int, int], ...]


def exercises(count: int, rng: np.random.Generator, choice: Choice) -> list[Exercise]:
    """A quarter of four times as many as wanted, the ones in one stretch of lengths: less of it is padding."""
    every = sorted(
        (exercise(rng, choice) for _ in range(4 * count)), key=lambda one: len(one.question + one.reply)
    )
    begin = int(rng.integers(4)) * count
    return every[begin : begin + count]


def exercise(rng: np.random.Generator, choice: Choice) -> Exercise:
    """A prompt to write again; something in it is always to be looked up."""
    asked = [_riddle(rng, choice) for _ in range(number(choice.riddles, rng))]
    where = [_ground(rng, choice)] if rng.random() < choice.ground or not asked else []
    things = asked + [_other(rng) for _ in range(number(choice.others, rng))]
    parts = _parts([things[i] for i in rng.permutation(len(things))], where, rng)
    question = prompts.augmentation_question(
        "".join(part.asked for part in parts), _facts(parts, rng, choice)
    )
    reply, looked_up = "", []
    for part in parts:
        if part.fact:
            looked_up.append((len(reply), len(reply) + len(part.said)))
        reply += part.said
    return Exercise(question, reply, tuple(looked_up))


def _parts(things: Sequence[Asking], where: Sequence[Asking], rng: np.random.Generator) -> list[Asking]:
    """The phrases with what stands between, which is the same in prompt and reply."""
    parts: list[Asking] = []
    join = " and " if rng.random() < 0.4 else pick(world.JOINS, rng)
    for thing in things:
        parts += [_same(join), thing] if parts else [thing]
    place = 1 if rng.random() < 0.15 else len(parts)
    for ground in where if parts else ():
        first = rng.random() < 0.1
        parts[place:place] = [_same(pick((" ", " ", " ", " and ", ", "), rng)), ground]
        parts = [ground, _same(", "), *parts[:place], *parts[place + 2 :]] if first else parts
    if not parts:
        parts = list(where)
    if not where and rng.random() < 0.2:
        parts.append(_same(f" on {prompts.with_article(pick(tuple(world.COLOURS), rng))} background"))
    opening, end = pick(world.OPENINGS, rng).split("{}") if rng.random() < 0.15 else ("", "")
    return [_same(opening), *parts, _same(end)]


def _facts(parts: Sequence[Asking], rng: np.random.Generator, choice: Choice) -> list[str]:
    """The texts that tell, each with some that do not, as a search finds them: mostly the nearest first."""
    found = [[part.fact, *_distractors(part, rng, choice)] for part in parts if part.fact]
    if rng.random() < 0.25:
        found = [shuffled(facts, rng) for facts in found]
    if rng.random() < 0.4:
        found = shuffled(found, rng)
    return list(dict.fromkeys(fact for facts in found for fact in facts))


def _distractors(part: Asking, rng: np.random.Generator, choice: Choice) -> list[str]:
    """Texts about something else, which may share a word with what is asked for."""
    words = [word for word in part.asked.strip("[]").split() if word not in FUNCTION]
    facts = []
    for _ in range(number(choice.distractors, rng)):
        made = _riddle if rng.random() < 0.65 else _ground
        facts.append(
            made(rng, choice, [pick(words, rng)] if len(words) > 1 and rng.random() < 0.4 else []).fact
        )
    return facts


def _riddle(rng: np.random.Generator, choice: Choice, shared: Sequence[str] = ()) -> Asking:
    words = shuffled(
        [*shared, *(any_word(rng) for _ in range(int(rng.choice([1, 2, 3], p=[0.2, 0.55, 0.25]))))], rng
    )
    name, luck = _name(rng), rng.random()
    it = name if luck < 0.1 else f"the {name}" if luck < 0.18 else prompts.with_article(name)
    term = _termed(words, rng)
    return Asking(f"[{_reworded(term, words, rng, choice)}]", it, _fact(term, it, THINGS, rng))


def _ground(rng: np.random.Generator, choice: Choice, shared: Sequence[str] = ()) -> Asking:
    words = shuffled([*shared, *(any_word(rng) for _ in range(int(rng.choice([1, 2], p=[0.7, 0.3]))))], rng)
    colour = pick(tuple(world.COLOURS), rng)
    term = _termed(words, rng)
    asked = pick(WHERE, rng).format(f"{{}}{_reworded(term, words, rng, choice)}")
    outside = rng.random() < 0.12
    asked = f"{asked}]".format("[") if outside else f"[{asked}]".format("")
    said = f"on {prompts.with_article(f'{colour} background')}"
    return Asking(asked, said, _fact(term, colour, GROUNDS, rng))


def _fact(term: str, it: str, forms: Sequence[str], rng: np.random.Generator) -> str:
    text = pick(forms, rng).format(term=term, it=it)
    return f"{term}: {text}" if rng.random() < 0.15 else prompts.fact_line(term, text)


def _other(rng: np.random.Generator) -> Asking:
    """A thing that needs no knowledge."""
    return _same(world.sentence((_name(rng),), None, rng).split(" of ")[-1])


def _same(text: str) -> Asking:
    return Asking(text, text)


def _termed(words: Sequence[str], rng: np.random.Generator) -> str:
    """A phrase of these words: in a form that phrases have, or with any small words between."""
    if len(words) <= len(TERMS) and rng.random() < 0.7:
        return pick(TERMS[len(words) - 1], rng).format(*words)
    text = []
    for word in words:
        text += [pick(FUNCTION, rng) for _ in range(int(rng.integers(3)))] + [word]
    return " ".join(text)


def _reworded(term: str, words: Sequence[str], rng: np.random.Generator, choice: Choice) -> str:
    """The term in another form, its words in any order, now and then one fewer, one more, one with an s."""
    if rng.random() >= choice.reworded:
        return term
    kept = shuffled(words, rng)
    if len(kept) > 1 and rng.random() < 0.3:
        kept = kept[1:]
    if rng.random() < 0.35:
        kept.insert(int(rng.integers(len(kept) + 1)), any_word(rng))
    return _termed([inflected(word, rng) for word in kept], rng)


def inflected(term: str, rng: np.random.Generator) -> str:
    """The word, in one of seven as a plural or the like."""
    if rng.random() > 0.15:
        return term
    return term[:-1] if term.endswith("s") else term + pick(("s", "s", "y", "ed", "ing", "'s"), rng)


def any_word(rng: np.random.Generator) -> str:
    """A word of plain English, now and then nobody's."""
    return nonce_word(rng) if rng.random() < 0.1 else pick(ordinary(), rng)


@cache
def ordinary() -> tuple[str, ...]:
    """Words of plain English, few of them things of the world."""
    parts = [part for name in world.names() for part in name.split()]
    return (*taught(), *taught(), *ABSTRACT, *world.ADJECTIVES, *parts)


def _name(rng: np.random.Generator) -> str:
    return invented_name(rng) if rng.random() < 0.35 else pick(world.names(), rng)


def number(shares: Sequence[float], rng: np.random.Generator) -> int:
    """0, 1, 2 and so on, in these shares."""
    return int(rng.choice(len(shares), p=shares))


def shuffled(entries: Sequence[_T], rng: np.random.Generator) -> list[_T]:
    """The entries in another order."""
    return [entries[i] for i in rng.permutation(len(entries))]


def pick(entries: Sequence[_T], rng: np.random.Generator) -> _T:
    """One of the entries."""
    return entries[int(rng.integers(len(entries)))]
