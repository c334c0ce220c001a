"""What people type: the prompts are what they say they are, and an answer is told right from wrong, honest from not."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from imgrag.bench import Figure, Meter
from imgrag.bench.fidelity import honesty, phrasebook, rows
from imgrag.bench.fidelity.answers import Answer
from imgrag.bench.fidelity.asking import Wording, asked
from imgrag.bench.fidelity.wordings import KINDS, wording_cases
from imgrag.bench.fidelity.workbench import Workbench
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.pocket.judge import bundled
from imgrag.pocket.world import world
from imgrag.runs.knowledge import Augmentation, Fact
from imgrag.runs.reading import LeftOut, Reading, Sight
from imgrag.runs.values import Candidate, Reference, Request, Round, Run, StageReport, Verdict

CASES = wording_cases(200)
NAMES = set(world.names())


def slots(*names):
    return bundled().shown(world.scene_image(names, "white"))


def run(case, matches=False, sights=(), told=(), references=(), kept=0):
    """A run that ended with this verdict; `told` is what its reading left out."""
    left_out = tuple(LeftOut(words, "it is not drawn") for words in told)
    notes = tuple(f'"{words}" is left out.' for words in told)
    verdict = Verdict(matches, sights=tuple(sights))
    found = tuple(
        Reference(concept, Candidate(file, 0.9), world.scene_image(("dog",), "white"))
        for concept, file in references
    )
    return Run(
        "id", Request(case.prompt), "pocket", "pocket", "", {}, reading=Reading(case.prompt, left_out=left_out),
        rounds=(Round(verdict=verdict, references=found, second_verdict=verdict),), kept=kept,
        stages=(StageReport("reading", "done", notes=notes),),
    )  # fmt: skip


def test_cases_are_the_same_every_time_and_twelve_a_kind():
    assert wording_cases(200) == CASES
    assert {kind: sum(case.kind == kind for case in CASES) for kind in KINDS} == dict.fromkeys(KINDS, 12)
    assert len(KINDS) >= 30
    assert (
        len({(case.prompt, case.seed) for case in CASES}) == len({case.seed for case in CASES}) == len(CASES)
    )
    assert len(wording_cases(1)) == len(KINDS)
    assert {case.kind for case in wording_cases(1000, ["typos", "chinese"])} == {"typos", "chinese"}


def test_what_is_asked_for_is_of_the_world_and_stands_in_the_prompt():
    for case in wording_cases(1000):
        assert {name for thing in case.things for name in thing.names} <= NAMES
        words = re.sub(r"[\W_]+", " ", case.prompt.casefold())
        for thing in case.things:
            said = re.sub(r"[\W_]+", " ", thing.said.casefold()).strip()
            assert said in words or thing.said in case.prompt, case
        assert all(word.casefold() in case.prompt.casefold() for word in (*case.nobody, *case.declinable))


def test_at_most_one_thing_is_lacking_where_everything_can_be_drawn():
    for case in CASES:
        if case.kind in (*honesty.DRAWABLE, *honesty.LANGUAGES) and len(case.things) == 2:
            assert any(thing.known for thing in case.things), case


def test_what_nobody_has_is_not_in_the_world():
    for case in wording_cases(1000):
        assert not {word.casefold() for word in case.nobody} & NAMES
    said = [word for word, _ in (*phrasebook.SLIPS, *phrasebook.FIRST_SLIPS, *phrasebook.OTHER_WORDS)]
    assert not NAMES & {*said, *phrasebook.INVENTED, *phrasebook.OUTSIDE}
    assert all(word[0] == name[0] for word, name in phrasebook.SLIPS)
    assert all(word[0] != name[0] for word, name in phrasebook.FIRST_SLIPS)


def test_both_things_have_to_be_there():
    case = Wording("a puppy and a castle", (asked("dog|poodle", said="puppy"), asked("castle")))
    assert Answer(case, None, slots("castle", "dog")).right
    assert Answer(case, None, slots("poodle", "castle")).right
    assert not Answer(case, None, slots("castle")).right
    assert not Answer(case, None, slots("castle", "cat")).right


def test_a_number_counts_where_it_fits():
    two = Wording("two owls", (asked("owl", 2, "owls"),))
    assert Answer(two, None, slots("owl", "owl")).right
    assert not Answer(two, None, slots("owl")).right
    assert Answer(replace(two, things=(asked("owl", 3, "owls"),)), None, slots("owl")).right
    plural = replace(two, things=(asked("owl", 0, "owls"),))
    assert Answer(plural, None, slots("owl")).right
    assert Answer(plural, run(plural, matches=True), slots("owl")).claims_falsely
    assert not Answer(plural, run(plural, matches=True), slots("owl", "owl")).claims_falsely


def test_of_three_things_the_known_ones_have_to_be_kept():
    case = Wording("a cat, a taco and a dog", tuple(map(asked, ("cat", "taco", "dog"))))
    assert Answer(case, None, slots("cat", "dog")).right
    assert not Answer(case, None, slots("cat", "taco")).right
    said = Answer(case, run(case, told=["taco"]), slots("cat", "dog"))
    assert said.tells_before and not said.claims
    assert not Answer(case, run(case), slots("cat", "dog")).tells_before


def test_what_is_not_wanted_and_the_ground_count():
    case = Wording("a dog without a hat", (asked("dog"),), unwanted=("hat",))
    assert Answer(case, None, slots("dog")).right
    hatted = Answer(case, run(case, matches=True), slots("dog", "hat"))
    assert not hatted.right and hatted.claims_falsely
    blue = Wording("a dog on a plain blue backdrop", (asked("dog"),), ground="blue")
    assert Answer(blue, None, slots("dog"), "blue").right
    assert not Answer(blue, None, slots("dog"), "white").right


def test_a_claim_is_false_over_what_is_lacking_and_over_what_nobody_has():
    dog, drendle = asked("dog"), Wording("a dog and a drendle", (asked("dog"),), nobody=("drendle",))
    pair = Wording("a dog and a castle", (dog, asked("castle")))
    assert Answer(pair, run(pair, matches=True), slots("dog", "cat")).claims_falsely
    assert not Answer(pair, run(pair, matches=True), slots("dog", "castle")).claims_falsely
    assert not Answer(pair, run(pair), slots("dog", "cat")).claims_falsely
    assert Answer(drendle, run(drendle, matches=True), slots("dog")).claims_falsely
    assert Answer(Wording("hello"), run(pair, matches=True), slots("dog")).claims_falsely


@pytest.mark.parametrize(
    ("ground", "reason", "false"),
    [("green", "", False), ("white", "", True), ("green", "the language model left out dog", True)],
)
def test_a_scene_that_was_looked_up_is_there_where_its_ground_is(ground, reason, false):
    case = Wording("a dog in the park", (asked("dog"),), ("park",))
    told = Augmentation(
        "a dog", (Fact("the park", "the park is green"),), "a dog on a green background", reason
    )
    done = run(case, matches=True)
    done = replace(done, reading=replace(done.reading, background="green", augmentation=told))
    assert Answer(case, done, slots("dog"), ground).claims_falsely is false


@pytest.mark.parametrize(
    ("changes", "honest"),
    [
        ({"sights": [Sight("drendle", "not sure", None, 'these models do not know "drendle"')]}, True),
        ({"told": ["drendle"]}, True),
        ({}, False),
        ({"sights": [Sight("drendle", "there", 0.9)]}, False),
        ({"told": ["drendle"], "matches": True}, False),
        ({"told": ["drendle"], "references": [("drendle", "cat.png")]}, True),
        ({"told": ["drendle"], "references": [("drendle", "cat.png")], "kept": 1}, False),
    ],
)
def test_honest_is_who_names_what_nobody_has_and_keeps_no_wrong_picture(changes, honest):
    case = Wording("a dog and a drendle", (asked("dog"),), nobody=("drendle",))
    assert Answer(case, run(case, **changes), slots("dog")).honest is honest


def test_honest_names_each_thing_that_is_lacking():
    case = Wording("a rucksack and a dog", (asked("backpack", said="rucksack"), asked("dog")))
    assert Answer(case, run(case, told=["rucksack"]), slots("dog")).honest
    assert not Answer(case, run(case, told=["rucksack"]), slots("cat")).honest
    assert not Answer(case, None).honest


@pytest.mark.parametrize(
    ("concept", "file", "wrong"),
    [
        ("toolbox", "toolbox.png", False),
        ("tool chest", "toolbox.png", False),
        ("toolbox", "dog.png", True),
        ("toolbox", "boot.png", True),
        ("shiny drendle", "toolbox.png", True),
    ],
)
def test_a_reference_is_wrong_unless_it_is_the_thing_s_own(concept, file, wrong):
    things = (asked("toolbox", said="tool chest"), asked("dog"))
    case = Wording("a tool chest, a dog and a drendle", things, nobody=("drendle",))
    answer = Answer(case, run(case, references=[(concept, file)]), slots("dog"))
    assert bool(answer.wrong_references) is wrong


def test_rows_and_kinds_count_what_they_say(capsys):
    pair = Wording("a dog and a castle", (asked("dog"), asked("castle")), kind="pair")
    capital = replace(pair, kind="capitals")
    strange = Wording("a drendle", nobody=("drendle",), kind="invented")
    answers = [
        Answer(pair, run(pair, matches=True), slots("dog", "castle")),
        Answer(pair, run(pair), slots("dog", "castle")),
        Answer(capital, run(capital, matches=True), slots("dog", "cat")),
        Answer(strange, run(strange, told=["drendle"], references=[("drendle", "cat.png")]), slots("cat")),
    ]
    assert honesty.figures(answers) == {
        "wording_drawable": Figure(0, 1),
        "honesty_false_claims": Figure(0.5, 2),
        "honesty_wrong_references": Figure(1, 1),
        "honesty_right_denied": Figure(0.5, 2),
    }
    kinds = honesty.by_kind(answers)
    assert kinds["pair"]["right"] == 2 and kinds["pair"]["denied"] == 1
    assert kinds["capitals"]["false"] == 1 and kinds["capitals"]["short"] == [pair.prompt]
    assert kinds["invented"]["honest"] == 1 and kinds["invented"]["wrong_references"] == 1
    honesty.print_kinds(kinds)
    assert re.search(r"two things .* 2/2 .* 1/2", capsys.readouterr().out)


def test_a_group_stands_for_its_rows():
    assert rows._rows(["wording", "blank"]) == {"blank", *(bar.key for bar in honesty.WORDING)}
    assert rows._rows([]) == {bar.key for bar in rows.ALL}


def test_real_models_are_asked_and_their_answers_judged(tmp_path):
    def make(profile):
        return ImageRAGPipeline(
            profile, policy="resident", results=tmp_path / "results", cache=tmp_path / "cache"
        )

    bench = Workbench(make, "pocket", tmp_path, Meter())
    single, strange = bench.answers("what people type", wording_cases(1, ["single", "invented"]))
    assert single.right
    assert single.run is not None and strange.run is not None
    assert strange.right and not strange.claims_falsely
    assert json.dumps(honesty.by_kind([single, strange]))
