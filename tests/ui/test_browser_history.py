"""The History tab in a real browser: runs that were kept, brought along as files, and broken off by a kill."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from imgrag.ui.history.owners import owner_of
from tests.served import free_port, process, served
from tests.ui.test_browser import browser, run, status, sync_api, wait_for  # noqa: F401  a fixture
from tests.ui.test_browser_corrections import (
    AFTER,
    LINGERING,
    PROMPT,
    finished,
    picture,
    records,
    take_steps,
    unfold,
    upload,
)

SAME = "the same image, pixel for pixel"


def page_in(folder: Path) -> tuple[str, ...]:
    """What python is to run for a page on fakes that keeps everything in this folder."""
    return ("-m", "tests.served", "--folder", str(folder))


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("history") / "results"


@pytest.fixture(scope="module")
def url(results) -> Iterator[str]:
    with served(*page_in(results.parent)) as address:
        yield address


@pytest.fixture
def person(browser) -> Iterator[sync_api.BrowserContext]:  # noqa: F811
    """A browser of one's own."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(30_000)
        yield context


def opened(person: sync_api.BrowserContext, url: str) -> sync_api.Page:
    page = person.new_page()
    with page.expect_response("**/run/predict*"):  # what the page asks on arrival
        page.goto(url)
    page.wait_for_selector(".ir-stage-second_verdict [data-status]")
    page.wait_for_function("localStorage.getItem('imgrag-key')")
    return page


def look_back(page: sync_api.Page) -> None:
    page.get_by_role("tab", name="History").press("Enter")
    page.wait_for_selector("#ir-past-heading:visible")


def cards(page: sync_api.Page, count: int) -> list[str]:
    """The ids of the cards, once there are so many."""
    page.wait_for_function("n => document.querySelectorAll('.ir-card').length === n", arg=count)
    return page.eval_on_selector_all(".ir-card [type=checkbox]", "boxes => boxes.map(box => box.dataset.id)")


def drop(page: sync_api.Page, selector: str, file: Path) -> None:
    """What the browser tells the page when a file is dropped there."""
    kind = "application/zip" if file.suffix == ".zip" else "image/png"
    page.evaluate(
        """([selector, name, kind, text]) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], name, { type: kind }));
            const event = { dataTransfer, bubbles: true, cancelable: true };
            document.querySelector(selector).dispatchEvent(new DragEvent("drop", event));
        }""",
        [selector, file.name, kind, base64.b64encode(file.read_bytes()).decode()],
    )


def test_each_browser_has_its_own_history_and_keeps_it(browser, person, url, results):  # noqa: F811
    page = opened(person, url)
    look_back(page)
    assert "Nothing yet" in page.inner_text("#ir-past-heading")
    page.get_by_role("tab", name="Create").click()
    record = finished(page, results, lambda page: run(page, PROMPT))
    page.reload()
    page.wait_for_selector("#ir-run")
    look_back(page)
    assert cards(page, 1) == [record["id"]]
    second = opened(person, url)  # another tab of the same browser
    look_back(second)
    assert cards(second, 1) == [record["id"]]
    with browser.new_context() as other:
        stranger = opened(other, url)
        look_back(stranger)
        stranger.wait_for_timeout(500)
        assert cards(stranger, 0) == []
        assert record["owner"] and record["owner"] not in stranger.content()


def test_what_was_shown_is_there_again_after_a_reload(person, url, results):
    page = opened(person, url)
    first = finished(page, results, lambda page: run(page, PROMPT))
    page.fill("#ir-prompt textarea", "typed since")
    page.reload()
    page.wait_for_selector(f'.ir-link a[href="?run={first["id"]}"]')
    wait_for(page, "finished")
    page.wait_for_selector("#ir-result .ir-frame > img[src]")
    assert [status(page, stage) for stage in AFTER] == ["done"] * 5
    assert page.input_value("#ir-prompt textarea") == "typed since"
    page.evaluate("sessionStorage.removeItem('imgrag-draft')")
    page.reload()
    page.wait_for_function("p => document.querySelector('#ir-prompt textarea')?.value === p", arg=PROMPT)
    page = opened(person, f"{url}?run={first['id']}")
    second = finished(page, results, lambda page: run(page, "quick a cat"))
    page.reload()  # the address still names the first one
    page.wait_for_selector(f'.ir-link a[href="?run={second["id"]}"]')
    page.goto(f"{url}?run={first['id']}")
    page.wait_for_selector(f'.ir-link a[href="?run={first["id"]}"]')
    fresh = opened(person, url)
    assert fresh.locator(".ir-link").count() == 0


