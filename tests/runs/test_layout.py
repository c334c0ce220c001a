"""Where references guide, for a generator that puts things side by side."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from imgrag.runs.layout import FREE, SIDE_BY_SIDE, placed
from imgrag.runs.values import Box, Candidate, Reference, Request, Round, Run, Verdict, new_id
from tests.fakes import tile

WHOLE, LEFT, RIGHT = Box(), Box(right=0.5), Box(left=0.5)


def reference(name: str, region: Box = WHOLE) -> Reference:
    return Reference(name, Candidate(f"{name}.png", 0.5), tile("owl"), region=region)


def run(prompt: str, seen: tuple[str, ...], missing: tuple[str, ...]) -> Run:
    now = datetime.now(timezone.utc)
    rounds = (Round(verdict=Verdict(False, missing, seen)),)
    return Run(new_id(now), Request(prompt), "pocket", "mine", "", {}, rounds=rounds)


@pytest.mark.parametrize(
    ("prompt", "seen", "missing", "regions"),
    [
        ("an owl and a toolbox", (), ("owl", "toolbox"), [LEFT, RIGHT]),
        ("a Toolbox with an OWL", (), ("owl", "toolbox"), [RIGHT, LEFT]),
        ("a toolbox and an owl", (), ("owl", "toolbox", "idea"), [RIGHT, LEFT, Box()]),
        ("an owl and a dog", ("dog",), ("owl",), [Box()]),  # nothing to keep it apart from
        ("an owl", (), ("owl",), [Box()]),
        ("an owl", (), ("owl", "dog"), [Box(), Box()]),  # the judge missed what nobody asked for
        ("a hot dog and an owl", (), ("hot dog", "dog", "owl"), [LEFT, Box(), RIGHT]),
        ("a scene", (), ("owl", "toolbox"), [Box(), Box()]),
        (
            "a dog, a cat and an owl",
            ("dog",),
            ("cat", "owl"),
            [Box(left=1 / 3, right=2 / 3), Box(left=2 / 3)],
        ),
        ("an owlet and a dog", (), ("owl", "dog"), [Box(), Box()]),
    ],
)
def test_each_thing_has_its_part(prompt, seen, missing, regions):
    found = placed([reference(name) for name in missing], run(prompt, seen, missing), SIDE_BY_SIDE)
    assert [item.region for item in found] == regions


def test_a_thing_keeps_to_its_part_where_another_has_no_reference():
    asked = run("an owl and a zorblax", (), ("zorblax", "owl"))
    assert [item.region for item in placed([reference("owl")], asked, SIDE_BY_SIDE)] == [LEFT]


def test_what_a_person_placed_stays():
    mine = reference("owl", Box(0.1, 0.1, 0.4, 0.4))
    assert placed([mine], run("a dog and an owl", (), ("dog", "owl")), SIDE_BY_SIDE) == (mine,)


def test_a_free_generator_is_left_free():
    given = [reference("owl"), reference("toolbox")]
    assert placed(given, run("an owl and a toolbox", (), ("owl", "toolbox")), FREE) == tuple(given)
    assert placed([], run("an owl", (), ()), SIDE_BY_SIDE) == ()
    assert replace(given[0], region=LEFT) != given[0]
