"""Knowledge, a style, a structure and two references in one run: drawn, told, corrected from any stage, drawn again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from imgrag.archive.restoring import consistent, drawn_anew, open_run, read_zip, write_zip
from imgrag.bench import loop
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.models.profile import Profile
from imgrag.runs import corrections, redrawing
from imgrag.runs.events import Finished
from imgrag.runs.structure import Structure, Structured
from imgrag.runs.styles import Styled
from imgrag.runs.trace import trace
from imgrag.runs.values import STAGES, Box, Request, Run, StageName
from imgrag.styles import StyleShelf
from tests import tiny
from tests.engine.test_augmenting import Writer, knowing
from tests.engine.test_structuring import sketch
from tests.engine.test_styling import INK, put
from tests.fakes import Cast, make_library, make_pipeline
from tests.models.test_lora import as_kohya, lora_in, trained

ALL = Request(
    "an owl, a toolbox and man's best friend in ink", steps=2, seed=7, max_concepts=2, knowledge="on",
    knowledge_base="mine", styles=(Styled("ink"),), structure=Structured(sketch(), scale=0.9),
)  # fmt: skip


@pytest.fixture
def cast() -> Cast:
    return Cast(llm=Writer("an owl and a toolbox and a dog"))


@pytest.fixture
def pipeline(tmp_path: Path, cast: Cast) -> ImageRAGPipeline:
    put(tmp_path / "styles" / "pocket" / "ink", INK, lora=True)
    made = knowing(tmp_path, cast, control=True)
    made.styles = StyleShelf("pocket", tmp_path / "styles", tmp_path / "none")
    return made


def ended(pipeline: ImageRAGPipeline, run: Run) -> Run:
    event = list(pipeline.resume(run))[-1]
    assert isinstance(event, Finished)
    return event.run


def test_everything_goes_into_one_run_and_the_trace_tells_what_came_from_where(
    pipeline: ImageRAGPipeline, cast: Cast
) -> None:
    run = pipeline(ALL)
    initial, enhanced = cast.generator.calls
    assert initial["control"] == enhanced["control"] is not None
    assert [lora.name for lora in enhanced["loras"]] == ["ink"]
    assert len(enhanced["guides"]) == 2
    assert initial["prompt"].endswith(", inky")
    said = "\n".join(trace(run))
    for part in (
        'Looked up "man\'s best friend": "man\'s best friend is a dog" (mine, ours, CC0-1.0).',
        'Style "Ink wash", weight 1, LoRA ',
        "All images are drawn along a sketch (scale 0.9, share 0.8).",
        'The reference for "owl" is owl.png',
        'The reference for "toolbox" is toolbox.png',
    ):
        assert part in said
    assert run.kept == 1


def test_it_is_drawn_again_from_its_zip_bit_for_bit(pipeline: ImageRAGPipeline, tmp_path: Path) -> None:
    run = pipeline(ALL)
    bundle = write_zip(run, pipeline.results / run.id, tmp_path / "run.zip")
    again = ended(pipeline, replace(drawn_anew(read_zip(bundle)), id="20261122-034416271828-ab12cd"))
    assert run.initial is not None and again.initial is not None
    assert again.initial.tobytes() == run.initial.tobytes()
    assert run.result is not None and again.result is not None
    assert again.result.tobytes() == run.result.tobytes()
    assert trace(again) == trace(run)
    assert not consistent(pipeline.results)


@pytest.mark.parametrize("stage", STAGES)
def test_it_goes_on_from_any_stage_to_the_same_end(
    pipeline: ImageRAGPipeline, cast: Cast, stage: StageName
) -> None:
    run = pipeline(ALL)
    drawn = len(cast.generator.calls)
    again = ended(pipeline, corrections.rewind(run, stage))
    assert run.result is not None and again.result is not None
    assert again.result.tobytes() == run.result.tobytes()
    later = {"reading": 2, "initial": 2, "second_verdict": 0}.get(stage, 1)
    assert len(cast.generator.calls) - drawn == later
    assert open_run(pipeline.results, again.id).structure == run.structure


def test_each_part_is_corrected_and_the_others_stay(pipeline: ImageRAGPipeline, cast: Cast) -> None:
    run = pipeline(ALL)
    own = ended(pipeline, redrawing.restructure(run, Structure("edges", 0.5, 1.0, initial=True)))
    plain = ended(pipeline, redrawing.restyle(own, []))
    moved = ended(pipeline, corrections.adjust(plain, "owl", 0.5, Box(), Box(right=0.5)))
    last = cast.generator.calls[-1]
    assert (last["control"].scale, last["loras"], sorted(last["scales"])) == (0.5, [], [0.5, 1.0])
    assert [c.what for c in moved.corrections] == ["structure", "styles", "reference for owl"]
    assert moved.reading is not None and moved.reading.augmentation is not None
    back = open_run(pipeline.results, moved.id)
    assert (back.structure, back.reading, back.rounds) == (moved.structure, moved.reading, moved.rounds)


@pytest.fixture(scope="module", params=["sdxl", "pocket"])
def profile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    folder = tmp_path_factory.mktemp(request.param)
    build = tiny.build_sdxl if request.param == "sdxl" else tiny.build_pocket
    return tiny.with_control(build(folder / "cast"), folder)


@pytest.mark.parametrize("as_file", [dict, as_kohya], ids=["diffusers", "kohya"])
def test_everything_runs_on_real_classes(profile: Profile, tmp_path: Path, as_file: type[dict]) -> None:
    """A style with a LoRA, a structure and references, on tiny checkpoints; the net is the only load more."""
    libraries = make_library(tmp_path / "libraries" / "pocket", "dog", "owl").parent
    pipeline = ImageRAGPipeline(
        profile, device="cpu", results=tmp_path / "results", libraries=libraries, cache=tmp_path / "cache",
        styles=tmp_path / "styles", budget_bytes=10**10,
    )  # fmt: skip
    put(tmp_path / "styles" / "tiny" / "ink", INK)
    with pipeline.borrow("generator") as generator:
        lora_in(tmp_path / "styles" / "tiny" / "ink", as_file(trained(generator._pipe.unet)))
    usual = Request("a dog and an owl", steps=2, seed=3, similarity_floor=-1)
    before = pipeline(usual)
    asked = replace(usual, styles=(Styled("ink"),), structure=Structured(sketch(), "edges"))
    first, second, after = pipeline(asked), pipeline(asked), pipeline(usual)
    assert first.loads == 1 and second.loads == after.loads == before.loads - 3 == 0
    assert first.result is not None and second.result is not None
    assert first.result.tobytes() == second.result.tobytes()
    assert first.initial is not None and before.initial is not None and after.initial is not None
    assert before.initial.tobytes() == after.initial.tobytes() != first.initial.tobytes()


def test_the_loop_bench_measures_with_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = loop.measure(
        lambda: make_pipeline(tmp_path, Cast(), control=True), "a dog and an owl", ["control", "knowledge"]
    )
    plain, whole = document["runs"], document["runs_with"]
    assert [run["loads"] for run in (*plain, *whole)] == [0, 0, 1, 0]  # the net, once
    assert "control" not in plain[1]["held_bytes"] and "control" in whole[1]["held_bytes"]
    assert document["times_plain"] > 0
    loop._print(document)
    assert "times as long as the plain loop" in capsys.readouterr().out
