"""Pictures that were taken out: put back, forgotten, and what two people do at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from imgrag.errors import LibraryError
from imgrag.library import ImageLibrary
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.intake.adding import finished
from tests.fakes import FakeEmbedder, make_library


def opened(folder: Path) -> ImageLibrary:
    state = folder / ".imgrag"
    state.mkdir(exist_ok=True)
    return ImageLibrary(folder, state, lambda: EmbeddedStore(state))


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def library(tmp_path: Path, embedder: FakeEmbedder) -> ImageLibrary:
    """One picture that lies there, one that was added, and one that a shard brought without its file."""
    found = opened(make_library(tmp_path / "mine", "owl"))
    make_library(tmp_path / "in", "dog")
    other = opened(make_library(tmp_path / "other", "cat"))
    finished(other.add([], embedder))
    shards = other.export(tmp_path / "shards", embedder.model_id)
    finished(found.add([tmp_path / "in" / "dog.png", *shards], embedder))
    return found


def files(library: ImageLibrary) -> list[str]:
    return sorted(entry.file for entry in library.entries(0, 100))


EVERYTHING = ["cat.png", "owl.png", "uploads/dog.png"]


def test_what_was_taken_out_is_put_back_without_being_embedded_again(
    library: ImageLibrary, embedder: FakeEmbedder
) -> None:
    before, embedded = {e.file: e.digest for e in library.entries(0, 9)}, embedder.embedded
    taken = library.take_out(EVERYTHING)
    assert files(library) == [] and not (library.folder / "uploads" / "dog.png").exists()
    assert finished(library.add([], embedder)).added == 0, "nobody who looks again brings them back"
    assert library.put_back(taken) == 3
    assert {entry.file: entry.digest for entry in library.entries(0, 9)} == before
    finished(library.add([], embedder))
    assert files(library) == EVERYTHING and embedder.embedded == embedded
    assert library.open("uploads/dog.png").size == (8, 8)


def test_what_was_forgotten_is_gone(library: ImageLibrary) -> None:
    taken = library.take_out(["uploads/dog.png"])
    library.forget(taken)
    assert not list((library.folder / "uploads").rglob("dog.png"))
    assert library.put_back(taken) == 0 and "uploads/dog.png" not in files(library)


def test_another_of_the_same_name_keeps_it(
    library: ImageLibrary, tmp_path: Path, embedder: FakeEmbedder
) -> None:
    """Meanwhile a second visitor has added a picture of the first one's name."""
    taken = library.take_out(["uploads/dog.png"])
    make_library(tmp_path / "second", "toolbox")
    (tmp_path / "second" / "toolbox.png").rename(tmp_path / "second" / "dog.png")
    finished(library.add([tmp_path / "second" / "dog.png"], embedder))
    assert library.put_back(taken) == 1
    assert files(library) == [*EVERYTHING[:2], "uploads/dog-2.png", "uploads/dog.png"]


def test_two_people_undo_their_own(library: ImageLibrary) -> None:
    first, second = library.take_out(["owl.png"]), library.take_out(["uploads/dog.png", "owl.png"])
    assert second.files == ("uploads/dog.png",)
    library.forget(second)
    assert library.put_back(first) == 1 and files(library) == EVERYTHING[:2]


def test_what_a_killed_process_left_goes_after_a_day(library: ImageLibrary) -> None:
    library.take_out(["uploads/dog.png"])
    (waiting,) = (library.folder / "uploads" / ".removed").iterdir()
    opened(library.folder)
    assert waiting.exists(), "it may be another process that can still undo it"
    os.utime(waiting, (time.time() - 90_000,) * 2)
    opened(library.folder)
    assert not waiting.exists()


def test_nothing_is_put_back_while_something_is_added(library: ImageLibrary, embedder: FakeEmbedder) -> None:
    taken = library.take_out(["owl.png"])
    with library._changing(), pytest.raises(LibraryError, match="being added"):
        library.put_back(taken)
    assert library.put_back(taken) == 1