def test_two_tabs_run_for_themselves(person, url, results):
    one, other = opened(person, url), opened(person, url)
    run(one, "quick a cat")
    finished(other, results, lambda page: run(page, "quick a dog"))
    wait_for(one, "finished")
    assert "a cat" in one.inner_text(".ir-trace") and "a dog" in other.inner_text(".ir-trace")
    look_back(one)
    assert len(cards(one, 2)) == 2


def test_a_run_is_opened_pinned_and_deleted(person, url, results):
    page = opened(person, url)
    first = finished(page, results, lambda page: run(page, PROMPT))
    finished(page, results, lambda page: run(page, "quick a cat"))
    look_back(page)
    card = page.locator(".ir-card", has_text=PROMPT)
    card.locator("[data-do=pin]").click()
    card.locator(".ir-chip:has-text('Pinned')").wait_for()
    assert (results / first["id"] / "pinned").exists()
    card.locator("[data-do=unpin]").click()
    card.locator("[data-do=pin]").wait_for()
    card.locator("[data-do=open]").click()
    page.wait_for_selector(f'.ir-link a[href="?run={first["id"]}"]')
    assert [status(page, stage) for stage in AFTER] == ["done"] * 5
    page.wait_for_function("document.activeElement.id === 'ir-strip'")
    page.wait_for_function("Math.abs(document.querySelector('#ir-right').getBoundingClientRect().top) < 100")
    unfold(page, "verdict")
    assert page.is_enabled("#ir-do-overrule")
    look_back(page)
    page.once("dialog", lambda dialog: dialog.dismiss())
    card.locator("[data-do=delete]").click()
    page.wait_for_timeout(300)
    assert (results / first["id"]).exists()
    page.once("dialog", lambda dialog: dialog.accept())
    card.locator("[data-do=delete]").click()
    cards(page, 1)
    assert not (results / first["id"]).exists()


def test_two_runs_are_compared(person, url, results):
    page = opened(person, url)
    finished(page, results, lambda page: run(page, PROMPT))
    finished(page, results, lambda page: run(page, "quick a cat"))
    look_back(page)
    cards(page, 2)
    boxes, compare = page.locator("#ir-past-grid input"), page.locator("[data-many=compare]")
    assert page.is_hidden(".ir-picked")
    boxes.nth(0).check()
    assert compare.is_disabled() and page.is_hidden("#ir-past-pair")
    boxes.nth(1).check()
    compare.click()
    page.wait_for_selector("#ir-past-pair section")
    assert page.locator("#ir-past-pair .ir-pair img").count() == 2
    rows = page.inner_text("#ir-past-pair table")
    assert PROMPT in rows and "quick a cat" in rows
    boxes.nth(1).uncheck()
    page.wait_for_selector("#ir-past-pair", state="hidden")


def test_runs_are_searched_named_and_handled_by_many(person, url, results, tmp_path):
    page = opened(person, url)
    ids = [
        finished(page, results, lambda page, p=p: run(page, p))["id"]
        for p in (PROMPT, "quick a cat", "quick a car")
    ]
    look_back(page)
    assert cards(page, 3) == ids[::-1]
    page.fill("#ir-past-search input, #ir-past-search textarea", "ToolBox dog")
    assert cards(page, 1) == ids[:1]
    page.locator(".ir-card [data-do=name]").click()
    page.keyboard.type("The first")
    page.keyboard.press("Enter")
    page.locator(".ir-card strong:has-text('The first')").wait_for()
    assert (results / ids[0] / "name.txt").read_text() == "The first"
    page.fill("#ir-past-search input, #ir-past-search textarea", "nowhere")
    page.wait_for_selector("#ir-past-heading:has-text('No run of yours has these words.')")
    page.fill("#ir-past-search input, #ir-past-search textarea", "")
    cards(page, 3)
    boxes = page.locator("#ir-past-grid input")
    boxes.nth(0).check()
    page.click("[data-many=all]")
    assert "3 ticked" in page.inner_text(".ir-picked")
    with page.expect_download() as download:
        page.click("[data-many=download]")
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert sum(name.endswith("/result.png") for name in archive.namelist()) == 3
    boxes.nth(2).uncheck()
    page.click("[data-many=pin]")
    page.wait_for_function("() => document.querySelectorAll('[data-do=unpin]').length === 2")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("[data-many=delete]")
    page.wait_for_timeout(300)
    assert all((results / run_id).exists() for run_id in ids)
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.click("[data-many=delete]")
    assert cards(page, 1) == ids[:1]
    assert asked == ["Delete what is ticked (2)? It cannot be brought back."]
    assert [(results / run_id).exists() for run_id in ids] == [True, False, False]


