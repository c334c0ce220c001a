"""ZeroGPU: estimates and sentences, and a Space emulated with the real `spaces` package (Linux only)."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app import parse_flags
from imgrag.engine.zerogpu import (
    CAP,
    FLOOR,
    Failure,
    LeasedPipeline,
    Lent,
    in_a_sentence,
    on_zero_gpu,
    seconds,
)
from imgrag.errors import Cancelled, MemoryBudgetError
from imgrag.models.profile import Profile, load_profile
from imgrag.runs.events import Event, Finished, Paused, Preview, StageDone, StageSkipped, StageStarted
from imgrag.runs.reading import Reading
from imgrag.runs.values import STAGES, Request, Round, Run, StageReport
from tests.engine.zero_space import HEAVY, device_api, space_environment
from tests.served import served

ROOT = Path(__file__).parents[2]
emulated = pytest.mark.skipif(
    not sys.platform.startswith("linux") or (find_spec("spaces") is None and "CI" not in os.environ),
    reason="spaces is for Linux, and not installed",
)


@pytest.fixture(scope="module")
def sdxl() -> Profile:
    return load_profile("sdxl")


def told(*command: str, **variables: str) -> dict[str, Any]:
    """The line that begins with TOLD of what a process prints."""
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, **variables},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    lines = [line[5:] for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    assert lines, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(lines[-1])


def crossed(value: Any) -> Any:
    """As it comes out at the other process."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301  its own


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("space")
    return told("-m", "tests.engine.zero_space", "--folder", str(folder))


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("1", True), ("True", True), ("false", False), ("", False)]
)
def test_the_hardware_is_told_by_the_variable(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    monkeypatch.setenv("SPACES_ZERO_GPU", value)
    assert on_zero_gpu() is expected


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"steps": 10}, {"steps": 40}),
        ({"steps": 10, "rounds": 1}, {"steps": 10, "rounds": 2}),
        ({"steps": 10, "images": 1}, {"steps": 10, "images": 4}),
        ({"steps": 10, "max_concepts": 1}, {"steps": 10, "max_concepts": 3}),
    ],
)
def test_more_to_do_is_estimated_to_take_longer(sdxl: Profile, less: dict, more: dict) -> None:
    assert FLOOR < seconds(Request("a dog", **less), sdxl) < seconds(Request("a dog", **more), sdxl) < CAP


def test_estimates_have_a_floor_and_a_cap(sdxl: Profile) -> None:
    assert seconds(Request("a dog", steps=150, rounds=5), sdxl) == CAP
    assert seconds(Request("a dog"), load_profile("pocket")) == FLOOR


def test_what_is_done_is_not_asked_for_again(sdxl: Profile) -> None:
    request = Request("a dog", steps=50)
    whole = seconds(request, sdxl)
    after = [
        seconds(request, sdxl, {(stage, 1) for stage in STAGES[:count]}) for count in range(len(STAGES) + 1)
    ]
    assert after == sorted(after, reverse=True) and after[0] == whole and after[-1] == FLOOR
    assert FLOOR < seconds(request, sdxl, pause=True) < whole


def test_events_requests_and_runs_cross_to_another_process() -> None:
    image = Image.new("RGB", (8, 8), "red")
    report = StageReport("initial", "done", 0.5)
    run = Run(
        "id",
        Request("a dog"),
        "pocket",
        "pocket",
        "",
        {},
        Reading("a dog"),
        initial=image,
        rounds=(Round(enhanced=image),),
        stages=(report,),
    )
    events: list[Event | Failure] = [
        StageStarted("initial", "model"), Preview("initial", 1, 2, image), StageDone("initial", report, run),
        StageSkipped("enhanced", report, run), Paused(run), Finished(run),
        Failure(Cancelled("stopped")), Failure(MemoryBudgetError("too big")),
    ]  # fmt: skip
    for event in events:
        back = crossed(event)
        if isinstance(event, Failure):
            assert type(back.error) is type(event.error) and str(back.error) == str(event.error)
        else:
            assert back == event
    assert crossed(run).initial.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("You have exceeded your free ZeroGPU quota (60s requested vs. 0s left). Try again in 3:22:10. ", "3:22:10"),
        ("You have exceeded your ZeroGPU quota (60s requested vs. 0s left). Try again in 1 day, 2:00:00. ", "1 day, 2:0"),
        ("You have exceeded your ZeroGPU runs limit. ", "used up"),
        ("Space app has reached its GPU limit. Try re-running outside of examples", "Log in"),
        ('No GPU was available after 60s. <a style="x" href="https://hf.co">Subscribe</a>', "few minutes"),
        ("The requested GPU duration (300s) is larger than the maximum allowedSubscribe", "fewer steps"),
        ("You have too many ZeroGPU credits allocated to running tasks. Try again once", "reserved"),
        ("GPU task aborted", "taken back"),
        ("Expired ZeroGPU proxy token", "Load it again"),
    ],
)  # fmt: skip
def test_refusals_are_told_in_a_sentence_without_markup(message: str, expected: str) -> None:
    sentence = in_a_sentence(message)
    assert expected in sentence and sentence.endswith(".")
    assert not set("<>{}") & set(sentence) and "ubscribe" not in sentence


def test_other_errors_are_no_refusals() -> None:
    assert in_a_sentence("KeyError") == "" and in_a_sentence("") == ""


def test_a_lent_model_keeps_its_values_and_asks_for_its_methods() -> None:
    class Model:
        model_id = "fake"

        def embed(self, *texts: str) -> None:
            raise AssertionError("it ran here")

    asked: list[tuple[Any, ...]] = []
    lent = Lent(Model(), lambda *call: asked.append(call))
    lent.embed("a", "b")
    assert lent.model_id == "fake" and asked == [("embed", "a", "b")]


