"""The page in a real browser.

The fake pipeline serves most tests: they look at the page, not at models. The last one runs
`python app.py` on the bundled checkpoints. Skipped where there is no Chromium, except in CI.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import ROOT, served

sync_api = (
    pytest.importorskip("playwright.sync_api")
    if not os.environ.get("CI")
    else __import__("playwright.sync_api").sync_api
)

PROMPT = "a dog and a toolbox"
POCKET = ROOT / "assets" / "pocket"
PARTS = ("generator/unet", "vlm", "llm", "clip/clip.pt", "adapter")
STAGES = ("reading", "initial", "verdict", "concepts", "references", "enhanced", "second_verdict")


def chromium() -> str | None:
    """Playwright's own Chromium, else one that is installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        except sync_api.Error:
            if os.environ.get("CI"):
                raise
            pytest.skip("there is no Chromium here")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    folder = str(tmp_path_factory.mktemp("served"))
    with served("-m", "tests.served", "--folder", folder) as address:
        yield address


def opened(browser: sync_api.Browser, url: str, width: int = 1280, height: int = 900) -> sync_api.Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(120_000)
    page.goto(url)
    page.wait_for_selector("#ir-run")
    page.wait_for_function(  # Gradio lays panels out one by one: wait until the last one has its place
        "document.querySelector('.ir-stage-second_verdict [data-status]')?.getBoundingClientRect().height > 0"
    )
    page.evaluate("document.fonts.ready")
    return page


@pytest.fixture
def page(browser, url) -> Iterator[sync_api.Page]:
    page = opened(browser, url)
    yield page
    page.close()


def run(page: sync_api.Page, prompt: str) -> None:
    """Type a prompt and press Enter."""
    page.fill("#ir-prompt textarea", prompt)
    page.press("#ir-prompt textarea", "Enter")


def wait_for(page: sync_api.Page, phase: str) -> None:
    page.wait_for_selector(f'#ir-strip [data-phase="{phase}"]')


def status(page: sync_api.Page, stage: str) -> str | None:
    return page.get_attribute(f".ir-stage-{stage} [data-status]", "data-status")


def test_a_run_goes_through_all_panels_to_a_result(page):
    run(page, PROMPT)
    for stage in STAGES:
        page.wait_for_selector(f'.ir-stage-{stage} [data-status="done"]')
    wait_for(page, "finished")
    assert "Missing: toolbox" in page.inner_text(".ir-stage-verdict")
    assert "Noto Color Emoji" in page.inner_text(".ir-stage-references")
    page.wait_for_selector("#ir-result .ir-frame > img[src]")
    assert "kept" in page.inner_text("#ir-result")
    assert page.locator("#ir-result .ir-trace li").count() >= 5
    assert page.inner_text("#ir-run") == "Run"


def test_previews_are_shown_while_it_draws(page):
    page.evaluate("""() => {
        window.shown = new Set();
        new MutationObserver(() => {
            const panel = document.querySelector(".ir-stage-initial");
            window.shown.add(panel.querySelector("img")?.src);
            window.shown.add(panel.querySelector(".ir-badge").textContent);
        }).observe(document.body, { childList: true, subtree: true, attributes: true, characterData: true });
    }""")
    run(page, PROMPT)
    wait_for(page, "finished")
    shown = [text for text in page.evaluate("[...window.shown]") if text]
    assert [text for text in shown if text.startswith("Step ")]
    assert [text for text in shown if text.startswith("http")]


def test_the_files_can_be_saved(page):
    run(page, PROMPT)
    wait_for(page, "finished")
    for label, ending in (("Save PNG", ".png"), ("run.json", ".json"), ("All as zip", ".zip")):
        with page.expect_download() as download:
            page.get_by_role("button", name=label).click()
        assert download.value.suggested_filename.endswith(ending)
        assert Path(download.value.path()).stat().st_size > 100


def test_stop_stops_and_the_next_run_goes(page):
    run(page, f"slow {PROMPT}")
    page.wait_for_selector('.ir-stage-initial [data-status="running"]')
    page.click("#ir-stop")
    wait_for(page, "stopped")
    assert status(page, "initial") == "stopped"
    assert status(page, "verdict") == "waiting"
    for _ in range(20):  # Gradio takes the next one only when the stopped one has left the queue
        run(page, "a car")
        page.wait_for_timeout(1000)
        if page.query_selector('#ir-strip [data-phase="stopped"]') is None:
            break
    wait_for(page, "finished")


def test_an_image_that_matches_ends_there(page):
    run(page, "a car")
    wait_for(page, "finished")
    assert [status(page, stage) for stage in STAGES[3:]] == ["skipped"] * 4
    assert "already matches" in page.inner_text(".ir-stage-enhanced")
    page.wait_for_selector("#ir-result .ir-frame > img[src]")


def test_errors_are_one_sentence(page):
    run(page, "   ")
    assert page.wait_for_selector("#ir-remark").inner_text().startswith("The prompt is empty.")
    run(page, "something broken")
    page.wait_for_selector(".ir-banner:has-text('our side')")
    assert "secret/place" not in page.content()
    assert "Traceback" not in page.content()


