"""Keys, the place in the line, the tab's title and the signals, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.served import served
from tests.ui.test_browser import PROMPT, browser, opened, run, sync_api, wait_for  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with served("-m", "tests.served", "--folder", str(tmp_path_factory.mktemp("keys"))) as address:
        yield address


@pytest.fixture
def page(browser, url) -> Iterator[sync_api.Page]:  # noqa: F811
    page = opened(browser, url)
    yield page
    page.close()


def test_keys_run_stop_compare_and_list_themselves(page):
    page.fill("#ir-prompt textarea", f"{PROMPT} [initial: lingers]")
    page.focus("#ir-settings > button")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector('.ir-stage-initial [data-status="running"]')
    page.keyboard.press("Escape")
    wait_for(page, "stopped")
    run(page, "quick " + PROMPT)
    wait_for(page, "finished")
    page.wait_for_selector(".ir-frame > img[src]")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector('.ir-viewer[data-view="sides"]')
    page.keyboard.press("?")
    assert "Ctrl Enter" in page.inner_text(".ir-help")
    page.keyboard.press("Escape")
    page.wait_for_selector(".ir-help", state="detached")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.closest('#ir-prompt') !== null")


def test_stop_is_live_only_while_there_is_something_to_stop(page):
    page.wait_for_selector("#ir-stop[aria-disabled=true]")
    run(page, f"{PROMPT} [initial: lingers]")
    page.wait_for_selector("#ir-stop[aria-disabled=false]")
    page.click("#ir-stop")
    wait_for(page, "stopped")
    page.wait_for_selector("#ir-stop[aria-disabled=true]")


def test_the_tab_tells_how_far_it_is(page):
    run(page, f"{PROMPT} [initial: lingers]")
    page.wait_for_function("/^[1-9][0-9]*% · ImageRAG$/.test(document.title)")
    page.click("#ir-stop")
    page.wait_for_function("document.title === 'ImageRAG'")
    wait_for(page, "stopped")
    page.wait_for_selector("#ir-stop[aria-disabled=true]")
    run(page, "quick " + PROMPT)
    page.wait_for_function("document.title === '✓ ImageRAG'")


def test_the_place_in_the_line_is_said_in_words(browser, url, page):  # noqa: F811
    run(page, f"{PROMPT} [initial: lingers]")
    page.wait_for_selector('.ir-stage-initial [data-status="running"]')
    other = opened(browser, url)
    run(other, "quick a cat")
    other.wait_for_function(
        "document.querySelector('#ir-strip').dataset.line?.startsWith('Waiting for its turn')"
    )
    assert other.is_hidden("#ir-strip .progress-text")
    page.click("#ir-stop")
    wait_for(other, "finished")
    other.wait_for_function("document.querySelector('#ir-strip').dataset.line === ''")
    other.close()


def test_in_the_line_escape_leaves_it_and_no_prompt_does_not_join_it(browser, url, page):  # noqa: F811
    run(page, f"{PROMPT} [initial: lingers]")
    page.wait_for_selector('.ir-stage-initial [data-status="running"]')
    other = opened(browser, url)
    run(other, "   ")
    assert "The prompt is empty." in other.wait_for_selector("#ir-remark").inner_text()
    assert other.get_attribute("#ir-stop", "aria-disabled") == "true"
    run(other, "quick a cat")
    other.wait_for_selector("#ir-remark", state="detached")
    other.wait_for_selector("#ir-stop[aria-disabled=false]")
    other.keyboard.press("Escape")
    other.wait_for_selector("#ir-stop[aria-disabled=true]")
    page.click("#ir-stop")
    wait_for(page, "stopped")
    other.close()


def test_every_fold_says_of_which_step_it_is(page):
    names = page.eval_on_selector_all(
        ".ir-correct > button", "all => all.map(one => one.getAttribute('aria-label'))"
    )
    assert len(names) == len(set(names)) == 7 and all(
        name.startswith("Correct this step · ") for name in names
    )
