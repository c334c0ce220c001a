"""Found by words and by look: two rankings made one by weighted reciprocal rank fusion.

Cormack et al., SIGIR 2009: a picture's places in both rankings count, not their scores, which have
no common measure. Each place by words weighs as much as the words say: one that few pictures hold
says nearly all, one that many hold nearly nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imgrag.library.base import plain_name
from imgrag.library.engines.store import RARE, Entry, Hit, Store
from imgrag.library.search.filters import Filter
from imgrag.library.search.words import asked_words, words_of

SMOOTHING = (
    5  # of a place; with the paper's 60 any common word moves the picture that looks right off its place
)
WORDS_WEIGHT = 2.0  # of a place by words that say all, beside one by look
SHARPNESS = 3  # power of how much words say: the higher, the rarer must be what counts
MOST_WORDED = 1000  # entries that are ranked by words


@dataclass(frozen=True)
class Asked:
    """The words of a query.

    Attributes:
        weights: how much each says, from 0 to 1: its inverse document frequency, against that of a word
            which one picture holds.
        holders: ids int64 [n] of the entries that hold it, of each word that is rare enough.
    """

    weights: Mapping[str, float]
    holders: Mapping[str, np.ndarray]

    def strengths(self) -> dict[int, float]:
        """How much the words say for each entry that holds a rare one, 0 to 1.

        Each word is evidence of its own, so that a long query does not make a rare name in it weak; and what holds
        all of a query is found, however many hold it.
        """
        doubts: dict[int, float] = defaultdict(lambda: 1.0)
        shares: dict[int, float] = defaultdict(float)
        whole = sum(self.weights.values())
        for word, ids in self.holders.items():
            weight = self.weights[word]
            for number in ids.tolist():
                doubts[number] *= 1 - weight
                shares[number] += weight / whole
        return {
            number: min(1.0, max(1 - doubt, shares[number])) ** SHARPNESS for number, doubt in doubts.items()
        }

    def worded(self, entry: Entry) -> float:
        """See `Candidate.worded`: the share of the words, by weight, that an entry holds; 0 without a rare one."""
        held = set(words_of(entry))
        if not any(word in held and len(ids) for word, ids in self.holders.items()):
            return 0.0
        return sum(w if word in held else 0 for word, w in self.weights.items()) / sum(self.weights.values())


NOTHING = Asked({}, {})


def read(store: Store, text: str, where: Filter | None = None) -> Asked:
    """The words of a query and who holds them."""
    words = asked_words(plain_name(text))
    holders = store.holding(words, where) if words else {}
    total = store.count() if holders else 0
    if not total:
        return NOTHING
    counts = {word: len(holders[word]) if word in holders else RARE + 1 for word in words}
    weights = {word: math.log1p(total / max(1, count)) / math.log1p(total) for word, count in counts.items()}
    return Asked(weights, {word: ids for word, ids in holders.items() if len(ids)})


def fused(near: Sequence[Hit], worded: Sequence[Hit], strengths: Mapping[int, float]) -> list[int]:
    """Ids of both rankings as one, best first. `near` is ranked by look.

    `worded` are the entries that hold words; among those for which the words say as much, the more similar comes
    first.
    """
    by_words = sorted(worded, key=lambda hit: (-strengths[hit.id], -hit.score, hit.id))
    points: dict[int, float] = defaultdict(float)
    for place, hit in enumerate(near, 1):
        points[hit.id] += 1 / (SMOOTHING + place)
    for place, hit in enumerate(by_words, 1):
        points[hit.id] += WORDS_WEIGHT * strengths[hit.id] / (SMOOTHING + place)
    return sorted(points, key=lambda number: -points[number])
