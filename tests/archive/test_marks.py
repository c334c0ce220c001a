"""What a person puts on a run: its name, its link, and what is found and carried away by it."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import pytest

from imgrag.archive import marks, records
from imgrag.archive.history import History
from imgrag.archive.restoring import carried, consistent
from imgrag.errors import RecordError
from imgrag.runs.reading import Reading, Thing
from tests.archive.test_history import ME, YOU, keep


def test_a_name_stays_with_the_run_and_is_taken_away(tmp_path):
    run, history = keep(tmp_path, 1), History(tmp_path)
    history.name(run.id, ME, "  The\n good \x00one " + "x" * 200)
    (entry,) = History(tmp_path).entries(ME)
    assert entry.name.startswith("The good one xxx") and len(entry.name) == marks.MAX_NAME
    assert consistent(tmp_path) == []
    history.name(run.id, ME, " ")
    assert History(tmp_path).entries(ME)[0].name == ""
    assert not (tmp_path / run.id / marks.NAMED).exists()


def test_two_who_name_a_run_at_once_do_not_share_the_file_that_is_written(tmp_path, monkeypatch):
    run, history, written = keep(tmp_path, 1), History(tmp_path), []
    put = marks.os.replace
    monkeypatch.setattr(marks.os, "replace", lambda one, two: (written.append(one), put(one, two)))
    history.name(run.id, ME, "first")
    history.name(run.id, ME, "second")
    assert len(set(written)) == 2


def test_nobody_else_names_shares_or_takes_a_run(tmp_path):
    run, history = keep(tmp_path, 1), History(tmp_path)
    for act in (
        lambda: history.name(run.id, YOU, "mine"),
        lambda: history.share(run.id, YOU),
        lambda: history.unshare(run.id, YOU),
        lambda: history.bundle([run.id], YOU, tmp_path / "all.zip"),
    ):
        with pytest.raises(RecordError, match="There is no run"):
            act()
    assert not (tmp_path / "all.zip").exists()


@pytest.mark.parametrize(
    ("words", "days"),
    [
        ("", [3, 2, 1]), ("DAY", [3, 2, 1]), ("day 2", [2]), ("2 day", [2]), ("zeBRA", [1]), ("best", [3]),
        ("best 2", []),
    ],
)  # fmt: skip
def test_runs_are_found_by_prompt_things_and_name(tmp_path, words, days):
    keep(tmp_path, 1, reading=Reading("x", things=(Thing("zebras", "zebra"),)))
    keep(tmp_path, 2)
    named = keep(tmp_path, 3)
    history = History(tmp_path)
    history.name(named.id, ME, "Best of all")
    assert [entry.prompt for entry in history.entries(ME, words=words)] == [f"day {day}" for day in days]


def test_a_limit_counts_what_was_found(tmp_path):
    for day in (1, 2, 3):
        keep(tmp_path, day)
    assert [entry.prompt for entry in History(tmp_path).entries(ME, 1, "1")] == ["day 1"]


def test_a_link_opens_its_own_run_until_it_is_taken_back(tmp_path):
    run, other, history = keep(tmp_path, 1), keep(tmp_path, 2), History(tmp_path)
    token = history.share(run.id, ME)
    assert history.share(run.id, ME) == token and History(tmp_path).entries(ME)[1].shared
    assert marks.shared_folder(tmp_path, token) == tmp_path / run.id
    secret = token.partition(".")[2]
    for wrong in (
        run.id,
        f"{run.id}.",
        f"{other.id}.{secret}",
        token[:-1],
        token.upper(),
        "../x",
        "",
        f"{token}é",
    ):
        with pytest.raises(RecordError, match="nothing under this link"):
            marks.shared_folder(tmp_path, wrong)
    history.unshare(run.id, ME)
    with pytest.raises(RecordError, match="nothing under this link"):
        marks.shared_folder(tmp_path, token)
    with pytest.raises(RecordError, match="no link"):
        history.unshare(run.id, ME)
    assert history.share(run.id, ME) != token


def test_a_run_without_a_link_has_none_that_can_be_guessed(tmp_path):
    run = keep(tmp_path, 1)
    for empty in (f"{run.id}.", run.id):
        with pytest.raises(RecordError):
            marks.shared_folder(tmp_path, empty)
    (tmp_path / run.id / marks.SHARED).write_text("short")
    with pytest.raises(RecordError):
        marks.shared_folder(tmp_path, f"{run.id}.short")


def test_only_what_is_finished_is_shared(tmp_path):
    run = keep(tmp_path, 1, state="paused")
    with pytest.raises(RecordError, match="not finished"):
        History(tmp_path).share(run.id, ME)


def test_many_runs_go_into_one_zip_that_says_not_whose_they_are(tmp_path):
    run, other, history = keep(tmp_path, 1), keep(tmp_path, 2, state="paused"), History(tmp_path)
    history.name(run.id, ME, "a/../b: c")
    with zipfile.ZipFile(history.bundle([run.id, other.id], ME, tmp_path / "all.zip")) as archive:
        names = archive.namelist()
        folder = f"ab c {run.id}"
        assert {f"{folder}/result.png", f"{folder}/run.json", f"day 2 {other.id}/initial.png"} <= set(names)
        assert all(".." not in name and name.count("/") == 1 for name in names)
        records_in = [json.loads(archive.read(name)) for name in names if name.endswith("run.json")]
        assert [record["owner"] for record in records_in] == ["", ""]
        archive.extract(f"{folder}/result.png", tmp_path / "out")
    assert carried(tmp_path / "out" / folder / "result.png")["prompt"] == "day 1"


def test_marks_are_no_part_of_the_record(tmp_path):
    run, history = keep(tmp_path, 1, owner=ME), History(tmp_path)
    before = records.open_record(tmp_path, run.id)
    history.name(run.id, ME, "x")
    history.share(run.id, ME)
    assert records.open_record(tmp_path, run.id) == before
    assert history.twin(replace(run, id="20260101-000000-aaaaaa"), ME) == run.id
