"""Disks that are full in the middle of adding, and disks that cannot be written."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgrag.errors import LibraryError
from imgrag.library import create_library, open_library
from imgrag.library.engines import sqlite_file
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.engines.store import Entry
from imgrag.library.images import ImageLibrary
from imgrag.library.intake import taking
from imgrag.library.intake.adding import finished
from imgrag.library.intake.pictures import read_picture
from imgrag.library.intake.sources import STATE, UPLOADS
from tests.fakes import COLOURS, FakeEmbedder, tile

DISK = 4 * 2**20
BLOCK = 4096
BEFORE = ["cat.png", "owl.png"]
NEW = [f"{number}.png" for number in range(12)]


class Wide(FakeEmbedder):
    """Vectors that take some room."""

    dimensions = 4096

    def _vectors(self, rows):
        few = super()._vectors(rows)
        return np.pad(few, ((0, 0), (0, self.dimensions - few.shape[1])))


def mounted(kind: str, place: Path) -> bool:
    asked = ["mount", "-t", "tmpfs", "-o", kind, "tmpfs", str(place)]
    try:
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mounted(f"size={DISK}", place):
        pytest.skip("a small disk can be mounted by the administrator of a Linux alone")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def library(root: Path) -> ImageLibrary:
    return open_library("mine", root / "libraries", root / "cache", [])


def begun(root: Path) -> None:
    """A library of two pictures."""
    create_library("mine", root / "libraries", bundled=[])
    for name in BEFORE:
        tile(Path(name).stem).save(root / "libraries" / "mine" / name)
    with closing(library(root)) as mine:
        mine.index(FakeEmbedder())


def photos(folder: Path) -> list[Path]:
    """A dozen pictures of 50 kB each."""
    folder.mkdir()
    for number, name in enumerate(NEW):
        noise = np.random.default_rng(number).integers(0, 256, (128, 128, 3), np.uint8)
        Image.fromarray(noise).save(folder / name)
    return [folder / name for name in NEW]


def found(mine: ImageLibrary) -> list[str]:
    vector = np.eye(len(COLOURS) + 1, dtype=np.float32)[list(COLOURS).index("owl")]
    hits = mine.column(FakeEmbedder()).search(vector, "", 99)
    assert hits[0].file == "owl.png"
    return sorted(hit.file for hit in hits)


def whole(root: Path) -> None:
    """The library as the next process has it: what was there is found, and nothing half is there."""
    with closing(library(root)) as mine:
        files = found(mine)
        assert set(BEFORE) <= set(files) <= {*BEFORE, *(f"{UPLOADS}/{name}" for name in NEW)}
        for file in files:
            mine.open(file)
    folder = root / "libraries" / "mine"
    assert not list(folder.rglob("*.partial*"))
    for copy in (folder / UPLOADS).glob("*"):
        read_picture(copy)
    with closing(sqlite3.connect(folder / STATE / sqlite_file.FILE)) as base:
        assert base.execute("pragma integrity_check").fetchall() == [("ok",)]


def all_taken(root: Path, paths: list[Path]) -> None:
    with closing(library(root)) as mine:
        finished(mine.add(paths, FakeEmbedder()))
        assert found(mine) == sorted([*BEFORE, *(f"{UPLOADS}/{name}" for name in NEW)])


def filled(disk: Path, room: int) -> Path:
    """A file that leaves so many bytes."""
    state = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - room)))
    return filler


@pytest.mark.parametrize("blocks", [0, 1, 2, 13, 20, 40, 100, 155, 157, 160, 175])
def test_a_disk_that_is_full_in_mid_add_costs_nothing_of_what_was_there(
    disk: Path, tmp_path: Path, blocks: int
) -> None:
    """The twelve pictures take 157 blocks, what is remembered of them some more."""
    begun(disk)
    paths = photos(tmp_path / "photos")
    filler = filled(disk, blocks * BLOCK)
    with closing(library(disk)) as mine, pytest.raises(LibraryError) as told:
        finished(mine.add(paths, FakeEmbedder()))
    said = str(told.value)
    assert "What was there is whole" in said or "is full. To change it, make room" in said
    assert str(tmp_path) not in said
    filler.unlink()
    whole(disk)
    all_taken(disk, paths)


def test_a_library_on_a_full_disk_is_searched(disk: Path) -> None:
    begun(disk)
    filled(disk, 0)
    with closing(library(disk)) as mine:
        assert found(mine) == BEFORE


@pytest.mark.parametrize("block", range(0, 12, 3))
def test_a_copy_that_the_disk_does_not_take_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    begun(tmp_path)
    paths, written = photos(tmp_path / "photos"), []

    def copy(source, target, check: Callable[[], None]) -> None:
        written.append(target.write(source.read(1000)))
        if len(written) > block:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target.name)
        target.write(source.read())

    with monkeypatch.context() as patched:
        patched.setattr(taking, "_copy", copy)
        with closing(library(tmp_path)) as mine, pytest.raises(LibraryError, match="No space left") as told:
            finished(mine.add(paths, FakeEmbedder()))
    assert str(tmp_path) not in str(told.value)
    whole(tmp_path)
    all_taken(tmp_path, paths)


def test_entries_that_the_disk_does_not_take_leave_those_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(tmp_path)
    paths, connected = photos(tmp_path / "photos"), sqlite_file._connected

    def bounded(file: Path) -> sqlite3.Connection:
        base = connected(file)
        pages = base.execute("pragma page_count").fetchone()[0]
        base.execute(f"pragma max_page_count = {pages}")  # SQLite says then what it says of a full disk
        return base

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_file, "_connected", bounded)
        with closing(library(tmp_path)) as mine, pytest.raises(LibraryError, match="disk is full"):
            finished(mine.add(paths, Wide("wide")))
    whole(tmp_path)
    all_taken(tmp_path, paths)


def test_the_log_of_what_a_full_disk_did_not_take_gives_its_room_back(disk: Path) -> None:
    with closing(EmbeddedStore(disk)) as store:
        store.select("wide", Wide.dimensions)
    many = [Entry(str(number), str(number), 0, 0) for number in range(1000)]
    with closing(EmbeddedStore(disk)) as store:
        with pytest.raises(LibraryError, match="disk is full"):
            store.write(many, np.ones((len(many), Wide.dimensions), np.float32))
        assert (disk / "library.sqlite-wal").stat().st_size == 0
        assert store.write(many[:1], np.ones((1, Wide.dimensions), np.float32)) == [1]


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """Where a library lies that was begun, on a disk that cannot be written any more."""
    place = tmp_path / "disk"
    place.mkdir()
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0  # whom no mode of a folder keeps out
    if as_root and not mounted(f"size={DISK}", place):
        pytest.skip("the administrator of this machine can write everywhere, and mount nothing")
    begun(place)
    folders = [place, *(path for path in place.rglob("*") if path.is_dir())]
    if as_root:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    else:
        for folder in folders:
            folder.chmod(0o555)
    yield place
    if as_root:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    for folder in folders:
        if folder.exists():
            folder.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="Windows lets whoever owns a folder write in it")
def test_a_library_on_a_disk_that_cannot_be_written_is_searched_as_it_is(
    unwritable: Path, tmp_path: Path
) -> None:
    before = sorted(unwritable.rglob("*"))
    mine = open_library("mine", unwritable / "libraries", tmp_path / "cache", [])
    embedder = FakeEmbedder()
    with closing(mine):
        mine.index(embedder)
        assert found(mine) == BEFORE and embedder.embedded == 0
        assert mine.open("owl.png").size == (8, 8)
        for change in (
            lambda: finished(mine.add(photos(tmp_path / "photos"), embedder)),
            lambda: mine.remove(["owl.png"]),
        ):
            with pytest.raises(LibraryError, match="on a disk that cannot be written or is full") as told:
                change()
            assert str(tmp_path) not in str(told.value)
        assert found(mine) == BEFORE
    assert sorted(unwritable.rglob("*")) == before
