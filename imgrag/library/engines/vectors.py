"""FAISS over the vectors of one model: exact while they are few, inverted lists above.

A snapshot on disk is only a copy of what SQLite holds, under a name that tells how much of it;
a missing or broken one is built again. Its file is opened here and never by FAISS, which on Windows
takes paths of the system's code page alone: no "ü", no "图".
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

from imgrag.library.engines.store import Hit, best_first

FLAT_BELOW = 50_000  # vectors; up to here an exact search takes about 25 ms at 512 dimensions
POINTS_PER_LIST = 40  # to train on; FAISS warns below 39
ITERATIONS = 8
LISTS_SEARCHED = 32  # of 1,264 at 100,000 vectors: recall@10 above 0.99
SHARE_SEARCHED = 1 / 40
MAPPED = os.name != "nt"  # Windows cannot replace a file that is mapped
ASIDE = "index.broken"  # the last snapshot that could not be read
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VectorIndex:
    """Vectors by id, as they were at `epoch` of the store. `file` is what `faiss` looks into, if it was opened."""

    faiss: faiss.Index
    epoch: int
    file: np.ndarray | None = None

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


def save(index: VectorIndex, folder: Path, column: int) -> bool:
    """Write beside and rename; older snapshots of the column go. Returns whether there was room for it."""
    path = folder / f"index-{column}-{index.epoch}.faiss"
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            faiss.write_index(index.faiss, faiss.PyCallbackIOWriter(file.write))
        os.replace(partial, path)
    except OSError as error:
        log.warning("the snapshot %s is not kept: %s", path.name, error)
        _discard(partial)
        return False
    for old in _snapshots(folder, column):
        if old != path:
            _discard(old)
    return True


def load(folder: Path, column: int, dimensions: int, epoch: int) -> VectorIndex | None:
    """The newest snapshot that is not ahead of the store; `None` if there is none that can be read.

    One that cannot be read is kept aside as `ASIDE`, in the place of an earlier one.
    """
    for path in _snapshots(folder, column):
        at = _epoch(path)
        if at > epoch:
            continue
        try:
            index = _opened(path, at)
        except (OSError, ValueError, RuntimeError) as error:  # no file, an empty one, and FAISS's only kind
            log.warning("the snapshot %s is kept as %s and built again: %s", path.name, ASIDE, error)
            _keep_aside(path)
            continue
        if index.faiss.d == dimensions:
            return index
    return None


def _opened(path: Path, epoch: int) -> VectorIndex:
    """The index in a file, which is not copied: where files can be mapped, it is not even read."""
    file = np.memmap(path, np.uint8, "r") if MAPPED else np.fromfile(path, np.uint8)
    reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(file), file.size)
    return VectorIndex(faiss.read_index(reader), epoch, file)


def _keep_aside(path: Path) -> None:
    try:
        os.replace(path, path.with_name(ASIDE))
    except OSError as error:  # gone, or not ours to rename
        log.info("%s stays for now: %s", path.name, error)


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
        return best_first(hits)[:k]

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
