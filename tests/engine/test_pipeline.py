"""The whole loop through the real pipeline, with fakes for models: which stages ran, and what came of it."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from dataclasses import replace
from math import log
from pathlib import Path

import pytest
from PIL import Image

from imgrag.archive.restoring import open_run
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import Cancelled, LibraryError, RecordError, RequestError
from imgrag.models.residency import ModelSpec
from imgrag.runs import corrections
from imgrag.runs.decisions import lacking
from imgrag.runs.events import Event, Finished, Paused, Preview, StageDone, StageSkipped, StageStarted
from imgrag.runs.trace import trace
from imgrag.runs.values import ONCE, STAGES, Comparison, Request, Run, Verdict
from tests.fakes import (
    MEGABYTE,
    SURE_NO,
    SURE_YES,
    Cast,
    FakeChat,
    FakeGenerator,
    FakeJudge,
    FakeListener,
    ShyJudge,
    make_library,
    make_pipeline,
    shows,
    tile,
)

OWL = Request("a dog and an owl", steps=4, seed=7)
GOOD = "Seen: dog, owl\nMatches: yes\nMissing: none"
NO_OWL = "Seen: dog\nMatches: no\nMissing: owl"
BETTER = Comparison(log(SURE_YES) + log(SURE_NO), 2 * log(SURE_YES))
"""Of a dog and an owl: the earlier image has no owl, the enhanced one has."""


def statuses(run: Run, round_: int = 1) -> dict[str, str]:
    return {report.name: report.status for report in run.stages if report.round == round_}


def finish(pipeline: ImageRAGPipeline, request: Request) -> tuple[list[Event], Run]:
    events = list(pipeline.stream(request))
    assert isinstance(events[-1], Finished)
    return events, events[-1].run


def test_what_is_missing_is_fetched_and_drawn(tmp_path: Path) -> None:
    cast = Cast()
    run = make_pipeline(tmp_path, cast)(OWL)
    assert statuses(run) == dict.fromkeys(STAGES, "done")
    assert [concept.name for concept in run.round.concepts or ()] == ["owl"]
    assert [reference.chosen.file for reference in run.round.references or ()] == ["owl.png"]
    assert run.initial and not shows(run.initial, "owl")
    assert run.result is run.round.enhanced and shows(run.result, "owl") and shows(run.result, "dog")
    assert run.kept == 1 and "everything" in run.why
    draft, enhanced = cast.generator.calls
    assert draft["scales"] == [] and enhanced["scales"] == [1.0]
    assert enhanced["prompt"] == "According to this image of an owl, generate a dog and an owl"
    assert draft["seed"] == enhanced["seed"] == 7


def test_the_second_verdict_sees_the_reference_too(tmp_path: Path) -> None:
    cast = Cast()
    make_pipeline(tmp_path, cast)(OWL)
    assert [images for _, images, _, _ in cast.vlm.asked] == [1, 2]
    assert "Picture 2 shows an owl." in cast.vlm.asked[1][0]


def test_events_come_in_order(tmp_path: Path) -> None:
    events, run = finish(make_pipeline(tmp_path, Cast()), OWL)
    assert [event.stage for event in events if isinstance(event, StageStarted)] == list(STAGES)
    assert [event.stage for event in events if isinstance(event, StageDone)] == list(STAGES)
    drawing = [event for event in events if getattr(event, "stage", "") == "initial"]
    assert [type(event) for event in drawing] == [StageStarted, *[Preview] * 4, StageDone]
    assert [(e.step, e.steps) for e in drawing if isinstance(e, Preview)] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    done = next(event for event in events if isinstance(event, StageDone) and event.stage == "verdict")
    assert done.run.round.verdict is not None and done.run.round.concepts is None
    assert done.report.model == "fake vlm" and done.report.peak_bytes > MEGABYTE
    assert events[-1] == Finished(run)


def test_a_match_ends_the_run(tmp_path: Path) -> None:
    cast = Cast()
    events, run = finish(make_pipeline(tmp_path, cast), Request("a dog", steps=2))
    assert [e.stage for e in events if isinstance(e, StageSkipped)] == list(STAGES[len(ONCE) :])
    assert {report.reason for report in run.stages if report.status == "skipped"} == {run.why}
    assert "already matches" in run.why and run.kept == 0 and run.result is run.initial
    assert cast.loads == {"generator": 1, "vlm": 1}


@pytest.mark.parametrize(
    ("open_vocabulary", "reason"),
    [(True, "no picture can show it"), (False, "neither these models nor the library know the word")],
)
def test_an_idea_is_not_looked_up(tmp_path: Path, open_vocabulary: bool, reason: str) -> None:
    """Models whose words have an end cannot tell an idea from a thing they never met."""
    cast = Cast(vlm=FakeChat("Seen: dog\nMatches: no\nMissing: idea"))
    pipeline = make_pipeline(tmp_path, cast, open_vocabulary=open_vocabulary)
    run = pipeline(Request("a dog and an idea", steps=2))
    assert statuses(run)["references"] == "skipped"
    assert [(r.name, r.reason) for r in run.round.rejected] == [("idea", reason)]
    assert run.round.concepts == () and reason in run.why
    assert cast.loads["clip"] == 0


def test_what_the_library_has_by_that_name_can_be_shown(tmp_path: Path) -> None:
    cast = Cast(vlm=FakeChat("Seen: dog\nMatches: no\nMissing: idea", "Seen: dog, idea\nMatches: yes"))
    pipeline = make_pipeline(tmp_path, cast)
    tile("owl").save(tmp_path / "libraries" / "pocket" / "my-idea.png")
    run = pipeline(Request("a dog and an idea", steps=2))
    assert run.round.rejected == () and [r.chosen.file for r in run.round.references or ()] == ["my-idea.png"]
    assert len(cast.llm.asked) == 1  # for the concepts; not whether there can be a picture of one


def test_below_the_floor_is_no_reference(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    make_library(tmp_path / "libraries" / "small", "dog", "cat")
    run = pipeline(replace(OWL, library="small", similarity_floor=0.26))
    assert statuses(run)["references"] == "done" and statuses(run)["enhanced"] == "skipped"
    assert "scores 0.000" in run.why and "floor of 0.260" in run.why
    assert run.result is run.initial and run.library == "small"


def test_a_literal_name_passes_the_floor_with_its_true_score(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "mine")
    tile("cat").save(folder / "Zorblax.png")
    tile("dog").save(folder / "dog.png")
    vlm = FakeChat(
        "Seen: dog\nMatches: no\nMissing: zorblax", "Seen: dog, zorblax\nMatches: yes\nMissing: none"
    )
    pipeline = make_pipeline(tmp_path, Cast(vlm=vlm))
    run = pipeline(Request("a dog and a zorblax", steps=2, library=str(folder), similarity_floor=0.9))
    assert [(r.concept, r.chosen.file, r.chosen.score) for r in run.round.references or ()] == [
        ("zorblax", "Zorblax.png", 0.0)
    ]
    assert run.kept == 1


def test_a_worse_image_is_not_returned(tmp_path: Path) -> None:
    vlm = FakeChat(NO_OWL, "Seen: \nMatches: no\nMissing: dog, owl")
    run = make_pipeline(tmp_path, Cast(vlm=vlm))(OWL)
    assert run.kept == 0 and run.result is run.initial
    assert "initial image is kept" in run.why and "dog and owl" in run.why


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("owl", "none", 1),
        ("owl, cat", "cat", 1),
        ("owl", "owl", 0),
        ("owl", "dog", 1),  # as many are missing, but what was fetched is there now
        ("owl", "owl, dog", 0),
    ],
)
def test_the_better_image_is_kept(tmp_path: Path, first: str, second: str, kept: int) -> None:
    matches = "yes" if second == "none" else "no"
    vlm = FakeChat(f"Seen:\nMatches: no\nMissing: {first}", f"Seen:\nMatches: {matches}\nMissing: {second}")
    assert make_pipeline(tmp_path, Cast(vlm=vlm))(replace(OWL, max_concepts=1)).kept == kept


def test_where_the_verdicts_leave_it_open_the_likelier_image_is_kept(tmp_path: Path) -> None:
    run = make_pipeline(tmp_path, Cast(vlm=ShyJudge(NO_OWL)))(OWL)
    verdict = run.round.second_verdict
    assert verdict is not None and [sight.reason for sight in verdict.unsure] == ["the judge says both"]
    assert run.round.comparison == BETTER
    assert run.kept == 1 and run.result is run.round.enhanced and "likelier" in run.why
    assert run.why in trace(run) and any("-4.6 in the earlier image" in line for line in trace(run))
    assert run.verdict is run.round.second_verdict
    assert run.why.startswith(f"The enhanced image {lacking(verdict)}; the judge finds it likelier")
    assert not any("enhanced image: it shows" in line and "owl;" in line for line in trace(run))


def test_the_trace_does_not_show_and_lack_the_same_thing(tmp_path: Path) -> None:
    run = make_pipeline(tmp_path, Cast(vlm=FakeChat(NO_OWL)))(OWL)
    said = Verdict(False, missing=("owl",), seen=("owl", "cat"))
    lines = trace(replace(run, rounds=(replace(run.rounds[0], verdict=said),)))
    assert "The judge says of the initial image: it shows cat; it lacks owl." in lines


def test_an_image_as_likely_as_the_earlier_one_is_not_kept(tmp_path: Path) -> None:
    run = make_pipeline(tmp_path, Cast(vlm=FakeChat(NO_OWL)))(OWL)
    assert run.round.comparison == Comparison(BETTER.earlier, BETTER.earlier)
    assert run.kept == 0 and "initial image is kept" in run.why


@pytest.mark.parametrize(
    "second", [GOOD, "Seen:\nMatches: no\nMissing: dog", "Seen:\nMatches: no\nMissing: dog, owl"]
)
def test_verdicts_that_decide_are_not_compared(tmp_path: Path, second: str) -> None:
    run = make_pipeline(tmp_path, Cast(vlm=ShyJudge(NO_OWL, second)))(OWL)
    assert run.round.comparison is None


def test_what_a_person_overruled_is_compared_again(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast(vlm=ShyJudge(NO_OWL)))
    back = corrections.rewind(pipeline(OWL), "second_verdict")
    assert back.round.comparison is None and back.kept == 0
    *_, finished = pipeline.resume(back)
    assert finished.run.round.comparison == BETTER and finished.run.kept == 1


def test_unusable_replies_are_asked_again_warmer(tmp_path: Path) -> None:
    vlm = FakeChat("I am unable to see images.", "A nice picture", NO_OWL, GOOD)
    cast = Cast(vlm=vlm)
    run = make_pipeline(tmp_path, cast)(OWL)
    assert [(temperature, seed) for _, _, temperature, seed in vlm.asked] == [
        (0.0, 7),
        (0.3, 8),
        (0.7, 9),
        (0.0, 7),
    ]
    assert run.round.verdict is not None and run.round.verdict.raw == NO_OWL
    assert run.kept == 1


def test_without_usable_concepts_what_the_judge_misses_is_the_query(tmp_path: Path) -> None:
    llm = FakeChat("I'm sorry, I can't help with that.")
    run = make_pipeline(tmp_path, Cast(llm=llm))(OWL)
    assert [temperature for _, _, temperature, _ in llm.asked] == [0.0, 0.3, 0.7]
    assert [(c.name, c.caption) for c in run.round.concepts or ()] == [("owl", "a picture of an owl")]


def test_without_any_name_the_prompt_is_the_query(tmp_path: Path) -> None:
    llm = FakeChat("I'm sorry, I can't help with that.")
    vlm = FakeChat("Seen: dog, owl\nMatches: no\nMissing: none")
    run = make_pipeline(tmp_path, Cast(vlm=vlm, llm=llm), open_vocabulary=True)(OWL)
    assert [(c.name, c.caption) for c in run.round.concepts or ()] == [(OWL.prompt, OWL.prompt)]
    candidates = (run.round.references or ())[0].candidates
    assert {candidate.file for candidate in candidates[:2]} == {"dog.png", "owl.png"}


def test_without_a_verdict_the_run_goes_on(tmp_path: Path) -> None:
    cast = Cast(vlm=FakeChat("Hm."), llm=FakeChat("none"))
    run = make_pipeline(tmp_path, cast)(OWL)
    assert len(cast.vlm.asked) == 6
    assert [concept.name for concept in run.round.concepts or ()] == ["owl"]  # the generator knows dogs
    assert run.kept == 0 and "no verdict" in run.why
    assert any("no verdict" in note for note in run.notes)


def test_what_the_image_already_shows_is_not_fetched(tmp_path: Path) -> None:
    llm = FakeChat("dog: a brown dog", "yes")
    run = make_pipeline(tmp_path, Cast(llm=llm))(OWL)
    assert [concept.name for concept in run.round.concepts or ()] == ["owl"]  # by the judge's own words


def test_the_llm_sees_prompt_and_feedback(tmp_path: Path) -> None:
    cast = Cast()
    run = make_pipeline(tmp_path, cast)(OWL)
    question = cast.llm.asked[0][0]
    assert run.round.verdict is not None and run.round.verdict.raw.strip() in question
    assert f'"{OWL.prompt}"' in question


def test_every_missing_thing_gets_its_reference_and_weight(tmp_path: Path) -> None:
    cast = Cast()
    request = Request("a dog, an owl and a toolbox", steps=2, adapter_scale=0.5, weights=(1.0, 0.4))
    run = make_pipeline(tmp_path, cast)(replace(request, prompt="a dog , an owl and a toolbox"))
    assert [r.chosen.file for r in run.round.references or ()] == ["owl.png", "toolbox.png"]
    assert cast.generator.calls[1]["scales"] == [0.5, 0.2]
    assert "these images of an owl and a toolbox" in cast.generator.calls[1]["prompt"]
    assert run.result and shows(run.result, "owl") and shows(run.result, "toolbox")


def test_rounds_go_on_until_it_matches(tmp_path: Path) -> None:
    cast = Cast()
    request = Request("a dog , an owl and a toolbox", steps=2, max_concepts=1, rounds=4)
    run = make_pipeline(tmp_path, cast)(request)
    assert len(run.rounds) == 2 and run.kept == 2
    assert [r.chosen.file for r in run.rounds[1].references or ()] == ["owl.png", "toolbox.png"]
    assert run.rounds[1].verdict == run.rounds[0].second_verdict
    assert set(statuses(run, 2)) == set(STAGES[len(ONCE) :])


def test_a_later_round_takes_the_next_candidate(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "owls", "owl")
    tile("owl", 9).save(folder / "second.png")
    vlm = FakeChat(NO_OWL, "Seen: dog\nMatches: no\nMissing: owl", GOOD)
    request = replace(OWL, rounds=3, library=str(folder))
    run = make_pipeline(tmp_path, Cast(vlm=vlm))(request)
    assert [[r.chosen.file for r in now.references or ()] for now in run.rounds] == [
        ["owl.png"],
        ["second.png"],
    ]
    assert run.kept == 2


def test_a_round_without_another_candidate_ends_the_run(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "owls", "owl")
    run = make_pipeline(tmp_path, Cast(vlm=FakeChat(NO_OWL)))(replace(OWL, rounds=3, library=str(folder)))
    assert len(run.rounds) == 2 and statuses(run, 2)["enhanced"] == "skipped"
    assert run.why.startswith("The initial image is kept") and "Round 2 ended early" in run.why
    assert "no other candidate" in run.why


def test_the_person_is_told_what_the_generator_does_not_read(tmp_path: Path) -> None:
    cast = Cast()
    cast.generator.window = 5
    run = make_pipeline(tmp_path, cast, open_vocabulary=True)(Request("a dgo and a dog in the fog", steps=1))
    assert any('"dgo"' in note and "dog" in note for note in run.notes)
    assert any('"in the fog"' in note for note in run.notes)


def test_the_wording_gives_way_to_a_prompt_that_fits_without_it(tmp_path: Path) -> None:
    cast = Cast()
    cast.generator.window = 6
    make_pipeline(tmp_path, cast)(OWL)
    assert cast.generator.calls[1]["prompt"] == OWL.prompt and cast.generator.calls[1]["scales"] == [1.0]


def test_the_same_request_gives_the_same_bytes(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    first, second = pipeline(OWL), pipeline(OWL)
    other = pipeline(replace(OWL, seed=8))

    def files(run: Run) -> list[bytes]:
        return [(pipeline.results / run.id / name).read_bytes() for name in ("initial.png", "result.png")]

    assert first.id != second.id
    assert files(first) == files(second) != files(other)


@pytest.mark.parametrize(
    ("policy", "budget", "first", "second"),
    [
        ("sequential", 45 * MEGABYTE, 6, 6),
        ("sequential", 80 * MEGABYTE, 4, 2),  # generator and VLM stay, LLM and CLIP take turns
        ("resident", None, 4, 0),
    ],
)
def test_loads_are_counted(tmp_path: Path, policy: str, budget: int | None, first: int, second: int) -> None:
    cast = Cast()
    pipeline = make_pipeline(tmp_path, cast, policy=policy, budget_bytes=budget)
    run = pipeline(OWL)
    assert run.loads == first == sum(cast.loads.values())
    assert json.loads((pipeline.results / run.id / "run.json").read_text())["loads"] == first
    assert pipeline(OWL).loads == second


@pytest.mark.parametrize("how", ["cancel", "event", "close"])
def test_a_run_stops_within_a_step_and_the_pipeline_goes_on(tmp_path: Path, how: str) -> None:
    steps: list[int] = []
    reached, stop, go_on = threading.Event(), threading.Event(), threading.Event()

    def at_step(step: int) -> None:
        steps.append(step)
        if step == 3:
            reached.set()
            assert (stop if how == "close" else go_on).wait(10)

    pipeline = make_pipeline(tmp_path, Cast(at_step=at_step))
    stream = pipeline.stream(replace(OWL, steps=50), stop)
    next(stream)
    assert reached.wait(10)
    {"cancel": pipeline.cancel, "event": stop.set, "close": lambda: None}[how]()
    go_on.set()
    if how == "close":
        stream.close()
    else:
        with pytest.raises(Cancelled):
            list(stream)
    assert steps == [1, 2, 3]
    assert list(pipeline.results.iterdir()) == []
    assert pipeline(replace(OWL, steps=2)).kept == 1


def test_a_run_can_be_stopped_while_it_waits_for_another(tmp_path: Path) -> None:
    holding, go = threading.Event(), threading.Event()

    def at_step(step: int) -> None:
        holding.set()
        go.wait(10)

    pipeline = make_pipeline(tmp_path, Cast(at_step=at_step))
    runs: list[Run] = []
    first = threading.Thread(target=lambda: runs.append(pipeline(replace(OWL, steps=1))))
    first.start()
    holding.wait(10)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        list(pipeline.stream(OWL, stop))
    go.set()
    first.join(10)
    assert runs and runs[0].kept == 1


def test_two_callers_never_meet_in_the_models(tmp_path: Path) -> None:
    cast = Cast()
    pipeline = make_pipeline(tmp_path, cast)
    runs: list[Run] = []
    threads = [threading.Thread(target=lambda: runs.append(pipeline(OWL))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert cast.crowd.most == 1
    assert len({run.id for run in runs}) == 3


def test_a_failure_reaches_the_caller_and_leaves_nothing(tmp_path: Path) -> None:
    broken = threading.Event()
    broken.set()

    def at_step(step: int) -> None:
        if broken.is_set():
            raise RuntimeError("the device is on fire")

    pipeline = make_pipeline(tmp_path, Cast(at_step=at_step))
    with pytest.raises(RuntimeError, match="on fire"):
        pipeline(OWL)
    assert list(pipeline.results.iterdir()) == []
    broken.clear()
    assert pipeline(OWL).kept == 1


def test_a_failed_stage_lets_its_model_go(tmp_path: Path) -> None:
    """The caller holds the error, the error holds the stage's frames: they must not hold the model."""
    alive: list[weakref.ref[FakeGenerator]] = []

    def fail(step: int) -> None:
        raise RuntimeError("the device is on fire")

    def load() -> FakeGenerator:
        generator = FakeGenerator(at_step=fail)
        alive.append(weakref.ref(generator))
        return generator

    cast = Cast()
    pipeline = make_pipeline(
        tmp_path, cast, roles={**cast.specs(), "generator": ModelSpec("generator", load)}
    )
    with pytest.raises(RuntimeError) as caught:
        pipeline(OWL)
    pipeline.residency.release()
    gc.collect()
    assert caught.value is not None and alive[0]() is None


