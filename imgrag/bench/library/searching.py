"""How exact and how fast a library is searched, on vectors made from a seed.

They are clustered, around centres, as pictures of few kinds are, since evenly spread ones have no
neighbours worth finding. "Exact" compares with every vector, "bare" asks the very FAISS index that
the store asks. Vectors come in blocks, so that the bench itself holds none of the million.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import faiss
import numpy as np

from imgrag.bench import Figure, Meter
from imgrag.bench.library.counts import DIMENSIONS, MODEL, Counts, Figures, in_new_process, seconds_of
from imgrag.bench.library.stages import measure_stages
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.engines.store import Entry, Hit
from imgrag.library.search.filters import parse_filter

CENTRES = 1000
SPREAD = 0.5  # of a vector around its centre, whose coordinates have a deviation of 1
BLOCK = 10_000  # vectors made and written at a time
K = 10
QUERIES = 500
SHELVES = 40  # one of them is 2.5%
FILTER = "shelf = 7"
ROUNDING = 1e-6  # scores nearer than this are equal: float32 sums depend on their order
OPENINGS = 3


def measure_search(counts: Counts, folder: Path, meter: Meter) -> Figures:
    """Recall, pace and opening at `rows` vectors."""
    figures = _searched(counts.rows, folder, meter)
    seconds = [in_new_process(first_query_seconds, folder) for _ in range(OPENINGS)]
    return {**figures, "opened": Figure(statistics.median(seconds), OPENINGS)}


def measure_large_search(counts: Counts, folder: Path, meter: Meter) -> Figures:
    """Recall and pace at `large` vectors; nothing if there are to be none."""
    if counts.large == 0:
        return {}
    figures = _searched(counts.large, folder, meter, staged=True)
    return {f"{key}_large": figure for key, figure in figures.items()}


def _searched(rows: int, folder: Path, meter: Meter, staged: bool = False) -> Figures:
    with closing(EmbeddedStore(folder)) as store:
        store.select(MODEL, DIMENSIONS)
        queries = next(clustered(QUERIES, seed=2))
        every, passing = fill(store, rows, queries, meter)
        store.optimise()
        where = parse_filter(FILTER)
        ours, bare = paces(store, queries)
        return {
            "recall": every.recall([store.search(query, K) for query in queries]),
            "filtered": passing.recall([store.search(query, K, where) for query in queries]),
            "query": Figure(1000 * ours, len(queries)),
            "against_bare": Figure(ours / bare, len(queries)),
            **(measure_stages(store, folder, queries, K) if staged else {}),
        }


def clustered(count: int, seed: int) -> Iterator[np.ndarray]:
    """`count` vectors of length 1, in blocks float32 [at most BLOCK, DIMENSIONS].

    The centres are the same for every seed.
    """
    centres = np.random.default_rng(1).standard_normal((CENTRES, DIMENSIONS), np.float32)
    generator = np.random.default_rng([1, seed])
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        around = centres[generator.integers(0, CENTRES, size)]
        vectors = around + SPREAD * generator.standard_normal((size, DIMENSIONS), np.float32)
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Truth:
    """The exact neighbours of queries [n, d] among vectors that come block by block."""

    def __init__(self, queries: np.ndarray) -> None:
        self._queries = queries
        # A few more than K, for those that are as near as the last one.
        self._best = faiss.ResultHeap(len(queries), 2 * K, keep_max=True)

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """Take these vectors [n, d] into account."""
        k = min(2 * K, len(ids))
        if k:
            scores, places = faiss.knn(self._queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
            self._best.add_result(scores, ids[places])

    def recall(self, found: Sequence[Sequence[Hit]]) -> Figure:
        """The share of the K best that was found, over all queries."""
        self._best.finalize()
        shares = [
            _recall({hit.id for hit in hits}, ids, scores)
            for hits, ids, scores in zip(found, self._best.I, self._best.D, strict=True)
        ]
        return Figure(statistics.mean(shares), len(shares))


def _recall(found: set[int], ids: np.ndarray, scores: np.ndarray) -> float:
    """`ids` [n] are the exact ones, best first, -1 where there are no more."""
    wanted = min(K, int((ids >= 0).sum()))
    if wanted == 0:
        return 1.0
    near = ids[(ids >= 0) & (scores >= scores[wanted - 1] - ROUNDING)]
    return min(wanted, len(found.intersection(near.tolist()))) / wanted


def fill(store: EmbeddedStore, rows: int, queries: np.ndarray, meter: Meter) -> tuple[Truth, Truth]:
    """Write `rows` vectors; returns the truth of all of them and of those that pass the filter."""
    every, passing = Truth(queries), Truth(queries)
    starts = range(0, rows, BLOCK)
    with meter.over(f"writing {rows:,} vectors, blocks", starts) as steps:
        for start, vectors in zip(steps, clustered(rows, seed=3), strict=True):
            numbers = np.arange(start, start + len(vectors))
            ids = np.array(store.write([_entry(int(number)) for number in numbers], vectors))
            chosen = numbers % SHELVES == 7
            every.add(ids, vectors)
            passing.add(ids[chosen], vectors[chosen])
    return every, passing


def _entry(number: int) -> Entry:
    return Entry(f"{number}.png", f"{number:064x}", fields={"shelf": number % SHELVES})


def paces(store: EmbeddedStore, queries: np.ndarray) -> tuple[float, float]:
    """Median seconds of one query, by the store and by its bare FAISS index.

    They take turns, so that what else the machine does slows both, and one goes through the
    queries backwards, so that neither finds the other's vectors in the processor's cache.
    """
    index = store.faiss_index()
    ours, bare = [], []
    for one, other in zip(queries, queries[::-1], strict=True):
        ours.append(seconds_of(partial(store.search, one, K)))
        bare.append(seconds_of(partial(index.search, other[None], K)))
    return statistics.median(ours), statistics.median(bare)


def first_query_seconds(folder: Path) -> float:
    """Open the store in `folder` and ask it once."""
    query = next(clustered(1, seed=2))[0]
    begun = time.perf_counter()
    with closing(EmbeddedStore(folder)) as store:
        store.search(query, K)
        return time.perf_counter() - begun
