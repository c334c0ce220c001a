"""Something new of a run of which nobody changed anything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from imgrag.archive import records
from imgrag.archive.restoring import open_run
from imgrag.runs.corrections import rewind
from imgrag.runs.trace import trace
from imgrag.runs.values import Request, Run
from imgrag.runs.variation import WARM, ask_again, redraw, times_asked
from tests.fakes import Cast, make_pipeline

PROMPT = "a dog and a toolbox"


def resumed(pipeline: Any, run: Run) -> Run:
    (*_, last) = pipeline.resume(run)
    return last.run


def test_another_seed_is_in_the_record_and_draws_both_images_again(tmp_path):
    pipeline = make_pipeline(tmp_path, Cast())
    run = pipeline(Request(PROMPT, seed=3))
    again = resumed(pipeline, redraw(run, 8))
    assert (again.settings["seed"], again.parent) == (8, run.id)
    assert records.record(again)["seed"] == 8
    assert f'Drew "{PROMPT}" with seed 8.' in trace(again)
    assert "A person changed the seed, from 3 to 8." in trace(again)
    assert [report.name for report in again.stages if report.reused] == ["reading"]


@pytest.mark.parametrize(
    ("stage", "chat"), [("verdict", "vlm"), ("concepts", "llm"), ("second_verdict", "vlm")]
)
def test_asked_again_a_model_gets_a_temperature_and_a_seed_of_its_own_each_time(tmp_path, stage, chat):
    cast = Cast()
    pipeline = make_pipeline(tmp_path, cast)
    run = pipeline(Request(PROMPT, seed=3))
    asked = getattr(cast, chat).asked
    seeds = [3]
    for times in (1, 2):
        before = len(asked)
        run = resumed(pipeline, ask_again(run, stage))
        assert times_asked(run, stage) == times
        _, _, temperature, seed = asked[before]
        assert temperature == WARM and seed not in seeds
        seeds.append(seed)
    restored = open_run(tmp_path / "results", run.id)
    assert times_asked(restored, stage) == 2


def test_an_earlier_step_done_again_is_not_asked_warmly(tmp_path):
    cast = Cast()
    pipeline = make_pipeline(tmp_path, cast)
    run = resumed(pipeline, ask_again(pipeline(Request(PROMPT)), "verdict"))
    before = len(cast.vlm.asked)
    again = resumed(pipeline, rewind(run, "initial"))
    assert times_asked(again, "verdict") == 0
    assert next(temperature for _, _, temperature, _ in cast.vlm.asked[before:]) == 0


def test_what_cannot_be_rewound_is_not_varied(tmp_path):
    run = make_pipeline(tmp_path, Cast())(Request("a dog"))
    with pytest.raises(Exception, match="ended before"):
        ask_again(replace(run), "second_verdict")
