"""The Library tab in a browser, on the page as it starts by itself: no folder of the machine may be named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import make_library, tile
from tests.served import served
from tests.ui.test_browser import PARTS, POCKET, browser, sync_api  # noqa: F401  browser is a fixture
from tests.ui.test_library_tab import create, field, headed, library_tab


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """The page as it starts by itself, where no folder may be named; its address, and what it can write."""
    folder = tmp_path_factory.mktemp("plain")
    bundled = make_library(folder / "app" / "stickers", "owl", "cat")
    with served("-m", "tests.served", "--folder", str(folder), "--bundled", str(bundled)) as address:
        yield address, folder


@pytest.fixture
def own(browser, plain) -> Iterator[sync_api.Page]:  # noqa: F811
    page = library_tab(browser, plain[0])
    yield page
    page.close()


def choose(page: sync_api.Page, name: str) -> None:
    page.click("#ir-lib-name input")
    page.get_by_role("option", name=name, exact=True).click()


def give(page: sync_api.Page, *files: Path) -> None:
    """Upload files and add them."""
    page.set_input_files("#ir-lib-files input[type=file]", list(files))
    page.wait_for_function(f"document.querySelectorAll('#ir-lib-files tr.file').length === {len(files)}")
    page.click("#ir-lib-add-button")
    page.wait_for_selector("#ir-lib-report:has-text('added')")


def test_a_library_of_the_app_is_copied_added_to_and_what_was_removed_comes_back(own, plain):
    choose(own, "stickers")
    headed(own, "2 pictures")
    assert own.locator(".ir-card input").count() == 0
    own.click("#ir-lib-copy")
    own.wait_for_function("document.querySelector('#ir-lib-name input').value === 'stickers copy'")
    own.wait_for_selector(".ir-card input")
    names = ["50% off #1.png", "a%20b.png", "größe 图.png"]
    for name in names:
        tile("dog").save(plain[1] / name)
    give(own, *(plain[1] / name for name in names))
    headed(own, "5 pictures")
    assert own.eval_on_selector_all(".ir-card img", "all => all.every(image => image.naturalWidth > 0)")

    field(own, "where").fill("file like 'uploads/%'")
    own.click("#ir-lib-search")
    headed(own, "3 pictures")
    titles = own.eval_on_selector_all(".ir-card strong", "all => all.map(one => one.title)")
    assert sorted(titles) == [f"uploads/{name}" for name in names]
    own.locator(".ir-card input").first.check()
    own.click("#ir-lib-remove:has-text('Remove 1 picture')")
    own.click("#ir-lib-remove-no")
    own.wait_for_selector("#ir-lib-remove-sure", state="hidden")
    own.click("#ir-lib-remove")
    own.click("#ir-lib-remove-yes")
    headed(own, "2 pictures")
    own.click("#ir-lib-undo")
    headed(own, "3 pictures")
    own.wait_for_selector("#ir-lib-undo", state="hidden")


def test_who_closes_the_page_cannot_undo_any_more(own, plain):
    create(own, "for good")
    give(own, make_library(plain[1] / "closed", "dog") / "dog.png")
    headed(own, "1 picture")
    own.locator(".ir-card input").first.check()
    own.click("#ir-lib-remove")
    own.click("#ir-lib-remove-yes")
    headed(own, "No pictures yet")
    uploads = plain[1] / "libraries" / "for good" / "uploads"
    assert len(list(uploads.rglob("*.png"))) == 1
    own.close()
    deadline = time.monotonic() + 30
    while list(uploads.rglob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not list(uploads.rglob("*.png"))


@pytest.mark.parametrize(
    ("library", "where", "words"),
    [
        ("pocket", "name = = 3", "not understood"),
        ("pocket", "colour = 'red'", "no column 'colour'. It has: file, name, caption, source, licence"),
        ("nothing here", "", "holds no images"),
    ],
)
def test_no_search_stays_at_searching(own, library, where, words):
    if library == "nothing here":
        create(own, library)
    field(own, "words").fill("owl")
    field(own, "where").fill(where)
    own.click("#ir-lib-search")
    own.wait_for_selector(f'#ir-lib-banner .ir-banner:has-text("{words}")')
    assert "Searching" not in own.inner_text("#ir-lib-right")


def turning_away(page: sync_api.Page, after: int, about: str = "") -> None:
    """After so many events in line too many wait already: the browser is told, and nothing else comes.

    Those that do not send `about` pass: the page may still be busy with itself.
    """
    served_already: list[Any] = []

    def answer(route: Any) -> None:
        if about in (route.request.post_data or ""):
            served_already.append(route)
        if route not in served_already or len(served_already) <= after:
            route.continue_()
        else:
            turn_away(route)

    page.route("**/queue/join*", answer)


def turn_away(route: Any) -> None:
    """As Gradio answers where too many wait already."""
    route.fulfill(status=503, content_type="application/json", body='{"detail": "Queue is full."}')


def test_a_search_that_is_turned_away_does_not_stay_at_searching(own):
    headed(own, "pictures")
    turning_away(own, after=1, about="owl")  # the look at the form
    field(own, "words").fill("owl")
    own.click("#ir-lib-search")
    own.wait_for_function(
        "!document.querySelector('#ir-lib-right').innerText.includes('Searching')"
        " && !document.querySelector('.ir-card')"
    )


def test_adding_that_is_turned_away_gives_the_buttons_back(own):
    headed(own, "pictures")
    in_line: list[Any] = []  # perhaps events of the page too, which is still busy with itself
    own.route("**/queue/join*", lambda route: in_line.append(route))
    own.click("#ir-lib-again")
    own.wait_for_selector("#ir-lib-again:disabled")  # to get ready stands in no line
    turning_away(own, after=0)
    for route in in_line:
        turn_away(route)
    own.wait_for_selector("#ir-lib-again:enabled")
    own.wait_for_selector("#ir-lib-strip .ir-strip", state="detached")


@pytest.mark.skipif(
    not all((POCKET / part).exists() for part in PARTS), reason="the bundled checkpoints are not all here"
)
def test_the_app_as_it_starts_by_itself_takes_a_picture(browser, tmp_path, monkeypatch):  # noqa: F811
    """`python app.py` on a disk of its own: the libraries of the app are there beside those on it."""
    monkeypatch.setenv("IMGRAG_LIBRARIES", str(tmp_path / "data"))
    with served("app.py") as address:
        page = library_tab(browser, address)
        page.wait_for_selector("#ir-lib-copy")
        create(page, "mine")
        give(page, POCKET.parents[1] / "datasets" / "libraries" / "pocket" / "owl.png")
        headed(page, "1 picture")
        field(page, "words").fill("an owl")
        page.click("#ir-lib-search")
        headed(page, "1 result")
        page.close()
    assert (tmp_path / "data" / "mine" / "uploads" / "owl.png").exists()
