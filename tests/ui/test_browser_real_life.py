"""Real life in a browser: odd file names, many tabs at once, a connection that is cut, a reload in mid-run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import served
from tests.ui.test_browser import browser, run, sync_api, wait_for  # noqa: F401  a fixture
from tests.ui.test_browser_corrections import LINGERING, PROMPT, finished, picture, records, take_steps, unfold
from tests.ui.test_browser_history import drop, opened, page_in, person  # noqa: F401  a fixture

NAMES = ("a%20b", "50% off #1?", "größe 图 100%")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("life") / "results"


@pytest.fixture(scope="module")
def url(results) -> Iterator[str]:
    with served(*page_in(results.parent)) as address:
        yield address


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_be_called_anything(person, url, results, tmp_path, name):  # noqa: F811
    page = opened(person, url)
    drawn = finished(page, results, lambda page: run(page, PROMPT))
    unfold(page, "references")
    mine = shutil.copy(picture(tmp_path, "toolbox"), tmp_path / f"{name}.png")
    page.set_input_files("#ir-own-picture input[type=file]", mine)
    page.wait_for_function("document.querySelector('#ir-own-picture img')?.naturalWidth > 0")
    record = finished(page, results, lambda page: page.click("#ir-do-own"))
    kept = f"{name}.png".replace("?", "")  # no name of a file everywhere, so Gradio drops it
    assert [(r["file"], r["own"]) for r in record["references"]] == [(kept, True)]
    assert f"guided by {kept}" in page.inner_text("#ir-result .ir-trace")
    with page.expect_download() as download:
        page.get_by_role("button", name="All as zip").click()
    download.value.save_as(tmp_path / f"{name}.zip")

    saved = Path(shutil.copy(results / drawn["id"] / "result.png", tmp_path / f"{name}.png"))
    for file, known in ((saved, drawn), (tmp_path / f"{name}.zip", record)):
        again = finished(page, results, lambda page, file=file: drop(page, "#ir-right", file))
        assert again["pixels"] == known["pixels"]


def tabs(person: sync_api.BrowserContext, url: str, count: int) -> list[sync_api.Page]:  # noqa: F811
    return [opened(person, url) for _ in range(count)]


def test_eight_open_tabs_can_draw_in_turn(person, url, results):  # noqa: F811
    for number, page in enumerate(tabs(person, url, 8)):
        finished(page, results, lambda page, number=number: run(page, f"quick a cat {number}"))


def test_eight_tabs_that_draw_at_once_all_come_to_their_end(person, url):  # noqa: F811
    pages = tabs(person, url, 8)
    run(pages[0], LINGERING)
    for number, page in enumerate(pages[1:], start=1):
        run(page, f"quick a cat {number}")
    pages[7].wait_for_selector("#ir-elsewhere:has-text('Other tabs of this browser are at work')")
    for page in pages:
        wait_for(page, "finished")
    for number, page in enumerate(pages[1:], start=1):
        assert f"a cat {number}" in page.inner_text(".ir-trace")
    assert pages[7].is_hidden("#ir-elsewhere")


STOPPED = "This run was stopped when the page was reloaded or cut off."
MESSAGE = f"#ir-banner .ir-banner:has-text('{STOPPED}')"


def at_step(page: sync_api.Page, prompt: str, stage: str, taken: int = 3) -> None:  # noqa: F811
    """Begin a run and wait until it is in the middle of a stage."""
    take_steps(page, taken)
    run(page, prompt)
    page.wait_for_selector(f'.ir-stage-{stage} [data-status="running"] .ir-badge:has-text("Step")')


def test_a_reload_in_mid_run_offers_to_go_on(person, url, results):  # noqa: F811
    page = opened(person, url)
    at_step(page, LINGERING, "enhanced")
    page.reload()
    page.wait_for_selector(MESSAGE)
    (left,) = [record for record in records(results).values() if record["state"] == "stopped"]
    assert [stage["name"] for stage in left["stages"]][-1] == "references"
    record = finished(page, results, lambda page: page.click("#ir-continue"))
    assert (record["id"], record["stages"][:4]) == (left["id"], left["stages"])
    page.reload()
    page.wait_for_selector('#ir-strip [data-phase="idle"], #ir-strip .ir-strip')
    page.wait_for_timeout(1000)
    assert page.locator(".ir-banner").count() == 0
