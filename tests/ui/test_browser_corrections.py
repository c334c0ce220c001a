"""Corrections in a real browser, on the page with fakes for models: what a person does, and which stages ran."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.fakes import COLOURS
from tests.served import served
from tests.ui.test_browser import browser, opened, run, status, sync_api, wait_for  # noqa: F401  a fixture

PROMPT = "quick a dog and a toolbox"
LINGERING = "a dog and a toolbox [enhanced: lingers]"  # a second for each step of that stage
AFTER = ("verdict", "concepts", "references", "enhanced", "second_verdict")
Press = Callable[[Any], None]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("corrected") / "results"


@pytest.fixture(scope="module")
def shared(browser, results) -> Iterator[sync_api.Page]:  # noqa: F811
    with served("-m", "tests.served", "--folder", str(results.parent)) as url:
        page = opened(browser, url)
        page.set_default_timeout(30_000)
        yield page
        page.close()


@pytest.fixture
def page(shared, results) -> sync_api.Page:
    """The page with a finished run on it and every fold open."""
    shared.uncheck("#ir-pause input")
    finished(shared, results, lambda page: run(page, PROMPT))
    for stage in ("reading", "initial", *AFTER):
        unfold(shared, stage)
    return shared


def unfold(page: sync_api.Page, stage: str) -> None:
    if page.query_selector(f"#ir-correct-{stage} > button.open") is None:
        page.click(f"#ir-correct-{stage} > button")


def take_steps(page: sync_api.Page, number: int) -> None:
    """Choose how many steps a drawing takes."""
    page.click("#ir-settings > button")
    page.get_by_label("Steps", exact=False).first.fill(str(number))
    page.click("#ir-settings > button")


def records(results: Path) -> dict[str, dict[str, Any]]:
    """The runs on disk by id."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in results.glob("2*/run.json")]
    return {record["id"]: record for record in found}


def finished(page: sync_api.Page, results: Path, press: Press) -> dict[str, Any]:
    """The record of the run that this brings to its end, once the page shows its result."""
    before = {run_id for run_id, record in records(results).items() if record["state"] == "finished"}
    press(page)
    page.wait_for_function(
        """known => {
            const link = document.querySelector(".ir-link a")?.getAttribute("href")?.slice(5);
            return link && !known.includes(link) && document.querySelector('#ir-strip [data-phase="finished"]');
        }""",
        arg=sorted(before),
    )
    return shown(page, results)


def shown(page: sync_api.Page, results: Path) -> dict[str, Any]:
    """The record of the run whose result is on the page."""
    link = page.get_attribute(".ir-link a", "href") or ""
    return records(results)[link.removeprefix("?run=")]


def ran(record: dict[str, Any]) -> tuple[str, ...]:
    """The stages whose models worked for this very run."""
    return tuple(s["name"] for s in record["stages"] if s["status"] == "done" and not s["reused"])


def corrected(record: dict[str, Any]) -> list[str]:
    return [s["name"] for s in record["stages"] if s["status"] == "corrected"]


def picture(folder: Path, *names: str) -> str:
    """A file with a stripe for each thing."""
    image = Image.new("RGB", (40 * len(names), 60))
    for number, name in enumerate(names):
        image.paste(COLOURS[name], (40 * number, 0, 40 * number + 40, 60))
    image.save(folder / "mine.png")
    return str(folder / "mine.png")


def type_into(page: sync_api.Page, selector: str, text: str) -> None:
    page.fill(f"{selector} :is(textarea, input:not([type=range]))", text)
    page.keyboard.press("Tab")


def upload(page: sync_api.Page, selector: str, file: str) -> None:
    page.set_input_files(f"{selector} input[type=file]", file)
    page.wait_for_selector(f"{selector} img[src*=mine]")


def draw_box(page: sync_api.Page, name: str, part: tuple[float, float, float, float]) -> None:
    """Drag from one corner to the other, in fractions of the picture."""
    frame = page.locator(f'#ir-frames [data-box="{name}"]')
    frame.scroll_into_view_if_needed()
    area = frame.bounding_box()
    left, top, right, bottom = part
    at = lambda x, y: (area["x"] + x * area["width"], area["y"] + y * area["height"])  # noqa: E731
    page.mouse.move(*at(left, top))
    page.mouse.down()
    page.mouse.move(*at((left + right) / 2, (top + bottom) / 2))
    page.mouse.move(*at(right, bottom))
    page.mouse.up()


