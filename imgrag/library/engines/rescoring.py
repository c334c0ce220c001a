"""The second of two stages: what the lists think is best is scored by the vectors themselves, which lie on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from imgrag.library.engines.store import Hit, best_first

AHEAD = 256  # candidates that the first stage is asked for at least
FOR_EACH = 4  # and for each that is wanted
CHUNK = 32  # candidates that are read at a time
MOST = 4096  # candidates, unless more are wanted: a library of one picture a million times has an end too
Scored = Callable[[np.ndarray, Sequence[int]], list[Hit]]


class FirstStage(Protocol):
    """What finds candidates."""

    @property
    def error(self) -> float:
        """How far their scores may be off."""
        ...

    def search(self, vector: np.ndarray, k: int, among: np.ndarray | None = None) -> tuple[list, list]:
        """The ids and scores of the `k` that seem best, best first."""
        ...


def certain(
    index: FirstStage,
    vector: np.ndarray,
    k: int,
    among: np.ndarray | None,
    barred: frozenset[int],
    scored: Scored,
) -> list[Hit]:
    """The `k` best of what the index looks at, none of them barred, as if it knew the vectors themselves.

    Candidates are scored by `scored`, best first, until none that is left could be among the best.
    """
    if k < 1:
        return []
    asked = max(AHEAD, FOR_EACH * k)
    known: dict[int, Hit] = {}
    while True:
        ids, scores = index.search(vector, asked, among)
        ended = len(ids) < asked
        for end, left in _chunks(scores, ended):
            chunk = [number for number in ids[:end] if number not in known and number not in barred]
            known.update((hit.id, hit) for hit in scored(vector, chunk))
            best = best_first(known.values())[:k]
            if len(best) == k and best[-1].score >= left + index.error:
                return best
        best = best_first(known.values())[:k]
        if ended or (len(best) == k and asked >= MOST):
            return best
        asked *= 2


def _chunks(scores: Sequence[float], ended: bool) -> list[tuple[int, float]]:
    """Where each chunk of candidates ends, and the best score that any behind it may have."""
    ends = [*range(CHUNK, len(scores), CHUNK), len(scores)]
    last = float("-inf") if ended or not scores else scores[-1]
    return [(end, scores[end] if end < len(scores) else last) for end in ends]