def test_pictures_are_as_large_as_chosen_and_open_whole(person, url, results):
    page = opened(person, url)
    finished(page, results, lambda page: run(page, PROMPT))
    look_back(page)
    cards(page, 1)
    width = "document.querySelector('.ir-card img').getBoundingClientRect().width"
    before = page.evaluate(width)
    page.click("[data-size=large][aria-pressed]")
    assert page.evaluate(width) > 1.5 * before
    page.reload()
    look_back(page)
    cards(page, 1)
    page.wait_for_selector("#ir-past-grid [data-size=large][aria-pressed=true]")
    with page.expect_response(lambda answer: "look" in (answer.request.post_data or "")):
        page.click(".ir-shot > img")  # a larger copy is asked for
    page.wait_for_selector(".ir-lightbox[open] img[src^='data:image/webp']")
    page.keyboard.press("Escape")


@pytest.mark.parametrize("place", ["#ir-past-file button", "#ir-right"])
def test_a_png_that_is_dropped_brings_its_run_back(browser, person, url, results, place):  # noqa: F811
    page = opened(person, url)
    record = finished(page, results, lambda page: run(page, PROMPT))
    page = opened(person, url)
    if "past" in place:
        look_back(page)
        page.wait_for_selector(place)
    file = results / record["id"] / "result.png"
    drop(page, place, file)
    page.wait_for_selector("#ir-result .ir-report:has-text('in your history already')")
    look_back(page)
    cards(page, 1)
    page = opened(browser.new_context(), url)  # of somebody else, who never had it
    if "past" in place:
        look_back(page)
        page.wait_for_selector(place)
    again = finished(page, results, lambda page: drop(page, place, file))
    page.wait_for_selector(f"#ir-result .ir-report:has-text('{SAME}')")
    assert [stage["name"] for stage in again["stages"] if stage["seconds"]] == ["initial", "enhanced"]
    assert again["pixels"]["result.png"] == record["pixels"]["result.png"]
    assert page.is_visible("#ir-strip")


def test_a_zip_brings_a_persons_own_reference_along(browser, person, url, results, tmp_path):  # noqa: F811
    page = opened(person, url)
    finished(page, results, lambda page: run(page, PROMPT))
    unfold(page, "references")
    upload(page, "#ir-own-picture", picture(tmp_path, "toolbox"))
    record = finished(page, results, lambda page: page.click("#ir-do-own"))
    with page.expect_download() as download:
        page.get_by_role("button", name="All as zip").click()
    file = tmp_path / "run.zip"
    download.value.save_as(file)
    page = opened(person, url)
    drop(page, "#ir-right", file)
    page.wait_for_selector("#ir-result .ir-report:has-text('in your history already')")
    look_back(page)
    cards(page, 2)  # the run, and the one that it was corrected from
    other = browser.new_context()  # of somebody else, who never had it
    page = opened(other, url)
    again = finished(page, results, lambda page: drop(page, "#ir-right", file))
    page.wait_for_selector("#ir-result .ir-report:has-text('as it was saved')")
    assert [(r["file"], r["own"]) for r in again["references"]] == [("mine.png", True)]
    assert again["pixels"] == record["pixels"]
    replayed = finished(page, results, lambda page: page.click("#ir-replay"))
    page.wait_for_selector(f"#ir-result .ir-report:has-text('{SAME}')")
    anew = [stage["name"] for stage in replayed["stages"] if not stage["reused"]]
    assert anew == ["initial", "enhanced"]
    look_back(page)
    page.locator(".ir-card .ir-chip:has-text('Corrected')").first.wait_for()
    other.close()


def test_a_file_that_holds_no_run_is_said_where_it_was_dropped(person, url, results, tmp_path):
    page = opened(person, url)
    look_back(page)
    page.wait_for_selector("#ir-past-file button")
    drop(page, "#ir-past-file button", Path(picture(tmp_path, "dog")))
    banner = page.wait_for_selector("#ir-past-banner .ir-banner").inner_text()
    assert "PNG" in banner and str(tmp_path) not in banner
    page.get_by_role("tab", name="Create").click()
    assert page.wait_for_selector("#ir-banner .ir-banner").inner_text() == banner
    record = finished(page, results, lambda page: run(page, PROMPT))
    finished(page, results, lambda page: run(page, f"{PROMPT} again"))
    drop(page, "#ir-right", results / record["id"] / "result.png")
    page.wait_for_selector(f'.ir-link a[href="?run={record["id"]}"]')  # the field takes the next file


