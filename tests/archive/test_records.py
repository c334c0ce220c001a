"""Runs on disk: complete, atomic, never overwritten, and told in words."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from imgrag.archive import records
from imgrag.archive.restoring import consistent, open_run
from imgrag.errors import RecordError
from imgrag.runs import corrections
from imgrag.runs.events import Finished, Paused
from imgrag.runs.trace import trace
from imgrag.runs.values import (
    Candidate,
    Comparison,
    Concept,
    Reference,
    Rejection,
    Request,
    Round,
    Run,
    StageReport,
    Verdict,
    new_id,
)
from tests.fakes import Cast, make_pipeline

OWL = Candidate("birds/owl.png", 0.31, "owl", "a picture of an owl", "Noto Color Emoji", "OFL-1.1")
BAT = Candidate("bat.png", 0.28, "bat")


def picture(colour: str) -> Image.Image:
    return Image.new("RGB", (8, 8), colour)


def make_run(kept: int = 1) -> Run:
    first = Round(
        verdict=Verdict(False, ("owl", "idea"), ("dog",), "raw words"),
        concepts=(Concept("owl", "an owl"),),
        rejected=(Rejection("idea", "no picture can show it"),),
        references=(Reference("owl", OWL, picture("purple"), 0.5, (OWL, BAT)),),
        enhanced=picture("green"),
        second_verdict=Verdict(False, ("owl",), ("dog",), "again"),
        comparison=Comparison(-17.5, -3.25),
    )
    second = Round(
        verdict=first.second_verdict,
        concepts=(Concept("owl", "an owl"),),
        references=(Reference("owl", BAT, picture("black"), 0.5, (OWL, BAT)),),
        enhanced=picture("blue"),
        second_verdict=Verdict(True, (), ("dog", "owl"), "yes"),
    )
    return Run(
        id=new_id(datetime.now(timezone.utc)),
        request=Request('a dog and an "\u00fcbel" owl', seed=3),
        profile="pocket",
        library="mine",
        started="2026-01-01T00:00:00+00:00",
        settings={"seed": 3, "steps": 4},
        initial=picture("red"),
        rounds=(first, second),
        stages=(
            StageReport("initial", "done", 0.5, 1000, "", "m", notes=("a note",)),
            StageReport("verdict", "skipped", reason="why"),
        ),
        kept=kept,
        why="because",
        loads=4,
        state="finished",
    )


def test_a_run_is_a_complete_folder(tmp_path: Path) -> None:
    run = make_run(kept=2)
    folder = records.save(run, tmp_path)
    assert folder == tmp_path / run.id
    assert {file.name for file in folder.iterdir()} == {
        "initial.png", "enhanced.png", "enhanced-2.png", "result.png", "reference-1.png", "reference-2.png", "run.json",
    }  # fmt: skip
    colours = {file.stem: Image.open(file).getpixel((0, 0)) for file in folder.glob("*.png")}
    assert colours["result"] == colours["enhanced-2"] == (0, 0, 255)
    assert colours["initial"] == (255, 0, 0) and colours["reference-1"] == (128, 0, 128)
    assert [path.name for path in tmp_path.iterdir()] == [run.id]


def test_the_record_has_the_agreed_fields() -> None:
    record = records.record(make_run(kept=2))
    for field, value in {
        "prompt": 'a dog and an "\u00fcbel" owl', "seed": 3, "profile": "pocket", "library": "mine",
        "initial": "initial.png", "enhanced": "enhanced-2.png", "result": "result.png", "kept": 2, "loads": 4,
        "why": "because", "notes": ["a note"], "started": "2026-01-01T00:00:00+00:00",
        "settings": {"seed": 3, "steps": 4}, "concepts": [{"name": "owl", "caption": "an owl"}],
        "rejected_concepts": [{"name": "idea", "reason": "no picture can show it"}],
    }.items():  # fmt: skip
        assert record[field] == value, field
    assert record["verdict"] == {
        "matches": False, "missing": ("owl", "idea"), "seen": ("dog",), "raw": "raw words", "readable": True,
        "sights": (),
    }  # fmt: skip
    assert record["second_verdict"]["matches"] is True
    (reference,) = record["references"]
    assert (reference["concept"], reference["file"], reference["score"]) == ("owl", "bat.png", 0.28)
    assert reference["image"] == "reference-2.png" and reference["weight"] == 0.5
    assert len(reference["candidates"]) == 2 and len(record["rounds"]) == 2
    assert set(record["stages"][0]) >= {"name", "status", "seconds", "peak_bytes", "reason"}
    assert set(reference) >= {"concept", "file", "score", "name", "source", "licence"}


def test_verdict_and_image_of_a_record_belong_together() -> None:
    first = records.record(make_run(kept=1))
    assert (first["enhanced"], first["second_verdict"]["raw"]) == ("enhanced.png", "again")
    assert first["references"][0]["file"] == "birds/owl.png"
    neither = records.record(make_run(kept=0))
    assert neither["enhanced"] == "enhanced-2.png" and neither["result"] == "result.png"


def test_a_short_run_has_no_enhanced_image(tmp_path: Path) -> None:
    run = replace(make_run(kept=0), rounds=(Round(verdict=Verdict(True)),))
    folder = records.save(run, tmp_path)
    record = json.loads((folder / "run.json").read_text())
    assert record["enhanced"] is None and record["second_verdict"] is None and record["references"] == []
    assert {file.name for file in folder.iterdir()} == {"initial.png", "result.png", "run.json"}


def test_the_png_carries_the_decisions(tmp_path: Path) -> None:
    run = make_run(kept=2)
    with Image.open(records.save(run, tmp_path) / "result.png") as image:
        carried = json.loads(image.text["imgrag"])
    assert carried["prompt"] == run.request.prompt and carried["verdict"]["missing"] == ["owl", "idea"]
    assert carried["settings"]["steps"] == 4 and carried["references"][0]["file"] == "bat.png"


def test_a_page_that_encodes_the_same_image_meanwhile_takes_nothing_away(tmp_path: Path) -> None:
    run, done = make_run(kept=2), threading.Event()

    def show() -> None:
        while not done.is_set():
            run.rounds[-1].enhanced.save(BytesIO(), format="PNG")

    page = threading.Thread(target=show)
    page.start()
    try:
        folders = [
            records.save(replace(run, id=new_id(datetime.now(timezone.utc))), tmp_path) for _ in range(100)
        ]
    finally:
        done.set()
        page.join()
    for folder in folders:
        with Image.open(folder / "result.png") as image:
            assert "imgrag" in image.info


def test_the_same_run_gives_the_same_files(tmp_path: Path) -> None:
    run = make_run()
    later = replace(run, id="20260202-000000-abcdef", started="later", loads=0)
    later = replace(later, stages=tuple(replace(report, seconds=9, reused=True) for report in run.stages))
    one, two = records.save(run, tmp_path), records.save(later, tmp_path)
    assert all(
        (one / name).read_bytes() == (two / name).read_bytes() for name in ("initial.png", "result.png")
    )


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    run = make_run()
    folder = records.save(run, tmp_path)
    before = (folder / "result.png").read_bytes()
    with pytest.raises(RecordError, match="already there"):
        records.save(replace(run, kept=2), tmp_path)
    assert (folder / "result.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [run.id]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(RecordError, match="No space left"):
        records.save(make_run(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError) as caught:
        records.prepare(tmp_path / "file" / "below")
    assert str(tmp_path) not in str(caught.value) and "'below'" in str(caught.value)
    records.prepare(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_a_run_is_opened_by_its_id(tmp_path: Path) -> None:
    run = make_run()
    records.save(run, tmp_path)
    assert records.open_record(tmp_path, run.id)["prompt"] == run.request.prompt


@pytest.mark.parametrize(
    ("run_id", "says"),
    [
        ("../../etc", "no id"),
        ("", "no id"),
        ("20260101-000000-abcdef/..", "no id"),
        ("20260101-000000-abcdef\n", "no id"),
        ("20260101-000000-abcdef", "no run"),
        ("20260101-000000-bbbbbb", "cannot be read"),
    ],
)
def test_other_ids_are_refused(tmp_path: Path, run_id: str, says: str) -> None:
    broken = tmp_path / "20260101-000000-bbbbbb"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    with pytest.raises(RecordError, match=says):
        records.open_record(tmp_path, run_id)


def test_ids_are_new_and_sort_by_time() -> None:
    early, late = datetime(2026, 1, 2, tzinfo=timezone.utc), datetime(2026, 1, 3, tzinfo=timezone.utc)
    ids = {new_id(early) for _ in range(50)}
    assert len(ids) == 50 and max(ids) < new_id(late)
    assert all(name.startswith("20260102-000000000000-") and records.is_id(name) for name in ids)
    within_a_second = [new_id(early.replace(microsecond=moment)) for moment in range(50)]
    assert within_a_second == sorted(within_a_second)


def test_the_trace_tells_the_decisions() -> None:
    told = "\n".join(trace(make_run(kept=2)))
    order = [
        "with seed 3", "it shows dog; it lacks owl and idea", '"idea" is not looked up: no picture can show it',
        "To look up: owl", "birds/owl.png, similarity 0.310 (Noto Color Emoji, OFL-1.1)", "Drew again",
        "Round 2", "bat.png", "everything is there", "because", "a note",
    ]  # fmt: skip
    places = [told.index(words) for words in order]
    assert places == sorted(places)


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine, earlier = f".partial-{os.getpid()}-run", f".partial-{os.getpid()}-before"
    for name in (".partial-old", f".partial-{dead.pid}-a", f".partial-{10**30}-b", mine, earlier):
        (tmp_path / name).mkdir()
        (tmp_path / name / "initial.png").write_bytes(b"half")
    os.utime(tmp_path / earlier, (0, 0))  # another process had our number then
    folder = records.save(make_run(), tmp_path)
    (folder / f".partial-{dead.pid}-result.png").write_bytes(b"half")
    records.sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {mine, folder.name}
    assert not list(folder.glob(".partial-*"))


def test_an_unfinished_run_grows_and_forgets_what_was_dropped(tmp_path: Path) -> None:
    run = replace(make_run(kept=1), state="paused")
    folder = records.save(run, tmp_path)
    assert json.loads((folder / "run.json").read_text())["result"] is None
    assert not (folder / "result.png").exists() and (folder / "reference-2.png").exists()
    records.save(replace(run, rounds=run.rounds[:1], state="finished"), tmp_path)
    assert {file.name for file in folder.iterdir()} == {
        "initial.png", "enhanced.png", "result.png", "reference-1.png", "run.json",
    }  # fmt: skip
    with Image.open(folder / "initial.png") as image:
        assert "imgrag" in image.info
    with pytest.raises(RecordError, match="already there"):
        records.save(run, tmp_path)


def test_a_record_is_at_no_moment_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the folder before and after each file: any of them is what a crash could have left."""
    pipeline, copies = make_pipeline(tmp_path, Cast()), tmp_path / "copies"
    replaced = os.replace

    def replace_and_copy(source: Path, target: Path) -> None:
        shutil.copytree(pipeline.results, copies / f"{len(list(copies.glob('*'))):04}")
        replaced(source, target)
        shutil.copytree(pipeline.results, copies / f"{len(list(copies.glob('*'))):04}")

    copies.mkdir()
    monkeypatch.setattr(os, "replace", replace_and_copy)
    request = Request("a dog , an owl and a toolbox", steps=1, max_concepts=1, rounds=2)
    event = list(pipeline.stream(request, pause=True))[-1]
    for change in (
        lambda run: corrections.own_initial(run, picture("white")),
        lambda run: run, lambda run: run, lambda run: run,
        lambda run: corrections.own_picture(run, "dog", picture("black"), "a.png"),
        lambda run: corrections.rewind(run, "verdict"),
        lambda run: run, lambda run: run, lambda run: run, lambda run: run,
    ):  # fmt: skip
        event = list(pipeline.resume(change(event.run), pause=True))[-1]
    assert isinstance(event, Paused)
    assert isinstance(list(pipeline.resume(event.run))[-1], Finished)
    told = {copy.name: consistent(copy) for copy in copies.iterdir()}
    assert len(told) > 30 and not any(told.values()), told


