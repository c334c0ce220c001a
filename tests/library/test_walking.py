"""Whatever lies in a folder: regular files are read, everything else is named, and nothing stops the library."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import pytest

from imgrag.library.intake.adding import Report, finished
from tests.fakes import FakeEmbedder, make_library
from tests.library.test_library import opened

posix = pytest.mark.skipif(os.name == "nt", reason="links and pipes as Linux and macOS have them")


def added(folder: Path) -> Report:
    return finished(opened(folder, folder.parent / "state").add([], FakeEmbedder()))


def reasons(report: Report) -> dict[str, str]:
    return {skipped.file: skipped.reason for skipped in report.skipped}


@posix
def test_pipes_and_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    os.mkfifo(folder / "metadata.csv")
    os.mkfifo(folder / "pipe.png")
    (folder / "s.png").symlink_to("s.png")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    report = added(folder)
    told = reasons(report)
    assert report.added == 1
    assert told["metadata.csv"] == told["pipe.png"] == "it is no regular file"
    assert "circle" in told["s.png"] and "nowhere" in told["gone.png"]


@posix
def test_links_are_followed_within_the_folder_each_target_once(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    make_library(tmp_path / "elsewhere", "cat")
    make_library(folder / "sub", "toolbox")
    (folder / "again").symlink_to(folder / "sub")
    (folder / "loop").symlink_to(folder)
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    report = added(folder)
    assert report.added == 2
    assert "leads out" in reasons(report)["out"]


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="names there are always text")
def test_a_name_that_is_no_text_is_named(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    shutil.copyfile(folder / "owl.png", os.fsencode(folder) + b"/b\xff.png")
    report = added(folder)
    assert report.added == 1
    assert any("no plain text" in reason for reason in reasons(report).values())


@posix
def test_depth_stops_nothing(tmp_path: Path) -> None:
    folder, here = make_library(tmp_path / "lib", "owl"), Path.cwd()
    try:
        os.chdir(folder)
        for _ in range(2500):  # longer than any path that the system takes at once
            Path("d").mkdir()
            os.chdir("d")
        os.chdir(here)
        report = added(folder)
    finally:  # neither pytest nor Python's own can take away what is so deep
        os.chdir(here)
        os.system(f"rm -rf '{folder / 'd'}'")
    assert report.added == 1
    assert [reason for reason in reasons(report).values() if "too long" in reason]


@pytest.mark.parametrize("seconds", [20_000_000_000, -20_000_000_000])
def test_dates_beyond_64_bits_of_nanoseconds_stop_nothing(tmp_path: Path, seconds: int) -> None:
    folder = make_library(tmp_path / "lib", "owl", "cat")
    try:
        os.utime(folder / "cat.png", (seconds, seconds))
    except (OSError, OverflowError):
        pytest.skip("this disk has no such dates")
    assert added(folder).added == 2


def test_what_people_call_pictures_too_is_named(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    for name in ("drawing.svg", "photo.NEF"):
        (folder / name).write_bytes(b"<svg/>")
    report = added(folder)
    assert report.added == 1 and all("not taken" in reason for reason in reasons(report).values())
    assert sorted(reasons(report)) == ["drawing.svg", "photo.NEF"]


def test_names_are_compared_composed(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "owl")
    (folder / "owl.png").rename(folder / unicodedata.normalize("NFD", "zörblax.png"))
    library = opened(folder, tmp_path / "state")
    assert library.holds("zörblax")
    assert finished(library.add([], FakeEmbedder())).added == 1
    assert library.holds("zörblax") and library.open("zörblax.png").size
