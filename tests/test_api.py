"""The named endpoints, through `gradio_client`, against a served page."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from tests.fakes import shows
from tests.served import served


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("served")
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
    stages = [record["stage"] for _, record in job.outputs()[:-1]]
    assert stages == ["initial", "verdict"]


def test_the_libraries_are_listed(client):
    assert client.predict(api_name="/libraries") == ["pocket"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompt": "   "}, "prompt is empty"),
        ({"prompt": "x" * 2001}, "2001 characters"),
        ({"prompt": "x", "seed": -1}, "seed|minimum"),
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
