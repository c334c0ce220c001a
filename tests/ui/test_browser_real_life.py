"""Real life in a browser: odd file names, many tabs at once, a connection that is cut, a reload in mid-run."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.served import served
from tests.ui.test_browser import browser, run, sync_api, wait_for  # noqa: F401  a fixture
from tests.ui.test_browser_corrections import (
    LINGERING,
    PROMPT,
    finished,
    picture,
    records,
    take_steps,
    unfold,
)
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
    drop(page, "#ir-right", saved)  # of a run that is still here
    page.wait_for_selector(f'.ir-link a[href="?run={drawn["id"]}"]')
    drop(page, "#ir-right", tmp_path / f"{name}.zip")  # of a run that is still here
    page.wait_for_selector(f'.ir-link a[href="?run={record["id"]}"]')


HOLD = """() => {
    window.held = [];
    for (const place of [0, 1, 2, 3])
        navigator.locks.request(`imgrag-stream-${place}`, () => new Promise((free) => window.held.push(free)));
}"""
"""Holds the places for streams, as four other tabs that are at work do."""


def tabs(person: sync_api.BrowserContext, url: str, count: int) -> list[sync_api.Page]:  # noqa: F811
    return [opened(person, url) for _ in range(count)]


def test_eight_open_tabs_can_draw_in_turn(person, url, results):  # noqa: F811
    for number, page in enumerate(tabs(person, url, 8)):
        finished(page, results, lambda page, number=number: run(page, f"quick a cat {number}"))


def test_eight_tabs_that_draw_at_once_all_come_to_their_end(person, url):  # noqa: F811
    pages = tabs(person, url, 8)
    pages[0].evaluate(HOLD)
    run(pages[7], "quick a cat 7")
    pages[7].wait_for_selector("#ir-elsewhere:has-text('Other tabs of this browser are at work')")
    pages[0].evaluate("() => window.held.forEach((free) => free())")
    run(pages[0], LINGERING)
    for number, page in enumerate(pages[1:7], start=1):
        run(page, f"quick a cat {number}")
    for page in pages:
        wait_for(page, "finished")
    for number, page in enumerate(pages[1:], start=1):
        assert f"a cat {number}" in page.inner_text(".ir-trace")
    assert pages[7].is_hidden("#ir-elsewhere")


ODD = 'slow <b>a dog</b> & a "cat"'
STOPPED = "This run was stopped when the page was reloaded or cut off."
MESSAGE = f"#ir-banner .ir-banner:has-text('{STOPPED}')"


def at_step(page: sync_api.Page, prompt: str, stage: str, taken: int = 3) -> None:
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
    assert (record["id"], record["stages"][: len(left["stages"])]) == (left["id"], left["stages"])
    page.reload()
    page.wait_for_selector('#ir-strip [data-phase="idle"], #ir-strip .ir-strip')
    page.wait_for_timeout(1000)
    assert page.locator(".ir-banner").count() == 0


def test_a_reload_before_anything_is_kept_says_so_and_draws_the_prompt_again(person, url):  # noqa: F811
    page = opened(person, url)
    at_step(page, ODD, "initial", 2)
    page.reload()
    page.wait_for_selector("#ir-banner .ir-banner:has-text('while the initial image was drawn')")
    assert page.input_value("#ir-prompt textarea") == ODD
    assert page.is_hidden("#ir-continue")
    page.click("#ir-banner .ir-again")
    page.wait_for_selector('.ir-stage-initial [data-status="running"]')
    assert page.locator(".ir-banner").count() == 0
    page.click("#ir-stop")
    wait_for(page, "stopped")


class Line:
    """A line to a port of this machine, which can be cut: whoever talks over it is hung up, and nobody gets through.

    Args:
        unnoticed: the other end is not told.
    """

    def __init__(self, port: int, unnoticed: bool = False) -> None:
        self._far, self._unnoticed, self._up = port, unnoticed, True
        self._ends: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        self._up = False
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._ends, self._up = [], True

    def _serve(self) -> None:
        while True:
            near, _ = self._door.accept()
            if not self._up:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._far))
            except OSError:  # the page's server has ended
                near.close()
                continue
            self._ends += [near] if self._unnoticed else [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        """Hand on what comes, until it ends; what the far end says to a cut line goes nowhere."""
        with suppress(OSError):
            while part := one.recv(65536):
                with suppress(OSError):
                    other.sendall(part)
        if self._up:
            with suppress(OSError):
                other.shutdown(socket.SHUT_WR)


def port_of(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])


def test_a_run_that_was_cut_off_goes_on_once_the_line_is_back(person, url, results):  # noqa: F811
    line = Line(port_of(url))
    page = opened(person, line.url)
    at_step(page, LINGERING, "enhanced")
    line.cut()
    page.wait_for_selector(".toast-body:has-text('Connection')")
    page.wait_for_timeout(5000)
    line.mend()
    page.wait_for_selector(MESSAGE)
    record = finished(page, results, lambda page: page.click("#ir-continue"))
    assert [stage["name"] for stage in record["stages"]][-1] == "second_verdict"


def test_what_came_to_its_end_while_the_line_was_down_is_shown(person, url):  # noqa: F811
    line = Line(port_of(url), unnoticed=True)
    page = opened(person, line.url)
    at_step(page, LINGERING, "enhanced")
    line.cut()
    page.wait_for_timeout(8000)
    line.mend()
    page.wait_for_selector("#ir-result .ir-report:has-text('came to its end while the page was away')")
    page.wait_for_selector("#ir-result .ir-frame > img[src]")
    assert page.locator(".ir-banner").count() == 0
