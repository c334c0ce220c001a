"""FAISS over the vectors of one model: exact while they are few, inverted lists above.

A snapshot on disk is only a copy of what SQLite holds, under a name that tells how much of it;
a missing or broken one is built again.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from imgrag.library.engines.store import Hit

FLAT_BELOW = 50_000  # vectors; up to here an exact search takes about 25 ms at 512 dimensions
POINTS_PER_LIST = 40  # to train on; FAISS warns below 39
ITERATIONS = 8
LISTS_SEARCHED = 32  # of 1,264 at 100,000 vectors: recall@10 above 0.99
SHARE_SEARCHED = 1 / 40
MAPPED = os.name != "nt"  # Windows cannot replace a file that is mapped
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VectorIndex:
    """Vectors by id, as they were at `epoch` of the store."""

    faiss: faiss.Index
    epoch: int

    def __len__(self) -> int:
        return int(self.faiss.ntotal)

    def search(self, vector: np.ndarray, k: int, among: np.ndarray | None = None) -> tuple[list, list]:
        """The ids and cosine similarities of the `k` nearest, best first.

        `among` int64 [n] narrows the search. Every vector it names is then looked at: inverted
        lists that are searched in part and filtered afterwards lose one in five.
        """
        k = min(k, len(self))
        if k == 0:
            return [], []
        lists = getattr(self.faiss, "nlist", 0)
        scores, ids = self.faiss.search(vector[None], k, params=_among(among, lists))
        if lists and among is None and ids[0, -1] < 0:  # the lists looked at hold fewer than k
            scores, ids = self.faiss.search(vector[None], k, params=faiss.SearchParametersIVF(nprobe=lists))
        found = int((ids[0] >= 0).sum())
        return ids[0, :found].tolist(), scores[0, :found].tolist()


def _among(ids: np.ndarray | None, lists: int) -> faiss.SearchParameters | None:
    if ids is None:
        return None
    chosen = faiss.IDSelectorBatch(ids)
    return (
        faiss.SearchParametersIVF(sel=chosen, nprobe=lists) if lists else faiss.SearchParameters(sel=chosen)
    )


def build(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], count: int, dimensions: int, epoch: int
) -> VectorIndex:
    """An index of `count` vectors that come in blocks of ids int64 [n] and vectors float32 [n, d]."""
    if count < FLAT_BELOW:
        index: faiss.Index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimensions))
        for ids, vectors in blocks:
            index.add_with_ids(vectors, ids)
        return VectorIndex(index, epoch)
    lists = int(4 * math.sqrt(count))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimensions), dimensions, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter = ITERATIONS
    index.nprobe = max(LISTS_SEARCHED, int(lists * SHARE_SEARCHED))
    wanted, waiting = POINTS_PER_LIST * lists, []
    for block in blocks:
        if index.is_trained:
            index.add_with_ids(block[1], block[0])
            continue
        waiting.append(block)
        if sum(len(ids) for ids, _ in waiting) >= min(wanted, count):
            _train(index, waiting)
    if not index.is_trained:
        _train(index, waiting)
    return VectorIndex(index, epoch)


def _train(index: faiss.Index, blocks: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Find the lists' centres in these blocks, then add them."""
    index.train(np.concatenate([vectors for _, vectors in blocks]))
    for ids, vectors in blocks:
        index.add_with_ids(vectors, ids)
    blocks.clear()


def save(index: VectorIndex, folder: Path, column: int) -> None:
    """Written beside and renamed; older snapshots of the column go."""
    path = folder / f"index-{column}-{index.epoch}.faiss"
    partial = path.with_suffix(f".{os.getpid()}.partial")
    faiss.write_index(index.faiss, str(partial))
    os.replace(partial, path)
    for old in _snapshots(folder, column):
        if old != path:
            _discard(old)


def load(folder: Path, column: int, dimensions: int, epoch: int) -> VectorIndex | None:
    """The newest snapshot that is not ahead of the store; `None` if there is none that can be read."""
    for path in _snapshots(folder, column):
        at = _epoch(path)
        if at > epoch:
            continue
        try:
            flags = faiss.IO_FLAG_MMAP if MAPPED else 0
            index = faiss.read_index(str(path), flags)
        except RuntimeError as error:  # FAISS's only kind
            log.warning("the snapshot %s is built again: %s", path.name, error)
            _discard(path)
            continue
        if index.d == dimensions:
            return VectorIndex(index, at)
    return None


def _snapshots(folder: Path, column: int) -> list[Path]:
    return sorted(folder.glob(f"index-{column}-*.faiss"), key=_epoch, reverse=True)


def _epoch(path: Path) -> int:
    found = re.fullmatch(r"index-\d+-(\d+)", path.stem)
    return int(found.group(1)) if found else -1


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # another process has it open, on Windows
        log.info("%s stays for now: %s", path.name, error)


class Near:
    """A snapshot, the vectors written since, and the ids for which it no longer speaks."""

    def __init__(self, main: VectorIndex | None = None, saved: bool = False) -> None:
        self.main = main
        self.saved = saved
        self.seen = -1  # SQLite's data_version when this was last brought up to date
        self.epoch = -1
        self.ids = np.zeros(0, np.int64)
        self.tail = np.zeros((0, 0), np.float32)
        self.stale: frozenset[int] = frozenset()

    def search(
        self, vector: np.ndarray, k: int, among: np.ndarray | None, barred: frozenset[int]
    ) -> list[Hit]:
        """The best of the snapshot and of the tail, none of them barred."""
        hits = self._main_hits(vector, k, among, barred | self.stale)
        if len(self.ids):
            hits += self._tail_hits(vector, among, barred)
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:k]

    def _main_hits(
        self, vector: np.ndarray, k: int, among: np.ndarray | None, barred: frozenset[int]
    ) -> list[Hit]:
        """Enough of the snapshot that k are left without the barred ones."""
        assert self.main is not None
        asked = k
        while True:
            ids, scores = self.main.search(vector, asked, among)
            hits = [Hit(i, s) for i, s in zip(ids, scores, strict=True) if i not in barred]
            if len(hits) >= k or len(ids) < asked:
                return hits
            asked *= 2

    def _tail_hits(self, vector: np.ndarray, among: np.ndarray | None, barred: frozenset[int]) -> list[Hit]:
        scores = self.tail @ vector
        here = np.ones(len(self.ids), bool) if among is None else np.isin(self.ids, among)
        found = zip(self.ids[here].tolist(), scores[here].tolist(), strict=True)
        return [Hit(number, score) for number, score in found if number not in barred]
