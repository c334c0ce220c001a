"""What a person changes: which stages run afterwards, what the record says of it, what stays as it was."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgrag.archive import records
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import Cancelled, RequestError
from imgrag.runs import corrections
from imgrag.runs.events import Event, Finished, Paused, StageDone, StageStarted
from imgrag.runs.reading import Reading, Thing
from imgrag.runs.trace import trace
from imgrag.runs.values import MAX_ROUNDS, STAGES, Box, Concept, Request, Run, StageName
from tests.fakes import COLOURS, Cast, FakeChat, make_library, make_pipeline, shows, tile

OWL = Request("a dog and an owl", steps=2, seed=7)
TWO = Request("a dog , an owl and a toolbox", steps=2, seed=7)
ROUNDS = Request("a dog , an owl and a toolbox", steps=2, seed=7, max_concepts=1, rounds=2)
Change = Callable[[Run], Run]


@dataclass(frozen=True)
class Bench:
    """A pipeline, its fakes, and how much each was asked."""

    pipeline: ImageRAGPipeline
    cast: Cast
    at_step: list[Callable[[], None]]  # called in each denoising step

    def asked(self) -> dict[str, int]:
        cast = self.cast
        return {
            "generator": len(cast.generator.calls),
            "vlm": len(cast.vlm.asked),
            "llm": len(cast.llm.asked),
        }

    def go_on(self, run: Run) -> tuple[list[StageName], Run]:
        """The stages that ran, and the run at its end."""
        events = list(self.pipeline.resume(run))
        assert isinstance(events[-1], Finished)
        return started(events), events[-1].run

    def folder(self, run: Run) -> Path:
        return self.pipeline.results / run.id

    def record(self, run: Run) -> dict[str, Any]:
        return json.loads((self.folder(run) / "run.json").read_text(encoding="utf-8"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    hooks: list[Callable[[], None]] = []

    def at_step(step: int) -> None:
        for hook in hooks:
            hook()

    cast = Cast(at_step=at_step)
    return Bench(make_pipeline(tmp_path, cast), cast, hooks)


def started(events: Iterable[Event]) -> list[StageName]:
    return [event.stage for event in events if isinstance(event, StageStarted)]


def own_owl(size: tuple[int, int] = (20, 10)) -> Image.Image:
    return Image.new("RGB", size, COLOURS["owl"])


def paused_after(pipeline: ImageRAGPipeline, request: Request, stage: StageName, number: int = 1) -> Run:
    """The run in step mode, once this stage is done."""
    events = list(pipeline.stream(request, pause=True))
    while isinstance(events[-1], Paused) and events[-1].run.report(stage, number) is None:
        events = list(pipeline.resume(events[-1].run, pause=True))
    assert isinstance(events[-1], Paused)
    return events[-1].run


def stopped_in_enhancing(bench: Bench, request: Request) -> Run:
    """The run as it was left on disk and on the page when a person pressed Stop while it drew again."""
    stop, last = threading.Event(), []
    bench.at_step.append(lambda: stop.set() if len(bench.cast.generator.calls) == 2 else None)
    with pytest.raises(Cancelled):
        for event in bench.pipeline.stream(request, stop):
            if isinstance(event, StageDone):
                last.append(event.run)
    bench.at_step.clear()
    assert json.loads((bench.folder(last[-1]) / "run.json").read_text())["state"] == "stopped"
    return replace(last[-1], state="stopped")


def whole(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


CHANGES: dict[str, tuple[Change, list[str], str]] = {
    "reread": (
        lambda run: corrections.reread(run, Reading("a dog and a cat", (Thing("dog", "dog"), Thing("cat", "cat")))),
        list(STAGES[1:]), "reading",
    ),
    "own initial": (lambda run: corrections.own_initial(run, own_owl()), list(STAGES[2:]), "initial"),
    "overrule": (lambda run: corrections.overrule(run, False, ["toolbox"]), list(STAGES[3:]), "verdict"),
    "concepts": (
        lambda run: corrections.name_concepts(run, [Concept("cat", "a cat")]), list(STAGES[4:]), "concepts",
    ),
    "choose": (
        lambda run: corrections.choose(run, "owl", "toolbox.png", tile("toolbox")), list(STAGES[5:]), "references",
    ),
    "own picture": (
        lambda run: corrections.own_picture(run, "owl", own_owl(), "mine.png"), list(STAGES[5:]), "references",
    ),
    "adjust": (
        lambda run: corrections.adjust(run, "owl", 0.5, Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1)),
        list(STAGES[5:]), "references",
    ),
    "drop": (lambda run: corrections.drop(run, "owl"), [], "references"),
    "guide": (lambda run: corrections.guide(run, 0.25, 0.5), list(STAGES[5:]), "guidance"),
    "keep": (lambda run: corrections.keep(run, 0), [], "second_verdict"),
}  # fmt: skip


def by_hand(run: Run) -> list[str]:
    return [report.name for report in run.stages if report.status == "corrected"]


@pytest.mark.parametrize("name", CHANGES)
def test_a_finished_run_goes_on_from_the_corrected_stage_only(bench: Bench, name: str) -> None:
    change, stages, where = CHANGES[name]
    first = bench.pipeline(OWL)
    before, asked = whole(bench.folder(first)), bench.asked()
    ran, run = bench.go_on(change(first))
    assert ran == stages
    after = bench.asked()
    assert after["generator"] - asked["generator"] == ("initial" in ran) + ("enhanced" in ran)
    assert after["vlm"] - asked["vlm"] == ("verdict" in ran) + ("second_verdict" in ran)
    assert (after["llm"] > asked["llm"]) == ("concepts" in ran)
    assert whole(bench.folder(first)) == before, "the old run was changed"
    assert run.id != first.id and run.parent == first.id and bench.record(run)["parent"] == first.id
    fresh = [report.name for report in run.stages if report.status == "done" and not report.reused]
    assert fresh == ran
    assert all(r.reused for r in run.stages if r.status == "done" and r.name not in ran)
    if where != "guidance":
        assert by_hand(run) == [where]
        assert (run.report(where, 1) or run.stages[0]).reused is False  # type: ignore[arg-type]
    said = bench.record(run)["corrections"]
    assert [row["round"] for row in said] == [1] and said[0]["before"] != said[0]["after"]
    assert any(line.startswith(f"A person changed the {said[0]['what']}") for line in trace(run))


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in ("keep", "guide")])
@pytest.mark.parametrize("how", ["paused", "stopped"])
def test_an_unfinished_run_stays_the_same_run(bench: Bench, name: str, how: str) -> None:
    change, stages, _ = CHANGES[name]
    if how == "paused":
        run = paused_after(bench.pipeline, OWL, "references")
    else:
        run = stopped_in_enhancing(bench, OWL)
    asked = bench.asked()["vlm"]
    changed = change(run)
    assert changed.id == run.id and changed.parent == "" and not any(r.reused for r in changed.stages)
    ran, ended = bench.go_on(changed)
    assert ran == stages and ended.id == run.id
    assert bench.asked()["vlm"] - asked == ("verdict" in ran) + ("second_verdict" in ran)
    assert [folder.name for folder in bench.pipeline.results.iterdir()] == [run.id]
    record = bench.record(ended)
    assert record["state"] == "finished" and len(record["corrections"]) == 1
    assert {file.name for file in bench.folder(run).iterdir()} == {*record["pixels"], "run.json"}


def test_an_own_initial_image_is_a_square_padded_with_its_border(bench: Bench) -> None:
    first = bench.pipeline(OWL)
    size = first.settings["size"]
    picture = Image.new("RGB", (40, 20), COLOURS["dog"])
    picture.paste(COLOURS["owl"], (15, 5, 25, 15))
    run = corrections.own_initial(first, picture)
    assert run.initial and run.initial.size == (size, size)
    assert run.initial.getpixel((0, 0)) == run.initial.getpixel((size // 2, 1)) == COLOURS["dog"]
    ran, ended = bench.go_on(run)
    assert ran == ["verdict"] and ended.result is ended.initial  # it shows dog and owl already
    assert not any(line.startswith("Drew") for line in trace(ended))


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("L", (3, 3)),
        Image.new("P", (9, 5)),
        Image.new("CMYK", (5, 5)),
        Image.new("1", (8, 8)),
        Image.new("RGBA", (5, 7), (0, 0, 0, 0)),
        Image.new("I;16", (5, 5)),
        Image.new("RGB", (1, 5000), "red"),
        Image.new("RGB", (5000, 1), "red"),
        Image.new("RGB", (1, 1)),
    ],
    ids=lambda image: f"{image.mode} {image.size}",
)
def test_pictures_of_any_kind_become_initial_image_and_reference(bench: Bench, picture: Image.Image) -> None:
    first = bench.pipeline(OWL)
    initial = corrections.own_initial(first, picture).initial
    assert initial is not None and initial.mode == "RGB" and initial.width == initial.height
    _, ended = bench.go_on(corrections.own_picture(first, "owl", picture, "odd.png"))
    kept = "RGBA" if picture.has_transparency_data else "RGB"  # the adapter has its own ground for it
    assert [r.image.mode for r in ended.round.references or ()] == [kept]
    assert (bench.folder(ended) / "reference-1.png").exists()


def test_overruling_to_a_match_ends_the_run(bench: Bench) -> None:
    first = bench.pipeline(OWL)
    asked = bench.asked()
    ran, run = bench.go_on(corrections.overrule(first, True, ["owl"]))
    assert ran == [] and bench.asked() == asked
    assert run.kept == 0 and run.result is first.initial and "already matches" in run.why
    assert run.round.verdict and run.round.verdict.matches and run.round.verdict.missing == ()
    assert [(c.before, c.after) for c in run.corrections] == [("lacks owl", "matches")]
    assert run.why == "A person says that the image already matches the prompt."
    said = [line for line in trace(run) if "says of the initial image" in line]
    assert said == ["A person says of the initial image: everything is there."]


def test_what_a_person_calls_missing_reaches_the_llm(bench: Bench) -> None:
    first = bench.pipeline(Request("a dog", steps=2))
    assert first.round.verdict and first.round.verdict.matches
    asked = len(bench.cast.llm.asked)
    ran, run = bench.go_on(corrections.overrule(first, False, [" owl ", "", "Owl", "dog"]))
    assert ran == list(STAGES[3:])
    assert "Missing: owl, dog" in bench.cast.llm.asked[asked][0]
    assert run.round.verdict and run.round.verdict.seen == () and run.round.verdict.missing == ("owl", "dog")
    assert [c.name for c in run.round.concepts or ()] == ["owl", "dog"]


@pytest.mark.parametrize(
    ("rows", "names", "captions"),
    [
        ([("owl", "an owl"), ("cat", "")], ["owl", "cat"], ["an owl", "cat"]),
        ([("toolbox", "a box"), ("owl", "an owl")], ["toolbox", "owl"], ["a box", "an owl"]),
        ([(" snowy\n owl ", " white ")], ["snowy owl"], ["white"]),
        ([("owl", "one"), ("", " "), ("OWL", "two")], ["owl"], ["one"]),
        ([], [], []),
    ],
)
def test_concepts_are_added_dropped_reordered_and_edited(
    bench: Bench, rows: list[tuple[str, str]], names: list[str], captions: list[str]
) -> None:
    first = bench.pipeline(TWO)
    assert [c.name for c in first.round.concepts or ()] == ["owl", "toolbox"]
    ran, run = bench.go_on(corrections.name_concepts(first, [Concept(*row) for row in rows]))
    assert [c.name for c in run.round.concepts or ()] == names
    assert [c.caption for c in run.round.concepts or ()] == captions
    assert ran[:1] == (["references"] if names else [])
    assert "concepts" not in ran and run.report("concepts", 1).status == "corrected"  # type: ignore[union-attr]
    if not names:
        assert run.kept == 0 and "no missing concept" in run.why


def test_concepts_named_on_a_run_that_matched_are_looked_up(bench: Bench) -> None:
    first = bench.pipeline(Request("a dog", steps=2))
    ran, run = bench.go_on(corrections.name_concepts(first, [Concept("owl", "an owl")]))
    assert ran == ["references", "enhanced", "second_verdict"]
    assert by_hand(run) == ["verdict", "concepts"] and [c.stage for c in run.corrections] == [
        "verdict",
        "concepts",
    ]
    assert run.round.enhanced and shows(run.round.enhanced, "owl")
    nothing = corrections.name_concepts(first, [])
    assert bench.go_on(nothing)[0] == []


def test_another_candidate_is_drawn_from(bench: Bench) -> None:
    first = bench.pipeline(OWL)
    file = next(c.file for c in (first.round.references or ())[0].candidates if c.file == "cat.png")
    _, run = bench.go_on(corrections.choose(first, "OWL", file, tile("cat")))
    (reference,) = run.round.references or ()
    assert reference.chosen.file == "cat.png" and not reference.own and reference.concept == "owl"
    assert run.round.enhanced and shows(run.round.enhanced, "cat") and not shows(run.round.enhanced, "owl")
    assert [(c.before, c.after) for c in run.corrections] == [("owl.png", "cat.png")]


def test_what_people_type_passes_the_gate(tmp_path: Path) -> None:
    cast = Cast()
    run = make_pipeline(tmp_path, cast)(OWL)
    named = corrections.name_concepts(run, [Concept("zo\u0308rblax\ud800", "a\x00\n picture")])
    assert named.round.concepts == (Concept("z\u00f6rblax\ufffd", "a picture"),)
    assert corrections.overrule(run, False, ["o\u0308l\udfff"]).rounds[0].verdict.missing == (
        "\u00f6l\ufffd",
    )  # type: ignore[union-attr]
    own = corrections.own_picture(run, "owl", own_owl(), "my\r\no\u0308wl\ud800.png")
    assert own.round.references[0].chosen.file == "my \u00f6wl\ufffd.png"  # type: ignore[index]


def test_an_own_picture_serves_where_none_was_found(tmp_path: Path) -> None:
    cast = Cast()
    bench = Bench(make_pipeline(tmp_path, cast), cast, [])
    make_library(tmp_path / "libraries" / "small", "dog")
    first = bench.pipeline(replace(OWL, library="small"))
    assert first.round.references == () and [item.name for item in first.round.unfound] == ["owl"]
    ran, run = bench.go_on(corrections.own_picture(first, "Owl", own_owl(), "a/b\x00.png"))
    assert ran == ["enhanced", "second_verdict"] and run.kept == 1 and run.round.unfound == ()
    (reference,) = run.round.references or ()
    assert reference.own and reference.concept == "owl" and reference.chosen.name == "owl"
    assert run.result and shows(run.result, "owl")
    assert "is a picture of one's own, a/b.png" in "\n".join(trace(run))


def test_weight_crop_and_region_reach_the_generator(bench: Bench) -> None:
    first = bench.pipeline(replace(OWL, adapter_scale=0.8))
    own = own_owl((40, 20))
    own.paste(COLOURS["toolbox"], (0, 0, 20, 20))
    run = corrections.own_picture(first, "owl", own, "half.png")
    region = Box(0.25, 0, 1, 0.5)
    _, ended = bench.go_on(corrections.adjust(run, "owl", 0.5, Box(0.5, 0, 1, 1), region))
    (guide,) = bench.cast.generator.calls[-1]["guides"]
    assert guide.scale == pytest.approx(0.4) and guide.region == region and guide.image.size == (20, 20)
    assert ended.round.enhanced and shows(ended.round.enhanced, "owl")
    assert not shows(ended.round.enhanced, "toolbox")
    assert len(ended.corrections) == 2 and "cropped to 50% 0% 100% 100%" in ended.corrections[1].after
    chosen = corrections.choose(ended, "owl", "cat.png", tile("cat"))
    (reference,) = chosen.round.references or ()
    assert reference.crop == Box() and reference.weight == 0.5 and reference.region == region


def test_a_dropped_reference_guides_no_more(bench: Bench) -> None:
    first = bench.pipeline(TWO)
    _, run = bench.go_on(corrections.drop(first, "owl"))
    assert [r.concept for r in run.round.references or ()] == ["toolbox"]
    assert len(bench.cast.generator.calls[-1]["guides"]) == 1
    ran, bare = bench.go_on(corrections.drop(run, "toolbox"))
    assert ran == [] and bare.kept == 0 and bare.round.enhanced is None and "no good reference" in bare.why


def test_guidance_stays_in_force(bench: Bench) -> None:
    first = bench.pipeline(OWL)
    ran, run = bench.go_on(corrections.guide(first, 0.25, 0.5))
    call = bench.cast.generator.calls[-1]
    assert ran == list(STAGES[5:]) and call["guided_share"] == 0.5 and call["scales"] == [0.25]
    assert run.settings["adapter_scale"] == bench.record(run)["settings"]["adapter_scale"] == 0.25
    _, again = bench.go_on(corrections.rewind(run, "initial"))
    assert bench.cast.generator.calls[-1]["scales"] == [0.25]
    assert [c.what for c in again.corrections] == ["guidance"]


def test_the_person_chooses_the_result(bench: Bench) -> None:
    first = bench.pipeline(OWL)
    assert first.kept == 1
    ran, run = bench.go_on(corrections.keep(first, 0))
    assert ran == [] and run.kept == 0 and run.why == "A person chose the initial image."
    with Image.open(bench.folder(run) / "result.png") as shown:
        assert first.initial and shown.tobytes() == first.initial.tobytes()
    _, back = bench.go_on(corrections.keep(run, 1))
    assert back.kept == 1 and back.parent == run.id
    _, anew = bench.go_on(corrections.rewind(back, "second_verdict"))
    assert anew.kept == 1 and "person" not in anew.why and anew.corrections == ()


@pytest.mark.parametrize("stage", STAGES[1:5])
def test_choosing_in_the_middle_ends_the_run(bench: Bench, stage: StageName) -> None:
    run = paused_after(bench.pipeline, OWL, stage)
    asked = bench.asked()
    ran, ended = bench.go_on(corrections.keep(run, 0))
    assert ran == [] and bench.asked() == asked
    assert ended.kept == 0 and ended.why == "A person chose the initial image." and ended.state == "finished"
    assert bench.record(ended)["state"] == "finished" and (bench.folder(ended) / "result.png").exists()


def test_corrections_follow_one_another(bench: Bench) -> None:
    first = bench.pipeline(TWO)
    run = corrections.overrule(first, False, ["owl", "cat"])
    run = corrections.name_concepts(run, [Concept("cat", "a cat"), Concept("owl", "an owl")])
    ran, run = bench.go_on(run)
    assert ran == ["references", "enhanced", "second_verdict"] and run.parent == first.id
    second = corrections.adjust(run, "owl", 2, Box(), Box())
    second = corrections.drop(second, "cat")
    second = corrections.guide(second, 0.5, 1)
    ran, last = bench.go_on(second)
    assert ran == ["enhanced", "second_verdict"] and last.parent == run.id
    assert bench.cast.generator.calls[-1]["scales"] == [1.0]
    assert [c.what for c in last.corrections] == [
        "verdict", "concepts", "reference for owl", "reference for cat", "guidance",
    ]  # fmt: skip
    assert by_hand(last) == ["verdict", "concepts", "references"]
    _, anew = bench.go_on(corrections.rewind(last, "concepts"))
    assert [c.what for c in anew.corrections] == ["verdict", "guidance"]


def test_of_several_rounds_the_one_in_hand_is_corrected(bench: Bench) -> None:
    first = bench.pipeline(ROUNDS)
    assert len(first.rounds) == 2 and first.kept == 2
    ran, run = bench.go_on(corrections.choose(first, "toolbox", "cat.png", tile("cat")))
    assert ran == ["enhanced", "second_verdict"] and len(run.rounds) == 2
    assert run.rounds[0] == first.rounds[0] and run.rounds[0].enhanced is first.rounds[0].enhanced
    assert [r.chosen.file for r in run.rounds[1].references or ()] == ["owl.png", "cat.png"]
    assert [(c.stage, c.round) for c in run.corrections] == [("references", 2)]
    assert run.kept == 1  # the toolbox is not there any more, so the first round's is as good
    _, chosen = bench.go_on(corrections.keep(run, 2))
    assert chosen.kept == 2 and chosen.why == "A person chose the enhanced image of round 2."
    ran, over = bench.go_on(corrections.overrule(chosen, False, ["toolbox"]))
    assert ran[0] == "concepts" and over.rounds[0].verdict != first.rounds[0].verdict
    assert all(c.round == 1 for c in over.corrections)


def test_without_any_reference_the_last_round_ends(bench: Bench) -> None:
    run = bench.pipeline(ROUNDS)
    run = corrections.drop(corrections.drop(run, "owl"), "toolbox")
    ran, ended = bench.go_on(run)
    assert ran == [] and len(ended.rounds) == 2 and ended.kept == 1
    assert ended.why.endswith("Round 2 ended early. There is no good reference.")


def test_two_own_pictures_of_one_name_stay_two(bench: Bench) -> None:
    """Browsers call whatever is pasted image.png."""
    run = paused_after(bench.pipeline, replace(ROUNDS, rounds=3), "references")
    run = paused_from(bench, corrections.own_picture(run, "owl", tile("cat"), "image.png"), "references", 2)
    assert len(run.rounds) == 2
    run = corrections.own_picture(run, "owl", own_owl(), "image.png")
    _, ended = bench.go_on(run)
    assert ended.rounds[1].enhanced is not None
    pictures = [
        records.images(ended)[name] for name in records.images(ended) if name.startswith("reference-")
    ]
    assert [image.getpixel((0, 0)) for image in pictures[:2]] == [COLOURS["cat"], COLOURS["owl"]]


def paused_from(bench: Bench, run: Run, stage: StageName, number: int) -> Run:
    while run.report(stage, number) is None:
        events = list(bench.pipeline.resume(run, pause=True))
        assert isinstance(events[-1], Paused)
        run = events[-1].run
    return run


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_can_be_done_again(bench: Bench, stage: StageName) -> None:
    first = bench.pipeline(OWL)
    run = corrections.rewind(first, stage)
    assert run.corrections == () and run.state == "paused"
    assert [report.name for report in run.stages] == list(STAGES[: STAGES.index(stage)])
    ran, ended = bench.go_on(run)
    assert ran == list(STAGES[STAGES.index(stage) :]) and ended.kept == first.kept and ended.why == first.why
    one, two = (whole(bench.folder(each)) for each in (first, ended))
    assert one["result.png"] == two["result.png"]


def matched(bench: Bench) -> Run:
    return bench.pipeline(Request("a dog", steps=2))


def done(bench: Bench) -> Run:
    return bench.pipeline(OWL)


def judged(bench: Bench) -> Run:
    return paused_after(bench.pipeline, OWL, "verdict")


def with_concepts(bench: Bench) -> Run:
    return paused_after(bench.pipeline, TWO, "concepts")


def drawn(bench: Bench) -> Run:
    return paused_after(bench.pipeline, OWL, "initial")


NAN = float("nan")


@pytest.mark.parametrize(
    ("state", "change", "says"),
    [
        (drawn, lambda run: corrections.rewind(run, "concepts"), "not come to that stage"),
        (judged, lambda run: corrections.rewind(run, "references"), "not come to that stage"),
        (matched, lambda run: corrections.rewind(run, "references"), "ended before"),
        (matched, lambda run: corrections.guide(run, 1, 1), "ended before"),
        (judged, lambda run: corrections.guide(run, 1, 1), "not come to that stage"),
        (drawn, lambda run: corrections.name_concepts(run, []), "not come to that stage"),
        (with_concepts, lambda run: corrections.own_picture(run, "owl", own_owl(), "x"), "not come to that stage"),
        (done, lambda run: corrections.overrule(run, False, []), "Name what is missing"),
        (done, lambda run: corrections.overrule(run, False, [" ", "\n"]), "Name what is missing"),
        (done, lambda run: corrections.overrule(run, False, ["x" * 201]), "200 characters"),
        (done, lambda run: corrections.overrule(run, False, ["\x00 \x1b"]), "Name what is missing"),
        (done, lambda run: corrections.overrule(run, False, [f"{n}" for n in range(21)]), "21 things"),
        (done, lambda run: corrections.name_concepts(run, [Concept(c, "") for c in "abcd"]), "4 concepts"),
        (done, lambda run: corrections.name_concepts(run, [Concept("", "a caption")]), "no name before it"),
        (done, lambda run: corrections.name_concepts(run, [Concept("x" * 201, "")]), "200 characters"),
        (done, lambda run: corrections.name_concepts(run, [Concept("x", "y" * 501)]), "500 characters"),
        (done, lambda run: corrections.guide(run, 10**400, 1), "adapter scale is 1e400"),
        (done, lambda run: corrections.choose(run, "owl", "nowhere.png", own_owl()), "none of the candidates"),
        (done, lambda run: corrections.choose(run, "bat", "owl.png", own_owl()), "no reference for 'bat'"),
        (done, lambda run: corrections.own_picture(run, "bat", own_owl(), "x"), "none of the concepts"),
        (matched, lambda run: corrections.own_picture(run, "owl", own_owl(), "x"), "none of the concepts"),
        (done, lambda run: corrections.drop(run, "bat"), "no reference for 'bat'"),
        (done, lambda run: corrections.adjust(run, "owl", 1, Box(), Box(), "colour"), "must be both, style or thing"),  # type: ignore[arg-type]
        (done, lambda run: corrections.adjust(run, "bat", 1, Box(), Box()), "no reference for 'bat'"),
        *[
            (done, lambda run, w=weight: corrections.adjust(run, "owl", w, Box(), Box()), "from 0 to 2")
            for weight in (-0.1, 2.1, NAN, float("inf"), None, "1", True)
        ],
        *[
            (done, lambda run, s=scale: corrections.guide(run, s, 1), "adapter scale is .* from 0 to 2")
            for scale in (-1, 2.5, NAN, None, "x", [])
        ],
        *[
            (done, lambda run, s=share: corrections.guide(run, 1, s), "share of guided steps is .* from 0 to 1")
            for share in (-0.5, 1.5, NAN, None)
        ],
        (done, lambda run: corrections.keep(run, 2), "not been drawn"),
        (done, lambda run: corrections.keep(run, -1), "not been drawn"),
        (judged, lambda run: corrections.keep(run, 1), "not been drawn"),
        (done, lambda run: corrections.keep(corrections.rewind(run, "initial"), 0), "not been drawn"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(
    bench: Bench, state: Callable[[Bench], Run], change: Change, says: str
) -> None:
    with pytest.raises(RequestError, match=says):
        change(state(bench))


@pytest.mark.parametrize(
    "edges", [(0.5, 0, 0.5, 1), (0, 1, 1, 0), (-0.1, 0, 1, 1), (0, 0, 1.1, 1), (0, NAN, 1, 1)]
)
def test_boxes_without_area_or_outside_are_refused(edges: tuple[float, float, float, float]) -> None:
    with pytest.raises(RequestError):
        Box(*edges)


def test_a_finished_run_is_not_simply_gone_on_with(bench: Bench) -> None:
    run = bench.pipeline(OWL)
    before = whole(bench.folder(run))
    with pytest.raises(RequestError, match="finished"):
        list(bench.pipeline.resume(run))
    assert whole(bench.folder(run)) == before


def test_a_stopped_correction_is_kept_and_gone_on_with(bench: Bench) -> None:
    """Nothing was done anew yet, but what was found before is in no other folder under this id."""
    run = corrections.guide(bench.pipeline(OWL), 0.5, 1)
    stop = threading.Event()
    bench.at_step.append(stop.set)
    with pytest.raises(Cancelled):
        list(bench.pipeline.resume(run, stop))
    bench.at_step.clear()
    assert bench.record(run)["state"] == "stopped"
    assert bench.go_on(run)[0] == ["enhanced", "second_verdict"]


def test_a_correction_that_changes_nothing_found_survives_the_rounds(bench: Bench) -> None:
    request = replace(ROUNDS, rounds=MAX_ROUNDS)
    run = paused_after(bench.pipeline, request, "second_verdict")
    _, ended = bench.go_on(corrections.guide(run, 0.9, 1))
    assert [c["what"] for c in bench.record(ended)["corrections"]] == ["guidance"]
    assert len(ended.rounds) == 2 and ended.kept == 2


def test_an_unreadable_verdict_can_be_overruled(tmp_path: Path) -> None:
    cast = Cast(vlm=FakeChat("Hm.", "Hm.", "Hm.", "Seen: dog, owl\nMatches: yes\nMissing: none"))
    bench = Bench(make_pipeline(tmp_path, cast), cast, [])
    run = paused_after(bench.pipeline, OWL, "verdict")
    assert run.round.verdict and not run.round.verdict.readable
    _, ended = bench.go_on(corrections.overrule(run, False, ["owl"]))
    assert ended.kept == 1 and ended.corrections[0].before.startswith("lacks")
