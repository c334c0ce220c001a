"""Runs that are given away, in a real browser: as files, and by a link where the operator allows links."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from imgrag.archive.restoring import carried
from tests.served import served
from tests.ui.test_browser import browser, run, sync_api  # noqa: F401  a fixture
from tests.ui.test_browser_corrections import PROMPT, finished
from tests.ui.test_browser_history import cards, look_back, opened, page_in, person  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shared") / "results"


@pytest.fixture(scope="module")
def url(results) -> Iterator[str]:
    with served(*page_in(results.parent), "--shared-links") as address:
        yield address


def share(page: sync_api.Page, where: str, act: str) -> None:
    page.locator(f"{where} summary", has_text="Share").first.click()
    page.locator(f"{where} [data-do={act}]").first.click()


def link_from(page: sync_api.Page, where: str) -> str:
    share(page, where, "share-link")
    link = page.wait_for_selector("dialog.ir-asked input").input_value()
    page.keyboard.press("Escape")
    return link


def test_the_png_and_the_zip_are_given_at_the_result_and_in_the_history(person, url, results, tmp_path):  # noqa: F811
    page = opened(person, url)
    record = finished(page, results, lambda page: run(page, PROMPT))
    for where in (".ir-viewer", ".ir-card"):
        if where == ".ir-card":
            look_back(page)
            cards(page, 1)
        with page.expect_download() as download:
            share(page, where, "share-png")
        assert download.value.suggested_filename == f"imgrag-{record['id']}.png"
        download.value.save_as(tmp_path / "given.png")
        assert carried(tmp_path / "given.png")["prompt"] == PROMPT
        with page.expect_download() as download:
            share(page, where, "share-zip")
        assert download.value.suggested_filename == f"imgrag-{record['id']}.zip"


def test_a_link_shows_one_run_to_anybody_until_it_is_taken_back(browser, person, url, results):  # noqa: F811
    page = opened(person, url)
    record = finished(page, results, lambda page: run(page, PROMPT))
    other = finished(page, results, lambda page: run(page, "quick a cat"))
    look_back(page)
    cards(page, 2)
    link = link_from(page, f'.ir-card:has([data-id="{record["id"]}"])')
    assert link.startswith(f"{url}shared/{record['id']}.")
    with browser.new_context() as context:
        stranger = context.new_page()
        stranger.goto(link)
        assert PROMPT in stranger.inner_text("h1")
        assert stranger.evaluate("document.querySelector('img').naturalWidth") > 0
        whole = stranger.content()
        assert record["owner"] not in whole and other["id"] not in whole and "quick a cat" not in whole
        assert str(results) not in whole and "<script" not in whole
        stranger.goto(url)
        stranger.wait_for_selector("#ir-run")
        look_back(stranger)
        assert cards(stranger, 0) == []
    picture = httpx.get(f"{link}/result.png")
    assert picture.headers["content-type"] == "image/png" and picture.headers["cache-control"] == "no-store"
    for wrong in (f"{link}x", link.replace(record["id"], other["id"]), f"{url}shared/{record['id']}"):
        refused = httpx.get(wrong)
        assert refused.status_code == 404 and "nothing under this link" in refused.text
    page.reload()
    look_back(page)
    page.locator(".ir-card .ir-chip:has-text('Shared')").wait_for()
    share(page, f'.ir-card:has([data-id="{record["id"]}"])', "share-unlink")
    page.wait_for_selector("dialog.ir-asked:has-text('taken back')")
    assert httpx.get(link).status_code == 404 and httpx.get(f"{link}/result.png").status_code == 404


def test_without_the_flag_there_are_no_links(person, tmp_path):  # noqa: F811
    with served(*page_in(tmp_path)) as url:
        page = opened(person, url)
        record = finished(page, tmp_path / "results", lambda page: run(page, PROMPT))
        page.locator(".ir-viewer summary", has_text="Share").click()
        assert page.is_visible(".ir-viewer [data-do=share-zip]")
        assert page.is_hidden(".ir-viewer [data-do=share-link]")
        page.eval_on_selector(".ir-viewer [data-do=share-link]", "button => button.click()")
        page.wait_for_timeout(500)
        assert not (tmp_path / "results" / record["id"] / "shared.txt").exists()
        assert httpx.get(f"{url}shared/{record['id']}.x").status_code == 404


def test_a_link_is_open_before_a_login_and_nothing_else_is(browser, tmp_path):  # noqa: F811
    with served(*page_in(tmp_path), "--shared-links", "--auth", "ann:word") as url:
        assert httpx.get(f"{url}shared/nothing").status_code == 404
        assert httpx.get(f"{url}config").status_code == 401
        elsewhere = {
            "sec-fetch-site": "cross-site",
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "document",
        }
        assert httpx.get(f"{url}shared/nothing", headers=elsewhere).status_code == 404
        assert httpx.get(f"{url}gradio_api/info", headers=elsewhere).status_code == 403