def test_bad_input_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    cast = Cast()
    pipeline = make_pipeline(tmp_path, cast)
    with pytest.raises(LibraryError, match=r"no library 'nowhere'.*pocket"):
        pipeline(replace(OWL, library="nowhere"))
    (tmp_path / "file").write_text("")
    blocked = make_pipeline(tmp_path, cast)
    blocked.results = tmp_path / "file"
    with pytest.raises(RecordError, match="cannot be written"):
        blocked(OWL)
    with pytest.raises(RequestError):
        Request(" ")
    assert cast.generator.calls == []


def test_a_request_overrides_the_profile(tmp_path: Path) -> None:
    cast = Cast()
    pipeline = make_pipeline(tmp_path, cast)
    run = pipeline(Request("a dog", negative_prompt="fog", guidance_scale=3.5, steps=2))
    assert (
        cast.generator.calls[0]["guidance_scale"] == 3.5
        and cast.generator.calls[0]["negative_prompt"] == "fog"
    )
    assert run.settings["adapter_scale"] == pipeline.profile.adapter.scale
    pipeline(Request("a dog"))
    assert cast.generator.calls[1]["steps"] == pipeline.profile.generator.steps


def test_a_new_picture_is_found_by_the_next_run(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "growing", "dog")
    pipeline = make_pipeline(tmp_path, Cast())
    request = replace(OWL, library=str(folder))
    assert pipeline(request).kept == 0
    tile("owl").save(folder / "new.png")
    assert pipeline(request).kept == 1


