"""Security and reliability: the rows of `python -m imgrag bench fire` with small counts, and its own parts.

One server serves all rows that can share it. Seconds are measured by the bench alone, so they are not
looked at here.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from imgrag.bench import Figure
from imgrag.bench.fire import faults, hostile, payloads, rows
from imgrag.bench.fire.memory import typical_step
from imgrag.bench.fire.server import Server, serving
from imgrag.bench.fire.visitor import Visitor
from imgrag.errors import ImgragError
from imgrag.library.intake.pictures import UnreadablePicture, read_picture

BARS = {bar.key: bar for bar in rows.BARS}
NO_BROWSER = "CI" not in os.environ and not any(map(shutil.which, ("chromium", "google-chrome", "chrome")))


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("fire")) as up:
        yield up


def name(experiment: rows.Experiment) -> str:
    return experiment.keys[0]


@pytest.mark.parametrize("experiment", rows.EXPERIMENTS, ids=name)
def test_every_row_reaches_its_bar(experiment, server, tmp_path, capsys):
    if NO_BROWSER and experiment.measure.__module__.endswith("browser"):
        pytest.skip("there is no Chromium here")
    figures = experiment.measure(tmp_path if experiment.alone else server, experiment.quick)
    assert figures.keys() == set(experiment.keys)
    assert all(figure.n > 0 for figure in figures.values())
    short = {
        key: figure.value
        for key, figure in figures.items()
        if BARS[key].unit != "s" and BARS[key].state(figure.value) == "short"
    }
    assert not short, capsys.readouterr().err


def test_every_row_of_the_table_is_measured_once():
    keys = [key for experiment in rows.EXPERIMENTS for key in experiment.keys]
    assert sorted(keys) == sorted(BARS)


def test_a_row_that_cannot_be_measured_says_why(tmp_path, monkeypatch):
    def measure(folder: Path, count: int) -> dict[str, Figure]:
        raise ImgragError("There is no Chromium.")

    lame = rows.Experiment(("axe", "alt"), measure, 1, 1, alone=True)
    monkeypatch.setattr(rows, "EXPERIMENTS", (lame,))
    figures, skipped = rows.run(tmp_path, quick=True)
    assert figures == {}
    assert skipped == {"axe": "There is no Chromium.", "alt": "There is no Chromium."}


def test_a_server_that_does_not_come_up_is_an_error(tmp_path):
    with pytest.raises(ImgragError, match="unrecognized arguments: --nonsense"):
        Server(tmp_path, "--nonsense")


def test_a_fault_strikes_its_stage_only(server):
    with Visitor(server.url) as visitor:
        answer = visitor.run("a dog and a toolbox [second_verdict: fails]")
        panels = str(answer.data)
        assert panels.count('data-status="failed"') == 1
        assert "secret" not in panels and "/secret/place" in server.log()


def test_the_watch_hears_what_leaves_the_machine(server):
    before = server.watch()["reached"]
    assert server.watch()["reached"] == before
    with Visitor(server.url) as visitor:
        visitor.http.get("/gradio_api/file=" + str(server.folder / "imgrag-canary.txt"))
    assert server.watch()["reached"] == before  # refused before it was opened


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("no file /tmp/a/b.png here", ["/tmp/a/b.png"]),
        ('{"path": "/tmp/gradio/x.png"}', []),
        ("http://127.0.0.1/tmp/x.png and /gradio_api/file=/tmp/x", []),
        ("C:\\\\Users\\\\me", ["C:\\\\Users"]),
        ("[Errno 2]: '/secret/place/model.bin'", ["/secret/place/model.bin"]),
        ("and/or, 1/2", []),
    ],
)
def test_paths_are_found_in_answers(text, paths):
    found = hostile.told_paths(text, Path("/tmp/gradio"))
    assert [path[: len(wanted)] for path, wanted in zip(found, paths, strict=True)] == paths


def test_malformed_pictures_are_all_different_and_none_is_whole(tmp_path):
    made = payloads.malformed(60)
    assert len({content for _, content in made}) == len({name for name, _ in made}) == 60
    assert len(payloads.bomb()) < 25_000
    for name, content in made:
        if name.endswith(".zip") or name.startswith("spoilt"):
            continue
        (tmp_path / "picture").write_bytes(content)
        with pytest.raises(UnreadablePicture):
            read_picture(tmp_path / "picture")


def test_a_whole_picture_is_read():
    for content in payloads.pictures().values():
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (64, 64)


def test_a_broken_record_is_seen(tmp_path):
    run = tmp_path / "20261122-034416-ab12cd"
    run.mkdir()
    assert faults.inconsistent(tmp_path) == [f"{run.name}: FileNotFoundError"]
    (run / "run.json").write_text('{"initial": "initial.png", "rounds": [{"enhanced": null}]}')
    assert faults.inconsistent(tmp_path) == [f"{run.name}: FileNotFoundError"]
    Image.new("RGB", (4, 4)).save(run / "initial.png")
    assert faults.inconsistent(tmp_path) == []
    (run / "initial.png").write_bytes((run / "initial.png").read_bytes()[:40])
    assert len(faults.inconsistent(tmp_path)) == 1


def test_a_leak_is_told_from_what_the_allocator_takes_at_once():
    leaking, taking = [0], [0]
    for number in range(10):
        leaking.append(leaking[-1] + 8)
        taking.append(taking[-1] + (50 if number in (2, 6, 7) else 1))
    leaking[5] -= 20  # something else was given back
    assert typical_step(leaking) == 8 and typical_step(taking) == 1
