"""Runs that the version before the rooms wrote (commit 89afa24) come back: folders, a saved PNG, a zip.

`version_0` holds a run with a reference, one of two rounds, one whose process died before the enhanced
image, and the zip of one with corrections and a person's own picture.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from imgrag.archive import records, restoring
from imgrag.archive.history import History
from imgrag.engine.librarian import Librarian
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.runs.events import Finished
from imgrag.runs.values import Box, Run

KEPT = Path(__file__).parent / "version_0"
PLAIN = "20261126-112943610001-4c98cd"
ROUNDS = "20261126-112950573201-8e6e05"
BROKEN_OFF = "20261126-112952237251-f5842a"
ZIP = KEPT / "imgrag-20261126-112949960989-272004.zip"
OWNER = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> ImageRAGPipeline:
    """The pocket models, over a copy of the runs."""
    folder = tmp_path_factory.mktemp("version_0")
    results = Path(shutil.copytree(KEPT, folder / "results", ignore=shutil.ignore_patterns("*.zip")))
    return ImageRAGPipeline("pocket", results=results, cache=folder / "cache")


def found(run: Run) -> list[tuple[object, ...]]:
    """What was decided in each round."""
    files = [tuple(reference.chosen.file for reference in past.references or ()) for past in run.rounds]
    return [(past.verdict, past.concepts, file) for past, file in zip(run.rounds, files, strict=True)]


def ended(pipeline: ImageRAGPipeline, run: Run) -> Run:
    event = list(pipeline.resume(run))[-1]
    assert isinstance(event, Finished)
    return event.run


def alike(one: Image.Image | None, other: Image.Image | None) -> bool:
    """Whether two images differ by no more than another machine's arithmetic makes them."""
    assert one is not None and other is not None and one.size == other.size
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean) < 2


def assert_holds(new: Any, old: Any) -> None:
    """Whatever the old record says, the new one says too; it may say more."""
    if isinstance(old, dict):
        assert new.keys() >= old.keys()
        for key, value in old.items():
            assert_holds(new[key], value)
    elif isinstance(old, list):
        assert len(new) == len(old)
        for one, other in zip(new, old, strict=True):
            assert_holds(one, other)
    else:
        assert new == old


def test_the_history_lists_them() -> None:
    entries = History(KEPT).entries(OWNER)
    assert [(entry.id, entry.state, entry.kept) for entry in entries] == [
        (BROKEN_OFF, "interrupted", 0), (ROUNDS, "finished", 2), (PLAIN, "finished", 1),
    ]  # fmt: skip
    assert (entries[2].prompt, entries[2].seed, entries[2].library) == ("a dog and a toolbox", 7, "pocket")


@pytest.mark.parametrize("run_id", [PLAIN, ROUNDS])
def test_a_folder_opens_and_is_written_again_as_it_was(run_id: str) -> None:
    run = restoring.open_run(KEPT, run_id)
    assert run.state == "finished" and run.result is not None and run.verdict is not None
    written = json.loads(json.dumps(records.record(run)))
    reading, *written["stages"] = written["stages"]
    assert reading["name"] == "reading" and written["reading"]["prompt"] == run.request.prompt
    assert_holds(written, json.loads((KEPT / run_id / "run.json").read_text(encoding="utf-8")))


def test_every_file_is_what_its_record_says(pipeline: ImageRAGPipeline) -> None:
    assert restoring.consistent(pipeline.results) == []


def test_a_zip_brings_its_corrections_and_own_picture_back() -> None:
    run = restoring.read_zip(ZIP)
    (reference,) = run.round.references or ()
    assert (run.parent, run.kept, run.state) == (PLAIN, 1, "finished")
    assert [correction.what for correction in run.corrections] == [
        "reference for toolbox", "reference for toolbox", "guidance",
    ]  # fmt: skip
    assert reference.own and reference.image.size == (48, 48) and reference.weight == 0.8
    assert (reference.crop, reference.region) == (Box(0, 0, 0.9, 0.9), Box(0.4, 0, 1, 1))
    assert reference.chosen.file == "my tool b\u00f6x.png", "it was written decomposed, as macOS names files"
    assert (run.settings["adapter_scale"], run.settings["guided_share"]) == (0.9, 0.8)


def test_a_png_is_drawn_again_from_its_decisions(pipeline: ImageRAGPipeline) -> None:
    file = KEPT / PLAIN / "result.png"
    before = restoring.open_run(KEPT, PLAIN)
    run = restoring.read_png(file, Librarian(pipeline).picture)
    assert run.request == before.request and found(run) == found(before)
    again = ended(pipeline, restoring.taken_in(run, OWNER))
    assert (again.kept, again.why, found(again)) == (1, before.why, found(before))
    assert alike(again.initial, before.initial) and alike(again.result, before.result)
    assert restoring.promised(file) == records.pixel_hash(before.result)  # type: ignore[arg-type]


def test_a_run_that_broke_off_goes_on_where_it_was(pipeline: ImageRAGPipeline) -> None:
    run = restoring.open_run(pipeline.results, BROKEN_OFF)
    done = ended(pipeline, run)
    reused = [(report.name, report.seconds) for report in run.stages]
    assert [(report.name, report.seconds) for report in done.stages][: len(reused)] == reused
    assert done.state == "finished" and done.result is not None and found(done)[0] == found(run)[0]
    assert History(pipeline.results).entries(OWNER, 1)[0].state == "finished"
