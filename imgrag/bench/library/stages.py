"""What two stages save: the same lists with the vectors kept whole, as all were before, against the store's own.

The memory is what a new process grows by that opens the library and asks all queries, pages of mapped files included.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import faiss
import numpy as np

from imgrag.bench import Figure
from imgrag.bench.library.adding import MemoryGrowth
from imgrag.bench.library.counts import DIMENSIONS, Figures, in_new_process, seconds_of
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.engines.store import TWO_STAGES
from imgrag.library.engines.vectors import VectorIndex, save


def measure_stages(store: EmbeddedStore, folder: Path, queries: np.ndarray, k: int) -> Figures:
    """Memory and pace against lists of whole vectors, which take the place of the store's snapshot; memory is 1 if it has those.

    The bare index is then the one of whole vectors: what FAISS alone would be asked for the same answer.
    """
    if store.sizes().kind != TWO_STAGES:
        return {"memory": Figure(1.0, len(queries))}
    ours = in_new_process(memory_of_queries, folder, queries, k)
    whole = of_whole_vectors(store)
    pace = _against(store, whole, queries, k)
    save(VectorIndex(whole, store.version()), folder, 1)
    memory = ours / in_new_process(memory_of_queries, folder, queries, k)
    return {"memory": Figure(memory, len(queries)), "against_bare": Figure(pace, len(queries))}


def of_whole_vectors(store: EmbeddedStore) -> faiss.IndexIVFFlat:
    """The store's lists, each vector in the one it is in, with four bytes a coordinate."""
    lists = store.faiss_index()
    whole = faiss.IndexIVFFlat(lists.quantizer, DIMENSIONS, lists.nlist, faiss.METRIC_INNER_PRODUCT)
    whole.nprobe, whole.is_trained = lists.nprobe, True
    held = [_ids(lists.invlists, number) for number in range(lists.nlist)]
    ids = np.concatenate(held)
    places = np.zeros(ids.max() + 1, np.int64)
    places[ids] = np.repeat(np.arange(len(held)), [len(one) for one in held])
    for entries, vectors in store.rows(10_000):
        numbers = np.array([entry.id for entry in entries])
        chosen = np.ascontiguousarray(places[numbers])
        whole.add_core(len(numbers), *map(faiss.swig_ptr, (vectors, numbers, chosen)))
    return whole


def _ids(lists: faiss.InvertedLists, number: int) -> np.ndarray:
    size = lists.list_size(number)
    return faiss.rev_swig_ptr(lists.get_ids(number), size).copy() if size else np.zeros(0, np.int64)


def _against(store: EmbeddedStore, index: faiss.Index, queries: np.ndarray, k: int) -> float:
    """The median of a query by the store, against one by the bare index; they take turns."""
    ours, bare = [], []
    for one, other in zip(queries, queries[::-1], strict=True):
        ours.append(seconds_of(partial(store.search, one, k)))
        bare.append(seconds_of(partial(index.search, other[None], k)))
    return statistics.median(ours) / statistics.median(bare)


def memory_of_queries(folder: Path, queries: Sequence[np.ndarray], k: int) -> int:
    """Bytes of resident memory that come when the store in `folder` is opened and asked."""
    with MemoryGrowth() as memory, closing(EmbeddedStore(folder)) as store:
        for query in queries:
            store.search(query, k)
    return memory.bytes