def test_every_image_has_a_text(page):
    run(page, PROMPT)
    wait_for(page, "finished")
    page.wait_for_selector("#ir-result .ir-frame > img[src]")
    page.wait_for_function(
        "[...document.querySelectorAll('.gradio-container img')].every(image => image.alt)"
    )
    texts = page.eval_on_selector_all("#ir-right img", "images => images.map(image => image.alt)")
    assert f"Initial image for the prompt: {PROMPT}" in texts
    assert "Reference for toolbox: toolbox" in texts
    assert f"Before: initial image for {PROMPT}" in texts
    assert f"After: enhanced image for {PROMPT}" in texts


def test_it_fits_a_narrow_screen(browser, url):
    page = opened(browser, url, 360, 740)
    page.click("#ir-settings button")
    run(page, PROMPT)
    wait_for(page, "finished")
    page.locator("#ir-result").scroll_into_view_if_needed()  # its images load when they come into view
    page.wait_for_selector("#ir-result .ir-frame > img[src]")
    for stage in STAGES:
        page.click(f"#ir-correct-{stage} > button")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    right = "elements => Math.max(...elements.map(element => element.getBoundingClientRect().right))"
    parts = ".ir-panel, .ir-chip, button.lg, #ir-prompt, .ir-correct *, .ir-model, #ir-strip"
    assert page.eval_on_selector_all(parts, right) <= 360
    page.close()


def test_it_asks_no_other_host(browser, url):
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.wait_for_selector("#ir-run")
    run(page, PROMPT)
    wait_for(page, "finished")
    foreign = [address for address in asked if not address.startswith((url, "data:", "blob:"))]
    assert asked and foreign == []
    page.close()


def test_the_dark_theme_is_dark_and_readable(browser, url):
    page = opened(browser, url + "?__theme=dark")
    run(page, PROMPT)
    wait_for(page, "finished")
    lightness = """element => {
        const style = getComputedStyle(element);
        const mean = colour => colour.match(/[0-9.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
        return [mean(style.backgroundColor), mean(style.color)];
    }"""
    for part in (".ir-stage-verdict .ir-chip.ir-bad", ".ir-stage-second_verdict .ir-chip.ir-good"):
        background, text = page.eval_on_selector(part, lightness)
        assert background < 70 and text > 130
    assert page.eval_on_selector(".ir-panel", lightness)[0] < 60
    page.close()


def test_the_keyboard_reaches_prompt_run_and_stop_in_this_order(page):
    page.focus("#ir-prompt textarea")
    reached = []
    for _ in range(2):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.closest('[id]').id")
        )
    assert reached == ["ir-run", "ir-stop"]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def reachable(page: sync_api.Page, most: int = 140) -> list[str]:
    """What Tab comes to from the prompt on, by id or text; each with a ring around it."""
    page.focus("#ir-prompt textarea")
    reached = []
    for _ in range(most):
        page.keyboard.press("Tab")
        name, ring = page.evaluate("""() => {
            const at = document.activeElement;
            if (at === document.body) return ["", true];
            const style = getComputedStyle(at);
            const ring = style.outlineStyle !== "none" || style.boxShadow !== "none" || at.type === "file";
            return [at.id || at.closest("[id^=ir-]")?.id || at.textContent.trim(), ring];
        }""")
        if not name:
            break
        assert ring, f"{name} shows no focus"
        reached.append(name)
    return reached


def test_the_keyboard_reaches_every_correction(page):
    run(page, "quick " + PROMPT)
    wait_for(page, "finished")
    page.focus("#ir-correct-verdict > button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#ir-correct-verdict > button.open")
    for stage in ("initial", *STAGES[3:]):
        page.click(f"#ir-correct-{stage} > button")
    reached = reachable(page)
    live = "buttons => buttons.filter(button => !button.disabled).map(button => button.id)"
    buttons = page.eval_on_selector_all("[id^=ir-do-]", live)
    assert len(buttons) == 16 and set(buttons) <= set(reached)
    fields = {f"ir-{name}" for name in ("missing", "concepts", "weight", "crop", "region", "scale", "share")}
    assert fields <= {name.removesuffix("-textbox") for name in reached}
    assert page.locator(".ir-other").count() == 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, url, theme):
    page = opened(browser, f"{url}?__theme={theme}")
    run(page, PROMPT)
    wait_for(page, "finished")
    page.locator("#ir-result").scroll_into_view_if_needed()  # its images load when they come into view
    page.wait_for_selector("#ir-result .ir-frame > img[src]")
    for stage in STAGES:
        page.press(f"#ir-correct-{stage} > button", "Enter")  # a click may miss while panels still grow
    page.wait_for_timeout(300)
    found = violations(page)
    page.get_by_role("tab", name="History").press("Enter")
    page.wait_for_selector(".ir-card")
    page.wait_for_timeout(300)
    found |= violations(page)
    page.close()
    assert found == {}


