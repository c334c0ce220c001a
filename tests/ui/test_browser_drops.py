"""Pictures that are dropped on the page in a real browser: what was saved comes back, of others the page asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import served
from tests.ui.test_browser import browser, run, sync_api  # noqa: F401  a fixture
from tests.ui.test_browser_corrections import PROMPT, finished, picture
from tests.ui.test_browser_history import cards, drop, look_back, opened, page_in, person  # noqa: F401  a fixture

ASKED = "dialog.ir-drop"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("dropped") / "results"


@pytest.fixture(scope="module")
def url(results) -> Iterator[str]:
    with served(*page_in(results.parent)) as address:
        yield address


def asked(page: sync_api.Page, file: str, where: str = "#ir-right") -> sync_api.Locator:
    drop(page, where, Path(file))
    page.wait_for_selector(f"{ASKED}[open] img")
    return page.locator(ASKED)


def test_what_to_do_with_a_picture_is_asked(person, url, results, tmp_path):  # noqa: F811
    page = opened(person, url)
    file = picture(tmp_path, "dog")
    dialog = asked(page, file, "#ir-prompt textarea")
    assert dialog.locator("[data-way=initial]").is_disabled()
    assert dialog.locator("[data-way=reference]").is_disabled()
    page.keyboard.press("Escape")
    page.wait_for_selector(ASKED, state="detached")
    asked(page, file).locator("[data-way=caption]").click()
    page.wait_for_selector("#ir-cap-picture img")
    page.wait_for_selector("#ir-cap-banner:has-text('has no captions to read')")  # it was asked for at once
    page.click("#ir-cap-stop")  # nothing is at work
    page.wait_for_timeout(500)
    assert "stopped" not in page.inner_text("#ir-cap-banner")
    asked(page, file, "#ir-cap-right").locator("[data-way=search]").click()
    page.wait_for_selector("#ir-lib-picture img")
    page.wait_for_selector("#ir-lib-heading:has-text('result')")
    asked(page, file, "#ir-lib-right").locator("[data-way=library]").click()
    page.wait_for_selector("#ir-lib-files:has-text('mine')")


def test_a_picture_goes_into_the_run_that_is_shown(person, url, results, tmp_path):  # noqa: F811
    page = opened(person, url)
    finished(page, results, lambda page: run(page, PROMPT))
    file = picture(tmp_path, "toolbox")
    look_back(page)
    for way, field, button in (("initial", "own-image", "use_image"), ("reference", "own-picture", "own")):
        asked(page, file, "#ir-tabs").locator(f"[data-way={way}]").click()
        page.wait_for_selector(f"#ir-{field} img")
        assert page.is_visible(f"#ir-do-{button}")
    record = finished(page, results, lambda page: page.click("#ir-do-own"))
    assert record["references"][0]["own"]


def test_a_saved_png_brings_its_prompt_and_is_kept_once(browser, person, url, results):  # noqa: F811
    page = opened(person, url)
    record = finished(page, results, lambda page: run(page, PROMPT))
    file = results / record["id"] / "result.png"
    other = browser.new_context()  # of somebody who never had it
    page = opened(other, url)
    finished(page, results, lambda page: drop(page, "#ir-right", file))
    assert page.input_value("#ir-prompt textarea") == PROMPT
    for _ in range(2):
        page.fill("#ir-prompt textarea", "something else")
        drop(page, "#ir-right", file)
        page.wait_for_selector("#ir-result .ir-report:has-text('in your history already')")
        page.wait_for_function("p => document.querySelector('#ir-prompt textarea').value === p", arg=PROMPT)
        assert page.locator(ASKED).count() == 0
    look_back(page)
    cards(page, 1)
    other.close()
