"""Looking inside in a real browser: the film by slider, the maps by a press, and stopping it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.served import served
from tests.ui.test_browser import PROMPT, browser, opened, run, sync_api, wait_for  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with served("-m", "tests.served", "--folder", str(tmp_path_factory.mktemp("inside"))) as address:
        yield address


def painted(page: sync_api.Page) -> bool:
    """Whether the map of the first film covers anything."""
    return page.evaluate(
        "() => { const map = document.querySelector('#ir-inside canvas'); "
        "return map.offsetParent !== null && map.getContext('2d').getImageData(0, 0, map.width, map.height).data.some(Boolean); }"
    )


def test_both_drawings_are_looked_into_side_by_side(browser, url):  # noqa: F811
    page = opened(browser, url)
    assert not page.is_visible("#ir-inside") and not page.is_visible("#ir-look-initial")
    run(page, "quick " + PROMPT)
    wait_for(page, "finished")
    for number, stage in enumerate(("initial", "enhanced"), start=1):
        page.click(f"#ir-look-{stage}")
        page.wait_for_selector(f"#ir-inside figure:nth-of-type({number}) img[src]")
    last = page.get_attribute("#ir-inside .ir-reel input", "max")
    assert page.inner_text("#ir-inside .ir-reel output") == f"{last} / {last}"
    page.focus("#ir-inside .ir-reel input")
    page.keyboard.press("Home")
    assert page.inner_text("#ir-inside .ir-reel output") == f"1 / {last}"
    assert not painted(page)
    word = page.locator("#ir-inside figure").first.locator("[data-heat]", has_text="dog")
    word.click()
    assert painted(page) and word.get_attribute("aria-pressed") == "true"
    word.click()
    assert not painted(page)
    for width in (820, 390, 320):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    run(page, "quick a dog")  # of another run nothing is seen yet
    page.wait_for_selector("#ir-inside", state="hidden")
    page.close()


def test_looking_is_stopped(browser, url):  # noqa: F811
    page = opened(browser, url)
    run(page, f"{PROMPT} [initial: lingers]")  # and so does the look
    wait_for(page, "finished")
    page.click("#ir-look-initial")
    page.wait_for_selector("#ir-inside .ir-strip")
    page.click("#ir-inside-stop")
    page.wait_for_selector("#ir-inside", state="hidden")
    page.click("#ir-look-initial")
    page.wait_for_selector("#ir-inside figure img[src]")
    page.close()
