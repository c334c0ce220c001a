"""The prompt's field in a real browser: what was typed is read, names complete it, and a reading is corrected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imgrag.ui.create.events.prompts import MOST_NAMES
from tests.ui.test_browser import (  # noqa: F401  two are fixtures
    browser,
    opened,
    run,
    status,
    sync_api,
    url,
    wait_for,
)

FIELD = "#ir-prompt textarea"
AIMED = 400  # ms until a press on a name that has just come is taken for meant
OPTIONS = "#ir-names-list:not([hidden]) [role=option]"


@pytest.fixture(scope="module")
def shared(browser, url) -> Iterator[sync_api.Page]:  # noqa: F811
    page = opened(browser, url)
    yield page
    page.close()


@pytest.fixture
def page(shared) -> sync_api.Page:
    """The page with an empty field that has the focus."""
    shared.fill(FIELD, "")
    shared.wait_for_selector("#ir-typed .ir-thing", state="detached")
    shared.focus(FIELD)
    return shared


def test_what_is_typed_is_read_while_it_is_typed(page):
    page.keyboard.type("a dog and a tolbox")
    page.wait_for_selector('#ir-typed .ir-thing[data-thing="toolbox"]')
    assert "the generator draws it" in page.inner_text('#ir-typed .ir-thing[data-thing="dog"]')
    assert "taken for toolbox" in page.inner_text('#ir-typed .ir-thing[data-thing="toolbox"]')
    assert page.input_value(FIELD) == "a dog and a tolbox"
    page.fill(FIELD, "")
    page.wait_for_selector("#ir-typed .ir-thing", state="detached")


def test_it_is_read_while_a_run_goes(page):
    run(page, "slow a dog")
    page.wait_for_selector('.ir-stage-initial [data-status="running"]')
    page.fill(FIELD, "a toolbox")
    page.wait_for_selector('#ir-typed .ir-thing[data-thing="toolbox"]')
    assert status(page, "initial") == "running"
    page.click("#ir-stop")
    wait_for(page, "stopped")


@pytest.mark.parametrize("key", ["Enter", "Tab"])
def test_a_name_is_completed_by_the_keyboard_alone(page, key):
    page.keyboard.type("a dog and a tool")
    page.wait_for_selector(OPTIONS)
    assert page.get_attribute(FIELD, "aria-controls") == "ir-names-list"
    page.keyboard.press("ArrowDown")
    active = page.get_attribute(FIELD, "aria-activedescendant")
    assert page.get_attribute(f"#{active}", "aria-selected") == "true"
    name = page.get_attribute(f"#{active}", "data-name")
    page.keyboard.press(key)
    assert page.input_value(FIELD) == f"a dog and a {name}"
    assert not page.query_selector_all(OPTIONS) and page.get_attribute(FIELD, "aria-activedescendant") is None
    page.wait_for_selector(f'#ir-typed .ir-thing[data-thing="{name}"]')
    assert page.evaluate("document.activeElement.closest('#ir-prompt') !== null")


def test_escape_puts_the_list_away_and_a_click_takes_a_name(page):
    page.keyboard.type("a ca")
    page.wait_for_selector(OPTIONS)
    assert len(page.query_selector_all(OPTIONS)) <= MOST_NAMES
    page.keyboard.press("Escape")
    assert not page.query_selector_all(OPTIONS)
    page.keyboard.type("t")
    page.wait_for_selector(OPTIONS)
    name = page.get_attribute(OPTIONS, "data-name")
    page.wait_for_timeout(AIMED)
    page.click(OPTIONS)
    assert page.input_value(FIELD) == f"a {name}"


def test_enter_runs_where_no_name_is_marked(page):
    page.keyboard.type("quick a tool")
    page.wait_for_selector(OPTIONS)
    page.keyboard.press("Enter")
    wait_for(page, "finished")
    assert page.input_value(FIELD) == "quick a tool" and not page.query_selector_all(OPTIONS)


def test_names_cover_no_button_and_move_none(page):
    page.fill(FIELD, "")
    place = page.locator("#ir-run").bounding_box()
    page.keyboard.type("quick a bow")
    page.wait_for_selector(OPTIONS)
    assert page.locator("#ir-run").bounding_box() == place
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    wait_for(page, "finished")
    assert page.input_value(FIELD) == "quick a bow" and not page.query_selector_all(OPTIONS)


def test_keys_pressed_before_the_names_are_there_are_not_kept_for_them(page):
    page.keyboard.type("quick a tool", delay=1)
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(OPTIONS)
    assert page.get_attribute(FIELD, "aria-activedescendant") is None
    page.keyboard.type("b")
    page.keyboard.press("Enter")
    wait_for(page, "finished")
    page.wait_for_selector("#ir-typed:not([data-stale])")
    assert page.input_value(FIELD) == "quick a toolb" and not page.query_selector_all(OPTIONS)


def test_a_surprise_fills_the_field_and_is_read(page):
    page.click("#ir-surprise")
    page.wait_for_selector("#ir-typed .ir-thing[data-known=known]")
    assert page.input_value(FIELD) and not page.query_selector_all(OPTIONS)


def test_the_names_unfold_below_the_line_on_what_is_drawn(page):
    assert not page.is_visible(".ir-vocabulary")
    page.click("#ir-draws summary")
    assert "toolbox" in page.inner_text(".ir-vocabulary")
    page.click("#ir-draws summary")


def test_a_reading_is_corrected_and_the_run_goes_on_from_there(page):
    run(page, "quick a dog and a toolbox")
    wait_for(page, "finished")
    page.click("#ir-correct-reading > button")
    page.wait_for_function("document.querySelector('#ir-read-as textarea').value === 'a dog and a toolbox'")
    page.fill("#ir-read-as textarea", "a cat and an owl")
    page.click("#ir-do-reread")
    page.wait_for_selector('.ir-stage-reading [data-status="corrected"]')
    wait_for(page, "finished")
    assert "cat" in page.inner_text(".ir-stage-reading .ir-things")
    assert "Missing: owl" in page.inner_text(".ir-stage-verdict")
    page.click("#ir-correct-reading > button")
