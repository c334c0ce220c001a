"""The Library tab's fold of knowledge: its handlers in this process, and once in a browser."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from imgrag.knowledge import KnowledgeShelf
from imgrag.ui.language import speaking
from imgrag.ui.library.knowledge_events import Knowledge
from tests.fakes import FakeEmbedder
from tests.served import served
from tests.ui.test_browser import browser, sync_api  # noqa: F401  browser is a fixture
from tests.ui.test_library_tab import library_tab

TEXTS = Path(__file__).parents[1] / "knowledge" / "texts.csv"
ME = SimpleNamespace(session_hash="me")
BAD = "<script>alert(1)</script>"


@pytest.fixture
def page(tmp_path):
    shelf = KnowledgeShelf(tmp_path / "own", tmp_path / "cache", TEXTS.parent)
    return Knowledge(shelf, FakeEmbedder)


def added(page, *files):
    """The last update of the report, the banner and the files."""
    return list(page.add(ME, "mine", [str(file) for file in files]))[-1]


def test_one_that_comes_with_the_app_is_shown_copied_and_not_changed(page):
    stats, own, fixed, delete, texts = page.show("texts")[:5]
    assert "20 texts · comes with the app" in stats and "checkbox" not in texts
    assert (own["visible"], fixed["visible"], delete["interactive"]) == (False, True, False)
    assert "stays as it is" in page.sure("texts", "delete", [])[-1]
    choice, name, _, banner = page.copy("texts")
    assert (choice["value"], choice["choices"], name, banner) == (
        "texts copy",
        ["texts", "texts copy"],
        "",
        "",
    )
    assert "checkbox" in page.show("texts copy")[4]


def test_texts_are_added_found_and_removed(page, tmp_path):
    page.create("mine")
    (tmp_path / "a.csv").write_text(f"term,text,source\n{BAD},{BAD} is an owl,{BAD}\nx,\n")
    report, banner, files = added(page, tmp_path / "a.csv", TEXTS)
    assert "21 texts added, 1 left out" in report and "row 2 has an empty text" in report
    assert (banner, files) == ("", None)
    found = page.look_up("mine", "a script by the seashore", False)[0]
    assert found.index("seashore") < found.index("&lt;script&gt;") and BAD not in found
    assert "owl" in page.look_up("mine", "owl", True)[0].split("</li>")[0]
    picked, row, button, sure = page.pick(SimpleNamespace(files=["the sea\nthe sea is blue"]))
    assert row["visible"] and button["value"] == "Remove 1 text…" and not sure["visible"]
    assert "This cannot be undone" in page.ask_remove("mine", picked)[0]
    assert page.sure("mine", "remove", picked)[-1] == ""
    assert "20 texts" in page.refresh("mine", "", False)[0]
    assert page.sure("mine", "delete", [])[0]["choices"] == ["texts"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "there is no text in it"),
        ("\x00\x01\x02", "holds no texts"),
        ("a,b\n1,2", "row 1 has no column 'term'"),
    ],
)
def test_a_file_that_is_none_is_one_sentence_and_nothing_is_kept(page, tmp_path, content, said):
    page.create("mine")
    (tmp_path / "a.csv").write_text(content)
    report, banner, _ = added(page, TEXTS, tmp_path / "a.csv")
    assert report == "" and said in banner.replace("&#x27;", "'") and str(tmp_path) not in banner
    assert "0 texts" in page.show("mine")[0]
    with speaking("zh"):
        assert "没有可读取的文本" in added(page, tmp_path / "a.csv")[1]


def test_what_takes_too_long_is_one_sentence_and_a_closed_page_adds_nothing(page, monkeypatch):
    page.create("mine")
    adding = page.add(ME, "mine", [str(TEXTS)])
    next(adding)
    page.leave(ME)
    assert "Adding was stopped" in next(adding)[1] and list(adding) == []
    monkeypatch.setattr("imgrag.ui.library.knowledge_events.READING_SECONDS", -1)
    assert "Reading took longer than -1 seconds" in added(page, TEXTS)[1]
    with speaking("zh"):
        assert "读取超过" in added(page, TEXTS)[1]
    assert "0 texts" in page.show("mine")[0]


@pytest.mark.parametrize("name", ["../texts", "nope", "/etc", None])
def test_a_name_that_is_not_offered_opens_nothing(page, name):
    for update in (
        page.look_up(name, "x", False)[-1],
        page.sure(name, "delete", [])[-1],
        page.copy(name)[-1],
    ):
        assert 'role="alert"' in update


def test_in_a_browser_a_base_is_made_filled_searched_and_a_line_removed(browser, tmp_path):  # noqa: F811
    with served("-m", "tests.served", "--folder", str(tmp_path / "served")) as address:
        tab = library_tab(browser, address)
        tab.click("#ir-know > button")
        tab.fill("#ir-know-new textarea, #ir-know-new input", "mine")
        tab.click("#ir-know-create")
        tab.wait_for_function("document.querySelector('#ir-know-name input').value === 'mine'")
        tab.wait_for_selector("#ir-know-stats:has-text('0 texts')")
        tab.set_input_files("#ir-know-files input[type=file]", TEXTS)
        tab.wait_for_selector("#ir-know-files tr.file")
        tab.click("#ir-know-add")
        tab.wait_for_selector("#ir-know-report:has-text('20 texts added')")
        tab.wait_for_selector("#ir-know-stats:has-text('20 texts')")
        tab.fill("#ir-know-words textarea, #ir-know-words input", "the king of the beasts")
        tab.click("#ir-know-search")
        first = tab.locator(".ir-facts li").first
        tab.wait_for_selector("#ir-know-texts:has-text('results')")
        assert first.locator("strong").inner_text() == "the king of the beasts"
        first.locator("input").check()
        tab.click("#ir-know-remove:has-text('Remove 1 text')")
        tab.click("#ir-know-yes")
        tab.wait_for_selector("#ir-know-stats:has-text('19 texts')")
        tab.wait_for_selector("#ir-know-sure", state="hidden")
        tab.close()
