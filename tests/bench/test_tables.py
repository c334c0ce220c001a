"""The benches on short models of a world they know by heart: what is measured must be what they do."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from imgrag.bench import Bar, Figure, Meter, loop, print_bars, print_document
from imgrag.bench.fidelity import cases, enlarging, rows, structuring, styling
from imgrag.bench.fidelity.rows import BARS, KNOWLEDGE, balanced, report, run, share
from imgrag.bench.fidelity.workbench import Workbench
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.engine.reading import Reader as Prompts
from imgrag.engine.reading.vocabulary import load_vocabulary
from imgrag.errors import LibraryError
from imgrag.models.checkpoints import PROJECT
from imgrag.models.profile import load_profile
from imgrag.models.residency import ModelSpec
from imgrag.pocket.judge import bundled
from imgrag.pocket.world import world
from imgrag.runs.values import STAGES, Box
from tests.fakes import Cast, make_pipeline

KNOWN = tuple(icon.name for icon in world.icons() if icon.set == "known")
PROMPTS = 2


@cache
def pictures():
    return {icon.name: Image.open(world.LIBRARY / icon.file_name).convert("RGBA") for icon in world.icons()}


@cache
def names_by_content():
    return {picture.tobytes(): name for name, picture in pictures().items()}


@cache
def upside_down():
    """A style of their own, so that nothing has to be fetched."""
    styled = {}
    for name, picture in pictures().items():
        red, green, blue, alpha = ImageOps.flip(picture).split()
        styled[name] = Image.merge("RGBA", (blue, red, green, alpha))
    return styled


def named_in(prompt, names):
    """The names a prompt holds, the longest first taken."""
    pattern = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return re.findall(rf"\b(?:{pattern})\b", prompt.casefold())


class Painter:
    """Pastes the known things of a prompt and its references; `heeds` is how many of those count."""

    nbytes = 1

    def __init__(self, heeds=2):
        self.heeds = heeds
        self.regions = []  # of each image with guides

    def draw(self, prompt, *, guides=(), **settings):
        prompt = prompt.split(" generate ")[-1]
        drawn = [pictures()[name] for name in named_in(prompt, KNOWN)]
        drawn += [guide.image for guide in guides[: self.heeds]]
        if guides:
            self.regions.append([guide.region for guide in guides])
        image = Image.new("RGB", (world.SCENE, world.SCENE), world.COLOURS["gray"])
        for left, picture in zip((0, 32), drawn, strict=False):
            slot = picture.convert("RGBA").resize((32, 32), Image.Resampling.BICUBIC)
            image.paste(slot, (left, world.SLOT_TOP), slot)
        return [image]

    def cut(self, prompt):
        return ""

    def unknown_words(self, prompt):
        return {}


class Looker:
    """Holds that a thing is missing until there is a reference for it; `credulous`: all is well."""

    nbytes = 1

    def __init__(self, missing, credulous=False):
        self.missing = missing  # prompt -> names of what a generator cannot draw
        self.credulous = credulous

    def tokens(self, text):
        return len(text.split())

    def reply(self, question, images=(), **sampling):
        prompt = question.split('"')[1]
        self.lacking = missing = self.missing.get(prompt, ())[len(images) - 1 :]
        if self.credulous or not missing:
            return "Seen: things\nMatches: yes\nMissing: none"
        return f"Seen: a thing\nMatches: no\nMissing: {', '.join(missing)}"

    def sureness(self, questions, images):
        """As sure as its last reply: a thing that this calls missing is not there."""
        lacking = () if self.credulous else self.lacking
        return [0.01 if any(f" {name}?" in question for name in lacking) else 0.99 for question in questions]


class Listener:
    """Repeats what the feedback calls missing."""

    nbytes = 1

    def tokens(self, text):
        return len(text.split())

    def reply(self, question, images=(), **sampling):
        found = re.search(r"^Missing: (.+)$", question, re.MULTILINE)
        names = found[1].split(", ") if found else []
        return "\n".join(f"{name}: a picture of {name}" for name in names) or "Yes."


class Reader:
    """A picture and its name have the same vector, unless the name is among those it mixes up."""

    nbytes = 1
    model_id = "reader"
    side = 64

    def __init__(self, confused=()):
        self.dimensions = len(pictures()) + 1
        self.confused = confused

    def prepare(self, image):
        return image

    def embed_images(self, images):
        return self.vectors([names_by_content().get(image.convert("RGBA").tobytes(), "") for image in images])

    def embed_texts(self, texts):
        names = [(named_in(text, world.names()) or [""])[0] for text in texts]
        return self.vectors(["" if name in self.confused else name for name in names])

    def vectors(self, names):
        axes = np.eye(len(pictures()) + 1, dtype=np.float32)
        places = {name: i for i, name in enumerate(["", *pictures()])}
        return axes[[places[name] for name in names]]


def no_style():
    raise LibraryError("It is not to be had.")


class NoNames:
    """A library without any."""

    def holds(self, name):
        return False

    def mentions(self, name):
        return False

    def near(self, name, limit=3):
        return []


def asked(prompt):
    """What the models get of a prompt."""
    profile = load_profile("pocket").reading
    return Prompts(profile, load_vocabulary(PROJECT / profile.vocabulary), NoNames()).read(prompt).prompt


def workbench(folder: Path, painter=None, credulous=False, confused=(), style=upside_down, made=None):
    """`made` takes the profile of every pipeline that the bench asks for."""
    every = [*cases.mixed_cases(PROMPTS), *cases.own_cases(PROMPTS, cases.own_pictures(bundled()))]
    missing = {asked(case.prompt): case.objects[1:] for case in every}
    for kind in ("shown", "unseen"):
        missing |= {asked(case.prompt): case.objects for case in cases.missing_cases(PROMPTS, kind)}
    models = {
        "generator": painter or Painter(),
        "vlm": Looker(missing, credulous),
        "llm": Listener(),
        "clip": Reader(confused),
    }
    specs = {role: ModelSpec(role, lambda model=model: model, 1) for role, model in models.items()}

    def make(profile):
        if made is not None:
            made.append(profile)
        return ImageRAGPipeline(
            profile,
            policy="resident",
            budget_bytes=10**12,
            device="cpu",
            results=folder / "results",
            cache=folder.parent / "cache",  # the library is the same for all tests
            roles=specs,
        )

    return Workbench(make, "pocket", folder, Meter(), style)


LOOP = ["known", "blank", "loop_unseen", "loop_known", "verdict", "second_verdict", "named", "worse"]


def values(figures):
    return {key: figure.value for key, figure in figures.items()}


def test_perfect_models_reach_every_aim(tmp_path):
    wanted = [bar.key for bar in BARS if bar.unit == "%"]
    figures, skipped = run(workbench(tmp_path), PROMPTS, wanted)
    assert not skipped
    assert set(figures) == set(wanted)
    short = {bar.key for bar in BARS if bar.key in figures and bar.state(figures[bar.key].value) == "short"}
    assert short == {"retrieved_other"}  # this CLIP has never seen the other style


def test_a_generator_that_ignores_references_fails_where_it_should(tmp_path):
    bench = workbench(tmp_path, Painter(heeds=0))
    figures, _ = run(bench, PROMPTS, [*LOOP, "reference", "reference_other"])
    assert values(figures) == {
        "known": 1, "blank": 0, "loop_unseen": 0, "loop_known": 1, "verdict": 1, "second_verdict": 0,
        "named": 1, "worse": 0, "reference": 0, "reference_other": 0,
    }  # fmt: skip


def test_two_things_are_there_only_if_both_references_count(tmp_path):
    wanted = [f"two_{kind}_{way}" for kind in ("shown", "unseen") for way in rows.WAYS]
    figures, _ = run(workbench(tmp_path, Painter(heeds=1)), PROMPTS, wanted)
    assert values(figures) == dict.fromkeys(wanted, 0)
    assert {figure.n for figure in figures.values()} == {PROMPTS}


@pytest.mark.parametrize(
    ("way", "several", "halves"),
    [("one", "one", False), ("one_regions", "one", True), ("each", "each", False), ("each_regions", "each", True)],
)  # fmt: skip
def test_each_way_of_drawing_two_is_the_one_it_says(tmp_path, way, several, halves):
    painter, made = Painter(), []
    figures, _ = run(workbench(tmp_path, painter, made=made), 1, [f"two_shown_{way}", f"seconds_{way}"])
    assert set(figures) == {f"two_shown_{way}", f"seconds_{way}"}
    assert figures[f"seconds_{way}"].value > 0
    assert made[-1].adapter.several == several
    assert painter.regions == [[Box(right=0.5), Box(left=0.5)] if halves else [Box(), Box()]]


@pytest.mark.parametrize(("way", "drawings"), [("loop", [2]), ("rounds", [1, 2])])
def test_the_loop_draws_both_at_once_and_rounds_one_after_the_other(tmp_path, way, drawings):
    painter = Painter()
    figures, _ = run(workbench(tmp_path, painter), 1, [f"two_shown_{way}", f"seconds_{way}"])
    assert [len(regions) for regions in painter.regions] == drawings
    assert figures[f"two_shown_{way}"].value == 1


def test_the_thing_named_first_comes_first_where_both_are_missing():
    for kind in ("shown", "unseen"):
        for case in cases.missing_cases(50, kind):
            first, second = (re.search(rf"\b{re.escape(name)}\b", case.prompt) for name in case.objects)
            assert first.start() < second.start()
            assert {icon.set for icon in world.icons() if icon.name in case.objects} == {kind}
        assert cases.missing_cases(50, kind)[:20] == cases.missing_cases(20, kind)


def test_a_judge_that_believes_everything_is_half_right_and_names_nothing(tmp_path):
    figures, skipped = run(workbench(tmp_path, credulous=True), PROMPTS, LOOP)
    assert values(figures)["verdict"] == 0.5
    assert values(figures)["named"] == 0
    assert values(figures)["loop_unseen"] == 0
    assert skipped == {"second_verdict": "no case of these prompts tells"}


def test_retrieval_counts_every_name_and_gets_no_help_from_it(tmp_path):
    figures, _ = run(workbench(tmp_path, confused=("dog", "owl")), PROMPTS, ["retrieved"])
    assert figures["retrieved"] == Figure((len(pictures()) - 2) / len(pictures()), len(pictures()))


def test_without_the_other_style_its_rows_are_skipped_with_the_reason(tmp_path):
    figures, skipped = run(workbench(tmp_path, style=no_style), 1, ["reference_other", "retrieved"])
    assert set(figures) == {"retrieved"}
    assert skipped == {"reference_other": "It is not to be had."}


def test_the_loop_bench_tells_seconds_loads_and_whether_it_went_to_the_end(tmp_path, capsys):
    document = loop.measure(lambda: make_pipeline(tmp_path, Cast()), "a dog and an owl")
    first, second = document["runs"]
    assert first["whole"] and second["whole"]
    assert (first["loads"], second["loads"]) == (0, 0)  # the warm-up loads everything
    assert [stage["name"] for stage in first["stages"]] == list(STAGES)
    assert first["seconds"] >= sum(stage["seconds"] for stage in first["stages"]) - 0.01
    loop._print(document)
    assert f"{second['seconds']:.2f} s" in capsys.readouterr().out


def test_the_loop_bench_says_when_a_run_ended_early(tmp_path):
    document = loop.measure(lambda: make_pipeline(tmp_path, Cast()), "a dog")
    assert not any(run["whole"] for run in document["runs"])


def test_cases_are_the_same_every_time_and_cover_the_unseen():
    unseen = {icon.name for icon in world.icons() if icon.set == "unseen"}
    mixed = cases.mixed_cases(200)
    assert mixed == cases.mixed_cases(200)
    assert {case.objects[1] for case in mixed[: len(unseen)]} == unseen
    assert all(name in case.prompt for case in mixed for name in case.objects)
    assert len({case.seed for case in mixed}) == 200
    assert all(set(case.objects) <= set(KNOWN) for case in cases.pair_cases(50))


def test_nonce_names_are_new_and_stand_for_different_pictures():
    own = cases.own_pictures(bundled())
    assert len(own) > 30
    made = cases.own_cases(60, own)
    assert len({case.objects[1] for case in made}) == 60
    assert not {case.objects[1] for case in made} & set(world.names())
    assert {case.source for case in made} >= set(own)


def test_an_own_picture_is_none_of_the_world_s():
    own = cases.own_pictures(bundled())
    picture = own["toolbox"]
    assert picture.size == (128, 128)
    assert picture.tobytes() != pictures()["toolbox"].tobytes()


def test_shares_and_balanced_accuracy():
    assert share([True, True, False, True]) == Figure(0.75, 4)
    assert share([]).n == 0
    said = [(True, True)] * 9 + [(False, True)] + [(False, False), (True, False)]
    assert balanced(said) == Figure((0.9 + 0.5) / 2, 12)
    assert balanced([(True, True)]).n == 0


def test_a_bar_knows_what_is_short():
    high, low = Bar("a", "a", 0.95), Bar("b", "b", 0.02, at_most=True)
    assert [high.state(0.95), high.state(0.9499), low.state(0.02), low.state(0.021)] == ["ok", "short"] * 2
    assert Bar("c", "c").state(0.1) == ""


def test_the_table_and_the_json_line_say_the_same(tmp_path, capsys):
    figures = {"known": Figure(0.985, 200), "worse": Figure(0.05, 200), "first_run": Figure(1.42, 1)}
    print_bars("fidelity", BARS, figures)
    print_document(report("pocket", 200, figures, {"own": "because"}), tmp_path / "out.json")
    printed = capsys.readouterr().out.splitlines()
    line = next(line for line in printed if "worse than" in line)
    assert all(part in line for part in ("5.0%", "at most 3.0%", "200", "short"))
    assert any("1.42 s" in line for line in printed)
    document = json.loads(printed[-1])
    assert document == json.loads((tmp_path / "out.json").read_text())
    assert document["rows"]["known"]["state"] == "ok"
    assert document["rows"]["worse"]["value"] == 0.05
    assert document["skipped"] == {"own": "because"}


def test_every_row_is_measured_by_one_experiment():
    measured = [key for experiment in rows.EXPERIMENTS for key in experiment.keys]
    assert sorted(measured) == sorted(
        bar.key for bar in (*BARS, *KNOWLEDGE, *styling.BARS, *structuring.BARS, *enlarging.BARS)
    )


@pytest.mark.parametrize("argv", [["--prompts", "0"], ["--only", "nothing"], ["--nonsense"]])
def test_bad_options_end_with_code_2(argv, capsys):
    with pytest.raises(SystemExit) as end:
        rows.main(argv)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_meter_goes_through_all_and_says_so_off_a_terminal(capsys):
    with Meter().over("cases", list(range(25))) as steps:
        assert list(steps) == list(range(25))
    said = capsys.readouterr().err.splitlines()
    assert len(said) <= 13
    assert said[-1].startswith("cases 25/25")
