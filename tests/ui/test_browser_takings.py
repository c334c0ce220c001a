"""Single things that are taken from a run or from a library's picture, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import served
from tests.ui.test_browser import browser, run, sync_api, violations  # noqa: F401  a fixture
from tests.ui.test_browser_corrections import PROMPT, corrected, finished
from tests.ui.test_browser_history import cards, look_back, opened, page_in, person  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("takings") / "results"


@pytest.fixture(scope="module")
def url(results) -> Iterator[str]:
    with served(*page_in(results.parent)) as address:
        yield address


def take(page: sync_api.Page, within: str, act: str) -> None:
    menu = page.locator(f"{within} details.ir-take").first
    menu.locator("summary").click()
    menu.locator(f"[data-do={act}]").click()


def test_prompt_and_seed_of_a_run_are_taken_alone(person, url, results):  # noqa: F811
    page = opened(person, url)
    record = finished(page, results, lambda page: run(page, PROMPT))
    page.fill("#ir-prompt textarea", "a cat")
    take(page, ".ir-viewer", "take-seed")
    page.wait_for_selector("#ir-lock input:checked")
    assert page.input_value("#ir-seed input") == str(record["seed"])
    assert page.input_value("#ir-prompt textarea") == "a cat"
    look_back(page)
    cards(page, 1)
    assert violations(page) == {}
    take(page, ".ir-card", "take-prompt")
    page.wait_for_function(f"document.querySelector('#ir-prompt textarea').value === '{PROMPT}'")
    assert page.locator("#ir-prompt").is_visible()


def test_a_picture_of_the_history_becomes_another_runs_initial_image(person, url, results):  # noqa: F811
    page = opened(person, url)
    first = finished(page, results, lambda page: run(page, "quick a car"))
    finished(page, results, lambda page: run(page, PROMPT))
    look_back(page)
    cards(page, 2)
    take(page, f".ir-card:has([data-id='{first['id']}'])", "take-initial")
    page.wait_for_selector("#ir-own-image img")
    done = finished(page, results, lambda page: page.click("#ir-do-use_image"))
    assert "initial" in corrected(done)
    assert done["prompt"] == PROMPT and done["parent"]


def test_the_shown_picture_is_a_reference_of_its_own_run(person, url, results):  # noqa: F811
    page = opened(person, url)
    finished(page, results, lambda page: run(page, PROMPT))
    take(page, ".ir-viewer", "take-reference")
    page.wait_for_selector("#ir-own-picture img")
    done = finished(page, results, lambda page: page.click("#ir-do-own"))
    assert done["references"][0]["own"]


def test_a_card_of_the_library_opens_large_and_is_drawn_with(person, url, results):  # noqa: F811
    page = opened(person, url)
    finished(page, results, lambda page: run(page, PROMPT))
    page.fill("#ir-prompt textarea", "a cat")
    page.get_by_role("tab", name="Library").press("Enter")
    card = "#ir-lib-grid .ir-card:has(strong:text-is('toolbox'))"
    page.click(f"{card} .ir-shot img")
    page.wait_for_selector(".ir-lightbox img[src^='data:image/webp']")
    page.keyboard.press("Escape")
    assert violations(page) == {}
    take(page, card, "take-name")
    page.wait_for_function("document.querySelector('#ir-prompt textarea').value === 'a cat and a toolbox'")
    page.get_by_role("tab", name="Library").press("Enter")
    take(page, card, "take-reference")
    page.wait_for_selector("#ir-own-picture img")


def test_without_a_run_a_librarys_picture_is_refused_in_words(person, url):  # noqa: F811
    page = opened(person, url)
    page.get_by_role("tab", name="Library").press("Enter")
    take(page, "#ir-lib-grid .ir-card", "take-reference")
    page.wait_for_selector("#ir-banner:has-text('There is no run on this page')")


def test_several_images_stand_in_a_grid_and_another_one_goes_on(person, url, results):  # noqa: F811
    page = opened(person, url)
    page.click("#ir-settings > button")
    page.fill("#ir-images input[type=number]", "3")
    page.keyboard.press("Tab")
    record = finished(page, results, lambda page: run(page, PROMPT))
    assert record["settings"]["images"] == len(record["drafts"]) == 3
    shown = page.locator(".ir-drafts button")
    assert shown.count() == 3 and "likeliest" in page.inner_text(".ir-drafts")
    assert page.get_attribute(f"[data-draft='{record['chosen']}']", "aria-pressed") == "true"
    assert violations(page) == {}
    other = (record["chosen"] + 1) % 3
    done = finished(page, results, lambda page: page.click(f"[data-draft='{other}']"))
    assert (done["chosen"], done["parent"]) == (other, record["id"])
    assert page.get_attribute(f"[data-draft='{other}']", "aria-pressed") == "true"
    page.reload()
    look_back(page)
    cards(page, 2)
    page.click(f"[data-do=open][data-id='{record['id']}']")
    page.wait_for_function("document.querySelectorAll('.ir-drafts button').length === 3")
    page.click("#ir-settings > button")
    page.wait_for_function("document.querySelector('#ir-images input[type=number]')?.value === '3'")
