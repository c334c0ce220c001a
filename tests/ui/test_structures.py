"""Structures on the page: what is drawn and given, what is shown of it, and once in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gradio.utils import get_upload_folder
from PIL import Image

from imgrag.errors import RequestError
from imgrag.runs.structure import Structure
from imgrag.runs.values import Request
from imgrag.ui.create.events.changes import Changes
from imgrag.ui.create.events.runs import Runs
from imgrag.ui.create.structures import EXAMPLE, MOST_LETTERS, along, asked_for, drawn, held, hold
from tests.engine.test_structuring import sketch
from tests.fakes import Cast, make_pipeline
from tests.served import served
from tests.ui.test_browser import browser, sync_api  # noqa: F401  browser is a fixture

ME = SimpleNamespace(session_hash="me")
FOLD = ("", "", "edges", 0.7, 0.6, False, "")


def test_strokes_become_a_picture():
    picture = drawn("100 100 900 100;500 500")
    assert picture is not None
    dark = np.asarray(picture.convert("L")) < 128
    assert dark[51, 60:450].all() and dark[256, 256] and dark.mean() < 0.05
    assert drawn("") is drawn(" ; ") is None
    umbrella = drawn(EXAMPLE)
    assert umbrella is not None and umbrella.getextrema()[0] == (0, 255)


@pytest.mark.parametrize(
    "strokes", ["1 2 3", "1 2;x y", "1 2 3 1001", "-1 0", "nan nan", "1e400 1", "1 " * MOST_LETTERS, "[]"]
)
def test_strokes_that_are_none_are_refused(strokes):
    with pytest.raises(RequestError, match=r"What was drawn cannot be read\. Clear it, and draw it again\."):
        drawn(strokes)


def test_a_picture_is_kept_under_a_name_and_no_other_is_opened(tmp_path):
    sketch().save(tmp_path / "sketch.png")
    name = hold(str(tmp_path / "sketch.png"))
    assert held(name).tobytes() == sketch().tobytes()
    for other in ("0" * 32, f"../{name}", str(tmp_path / "sketch.png"), name[:-1], "sketch"):
        with pytest.raises(RequestError, match="not here any more"):
            held(other)
    sketch().save(tmp_path / "moving.gif", save_all=True, append_images=[Image.new("RGB", (64, 64))])
    with pytest.raises(RequestError, match="it is animated"):
        hold(str(tmp_path / "moving.gif"))
    (Path(get_upload_folder()) / name / "structure.png").unlink()
    with pytest.raises(RequestError, match="not here any more"):
        held(name)


def test_the_fold_asks_for_one_structure_or_none(tmp_path):
    assert asked_for(*FOLD) is None
    wanted = asked_for(EXAMPLE, *FOLD[1:6], "style")
    assert wanted is not None
    assert (wanted.kind, wanted.scale, wanted.share, wanted.similar) == ("sketch", 0.7, 0.6, "style")
    own = asked_for("", "", "edges", 0.7, 0.6, True, "both")
    assert own is not None and own.picture is None and own.similar is None
    sketch().save(tmp_path / "sketch.png")
    name = hold(str(tmp_path / "sketch.png"))
    for both in ((EXAMPLE, name), (EXAMPLE, "")):
        with pytest.raises(RequestError, match="not both"):
            asked_for(*both, "edges", 0.7, 0.6, not both[1], "")


def test_a_panel_shows_what_its_image_was_drawn_along():
    image = Image.new("RGB", (64, 64))
    given, own = Structure("sketch", 0.9, 0.5, image), Structure("edges", 1.0, 1.0, image, initial=True)
    assert "scale 0.9, share 0.5" in along(given, False) and along(given, False) == along(given, True)
    assert (
        along(own, False)
        == along(None, True)
        == along(Structure("edges", 1.0, 1.0, initial=True), True)
        == ""
    )
    assert "the initial image" in along(own, True)


def test_the_panels_buttons_change_it(tmp_path):
    cast = Cast()
    pipeline = make_pipeline(tmp_path, cast, control=True)
    runs = Runs(pipeline, {"pocket": "pocket"})
    changes = Changes(runs, pipeline)
    runs.show(ME, pipeline(Request("a dog and an owl", steps=2)))
    list(changes.restructure(ME, False, EXAMPLE, *FOLD[1:]))
    run = runs.run_of(ME)
    assert run is not None and run.structure is not None
    assert (run.structure.kind, run.structure.scale, run.state) == ("sketch", 0.7, "finished")
    list(changes.compose(ME, False, *FOLD))
    assert runs.run_of(ME).structure.initial
    list(changes.unstructure(ME, False))
    assert runs.run_of(ME).structure is None
    said = str(list(changes.restructure(ME, False, *FOLD)))
    assert "No structure is chosen" in said
    assert [call["control"] is not None for call in cast.generator.calls] == [False] * 2 + [True] * 2 + [
        False, True, False
    ]  # fmt: skip


def test_a_sketch_is_drawn_and_a_picture_given_in_a_browser(browser, tmp_path):  # noqa: F811
    picture = Image.new("RGB", (120, 120), "white")
    picture.paste("navy", (30, 30, 90, 90))
    picture.save(tmp_path / "picture.png")
    with served("-m", "tests.served", "--folder", str(tmp_path / "data")) as url:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("#ir-run:not([disabled])", timeout=60_000)
        page.click("#ir-structure > button")
        canvas = page.locator("#ir-sketch canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        for left in (0.2, 0.5):
            page.mouse.move(box["x"] + left * box["width"], box["y"] + 0.3 * box["height"])
            page.mouse.down()
            page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.7 * box["height"], steps=5)
            page.mouse.up()
        strokes = page.locator("#ir-strokes textarea")
        assert strokes.input_value().count(";") == 1
        page.click('[data-sketch="undo"]')
        assert ";" not in strokes.input_value() and strokes.input_value()
        page.fill("#ir-prompt textarea", "a dog and a toolbox")
        page.click("#ir-run")
        page.wait_for_selector("#ir-strip [data-phase='finished']", timeout=120_000)
        sync_api.expect(page.locator(".ir-condition img")).to_have_count(2)
        page.click('[data-sketch="clear"]')
        page.set_input_files("#ir-control input[type=file]", str(tmp_path / "picture.png"))
        page.wait_for_selector("#ir-control-seen .ir-condition img", timeout=60_000)
        page.click("#ir-run")
        page.wait_for_selector("#ir-strip [data-phase='running']", timeout=60_000)
        page.wait_for_selector("#ir-strip [data-phase='finished']", timeout=120_000)
        page.close()
    kinds = [
        json.loads(file.read_text())["structure"]["kind"]
        for file in sorted((tmp_path / "data" / "results").glob("*/run.json"))
    ]
    assert kinds == ["sketch", "edges"]
