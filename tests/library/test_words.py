"""Found by words and by look: how texts are read, how the two are ranked, what may have been meant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgrag.library import ImageLibrary, open_library
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.engines.store import RARE, Entry
from imgrag.library.search.column import Column
from imgrag.library.search.filters import parse_filter
from imgrag.library.search.names import names_of
from imgrag.library.search.words import MOST_ASKED, MOST_WORDS, asked_words, words_of
from tests.fakes import FakeEmbedder, make_library, tile

DIMENSIONS = 8
LOOK = np.eye(DIMENSIONS, dtype=np.float32)[0]
HOSTILE = [
    '" OR *',
    "NEAR(a b) NOT -c:d ^e",
    "a\0b\0",
    "\ud800 \udc00x",
    "x" * 2000,
    "' or 7z = 7z --",
    "*",
    "的",
    "\n",
]


@pytest.mark.parametrize(
    ("text", "words"),
    [("My Zörblaxes", "zorblax"), ("STRASSE Straße", "strass"), ("ＡＢＣ hot_dog-x", "abc hot dog x"), ("鹦鹉", "鹦鹉"),
     ("海滩上的鹦鹉", "海滩 滩上 上的 的鹦 鹦鹉"), ("鹉", "鹉"), ("owl鹦鹉2", "owl 鹦鹉 2"), ("the", ""), ("", ""),
     ("앵무새", "앵무 무새"), ("オウム", "オウ ウム")],
)  # fmt: skip
def test_texts_are_asked_for_as_words(text: str, words: str) -> None:
    assert asked_words(text) == words.split()


def test_what_is_asked_for_is_what_is_kept() -> None:
    kept = words_of(
        Entry("a/IMG_1.png", "", caption="一只鹦鹉在海滩上", fields={"n": 3, "who": "Ünal", "yes": True})
    )
    assert {"鹦鹉", "只", "img", "1", "3", "unal"} <= set(kept) and "true" not in kept
    for text in ("鹦鹉", "鹦", "鹦鹉在海滩", "unal", "3"):
        assert set(asked_words(text)) <= set(kept)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_makes_more_words_than_there_may_be(text: str) -> None:
    long = (text + " ").join(map(str, range(600)))
    assert len(asked_words(long)) <= MOST_ASKED and len(words_of(Entry("", "", caption=long))) <= MOST_WORDS
    assert all(word.isalnum() for word in asked_words(text))


def filled(folder: Path, *entries: Entry) -> Column:
    """A column whose entries look less like `LOOK` the later they come."""
    store = EmbeddedStore(folder)
    store.select("model", DIMENSIONS)
    angles = np.linspace(0, 1.5, len(entries), dtype=np.float32)
    vectors = np.zeros((len(entries), DIMENSIONS), np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    store.write(entries, vectors)
    return Column(store)


def beaches(count: int, *others: Entry) -> list[Entry]:
    return [Entry(f"{n:04}.png", f"{n}", caption=f"a beach, no {n}") for n in range(count)] + list(others)


MINE = Entry(
    "IMG_2041.jpg", "mine", name="IMG 2041", caption="my zorblax at the beach", fields={"who": "Quuxel"}
)


@pytest.mark.parametrize(
    "text", ["zorblax", "a Zörblax", "zorblaxes", "my zorblax in the garden", "quuxel", "img_2041"]
)
def test_a_rare_word_is_found_however_little_it_looks_like_it(tmp_path: Path, text: str) -> None:
    found = filled(tmp_path, *beaches(40, MINE)).search(LOOK, text, 5)
    assert "IMG_2041.jpg" in [hit.file for hit in found[:2]]
    assert len(found) == len({hit.file for hit in found}) == 5 and found[-1].worded == 0


def test_words_all_of_which_a_picture_holds_say_so(tmp_path: Path) -> None:
    column = filled(tmp_path, *beaches(40, MINE))
    worded = {
        text: column.search(LOOK, text, 41) for text in ("zorblax", "zorblax beach", "zorblax florp", "florp")
    }
    shares = {text: {hit.file: hit.worded for hit in hits}["IMG_2041.jpg"] for text, hits in worded.items()}
    assert shares["zorblax"] == shares["zorblax beach"] == 1
    assert 0.4 < shares["zorblax florp"] < 0.6 and shares["florp"] == 0
    assert {hit.score for hit in worded["zorblax"]} == {hit.score for hit in worded["florp"]}


def test_what_is_called_so_comes_before_what_mentions_it(tmp_path: Path) -> None:
    called = Entry("x.png", "x", name="Zorblax")
    hits = filled(tmp_path, *beaches(9), MINE, called).search(LOOK, "zorblax", 3)
    assert [hit.file for hit in hits[:2]] == ["x.png", "IMG_2041.jpg"]


def test_words_that_say_nothing_leave_the_look_alone(tmp_path: Path) -> None:
    column = filled(tmp_path, *(Entry(f"{n}.png", f"{n}", caption="dog") for n in range(RARE + 1)))
    for text in ("", "the dog", "florp", *HOSTILE):
        hits = column.search(LOOK, text, 5)
        assert [hit.file for hit in hits] == [f"{n}.png" for n in range(5)], text
        assert not any(hit.worded for hit in hits)


def test_of_pictures_that_hold_the_same_words_the_more_similar_comes_first(tmp_path: Path) -> None:
    others = [Entry(f"z{n}.png", f"z{n}", caption=f"zorblax {n}") for n in range(30)]
    hits = filled(tmp_path, *beaches(5), *others).search(LOOK, "zorblax", 40)
    found = [hit.file for hit in hits if hit.file.startswith("z")]
    assert found == [f"z{n}.png" for n in range(30)] and hits[0].file == "z0.png"


def test_filters_and_what_is_left_out_hold_for_words_too(tmp_path: Path) -> None:
    column = filled(tmp_path, *beaches(5, MINE))
    where = parse_filter("who != 'Quuxel' or caption like '%no%'")
    assert "IMG_2041.jpg" not in [entry.file for entry, _ in column.ranked(LOOK, "zorblax", 9, where)]
    assert "IMG_2041.jpg" not in [
        entry.file for entry, _ in column.ranked(LOOK, "zorblax", 9, without="mine")
    ]
    only = column.ranked(LOOK, "zorblax", 9, parse_filter("who = 'Quuxel'"))
    assert [entry.file for entry, _ in only] == ["IMG_2041.jpg"]


NAMES = names_of(
    [
        "zorblax",
        "hot dog",
        "owl",
        "owls nest",
        "red fog",
        "café au lait",
        "strawberry",
        "鹦鹉在海滩",
        "bear",
        "beer mug",
    ]
)


@pytest.mark.parametrize(
    ("typed", "found"),
    [("Zorblaxes", ["zorblax"]), ("zorblxa", ["zorblax"]), ("zrblx", []), ("a zorbla", ["zorblax"]), ("hotdog", ["hot dog"]),
     ("Hot-Dogs", ["hot dog"]), ("owls", ["owl"]), ("ow", []), ("owk", []), ("red dog", []), ("cafe-au-lait", ["café au lait"]),
     ("strawbery", ["strawberry"]), ("strabwerry", ["strawberry"]), ("beer", ["bear"]), ("鹦鹉在海难", ["鹦鹉在海滩"]), ("", []), ("20411", [])],
)  # fmt: skip
def test_names_that_may_have_been_meant(typed: str, found: list[str]) -> None:
    assert NAMES.near(typed, 3) == found


@pytest.mark.parametrize(
    ("typed", "found"),
    [("o", ["owl", "owls nest"]), ("owls", ["owls nest"]), ("Do", ["hot dog"]), ("b", ["bear", "beer mug"]), ("2", []),
     ("鹉", ["鹦鹉在海滩"]), ("l", ["café au lait"]), ("CAFE A", ["café au lait"]), ("x", []), ("", []), (".*", [])],
)  # fmt: skip
def test_names_go_on_as_typed(typed: str, found: list[str]) -> None:
    assert NAMES.completions(typed, 8) == found


def test_completions_begin_with_what_begins_so() -> None:
    assert names_of(["red ant", "ant hill", "ant"]).completions("ant", 2) == ["ant", "ant hill"]


@pytest.fixture
def library(tmp_path: Path) -> ImageLibrary:
    folder = make_library(tmp_path / "mine", "owl", "dog")
    tile("cat").save(folder / "IMG_1.png")
    (folder / "metadata.csv").write_text(
        "file_name,name,caption\nIMG_1.png,Big Zor-Blax,my quuxel at the beach\n", encoding="utf-8"
    )
    return open_library(str(folder), tmp_path, tmp_path / "cache")


def test_a_library_tells_what_was_meant_before_and_after_it_is_indexed(library: ImageLibrary) -> None:
    for indexed in (False, True):
        assert library.near("owls") == ["owl"] and library.completions("D") == ["dog"]
        assert library.near("big zorblaks") == (["Big Zor-Blax"] if indexed else [])
        assert library.completions("zor") == (["Big Zor-Blax"] if indexed else [])
        assert library.mentions("owl") and library.mentions("quuxel") == indexed
        assert (
            not library.mentions("quuxel garden") and not library.mentions("") and not library.mentions("the")
        )
        assert not library.holds("quuxel") and library.called("cat") is None
        owl = library.called("an Owl")
        assert owl is not None and (owl.file, owl.name, bool(owl.id)) == ("owl.png", "owl", indexed)
        library.index(FakeEmbedder())


def test_at_one_moment_the_disk_is_looked_at_once(
    library: ImageLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, on_disk = [], ImageLibrary._on_disk
    monkeypatch.setattr(ImageLibrary, "_on_disk", lambda self: looks.append(self) or on_disk(self))
    names = library.moment()
    for name in ("owl", "zork", "blix", "zork"):
        assert (names.holds(name), names.mentions(name), bool(names.near(name))) == (name == "owl",) * 3
    assert len(looks) == 1
    tile("dog").save(library.folder / "florb.png")
    assert not names.holds("florb") and library.moment().holds("florb")


def test_names_follow_what_comes_and_goes(library: ImageLibrary) -> None:
    library.index(FakeEmbedder())
    assert library.near("florbs") == []
    tile("dog").save(library.folder / "florb.png")
    assert library.near("florbs") == library.completions("fl") == ["florb"] and library.mentions("florb")
    library.index(FakeEmbedder())
    library.remove(["florb.png"])
    assert library.near("florbs") == library.completions("fl") == [] and not library.mentions("florb")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_find_nothing_and_break_nothing(library: ImageLibrary, text: str) -> None:
    library.index(FakeEmbedder())
    assert not library.mentions(text) and not library.holds(text) and library.called(text) is None
    assert library.near(text) == [] and library.completions("  " + text) == []


def test_what_another_process_writes_is_found(tmp_path: Path) -> None:
    column = filled(tmp_path, *beaches(3))
    assert column.search(LOOK, "zorblax", 1)[0].file == "0000.png"
    script = f"""
import numpy as np
from pathlib import Path
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.engines.store import Entry
store = EmbeddedStore(Path({str(tmp_path)!r}))
store.select("model", {DIMENSIONS})
store.write([Entry("new.png", "new", caption="the zorblax")], np.eye({DIMENSIONS}, dtype=np.float32)[1:2])
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
    assert column.search(LOOK, "zorblax", 1)[0].file == "new.png"


@pytest.mark.parametrize(
    ("asked", "told"),
    [("test", ""), ("test tube", ""), ("noisy neighbour", "the noisy neighbour is a dog"), ("zorblax", "")],
)
def test_a_picture_tells_of_what_is_no_part_of_its_name(tmp_path: Path, asked: str, told: str) -> None:
    folder = make_library(tmp_path / "album", "dog", "owl")
    rows = "file_name,name,caption\nowl.png,test tube,a picture of a test tube\ndog.png,dog,the noisy neighbour is a dog\n"
    (folder / "metadata.csv").write_text(rows)
    library = open_library(str(folder), tmp_path / "libraries", tmp_path / "cache")
    library.index(FakeEmbedder())
    fact = library.tells(asked)
    assert (fact.text if fact else "") == told
