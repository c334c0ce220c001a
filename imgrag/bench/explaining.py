"""Reasons of hits: how many are the model's own and right. Part of `bench search`.

Items and queries are made of shop words of which no lesson of the pocket LLM had one. Each query asks for some of an
item's words and for some that it has not; right is a reason that says "as asked" of exactly the shared ones.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgrag.bench import Bar, Figure, Meter
from imgrag.engine.librarian import Librarian, Result
from imgrag.library.engines.store import Value
from imgrag.library.search.explaining import Explanation
from imgrag.library.search.grounding import shared_words
from imgrag.library.search.words import asked_words
from imgrag.pocket.recipes.rewriting import ordinary

SEED = 22
LOOKS = "linen velvet denim woollen tweed suede corduroy cashmere quilted striped floral checkered embroidered pleated beige turquoise maroon crimson ivory teal lavender charcoal oaken bamboo walnut ceramic enamel copper brass pewter marbled lacquered folding waterproof padded knitted".split()  # fmt: skip
THINGS = "blouse cardigan sweater hoodie trousers leggings overcoat raincoat pyjamas apron cushion duvet blanket curtain rug stool armchair dresser nightstand bookcase saucepan casserole colander grater whisk ladle teaspoon tumbler carafe pitcher lampshade lantern tripod ukulele harmonica clarinet cello rucksack satchel tote".split()  # fmt: skip
USES = "menswear bedding tableware cookware upholstery homeware stationery camping cycling gardening sewing baking picnics hallway nursery patio attic".split()
BARS = (
    Bar("own", "reasons that are the model's own and say nothing strange"),
    Bar("right", "– and name exactly the asked words that the hit has"),
    Bar("reason", "seconds a reason", unit="s"),
)


@dataclass(frozen=True)
class Case:
    """A query and one of its hits."""

    query: str
    hit: Result

    @property
    def shared(self) -> list[str]:
        return shared_words(self.query, "\n".join(self.hit.item.lines))


def cases(count: int) -> list[Case]:
    """Hits and queries from a seed; in one of six a hit has nothing that was asked."""
    rng = np.random.default_rng(SEED)
    return [_case(number, rng) for number in range(1, count + 1)]


def _case(number: int, rng: np.random.Generator) -> Case:
    looks, things, uses = (_drawn(words, 4, rng) for words in (LOOKS, THINGS, USES))
    fields: dict[str, Value] = {"category": uses[0], "price": int(rng.integers(2, 400))}
    hit = Result(
        f"{number}.png", 0.5, things[0], f"a {looks[0]} {looks[1]} {things[0]}", id=number, fields=fields
    )
    has = [word for word in (looks[0], looks[1], things[0], uses[0]) if rng.random() < 0.5]
    lacks = [word for word in (looks[2], things[1], uses[1]) if rng.random() < 0.35]
    if rng.random() < 1 / 6 or not has + lacks:
        has, lacks = [], [looks[3], things[2]]
    words = [(has + lacks)[place] for place in rng.permutation(len(has + lacks))]
    return Case(f"{('a ', 'some ', '')[rng.integers(3)]}{' '.join(words)}", hit)


def _drawn(words: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    strange = [word for word in words if word not in ordinary()]
    return [strange[place] for place in rng.permutation(len(strange))[:count]]


def measure(librarian: Librarian, asked: Sequence[Case]) -> dict[str, Figure]:
    """Shares of the reasons, and what one takes once the model is loaded."""
    if not asked:
        return {}
    next(librarian.explained(asked[0].query, [asked[0].hit]))
    told, begun = [], time.perf_counter()
    with Meter().over("reasons", asked) as each:
        told = [(case, next(librarian.explained(case.query, [case.hit]))) for case in each]
    seconds = (time.perf_counter() - begun) / len(asked)
    own = [not said.plain for _, said in told]
    right = [is_right(said, case.shared) for case, said in told]
    return {
        "own": Figure(float(np.mean(own)), len(own)),
        "right": Figure(float(np.mean(right)), len(right)),
        "reason": Figure(seconds, len(told)),
    }


def is_right(said: Explanation, shared: Sequence[str]) -> bool:
    """Whether a model's reason ends with exactly the shared words and "as asked", or says it of none."""
    claimed, asked, _ = said.reason.rpartition(": ")[2].partition(", as asked")
    claims = set(asked_words(claimed)) if asked else set()
    return not said.plain and claims == {part for word in shared for part in asked_words(word)}
