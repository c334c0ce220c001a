"""A folder of images as a library: what is read, found, noticed, refused."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgrag.errors import LibraryError
from imgrag.library import is_literal, libraries_folder, library_names, open_library
from imgrag.library.base import plain_name
from imgrag.library.folder import FolderLibrary
from imgrag.library.pictures import UnreadablePicture, read_picture
from imgrag.run import Candidate
from tests.fakes import COLOURS, FakeEmbedder, make_library, tile

OWL = list(COLOURS).index("owl")


def indexed(folder: Path, cache: Path, embedder: FakeEmbedder | None = None) -> FolderLibrary:
    library = FolderLibrary(folder, cache)
    library.index(embedder or FakeEmbedder())
    return library


def axis(number: int) -> np.ndarray:
    return np.eye(len(COLOURS) + 1, dtype=np.float32)[number]


def found(library: FolderLibrary, name: str = "", k: int = 9) -> list[str]:
    return [candidate.file for candidate in library.search(axis(OWL), name, k)]


def test_the_most_similar_come_first(tmp_path: Path) -> None:
    library = indexed(make_library(tmp_path / "lib", "cat", "dog", "owl"), tmp_path / "cache")
    best, *rest = library.search(axis(OWL), "", 2)
    assert (best.file, best.score, best.name) == ("owl.png", 1.0, "owl")
    assert len(rest) == 1 and rest[0].score == 0.0


def test_a_literal_name_comes_first_with_its_own_score(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    tile("cat").save(folder / "big_Zor-blax.png")
    library = indexed(folder, tmp_path / "cache")
    hits = library.search(axis(OWL), "a big zor blax", 2)
    assert [(hit.file, hit.score) for hit in hits] == [("big_Zor-blax.png", 0.0), ("owl.png", 1.0)]
    assert [is_literal(hit, "Big Zor-Blax") for hit in hits] == [True, False]


@pytest.mark.parametrize(
    ("text", "plain"),
    [("A picture of a Hot-Dog.", "hot dog"), ("the_owl", "owl"), ("Photo of scissors", "scissors"), ("an", "an"),
     ("a b", "b"), ("", ""), ("a photographer", "photographer")],
)  # fmt: skip
def test_plain_names(text: str, plain: str) -> None:
    assert plain_name(text) == plain


@pytest.mark.parametrize("name", ["name", "caption", "file"])
def test_every_name_of_a_picture_counts(name: str) -> None:
    candidate = Candidate(**{"file": "x.png", "score": 0.0, name: "zorblax"})
    assert is_literal(candidate, "a Zorblax")
    assert not is_literal(candidate, "zorb")


METADATA = {"file_name": "cat.png", "name": "zorblax", "caption": "a cat", "source": "me", "licence": "CC0"}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "license"])
def test_metadata_is_read(tmp_path: Path, kind: str) -> None:
    folder = make_library(tmp_path / "lib", "cat", "owl")
    if kind == "csv":
        (folder / "metadata.csv").write_text(
            "\ufeff" + ",".join(METADATA) + "\n" + ",".join(METADATA.values()) + "\n"
        )
    else:
        row = {("license" if kind == "license" and k == "licence" else k): v for k, v in METADATA.items()}
        (folder / "metadata.jsonl").write_text(
            json.dumps(row) + "\n\n" + json.dumps({"file_name": "gone.png"})
        )
    library = indexed(folder, tmp_path / "cache")
    cat = next(hit for hit in library.search(axis(OWL), "", 9) if hit.file == "cat.png")
    assert (cat.name, cat.caption, cat.source, cat.licence) == ("zorblax", "a cat", "me", "CC0")
    assert found(library, "zorblax")[0] == "cat.png"


def test_broken_metadata_is_one_sentence(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "cat")
    (folder / "metadata.jsonl").write_text("{")
    with pytest.raises(LibraryError, match=r"metadata.jsonl of the library 'lib'"):
        indexed(folder, tmp_path / "cache")


def test_the_pocket_library_has_names_and_licences() -> None:
    library = open_library("pocket", libraries_folder(), Path("unused"))
    assert isinstance(library, FolderLibrary)
    assert len(library.files()) > 500
    assert library.open("owl.png").mode == "RGBA"


def bomb(side: int) -> bytes:
    """A PNG of a few bytes whose header claims side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def broken_files(folder: Path) -> dict[str, str]:
    whole = (folder / "owl.png").read_bytes()
    contents = {
        "empty.png": (b"", "empty"),
        "text.jpg": (b"not a picture at all", "no picture"),
        "cut.png": (whole[: len(whole) // 2], "broken"),
        "bomb.png": (bomb(13_000), "169 megapixels"),
        "huge.png": (bomb(60_000), "too large"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    return {name: reason for name, (_, reason) in contents.items()}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_broken_files_are_left_out_and_named(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    Image.effect_noise((64, 64), 80).convert("RGB").save(folder / "owl.png")
    expected = broken_files(folder)
    library = indexed(folder, tmp_path / "cache")
    assert found(library) == ["owl.png"]
    assert {skipped.file for skipped in library.skipped} == set(expected)
    for skipped in library.skipped:
        assert expected[skipped.file] in skipped.reason


def test_odd_pictures_are_read_properly(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 4), (200, 40, 40))
    red.convert("CMYK").save(tmp_path / "cmyk.jpg")
    red.quantize(4).save(tmp_path / "palette.png")
    Image.new("RGBA", (8, 4), (200, 40, 40, 0)).save(tmp_path / "clear.png")
    Image.fromarray(np.full((4, 8), 40_000, np.uint16)).save(tmp_path / "deep.png")
    red.save(tmp_path / "moving.gif", save_all=True, append_images=[Image.new("RGB", (8, 4))])
    turned = Image.Exif()
    turned[0x0112] = 6
    red.save(tmp_path / "turned.jpg", exif=turned)
    pictures = {path.name: read_picture(path) for path in tmp_path.iterdir()}
    modes = {name: (picture.mode, picture.size) for name, picture in pictures.items()}
    assert modes.pop("turned.jpg") == ("RGB", (4, 8))
    assert modes.pop("clear.png") == ("RGBA", (8, 4))
    assert set(modes.values()) == {("RGB", (8, 4))}
    assert pictures["deep.png"].getpixel((0, 0)) == (156, 156, 156)
    assert np.allclose(pictures["moving.gif"].getpixel((0, 0)), (200, 40, 40), atol=8)


def test_nothing_is_embedded_twice(tmp_path: Path) -> None:
    folder, cache = make_library(tmp_path / "lib", "cat", "owl"), tmp_path / "cache"
    embedder = FakeEmbedder()
    library = indexed(folder, cache, embedder)
    library.index(embedder)
    (folder / "owl.png").rename(folder / "renamed.png")
    library.index(embedder)
    again = indexed(folder, cache, embedder)  # as another process would
    assert embedder.embedded == 2
    assert found(again)[0] == "renamed.png"
    assert [file.suffix for file in cache.iterdir()] == [".npz"]


def test_changes_are_noticed(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "cat", "owl")
    library = indexed(folder, tmp_path / "cache")
    tile("owl", 12).save(folder / "cat.png")
    (folder / "owl.png").unlink()
    tile("dog").save(folder / "new.png")
    library.index(FakeEmbedder())
    assert [(hit.file, hit.score) for hit in library.search(axis(OWL), "", 9)] == [
        ("cat.png", 1.0),
        ("new.png", 0.0),
    ]


def test_two_models_never_mix(tmp_path: Path) -> None:
    folder, cache = make_library(tmp_path / "lib", "cat", "owl"), tmp_path / "cache"
    one, other = FakeEmbedder("one"), FakeEmbedder("other")
    library = indexed(folder, cache, one)
    library.index(other)
    indexed(folder, cache, other)
    assert (one.embedded, other.embedded) == (2, 2)
    assert len(list(cache.iterdir())) == 2


def test_a_broken_cache_is_made_anew(tmp_path: Path) -> None:
    folder, cache = make_library(tmp_path / "lib", "owl"), tmp_path / "cache"
    indexed(folder, cache)
    (kept,) = cache.iterdir()
    kept.write_bytes(b"PK\x03\x04 nonsense")
    embedder = FakeEmbedder()
    assert found(indexed(folder, cache, embedder)) == ["owl.png"]
    assert embedder.embedded == 1
    assert np.load(kept, allow_pickle=False)["vectors"].shape == (1, 5)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert found(indexed(make_library(tmp_path / "lib", "owl"), tmp_path / "cache")) == ["owl.png"]


def test_indexing_can_be_stopped(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def check() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        FolderLibrary(make_library(tmp_path / "lib", "owl"), tmp_path / "cache").index(FakeEmbedder(), check)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_nothing_outside_the_folder_is_reached(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    make_library(tmp_path / "secret", "cat")
    (folder / "link.png").symlink_to(tmp_path / "secret" / "cat.png")
    (folder / "inside.png").symlink_to(folder / "owl.png")
    make_library(folder / ".hidden", "dog")
    make_library(folder / "sub", "toolbox")
    library = indexed(folder, tmp_path / "cache")
    assert sorted(found(library)) == ["inside.png", "owl.png", "sub/toolbox.png"]
    for name in (
        "../secret/cat.png",
        str(tmp_path / "secret" / "cat.png"),
        "link.png",
        ".hidden/dog.png",
        "",
        "none.png",
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
    assert library_names(root) == ["empty", "mine"]
    assert open_library("mine", root, tmp_path).name == "mine"
    assert open_library(str(tmp_path / "elsewhere"), root, tmp_path).name == "elsewhere"
    for name in ("nope", "../elsewhere", "", "a\x00b"):
        with pytest.raises(LibraryError, match=r"no library .*Known are: empty, mine"):
            open_library(name, root, tmp_path)
    with pytest.raises(LibraryError, match="'empty' holds no images"):
        open_library("empty", root, tmp_path)


def test_an_unreadable_file_says_why(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(UnreadablePicture, match="empty"):
        read_picture(tmp_path / "x.png")
