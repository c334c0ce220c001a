"""Libraries of pictures: what is followed, found, noticed, refused."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgrag.errors import LibraryError
from imgrag.library import (
    ImageLibrary,
    create_library,
    delete_library,
    is_literal,
    libraries_folder,
    library_names,
    open_library,
    rename_library,
)
from imgrag.library.base import plain_name
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.intake import adding as adding_module
from imgrag.library.intake.adding import Progress, Report, finished
from imgrag.library.intake.sources import STATE
from imgrag.library.search.column import Column
from imgrag.library.search.filters import parse_filter
from imgrag.runs.values import Candidate
from tests.fakes import COLOURS, FakeEmbedder, make_library, tile

OWL = list(COLOURS).index("owl")


def opened(folder: Path, state: Path) -> ImageLibrary:
    return ImageLibrary(folder, state, lambda: EmbeddedStore(state))


def indexed(folder: Path, state: Path, embedder: FakeEmbedder | None = None) -> ImageLibrary:
    library = opened(folder, state)
    library.index(embedder or FakeEmbedder())
    return library


def column(library: ImageLibrary) -> Column:
    """What was embedded, without a look at the disk."""
    return library.column(FakeEmbedder())


def axis(number: int) -> np.ndarray:
    return np.eye(len(COLOURS) + 1, dtype=np.float32)[number]


def found(library: ImageLibrary, name: str = "", k: int = 9) -> list[str]:
    return [candidate.file for candidate in column(library).search(axis(OWL), name, k)]


def test_the_most_similar_come_first(tmp_path: Path) -> None:
    library = indexed(make_library(tmp_path / "lib", "cat", "dog", "owl"), tmp_path / "state")
    best, *rest = column(library).search(axis(OWL), "", 2)
    assert (best.file, best.score, best.name) == ("owl.png", 1.0, "owl")
    assert len(rest) == 1 and rest[0].score == 0.0


def test_a_literal_name_comes_first_with_its_own_score(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    tile("cat").save(folder / "big_Zor-blax.png")
    library = indexed(folder, tmp_path / "state")
    hits = column(library).search(axis(OWL), "my big zor blax", 2)
    assert [(hit.file, hit.score) for hit in hits] == [("big_Zor-blax.png", 0.0), ("owl.png", 1.0)]
    assert [is_literal(hit, "Big Zor-Blax") for hit in hits] == [True, False]
    assert found(library, "big zor blax", 1) == ["big_Zor-blax.png"]


@pytest.mark.parametrize(
    ("text", "plain"),
    [("A picture of a Hot-Dog.", "hot dog"), ("the_owl", "owl"), ("Photo of scissors", "scissors"), ("an", "an"),
     ("a b", "b"), ("", ""), ("a photographer", "photographer"), ("My zorblax!", "zorblax"), ("mystery", "mystery")],
)  # fmt: skip
def test_plain_names(text: str, plain: str) -> None:
    assert plain_name(text) == plain


@pytest.mark.parametrize("name", ["name", "caption", "file"])
def test_every_name_of_a_picture_counts(name: str) -> None:
    candidate = Candidate(**{"file": "x.png", "score": 0.0, name: "zorblax"})
    assert is_literal(candidate, "a Zorblax")
    assert not is_literal(candidate, "zorb")


def test_a_library_knows_what_it_holds_before_and_after_it_is_indexed(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    make_library(folder, "owl", "dog")
    library = open_library(str(folder), tmp_path, tmp_path / "cache")
    for _ in range(2):
        assert library.holds("owl") and library.holds("a picture of an Owl") and library.holds("DOG")
        assert not library.holds("cat") and not library.holds("") and not library.holds("ow")
        library.index(FakeEmbedder())
    (folder / "metadata.csv").write_text("file_name,name\nowl.png,zorblax\n")
    library.index(FakeEmbedder())
    assert library.holds("zorblax")
    library.remove(["owl.png"])
    assert not library.holds("owl") and not library.holds("zorblax") and library.holds("dog")


def test_metadata_travels_with_the_picture_and_is_read_again_when_it_changes(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "cat", "owl")
    (folder / "metadata.csv").write_text(
        "file_name,name,caption,source,licence,price\ncat.png,zorblax,a cat,me,CC0,3\n"
    )
    embedder = FakeEmbedder()
    library = indexed(folder, tmp_path / "state", embedder)
    cat = column(library).search(axis(OWL), "zorblax", 9)[0]
    assert (cat.file, cat.caption, cat.source, cat.licence) == ("cat.png", "a cat", "me", "CC0")
    assert library.count(parse_filter("price < 4")) == 1
    (folder / "metadata.csv").write_text("file_name,name,price\ncat.png,frob,30\n")
    library.index(embedder)
    assert found(library, "frob")[0] == "cat.png" and found(library, "zorblax")[0] == "owl.png"
    assert library.count(parse_filter("price < 4")) == 0
    assert embedder.embedded == 2


def test_broken_files_are_left_out_named_and_not_tried_again(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_bytes(b"not a picture at all")
    library = indexed(folder, tmp_path / "state")
    assert found(library) == ["owl.png"]
    assert {(s.file, s.reason) for s in library.skipped} == {
        ("empty.png", "it is empty"),
        ("text.jpg", "it is no picture"),
    }
    tile("cat").save(folder / "empty.png")
    library.index(FakeEmbedder())
    assert found(library) == ["owl.png", "empty.png"]
    assert [skipped.file for skipped in library.skipped] == ["text.jpg"]
    (folder / "text.jpg").unlink()
    library.index(FakeEmbedder())
    assert library.skipped == ()


def test_a_picture_that_broke_is_no_longer_found(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "cat", "owl")
    library = indexed(folder, tmp_path / "state")
    (folder / "owl.png").write_bytes(b"broken now")
    library.index(FakeEmbedder())
    assert found(library) == ["cat.png"]


def test_nothing_is_embedded_twice(tmp_path: Path) -> None:
    folder, state = make_library(tmp_path / "lib", "cat", "owl"), tmp_path / "state"
    embedder = FakeEmbedder()
    library = indexed(folder, state, embedder)
    library.index(embedder)
    (folder / "owl.png").rename(folder / "renamed.png")
    library.index(embedder)
    again = indexed(folder, state, embedder)  # as another process would
    assert embedder.embedded == 2
    assert found(again) == ["renamed.png", "cat.png"]


def test_changes_are_noticed_and_ids_stay(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "cat", "owl")
    library = indexed(folder, tmp_path / "state")
    (before,) = [hit.id for hit in column(library).search(axis(OWL), "", 9) if hit.file == "cat.png"]
    tile("owl", 12).save(folder / "cat.png")
    (folder / "owl.png").unlink()
    tile("dog").save(folder / "new.png")
    library.index(FakeEmbedder())
    hits = column(library).search(axis(OWL), "", 9)
    assert [(hit.file, hit.score) for hit in hits] == [("cat.png", 1.0), ("new.png", 0.0)]
    assert hits[0].id == before > 0


def test_two_models_never_mix(tmp_path: Path) -> None:
    folder, state = make_library(tmp_path / "lib", "cat", "owl"), tmp_path / "state"
    one, other = FakeEmbedder("one"), FakeEmbedder("other")
    library = indexed(folder, state, one)
    library.index(other)
    (folder / "owl.png").unlink()
    library.index(one)
    indexed(folder, state, other)
    assert (one.embedded, other.embedded) == (2, 2)
    assert [hit.file for hit in library.column(one).search(axis(OWL), "", 9)] == ["cat.png"]


def test_a_broken_store_is_made_anew(tmp_path: Path) -> None:
    folder, state = make_library(tmp_path / "lib", "owl"), tmp_path / "state"
    state.mkdir()
    (state / "library.sqlite").write_bytes(b"nonsense" * 100)
    assert found(indexed(folder, state)) == ["owl.png"]


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    library = open_library(str(make_library(tmp_path / "lib", "owl")), tmp_path, tmp_path / "cache")
    library.index(FakeEmbedder())
    assert found(library) == ["owl.png"]


class Stopped(Exception):
    pass


def test_adding_can_be_stopped_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding_module, "BATCH", 2)
    monkeypatch.setattr(adding_module, "AHEAD", 2)
    folder = tmp_path / "lib"
    folder.mkdir()
    for number in range(10):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    embedder, library = FakeEmbedder(), opened(folder, tmp_path / "state")

    def check() -> None:
        if embedder.embedded >= 4:
            raise Stopped

    with pytest.raises(Stopped):
        finished(library.add([], embedder, check))
    assert library.count() == embedder.embedded == 4
    report = finished(library.add([], embedder))
    assert (report.added, report.unchanged) == (6, 4)
    assert embedder.embedded == 10


def test_the_first_batches_are_small_so_that_embedding_begins_soon(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    for number in range(150):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(tmp_path / "lib" / f"{number:03}.png")
    library = opened(tmp_path / "lib", tmp_path / "state")
    steps = [event.what for event in library.add([], FakeEmbedder()) if isinstance(event, Progress)]
    assert [int(what.split()[0]) for what in steps[:-1]] == [8, 24, 56, 120, 150]


def test_adding_reports_progress_and_a_sum(tmp_path: Path) -> None:
    library = opened(make_library(tmp_path / "lib", "owl", "cat"), tmp_path / "state")
    (tmp_path / "lib" / "bad.png").write_bytes(b"x")
    *steps, report = library.add([], FakeEmbedder())
    assert all(isinstance(step, Progress) for step in steps) and steps[-1].done == steps[-1].total == 3
    assert isinstance(report, Report)
    assert (report.added, report.changed, report.removed, report.unchanged) == (2, 0, 0, 0)
    assert [skipped.file for skipped in report.skipped] == ["bad.png"]


def test_folders_stay_where_they_are(tmp_path: Path) -> None:
    own, photos = make_library(tmp_path / "lib", "owl"), make_library(tmp_path / "my photos", "cat", "dog")
    embedder, library = FakeEmbedder(), opened(own, tmp_path / "state")
    finished(library.add([photos], embedder))
    assert set(found(library)) == {"owl.png", "my-photos/cat.png", "my-photos/dog.png"}
    assert library.open("my-photos/cat.png").getpixel((0, 0)) == COLOURS["cat"]
    again = finished(library.add([photos, photos / ""], embedder))
    assert (again.added, again.unchanged, embedder.embedded) == (0, 3, 3)
    (photos / "dog.png").unlink()
    assert finished(library.add([], embedder)).removed == 1
    photos.rename(tmp_path / "unplugged")
    assert finished(library.add([], embedder)).removed == 0
    assert set(found(library)) == {"owl.png", "my-photos/cat.png"}
    with pytest.raises(LibraryError, match=r"cannot be read|has no picture"):
        library.open("my-photos/cat.png")


def test_a_folder_that_holds_the_library_is_refused(tmp_path: Path) -> None:
    library = opened(make_library(tmp_path / "lib", "owl"), tmp_path / "state")
    with pytest.raises(LibraryError, match="holds this library itself"):
        finished(library.add([tmp_path], FakeEmbedder()))
    assert finished(library.add([], FakeEmbedder())).added == 1  # it is not left locked


def test_pictures_and_zips_are_copied_in(tmp_path: Path) -> None:
    library = opened(make_library(tmp_path / "lib"), tmp_path / "state")
    make_library(tmp_path / "in", "owl", "cat")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(tmp_path / "in" / "cat.png", "pets/cat.png")
    finished(library.add([tmp_path / "in" / "owl.png", tmp_path / "more.zip"], FakeEmbedder()))
    assert set(found(library)) == {"uploads/owl.png", "uploads/more/pets/cat.png"}
    assert library.count(parse_filter("category = 'pets'")) == 1
    assert finished(library.add([tmp_path / "in" / "owl.png"], FakeEmbedder())).added == 0
    with pytest.raises(LibraryError, match=r"'none.png' cannot be added"):
        finished(library.add([tmp_path / "none.png"], FakeEmbedder()))


def test_stats_tell_the_room_on_the_disk_and_no_path(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl", "cat")
    stats = indexed(folder, tmp_path / "state").stats()
    assert stats["images"] == 2
    assert stats["bytes"]["pictures"] == sum(file.stat().st_size for file in folder.iterdir())
    assert stats["bytes"]["index"] >= (tmp_path / "state" / "library.sqlite").stat().st_size > 0
    assert stats["index"] == "exact"
    assert str(tmp_path) not in str(stats)


def test_who_comes_while_another_adds_is_told_so_and_a_look_is_left_out(tmp_path: Path) -> None:
    library = indexed(make_library(tmp_path / "lib", "owl"), tmp_path / "state")
    make_library(tmp_path / "lib", "cat")
    adding = library.add([], FakeEmbedder())
    next(adding)
    for act in (lambda: finished(library.add([], FakeEmbedder())), lambda: library.remove(["owl.png"])):
        with pytest.raises(LibraryError, match="being added to 'lib' already"):
            act()
    assert library.index(FakeEmbedder()).store.count() == 2
    adding.close()
    assert library.remove(["owl.png"]) == 1


def test_removed_pictures_stay_away(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl", "cat")
    library = opened(folder, tmp_path / "state")
    finished(library.add([make_library(tmp_path / "in", "dog") / "dog.png"], FakeEmbedder()))
    assert library.remove(["owl.png", "uploads/dog.png", "none.png"]) == 2
    assert (folder / "owl.png").exists() and not (folder / "uploads" / "dog.png").exists()
    again = indexed(folder, tmp_path / "state")
    assert found(again) == ["cat.png"]


def test_shards_come_back_without_embedding(tmp_path: Path) -> None:
    first = indexed(make_library(tmp_path / "one", "owl", "cat"), tmp_path / "s1")
    shards = first.export(tmp_path / "out", "fake")
    embedder, second = FakeEmbedder(), opened(make_library(tmp_path / "two"), tmp_path / "s2")
    report = finished(second.add(shards, embedder))
    assert report.added == 2 and embedder.embedded == 0
    assert found(second) == ["owl.png", "cat.png"]
    make_library(tmp_path / "two", "owl")
    finished(second.add([], embedder))
    assert embedder.embedded == 0, "the picture's content is known, so its embedding is too"
    assert second.open("owl.png").getpixel((0, 0)) == COLOURS["owl"]
    assert found(second) == ["owl.png", "cat.png"]
    third = opened(make_library(tmp_path / "three"), tmp_path / "s3")
    with pytest.raises(LibraryError, match="embeddings of fake"):
        finished(third.add(shards, FakeEmbedder("another")))


def test_the_query_itself_can_be_left_out(tmp_path: Path) -> None:
    library = indexed(make_library(tmp_path / "lib", "owl", "cat"), tmp_path / "state")
    nearest = column(library).nearest(axis(OWL))
    assert nearest is not None and nearest[0].file == "owl.png" and nearest[1] == pytest.approx(1)
    ranked = column(library).ranked(axis(OWL), "owl", 9, without=nearest[0].digest)
    assert [entry.file for entry, _ in ranked] == ["cat.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_nothing_outside_the_folder_is_reached(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    make_library(tmp_path / "secret", "cat")
    (folder / "link.png").symlink_to(tmp_path / "secret" / "cat.png")
    (folder / "inside.png").symlink_to(folder / "owl.png")
    (folder / "folder").symlink_to(tmp_path / "secret")
    make_library(folder / ".hidden", "dog")
    make_library(folder / "sub", "toolbox")
    library = indexed(folder, tmp_path / "state")
    assert sorted(found(library)) == ["owl.png", "sub/toolbox.png"], "each target once"
    for name in (
        "../secret/cat.png",
        str(tmp_path / "secret" / "cat.png"),
        "link.png",
        ".hidden/dog.png",
        "",
        "none.png",
        "a\x00b",
    ):
        with pytest.raises(LibraryError, match="has no picture"):
            library.open(name)


def test_libraries_are_opened_by_name_or_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_library(tmp_path / "root" / "mine", "owl")
    make_library(tmp_path / "elsewhere", "dog")
    (tmp_path / "root" / ".git").mkdir()
    (tmp_path / "root" / "empty").mkdir()
    monkeypatch.setenv("IMGRAG_LIBRARIES", str(tmp_path / "root"))
    root = libraries_folder()
    assert library_names(root, ()) == ["empty", "mine"]
    assert open_library("mine", root, tmp_path / "cache").name == "mine"
    assert (root / "mine" / STATE).is_dir()
    assert open_library(str(tmp_path / "elsewhere"), root, tmp_path / "cache").name == "elsewhere"
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["dog.png"]
    for name in ("nope", "../elsewhere/none", "", "a\x00b"):
        with pytest.raises(LibraryError, match=r"no library .*Known are: empty, mine"):
            open_library(name, root, tmp_path, ())
    with pytest.raises(LibraryError, match="'empty' holds no images"):
        open_library("empty", root, tmp_path).require_pictures()


def test_libraries_are_made_renamed_and_deleted(tmp_path: Path) -> None:
    root = tmp_path / "root"
    create_library(" my birds ", root)
    assert library_names(root, ()) == ["my birds"]
    outside = make_library(tmp_path / "photos", "owl")
    library = open_library("my birds", root, tmp_path)
    finished(library.add([outside], FakeEmbedder()))
    library.close()
    rename_library("my birds", "birds", root)
    library = open_library("birds", root, tmp_path)
    library.index(FakeEmbedder())
    assert found(library) == ["photos/owl.png"]
    library.close()
    delete_library("birds", root)
    assert library_names(root, ()) == [] and (outside / "owl.png").exists()
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "x" * 101, "con", "taken", "TAKEN", "end."],
)
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    create_library("taken", tmp_path)
    with pytest.raises(LibraryError):
        create_library(name, tmp_path)
    assert library_names(tmp_path, ()) == ["taken"]


@pytest.mark.parametrize("act", [delete_library, lambda name, root: rename_library(name, "new", root)])
def test_only_libraries_are_renamed_or_deleted(tmp_path: Path, act) -> None:
    (tmp_path / "root").mkdir()
    make_library(tmp_path / "photos", "owl")
    for name in ("../photos", "none", str(tmp_path / "photos")):
        with pytest.raises(LibraryError, match="no library"):
            act(name, tmp_path / "root")
    assert (tmp_path / "photos" / "owl.png").exists()


def test_the_pocket_library_has_names_and_licences() -> None:
    pytest.importorskip("faiss")
    library = open_library("pocket", libraries_folder(), Path("unused"))
    library.require_pictures()
    assert len([entry for source in library.sources for entry in source.folder.glob("*.png")]) > 500


def test_many_are_found_through_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's inverted lists, their snapshot, what is written later, what goes: all as exact search has it."""
    monkeypatch.setattr("imgrag.library.engines.vectors.FLAT_BELOW", 500)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((20, 16))
    rows = centres[rng.integers(20, size=3000)] + 0.3 * rng.standard_normal((3000, 16))
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    entry = adding_module.Entry("", "")
    entries = [replace(entry, file=f"{n}", digest=f"{n:064x}", fields={"n": n}) for n in range(3000)]
    store = EmbeddedStore(tmp_path)
    store.select("m", 16)
    store.write(entries[:2900], vectors[:2900])
    store.optimise()
    assert [path.suffix for path in tmp_path.glob("index*")] == [".faiss"]
    store.close()
    store = EmbeddedStore(tmp_path)
    store.write(entries[2900:], vectors[2900:])
    store.remove([entries[7].file])
    alive = np.delete(np.arange(3000), 7)
    exact = same = 0
    for query in vectors[::100]:
        expected = set((alive[np.argsort(-(vectors[alive] @ query))[:10]] + 1).tolist())
        same += len(expected & {hit.id for hit in store.search(query, 10)})
        exact += len(expected)
        few = {hit.id for hit in store.search(query, 10, parse_filter("n >= 2950 or n < 30"))}
        passing = np.array([n for n in alive if n >= 2950 or n < 30])
        assert few == set((passing[np.argsort(-(vectors[passing] @ query))[:10]] + 1).tolist())
    assert same / exact > 0.98
    assert len(store.search(vectors[0], 2999)) == 2999