def test_a_space_names_its_profile_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGRAG_PROFILE", "sdxl")
    assert parse_flags([]).profile == "sdxl" and parse_flags(["--profile", "pocket"]).profile == "pocket"
    monkeypatch.delenv("IMGRAG_PROFILE")
    assert parse_flags([]).profile == "pocket"


def test_nothing_of_spaces_is_imported_elsewhere() -> None:
    code = (
        "import json, sys, app; app.ImageRAGPipeline('pocket');"
        "print('TOLD ' + json.dumps({'spaces': [m for m in sys.modules if m.split('.')[0] == 'spaces']}))"
    )
    assert told("-c", code, SPACES_ZERO_GPU="") == {"spaces": []}


@emulated
def test_all_models_are_loaded_at_the_start_and_none_later(space: dict[str, Any]) -> None:
    each_once = {"generator": 1, "vlm": 1, "llm": 1, "clip": 1}
    assert space["start"] == {"loads": each_once, "asked": [["/startup-report", {}]]}
    assert space["loads"] == each_once and space["record"]["loads"] == 0


@emulated
def test_a_run_is_one_call_of_the_decorated_generator(space: dict[str, Any]) -> None:
    said = space["run"]["said"]
    assert said[0] == "StageStarted" and said[-1] == "Finished"
    assert said.count("StageDone") == len(STAGES) and said.count("Preview") > 0
    assert space["run"]["scheduled"] == 1 and space["run"]["seconds"] == [str(FLOOR)]
    assert space["run"]["released"] == [{"allowToken": "token", "fail": "false"}]
    assert space["record"] == {"loads": 0, "kept": 1, "drawn_here": 0, "on_disk": True}


@emulated
def test_a_stop_and_a_closed_page_reach_the_process_that_draws(space: dict[str, Any]) -> None:
    assert space["stopped"]["error"] == "Cancelled" and space["left"]["said"] == "closed"
    for scene in ("stopped", "left"):
        assert space[scene]["released"] == [{"allowToken": "token", "fail": "false"}]


@emulated
def test_step_by_step_each_step_has_the_gpu_for_itself(space: dict[str, Any]) -> None:
    assert space["stepwise"]["said"] == [
        *(f"Paused {n}" for n in range(2, len(STAGES))),
        f"Finished {len(STAGES)}",
    ]
    assert space["stepwise"]["scheduled"] == len(STAGES)


@emulated
def test_locks_that_are_held_at_the_fork_stop_nobody(space: dict[str, Any]) -> None:
    assert space["locked"]["said"] == "finished"


@emulated
def test_a_borrowed_model_answers_from_the_gpu(space: dict[str, Any]) -> None:
    model_id, vector = space["lent"]["said"]
    assert model_id == "fake" and sum(vector) == 1 and space["lent"]["scheduled"] == 1


@emulated
@pytest.mark.parametrize(
    ("scene", "error", "text"),
    [
        ("heavy", "MemoryBudgetError", HEAVY),
        ("doomed", "LeaseError", "The GPU was taken back before the run was through."),
        ("refused", "LeaseError", "Try again later"),
        ("broken", "Error", "FileNotFoundError"),
    ],
)
def test_what_goes_wrong_is_said(space: dict[str, Any], scene: str, error: str, text: str) -> None:
    assert space[scene]["error"] == error and text in space[scene]["text"].replace("try", "Try")
    assert space["after"]["said"] == "finished"


@emulated
def test_the_page_asks_for_the_visitors_own_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradio_client import Client

    with device_api() as api:
        for name, value in space_environment(api, tmp_path).items():
            monkeypatch.setenv(name, value)
        with served("-m", "tests.engine.zero_space", "page", "--folder", str(tmp_path)) as url:
            client = Client(url, headers={"x-ip-token": "a.b.c"}, verbose=False)
            image, record = client.predict(prompt="a dog and a toolbox", api_name="/run")
            api.refusing = True
            with pytest.raises(Exception, match=r"used up for now. Try again in 3:22:10"):
                client.predict(prompt="a dog", api_name="/run")
    assert Path(image).is_file() and record["loads"] == 0
    assert [asked["token"] for asked in api.of("/schedule")] == ["a.b.c", "a.b.c"]


@emulated
def test_the_app_packs_the_pocket_models_and_moves_none(tmp_path: Path) -> None:
    with device_api() as api:
        variables = space_environment(api, tmp_path)
        state = told("-m", "tests.engine.zero_space", "app", "--folder", str(tmp_path), **variables)
    assert api.asked == [("/startup-report", {})]
    assert state["class"] == "LeasedPipeline" and state["policy"] == "resident"
    assert state["resident"] == ["clip", "generator", "llm", "vlm"] and state["loads"] == 4
    assert state["packed"] == state["weights"] > 0 and state["on"] == ["cuda"]


def test_a_look_asks_for_the_time_of_the_one_drawing_it_does_again(sdxl: Profile) -> None:
    pipeline = object.__new__(LeasedPipeline)
    pipeline.profile = sdxl
    run = Run("id", Request("a dog"), "sdxl", "photos", "", {}, rounds=(Round(),))
    for stage in STAGES:
        run = run.with_report(StageReport(stage, "done"))
    options = {"stage": "enhanced", "number": 1}
    done = {(stage, 1) for stage in STAGES if stage != "enhanced"}
    assert pipeline._duration("inspect", run, "", options) == seconds(run.request, sdxl, done)
    assert pipeline._duration("resume", run, "", {}) < pipeline._duration("inspect", run, "", options)