def test_an_own_initial_image_is_judged_anew(page, results, tmp_path):
    upload(page, "#ir-own-image", picture(tmp_path, "dog", "toolbox"))
    record = finished(page, results, lambda page: page.click("#ir-do-use_image"))
    assert (corrected(record), ran(record), record["kept"]) == (["initial"], ("verdict",), 0)
    assert record["verdict"]["matches"] is True
    assert status(page, "initial") == "corrected"
    assert "A person" in page.inner_text("#ir-result .ir-trace")


def test_a_verdict_overruled_to_a_match_ends_the_run(page, results):
    def press(page):
        page.locator("#ir-matches label", has_text="It matches").click()
        page.click("#ir-do-overrule")

    record = finished(page, results, press)
    assert (corrected(record), ran(record), record["kept"]) == (["verdict"], (), 0)
    assert [status(page, stage) for stage in AFTER[1:]] == ["skipped"] * 4


def test_a_verdict_overruled_to_a_miss_looks_it_up(page, results):
    finished(page, results, lambda page: run(page, "quick a cat"))

    def press(page):
        page.locator("#ir-matches label", has_text="Something is missing").click()
        type_into(page, "#ir-missing", "owl")
        page.click("#ir-do-overrule")

    record = finished(page, results, press)
    assert (corrected(record), ran(record)) == (["verdict"], AFTER[1:])
    assert [reference["file"] for reference in record["references"]] == ["owl.png"]


@pytest.mark.parametrize(
    ("text", "names", "stages"),
    [
        ("owl: a picture of owl", ["owl"], AFTER[2:]),
        ("owl\ntoolbox: a picture of toolbox", ["owl", "toolbox"], AFTER[2:]),
        ("toolbox\nowl", ["toolbox", "owl"], AFTER[2:]),
        ("", [], ()),
    ],
    ids=["edited", "added before", "added after", "dropped"],
)
def test_concepts_are_looked_up_as_they_are_written(page, results, text, names, stages):
    def press(page):
        type_into(page, "#ir-concepts", text)
        page.click("#ir-do-name")

    record = finished(page, results, press)
    assert (corrected(record), ran(record)) == (["concepts"], stages)
    assert [concept["name"] for concept in record["concepts"]] == names
    assert [reference["concept"] for reference in record["references"]] == names


def test_another_candidate_is_taken_by_a_click(page, results):
    other = page.get_attribute(".ir-other", "data-file")
    record = finished(page, results, lambda page: page.click(".ir-other"))
    assert (corrected(record), ran(record)) == (["references"], AFTER[3:])
    assert [reference["file"] for reference in record["references"]] == [other]
    assert page.get_attribute(".ir-reference > img", "alt") == f"Reference for toolbox: {other[:-4]}"


def test_an_own_picture_is_a_reference(page, results, tmp_path):
    upload(page, "#ir-own-picture", picture(tmp_path, "toolbox"))
    record = finished(page, results, lambda page: page.click("#ir-do-own"))
    assert (corrected(record), ran(record), record["kept"]) == (["references"], AFTER[3:], 1)
    assert [(r["file"], r["own"]) for r in record["references"]] == [("mine.png", True)]
    assert "your own picture" in page.inner_text(".ir-stage-references")


def test_weight_and_boxes_are_typed(page, results):
    def press(page):
        type_into(page, "#ir-weight", "0.5")
        type_into(page, "#ir-crop", "0 0 50 100")
        page.fill("#ir-region input", "10 20 60 100")
        page.keyboard.press("Enter")
        page.click("#ir-do-adjust")

    record = finished(page, results, press)
    assert (corrected(record), ran(record)) == (["references"], AFTER[3:])
    (reference,) = record["references"]
    assert reference["weight"] == 0.5
    assert reference["crop"] == {"left": 0, "top": 0, "right": 0.5, "bottom": 1}
    assert reference["region"] == {"left": 0.1, "top": 0.2, "right": 0.6, "bottom": 1}
    assert "weight 0.5" in page.inner_text(".ir-stage-references")


def test_boxes_are_drawn_with_the_mouse(page, results):
    region = page.input_value("#ir-region input")

    def press(page):
        draw_box(page, "crop", (0.25, 0.25, 0.75, 0.75))
        page.wait_for_function(
            "document.querySelector('#ir-crop :is(textarea, input)').value != '0 0 100 100'"
        )
        draw_box(page, "region", (0.9, 0.9, 0.4, 0.1))
        page.wait_for_function(
            "before => document.querySelector('#ir-region input').value !== before", arg=region
        )
        page.click("#ir-do-adjust")

    record = finished(page, results, press)
    (reference,) = record["references"]
    assert list(reference["crop"].values()) == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.03)
    assert list(reference["region"].values()) == pytest.approx([0.4, 0.1, 0.9, 0.9], abs=0.03)
    assert ran(record) == AFTER[3:]


