"""What is seen inside a step, as markup and as the page's handlers give it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from types import SimpleNamespace
from typing import Any

import numpy as np

from imgrag.runs.asking import Exchange
from imgrag.runs.inside import Heat, Inside
from imgrag.runs.values import Request, Run, StageReport
from imgrag.ui.create import inside
from imgrag.ui.create.asked import asked
from imgrag.ui.create.board import PanelState, board_of
from imgrag.ui.create.events.inside import Looks
from imgrag.ui.create.events.runs import Runs
from tests.fakes import tile
from tests.served import page_pipeline

PROMPT = "a dog and a toolbox"
BAD = '<script>alert("x")</script>'
HERE: Any = SimpleNamespace(session_hash="here", headers={}, request=None, cookies={})


def seen(**changes: Any) -> Inside:
    maps = np.array([[[0, 1], [2, 4]], [[0, 0], [0, 2]]], np.float32)
    heats = (Heat(BAD, "word", maps), Heat("toolbox", "reference", maps))
    frames = (tile("dog"), tile("owl"))
    return replace(Inside("initial", 1, tile("dog"), frames, heats, True), **changes)


def film_of(html: str) -> dict[str, Any]:
    found = re.search(r'data-film="([^"]*)"', html)
    assert found
    return json.loads(unescape(found[1]))


def test_a_film_has_a_frame_a_step_and_its_maps_as_bytes():
    film = film_of(inside.figure(seen()))
    assert len(film["frames"]) == 2
    assert all(frame.startswith("data:image/") for frame in film["frames"])
    heat = film["heats"][0]
    assert (heat["steps"], heat["height"], heat["width"]) == (2, 2, 2)
    assert list(base64.b64decode(heat["maps"])) == [0, 64, 128, 255, 0, 0, 0, 128]


def test_names_are_escaped_and_a_reference_is_called_one():
    html = inside.viewer({"initial": inside.figure(seen())})
    assert BAD not in html
    assert "reference: toolbox" in html


def test_another_image_or_no_maps_are_said():
    assert "not the same image" in inside.figure(seen(same=False))
    told = inside.figure(seen(heats=(), note="This generator does not show where references acted."))
    assert "does not show" in told
    assert "data-heat" not in told


def test_films_stand_in_the_order_of_the_steps_with_one_slider():
    html = inside.viewer({"enhanced": "<b>second</b>", "initial": "<b>first</b>", "run": "an id"})
    assert html.index("first") < html.index("second")
    assert html.count('type="range"') == 1
    assert inside.viewer({"run": "an id"}) == ""


def stopping(looks: Looks, before: Any) -> Iterator[Any]:
    """The updates of a look that is stopped at its first step."""
    for update in looks.look("initial", HERE, before):
        looks.stop(HERE)
        yield update


def test_a_look_shows_how_far_it_is_and_then_the_film_and_keeps_the_other_one(tmp_path):
    pipeline = page_pipeline(tmp_path)
    runs = Runs(pipeline, {"pocket": "pocket"})
    run = pipeline(Request("quick " + PROMPT, steps=4))
    runs.sessions.open("here", board_of(run))
    looks = Looks(runs, pipeline)
    *steps, (first, _) = looks.look("initial", HERE, {})
    assert all("ir-strip" in html for _, html in steps)
    assert len(steps) == 5
    *_, (both, html) = looks.look("enhanced", HERE, first)
    assert set(both) == {"run", "initial", "enhanced"}
    assert html.count("data-film") == 2
    *_, (kept, again) = stopping(looks, both)
    assert (kept, again) == (both, html)
    other = replace(run, id="20260101-000000000000-000000")
    runs.sessions.open("here", board_of(other))
    *_, (fresh, _) = looks.look("initial", HERE, both)
    assert set(fresh) == {"run", "initial"}


def test_a_film_does_not_come_under_another_run(tmp_path):
    pipeline = page_pipeline(tmp_path)
    runs = Runs(pipeline, {"pocket": "pocket"})
    run = pipeline(Request("quick " + PROMPT, steps=4))
    runs.sessions.open("here", board_of(run))
    looks = Looks(runs, pipeline)
    updates = looks.look("initial", HERE, {})
    assert "ir-strip" in next(updates)[1]
    runs.sessions.open("here", board_of(replace(run, id="20260101-000000000000-000000")))
    assert list(updates) == [[{}, ""]] and not looks._stops


def test_where_there_is_nothing_to_look_into_a_sentence_says_so(tmp_path):
    pipeline = page_pipeline(tmp_path)
    runs = Runs(pipeline, {})
    looks = Looks(runs, pipeline)
    ((_, html),) = looks.look("initial", HERE, {})
    assert "no run on this page" in html
    runs.sessions.open("here", board_of(pipeline(Request("quick a dog", steps=2))))
    *_, (_, html) = looks.look("enhanced", HERE, {})
    assert "not drawn yet" in html


def test_what_was_asked_is_told_word_for_word_and_escaped():
    exchange = Exchange("vlm", f"Is it {BAD}?", "Yes, it is.", 2, 12, 4, 0.5, 0.3)
    report = StageReport("verdict", "done", asked=(exchange,))
    run = Run("id", Request(PROMPT), "pocket", "pocket", "", {}, stages=(report,))
    html = asked(PanelState("verdict", "done", run=run))
    assert BAD not in html and "Is it &lt;script&gt;" in html and "Yes, it is." in html
    assert "12 tokens read, 4 written" in html and "pictures shown: 2" in html and "temperature 0.3" in html
    assert asked(PanelState("concepts", "done", run=run)) == ""
    assert asked(PanelState("verdict")) == ""
