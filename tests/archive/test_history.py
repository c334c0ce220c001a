"""Whose runs are shown, which stay, and which make room."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imgrag.archive import history, records
from imgrag.archive.history import SETTLED, History, Room
from imgrag.archive.marks import PINNED
from imgrag.archive.restoring import carried, taken_in
from imgrag.errors import RecordError
from imgrag.runs.values import Correction, Request, Round, Run, StageReport, Verdict, new_id
from imgrag.ui.history.events import _picture
from imgrag.ui.history.layout import cards, side_by_side
from tests.fakes import Cast, make_pipeline

ME, YOU = "a" * 64, "b" * 64
SETTINGS = {
    "seed": 3, "negative_prompt": "", "steps": 4, "guidance_scale": 5.0, "adapter_scale": 1.0, "guided_share": 1.0,
    "similarity_floor": 0.2, "max_concepts": 1, "weights": [], "rounds": 1, "size": 64,
}  # fmt: skip
DONE = tuple(StageReport(name, "done") for name in ("initial", "verdict"))
SKIPPED = tuple(
    StageReport(name, "skipped") for name in ("concepts", "references", "enhanced", "second_verdict")
)


def keep(results: Path, day: int, owner: str = ME, **values: Any) -> Run:
    """A run of that day on disk."""
    now = datetime(2026, 1, day, tzinfo=timezone.utc)
    run = Run(
        id=new_id(now), request=Request(f"day {day}"), profile="pocket", library="mine", started=now.isoformat(),
        settings=SETTINGS, initial=Image.effect_noise((40, 40), day + 10), rounds=(Round(verdict=Verdict(True)),),
        stages=(*DONE, *SKIPPED), state="finished", owner=owner,
    )  # fmt: skip
    run = replace(run, **values)
    records.save(run, results)
    return run


def size(results: Path) -> int:
    return sum(file.stat().st_size for file in results.rglob("*") if file.is_file())


def settle(folder: Path) -> None:
    """As if it had been left alone for a while."""
    before = time.time() - SETTLED - 1
    os.utime(folder, (before, before))


def left(results: Path) -> set[str]:
    return {folder.name for folder in results.iterdir()}


def rewritten(results: Path, run: Run, **values: Any) -> None:
    file = results / run.id / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_history_is_its_owners_newest_first(tmp_path: Path) -> None:
    mine = [keep(tmp_path, day) for day in (2, 1, 3)]
    keep(tmp_path, 4, YOU)
    keep(tmp_path, 5, "")
    history = History(tmp_path)
    entries = history.entries(ME)
    assert [entry.id for entry in entries] == [mine[2].id, mine[0].id, mine[1].id]
    assert [entry.prompt for entry in entries] == ["day 3", "day 2", "day 1"]
    assert [entry.id for entry in history.entries(ME, 2)] == [mine[2].id, mine[0].id]
    assert history.entries(ME, 0) == [] and len(history.entries(YOU)) == 1
    first = entries[0]
    assert (first.seed, first.state, first.kept, first.library, first.corrected) == (
        3,
        "finished",
        0,
        "mine",
        False,
    )
    assert first.verdict == Verdict(True)
    assert first.picture == tmp_path / first.id / "result.png" and first.picture.is_file()


def test_a_run_is_called_as_a_person_read_it(tmp_path: Path) -> None:
    read = [
        Correction("reading", 1, "reading", before, after)
        for before, after in (("a", "an <owl>"), ("an <owl>", "a cat"))
    ]
    keep(tmp_path, 1, corrections=tuple(read[:1]))
    run = keep(tmp_path, 2, corrections=tuple(read))
    second, first = History(tmp_path).entries(ME)
    assert (first.title, second.title) == ("an <owl>", "a cat") and first.prompt == "day 1"
    assert "an &lt;owl&gt;" in cards([first], [None]) and "day 1" not in cards([first], [None])
    assert "<strong>a cat</strong>" in side_by_side(run, run)


def test_a_run_that_came_back_from_its_file_is_known_again_and_still_corrected(tmp_path: Path) -> None:
    overruled = Correction("verdict", "verdict", "lacks owl", "matches", 1)
    run, history = keep(tmp_path, 1, corrections=(overruled,)), History(tmp_path)
    brought = taken_in(run, YOU)
    assert history.twin(brought, YOU) == "" and history.twin(taken_in(run, ME), ME) == run.id
    records.save(brought, tmp_path)
    assert history.twin(taken_in(run, YOU), YOU) == brought.id
    assert history.twin(replace(taken_in(run, YOU), why="another"), YOU) == ""
    assert history.drawn_from(carried(tmp_path / run.id / "result.png"), ME) == run.id
    assert history.drawn_from(carried(tmp_path / run.id / "initial.png"), YOU) == brought.id
    assert history.drawn_from({"prompt": "day 1"}, ME) == ""
    (entry,) = history.entries(YOU)
    assert entry.corrected and "Corrected" in cards([entry], [None])


def test_a_card_says_what_the_judge_says(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    keep(tmp_path, 2, rounds=(Round(verdict=Verdict(False, ("owl",))),))
    lacking, matching = History(tmp_path).entries(ME)
    assert "Missing: owl" in cards([lacking], [None]) and "Matches the prompt" in cards([matching], [None])


@pytest.mark.parametrize("owner", ["", "c" * 64, "a", ME[:-1], ME.upper(), "\u00e9", "*", " "])
def test_to_anybody_else_a_run_does_not_exist(tmp_path: Path, owner: str) -> None:
    run, history = keep(tmp_path, 1), History(tmp_path)
    keep(tmp_path, 2, "")
    assert history.entries(owner) == []
    asks: list[Callable[[], object]] = [
        lambda: history.open(run.id, owner),
        lambda: history.pin(run.id, owner, True),
        lambda: history.delete(run.id, owner),
    ]
    for ask in asks:
        with pytest.raises(RecordError, match=f"There is no run {run.id}"):
            ask()
    assert (tmp_path / run.id / "run.json").exists() and not (tmp_path / run.id / PINNED).exists()


def test_a_run_of_nobody_is_not_to_be_had(tmp_path: Path) -> None:
    run = keep(tmp_path, 1, "")
    with pytest.raises(RecordError, match="There is no run"):
        History(tmp_path).open(run.id, "")


def test_a_run_is_opened_pinned_and_deleted(tmp_path: Path) -> None:
    run, history = keep(tmp_path, 1), History(tmp_path)
    opened = history.open(run.id, ME)
    assert opened.initial is not None and run.initial is not None
    assert opened.initial.tobytes() == run.initial.tobytes() and opened.request.prompt == "day 1"
    for pinned in (True, True, False, False, True):
        history.pin(run.id, ME, pinned)
        assert history.entries(ME)[0].pinned is pinned
    history.delete(run.id, ME)
    assert history.entries(ME) == [] and left(tmp_path) == set()
    with pytest.raises(RecordError, match="There is no run"):
        history.open(run.id, ME)


@pytest.mark.parametrize(
    "run_id",
    ["", ".", "..", "../../etc", "/etc/passwd", "20260101-000000-abcdef/..", "C:\\", "a\x00", "20260101-000000-ABCDEF",
     "\u0662\u0660\u0662\u0666\u0660\u0661\u0660\u0661-000000-abcdef"],
)  # fmt: skip
def test_ids_that_are_paths_are_refused(tmp_path: Path, run_id: str) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"owner": ME}))
    history = History(tmp_path / "results")
    asks: list[Callable[[], object]] = [
        lambda: history.open(run_id, ME),
        lambda: history.pin(run_id, ME, True),
        lambda: history.delete(run_id, ME),
    ]
    for ask in asks:
        with pytest.raises(RecordError, match="no id of a run") as caught:
            ask()
        assert str(tmp_path) not in str(caught.value)
    assert left(tmp_path) == {"run.json"}


def test_a_run_whose_process_died_is_interrupted(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    begun = {"rounds": (), "stages": DONE[:1], "state": "running"}
    at_work, broken_off, reused = (keep(tmp_path, day, **begun) for day in (1, 2, 3))
    rewritten(tmp_path, broken_off, worker=[dead.pid, 1.0])
    rewritten(tmp_path, reused, worker=[os.getpid(), 1.0])  # our number, but another process then
    history = History(tmp_path)
    states = {entry.id: entry.state for entry in history.entries(ME)}
    assert states == {at_work.id: "running", broken_off.id: "interrupted", reused.id: "interrupted"}
    assert {entry.picture.name for entry in history.entries(ME) if entry.picture} == {"initial.png"}
    assert history.open(broken_off.id, ME).state == "stopped"
    with pytest.raises(RecordError, match="at work"):
        history.delete(at_work.id, ME)
    history.delete(broken_off.id, ME)
    assert left(tmp_path) == {at_work.id, reused.id}


@pytest.mark.parametrize(
    "worker", [None, 5, [], [1], ["x", "y"], {}, [-1, 0], [10**30, 0], [1e308, 0], [os.getpid(), "now"]]
)
def test_any_other_worker_is_none(tmp_path: Path, worker: Any) -> None:
    run = keep(tmp_path, 1, rounds=(), stages=DONE[:1], state="running")
    rewritten(tmp_path, run, worker=worker)
    assert records.open_record(tmp_path, run.id)["state"] == "interrupted"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "5", "{}", "[" * 100_000, "\x00", "9" * 5000, json.dumps({"owner": [ME]}),
     json.dumps({"owner": "\u00e9"}), json.dumps({"owner": "\ud800"}), '{"prompt": "\\"owner\\": \\"' + ME + '\\"'],
)  # fmt: skip
def test_broken_folders_that_do_not_say_whose_they_are_are_passed_over(tmp_path: Path, content: str) -> None:
    run = keep(tmp_path, 1)
    for number, name in enumerate(
        ("20260201-000000-abcdef", "notes", ".partial-1-x", "20260202-000000-abcdef")
    ):
        (tmp_path / name).mkdir()
        if number < 3:
            (tmp_path / name / "run.json").write_text(content)
    (tmp_path / "20260203-000000-abcdef").write_text("a file")
    (tmp_path / "20260204-000000-abcdef" / "run.json").mkdir(parents=True)
    assert [entry.id for entry in History(tmp_path).entries(ME)] == [run.id]
    with pytest.raises(RecordError):
        History(tmp_path).open("20260201-000000-abcdef", ME)


GOOD = {"owner": ME, "prompt": "", "seed": 1, "started": "", "kept": 0, "library": ""}
DAMAGES = {
    "fields are missing": json.dumps({"owner": ME}),
    "cut": '{"id": "x", "owner": "' + ME + '", "settings": {',
    "cut within a letter": ('{"owner": "' + ME + '", "prompt": "\u72ac').encode()[:-1],
    "nested without end": '{"owner": "' + ME + '", "settings": ' + "[" * 100_000,
    "an endless number": '{"owner": "' + ME + '", "seed": ' + "9" * 5000 + "}",
    "a prompt that is a list": json.dumps({**GOOD, "prompt": ["a dog"]}),
    "a seed in words": json.dumps({**GOOD, "seed": "x"}),
    "a seed of 400 digits": json.dumps({**GOOD, "seed": 10**400}),
    "an infinite seed": json.dumps({**GOOD, "seed": float("inf")}),
    "kept is no number": json.dumps({**GOOD, "kept": float("nan")}),
    "kept is nothing": json.dumps({**GOOD, "kept": None}),
    "a state that is a table": json.dumps({**GOOD, "state": {}}),
    "a picture elsewhere": json.dumps({**GOOD, "result": "../../secret.png"}),
    "a picture that is a number": json.dumps({**GOOD, "result": 5}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named_and_hides_no_other(tmp_path: Path, damage: str) -> None:
    first, damaged, last = (keep(tmp_path, day) for day in (1, 2, 3))
    content = DAMAGES[damage]
    raw = content if isinstance(content, bytes) else content.encode()
    (tmp_path / damaged.id / "run.json").write_bytes(raw)
    history = History(tmp_path)
    assert [(entry.id, entry.state) for entry in history.entries(ME)] == [
        (last.id, "finished"), (damaged.id, "damaged"), (first.id, "finished"),
    ]  # fmt: skip
    assert history.entries(YOU) == []
    with pytest.raises(RecordError, match=r"cannot be read|damaged"):
        history.open(damaged.id, ME)
    with pytest.raises(RecordError, match="There is no run"):
        history.delete(damaged.id, YOU)
    history.delete(damaged.id, ME)
    assert left(tmp_path) == {first.id, last.id}


def test_a_record_without_end_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = keep(tmp_path, 1)
    rewritten(tmp_path, run, notes=["x" * 10_000])
    assert History(tmp_path).entries(ME)[0].state == "finished"
    monkeypatch.setattr(records, "MAX_RECORD", 9_000)
    assert History(tmp_path).entries(ME) == [history.Entry(run.id)]


def test_the_card_of_a_damaged_record_offers_to_delete_it_and_nothing_else() -> None:
    card = cards([history.Entry("20260101-000000-abcdef")], [None])
    assert "20260101-000000-abcdef" in card and "is damaged" in card
    assert re.findall(r'data-do="(\w+)"', card) == ["delete"] and "data-sure" in card


def test_texts_that_no_page_could_show_are_shown_as_far_as_they_can(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    theirs, mine = keep(tmp_path, 2, YOU), keep(tmp_path, 3)
    rewritten(tmp_path, theirs, owner="\ud800", prompt="\ud800")
    rewritten(
        tmp_path, mine, prompt="a \ud800dog", library="e\u0301\x00", started="\udfff", **{"\ud800": "\ud800"}
    )
    first, second = History(tmp_path).entries(ME)
    assert (first.prompt, first.library, second.prompt) == ("a \ufffddog", "\u00e9", "day 1")
    cards([first, second], [None, None]).encode()


def test_pictures_that_are_none_leave_a_card_without_one(tmp_path: Path) -> None:
    run, bomb = keep(tmp_path, 1), keep(tmp_path, 2)
    (tmp_path / run.id / "result.png").unlink()
    (tmp_path / run.id / "result.png").mkdir()
    text = PngInfo()
    text.add_itxt("imgrag", "x" * 3_000_000, zip=True)  # more than Pillow unpacks
    bomb.initial.save(tmp_path / bomb.id / "result.png", pnginfo=text)  # type: ignore[union-attr]
    assert [_picture(entry) for entry in History(tmp_path).entries(ME)] == [None, None]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert History(tmp_path / "nowhere").entries(ME) == []
    assert Room(tmp_path / "nowhere", 0).make() == 0


def test_the_oldest_make_room(tmp_path: Path) -> None:
    runs = [keep(tmp_path, day) for day in range(1, 7)]
    one = size(tmp_path / runs[-1].id)
    assert Room(tmp_path, size(tmp_path)).make() == 0
    assert Room(tmp_path, size(tmp_path) - 1).make() == 1 and left(tmp_path) == {run.id for run in runs[1:]}
    assert Room(tmp_path, one * 2 + one // 2).make() == 3 and left(tmp_path) == {run.id for run in runs[4:]}
    assert size(tmp_path) <= one * 2 + one // 2


def test_runs_are_opened_again_by_their_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = [keep(tmp_path, day) for day in (1, 2)]
    for day in (3, 4, 5):
        keep(tmp_path, day, YOU)
    kept, opened, open_record = History(tmp_path), [], records.open_record

    def counted(results: Path, run_id: str) -> dict[str, Any]:
        opened.append(run_id)
        return open_record(results, run_id)

    monkeypatch.setattr(records, "open_record", counted)
    assert len(kept.entries(ME)) == 2 and len(opened) == 5
    mine.append(keep(tmp_path, 6))
    keep(tmp_path, 7, YOU)
    opened.clear()
    assert [entry.id for entry in kept.entries(ME)] == [run.id for run in reversed(mine)]
    assert len(opened) == 4  # its own, and the one of somebody else that is new
    opened.clear()
    assert len(kept.entries(YOU)) == 4 and len(opened) == 4


def test_a_folder_is_measured_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [keep(tmp_path, day) for day in range(1, 5)]
    for run in runs[:3]:
        settle(tmp_path / run.id)
    room, measured, measure = Room(tmp_path, size(tmp_path)), [], history._size

    def counted(folder: Path) -> int:
        measured.append(folder.name)
        return measure(folder)

    monkeypatch.setattr(history, "_size", counted)
    assert room.make() == 0 and len(measured) == 4
    measured.clear()
    assert room.make() == 0 and measured == [runs[3].id]  # it could change within the clock's next tick
    measured.clear()
    (tmp_path / runs[2].id / "more.png").write_bytes(bytes(10))
    assert room.make() == 1 and measured == [runs[2].id, runs[3].id]
    assert left(tmp_path) == {run.id for run in runs[1:]}


def test_pinned_running_and_spared_runs_stay(tmp_path: Path) -> None:
    pinned, spared, gone, also = (keep(tmp_path, day) for day in (1, 3, 4, 5))
    at_work = keep(tmp_path, 2, rounds=(), stages=DONE[:1], state="running")
    broken_off = keep(tmp_path, 6, rounds=(), stages=DONE[:1], state="running")
    rewritten(tmp_path, broken_off, worker=None)
    History(tmp_path).pin(pinned.id, ME, True)
    assert Room(tmp_path, 0).make(spare=spared.id) == 3
    assert left(tmp_path) == {pinned.id, at_work.id, spared.id}
    assert {gone.id, also.id, broken_off.id}.isdisjoint(left(tmp_path))


def test_leftovers_of_runs_make_room_and_nothing_else_does(tmp_path: Path) -> None:
    for name in ("20260101-000000-abcdef", "notes", f".partial-{os.getpid()}-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "big").write_bytes(bytes(10_000))
        (tmp_path / name / "run.json").write_text("{")
    run = keep(tmp_path, 2)
    assert Room(tmp_path, size(tmp_path / run.id)).make() == 1
    assert left(tmp_path) == {run.id, "notes", f".partial-{os.getpid()}-x"}


def test_a_pipeline_keeps_to_its_cap(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    request = Request("a dog", steps=1)
    one = size(pipeline.results / pipeline(request).id)
    capped = make_pipeline(tmp_path, Cast(), results_cap=3 * one + one // 2)
    first = capped(request)
    History(capped.results).pin(list(capped.stream(request, owner=ME))[-1].run.id, ME, True)
    for _ in range(5):
        last = capped(request)
        assert size(capped.results) <= 3 * one + one // 2
    assert last.id in left(capped.results) and first.id not in left(capped.results)
    assert [entry.pinned for entry in History(capped.results).entries(ME)] == [True]


def test_a_run_larger_than_the_cap_still_stays(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast(), results_cap=1)
    pipeline(Request("a dog", steps=1))
    run = pipeline(Request("a dog and an owl", steps=1))
    assert left(pipeline.results) == {run.id}


def test_failed_runs_make_room_as_well(tmp_path: Path) -> None:
    failing: list[int] = []

    def at_step(step: int) -> None:
        if failing and len(cast.generator.calls) % 2 == 0:
            raise RuntimeError("the device is on fire")

    cast = Cast(at_step=at_step)
    pipeline = make_pipeline(tmp_path, cast, results_cap=1)
    failing.append(1)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            pipeline(Request("a dog and an owl", steps=1))
    (name,) = left(pipeline.results)
    assert records.open_record(pipeline.results, name)["state"] == "failed"


def test_a_start_sweeps_and_keeps_to_the_cap(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    runs = [pipeline(Request("a dog", steps=1)) for _ in range(3)]
    (pipeline.results / ".partial-left").mkdir()
    one = size(pipeline.results / runs[0].id)
    capped = make_pipeline(tmp_path, Cast(), results_cap=one + one // 2)
    capped.tidy()
    assert len(left(pipeline.results)) == 1 and size(pipeline.results) <= one + one // 2
    assert list(tmp_path.glob("results/.partial*")) == []
