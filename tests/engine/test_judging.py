"""Each thing of a prompt judged by itself: what counts as there, as absent, and as neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from imgrag.engine.judging import times_seen
from imgrag.engine.missing import is_held
from imgrag.runs.decisions import lacking
from imgrag.runs.reading import SEEN, Sight
from imgrag.runs.values import Request, Run, Verdict
from tests.fakes import (
    SAME,
    SURE_NO,
    SURE_YES,
    Cast,
    FakeChat,
    ShyJudge,
    make_library,
    make_pipeline,
    thing_in,
    tile,
)


class Told(FakeChat):
    """Sure of things as it is told, by name; of all others as its last reply says."""

    def __init__(self, reply: str, **sure: float) -> None:
        super().__init__(reply)
        self.sure = sure
        self.questions: list[str] = []

    def sureness(self, questions: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
        self.questions += questions
        usual = super().sureness(questions, images)
        return [self.sure.get(thing_in(q), known) for q, known in zip(questions, usual, strict=True)]


def judged(folder: Path, prompt: str, vlm: FakeChat, **request: object) -> Run:
    return make_pipeline(folder, Cast(vlm=vlm))(Request(prompt, steps=1, **request))  # type: ignore[arg-type]


def sight(run: Run, name: str) -> Sight:
    verdict = run.rounds[0].verdict
    assert verdict is not None
    return next(sight for sight in verdict.sights if sight.name == name)


ALL = "Seen: dog, owl\nMatches: yes\nMissing: none"


@pytest.mark.parametrize(
    ("reply", "sure", "outcome"),
    [
        (ALL, SURE_YES, "there"),
        (ALL, 0.5, "not sure"),
        (ALL, SURE_NO, "absent"),
        ("Seen: dog\nMatches: no\nMissing: owl", SURE_YES, "not sure"),
        ("Seen: dog\nMatches: no\nMissing: owl", 0.5, "absent"),
        ("Seen: dog\nMatches: no\nMissing: owl", SURE_NO, "absent"),
    ],
)
def test_words_and_likelihoods_have_to_agree(tmp_path: Path, reply: str, sure: float, outcome: str) -> None:
    run = judged(tmp_path, "a dog and an owl", Told(reply, owl=sure))
    verdict = run.rounds[0].verdict
    assert verdict is not None and sight(run, "owl").outcome == outcome
    assert verdict.matches == (outcome == "there")
    assert verdict.missing == (("owl",) if outcome == "absent" else ())


def test_a_word_that_nobody_knows_is_not_sure_at_best(tmp_path: Path) -> None:
    run = judged(tmp_path, "a dog and a pikachu", FakeChat("Seen: dog, pikachu\nMatches: yes\nMissing: none"))
    assert sight(run, "pikachu").outcome == "not sure" and "do not know" in sight(run, "pikachu").reason
    assert run.verdict is not None and not run.verdict.matches
    assert [rejection.name for rejection in run.round.rejected] == ["pikachu"] and not run.round.references


def test_what_is_left_out_is_absent_and_not_looked_up(tmp_path: Path) -> None:
    run = judged(tmp_path, "five dogs and an owl", FakeChat(f"Seen: dog, dog, dog, owl{ALL[14:]}"))
    assert sight(run, "dog").outcome == "absent" and sight(run, "dog").fewer == ("3 of 5 dogs", "2 of 5 dogs")
    assert run.verdict is not None and not run.verdict.matches and lacking(run.verdict) == "lacks 2 of 5 dogs"
    assert run.round.concepts == () and run.round.rejected == ()


def test_two_of_a_thing_have_to_be_named_twice(tmp_path: Path) -> None:
    for reply, outcome in (("dog", "not sure"), ("dog, dog", "there")):
        vlm = FakeChat(f"Seen: {reply}\nMatches: yes\nMissing: none")
        pipeline = make_pipeline(tmp_path / outcome, Cast(vlm=vlm), open_vocabulary=True)
        assert sight(pipeline(Request("two dogs", steps=1)), "dog").outcome == outcome
    assert times_seen("Seen: hot dog, a dog", "dog") == 1 and times_seen("nothing", "dog") == 0
    assert (
        times_seen("Seen: a dog, three dogs and 2 cats.", "dogs") == 4
        and times_seen("Seen: dogs", "dog") == 2
    )
    assert times_seen("Seen: 2x dogs", "dog") == 2 and times_seen("Seen: 0 dogs, zero dogs", "dog") == 0


def test_what_is_not_to_be_there_and_may_be_is_worded_as_that() -> None:
    unwanted, unsure = Sight("no dog", "not sure", None, SEEN), Sight("owl", "not sure", 0.5)
    assert lacking(Verdict(False, sights=(unwanted,))) == "perhaps still shows dog"
    both = Verdict(False, ("cat",), sights=(unwanted, unsure))
    assert lacking(both, "lacked") == "lacked cat and perhaps owl and perhaps still showed dog"
    assert lacking(Verdict(False, sights=(unsure,))) == "perhaps lacks owl"
    assert lacking(Verdict(False)) == "lacks something that the judge did not name"


def test_where_things_have_places_each_place_is_looked_at(tmp_path: Path) -> None:
    words = "Seen: dog, dog\nMatches: yes\nMissing: none"
    one = sight(
        judged(tmp_path / "1", "two dogs", ShyJudge(words)), "dog"
    )  # the picture has one, at the left
    assert one.outcome == "not sure" and "sees 1" in one.reason
    both = judged(tmp_path / "2", "two dogs", FakeChat("Seen: dog\nMatches: yes\nMissing: none"))
    assert sight(both, "dog").outcome == "there"


def test_every_thing_is_asked_about_once_an_image(tmp_path: Path) -> None:
    vlm = Told(ALL)
    judged(tmp_path, "a dog and an owl", vlm)
    assert [thing_in(question) for question in vlm.questions] == ["dog", "owl"]


@pytest.mark.parametrize("found", [True, False])
def test_the_nearest_picture_is_introduced_as_that(tmp_path: Path, found: bool) -> None:
    """A picture that is not called like the thing: without its name the judge has to find it in the image."""
    folder = make_library(tmp_path / "others", "cat")
    tile("owl").save(folder / "img_1.png")
    vlm = Told("", **{SAME: SURE_YES if found else SURE_NO})
    vlm.replies = ["Seen: dog\nMatches: no\nMissing: owl", ALL]
    pipeline = make_pipeline(tmp_path, Cast(vlm=vlm))
    pipeline.profile = replace(pipeline.profile, retrieval=replace(pipeline.profile.retrieval, close=1.1))
    run = pipeline(Request("a dog and an owl", steps=1, library=str(folder)))
    second = run.round.second_verdict
    assert second is not None and second.matches == found and bool(run.kept) == found
    assert "Picture 2 is the nearest that was found for an owl" in vlm.asked[-1][0]


def test_what_the_models_make_up_is_neither_looked_up_nor_listed(tmp_path: Path) -> None:
    """Where no thing was found, a name has to stand in the prompt, as whole words."""
    run = judged(tmp_path, "draw", FakeChat("Seen: something\nMatches: no\nMissing: Sw"))
    assert run.reading is not None and run.reading.things == ()
    assert run.verdict is not None and not run.verdict.matches and run.verdict.missing == ()
    assert run.round.concepts == () and run.round.rejected == ()
    assert [is_held(name, (), run) for name in ("Draw", "S", "raw", "7", "draw diamond")] == [
        True,
        *[False] * 4,
    ]
    assert is_held("diamond", ["diamond"], run)
