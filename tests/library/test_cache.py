"""What was found is kept as long as the library is the same, in the process or in a real Redis, and no longer."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgrag.bench.remembering import redis_server
from imgrag.engine.librarian import Librarian, results_of
from imgrag.errors import LibraryError
from imgrag.library.engines.milvus import MilvusStore
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.engines.store import Entry
from imgrag.library.intake.adding import finished
from imgrag.library.search import cache
from imgrag.library.search.cache import InProcess, InRedis, key_of, open_cache, picture_hash
from imgrag.library.search.queries import Query
from tests.fakes import Cast, FakeEmbedder, make_library, make_pipeline, tile

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with redis_server() as uri:
        yield uri


@pytest.fixture(params=("process", "redis"))
def kept(request):
    """A cache of each kind, empty."""
    if request.param == "process":
        return InProcess()
    pytest.importorskip("redis")
    uri = request.getfixturevalue("server")
    if not uri:
        pytest.skip("redis-server is not installed")
    found = InRedis(uri)
    found._server.flushdb()
    return found


class Counting(Cast):
    """How often anything was embedded."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        for name in ("embed_texts", "embed_images"):
            setattr(self.clip, name, self._counted(getattr(self.clip, name)))

    def _counted(self, embed):
        def counted(*arguments):
            self.asked += 1
            return embed(*arguments)

        return counted


@pytest.fixture
def cast() -> Counting:
    return Counting()


@pytest.fixture
def librarian(tmp_path, cast, kept) -> Librarian:
    make_library(tmp_path / "libraries" / "mine", "owl", "cat")
    return Librarian(make_pipeline(tmp_path, cast), kept)


def files(found) -> list[str]:
    return sorted(candidate.file for candidate in found.candidates)


def test_the_same_search_asks_no_model_and_no_index(librarian, cast, monkeypatch):
    query = Query("an owl", where="name = 'owl'")
    first = librarian.search("mine", query)
    asked = cast.asked
    monkeypatch.setattr(librarian.library("mine"), "index", None)
    assert librarian.search("mine", query) == first
    assert cast.asked == asked


def test_another_process_of_the_same_redis_asks_none_either(tmp_path, cast, server):
    pytest.importorskip("redis")
    if not server:
        pytest.skip("redis-server is not installed")
    make_library(tmp_path / "libraries" / "mine", "owl", "cat")
    first = Librarian(make_pipeline(tmp_path, cast), InRedis(server)).search("mine", Query("an owl"))
    asked = cast.asked
    again = Librarian(make_pipeline(tmp_path, cast), InRedis(server))
    assert again.search("mine", Query("an owl")) == first and cast.asked == asked


def test_whatever_changes_the_answer_is_another_question(librarian, cast):
    owl, cat = tile("owl", 30), tile("cat", 30)
    asked = [
        (Query("an owl"), 12), (Query("an owl"), 1), (Query("a cat"), 12), (Query("an owl", where="name = 'cat'"), 12),
        (Query(image=owl), 12), (Query(image=cat), 12), (Query("an owl", image=owl), 12),
        (Query("an owl", image=owl, weight=0.9), 12),
    ]  # fmt: skip
    for _ in range(2):
        found = [files(librarian.search("mine", query, k)) for query, k in asked]
        assert found[1] == ["owl.png"] and found[3] == ["cat.png"] and len(found[0]) == 2
    assert len({librarian._key(librarian.library("mine").stamp(), *one) for one in asked}) == len(asked)
    assert len({librarian._key(librarian.library(n).stamp(), *asked[0]) for n in ("mine", "pocket")}) == 2


def test_pictures_differ_by_what_they_show():
    paletted = [Image.new("P", (4, 4), 1) for _ in range(2)]
    paletted[0].putpalette([0, 0, 0, 255, 0, 0])
    paletted[1].putpalette([0, 0, 0, 0, 255, 0])
    others = [Image.new("RGB", (4, 4)), Image.new("RGB", (2, 8)), Image.new("L", (4, 12)), None]
    assert len({picture_hash(one) for one in (*paletted, *others)}) == 6