def test_a_reference_is_dropped(page, results):
    record = finished(page, results, lambda page: page.click("#ir-do-drop"))
    assert (corrected(record), ran(record), record["references"]) == (["references"], (), [])
    assert status(page, "enhanced") == "skipped"


def test_the_adapter_guides_as_told(page, results):
    def press(page):
        type_into(page, "#ir-scale", "0.4")
        type_into(page, "#ir-share", "0.5")
        page.click("#ir-do-enhance")

    record = finished(page, results, press)
    assert (corrected(record), ran(record)) == ([], AFTER[3:])
    assert (record["settings"]["adapter_scale"], record["settings"]["guided_share"]) == (0.4, 0.5)


def test_the_other_image_is_kept(page, results):
    def press(page):
        page.locator("#ir-better label", has_text="Initial image").click()
        page.click("#ir-do-keep")

    record = finished(page, results, press)
    assert (corrected(record), ran(record), record["kept"]) == (["second_verdict"], (), 0)
    assert "A person chose the initial image." in page.inner_text("#ir-result .ir-why")


@pytest.mark.parametrize(
    ("button", "stages"),
    [
        ("read", ("reading", "initial", *AFTER)), ("draw", ("initial", *AFTER)), ("judge", AFTER), ("extract", AFTER[1:]), ("retrieve", AFTER[2:]),
        ("rejudge", AFTER[4:]),
    ],
)  # fmt: skip
def test_a_stage_is_done_again_and_what_follows(page, results, button, stages):
    parent = shown(page, results)
    record = finished(page, results, lambda page: page.click(f"#ir-do-{button}"))
    assert (corrected(record), ran(record), record["parent"]) == ([], stages, parent["id"])
    same = record["pixels"]["result.png"] == parent["pixels"]["result.png"]
    assert same == (button != "draw")  # which takes another seed


@pytest.mark.parametrize(
    ("press", "words"),
    [
        (lambda page: (type_into(page, "#ir-crop", "1 2"), page.click("#ir-do-adjust")), "four numbers"),
        (lambda page: (type_into(page, "#ir-crop", "50 0 40 9"), page.click("#ir-do-adjust")), "no area"),
        (lambda page: (type_into(page, "#ir-missing", ""), page.click("#ir-do-overrule")), "Name what is missing"),
        (lambda page: (type_into(page, "#ir-concepts", "a\nb\nc\nd"), page.click("#ir-do-name")), "at most 3"),
        (lambda page: page.click("#ir-do-use_image"), "no picture yet"),
        (lambda page: page.click("#ir-do-own"), "no picture yet"),
    ],
    ids=["box", "empty box", "missing", "concepts", "image", "picture"],
)  # fmt: skip
def test_what_cannot_be_is_said_and_nothing_is_lost(page, results, press, words):
    before = records(results)
    press(page)
    banner = page.locator(".ir-banner", has_text=words)
    banner.wait_for()
    assert page.evaluate(  # in view, although the button is far below
        "element => { const { top } = element.getBoundingClientRect(); return top >= 0 && top < innerHeight; }",
        banner.element_handle(),
    )
    assert records(results).keys() == before.keys()
    assert shown(page, results)["id"] in before
    assert [status(page, stage) for stage in AFTER] == ["done"] * 5
    assert page.is_enabled("#ir-do-draw") and page.is_enabled("#ir-run")


def test_it_stops_after_each_step_and_can_be_corrected_there(page, results):
    page.check("#ir-pause input")
    before = set(records(results))
    run(page, PROMPT)
    page.wait_for_selector('.ir-stage-reading [data-status="done"]')
    page.wait_for_selector('.ir-stage-initial [data-status="waiting"]')
    wait_for(page, "paused")
    page.click("#ir-continue")
    page.wait_for_selector('.ir-stage-initial [data-status="done"]')
    wait_for(page, "paused")
    assert status(page, "verdict") == "waiting"
    assert page.is_enabled("#ir-do-overrule") and page.is_disabled("#ir-do-enhance")
    page.click("#ir-continue")
    page.wait_for_selector('.ir-stage-verdict [data-status="done"]')
    wait_for(page, "paused")
    type_into(page, "#ir-missing", "owl")
    page.click("#ir-do-overrule")
    page.wait_for_selector('.ir-stage-concepts [data-status="done"]')
    wait_for(page, "paused")
    page.uncheck("#ir-pause input")
    page.click("#ir-continue")
    wait_for(page, "finished")
    (run_id,) = set(records(results)) - before
    record = records(results)[run_id]
    assert (corrected(record), ran(record)) == (["verdict"], ("reading", "initial", *AFTER[1:]))
    assert [reference["concept"] for reference in record["references"]] == ["owl"]
    assert page.is_hidden("#ir-continue")