def test_broken_files_of_the_library_are_named(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "odd", "owl")
    (folder / "empty.png").write_bytes(b"")
    run = make_pipeline(tmp_path, Cast())(replace(OWL, library=str(folder)))
    assert any("empty.png (it is empty)" in note for note in run.notes)


def test_the_library_decides_what_is_drawn(tmp_path: Path) -> None:
    for name, thing in (("a", "toolbox"), ("b", "cat")):
        folder = make_library(tmp_path / name)
        tile(thing).save(folder / "owl.png")
    pipeline = make_pipeline(tmp_path, Cast(vlm=FakeChat(NO_OWL, GOOD, NO_OWL, GOOD)))
    results: list[Image.Image | None] = [
        pipeline(replace(OWL, library=str(tmp_path / n))).result for n in "ab"
    ]
    assert results[0] and shows(results[0], "toolbox") and not shows(results[0], "cat")
    assert results[1] and shows(results[1], "cat") and not shows(results[1], "toolbox")


def test_warming_up_loads_what_fits(tmp_path: Path) -> None:
    roomy, narrow = Cast(), Cast()
    pipeline = make_pipeline(tmp_path, roomy)
    pipeline.warm_up()
    make_pipeline(tmp_path, narrow, budget_bytes=45 * MEGABYTE).warm_up()
    assert sum(roomy.loads.values()) == 4 and sum(narrow.loads.values()) == 0
    assert pipeline(OWL).loads == 0