def test_every_change_is_seen(librarian, tmp_path):
    folder = tmp_path / "libraries" / "mine"

    def found() -> list[str]:
        return files(librarian.search("mine", Query("a toolbox")))

    for _ in range(2):
        assert found() == ["cat.png", "owl.png"]
    tile("toolbox").save(folder / "new.png")
    assert found() == found() == ["cat.png", "new.png", "owl.png"]
    tile("dog").save(folder / "new.png")
    assert librarian.search("mine", Query("dog")).candidates[0].file == "new.png"
    (folder / "metadata.csv").write_text("file_name,caption\nowl.png,a toolbox\n")
    assert librarian.search("mine", Query("a toolbox")).candidates[0].file == "owl.png"
    (folder / "metadata.csv").write_text("file_name,caption\ncat.png,a toolbox\n")
    assert librarian.search("mine", Query("a toolbox")).candidates[0].file == "cat.png"
    taken = librarian.take_out("mine", ["owl.png"])
    assert found() == found() == ["cat.png", "new.png"]
    librarian.put_back("mine", taken)
    assert found() == ["cat.png", "new.png", "owl.png"]


def test_a_library_made_anew_under_the_same_name_is_another_one(librarian, tmp_path):
    librarian.search("mine", Query("an owl"))
    librarian.delete("mine")
    make_library(tmp_path / "libraries" / "mine", "dog")
    assert files(librarian.search("mine", Query("an owl"))) == ["dog.png"]


def add(librarian: Librarian, folder: Path) -> None:
    """Whoever searches may be taking in the folder at the moment; then it is said so."""
    while True:
        try:
            finished(librarian.add("mine", [folder]))
        except LibraryError as error:
            assert "already" in str(error)
        else:
            return


def test_while_pictures_are_added_no_answer_lacks_what_was_acknowledged(librarian, tmp_path):
    folder = tmp_path / "coming"
    folder.mkdir()
    known, wrong, ended = 2, [], threading.Event()

    def ask() -> None:
        while not ended.is_set():
            before = known
            found = len(librarian.search("mine", Query("a toolbox"), 100).candidates)
            if found < before:
                wrong.append((found, before))

    librarian.search("mine", Query("a toolbox"))
    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    try:
        for number in range(15):
            tile("toolbox", 16 + number).save(folder / f"{number}.png")
            add(librarian, folder)
            known = 3 + number
    finally:
        ended.set()
        for thread in asking:
            thread.join()
    assert not wrong
    assert len(librarian.search("mine", Query("a toolbox"), 100).candidates) == 17


WRITER = """
    import sys
    from pathlib import Path
    from imgrag.engine.librarian import Librarian
    from imgrag.errors import LibraryError
    from imgrag.library.intake.adding import finished
    from tests.fakes import Cast, make_pipeline, tile

    root = Path(sys.argv[1])
    librarian = Librarian(make_pipeline(root, Cast()))
    (root / "coming").mkdir()
    for number in range(8):
        picture = root / "coming" / f"{number}.png"
        tile("toolbox", 16 + number).save(picture)
        while True:
            try:
                finished(librarian.add("mine", [picture]))
                break
            except LibraryError as error:
                assert "writing" in str(error), error
        print(number, flush=True)
"""


def test_what_another_process_acknowledged_is_found(librarian, tmp_path):
    assert len(librarian.search("mine", Query("a toolbox"), 100).candidates) == 2
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        for line in writer.stdout:
            found = len(librarian.search("mine", Query("a toolbox"), 100).candidates)
            assert found >= 3 + int(line)
    assert writer.returncode == 0


def test_an_adding_that_was_stopped_is_gone_on_with(librarian, tmp_path, monkeypatch):
    library = librarian.library("mine")
    librarian.search("mine", Query("an owl"))
    tile("toolbox").save(tmp_path / "libraries" / "mine" / "new.png")
    with library._changing():  # somebody is adding, and has got nowhere yet
        assert files(librarian.search("mine", Query("an owl"))) == ["cat.png", "owl.png"]
    assert files(librarian.search("mine", Query("an owl"))) == ["cat.png", "new.png", "owl.png"]


def test_a_process_keeps_so_much_and_what_was_asked_last():
    cache = InProcess(30)
    for key in "abc":
        cache.put(key, key * 9)
    assert cache.get("a") == "a" * 9
    cache.put("d", "d" * 9)
    assert [cache.get(key) for key in "abcd"] == ["a" * 9, None, "c" * 9, "d" * 9]
    cache.put("a", "x")
    cache.put("e", "e" * 7)
    assert (cache.get("a"), cache.get("c")) == ("x", "c" * 9)
    cache.put("f", "f" * 40)
    assert cache.get("f") is None


def test_a_lost_server_is_one_line_and_no_error(tmp_path, caplog, monkeypatch):
    pytest.importorskip("redis")
    with redis_server() as uri:
        if not uri:
            pytest.skip("redis-server is not installed")
        kept = InRedis(uri)
        librarian = Librarian(make_pipeline(tmp_path, Cast()), kept)
        first = librarian.search("pocket", Query("an owl"))
    monkeypatch.setattr(cache, "PAUSE_SECONDS", 0.0)
    with caplog.at_level(logging.WARNING, cache.__name__):
        for _ in range(3):
            assert librarian.search("pocket", Query("an owl")) == first
    assert [record.name for record in caplog.records] == [cache.__name__]
    assert "searches go on without it" in caplog.text