def test_a_stopped_run_goes_on_where_it_was(page, results):
    before = set(records(results))
    take_steps(page, 2)
    run(page, "a dog and a toolbox [enhanced: stays]")
    page.wait_for_selector('.ir-stage-enhanced [data-status="running"]')
    page.click("#ir-stop")
    wait_for(page, "stopped")
    assert page.is_enabled("#ir-do-retrieve") and page.is_disabled("#ir-do-rejudge")
    assert page.locator(".ir-model[data-busy=true]").count() == 0
    (run_id,) = set(records(results)) - before
    done = records(results)[run_id]["stages"]
    assert [stage["name"] for stage in done] == ["reading", "initial", *AFTER[:3]]
    record = finished(page, results, lambda page: page.click("#ir-continue"))
    assert (record["id"], ran(record)) == (run_id, ("reading", "initial", *AFTER))
    assert record["stages"][:5] == done


def test_a_stage_that_fails_can_be_done_by_hand(page, results):
    run(page, f"{PROMPT} [verdict: fails]")
    page.wait_for_selector(".ir-banner:has-text('our side')")
    assert page.is_visible("#ir-continue") and page.is_disabled("#ir-do-name")

    def press(page):
        page.locator("#ir-matches label", has_text="It matches").click()
        page.click("#ir-do-overrule")

    record = finished(page, results, press)
    assert (corrected(record), ran(record), record["state"]) == (
        ["verdict"],
        ("reading", "initial"),
        "finished",
    )
    assert page.locator(".ir-banner").count() == 0


def test_nothing_can_be_corrected_while_a_run_is_at_work(page, results):
    finished(page, results, lambda page: page.click("#ir-do-rejudge"))
    run(page, f"{PROMPT} [second_verdict: stays]")
    page.wait_for_selector('.ir-stage-second_verdict [data-status="running"]')
    own = page.get_attribute("[data-run]", "data-run")
    while own not in (before := set(records(results))):  # its own record may come a moment later
        page.wait_for_timeout(50)
    page.click(".ir-other")
    page.wait_for_function("() => !document.querySelector('[id^=ir-do-]:not(:disabled)')")
    locked = "fields => fields.length > 5 && fields.every(field => field.closest('[inert]'))"
    assert page.eval_on_selector_all(".ir-correct :is(textarea, input)", locked)
    wait_for(page, "finished")
    page.wait_for_timeout(500)
    assert set(records(results)) == before
    enabled = "buttons => buttons.filter(button => !button.disabled).map(button => button.id)"
    assert len(page.eval_on_selector_all("[id^=ir-do-]", enabled)) == 18
    type_into(page, "#ir-concepts", "owl")
    assert page.input_value("#ir-concepts textarea") == "owl"


def test_time_and_memory_are_a_picture(page):
    times = page.get_attribute(".ir-times", "aria-label")
    assert all(name in times for name in ("Initial image", "Verdict", "References", "Enhanced image"))
    models = page.eval_on_selector_all(
        ".ir-model", "all => all.map(model => model.textContent.split(' ')[0])"
    )
    assert models == ["clip", "generator", "llm", "vlm"]
    assert "MB of memory" in page.inner_text(".ir-models")
    page.evaluate("""() => {
        window.busy = new Set();
        new MutationObserver(() => document.querySelectorAll(".ir-model[data-busy=true]").forEach(
            (model) => window.busy.add(model.textContent.split(" ")[0]),
        )).observe(document.body, { childList: true, subtree: true, attributes: true });
    }""")
    run(page, "a dog and a toolbox [verdict: stays]")
    page.wait_for_selector('#ir-strip [data-phase="running"]')
    wait_for(page, "finished")
    assert {"generator"} <= set(page.evaluate("[...window.busy]"))
    assert page.locator(".ir-model[data-busy=true]").count() == 0