CRASHING = """
import sys
from pathlib import Path
from PIL import Image
from imgrag.runs import corrections
from imgrag.runs.events import Paused
from tests.fakes import Cast, make_pipeline
from imgrag.runs.values import Request

pipeline = make_pipeline(Path(sys.argv[1]), Cast())
print("ready", flush=True)
while True:
    pipeline(Request("a dog , an owl and a toolbox", steps=3, seed=5, max_concepts=1, rounds=2))
    event = list(pipeline.stream(Request("a dog and an owl", steps=3), pause=True))[-1]
    run = corrections.own_initial(event.run, Image.new("RGB", (64, 64), "white"))
    list(pipeline.resume(run))
"""


def crashed(folder: Path, count: int) -> None:
    """Kill a process in mid-run, so often, and check what it left each time."""
    dice, root = random.Random(0), Path(__file__).parents[2]
    whole = make_pipeline(folder / "whole", Cast())
    request = Request("a dog , an owl and a toolbox", steps=3, seed=5, max_concepts=1, rounds=2)
    result = (whole.results / whole(request).id / "result.png").read_bytes()
    for number in range(count):
        place = folder / f"{number}"
        process = subprocess.Popen(
            [sys.executable, "-c", CRASHING, str(place)], cwd=root, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout and process.stdout.readline() == "ready\n"
        time.sleep(dice.uniform(0, 0.8))
        process.kill()
        process.wait()
        process.stdout.close()
        pipeline = make_pipeline(place, Cast())
        records.sweep(pipeline.results)
        assert consistent(pipeline.results) == []
        for folder_left in list(pipeline.results.iterdir()):
            state = records.open_record(pipeline.results, folder_left.name)["state"]
            assert state in ("finished", "interrupted", "paused")
            if state != "finished":
                run = open_run(pipeline.results, folder_left.name)
                ended = list(pipeline.resume(run))[-1]
                assert isinstance(ended, Finished)
            if json.loads((folder_left / "run.json").read_text())["settings"]["rounds"] == 2:
                assert (folder_left / "result.png").read_bytes() == result
        assert consistent(pipeline.results) == []


def test_a_process_that_is_killed_leaves_whole_runs(tmp_path: Path) -> None:
    crashed(tmp_path, 5)


def test_what_is_inconsistent_is_found(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    run = pipeline(Request("a dog and an owl", steps=1))
    folder = pipeline.results / run.id
    assert consistent(pipeline.results) == []
    picture("white").save(folder / "result.png")
    assert consistent(pipeline.results) == [f"{run.id}: result.png is not what its record says"]
    (folder / "initial.png").unlink()
    (pipeline.results / "half").mkdir()
    assert [line.split(":")[0] for line in consistent(pipeline.results)] == [run.id, "half"]