STEPS = [
    OWL,
    Request("a dog", steps=2),
    Request("a dog , an owl and a toolbox", steps=2, max_concepts=1, rounds=4),
    replace(OWL, similarity_floor=1, library="small"),
]


@pytest.mark.parametrize("request_", STEPS, ids=["enhanced", "match", "rounds", "no reference"])
def test_a_run_in_steps_is_the_run_at_once(tmp_path: Path, request_: Request) -> None:
    make_library(tmp_path / "libraries" / "small", "dog")
    cast, other = Cast(), Cast()
    pipeline, at_once = make_pipeline(tmp_path, cast), make_pipeline(tmp_path, other)
    whole = at_once(request_)
    events = list(pipeline.stream(request_, pause=True, owner="me"))
    ran = [event.stage for event in events if isinstance(event, StageStarted)]
    while isinstance(events[-1], Paused):
        run, asked = events[-1].run, len(cast.vlm.asked)
        assert run.state == "paused" and [type(e) for e in events].count(StageDone) == 1
        assert json.loads((pipeline.results / run.id / "run.json").read_text())["state"] == "paused"
        assert len(cast.vlm.asked) == asked
        events = list(pipeline.resume(run, pause=True))
        ran += [event.stage for event in events if isinstance(event, StageStarted)]
    run = events[-1].run
    assert isinstance(events[-1], Finished) and run.owner == "me"
    assert ran == [report.name for report in whole.stages if report.status == "done"]
    assert len(cast.generator.calls) == len(other.generator.calls) and cast.vlm.asked == other.vlm.asked
    folders = [pipeline.results / each.id for each in (run, whole)]
    names = [sorted(file.name for file in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    for name in names[0]:
        if name != "run.json":
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_a_pause_lets_others_in(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    paused = list(pipeline.stream(OWL, pause=True))[-1]
    assert isinstance(paused, Paused)
    assert pipeline(OWL).kept == 1
    ended = list(pipeline.resume(paused.run))[-1]
    assert isinstance(ended, Finished) and ended.run.id == paused.run.id and ended.run.kept == 1


def test_of_two_who_go_on_with_a_run_the_second_is_told(tmp_path: Path) -> None:
    cast = Cast()
    pipeline = make_pipeline(tmp_path, cast)
    paused = list(pipeline.stream(OWL, pause=True))[-1].run
    ended = list(pipeline.resume(paused))[-1].run
    result, drawn = (pipeline.results / ended.id / "result.png").read_bytes(), len(cast.generator.calls)
    with pytest.raises(RecordError, match="already there, and finished"):
        list(pipeline.resume(paused))
    assert len(cast.generator.calls) == drawn, "nothing is drawn for a record that cannot be written"
    assert (pipeline.results / ended.id / "result.png").read_bytes() == result
    assert open_run(pipeline.results, ended.id).state == "finished"


def test_a_correction_in_the_middle_of_the_steps(tmp_path: Path) -> None:
    cast = Cast()
    pipeline = make_pipeline(tmp_path, cast)
    event = list(pipeline.stream(OWL, pause=True))[-1]
    event = list(pipeline.resume(event.run, pause=True))[-1]
    event = list(pipeline.resume(event.run, pause=True))[-1]
    run = corrections.overrule(event.run, False, ["cat"])
    ran = []
    while run.state == "paused":
        events = list(pipeline.resume(run, pause=True))
        ran += [event.stage for event in events if isinstance(event, StageStarted)]
        run = events[-1].run
    assert ran == ["concepts", "references", "enhanced", "second_verdict"]
    assert [r.concept for r in run.round.references or ()] == ["cat"]
    assert len(cast.vlm.asked) == 2 and run.corrections[0].stage == "verdict"


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    stop = threading.Event()

    def at_step(step: int) -> None:
        if len(cast.generator.calls) == 2:
            stop.set()

    cast = Cast(at_step=at_step)
    pipeline = make_pipeline(tmp_path, cast)
    with pytest.raises(Cancelled):
        list(pipeline.stream(OWL, stop))
    (folder,) = pipeline.results.iterdir()
    found = open_run(pipeline.results, folder.name)
    assert found.state == "stopped" and [report.name for report in found.stages] == list(STAGES[:5])
    asked = len(cast.vlm.asked)
    events = list(pipeline.resume(found))
    assert [e.stage for e in events if isinstance(e, StageStarted)] == list(STAGES[5:])
    assert len(cast.vlm.asked) == asked + 1 and isinstance(events[-1], Finished)
    whole = make_pipeline(tmp_path, Cast())(OWL)
    assert (folder / "result.png").read_bytes() == (pipeline.results / whole.id / "result.png").read_bytes()


def test_a_run_of_another_profile_is_not_gone_on_with(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    paused = list(pipeline.stream(OWL, pause=True))[-1].run
    with pytest.raises(RequestError, match=r"profile 'sdxl'.*--profile sdxl"):
        list(pipeline.resume(replace(paused, profile="sdxl")))


def test_a_run_that_asks_for_more_than_is_drawn_does_not_go_on(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    paused = list(pipeline.stream(OWL, pause=True))[-1].run
    thing = paused.reading.things[0]
    reading = replace(paused.reading, things=(replace(thing, number=99, drawn=99),))
    with pytest.raises(RequestError, match="more than the"):
        list(pipeline.resume(replace(paused, reading=reading)))


def test_fakes_keep_their_word() -> None:
    assert FakeJudge("").reply('Prompt: "a dog and an owl"', [tile("dog")]).endswith("Missing: owl")
    assert FakeListener("").reply('Feedback\nMissing: owl, cat\n"').count("\n") == 1
