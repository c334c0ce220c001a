"""Libraries by name: those that come with the app beside the person's own, and copies of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgrag.engine.librarian import Librarian
from imgrag.errors import LibraryError
from imgrag.library import BUNDLED, library_names
from imgrag.library.search.queries import Query
from imgrag.library.shelf import library_folders
from imgrag.runs.values import Request
from tests.fakes import Cast, make_library, make_pipeline


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
def librarian(tmp_path: Path, cast: Cast) -> Librarian:
    """An app that comes with "stickers", beside the "pocket" of the person."""
    bundled = make_library(tmp_path / "app" / "stickers", "owl", "cat")
    return Librarian(make_pipeline(tmp_path, cast, bundled=[bundled]))


def test_what_comes_with_the_app_is_there_wherever_the_others_lie(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("IMGRAG_LIBRARIES", str(tmp_path / "data"))
    assert library_names(tmp_path / "data") == ["pocket", "shop"], "a disk on which nothing lies yet"
    assert library_folders(tmp_path / "data") == dict(zip(("pocket", "shop"), BUNDLED, strict=True))
    make_library(tmp_path / "data" / "pocket", "dog")
    assert library_folders(tmp_path / "data")["pocket"] == tmp_path / "data" / "pocket"


def test_a_run_takes_its_references_from_it(tmp_path: Path) -> None:
    bundled = make_library(tmp_path / "app" / "pocket", "toolbox")
    pipeline = make_pipeline(tmp_path, Cast(), bundled=[bundled])
    pipeline.libraries = tmp_path / "empty"
    run = pipeline(Request("a dog and a toolbox"))
    assert [reference.chosen.file for reference in run.round.references] == ["toolbox.png"]


@pytest.mark.parametrize(
    "act",
    [
        lambda shop, place: list(shop.add("stickers", [place / "photos"])),
        lambda shop, place: list(shop.add(str(place / "app" / "stickers"), [place / "photos"])),
        lambda shop, place: shop.remove("stickers", ["owl.png"]),
        lambda shop, place: shop.take_out("stickers", ["owl.png"]),
        lambda shop, place: shop.rename("stickers", "mine"),
        lambda shop, place: shop.delete("stickers"),
    ],
)
def test_it_stays_as_it_is_whoever_asks(librarian: Librarian, tmp_path: Path, act) -> None:
    make_library(tmp_path / "photos", "dog")
    assert len(librarian.search("stickers", Query("an owl")).candidates) == 2
    with pytest.raises(LibraryError, match=r"comes with the app and stays as it is\. Make a copy"):
        act(librarian, tmp_path)
    assert len(librarian.search("stickers", Query("an owl")).candidates) == 2
    assert librarian.names() == ["pocket", "stickers"]


def test_nobody_makes_another_of_its_name(librarian: Librarian) -> None:
    librarian.create("mine")
    for act in (lambda: librarian.create("Stickers"), lambda: librarian.rename("mine", "stickers")):
        with pytest.raises(LibraryError, match="already"):
            act()


def test_a_copy_can_be_changed_and_nothing_is_embedded_again(
    librarian: Librarian, cast: Cast, tmp_path: Path
) -> None:
    librarian.search("stickers", Query("an owl"))
    embedded = cast.clip.embedded
    librarian.copy("stickers", "mine")
    assert [row.file for row in librarian.search("mine", Query("an owl")).candidates] == [
        "owl.png",
        "cat.png",
    ]
    assert cast.clip.embedded == embedded
    assert librarian.remove("mine", ["owl.png"]) == 1
    assert librarian.stats("mine")["images"] == 1 and librarian.stats("stickers")["images"] == 2
    assert not list((tmp_path / "libraries").glob(".*"))


@pytest.mark.parametrize(("name", "says"), [("pocket", "already"), ("../x", "cannot be")])
def test_a_copy_needs_a_name_of_its_own(librarian: Librarian, name: str, says: str) -> None:
    with pytest.raises(LibraryError, match=says):
        librarian.copy("stickers", name)


def test_a_copy_that_fails_leaves_nothing(librarian: Librarian, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(LibraryError, match="could not be copied: No space left on device") as caught:
        librarian.copy("stickers", "mine")
    assert str(tmp_path) not in str(caught.value)
    assert [path.name for path in (tmp_path / "libraries").iterdir()] == ["pocket"]


def test_a_name_is_the_same_however_it_is_written(librarian: Librarian) -> None:
    librarian.create("scho\u0308n")  # decomposed, as macOS writes it
    assert "sch\u00f6n" in librarian.names()
    with pytest.raises(LibraryError, match="already"):
        librarian.create("sch\u00f6n")


def test_a_column_that_no_picture_has_is_answered_with_those_there_are(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "libraries" / "shop", "owl", "cat")
    names = ",".join(f"column{n:02}" for n in range(30))
    (folder / "metadata.csv").write_text(f"file_name,price,{names}\nowl.png,12{',1' * 30}\n")
    librarian = Librarian(make_pipeline(tmp_path, Cast()))
    librarian.search("shop", Query("an owl"))
    asked = (
        lambda where: librarian.page("shop", 0, 10, where),
        lambda where: librarian.search("shop", Query("an owl", where=where)),
    )
    for ask in asked:
        with pytest.raises(LibraryError, match=r"has no column 'Price'\. It has: file, name, .* and 16 more"):
            ask("name = 'owl' and Price < 20")
        ask("price < 3")  # there is such a column, and nothing passes
        ask("not (colour = 'red')")  # whatever has no colour passes
