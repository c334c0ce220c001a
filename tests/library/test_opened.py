"""Libraries that are open: as few as the system has handles for, and what happens to those that go."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from imgrag.engine.librarian import Librarian
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import LibraryError
from imgrag.library.opened import HELD
from imgrag.library.search.queries import Query
from imgrag.runs.values import Request
from tests.fakes import Cast, FakeEmbedder, make_library, make_pipeline


def handles() -> int:
    process = psutil.Process()
    return int(process.num_handles() if sys.platform == "win32" else process.num_fds())


def test_many_libraries_in_turn_keep_few_files_open(tmp_path: Path) -> None:
    librarian = Librarian(make_pipeline(tmp_path, Cast()))
    names = [f"library {n}" for n in range(3 * HELD)]
    for name in names:
        make_library(tmp_path / "libraries" / name, "owl")
    seen = []
    for name in names:
        assert librarian.search(name, Query("an owl")).candidates
        seen.append(handles())
    assert max(seen[2 * HELD :]) <= seen[HELD] + 8


def test_a_library_in_use_is_never_closed_and_never_opened_twice(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    mine = pipeline.library("pocket")
    for n in range(HELD + 1):
        make_library(tmp_path / "libraries" / f"library {n}", "owl")
        pipeline.library(f"library {n}")
    assert mine.count() == 0 and pipeline.library("pocket") is mine


class Interrupted(FakeEmbedder):
    """Does something in the middle of the first batch."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self.worker = threading.Thread(target=act)

    def embed_images(self, images):
        if self.worker.ident is None:
            self.worker.start()
            self.worker.join(0.2)  # and not to its end: who deletes waits for who adds
        return super().embed_images(images)


def delete(pipeline: ImageRAGPipeline) -> None:
    Librarian(pipeline).delete("mine")


def rename(pipeline: ImageRAGPipeline) -> None:
    Librarian(pipeline).rename("mine", "yours")


def delete_by_another_process(pipeline: ImageRAGPipeline) -> None:
    shutil.rmtree(pipeline.libraries / "mine")


def replace_by_another_process(pipeline: ImageRAGPipeline) -> None:
    (pipeline.libraries / "mine").rename(pipeline.libraries / "gone")
    make_library(pipeline.libraries / "mine", "dog")


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (delete, "The library 'mine' was deleted meanwhile."),
        (rename, "The library 'mine' is called 'yours' now."),
        (delete_by_another_process, "The library 'mine' was deleted or renamed meanwhile."),
        (replace_by_another_process, "The library 'mine' was deleted or renamed meanwhile."),
    ],
)
def test_who_adds_to_a_library_that_goes_is_told(tmp_path: Path, act, says: str) -> None:
    cast = Cast()
    cast.clip = Interrupted(lambda: act(pipeline))
    pipeline = make_pipeline(tmp_path, cast)
    librarian = Librarian(pipeline)
    librarian.create("mine")
    photos = make_library(tmp_path / "photos", "owl", "cat", "dog")
    with pytest.raises(LibraryError, match=says):
        list(librarian.add("mine", [photos / f"{name}.png" for name in ("owl", "cat", "dog")]))
    cast.clip.worker.join()
    left = sorted(path.name for path in pipeline.libraries.iterdir() if path.name != "pocket")
    assert left == {rename: ["yours"], replace_by_another_process: ["gone", "mine"]}.get(act, [])
    if act is rename:
        assert len(librarian.search("yours", Query("an owl")).candidates) == 3
    if act is replace_by_another_process:
        assert [e.file for e in librarian.search("mine", Query("a dog")).candidates] == ["dog.png"]


@pytest.mark.parametrize(
    "look",
    [
        lambda library: library.count(),
        lambda library: library.entries(0, 10),
        lambda library: library.stats(),
        lambda library: library.index(FakeEmbedder()),
        lambda library: library.thumbnail("owl.png", 8),
        lambda library: library.remove(["owl.png"]),
    ],
)
def test_who_looks_into_a_library_that_goes_is_told(tmp_path: Path, look) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    make_library(tmp_path / "libraries" / "mine", "owl")
    Librarian(pipeline).search("mine", Query("an owl"))
    library = pipeline.library("mine")
    delete(pipeline)
    with pytest.raises(LibraryError, match="was deleted meanwhile"):
        look(library)
    assert not (tmp_path / "libraries" / "mine").exists()


def test_a_run_is_told_too(tmp_path: Path) -> None:
    cast = Cast(at_step=lambda step: delete(pipeline) if (pipeline.libraries / "mine").exists() else None)
    pipeline = make_pipeline(tmp_path, cast)
    make_library(tmp_path / "libraries" / "mine", "toolbox")
    with pytest.raises(LibraryError, match="'mine' was deleted meanwhile"):
        pipeline(Request("a dog and a toolbox", library="mine"))


def test_a_library_made_anew_by_another_process_is_opened_anew(tmp_path: Path) -> None:
    librarian = Librarian(make_pipeline(tmp_path, Cast()))
    mine = make_library(tmp_path / "libraries" / "mine", "owl")
    assert librarian.search("mine", Query("an owl")).candidates
    shutil.rmtree(mine)
    with pytest.raises(LibraryError, match="no library 'mine'"):
        librarian.stats("mine")
    make_library(mine, "dog")
    assert [found.file for found in librarian.search("mine", Query("an owl")).candidates] == ["dog.png"]
