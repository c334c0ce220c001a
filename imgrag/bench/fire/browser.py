"""Rows that only a browser can tell: a closed tab, requests of the page, axe, a narrow screen."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrag.bench import Figure
from imgrag.bench.fire.faults import explain
from imgrag.bench.fire.payloads import MARKUP
from imgrag.bench.fire.server import Server, serving
from imgrag.errors import ImgragError
from imgrag.runs.values import STAGES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Figures = dict[str, Figure]
PROMPT = "a dog and a toolbox"
STEP = 5.0  # seconds that a stand-in which stays takes for a step, or for a stage without steps
GRACE = 0.5  # seconds until a stream that was left is noticed by the server
TIMEOUT = 30_000  # ms
SERIOUS = ("serious", "critical")
MEASURE = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - window.innerWidth"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium, Playwright's own or an installed one.

    Raises:
        ImgragError: there is none.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise ImgragError("playwright is not installed. Run: pip install -r tests/requirements.txt") from None
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error:
            raise ImgragError("There is no Chromium. Run: playwright install chromium") from None
        try:
            yield browser
        except Error as error:
            raise ImgragError(f"The page did not do what it should: {str(error).splitlines()[0]}") from error
        finally:
            browser.close()


def closed_tabs(server: Server, count: int) -> Figures:
    """Close the tab in each stage, `count` times; seconds until nothing is in the models."""
    slowest = 0.0
    with chromium() as browser:
        for stage in STAGES:
            for _ in range(count):
                page = _opened(browser, server)
                _run(page, f"{PROMPT} [{stage}: stays]")
                page.wait_for_selector(f'.ir-stage-{stage} [data-status="running"]')
                page.close()
                slowest = max(slowest, _free_after(server) - STEP)
    return {"tabs": Figure(slowest, len(STAGES) * count)}


def outside_requests(folder: Path, count: int) -> Figures:
    """Requests of the page and connections of the server to other machines, from its start, over `count` visits."""
    asked: list[str] = []
    with serving(folder) as server, chromium() as browser:
        for _ in range(count):
            page = browser.new_page()
            page.on("request", lambda request: asked.append(request.url))
            _open(page, server)
            _run(page, PROMPT)
            _finished(page)
            _library(page)
            page.close()
        own = (server.url, "data:", "blob:")
        foreign = [url for url in asked if not url.startswith(own)] + server.watch()["reached"]
    explain("network", foreign)
    return {"network": Figure(len(foreign), len(asked))}


def accessibility(server: Server, count: int) -> Figures:
    """axe on both tabs after a run, light and dark; images without a text. `count` themes are looked at."""
    serious, nameless, looks = [], 0, 0
    with chromium() as browser:
        for theme in ("light", "dark")[:count]:
            page = _opened(browser, server, theme)
            _run(page, PROMPT)
            _finished(page)
            for tab in ("create", "library"):
                if tab == "library":
                    _library(page)
                serious += [f"{theme} {tab}: {found}" for found in _axe(page)]
                nameless += page.locator("img:not([alt]), img[alt='']").count()
                looks += 1
            page.close()
    explain("axe", serious)
    return {"axe": Figure(len(serious), looks), "alt": Figure(nameless, looks)}


def narrow(server: Server, count: int) -> Figures:
    """Pixels by which the page is wider than a phone, after a run and on the Library tab; long words too."""
    widest = 0.0
    with chromium() as browser:
        for prompt in (PROMPT, f"a dog {'w' * 300}")[:count]:
            page = _opened(browser, server, width=360)
            widest = max(widest, page.evaluate(MEASURE))
            page.click("#ir-settings button")
            _run(page, prompt)
            _finished(page)
            widest = max(widest, page.evaluate(MEASURE))
            _library(page)
            widest = max(widest, page.evaluate(MEASURE))
            page.close()
    return {"narrow": Figure(widest, count * 3)}


def markup(server: Server, count: int) -> Figures:
    """Prompts that are markup, in a browser; how often something of them was executed."""
    executed, dialogs = 0, list[Any]()
    with chromium() as browser:
        for _ in range(count):
            page = _opened(browser, server)
            page.on("dialog", lambda dialog: dialogs.append(dialog))
            _run(page, f"a dog {MARKUP}")
            _finished(page)
            executed += page.title() == "pwned"
            page.close()
    return {"prompts_run": Figure(executed + len(dialogs), count)}


def _opened(browser: Browser, server: Server, theme: str = "light", width: int = 1280) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900})
    _open(page, server, theme)
    return page


def _open(page: Page, server: Server, theme: str = "light") -> None:
    page.set_default_timeout(TIMEOUT)
    page.goto(f"{server.url}/?__theme={theme}")
    page.wait_for_selector("#ir-run")
    page.wait_for_selector(".ir-stage-second_verdict [data-status]")


def _run(page: Page, prompt: str) -> None:
    page.fill("#ir-prompt textarea", prompt)
    page.press("#ir-prompt textarea", "Enter")


def _finished(page: Page) -> None:
    page.wait_for_selector('#ir-strip [data-phase="finished"]')


def _library(page: Page) -> None:
    page.get_by_role("tab", name="Library").click()
    page.wait_for_selector("#ir-lib-grid img")


def _axe(page: Page) -> list[str]:
    """Serious findings: what, how often, and where first."""
    try:
        from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
    except ImportError:
        raise ImgragError("axe is not installed. Run: pip install -r tests/requirements.txt") from None
    page.wait_for_timeout(500)  # colours fade in
    found = [v for v in Axe().run(page).response["violations"] if v["impact"] in SERIOUS]
    return [f"{v['id']}: {node['html'][:140]}" for v in found for node in v["nodes"]]


def _free_after(server: Server) -> float:
    begun = time.monotonic()
    while server.watch()["inside"] and time.monotonic() - begun < 60:
        time.sleep(0.02)
    return time.monotonic() - begun