def violations(page: sync_api.Page) -> dict[str, list[str]]:
    """The serious rules that the page breaks, and where."""
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(page).response["violations"]
    serious = [rule for rule in results if rule["impact"] in ("serious", "critical")]
    return {rule["id"]: [node["html"][:160] for node in rule["nodes"]] for rule in serious}


@pytest.mark.parametrize("width", [1280, 820, 360])
def test_the_result_stays_where_it_is_from_the_first_step_to_the_end(browser, url, width):
    page = opened(browser, url, width)
    where = "() => { const box = document.querySelector('.ir-frame').getBoundingClientRect(); return [box.top + scrollY, box.height]; }"
    page.fill("#ir-prompt textarea", "quick " + PROMPT)
    page.wait_for_selector("#ir-typed .ir-thing")
    page.check("#ir-pause input")
    page.click("#ir-run")
    page.wait_for_selector(".ir-viewer[data-live]", state="attached")
    wait_for(page, "paused")  # where nothing is drawn yet, an empty frame takes no room
    page.uncheck("#ir-pause input")
    page.click("#ir-continue")
    page.wait_for_function(f"({where})()[1] > 0")
    first = page.evaluate(where)
    wait_for(page, "finished")
    page.wait_for_selector(".ir-viewer:not([data-live]) .ir-frame > img[src]")
    assert page.evaluate(where) == pytest.approx(first, abs=2)
    steps = page.evaluate("document.querySelector('.ir-board').getBoundingClientRect().top + scrollY")
    assert steps > sum(first)
    page.close()


def test_an_open_fold_stretches_no_other_panel(page):
    run(page, "quick " + PROMPT)
    wait_for(page, "finished")
    page.press("#ir-correct-references > button", "Enter")  # a click may miss while panels still grow
    height = "stage => document.querySelector(`.ir-stage-${stage}`).getBoundingClientRect().height"
    page.wait_for_function(f"({height})('references') > 700")  # the fold opens, and its pictures come
    assert max(page.evaluate(height, stage) for stage in ("enhanced", "second_verdict")) < 450
    page.evaluate("window.scrollTo(0, 600)")
    assert page.evaluate("document.querySelector('#ir-strip').getBoundingClientRect().top") >= 0


def test_the_idle_page_is_chinese_to_the_last_fold(browser, url):
    with browser.new_context(locale="zh-CN") as context:
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector(".ir-stage-second_verdict [data-status]")
        for stage in STAGES:
            page.click(f"#ir-correct-{stage} > button")
        page.wait_for_selector("#ir-matches label:has-text('符合提示词')")
        shown = page.inner_text(".ir-board")
    assert set(re.findall("[A-Za-z]{4,}", shown)) <= {"CLIP", "pencil"}


def test_whoever_reads_only_chinese_finds_the_language_and_keeps_what_was_typed(browser, url):
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector(".ir-stage-second_verdict [data-status]")
        page.fill("#ir-prompt textarea", "一只狗")
        page.get_by_role("button", name="中文").click()
        page.get_by_role("button", name="运行").wait_for()
        page.wait_for_selector("#ir-languages [lang=zh][aria-pressed=true]")
        page.wait_for_function("document.querySelector('#ir-prompt textarea').value === '一只狗'")
        page.reload()
        page.get_by_role("tab", name="历史").wait_for()
        assert page.locator("footer").get_by_text(re.compile("Settings|设置")).count() == 0
        page.get_by_role("button", name="English").click()
        page.get_by_role("tab", name="History").wait_for()


def test_a_run_that_is_over_is_told_in_the_language_that_is_chosen(browser, url):
    with browser.new_context(locale="en-US") as context:
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector(".ir-stage-second_verdict [data-status]")
        run(page, "quick a dog and a toolbox")
        wait_for(page, "finished")
        page.get_by_role("button", name="中文").click()
        page.wait_for_selector("#ir-languages [lang=zh][aria-pressed=true]")
        page.wait_for_selector(".ir-stage-second_verdict [data-status=done]")
        page.wait_for_selector(".ir-link:has-text('此次运行')")
        assert page.locator(".ir-panel [data-status=waiting]").count() == 0


@pytest.mark.skipif(
    not all((POCKET / part).exists() for part in PARTS), reason="the bundled checkpoints are not all here"
)
def test_the_real_app_on_the_bundled_checkpoints(browser):
    with served("app.py") as address:
        page = opened(browser, address)
        page.set_default_timeout(240_000)
        run(page, PROMPT)
        wait_for(page, "finished")
        assert status(page, "initial") == status(page, "verdict") == "done"
        assert [status(page, stage) for stage in STAGES[3:]] == ["done"] * 4
        assert "toolbox" in page.inner_text(".ir-stage-verdict .ir-bad")
        assert "toolbox" in page.inner_text(".ir-stage-references")
        assert page.locator("#ir-result .ir-both img[src]").count() == 2
        page.close()