def test_a_server_that_refuses_is_asked_on_and_one_that_answers_oddly_ends_no_search(caplog):
    redis = pytest.importorskip("redis")
    kept = InRedis("redis://localhost:1")

    class Full:
        def get(self, key):
            return b"there"

        def set(self, *_, ex):
            raise redis.ResponseError("OOM command not allowed")

    kept._server = Full()
    for _ in range(3):
        kept.put("a", "b")
        assert kept.get("a") == "there"
    assert len(caplog.records) == 1
    kept._server = object()  # the client raises AttributeError
    assert kept.get("a") is None and kept._lost_until > 0


def test_what_another_model_took_in_settles_nothing_for_this_one(librarian, tmp_path):
    library = librarian.library("mine")
    library.index(librarian.embedder())
    other = FakeEmbedder()
    other.model_id = "another"
    stamp = library.stamp()
    assert library.is_settled(stamp, librarian.embedder().model_id) and not library.is_settled(
        stamp, "another"
    )
    library.index(other)
    assert library.is_settled(library.stamp(), "another")


def test_a_link_that_leads_nowhere_hides_no_change_behind_it(librarian, tmp_path):
    library = librarian.library("mine")
    for number in range(20):
        (library.folder / f"{number}.png").symlink_to(library.folder / "gone.png")
    for file in ("cat.png", "owl.png"):  # whichever of them the folder lists behind it
        before = library.stamp()
        (library.folder / file).write_bytes(b"changed in place")
        assert library.stamp() != before


def test_what_others_wrote_to_the_server_is_no_answer(librarian, kept):
    first = librarian.search("mine", Query("an owl"))
    key = librarian._key(librarian.library("mine").stamp(), Query("an owl"), 12)
    assert json.loads(kept.get(key))[0]["file"] == "owl.png"
    kinds = [
        f'[{{"file": "x", "score": 1, {field}}}]'
        for field in ('"fields": 3', '"name": 3', '"sure": "x"', '"id": "x"')
    ]
    rows = (
        "",
        "no json",
        "{}x",
        "[3]",
        '[{"file": "x"}]',
        "null",
        '[{"file": "x", "score": "x"}]',
        "[" * 100_000,
        *kinds,
    )
    for rubbish in rows:
        kept.put(key, rubbish)
        assert results_of(rubbish) is None
        assert librarian.search("mine", Query("an owl")) == first


@pytest.mark.parametrize("uri", ["localhost:6379", "http://localhost", "redis://localhost:port"])
def test_what_is_no_address_is_said_in_a_sentence(uri, monkeypatch):
    monkeypatch.setenv("IMGRAG_CACHE", uri)
    with pytest.raises(LibraryError, match="redis://localhost:6379/0"):
        open_cache()


def test_the_package_is_asked_for(monkeypatch):
    monkeypatch.setattr(cache, "find_spec", lambda name: None)
    with pytest.raises(LibraryError, match="pip install"):
        open_cache("redis://localhost:6379/0")
    assert isinstance(open_cache(""), InProcess)


def test_keys_tell_texts_apart_that_only_look_alike():
    assert len({key_of("a", "b"), key_of("ab", ""), key_of(["a", "b"]), key_of("\ud800")}) == 4


def test_a_store_of_each_engine_is_stamped_anew_by_each_change(tmp_path):
    """Also as another one that has it open sees it."""
    entries, vectors = [Entry("a.png", "0"), Entry("b.png", "1")], np.eye(2, 8, dtype=np.float32)
    places = [lambda: EmbeddedStore(tmp_path / "state")]
    if all(map(importlib.util.find_spec, ("pymilvus", "milvus_lite"))):
        places.append(lambda: MilvusStore(str(tmp_path / "milvus.db"), "mine"))
    for place in places:
        writer, reader = place(), place()
        for store in (writer, reader):
            store.select("a model", 8)
        reader.stamp()
        stamps = [reader.stamp()]
        for written in (entries, [replace(entry, caption="edited") for entry in entries]):
            writer.write(written, vectors)
            stamps.append(reader.stamp())
        writer.remove(["a.png"])
        stamps.append(reader.stamp())
        assert len(set(stamps)) == 4 and all(stamps) and reader.stamp() == writer.stamp() == stamps[-1]
        for store in (writer, reader):
            store.close()