def test_a_link_opens_a_run_for_its_own_browser_only(browser, person, url, results):  # noqa: F811
    page = opened(person, url)
    record = finished(page, results, lambda page: run(page, PROMPT))
    link = f"{url}?run={record['id']}"
    page = opened(person, link)
    wait_for(page, "finished")
    assert record["id"] in page.get_attribute(".ir-link a", "href")
    page.wait_for_selector("#ir-result .ir-frame > img[src]")
    with browser.new_context() as other:
        stranger = opened(other, link)
        banner = stranger.wait_for_selector(".ir-banner").inner_text()
        assert banner == f"There is no run {record['id']}."
        assert stranger.locator(".ir-link").count() == 0


@pytest.mark.parametrize("wanted", ["../../etc", "%2e%2e%2fetc%2fpasswd", "<b>x</b>", "x" * 500])
def test_a_link_to_no_run_is_one_sentence(person, url, wanted):
    page = opened(person, f"{url}?run={wanted}")
    banner = page.wait_for_selector(".ir-banner").inner_text()
    assert banner == "This is no id of a run; one looks like 20261122-034416271828-ab12cd."
    assert page.is_enabled("#ir-run")


def test_a_run_that_a_kill_broke_off_goes_on_to_the_same_result(person, tmp_path):
    port, results = free_port(), tmp_path / "results"
    url = f"http://127.0.0.1:{port}/"
    with process(port, *page_in(tmp_path)) as server:
        page = opened(person, url)
        take_steps(page, 3)
        page.click("#ir-settings > button")
        page.check("#ir-lock input")
        whole = finished(page, results, lambda page: run(page, LINGERING))
        run(page, LINGERING)
        page.wait_for_selector('.ir-stage-enhanced [data-status="running"]')
        server.kill()
        server.wait()
    (left,) = [record for record in records(results).values() if record["id"] != whole["id"]]
    assert left["state"] == "running"
    with process(port, *page_in(tmp_path)):
        page = opened(person, url)
        page.wait_for_selector(".ir-banner:has-text('was interrupted')")
        look_back(page)
        cards(page, 2)
        card = page.locator(".ir-card", has_text="Interrupted")
        card.locator("[data-do=open]").click()
        page.wait_for_selector("#ir-continue:visible")
        assert [status(page, stage) for stage in AFTER] == ["done"] * 3 + ["waiting"] * 2
        record = finished(page, results, lambda page: page.click("#ir-continue"))
        assert (record["id"], record["state"]) == (left["id"], "finished")
        assert [stage["name"] for stage in left["stages"]] == ["reading", "initial", *AFTER[:3]]
        assert record["stages"][: len(left["stages"])] == left["stages"]
        assert record["pixels"] == whole["pixels"]
        assert record["why"] == whole["why"]
        page.reload()
        page.wait_for_selector("#ir-run")
        page.wait_for_timeout(500)
        assert page.locator(".ir-banner").count() == 0


def test_a_page_outlives_its_server(person, tmp_path):
    """What is on it after a restart belongs to nobody's session; it is said, and the next run goes."""
    port, results = free_port(), tmp_path / "results"
    with process(port, *page_in(tmp_path)):
        page = opened(person, f"http://127.0.0.1:{port}/")
        finished(page, results, lambda page: run(page, PROMPT))
        unfold(page, "second_verdict")
    with process(port, *page_in(tmp_path)):
        assert httpx.get(f"http://127.0.0.1:{port}/").is_success
        page.wait_for_timeout(4000)  # Gradio looks for its server, and may load the page anew
        if page.locator(".ir-link").count():
            page.click("#ir-do-rejudge")
            page.wait_for_selector(".ir-banner:has-text('There is no run on this page.')")
        finished(page, results, lambda page: run(page, "quick a cat"))


def test_a_run_is_in_the_history_though_the_page_had_no_answer_yet(person, url, results):
    page = person.new_page()
    page.route("**/run/predict*", lambda route: None)  # asked what it asks on arrival, the server is silent
    page.goto(url)
    page.wait_for_selector(".ir-stage-second_verdict [data-status]")
    record = finished(page, results, lambda page: run(page, "quick a dog"))
    page.unroute_all(behavior="ignoreErrors")
    page.close()
    page = opened(person, url)
    look_back(page)
    assert cards(page, 1) == [record["id"]]


def test_the_record_holds_a_hash_of_the_key_and_the_page_no_key_of_others(person, url, results):
    page = opened(person, url)
    record = finished(page, results, lambda page: run(page, PROMPT))
    stored = page.evaluate("localStorage.getItem('imgrag-key')")
    assert len(record["owner"]) == 32 and record["owner"] not in stored
    assert owner_of("") == ""
