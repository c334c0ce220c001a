"""Lessons in saying why a picture was found: its caption, its price, and which of the asked words it has.

Items and queries are put together of words at random, so that there is nothing to learn but to copy and to see which
words stand in both. No item of a library that comes with the app is among them but by chance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imgrag.engine import prompts
from imgrag.library.search.explaining import Explanation, Item, explanation_question, explanation_reply
from imgrag.library.search.grounding import shared_words
from imgrag.pocket.recipes.judging import invented_name
from imgrag.pocket.recipes.rewriting import Exercise, any_word, inflected, number, pick, shuffled
from imgrag.pocket.world import world

NAMES = ("{}", "{} {}", "{} {} {}")
CAPTIONS = (
    "{}", "{} {}", "{} of {}", "{} with {}", "{} {} for {}", "{} {} in {}", "{} and {}", "{} made of {}", "{} on a {} {}",
    "{}, {} and {}", "{} with a {} {}", "{} for the {} {}", "{} {} {}",
)  # fmt: skip
KEYS = (
    "colour", "color", "size", "material", "brand", "maker", "season", "room", "use", "shape", "taste", "for", "from", "year",
    "stock", "weight", "tags", "kind", "origin", "pattern", "shelf",
)  # fmt: skip
QUERIES = (
    *("{}",) * 10, "a {}", "an {}", "something {}", "the {}", "I want a {}", "{} please", "show me {}", "looking for {}", "{}, not too dear",
    "{} under {number}", "{} for less than {number}", "cheap {}", "{} below {number}", "some {}", "any {} there", "{} for me",
)  # fmt: skip
SMALL = "for with in of and on the a to my from".split()
NOTHING_SHARED = "near what was asked"


def exercises(count: int, rng: np.random.Generator) -> list[Exercise]:
    """A quarter of four times as many as wanted, the ones in one stretch of lengths: less of it is padding."""
    every = sorted((exercise(rng) for _ in range(4 * count)), key=lambda one: len(one.question + one.reply))
    begin = int(rng.integers(4)) * count
    return every[begin : begin + count]


def exercise(rng: np.random.Generator) -> Exercise:
    """A question about an item, its reply, and which characters of that say what the query and the item share."""
    item = _item(rng)
    query = _query(item, rng)
    shared = " ".join(shared_words(query, "\n".join(item.lines)))
    verdict = f"{shared}, as asked" if shared else NOTHING_SHARED
    price = f" at {item.fields['price']}" if "price" in item.fields else ""
    reply = explanation_reply(Explanation(item.id, f"{item.caption or item.name}{price}: {verdict}"))
    begin = reply.rindex(verdict)
    return Exercise(explanation_question(item, query), reply, ((begin, begin + len(verdict)),))


def _item(rng: np.random.Generator) -> Item:
    luck, fields = rng.random(), _fields(rng)
    caption = prompts.with_article(_filled(pick(CAPTIONS, rng), rng)) if luck < 0.75 else ""
    if rng.random() < 0.25:
        caption = caption.removeprefix("a ").removeprefix("an ")
    name = _filled(pick(NAMES, rng), rng) if luck > 0.25 else ""
    if name and caption and rng.random() < 0.4:
        caption = f"{prompts.with_article(name)} {pick(SMALL, rng)} {_named(rng)}"
    return Item(int(rng.integers(1, int(10 ** rng.integers(1, 5)))), name, caption, fields)


def _fields(rng: np.random.Generator) -> dict[str, str]:
    made: list[tuple[str, Callable[[], str]]] = []
    if rng.random() < 0.75:
        made.append(("category", lambda: _named(rng)))
    if rng.random() < 0.75:
        made.append(("price", lambda: _price(rng)))
    for _ in range(number((0.6, 0.3, 0.1), rng)):
        key = pick(KEYS, rng) if rng.random() < 0.7 else any_word(rng)
        numeric = rng.random() < 0.25
        made.append((key, (lambda: str(rng.integers(1, 3000))) if numeric else (lambda: _named(rng))))
    return {key: value() for key, value in shuffled(made, rng) if key not in ("name", "caption", "id")}


def _price(rng: np.random.Generator) -> str:
    whole = int(rng.integers(1, int(10 ** rng.integers(1, 5))))
    return str(whole) if rng.random() < 0.7 else f"{whole}.{rng.integers(1, 100):02}".rstrip("0")


def _query(item: Item, rng: np.random.Generator) -> str:
    told = [part for line in item.lines for part in line.split(": ", 1)[1].replace(",", "").split()]
    ours = [part for part in dict.fromkeys(told) if shared_words(part, part)]
    kept = sorted(rng.permutation(len(ours))[: number((0.15, 0.3, 0.3, 0.17, 0.08), rng)].tolist())
    words = [inflected(ours[i], rng) if rng.random() < 0.3 else ours[i] for i in kept]
    for _ in range(number((0.45, 0.3, 0.15, 0.1) if words else (0.0, 0.4, 0.4, 0.2), rng)):
        words.insert(int(rng.integers(len(words) + 1)), _named(rng) if rng.random() < 0.5 else any_word(rng))
    if rng.random() < 0.25:
        words = shuffled(words, rng)
    for place in range(len(words) - 1, 0, -1):
        if rng.random() < 0.2:
            words.insert(place, pick(SMALL, rng))
    return pick(QUERIES, rng).format(" ".join(words), number=int(rng.integers(2, 500)))


def _filled(form: str, rng: np.random.Generator) -> str:
    return form.format(*(_named(rng) for _ in range(form.count("{}"))))


def _named(rng: np.random.Generator) -> str:
    """A word or two: of plain English, a thing of the world, or nobody's."""
    luck = rng.random()
    if luck < 0.3:
        return pick(world.names(), rng)
    return invented_name(rng) if luck < 0.5 else any_word(rng)
