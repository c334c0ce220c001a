"""The named endpoints, through `gradio_client`, against a served page."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.fakes import shows
from tests.served import served


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def client(folder) -> Iterator[Client]:
    with served("-m", "tests.served", "--folder", str(folder)) as url:
        yield Client(url, verbose=False, download_files=str(folder / "downloads"))


def test_a_run_gives_the_image_and_its_record(client):
    image, record = client.predict(prompt="a dog and a toolbox", seed=11, api_name="/run")
    with Image.open(image) as result:
        assert shows(result, "dog") and shows(result, "toolbox")
        assert json.loads(result.text["imgrag"])["prompt"] == "a dog and a toolbox"
    assert (record["seed"], record["concepts"]) == (11, ["toolbox"]) or record["concepts"][0][
        "name"
    ] == "toolbox"
    assert record["verdict"]["matches"] is False
    assert record["second_verdict"]["matches"] is True


def test_a_run_tells_its_stages_as_they_come(client):
    job = client.submit(prompt="a car", api_name="/run")
    job.result(timeout=120)
    told = [record for _, record in job.outputs()[:-1]]
    assert [update["stage"] for update in told if "step" not in update] == ["reading", "initial", "verdict"]
    steps = [(update["step"], update["stage"]) for update in told if "step" in update]
    assert steps == [(step, "initial") for step in range(1, told[-2]["steps"] + 1)]


def test_a_program_that_cancels_waits_for_a_step_and_not_for_a_stage(client, folder):
    job = client.submit(prompt="a dog and a toolbox [enhanced: lingers]", api_name="/run")
    while not any(update.get("stage") == "enhanced" and "step" in update for _, update in job.outputs()):
        time.sleep(0.05)
    job.cancel()
    state, stages = "running", []
    while state == "running":
        time.sleep(0.05)
        records = [json.loads(file.read_text()) for file in folder.glob("results/*/run.json")]
        (record,) = [record for record in records if "lingers" in record["prompt"]]
        state, stages = record["state"], [stage["name"] for stage in record["stages"]]
    assert (state, stages) == ("stopped", ["reading", "initial", "verdict", "concepts", "references"])


def test_the_libraries_are_listed(client):
    assert client.predict(api_name="/libraries") == ["pocket"]


def test_a_run_is_drawn_along_a_sketch_or_a_picture(client, tmp_path):
    _, drawn = client.predict(prompt="a car", sketch="100 100 800 100 800 900", api_name="/run")
    assert (drawn["structure"]["kind"], drawn["structure"]["image"]) == ("sketch", "condition.png")
    picture = Image.new("RGB", (99, 80), "white")
    picture.paste("black", (30, 20, 60, 50))
    picture.save(tmp_path / "square.png")
    name, condition = client.predict(handle_file(tmp_path / "square.png"), "edges", api_name="/structure")
    with Image.open(condition) as lines:
        assert lines.getbbox() is not None and lines.size == (64, 64)
    given = {"control": name, "control_kind": "edges", "control_scale": 0.5, "control_share": 0.4}
    _, record = client.predict(prompt="a car", **given, api_name="/run")
    told = {name: record["structure"][name] for name in ("kind", "scale", "share")}
    assert told == {"kind": "edges", "scale": 0.5, "share": 0.4}
    lines, _ = client.predict(prompts="a car", control=name, control_kind="edges", api_name="/batch")
    assert lines[0]["state"] == "finished"
    _, own = client.predict(prompt="a dog and a toolbox", control_initial=True, api_name="/run")
    assert own["structure"]["initial"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompt": "a car", "sketch": "1 2 3"}, "What was drawn cannot be read"),
        ({"prompt": "a car", "control": "../../etc"}, "not here any more"),
        ({"prompt": "a car", "sketch": "1 2 3 nan"}, "What was drawn cannot be read"),
        ({"prompt": "a car", "sketch": "1 2 3 4", "control_initial": True}, "not both"),
        (
            {"prompt": "a car", "sketch": "1 2 3 4", "control_scale": 3},
            "field .*Structure scale.* takes a number from 0 to 2",
        ),
        ({"prompt": "   "}, "prompt is empty"),
        ({"prompt": "x" * 2001}, "2001 characters"),
        ({"prompt": "x", "seed": -1}, "field .*Seed.* takes a number from 0 to 4294967295"),
    ],
)
def test_bad_input_is_a_sentence(client, arguments, words):
    with pytest.raises(AppError, match=words):
        client.predict(**arguments, api_name="/run")


def test_what_breaks_inside_stays_inside(client):
    with pytest.raises(AppError, match="our side") as caught:
        client.predict(prompt="something broken", api_name="/run")
    assert "secret" not in str(caught.value)


def test_private_events_cannot_be_called(client):
    with pytest.raises(ValueError, match="stream"):
        client.predict(api_name="/stream")
