"""The knowledge bases by name, and what their texts are found by."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgrag.errors import LibraryError
from imgrag.knowledge import KnowledgeShelf
from imgrag.runs.knowledge import Fact
from tests.fakes import FakeEmbedder

BUNDLED = Path(__file__).parent
KING = Fact("the king of the beasts", "the king of the beasts is a lion", "en", "our own", "CC0-1.0", "texts")


@pytest.fixture
def shelf(tmp_path):
    return KnowledgeShelf(tmp_path / "own", tmp_path / "cache", BUNDLED)


@pytest.mark.parametrize(
    ("asked", "terms"),
    [
        ("the king of the beasts", ["the king of the beasts"]),
        ("a beast that is the KING", ["the king of the beasts"]),
        ("an umbrella by the seashore", ["the seashore"]),
        ("a red car by the sea at night", ["the sea", "the night"]),
        ("the queen of hives in winter", ["winter", "the queen of the hive"]),
        ("百兽之王在海边", ["百兽之王"]),
    ],
)
def test_words_find_what_is_wholly_asked_for_first(shelf, asked, terms):
    assert [fact.term for fact in shelf.open("texts").search(asked, len(terms))] == terms


@pytest.mark.parametrize("asked", ["a chair", "the of at in", "is it a"])
def test_words_that_no_text_holds_find_nothing(shelf, asked):
    assert shelf.open("texts").search(asked, 5) == []


def test_a_fact_says_where_it_is_from(shelf):
    assert shelf.open("texts").search("the king of beasts", 1) == [KING]


def test_one_that_comes_with_the_app_stays_as_it_is(shelf, tmp_path):
    base = shelf.open("texts")
    for change in (lambda: base.add(BUNDLED / "texts.csv"), lambda: base.remove("the sea")):
        with pytest.raises(LibraryError, match="comes with the app and stays as it is"):
            change()
    shelf.copy("texts", "mine")
    copy = shelf.open("mine")
    assert copy.remove("The Sea") == 1
    assert (copy.count(), base.count()) == (19, 20)
    with pytest.raises(LibraryError, match="has no text about 'the sea'"):
        copy.remove("the sea")


def test_what_is_deleted_is_gone(shelf):
    shelf.create("mine")
    base = shelf.open("mine")
    assert shelf.names() == ["mine", "texts"]
    shelf.delete("mine")
    assert shelf.names() == ["texts"]
    with pytest.raises(LibraryError, match="was deleted meanwhile"):
        base.count()
    with pytest.raises(LibraryError, match=r"There is no knowledge base 'mine'\. Known are: texts."):
        shelf.open("mine")


def test_what_another_process_deletes_does_not_come_back(shelf, tmp_path):
    shelf.create("mine")
    unread, read = KnowledgeShelf(tmp_path / "own").open("mine"), shelf.open("mine")
    assert read.add(BUNDLED / "texts.csv").added == 20
    KnowledgeShelf(tmp_path / "own").delete("mine")
    for ask in (
        lambda: unread.add(BUNDLED / "texts.csv"),
        lambda: unread.search("the sea", 1),
        lambda: read.remove("the sea"),
        lambda: read.search("the sea", 1, FakeEmbedder()),
    ):
        with pytest.raises(LibraryError, match="The knowledge base 'mine' was deleted meanwhile"):
            ask()
    assert list((tmp_path / "own").iterdir()) == []


@pytest.mark.parametrize("name", ["Texts", "../up", "", "con", "a/b", "\ud800"])
def test_a_name_that_is_taken_or_none_is_refused(shelf, name, tmp_path):
    with pytest.raises(LibraryError, match=r"already|cannot be a knowledge base's name"):
        shelf.create(name)
    assert not (tmp_path / "own").exists()


def test_a_folder_that_cannot_be_hides_nothing_that_comes_with_the_app(tmp_path):
    shelf = KnowledgeShelf(tmp_path / ("x" * 300), tmp_path / "cache", BUNDLED)
    assert shelf.names() == ["texts"] and shelf.open("texts").count() == 20
    with pytest.raises(LibraryError, match="its folder cannot be written"):
        shelf.create("mine")


def test_of_many_names_ten_are_said(shelf):
    for number in range(11):
        shelf.create(f"m{number:02}")
    with pytest.raises(LibraryError, match=r"Known are: m00, .*, m09, …\."):
        shelf.open("nope")


def test_a_damaged_one_is_kept_and_told(shelf, tmp_path):
    shelf.create("mine")
    (tmp_path / "own" / "mine" / "library.sqlite").write_bytes(b"no database" * 1000)
    assert shelf.open("mine").count() == 0
    assert shelf.damaged("mine") == ["library.broken"]
    assert (tmp_path / "own" / "mine" / "library.broken").stat().st_size == 11_000
