"""One contract for every engine that keeps a library: `imgrag.library.engines.store.Store`.

SQLite with FAISS and Milvus Lite run here; a Milvus server does too if IMGRAG_MILVUS_URI names one
(`.ci/run` starts a real one, see tests/milvus_server.py). Libraries get names of their own and are
dropped at the end.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from imgrag.errors import LibraryError
from imgrag.library.engines import sqlite_file
from imgrag.library.engines.milvus import MilvusStore
from imgrag.library.engines.milvus_filters import narrowed
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.engines.sqlite_file import FILE, copy_database
from imgrag.library.engines.store import MOST_COLUMNS, RARE, Entry, Store
from imgrag.library.engines.vectors import load
from imgrag.library.search.filters import COLUMNS, parse_filter, passes

EMBEDDED = ("sqlite", "two-stages")
ENGINES = (*EMBEDDED, "milvus-lite", "milvus-server")
SERVER = os.environ.get("IMGRAG_MILVUS_URI", "")
HAS_LITE = os.name != "nt" and all(map(importlib.util.find_spec, ("pymilvus", "milvus_lite")))
MODEL, DIMENSIONS = "a model", 8
Open = Callable[..., Store]


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch) -> str:
    if request.param == "two-stages":
        always_in_two_stages(monkeypatch)
    if request.param == "milvus-lite" and not HAS_LITE:
        pytest.skip("pymilvus and milvus-lite are not installed")
    if request.param == "milvus-server" and not SERVER:
        pytest.skip("IMGRAG_MILVUS_URI names no server")
    return request.param


def always_in_two_stages(monkeypatch) -> None:
    """From the first vector on, and made anew after every second change: nothing is left to the exact tail."""
    for name in ("vectors.FLAT_BELOW", "vectors.QUANTISED_FROM"):
        monkeypatch.setattr(f"imgrag.library.engines.{name}", 1)
    monkeypatch.setattr("imgrag.library.engines.sqlite.TAIL", 0)


@pytest.fixture
def open_store(engine, tmp_path) -> Iterator[Open]:
    """Opens the same store again and again, always without a model selected."""
    opened: list[Store] = []
    name = f"Größe {uuid.uuid4().hex}"
    places = {"milvus-lite": str(tmp_path / "here" / "milvus.db"), "milvus-server": SERVER}

    def opens(**options) -> Store:
        store = EmbeddedStore(tmp_path / "state") if engine in EMBEDDED else None
        opened.append(store or MilvusStore(places[engine], name, **options))
        return opened[-1]

    yield opens
    for store in opened:
        store.close()
    if engine == "milvus-server":
        MilvusStore(SERVER, name).drop()


@pytest.fixture
def store(open_store) -> Store:
    found = open_store()
    found.select(MODEL, DIMENSIONS)
    return found


def entry(number: int, **values) -> Entry:
    file = values.pop("file", f"{number:05}.png")
    return Entry(file, digest=hashlib.sha256(str(number).encode()).hexdigest(), **values)


def unit(rows: int, seed: int = 0, dimensions: int = DIMENSIONS) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def bare(found: Entry) -> Entry:
    return Entry(**{**vars(found), "id": 0, "fields": dict(found.fields)})


def test_sizes_are_the_pictures_and_what_the_engine_keeps(store, engine):
    assert store.sizes().pictures == 0
    store.write([entry(n, size=1000 + n) for n in range(3)], unit(3))
    store.remove([entry(1).file])
    sizes = store.sizes()
    assert sizes.pictures == 2002
    assert sizes.index is None if engine == "milvus-server" else sizes.index > 1000


def test_an_empty_store_answers(open_store):
    for chosen in (False, True):
        store = open_store()
        if chosen:
            store.select(MODEL, DIMENSIONS)
        where = parse_filter("price > 3")
        assert (store.count(), store.count(where)) == (0, 0)
        assert store.page(0, 10) == store.page(5, 10, where) == store.get([1, 2]) == []
        assert store.known(["a.png"]) == store.vectors(["d"]) == {}
        assert list(store.files()) == list(store.rows()) == store.named("dog") == []
        assert store.search(unit(1)[0], 3) == store.search(unit(1)[0], 3, where) == []
        assert store.remove(["a.png"]) == 0
        store.optimise()


def test_nothing_is_written_before_a_model_is_selected(open_store):
    with pytest.raises(ValueError, match="no model"):
        open_store().write([entry(1)], unit(1))


def test_entries_come_back_as_they_were_written(store):
    given = [
        entry(1, size=2**40, mtime_ns=2**62, name='Tom\'s "cat"', caption="Ein Kätzchen\nim Garten 🐈"),
        entry(2, file='photos/ü/ca\'t \\ "x".png', source="https://example.org/?a=b", licence="CC BY 4.0"),
        entry(3, fields={"price": 12.5, "stock": 3, "on sale": True, "whole": 2.0, "größe": "", "q": 'a"\\'}),
    ]
    ids = store.write(given, unit(3))
    assert min(ids) > 0 and len(set(ids)) == 3
    found = store.get(ids)
    assert [found_entry.id for found_entry in found] == ids
    assert [bare(one) for one in found] == given
    kept = found[2].fields
    assert [type(kept[name]) for name in ("price", "stock", "on sale", "whole")] == [float, int, bool, float]
    assert store.get([ids[2], 12345, ids[0]]) == [found[2], found[0]]
    files = [one.file for one in given]
    assert store.known([*files, "other.png"]) == dict(zip(files, found, strict=True))
    assert sorted(store.files()) == sorted(files)


def test_a_file_keeps_its_id_while_it_stays(store):
    first, second, third = store.write([entry(n) for n in (1, 2, 3)], unit(3))
    changed = Entry("00002.png", digest="f" * 64, caption="new", id=99)
    assert store.write([changed, entry(4)], unit(2, seed=1))[0] == second
    assert store.get([second])[0].caption == "new"
    assert store.count() == 4
    assert set(store.vectors([changed.digest, entry(2).digest])) == {changed.digest}
    assert store.search(unit(2, seed=1)[0], 1)[0].id == second
    assert store.remove(["00001.png", "unknown.png"]) == 1
    assert store.get([first, second, third]) == store.get([second, third])
    assert store.count() == 3
    assert first not in [hit.id for hit in store.search(unit(3)[0], 10)]


def test_the_last_of_two_entries_of_one_file_is_kept(store):
    vectors = unit(2)
    ids = store.write([entry(1, name="old"), entry(1, name="new")], vectors)
    assert ids[0] == ids[1] and store.count() == 1
    assert store.get(ids[:1])[0].name == "new"
    assert store.search(vectors[1], 1)[0].score == pytest.approx(1, abs=1e-5)


def test_pages_follow_the_ids(store):
    colours = ("red", "blue", "green")
    given = [entry(n, caption=f"part {n % 5}", fields={"colour": colours[n % 3]}) for n in range(250)]
    ids = sorted(store.write(given, unit(250)))
    pages = [store.page(start, 60) for start in range(0, 300, 60)]
    assert [len(page) for page in pages] == [60, 60, 60, 60, 10]
    assert [found.id for page in pages for found in page] == ids
    for text in (
        "colour = 'red'",
        "caption = 'part 1'",
        "caption like 'PART 1' and colour in ('red', 'blue')",
    ):
        where = parse_filter(text)
        wanted = [found.id for page in pages for found in page if passes(where, values(found))]
        assert 0 < len(wanted) == store.count(where)
        assert [e.id for start in (0, 10, 20) for e in store.page(start, 10, where)] == wanted[:30]
    assert store.page(250, 10) == store.page(0, 0) == []


def test_pages_reach_beyond_milvus_window_of_16384(store):
    given = [entry(n, file=str(n)) for n in range(17_000)]
    vectors = unit(17_000, dimensions=DIMENSIONS)
    for start in range(0, len(given), 5000):
        store.write(given[start : start + 5000], vectors[start : start + 5000])
    assert store.count() == 17_000
    whole = store.page(0, 17_000)
    assert [e.id for e in whole] == sorted(e.id for e in whole)
    assert {e.file for e in whole} == set(store.files()) == {e.file for e in given}
    assert store.page(16_500, 7) == whole[16_500:16_507]
    found = [hit.id for hit in store.search(vectors[0], 16_900)]
    assert len(set(found)) == 16_900 and found[0] == store.known(["0"])["0"].id


def test_each_model_has_a_column_of_its_own(open_store):
    store = open_store()
    store.select("small", 8)
    ids = store.write([entry(n) for n in range(3)], unit(3))
    store.select("big", 16)
    assert store.count() == 0 and store.vectors([entry(1).digest]) == {} and store.known(["00001.png"]) == {}
    vectors = unit(2, dimensions=16)
    assert store.write([entry(1), entry(2)], vectors) == ids[1:]
    assert store.vectors([entry(1).digest])[entry(1).digest] == pytest.approx(vectors[0], abs=1e-6)
    assert store.search(vectors[0], 5)[0].id == ids[1]
    assert (store.count(), len(store.search(vectors[0], 5))) == (2, 2)
    assert store.remove(["00001.png"]) == 1
    store.select("small", 8)
    assert sorted(store.files()) == ["00000.png", "00002.png"]
    with pytest.raises(LibraryError, match=r"16 dimensions.* 8"):
        store.select("small", 16)
    assert store.count() == 2


def test_before_a_model_is_selected_it_is_the_fullest(open_store):
    store = open_store()
    for model, dimensions, entries in (("one", 8, 2), ("two", 16, 5), ("three", 4, 1)):
        store.select(model, dimensions)
        store.write([entry(n) for n in range(entries)], unit(entries, dimensions=dimensions))
    store.close()
    again = open_store()
    assert again.count() == len(again.page(0, 10)) == 5
    assert len(again.search(unit(1, dimensions=16)[0], 10)) == 5


TEXTS = [
    "vehicle", "Vehicle", "", "a 'quoted' one", 'say "hi"', "back\\slash", "100%", "under_score", "Straße", "東京",
    "{brace}", "[1]", "two\nlines", '" or id > 0 or "', "x' or 1 = 1 --", "*", "é", "5", "true", "😀",
]  # fmt: skip
NUMBERS = [5, 5.0, -3, 0, 1, True, False, 299.99, 300, 1e-7, 2**53 - 1, 2**60, -1.5e20]


def made_up() -> list[Entry]:
    """Sixty entries: fields missing, of mixed types, of odd names, and texts that end other texts."""
    found = []
    for number in range(60):
        mixed = [*TEXTS, *NUMBERS][number % (len(TEXTS) + len(NUMBERS))]
        fields = {"mixed": mixed, "price": NUMBERS[number % len(NUMBERS)], "sold": number % 4 == 0}
        fields |= {"an odd name": number % 7, "größe": number % 5, "a.b": "dotted", 'x"]': 1}
        kept = {key: value for place, (key, value) in enumerate(fields.items()) if (number + place) % 3}
        text = TEXTS[number % len(TEXTS)]
        found.append(entry(number, name=text, caption=f"{text} no {number}", source=text[::-1], fields=kept))
    return found


def values(found: Entry) -> dict:
    return {**found.fields, **{column: getattr(found, column) for column in COLUMNS}}


EXPRESSIONS = [
    *(f"name = '{text.replace(chr(39), chr(39) * 2)}'" for text in TEXTS),
    *(f"mixed = '{text.replace(chr(39), chr(39) * 2)}'" for text in TEXTS),
    "name != 'vehicle'", "name < 'b'", "name >= 'Straße'", "name in ('vehicle', '東京', 5)", "name not in ('', '5')",
    "name = 5", "name != 5", "name < 5", "name in (5, true)", "not (name = 5)", "licence = ''", "licence != 'x'",
    "file = '00007.png'", "file > '0005'", "license = ''", "not (file > '0005') and not source = ''",
    "price < 300", "price <= 300", "price > 299.99", "price >= 5", "price = 5", "price = 5.0", "price != 5",
    "price = -3", "price < -1e19", "price > 1e-8", "price = 1152921504606846976",
    "price > 9007199254740990", "price in (0, 300, 'x')", "price not in (0, 300)", "price = 'x'", "price != 'x'",
    "price < 'x'", "not (price < 300)", "not price > 0", "price = true", "price >= true", "price < true",
    "sold = true", "sold = false", "sold != true", "sold = 1", "sold < 1", "sold in (true)", "not sold = true",
    "mixed = 5", "mixed < 6", "mixed > 'a'", "mixed != 5", "mixed != 'vehicle'", "mixed = true", "mixed <= 'a'",
    "mixed in (5, 'vehicle', true)", "mixed not in (5, 'vehicle')", "mixed in (0, 'é')", "mixed > 0 and mixed < 2",
    "name like 'v%'", "name like 'VEHICLE'", "name like '%''%'", "name like '100%'", "name like '_'", "name like '*'",
    "name like '[1]'", "name like '%e'", "name not like '%e%'", "mixed like '%'", "mixed not like '%'", "price like '5'",
    "caption like '%no 1_'", "missing = 1", "missing != 1", "not missing = 1", "missing not in (1)", "missing like '%'",
    "\"an odd name\" > 3", "größe = 2 or größe = 4", "a.b = 'dotted'", "not \"an odd name\" = 3",
    "price < 300 and name like 'v%' or sold = true and not mixed = 5",
    "(name = 'vehicle' or price > 100) and caption like '%1%'", "not (name = 'vehicle' or price > 100)",
    "not (name = 'vehicle' and name = '5')", "not not name = '5'", "name = 'vehicle' or name = 5 or not name = 'x'",
]  # fmt: skip


def test_filters_mean_the_same_to_every_engine(store):
    entries = made_up()
    store.write(entries, unit(len(entries)))
    disagreements = {}
    for text in EXPRESSIONS:
        where = parse_filter(text)
        wanted = sorted(e.file for e in entries if passes(where, values(e)))
        found = sorted(e.file for e in store.page(0, 100, where))
        if (found, store.count(where)) != (wanted, len(wanted)):
            disagreements[text] = set(found) ^ set(wanted)
    assert disagreements == {}


@pytest.mark.parametrize(
    ("text", "asked", "decided"),
    [
        ("name = 'x'", 'name == "x"', True),
        ("name = '\" or id > 0 or \"'", r'name == "\" or id > 0 or \""', True),
        ("name = '\\'", r'name == "\\"', True),
        ("name = '\\\" or true'", r'name == "\\\" or true"', True),
        ("name = '{x}' and not file in ('a', 'b')", '(name == "{x}") and (not (file in ["a", "b"]))', True),
        ("name = 5 or name != 5", "(id < 0) or (id >= 0)", True),
        ("name = 'two\nlines'", "id >= 0", False),
        (
            "price < 300",
            'fields["price"] < 300 or fields["price"] == false or fields["price"] == true',
            False,
        ),
        ("kind in ('a', 'b')", 'fields["kind"] == "a" or fields["kind"] == "b"', False),
        ("name like 'x%' and kind = 'a'", '(fields["kind"] == "a")', False),
        ("name like 'x%' or kind = 'a'", "id >= 0", False),
        ("not kind = 'a'", "id >= 0", False),
        ("kind != 'a'", "id >= 0", False),
        ('"] or id > 0" = 1', "id >= 0", False),
    ],
)
def test_milvus_is_asked_for_what_it_can_decide(text, asked, decided):
    where = parse_filter(text)
    assert narrowed(where) == (asked, None if decided else where)


def test_k_come_back_whenever_k_pass(store):
    vectors = unit(2000)
    given = [entry(n, name="rare" if n % 40 == 0 else "usual", fields={"price": n}) for n in range(2000)]
    ids = store.write(given, vectors)
    store.optimise()
    query = unit(1, seed=5)[0]
    order = [ids[n] for n in np.argsort(-(vectors @ query), kind="stable")]
    assert [hit.id for hit in store.search(query, 10)] == order[:10]
    rare = [ids[n] for n in np.argsort(-(vectors @ query)) if n % 40 == 0]
    texts = (
        "name = 'rare'",  # Milvus can decide this,
        "name like 'RARE'",  # not this,
        f"name = 'rare' and not price in ({', '.join(map(str, range(1, 40)))})",  # and this in part
    )
    for text in texts:
        hits = store.search(query, 50, parse_filter(text))
        assert [hit.id for hit in hits] == rare
        assert [hit.score for hit in hits] == pytest.approx(np.sort((vectors @ query)[::40])[::-1], abs=1e-5)
    assert [hit.id for hit in store.search(query, 60, parse_filter("price < 30"))] == [
        number for number in order if ids.index(number) < 30
    ]


def test_the_query_itself_can_be_left_out(store):
    vectors = unit(30)
    ids = store.write([entry(n) for n in range(30)], vectors)
    twin = Entry("twin.png", entry(3).digest)
    ids += store.write([twin], vectors[3:4])
    assert {hit.id for hit in store.search(vectors[3], 2)} == {ids[3], ids[30]}
    for where in (None, parse_filter("file != 'x'"), parse_filter("file like '%'")):
        hits = store.search(vectors[3], 29, where, without=twin.digest)
        assert len(hits) == 29 and not {ids[3], ids[30]} & {hit.id for hit in hits}


def test_what_is_equally_near_comes_in_the_order_of_ids(store):
    vectors = np.tile(unit(1), (200, 1))
    ids = sorted(store.write([entry(n) for n in range(200)], vectors))
    for k in (1, 10, 199, 500):
        assert [hit.id for hit in store.search(vectors[0], k)] == ids[:k]


def test_names_are_found_literally(store):
    given = [
        entry(1, name="Zorblax", fields={"price": 1}), entry(2, caption="a picture of a zorblax"),
        entry(3, file="deep/zorblax.png", name="other", fields={"price": 3}), entry(4, name="zorblax two"),
        entry(5, name="Tom's \"big\" cat"), entry(6, name='" or id > 0 or "'), entry(7, name="a\\b"),
    ]  # fmt: skip
    ids = store.write(given, unit(7))
    assert store.named("zorblax") == sorted(ids[:3])
    assert store.named("zorblax", parse_filter("price > 1")) == [ids[2]]
    assert store.named("zorblax", parse_filter("name = 'Zorblax'")) == [ids[0]]
    assert store.named('tom\'s "big" cat') == [ids[4]]
    assert store.named("a\\b") == [ids[6]]
    for name in ('" or id > 0 or "', "%", "", "zorbla", "' or 1 = 1 --"):
        assert store.named(name) == []
    store.write([entry(1, name="renamed")], unit(1))
    assert store.named("zorblax") == sorted(ids[1:3])


def test_at_most_a_thousand_are_named(store):
    ids = store.write([entry(n, name="dog") for n in range(1005)], unit(1005))
    assert store.named("dog") == sorted(ids)[:1000]


def test_a_store_is_found_again_as_it_was(open_store):
    store = open_store()
    store.select(MODEL, DIMENSIONS)
    vectors = unit(500)
    given = [entry(n, name=f"name {n}", fields={"price": n}) for n in range(500)]
    ids = store.write(given, vectors)
    store.remove(["00000.png"])
    store.optimise()
    store.write([entry(1, name="changed")], vectors[1:2])
    store.close()
    again = open_store()
    assert again.count() == 499
    assert {found.id: found.file for found in again.page(0, 500)} == {
        number: one.file for number, one in zip(ids[1:], given[1:], strict=True)
    }
    assert again.get([ids[1]])[0].name == "changed"
    again.select(MODEL, DIMENSIONS)
    assert [again.search(vectors[n], 1)[0].id for n in (1, 250, 499)] == [ids[1], ids[250], ids[499]]


def test_rows_give_everything_back(store):
    vectors = unit(230)
    given = [entry(n, caption=f"number {n}") for n in range(230)]
    store.write(given, vectors)
    blocks = list(store.rows(50))
    assert all(len(entries) == len(block) <= 50 for entries, block in blocks)
    found = {e.file: (bare(e), v) for entries, block in blocks for e, v in zip(entries, block, strict=True)}
    assert len(found) == sum(len(entries) for entries, _ in blocks) == 230
    for one, vector in zip(given, vectors, strict=True):
        assert found[one.file][0] == one
        assert found[one.file][1] == pytest.approx(vector, abs=1e-6)
    assert blocks[0][1].dtype == np.float32
    assert set(store.vectors(e.digest for e in given)) == {e.digest for e in given}


def test_a_graph_loses_nothing_of_a_selective_filter(engine, open_store):
    if engine != "milvus-server":
        pytest.skip("only a server changes to a graph")
    store = open_store(many=1500)
    store.select(MODEL, DIMENSIONS)
    vectors = unit(2000)
    ids = store.write([entry(n, fields={"rare": n % 40 == 0}) for n in range(2000)], vectors)
    store.optimise()
    assert store._index_kind() == "HNSW"
    query = unit(1, seed=5)[0]
    order = np.argsort(-(vectors @ query))
    rare = [ids[n] for n in order if n % 40 == 0]
    assert [hit.id for hit in store.search(query, 50, parse_filter("rare = true"))] == rare
    nearest = {hit.id for hit in store.search(query, 10)}
    assert len(nearest & {ids[n] for n in order[:10]}) >= 9
    store.write([entry(5, file="new.png")], query[None])
    assert store.search(query, 1)[0].id == store.known(["new.png"])["new.png"].id


@pytest.mark.skipif(not HAS_LITE, reason="pymilvus and milvus-lite are not installed")
class TestMilvusRefuses:
    """What Milvus cannot do is one sentence, and leaves nothing half written."""

    @pytest.fixture
    def store(self, tmp_path) -> Iterator[MilvusStore]:
        found = MilvusStore(str(tmp_path / "milvus.db"), "library")
        found.select(MODEL, DIMENSIONS)
        yield found
        found.close()

    def test_what_is_too_long(self, store):
        entries = [entry(1), entry(2, caption="ü" * 32_768)]
        with pytest.raises(LibraryError, match=r"caption of '00002\.png'.*65,535"):
            store.write(entries, unit(2))
        for value in ("x" * 70_000, 2**64, float("nan")):
            with pytest.raises(LibraryError, match=r"metadata of '00003\.png'"):
                store.write([entry(3, fields={"long": value})], unit(1))
        assert store.count() == 0

    def test_files_that_would_share_an_id(self, store, monkeypatch):
        for module in ("milvus", "milvus_rows"):
            monkeypatch.setattr(f"imgrag.library.engines.{module}.key", len)
        store.write([entry(1, file="one.png")], unit(1))
        with pytest.raises(LibraryError, match=r"two\.png.* and .*one\.png"):
            store.write([entry(2, file="two.png")], unit(1))
        with pytest.raises(LibraryError, match="same id"):
            store.write([entry(3, file="a"), entry(4, file="b")], unit(2))
        assert list(store.files()) == ["one.png"]
        assert store.known(["two.png"]) == {}

    def test_a_second_process(self, store, tmp_path):
        script = f"""
            from imgrag.errors import LibraryError
            from imgrag.library.engines.milvus import MilvusStore
            try:
                MilvusStore({str(tmp_path / "milvus.db")!r}, "library")
            except LibraryError as error:
                print(error)
        """
        done = run_script(script)
        assert "'milvus.db' cannot be opened. If another process has it open" in done.stdout
        assert str(tmp_path) not in done.stdout and "Traceback" not in done.stderr

    def test_two_libraries_share_a_file(self, store, tmp_path):
        other = MilvusStore(str(tmp_path / "milvus.db"), "library 2")
        other.select(MODEL, DIMENSIONS)
        other.write([entry(1)], unit(1))
        other.close()
        assert store.count() == 0
        store.write([entry(1), entry(2)], unit(2))
        assert store.count() == 2
        store.drop()
        assert MilvusStore(str(tmp_path / "milvus.db"), "library 2").count() == 1

    @pytest.mark.parametrize("uri", ["http://user:hidden@127.0.0.1:9", "ftp://127.0.0.1", "somewhere"])
    def test_an_address_where_no_milvus_is(self, uri):
        with pytest.raises(LibraryError, match="no Milvus to be reached") as caught:
            MilvusStore(uri, "library", "root:secret")
        assert not {"secret", "hidden"} & set(str(caught.value).replace(":", " ").split())


@pytest.mark.parametrize(
    ("uri", "missing", "advice"),
    [
        ("http://localhost:19530", "pymilvus", r"pip install pymilvus\.$"),
        ("library.db", "pymilvus", r"pip install pymilvus milvus-lite\.$"),
        ("library.db", "milvus_lite", r"pip install pymilvus milvus-lite\.$"),
    ],
)
def test_missing_packages_are_asked_for(uri, missing, advice, monkeypatch):
    if missing == "milvus_lite" and not HAS_LITE:
        pytest.skip("pymilvus is not installed")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(LibraryError, match=advice):
        MilvusStore(uri, "library")


WRITER = """
    import sys, numpy as np
    from pathlib import Path
    from imgrag.library.engines.sqlite import EmbeddedStore
    from imgrag.library.engines.store import Entry
    store = EmbeddedStore(Path(sys.argv[1]))
    store.select("model", 8)
    for batch in range(int(sys.argv[2]), 100_000):
        vectors = np.random.default_rng(batch).normal(size=(20, 8)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        store.write([Entry(f"{batch}/{n}.png", f"{batch} {n}") for n in range(20)], vectors)
        if batch % 3 == 0:
            store.remove([f"{batch}/19.png"])
        if batch % 10 == 9:
            store.optimise()
        print(batch, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    """Killed 5 times at random moments; IMGRAG_KILLS=50 makes it 50."""
    chance = random.Random(0)
    done = -1
    for _ in range(int(os.environ.get("IMGRAG_KILLS", "5"))):
        done = killed_writer(tmp_path / "state", done + 1, chance)
        store = EmbeddedStore(tmp_path / "state")
        files = set(store.files())
        for batch in range(done + 1):
            assert {f"{batch}/{n}.png" for n in range(20 - (batch % 3 == 0))} <= files
        begun = sum(file.startswith(f"{done + 1}/") for file in files)
        assert begun in (0, 19, 20)  # the batch that was being written: all or none
        for entries, vectors in store.rows():
            for found, vector in zip(entries[::50], vectors[::50], strict=True):
                assert store.search(vector, 1)[0].id == found.id
        store.close()
        base = sqlite3.connect(tmp_path / "state" / FILE)
        assert base.execute("pragma integrity_check").fetchall() == [("ok",)]
        base.close()


def killed_writer(folder: Path, first: int, chance: random.Random) -> int:
    """The last batch that a writer acknowledged before it was killed."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as writer:
        seen = [writer.stdout.readline() for _ in range(chance.randint(1, 30))]
        time.sleep(chance.uniform(0, 0.02))
        writer.kill()
        seen += writer.stdout.readlines()
    acknowledged = [int(line) for line in seen if line.endswith("\n")]
    assert acknowledged == list(range(first, first + len(acknowledged)))
    return acknowledged[-1]


def run_script(text: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(text)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def test_columns_are_the_other_metadata_by_name(store):
    assert store.columns() == []
    store.write([entry(n, fields={f"f{n:03}": n, "price": n}) for n in range(3)], unit(3))
    assert store.columns() == ["f000", "f001", "f002", "price"]
    store.write([entry(9, fields={f"g{n:03}": n for n in range(MOST_COLUMNS)})], unit(1))
    assert len(store.columns()) == MOST_COLUMNS


def test_a_store_knows_its_model_again(store, open_store, engine):
    store.write([entry(0)], unit(1))
    assert store.model == MODEL
    if engine != "milvus-lite":  # which keeps no word about a collection
        assert open_store().model == MODEL


def test_who_asks_a_closed_store_is_told_why(store):
    store.write([entry(0)], unit(1))
    store.close("The library was deleted meanwhile.")
    store.close()
    asked = (store.count, lambda: store.page(0, 1), lambda: store.search(unit(1)[0], 1))
    for ask in asked:
        with pytest.raises(LibraryError, match="deleted meanwhile"):
            ask()


def test_a_copy_has_all_models_and_goes_its_own_way(tmp_path):
    store = EmbeddedStore(tmp_path / "state")
    for model in ("one", "two"):
        store.select(model, DIMENSIONS)
        store.write([entry(n) for n in range(5)], unit(5))
    store.copy_to(tmp_path / "copy")
    copy = EmbeddedStore(tmp_path / "copy")
    for model in ("one", "two"):
        copy.select(model, DIMENSIONS)
        assert copy.count() == 5 and copy.search(unit(5)[3], 1)[0].score == pytest.approx(1)
    copy.remove([entry(0).file])
    assert (copy.count(), store.count()) == (4, 5)


@pytest.fixture(params=[50, 200_000])
def snapshot(tmp_path, monkeypatch, request) -> Path:
    """The snapshot of a store in a folder that FAISS alone could not open on Windows, in two stages and in one."""
    monkeypatch.setattr("imgrag.library.engines.vectors.FLAT_BELOW", 50)
    monkeypatch.setattr("imgrag.library.engines.vectors.QUANTISED_FROM", request.param)
    store = EmbeddedStore(tmp_path / "Bücher 图库")
    store.select(MODEL, DIMENSIONS)
    store.write([entry(n) for n in range(100)], unit(100))
    store.optimise()
    store.close()
    (found,) = (tmp_path / "Bücher 图库").glob("*.faiss")
    return found


@pytest.mark.parametrize("mapped", [True, False])
def test_a_snapshot_is_opened_whatever_its_folder_is_called(snapshot, monkeypatch, mapped):
    monkeypatch.setattr("imgrag.library.engines.vectors.MAPPED", mapped)
    asked = []
    monkeypatch.setattr("faiss.FileIOReader", lambda *_: asked.append("by FAISS"))
    index = load(snapshot.parent, 1, DIMENSIONS, 10)
    assert index is not None and len(index) == 100 and not asked
    assert index.search(unit(100)[42], 1)[0] == [43]


@pytest.mark.parametrize("broken", [b"", b"junk", "half"])
def test_a_snapshot_that_cannot_be_read_is_kept_aside(snapshot, caplog, broken):
    for _ in range(2):
        content = snapshot.read_bytes()
        content = content[: len(content) // 2] if broken == "half" else broken
        snapshot.write_bytes(content)
        store = EmbeddedStore(snapshot.parent)
        assert [hit.id for hit in store.search(unit(100)[7], 1)] == [8]
        store.optimise()
        store.close()
        (aside,) = snapshot.parent.glob("*.broken")
        assert aside.read_bytes() == content and aside.name in caplog.text


def test_a_disk_that_is_full_costs_a_snapshot_and_nothing_else(snapshot, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    snapshot.unlink()
    monkeypatch.setattr("faiss.write_index", full)
    store = EmbeddedStore(snapshot.parent)
    store.optimise()
    assert [hit.id for hit in store.search(unit(100)[7], 1)] == [8]
    assert "No space left" in caplog.text and not list(snapshot.parent.glob("*.partial"))


def test_words_of_name_caption_file_and_fields_find_entries(store):
    given = [
        entry(1, name="My Zorblaxes", fields={"place": "beach", "price": 12, "sold": True}),
        entry(2, caption="a zörblax on the BEACH"),
        entry(3, file="deep/zorblax_two.png", name="other"),
        entry(4, caption="一只鹦鹉在海滩上"),
        entry(5, name='" OR * NEAR(zorb) -x', caption="word: text"),
    ]
    ids = store.write(given, unit(5))
    words = 'zorblax beach 12 true 鹦鹉 鹦 鹉鹦 or " zorb* text:text word \0'.split(" ")
    held = {word: found.tolist() for word, found in store.holding(words).items()}
    assert held == {
        **{word: [] for word in words}, "zorblax": sorted(ids[:3]), "beach": sorted(ids[:2]), "12": ids[:1],
        "鹦鹉": ids[3:4], "鹦": ids[3:4], "or": ids[4:], "word": ids[4:],
    }  # fmt: skip
    assert store.holding(["zorblax"], parse_filter("price > 1"))["zorblax"].tolist() == ids[:1]
    assert store.holding(["zorblax"], parse_filter("caption like '%B%'"))["zorblax"].tolist() == ids[1:2]


def test_words_follow_what_is_written_and_removed(store, open_store):
    first, second = store.write([entry(1, name="zorblax"), entry(2, name="zorblax")], unit(2))
    assert store.holding(["zorblax"])["zorblax"].tolist() == sorted([first, second])
    before = store.version()
    store.write([entry(1, caption="quux")], unit(1))
    assert store.version() != before
    store.remove([entry(2).file])
    for one in (store, open_store()):
        assert {word: ids.tolist() for word, ids in one.holding(["zorblax", "quux"]).items()} == {
            "zorblax": [], "quux": [first],
        }  # fmt: skip


def test_what_many_hold_is_no_word_to_find_by(store):
    ids = store.write([entry(n, name="dog" if n else "zorblax dog") for n in range(RARE + 1)], unit(RARE + 1))
    held = store.holding(["dog", "zorblax"])
    assert set(held) == {"zorblax"} and held["zorblax"].tolist() == ids[:1]


def test_entries_are_scored_by_id(store):
    vectors = unit(700)
    ids = store.write([entry(n) for n in range(700)], vectors)
    hits = store.scored(vectors[3], [*ids[:600], 12345])
    order = np.argsort(-(vectors[:600] @ vectors[3]))
    assert [hit.id for hit in hits] == [ids[n] for n in order]
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert [hit.id for hit in store.scored(vectors[3], ids[3:5], without=entry(3).digest)] == ids[4:5]
    assert store.scored(vectors[3], []) == []


def test_short_names_are_told(store):
    given = [entry(1, name="Hot-Dog"), entry(2, name="hot dog", caption="long " * 20)]
    store.write(given, unit(2))
    assert store.names() == {"hot dog", "00001", "00002"}


def earlier(folder: Path) -> None:
    """Make a database what it was before words were kept."""
    with closing(sqlite3.connect(folder / FILE)) as base:
        base.executescript("drop table words; drop table unread")


def test_an_earlier_database_gets_its_words_when_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("imgrag.library.engines.sqlite_words.READ", 2)
    with closing(EmbeddedStore(tmp_path)) as store:
        store.select(MODEL, DIMENSIONS)
        ids = store.write([entry(n, name=f"zorblax {n}") for n in range(5)], unit(5))
        store.remove([entry(2).file])
    earlier(tmp_path)
    with closing(EmbeddedStore(tmp_path, writable=False)) as store:
        assert store.holding(["zorblax"]) == {} and store.named("zorblax 1") == ids[1:2]
        assert store.scored(unit(5)[1], ids[1:2])[0].score == pytest.approx(1)
    for _ in range(2):
        with closing(EmbeddedStore(tmp_path)) as store:
            assert store.holding(["zorblax"])["zorblax"].tolist() == [*ids[:2], *ids[3:]]


def test_words_are_read_by_two_processes_at_a_time(tmp_path, monkeypatch):
    """One stops in the middle, another changes what is not read yet and goes on; nobody's words are lost."""
    with closing(EmbeddedStore(tmp_path)) as store:
        store.select(MODEL, DIMENSIONS)
        ids = store.write([entry(n, name=f"old {n}") for n in range(50)], unit(50))
    earlier(tmp_path)
    script = f"""
        from pathlib import Path
        from imgrag.library.engines import sqlite_words
        from imgrag.library.engines.sqlite import EmbeddedStore
        sqlite_words.READ = 3
        print(len(EmbeddedStore(Path({str(tmp_path)!r})).holding(["old"])["old"]))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == ["50", "50"]
    with closing(EmbeddedStore(tmp_path)) as store:
        store.select(MODEL, DIMENSIONS)
        store.write([entry(7, name="new")], unit(1))
        held = store.holding(["old", "new"])
        assert held["new"].tolist() == ids[7:8] and len(held["old"]) == 49


def test_what_cannot_be_copied_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "a.sqlite")) as base,
        pytest.raises(OSError, match="unable to open"),
    ):
        copy_database(base, tmp_path / "nowhere" / "b.sqlite")


def test_a_store_that_another_process_writes_to_says_so_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "WAIT", 0.1)
    store = EmbeddedStore(tmp_path)
    store.select("m", 4)
    store.write([entry(1)], np.ones((1, 4), np.float32))
    with closing(sqlite3.connect(tmp_path / sqlite_file.FILE, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(LibraryError, match="Another program is writing"):
            store.write([entry(2)], np.ones((1, 4), np.float32))
        with pytest.raises(LibraryError, match="Another program is writing"):
            EmbeddedStore(tmp_path)
        other.execute("rollback")
    store.write([entry(2)], np.ones((1, 4), np.float32))
    assert store.count() == 2
    store.close()


@pytest.mark.parametrize("left", [b"", None], ids=["empty", "gone"])
def test_the_log_of_a_database_that_was_emptied_is_kept(tmp_path, left):
    store = EmbeddedStore(tmp_path / "first")
    store.select("m", 4)
    store.write([entry(1)], np.ones((1, 4), np.float32))
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    store.close()
    file = tmp_path / "second" / sqlite_file.FILE
    log = file.with_name(f"{file.name}-wal").read_bytes()
    if left is None:
        file.unlink()
    else:
        file.write_bytes(left)
    store = EmbeddedStore(tmp_path / "second")
    assert store.count() == 0
    store.close()
    assert file.with_suffix(".wal.broken").read_bytes() == log and log
