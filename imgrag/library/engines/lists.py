"""Inverted lists: vectors are kept by the centre that they are nearest to, and a search looks at the nearest lists alone.

In two stages they are kept with a byte a coordinate, which takes a quarter of the memory, and the best
are scored again from the vectors themselves (`rescoring`). A byte a coordinate and no less: half a byte, or
FAISS's product quantiser, is off by so much that nobody could tell which vectors may be among the best.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import faiss
import numpy as np

POINTS_PER_LIST = 40  # to train on; FAISS warns below 39
ITERATIONS = 8
LISTS_SEARCHED = 32  # of 1,264 at 100,000 vectors: recall@10 above 0.99
SHARE_SEARCHED = 1 / 40
MARGIN = 0.1  # of a coordinate's range in what is trained on: others may lie as far outside of it
STEPS = 255  # of a byte, over a coordinate's range
ROUNDING = 1e-5  # of sums in float32
AT_ONCE = 2000  # vectors that are compared with all centres
Block = tuple[np.ndarray, np.ndarray]


class Lists:
    """Lists being filled with vectors, whole or with a byte a coordinate.

    Attributes:
        index: what `faiss` searches.
        error: the most by which a score may be off, for a query of length 1; 0 of vectors kept whole.
    """

    def __init__(self, count: int, dimensions: int, quantised: bool) -> None:
        lists = min(count, int(4 * math.sqrt(count)))
        self.index = _quantised(dimensions, lists) if quantised else _whole(dimensions, lists)
        self.index.cp.niter = ITERATIONS
        self.index.nprobe = max(LISTS_SEARCHED, int(lists * SHARE_SEARCHED))
        self.error = ROUNDING if quantised else 0.0
        self._wanted = min(count, POINTS_PER_LIST * lists)

    def fill(self, blocks: Iterable[Block]) -> None:
        """Find the lists' centres in the first blocks, then add all: ids int64 [n] and vectors float32 [n, d]."""
        waiting: list[Block] = []
        for block in blocks:
            waiting.append(block)
            if self.index.is_trained or sum(len(ids) for ids, _ in waiting) >= self._wanted:
                self._take(waiting)
        self._take(waiting)

    def _take(self, blocks: list[Block]) -> None:
        if blocks and not self.index.is_trained:
            self.index.train(np.concatenate([vectors for _, vectors in blocks]))
        for ids, vectors in blocks:
            self._add(np.ascontiguousarray(ids), np.ascontiguousarray(vectors))
        blocks.clear()

    def _add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        centres = self.index.quantizer.reconstruct_n(0, self.index.nlist)
        places = nearest(centres, vectors)
        pointers = map(faiss.swig_ptr, (vectors, ids, places))
        self.index.add_core(len(ids), *pointers)
        if self.error:
            self.error = max(self.error, ROUNDING + error_of(self.index.sq, vectors - centres[places]))


def nearest(centres: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """int64 [n]: which centre each vector is most similar to. By NumPy, which is four times as fast here as FAISS."""
    parts = (vectors[start : start + AT_ONCE] for start in range(0, len(vectors), AT_ONCE))
    return np.concatenate([(part @ centres.T).argmax(axis=1) for part in parts]).astype(np.int64)


def error_of(quantiser: faiss.ScalarQuantizer, vectors: np.ndarray) -> float:
    """How far the farthest of these vectors [n, d] may be from what its bytes say.

    A coordinate is off by half a step at most, and by as much more as it lies outside the range.
    """
    low, width = faiss.vector_to_array(quantiser.trained).reshape(2, -1)
    outside = np.maximum(low - vectors, vectors - low - width).clip(min=0)
    return float(np.linalg.norm(outside + width / STEPS / 2, axis=1).max(initial=0))


def _whole(dimensions: int, lists: int) -> faiss.IndexIVFFlat:
    centres = faiss.IndexFlatIP(dimensions)
    return faiss.IndexIVFFlat(centres, dimensions, lists, faiss.METRIC_INNER_PRODUCT)


def _quantised(dimensions: int, lists: int) -> faiss.IndexIVFScalarQuantizer:
    """What is quantised is the difference from the list's centre: it varies less, so a step is smaller."""
    centres, kind = faiss.IndexFlatIP(dimensions), faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexIVFScalarQuantizer(centres, dimensions, lists, kind, faiss.METRIC_INNER_PRODUCT, True)
    index.sq.rangestat_arg = MARGIN
    return index
