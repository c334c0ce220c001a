"""The whole loop on the bundled checkpoints: what a person gets who runs this project as it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from imgrag.archive import restoring
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.pocket.judge import Judge
from imgrag.pocket.world import world
from imgrag.runs import corrections
from imgrag.runs.events import Finished, Preview, StageDone, StageStarted
from imgrag.runs.values import Box, Request

PROMPT = "a dog and a toolbox on a blue background"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> ImageRAGPipeline:
    folder = tmp_path_factory.mktemp("pocket")
    return ImageRAGPipeline("pocket", policy="resident", results=folder / "results", cache=folder / "cache")


@pytest.fixture(scope="module")
def judge() -> Judge:
    pictures = [Image.open(world.LIBRARY / icon.file_name).convert("RGBA") for icon in world.icons()]
    return Judge(pictures, world.names())


def _digest(image: Image.Image | None) -> str:
    assert image is not None
    return hashlib.sha256(image.tobytes()).hexdigest()


def test_a_run_goes_through_all_stages_and_keeps_a_record(pipeline: ImageRAGPipeline) -> None:
    events = list(pipeline.stream(Request(PROMPT, seed=3)))
    done = [event.stage for event in events if isinstance(event, StageDone)]
    started = [event.stage for event in events if isinstance(event, StageStarted)]
    assert started[:3] == done[:3] == ["reading", "initial", "verdict"]
    assert sum(isinstance(event, Preview) and event.stage == "initial" for event in events) == 16
    run = events[-1].run
    assert isinstance(events[-1], Finished)
    record = json.loads((pipeline.results / run.id / "run.json").read_text(encoding="utf-8"))
    assert record["prompt"] == PROMPT
    assert (pipeline.results / run.id / record["result"]).exists()
    assert run.loads <= 5  # the four, and the upscaler


def test_a_second_run_loads_nothing_and_gives_the_same_image(pipeline: ImageRAGPipeline) -> None:
    first = pipeline(Request(PROMPT, seed=3))
    second = pipeline(Request(PROMPT, seed=3))
    assert second.loads == 0
    assert _digest(first.initial) == _digest(second.initial)
    assert _digest(first.result) == _digest(second.result)


def test_one_model_at_a_time_takes_at_most_seven_loads(tmp_path: Path, pipeline: ImageRAGPipeline) -> None:
    resident = pipeline(Request(PROMPT, seed=3))
    turns = ImageRAGPipeline(
        "pocket", budget_bytes=70_000_000, results=tmp_path / "results", cache=tmp_path / "cache"
    )
    run = turns(Request(PROMPT, seed=3))
    assert 0 < run.loads <= 7
    assert _digest(run.result) == _digest(resident.result)


def test_known_things_are_drawn_by_name(pipeline: ImageRAGPipeline, judge: Judge) -> None:
    prompts = [("cat", "pizza"), ("car", "tree"), ("guitar", "house"), ("robot", "sun")]
    found = 0
    for seed, objects in enumerate(prompts):
        run = pipeline(Request(f"a {objects[0]} and a {objects[1]}", seed=seed))
        assert run.initial is not None
        found += all(judge.present(run.initial, name) for name in objects)
    assert found >= 3


def test_unseen_things_come_with_their_references(pipeline: ImageRAGPipeline, judge: Judge) -> None:
    before = after = 0
    for seed, (known, unseen) in enumerate(
        [("dog", "toolbox"), ("cat", "hedgehog"), ("car", "taco"), ("tree", "volcano")]
    ):
        run = pipeline(Request(f"a {known} and a {unseen}", seed=seed))
        assert run.initial is not None and run.result is not None
        before += judge.present(run.initial, unseen)
        after += judge.present(run.result, unseen)
    assert before == 0
    assert after >= 3


def test_a_prompt_that_is_drawn_at_once_ends_there(pipeline: ImageRAGPipeline) -> None:
    run = pipeline(Request("a car", seed=1))
    assert run.kept == 0
    assert [stage.status for stage in run.stages] == ["done", "done", "done", *["skipped"] * 4]


def test_a_persons_own_picture_under_a_name_of_their_own_is_found(
    pipeline: ImageRAGPipeline, tmp_path: Path
) -> None:
    with Image.open(world.LIBRARY / "octopus.png") as picture:
        red, green, blue, alpha = picture.convert("RGBA").split()
    Image.merge("RGBA", (blue, red, green, alpha)).save(tmp_path / "zorblax.png")
    run = pipeline(Request("a cat and a zorblax", seed=2, library=str(tmp_path)))
    assert [reference.chosen.file for reference in run.round.references or ()] == ["zorblax.png"]


def test_what_no_picture_can_show_is_not_looked_up(pipeline: ImageRAGPipeline) -> None:
    run = pipeline(Request("a guitar and an idea", seed=1))
    assert not run.round.references
    assert "idea" in {rejection.name for rejection in run.round.rejected}


def test_a_run_comes_back_from_its_png_bit_for_bit(pipeline: ImageRAGPipeline) -> None:
    """Corrected before, too: the scale, the region and the share a person chose are drawn with again."""
    first = pipeline(Request(PROMPT, seed=3))
    reference = (first.round.references or ())[0]
    changed = corrections.adjust(first, reference.concept, 0.8, Box(), Box(0.5, 0.0, 1.0, 1.0))
    changed = list(pipeline.resume(corrections.guide(changed, 0.9, 0.75)))[-1].run
    for run in (first, changed):
        png = pipeline.results / run.id / "result.png"
        replayed = restoring.read_png(png, lambda library, file: pipeline.library(library).open(file))
        events = list(pipeline.resume(restoring.taken_in(replayed, "")))
        drawn = [event.stage for event in events if isinstance(event, StageStarted)]
        assert drawn == ["initial", "enhanced"] and isinstance(events[-1], Finished)
        again = pipeline.results / events[-1].run.id / "result.png"
        assert again.read_bytes() == png.read_bytes() and _digest(events[-1].run.result) == _digest(
            run.result
        )
