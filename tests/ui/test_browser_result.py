"""The result at the top of the page in a real browser: large, first, compared by choice, as large as the window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.served import served
from tests.ui.test_browser import PROMPT, browser, opened, run, sync_api, wait_for  # noqa: F401  a fixture

BOX = "selector => { const box = document.querySelector(selector).getBoundingClientRect(); return [box.top + scrollY, box.width]; }"


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with served("-m", "tests.served", "--folder", str(tmp_path_factory.mktemp("result"))) as address:
        yield address


def finished(browser: sync_api.Browser, url: str, width: int = 1400, height: int = 900) -> sync_api.Page:  # noqa: F811
    page = opened(browser, url, width, height)
    run(page, "quick " + PROMPT)
    wait_for(page, "finished")
    page.wait_for_selector(".ir-viewer:not([data-live]) .ir-frame > img[src]")
    return page


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (820, 1180), (390, 844), (320, 640)])
def test_the_kept_image_stands_large_above_the_steps(browser, url, width, height):  # noqa: F811
    page = finished(browser, url, width, height)
    top, side = page.evaluate(BOX, ".ir-frame > img")
    assert side >= min(560, 0.35 * width) and top < height * 0.75
    assert page.evaluate(BOX, ".ir-board")[0] > top + side
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.get_attribute(".ir-frame > img", "alt") == f"Result for the prompt: quick {PROMPT}"
    page.close()


def test_a_preview_stands_there_until_then(browser, url):  # noqa: F811
    page = opened(browser, url)
    run(page, f"{PROMPT} [initial: lingers]")
    page.wait_for_selector(".ir-viewer[data-live] .ir-frame > img[src]")
    same = "() => document.querySelector('.ir-frame > img').src === document.querySelector('.ir-stage-initial img').src"
    page.wait_for_function(same)
    page.click("#ir-stop")
    wait_for(page, "stopped")
    page.close()


def test_the_two_images_are_compared_in_three_ways(browser, url):  # noqa: F811
    page = finished(browser, url)
    both = page.locator(".ir-both figure")
    assert not both.first.is_visible()
    page.click("[data-view=sides]:not(.ir-viewer)")
    first, second = (figure.bounding_box() for figure in both.all())
    assert second["x"] > first["x"] + first["width"] - 1 and first["y"] == second["y"]
    page.click("[data-view=slider]:not(.ir-viewer)")
    page.press("[data-view=slider]:not(.ir-viewer)", "Tab")
    page.focus(".ir-slide")
    page.keyboard.press("ArrowRight")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.ir-viewer')).getPropertyValue('--ir-part')")
        == "51%"
    )
    page.click("[data-view=blink]:not(.ir-viewer)")
    for hidden in ("figure:first-child", "figure:last-of-type"):
        page.wait_for_function(
            "which => getComputedStyle(document.querySelector('.ir-both ' + which)).visibility === 'hidden'",
            arg=hidden,
        )
    page.click("[data-view=whole]:not(.ir-viewer)")
    assert page.is_visible(".ir-frame > img") and not both.first.is_visible()
    page.close()


def test_a_picture_opens_as_large_as_the_window_and_closes_again(browser, url):  # noqa: F811
    page = finished(browser, url)
    page.click("[data-large]")
    box = page.locator(".ir-lightbox img").bounding_box()
    assert box["width"] > 1300 and box["height"] > 750
    page.keyboard.press("Escape")
    page.wait_for_selector(".ir-lightbox", state="detached")
    page.click(".ir-stage-initial .ir-picture img")
    assert "Initial image" in page.get_attribute(".ir-lightbox img", "alt")
    page.keyboard.press("ArrowRight")
    assert "Reference for toolbox" in page.get_attribute(".ir-lightbox img", "alt")
    page.get_by_role("button", name="Close").click()
    page.wait_for_selector(".ir-lightbox", state="detached")
    page.close()
