"""Styles on the page: their gallery, what is said of them, and once in a browser."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from imgrag.runs.styles import Styling
from imgrag.styles import StyleShelf
from imgrag.ui.create.styles import drawn_in, gallery, typed_names
from tests.fakes import tile
from tests.served import served
from tests.styles.test_shelf import PIXELS, put
from tests.ui.test_browser import browser, sync_api  # noqa: F401  browser is a fixture

BAD = "<script>alert(1)</script>"


def shelf_with(root: Path) -> StyleShelf:
    put(root / "pocket" / "pixels", PIXELS, tile("owl"))
    put(root / "pocket" / "bad", f'title = "{BAD}"\nlicence = "CC0"\nwords = ["in {BAD}"]\n')
    (root / "pocket" / "bad" / "preview.png").write_bytes(b"no picture")
    return StyleShelf("pocket", root, root / "bundled")


def test_the_gallery_has_a_card_a_style_and_no_path(tmp_path):
    shown = gallery(shelf_with(tmp_path).styles())
    assert shown.count("<li data-style=") == 2
    assert shown.count('src="data:image/webp;base64,') == 1
    assert BAD not in shown and "&lt;script&gt;" in shown
    assert str(tmp_path) not in shown
    assert gallery([]) == ""


def test_what_is_drawn_in_is_told_with_its_weight_and_what_called_it():
    styles = [Styling("ink", BAD, 0.5, words="in <ink>"), Styling("pixels", "Pixel art")]
    told = drawn_in(styles)
    assert "&lt;/script&gt; ×0.5<small>from “in &lt;ink&gt;”</small>" in told
    assert told.endswith("<span>Pixel art</span>")
    assert typed_names(styles) == "ink:0.5, pixels"


def test_pressing_cards_names_styles_with_weights_and_a_run_draws_in_them(browser, tmp_path):  # noqa: F811
    shelf_with(tmp_path / "styles")
    with served("-m", "tests.served", "--folder", str(tmp_path)) as url:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_selector("#ir-run:not([disabled])", timeout=60_000)
        page.click("#ir-settings > button")
        page.click('[data-style="pixels"] button')
        page.fill('[data-style="pixels"] input', "0.5")
        page.keyboard.press("Tab")
        names = page.locator("#ir-styles :is(textarea, input)")
        sync_api.expect(names).to_have_value("pixels:0.5")
        page.fill("#ir-prompt textarea", "a dog")
        page.click("#ir-run")
        page.wait_for_selector("#ir-strip [data-phase='finished']", timeout=60_000)
        assert "Pixel art ×0.5" in page.inner_text(".ir-stage-reading .ir-body")
        page.click('[data-style="pixels"] button')
        sync_api.expect(names).to_have_value("")
        page.close()
    (result,) = (tmp_path / "results").glob("*/result.png")
    with Image.open(result) as image:
        assert '"title": "Pixel art"' in image.text["imgrag"]
