"""Runs on disk: complete, atomic, never overwritten, and told in words."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from PIL import Image

from imgrag import records
from imgrag.errors import RecordError
from imgrag.run import Candidate, Concept, Reference, Rejection, Request, Round, Run, StageReport, Verdict

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
    )
    second = Round(
        verdict=first.second_verdict,
        concepts=(Concept("owl", "an owl"),),
        references=(Reference("owl", BAT, picture("black"), 0.5, (OWL, BAT)),),
        enhanced=picture("blue"),
        second_verdict=Verdict(True, (), ("dog", "owl"), "yes"),
    )
    return Run(
        id=records.new_id(datetime.now(timezone.utc)),
        request=Request('a dog and an "\u00fcbel" owl', seed=3),
        profile="pocket",
        library="mine",
        started="2026-01-01T00:00:00+00:00",
        settings={"seed": 3, "steps": 4},
        initial=picture("red"),
        rounds=(first, second),
        stages=(
            StageReport("initial", "done", 0.5, 1000, "", "m"),
            StageReport("verdict", "skipped", reason="why"),
        ),
        notes=("a note",),
        kept=kept,
        why="because",
        loads=4,
    )


def test_a_run_is_a_complete_folder(tmp_path: Path) -> None:
    run = make_run(kept=2)
    folder = records.write_run(run, tmp_path)
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
        "matches": False, "missing": ("owl", "idea"), "seen": ("dog",), "raw": "raw words",
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
    folder = records.write_run(run, tmp_path)
    record = json.loads((folder / "run.json").read_text())
    assert record["enhanced"] is None and record["second_verdict"] is None and record["references"] == []
    assert {file.name for file in folder.iterdir()} == {"initial.png", "result.png", "run.json"}


def test_the_png_carries_the_decisions(tmp_path: Path) -> None:
    run = make_run(kept=2)
    with Image.open(records.write_run(run, tmp_path) / "result.png") as image:
        carried = json.loads(image.text["imgrag"])
    assert carried["prompt"] == run.request.prompt and carried["verdict"]["missing"] == ["owl", "idea"]
    assert carried["settings"]["steps"] == 4 and carried["references"][0]["file"] == "bat.png"


def test_the_same_run_gives_the_same_files(tmp_path: Path) -> None:
    run = make_run()
    later = replace(run, id="20260202-000000-abcdef", started="later", loads=0, stages=())
    one, two = records.write_run(run, tmp_path), records.write_run(later, tmp_path)
    assert all(
        (one / name).read_bytes() == (two / name).read_bytes() for name in ("initial.png", "result.png")
    )


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    run = make_run()
    folder = records.write_run(run, tmp_path)
    before = (folder / "result.png").read_bytes()
    with pytest.raises(RecordError, match="already there"):
        records.write_run(replace(run, kept=2), tmp_path)
    assert (folder / "result.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [run.id]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    class FullDisk(Image.Image):
        def save(self, *_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(RecordError, match="No space left"):
        records.write_run(replace(make_run(), initial=FullDisk()), tmp_path)
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
    records.write_run(run, tmp_path)
    assert records.open_run(tmp_path, run.id)["prompt"] == run.request.prompt


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
        records.open_run(tmp_path, run_id)


def test_ids_are_new_and_sort_by_time() -> None:
    early, late = datetime(2026, 1, 2, tzinfo=timezone.utc), datetime(2026, 1, 3, tzinfo=timezone.utc)
    ids = {records.new_id(early) for _ in range(50)}
    assert len(ids) == 50 and max(ids) < records.new_id(late)
    assert all(name.startswith("20260102-000000-") for name in ids)


def test_the_trace_tells_the_decisions() -> None:
    trace = "\n".join(records.trace(make_run(kept=2)))
    order = [
        "with seed 3", "it shows dog; it lacks owl and idea", '"idea" is not looked up: no picture can show it',
        "To look up: owl", "birds/owl.png, similarity 0.310 (Noto Color Emoji, OFL-1.1)", "Drew again",
        "Round 2", "bat.png", "everything is there", "because", "a note",
    ]  # fmt: skip
    places = [trace.index(words) for words in order]
    assert places == sorted(places)


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    old, new = tmp_path / ".partial-old", tmp_path / ".partial-new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "initial.png").write_bytes(b"half")
    os.utime(old, (0, 0))
    records.prepare(tmp_path)
    assert not old.exists() and new.exists()
