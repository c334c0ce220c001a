"""FAISS over the vectors of one model: exact while they are few, inverted lists above, in two stages where they are many.

A snapshot on disk is only a copy of what SQLite holds, under a name that tells how much of it;
a missing or broken one is built again. Its file is opened here and never by FAISS, which on Windows
takes paths of the system's code page alone: no "ü", no "图".
"""

from __future__ import annotations

import logging
import os
import re
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np

from imgrag.library.engines.lists import ROUNDING, Lists
from imgrag.library.engines.rescoring import Scored, certain
from imgrag.library.engines.store import EXACT, LISTS, TWO_STAGES, Hit, best_first

FLAT_BELOW = 50_000  # vectors; up to here an exact search takes about 25 ms at 512 dimensions
QUANTISED_FROM = 200_000  # vectors; from here on in memory with a byte a coordinate: at a million 0.5 GB
ERROR = struct.Struct("<d")  # of two stages, behind what FAISS wrote
MAPPED = os.name != "nt"  # Windows cannot replace a file that is mapped
LEFT_SECONDS = 24 * 60 * 60  # after which a half-written snapshot is nobody's any more
ASIDE = "index.broken"  # the last snapshot that could not be read
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VectorIndex:
    """Vectors by id, as they were at `epoch` of the store.

    Attributes:
        file: what `faiss` looks into, if it was opened.
        error: how far the scores of a search may be off; 0 where the vectors are kept whole.
    """

    faiss: faiss.Index
    epoch: int
    file: np.ndarray | None = None
    error: float = 0.0

    @property
    def kind(self) -> str:
        """How the vectors are kept, see `kind_for`."""
        if isinstance(self.faiss, faiss.IndexIVFScalarQuantizer):
            return TWO_STAGES
        return LISTS if isinstance(self.faiss, faiss.IndexIVF) else EXACT

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


def kind_for(count: int) -> str:
    """How so many vectors are kept: `EXACT`, in `LISTS`, or in such in `TWO_STAGES`."""
    if count < FLAT_BELOW:
        return EXACT
    return LISTS if count < QUANTISED_FROM else TWO_STAGES


def kinds_for(count: int) -> set[str]:
    """How so many may stay kept: a library that goes to and fro about a threshold is not made anew each time."""
    return {kind_for(count), kind_for(count * 11 // 10)}


def build(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], count: int, dimensions: int, epoch: int
) -> VectorIndex:
    """An index of `count` vectors that come in blocks of ids int64 [n] and vectors float32 [n, d]."""
    if kind_for(count) == EXACT:
        index: faiss.Index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimensions))
        for ids, vectors in blocks:
            index.add_with_ids(vectors, ids)
        return VectorIndex(index, epoch)
    lists = Lists(count, dimensions, quantised=kind_for(count) == TWO_STAGES)
    lists.fill(blocks)
    return VectorIndex(lists.index, epoch, error=lists.error)


def save(index: VectorIndex, folder: Path, column: int) -> bool:
    """Write beside and rename; older snapshots of the column go. Returns whether there was room for it."""
    path = folder / f"index-{column}-{index.epoch}.faiss"
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            faiss.write_index(index.faiss, faiss.PyCallbackIOWriter(file.write))
            if index.error:
                file.write(ERROR.pack(index.error))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        log.warning("the snapshot %s is not kept: %s", path.name, error)
        _discard(partial)
        return False
    for old in _snapshots(folder, column):
        if old != path:
            _discard(old)
    _discard_leftovers(folder)
    return True


def _discard_leftovers(folder: Path) -> None:
    """What processes that were ended while they saved have left."""
    for partial in folder.glob("index-*.partial"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime > LEFT_SECONDS:
                _discard(partial)


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


def discard_from(folder: Path, epoch: int) -> None:
    """Do away with snapshots, of any column, that lie as far on as an epoch which nothing was written at yet, or further."""
    for path in folder.glob("index-*.faiss"):
        if _epoch(path) >= epoch:
            _discard(path)


def _opened(path: Path, epoch: int) -> VectorIndex:
    """The index in a file, which is not copied: where files can be mapped, it is not even read."""
    file = np.memmap(path, np.uint8, "r") if MAPPED else np.fromfile(path, np.uint8)
    reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(file), file.size)
    index = VectorIndex(faiss.read_index(reader), epoch, file)
    if index.kind != TWO_STAGES:
        return index
    error = ERROR.unpack(file[-ERROR.size :].tobytes())[0]
    if not ROUNDING <= error < 2:
        raise ValueError(f"its scores may be off by {error}")
    return replace(index, error=error)


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

    def suits(self, count: int) -> bool:
        """Whether the snapshot's vectors are kept as so many may be."""
        return self.main is not None and self.main.kind in kinds_for(count)

    def speaks_for(self, count: int, tail: int) -> bool:
        """Whether what is on disk will do: it suits, and little more than a tail has changed since."""
        return self.saved and self.suits(count) and len(self.stale) < max(tail, len(self.main or ()) // 10)

    def search(
        self, vector: np.ndarray, k: int, among: np.ndarray | None, barred: frozenset[int], scored: Scored
    ) -> list[Hit]:
        """The best of the snapshot and of the tail, none of them barred. `scored` knows the vectors themselves."""
        assert self.main is not None
        if self.main.error:
            hits = certain(self.main, vector, k, among, barred | self.stale, scored)
        else:
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


def let_go(near: Near, folder: Path, column: int, count: int) -> Near:
    """What is near in a library of so few that none needs a snapshot: one that was larger loses its own."""
    if kinds_for(count) != {EXACT}:
        return near
    for path in _snapshots(folder, column):
        _discard(path)
    return near if near.suits(count) else Near()
