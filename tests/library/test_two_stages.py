"""Two vector stages: what is found is what the vectors themselves say, whatever the bytes in memory say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from imgrag.library.engines import rescoring, vectors
from imgrag.library.engines.lists import Lists
from imgrag.library.engines.rescoring import certain
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.engines.sqlite_file import FILE, copy_database
from imgrag.library.engines.store import Entry, Hit
from imgrag.library.search.filters import parse_filter

COUNT, DIMENSIONS, K = 3000, 64, 10


@pytest.fixture
def many(monkeypatch) -> np.ndarray:
    """Vectors [COUNT, d] in clusters, enough for two stages."""
    monkeypatch.setattr(vectors, "FLAT_BELOW", 500)
    monkeypatch.setattr(vectors, "QUANTISED_FROM", 1000)
    return clustered(COUNT)


def clustered(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20, DIMENSIONS))[rng.integers(20, size=count)]
    rows = rows + 0.3 * rng.standard_normal((count, DIMENSIONS))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def entries(count: int) -> list[Entry]:
    return [Entry(f"{n}.png", f"{n:064x}", fields={"shelf": n % 40}) for n in range(count)]


@pytest.fixture
def store(many, tmp_path) -> Iterator[EmbeddedStore]:
    found = EmbeddedStore(tmp_path)
    found.select("m", DIMENSIONS)
    found.write(entries(COUNT), many)
    found.optimise()
    yield found
    found.close()


def best(given: np.ndarray, query: np.ndarray, alive: np.ndarray) -> list[int]:
    scores = np.where(alive, given @ query, -2)
    return (np.argsort(-scores, kind="stable")[:K] + 1).tolist()


def test_a_filtered_search_is_exact_now_later_and_after_changes(store, many, tmp_path):
    alive = np.arange(COUNT) % 40 == 7
    for _ in range(2):
        for query in many[::100]:
            hits = store.search(query, K, parse_filter("shelf = 7"))
            assert [hit.id for hit in hits] == best(many, query, alive)
            assert [hit.score for hit in hits] == pytest.approx([many[hit.id - 1] @ query for hit in hits])
        store.close()
        store = EmbeddedStore(tmp_path)
        store.remove([f"{n}.png" for n in (7, 47, 87)])
        alive[[7, 47, 87]] = False
    assert store.sizes().kind == "two stages"
    store.close()


def test_nearly_everything_is_found_with_its_own_score(store, many):
    found = [store.search(query, K) for query in many[::50]]
    shares = [
        len({hit.id for hit in hits}.intersection(best(many, query, np.ones(COUNT, bool)))) / K
        for hits, query in zip(found, many[::50], strict=True)
    ]
    assert np.mean(shares) >= 0.98
    assert all(hits[0].score == pytest.approx(1, abs=1e-6) for hits in found)


def test_more_than_all_are_asked_for(store, many):
    assert len(store.search(many[0], 2 * COUNT)) == COUNT
    assert len(store.search(many[0], 2 * COUNT, parse_filter("shelf = 7"))) == COUNT // 40


def test_the_bytes_take_about_a_quarter_of_the_vectors(many):
    sizes = []
    for quantised in (True, False):
        lists = Lists(COUNT, DIMENSIONS, quantised)
        lists.fill([(np.arange(COUNT), many)])
        codes = lists.index.invlists.code_size * COUNT + 8 * COUNT
        sizes.append(codes)
    assert sizes[0] < 0.35 * sizes[1]


def test_no_score_is_off_by_more_than_is_said(many):
    lists = Lists(COUNT, DIMENSIONS, quantised=True)
    strange = np.eye(DIMENSIONS, dtype=np.float32)  # far outside of what the steps were chosen for
    lists.fill([(np.arange(2900), many[:2900]), (np.arange(2900, 2900 + DIMENSIONS), strange)])
    lists.index.nprobe = lists.index.nlist
    given = np.concatenate([many[:2900], strange])
    scores, ids = lists.index.search(given[::29], 500)
    off = np.abs(scores - np.take_along_axis(given[::29] @ given.T, ids, axis=1))
    assert 0 < off.max() <= lists.error < 1


def test_the_snapshot_knows_how_far_it_may_be_off(store, tmp_path):
    error = store._near.main.error
    assert error > 0
    opened = vectors.load(tmp_path, 1, DIMENSIONS, store.version())
    assert opened is not None and opened.error == error and opened.kind == "two stages"


def test_lists_of_an_earlier_version_are_searched_and_made_anew_when_there_is_time(
    many, tmp_path, monkeypatch
):
    monkeypatch.setattr(vectors, "QUANTISED_FROM", COUNT + 1)
    with closing(EmbeddedStore(tmp_path)) as store:
        store.select("m", DIMENSIONS)
        store.write(entries(COUNT), many)
        store.optimise()
    monkeypatch.setattr(vectors, "QUANTISED_FROM", 1000)
    with closing(EmbeddedStore(tmp_path)) as store:
        assert (store.search(many[5], 1)[0].id, store.sizes().kind) == (6, "lists")
        store.optimise()
        assert (store.search(many[5], 1)[0].id, store.sizes().kind) == (6, "two stages")
        assert isinstance(store.faiss_index(), faiss.IndexIVFScalarQuantizer)


class Blurred:
    """A first stage whose scores are off by up to `error`, the worst way round."""

    error = 0.1

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores
        order = np.argsort(-scores)
        self.seen = scores.copy()
        self.seen[order[:K]] -= self.error  # the best seem worse, all others better
        self.seen[order[K:]] += self.error

    def search(self, vector, k, among=None):
        order = np.argsort(-self.seen)[:k]
        return order.tolist(), self.seen[order].tolist()


@pytest.mark.parametrize("barred", [frozenset(), frozenset(range(0, 3000, 2))])
def test_the_best_are_found_however_the_first_stage_sees_them(barred):
    scores = np.random.default_rng(1).uniform(-1, 1, 3000)
    first, asked = Blurred(scores), []

    def scored(_, ids):
        asked.extend(ids)
        return [Hit(number, float(scores[number])) for number in ids]

    hits = certain(first, np.zeros(1, np.float32), K, None, barred, scored)
    wanted = [number for number in np.argsort(-scores).tolist() if number not in barred][:K]
    assert [hit.id for hit in hits] == wanted
    assert len(asked) == len(set(asked)) < 1000


def test_alike_pictures_do_not_lead_through_the_whole_library(monkeypatch):
    monkeypatch.setattr(rescoring, "MOST", 512)
    same, asked = Blurred(np.full(3000, 0.5)), []

    def scored(_, ids):
        asked.extend(ids)
        return [Hit(number, 0.5) for number in ids]

    assert len(certain(same, np.zeros(1, np.float32), K, None, frozenset(), scored)) == K
    assert len(asked) <= 512


def put_back(folder: Path, kept: Path) -> None:
    """The database of before, beside the snapshots of now."""
    for file in folder.glob(f"{FILE}*"):
        file.unlink()
    shutil.copyfile(kept, folder / FILE)


@pytest.mark.parametrize("how", ["put back", "made anew"])
def test_a_snapshot_of_another_history_is_not_taken_for_this_one_s(many, tmp_path, how):
    kept, folder = tmp_path / "kept", tmp_path / "state"
    with closing(EmbeddedStore(folder)) as store:
        store.select("m", DIMENSIONS)
        if how == "put back":
            store.write(entries(COUNT)[:2000], many[:2000])
        copy_database(store._base, kept)
        store.write(entries(COUNT)[::-1][:1000], many[:1000])
        store.optimise()
    put_back(folder, kept)
    with closing(EmbeddedStore(folder)) as store:
        store.select("m", DIMENSIONS)
        for first in (1500, 0):
            store.write(entries(COUNT)[first : first + 1500], many[first : first + 1500])
    with closing(EmbeddedStore(folder)) as store:
        for number in range(0, COUNT, 300):
            (hit,) = store.search(many[number], 1)
            assert store.get([hit.id])[0].file == f"{number}.png" and hit.score == pytest.approx(1, abs=1e-5)


def test_writing_keeps_the_snapshot_that_there_is(store, many, tmp_path):
    (before,), main = tmp_path.glob("*.faiss"), store._near.main
    store.write(entries(COUNT)[:3], many[3:6])
    store.remove(["9.png"])
    store.search(many[0], 1)
    assert list(tmp_path.glob("*.faiss")) == [before] and store._near.main is main


def test_another_model_s_index_forgets_a_picture_that_changed(tmp_path):
    given = clustered(10)
    with closing(EmbeddedStore(tmp_path)) as store, closing(EmbeddedStore(tmp_path)) as other:
        for model, one in (("m", store), ("another", other)):
            one.select(model, DIMENSIONS)
            one.write(entries(10), given)
        assert store.search(given[5], 1)[0].id == 6
        other.write([replace(entries(10)[5], digest="changed")], -given[5:6])
        assert 6 not in [hit.id for hit in store.search(given[5], 10)]
        assert other.remove(["5.png"]) == 1


@pytest.mark.parametrize("error", [float("nan"), 0.0, -1.0, 3.0])
def test_an_error_that_cannot_be_is_not_believed(store, many, tmp_path, error):
    (path,) = tmp_path.glob("*.faiss")
    path.write_bytes(path.read_bytes()[: -vectors.ERROR.size] + vectors.ERROR.pack(error))
    assert vectors.load(tmp_path, 1, DIMENSIONS, store.version()) is None
    assert (tmp_path / vectors.ASIDE).exists()


def test_about_a_threshold_an_index_stays_and_far_below_its_snapshot_goes(store, many, tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "QUANTISED_FROM", COUNT + 200)
    main = store._near.main
    store.optimise()
    assert store._near.main is main
    monkeypatch.setattr(vectors, "QUANTISED_FROM", 2 * COUNT)
    store.optimise()
    assert store.sizes().kind == "lists"
    monkeypatch.setattr(vectors, "FLAT_BELOW", COUNT + 200)
    store.optimise()
    assert list(tmp_path.glob("*.faiss")) and store.sizes().kind == "lists"
    monkeypatch.setattr(vectors, "FLAT_BELOW", 2 * COUNT)
    store.optimise()
    assert not list(tmp_path.glob("*.faiss")) and store.sizes().kind == "exact"
    assert store.search(many[5], 1)[0].id == 6


def test_what_ended_processes_left_half_written_goes_after_a_day(store, tmp_path):
    old, new = tmp_path / "index-1-1.7.partial", tmp_path / "index-1-1.8.partial"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert vectors.save(store._near.main, tmp_path, 1)
    assert (old.exists(), new.exists()) == (False, True)


def test_none_are_asked_for(store, many):
    assert store.search(many[0], 0) == []
