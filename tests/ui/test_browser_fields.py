"""The fields of the left column in a real browser: nothing typed is lost, and a run brings its own back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import served
from tests.ui.test_browser import browser, run, sync_api, wait_for  # noqa: F401  a fixture
from tests.ui.test_browser_corrections import PROMPT, finished, shown, unfold
from tests.ui.test_browser_history import cards, drop, look_back, opened, page_in, person  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fields") / "results"


@pytest.fixture(scope="module")
def url(results) -> Iterator[str]:
    with served(*page_in(results.parent)) as address:
        yield address


def settings(page: sync_api.Page) -> None:
    if page.query_selector("#ir-settings > button.open") is None:
        page.click("#ir-settings > button")


def seed(page: sync_api.Page) -> str:
    return page.input_value("#ir-seed input")


def steps(page: sync_api.Page) -> str:
    return page.get_by_label("Steps", exact=False).first.input_value()


def keep_seed(page: sync_api.Page, number: int) -> None:
    """Type a seed, which keeps it."""
    settings(page)
    page.fill("#ir-seed input", "")
    page.type("#ir-seed input", str(number))
    page.wait_for_selector("#ir-lock input:checked")


def test_each_run_draws_a_new_seed_unless_it_is_kept(person, url, results):  # noqa: F811
    page = opened(person, url)
    settings(page)
    first = finished(page, results, lambda page: run(page, PROMPT))
    page.wait_for_function(
        "seed => document.querySelector('#ir-seed input').value === seed", arg=str(first["seed"])
    )
    second = finished(page, results, lambda page: page.click("#ir-run"))
    assert first["seed"] != second["seed"]
    page.check("#ir-lock input")
    third = finished(page, results, lambda page: page.click("#ir-run"))
    assert (third["seed"], third["pixels"]) == (second["seed"], second["pixels"])
    page.uncheck("#ir-lock input")
    keep_seed(page, 7)
    assert finished(page, results, lambda page: page.click("#ir-run"))["seed"] == 7
    page.click(f".ir-used button:has-text('{first['seed']}')")
    assert (seed(page), page.is_checked("#ir-lock input")) == (str(first["seed"]), True)
    page.click("#ir-dice")
    page.wait_for_function(
        "seed => document.querySelector('#ir-seed input').value !== seed", arg=str(first["seed"])
    )
    drawn = int(seed(page))
    assert finished(page, results, lambda page: page.click("#ir-run"))["seed"] == drawn


def test_seeds_are_followed_before_the_settings_are_opened(person, url, results):  # noqa: F811
    page = opened(person, url)
    first = finished(page, results, lambda page: run(page, PROMPT))
    second = finished(page, results, lambda page: page.click("#ir-run"))
    settings(page)
    page.wait_for_function(
        "seed => document.querySelector('#ir-seed input')?.value === seed", arg=str(second["seed"])
    )
    page.wait_for_selector(f".ir-used button:has-text('{first['seed']}')")
    page.check("#ir-lock input")
    third = finished(page, results, lambda page: page.click("#ir-run"))
    assert (third["seed"], third["pixels"]) == (second["seed"], second["pixels"])


@pytest.mark.parametrize(("prompt", "words"), [("   ", "The prompt is empty."), ("x" * 2001, "at most 2000")])
def test_no_prompt_is_remarked_at_its_field_and_the_run_stays(person, url, results, prompt, words):  # noqa: F811
    page = opened(person, url)
    before = finished(page, results, lambda page: run(page, PROMPT))
    unfold(page, "initial")
    run(page, prompt)
    assert words in page.wait_for_selector("#ir-remark").inner_text()
    assert page.get_attribute("#ir-prompt textarea", "aria-describedby") == "ir-remark"
    assert page.is_hidden("#ir-banner .ir-banner")
    assert shown(page, results)["id"] == before["id"]
    assert (
        page.is_visible(".ir-frame > img") and page.is_enabled("#ir-run") and page.is_enabled("#ir-do-draw")
    )
    assert page.input_value("#ir-prompt textarea") == prompt
    finished(page, results, lambda page: run(page, PROMPT))
    page.wait_for_selector("#ir-remark", state="detached")


def test_what_was_typed_and_chosen_survives_a_reload(person, url):  # noqa: F811
    page = opened(person, url)
    page.fill("#ir-prompt textarea", "an owl that nobody has drawn yet")
    keep_seed(page, 4711)
    page.get_by_label("Steps", exact=False).first.fill("9")
    page.keyboard.press("Tab")
    page.get_by_label("Negative prompt").fill("rain")
    page.check("#ir-pause input")
    page.wait_for_function("JSON.parse(sessionStorage.getItem('imgrag-draft')).pause === true")
    page.reload()
    page.wait_for_function(
        "document.querySelector('#ir-prompt textarea')?.value === 'an owl that nobody has drawn yet'"
    )
    settings(page)
    page.wait_for_selector("#ir-lock input:checked")
    assert (seed(page), steps(page)) == ("4711", "9")
    assert page.get_by_label("Negative prompt").input_value() == "rain"
    assert page.is_checked("#ir-pause input")
    other = opened(person, url)  # a new tab begins anew
    other.wait_for_timeout(500)
    assert other.input_value("#ir-prompt textarea") == ""


@pytest.mark.parametrize("way", ["history", "link", "png"])
def test_a_run_that_comes_back_brings_its_fields(person, url, results, way):  # noqa: F811
    page = opened(person, url)
    page.get_by_label("Steps", exact=False)
    keep_seed(page, 99)
    page.get_by_label("Steps", exact=False).first.fill("3")
    page.keyboard.press("Tab")
    record = finished(page, results, lambda page: run(page, PROMPT))
    page = opened(person, f"{url}?run={record['id']}" if way == "link" else url)
    if way == "history":
        look_back(page)
        page.locator(".ir-card", has_text=PROMPT).first.locator("[data-do=open]").click()
    elif way == "png":
        drop(page, "#ir-right", results / record["id"] / "result.png")
    wait_for(page, "finished")
    page.wait_for_function(
        "prompt => document.querySelector('#ir-prompt textarea').value === prompt", arg=PROMPT
    )
    settings(page)
    page.wait_for_selector("#ir-lock input:checked")
    assert (seed(page), steps(page)) == ("99", "3")


@pytest.mark.parametrize(
    ("button", "words"),
    [("draw", "Drawn again with another seed, "), ("judge", "Asked again, at temperature 0.7."),
     ("extract", "Asked again, at temperature 0.7."), ("rejudge", "Asked again, at temperature 0.7.")],
)  # fmt: skip
def test_again_gives_something_new_and_says_what_was_changed(person, url, results, button, words):  # noqa: F811
    page = opened(person, url)
    parent = finished(page, results, lambda page: run(page, PROMPT))
    unfold(
        page,
        {"draw": "initial", "judge": "verdict", "extract": "concepts", "rejudge": "second_verdict"}[button],
    )
    record = finished(page, results, lambda page: page.click(f"#ir-do-{button}"))
    page.wait_for_selector(f"#ir-result .ir-report:has-text('{words}')")
    (correction,) = record["corrections"]
    if button == "draw":
        assert record["seed"] != parent["seed"]
        assert (correction["before"], correction["after"]) == (str(parent["seed"]), str(record["seed"]))
    else:
        assert (correction["what"], correction["before"], correction["after"]) == ("temperature", "0", "0.7")
    assert "A person changed the" in page.inner_text("#ir-result .ir-trace")
