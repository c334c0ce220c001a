"""The Library tab: its handlers in this process, its endpoints through a client, its page in a browser."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError
from PIL import Image

import app
from imgrag.engine.librarian import Librarian
from imgrag.errors import LibraryError
from imgrag.library import Skipped
from imgrag.library.search.explaining import Explanation
from imgrag.models.ranking import RankingProfile
from imgrag.runs.values import Candidate, Reference
from imgrag.ui.create import findings
from imgrag.ui.demo import Offered, build_demo
from imgrag.ui.language import speaking
from imgrag.ui.library import cards
from imgrag.ui.library.cards import PAGE, Card
from imgrag.ui.library.events import Shelves
from imgrag.ui.library.reasons import Reasons
from imgrag.ui.library.uploads import folder_below, read_upload
from imgrag.ui.library.views import View, shown
from tests.fakes import COLOURS, make_library, tile
from tests.served import page_pipeline, served
from tests.ui.test_browser import browser, opened, sync_api  # noqa: F401  browser is a fixture

BAD = "<script>alert(1)</script>\"'"
ME = SimpleNamespace(session_hash="me")


def shelves(folder: Path, folders: Path | None = None, **options: Any) -> Shelves:
    pipeline = page_pipeline(folder, **options)
    return Shelves(Librarian(pipeline), Offered(pipeline), folders)


def add(page: Shelves, name: str, files: list[str] | None = None, folder: str = "") -> list[Any]:
    """Add through the page's own events; the last update that carries a report, joined."""
    page.begin(ME, name, files, folder)
    return list(page.add(ME))


class TestFolders:
    @pytest.mark.parametrize("text", ["photos", "photos/cats", "./photos/../photos", " photos "])
    def test_what_lies_below_is_taken(self, tmp_path, text):
        (tmp_path / "photos" / "cats").mkdir(parents=True)
        assert folder_below(tmp_path, text) == (tmp_path / text.strip()).resolve()

    def test_an_absolute_path_below_is_taken(self, tmp_path):
        (tmp_path / "photos").mkdir()
        assert folder_below(tmp_path, str(tmp_path / "photos")) == (tmp_path / "photos").resolve()

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "Name a folder"),
            ("..", "outside"),
            ("photos/../..", "outside"),
            ("/etc", "outside"),
            ("~", "no folder"),
            ("nowhere", "no folder"),
            ("a.txt", "no folder"),
            ("x\x00y", "outside"),
        ],
    )
    def test_everything_else_is_one_sentence(self, tmp_path, text, words):
        (tmp_path / "photos").mkdir()
        (tmp_path / "a.txt").write_text("x")
        with pytest.raises(LibraryError, match=words) as caught:
            folder_below(tmp_path, text)
        assert str(tmp_path) not in str(caught.value)

    def test_a_link_that_leads_out_is_outside(self, tmp_path):
        (tmp_path / "root").mkdir()
        (tmp_path / "secret").mkdir()
        (tmp_path / "root" / "link").symlink_to(tmp_path / "secret")
        with pytest.raises(LibraryError, match="outside"):
            folder_below(tmp_path / "root", "link")

    @pytest.mark.parametrize(
        ("arguments", "server", "here"),
        [
            ([], "", True),
            (["--host", "localhost"], "", True),
            (["--host", "0.0.0.0"], "", False),
            ([], "0.0.0.0", False),
            (["--share"], "", False),
        ],
    )
    def test_only_a_page_for_this_machine_may_offer_them(self, monkeypatch, arguments, server, here):
        monkeypatch.setenv("GRADIO_SERVER_NAME", server)
        assert app.only_here(app.parse_flags(["--folders", "photos", *arguments])) is here

    def test_a_page_that_was_given_none_takes_none(self, tmp_path):
        page = shelves(tmp_path)
        assert "nothing to add" in page.begin(ME, "pocket", None, str(tmp_path))[2]


class TestUploads:
    def test_a_picture_is_read_upright(self, tmp_path):
        exif = Image.Exif()
        exif[274] = 6
        Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
        assert read_upload(str(tmp_path / "a.jpg")).size == (10, 20)

    def test_a_bomb_and_a_text_are_refused_in_a_sentence(self, tmp_path):
        Image.new("1", (13_000, 13_000)).save(tmp_path / "bomb.png")
        (tmp_path / "text.png").write_text("no picture")
        for name in ("bomb.png", "text.png"):
            with pytest.raises(LibraryError, match="cannot be used") as caught:
                read_upload(str(tmp_path / name))
            assert str(tmp_path) not in str(caught.value)


class TestCards:
    def test_a_card_says_all_that_is_known(self):
        card = Card("a.png", "data:x", "owl", "an owl", "https://example.org", "CC0", {"price": 3}, 0.834)
        html = cards.grid([card])
        for part in (
            'alt="owl: an owl"',
            ">owl<",
            ">an owl<",
            'href="https://example.org"',
            "CC0",
            "price 3",
            "similarity 0.83",
            'data-file="a.png"',
            'aria-label="Select owl"',
            ">1</span>",
        ):
            assert part in html

    def test_what_is_not_known_is_said_too(self):
        html = cards.grid([Card("a.png", "")])
        assert "unknown source · licence not stated" in html
        assert "cannot be read" in html and "<img" not in html

    @pytest.mark.parametrize(
        ("index", "part"), [("exact", "memory"), ("two stages", "scored again from disk")]
    )
    def test_the_line_says_how_pictures_are_searched(self, index, part):
        known = {"images": 1, "engine": "faiss", "folders": [], "removed": 0, "broken": [], "skipped": []}
        assert part in cards.stats({**known, "index": index})

    def test_nothing_from_outside_becomes_markup(self):
        card = Card(BAD, "data:x", BAD, BAD + "2", "javascript:alert(1)" + BAD, BAD, {BAD: BAD}, 0.5)
        stats = {
            "images": 1,
            "engine": BAD,
            "index": BAD,
            "folders": [BAD],
            "removed": 0,
            "broken": [BAD],
            "skipped": [{"file": BAD, "reason": BAD}],
        }
        html = [
            cards.grid([card]),
            cards.heading(BAD, BAD, BAD),
            cards.stats(stats),
            cards.working(BAD),
            cards.stopped(BAD),
            cards.report(0, 0, 0, 0, 1, [Skipped(BAD, BAD)]),
            cards.remarks([Skipped(BAD, BAD)], 2, [BAD]),
        ]
        assert not any("<script" in text or 'href="javascript' in text for text in html)
        assert all("&lt;script&gt;" in text for text in html)

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ((0, 0, 0, ""), "No pictures yet. Add some on this page."),
            ((0, 0, 0, "price < 3"), "No pictures that pass the filter"),
            ((1, 0, 1, ""), "1 picture"),
            ((48, 0, 48, ""), "48 pictures"),
            ((100_000, 48, 48, ""), "49 to 96 of 100,000 pictures"),
            ((1, 0, 1, "price < 3"), "1 picture that passes the filter"),
            ((50, 48, 2, "price < 3"), "49 to 50 of 50 pictures that pass the filter"),
        ],
    )
    def test_a_page_says_where_it_stands(self, values, words):
        assert cards.browsed(*values) == words

    def test_a_report_names_what_was_left_out_but_not_all_of_too_many(self):
        html = cards.report(1200, 0, 0, 0, 4.2, [Skipped(f"{n}.png", "empty") for n in range(130)])
        assert "1,200 added, in 4.2 s" in html and "changed" not in html
        assert "0.png" in html and "99.png" in html and "100.png" not in html
        assert "130 files were left out" in html and "and 30 more" in html

    def test_a_report_says_what_of_the_metadata_was_not_taken(self):
        problem = Skipped("metadata.csv", "it has no column that names the pictures; call it file_name")
        html = cards.remarks([problem], 1234, ["a.png", "b.png"])
        assert "<strong>metadata.csv</strong> it has no column" in html
        assert "1,234 rows found no picture, such as a.png, b.png" in html
        with speaking("zh"):
            assert "没有写明图片文件名的列" in cards.remarks([problem], 0, [])
        assert cards.remarks([], 0, []) == ""

    def test_progress_can_be_read_by_machines(self):
        html = cards.working("7 of 28", 0.25, 61.4)
        assert 'aria-valuenow="25"' in html and 'data-left="61"' in html


class TestReferences:
    CHOSEN = Candidate("a.png", 0.9, "toolbox")
    OTHER = Candidate("b.png", 0.412, "briefcase")

    def test_other_candidates_are_shown_with_name_and_score(self):
        reference = Reference("box", self.CHOSEN, tile("toolbox"), candidates=(self.CHOSEN, self.OTHER))
        html = findings.references([reference], thumbnails={"b.png": "data:b"})
        assert '<img src="data:b" alt="briefcase">' in html
        assert 'title="Use briefcase instead, similarity 0.41"' in html and ">0.41<" in html
        assert html.count("ir-other ") + html.count('class="ir-other"') == 1

    def test_without_a_thumbnail_the_name_stands_there(self):
        reference = Reference("box", self.CHOSEN, tile("toolbox"), candidates=(self.CHOSEN, self.OTHER))
        assert "<span>briefcase</span>" in findings.references([reference])


class TestShelves:
    def test_a_new_library_is_filled_browsed_searched_and_emptied(self, tmp_path):
        page = shelves(tmp_path)
        name, drawing, field, _, banner = page.create("pocket", " mine ")
        assert (name["value"], drawing["value"], field, banner) == ("mine", "pocket", "", "")
        assert name["choices"] == drawing["choices"] == ["pocket", "mine"]

        files = [str(file) for file in make_library(tmp_path / "in", "dog", "owl").iterdir()]
        (tmp_path / "in" / "bad.png").write_text("no picture")
        *_, reported, last = add(page, "mine", [*files, str(tmp_path / "in" / "bad.png")])
        assert "2 added" in reported[1] and "bad.png" in reported[1]
        assert last[5] is None and last[6] is True

        stats, *view = page.open("mine")
        assert "2 pictures" in stats and "bad.png" not in stats, "told once, and not kept"
        assert "2 pictures" in view[1] and view[2].count("<li class") == 2

        wanted, *_ = page.look("mine", "owl", None, "")
        found = page.find(wanted, "mine", "owl", None, 0.5, "", 5, False)
        assert "2 results" in found[1]
        assert found[2].index("uploads/owl.png") < found[2].index("uploads/dog.png")

        files, row, button, sure = page.removals.pick(SimpleNamespace(act="tick", files=["uploads/owl.png"]))
        assert row["visible"] is True and button["value"] == "Remove 1 picture…"
        assert sure["visible"] is False
        assert "1 picture" in page.removals.remove(ME, "mine", files)[0]
        assert "owl" not in page.open("mine")[3]

    def test_the_price_stands_with_the_result_for_people_and_programs(self, tmp_path):
        folder = make_library(tmp_path / "libraries" / "shop", "owl")
        (folder / "metadata.csv").write_text("file_name,price\nowl.png,12\n")
        page = shelves(tmp_path)
        assert "price 12" in page.find(True, "shop", "owl", None, 0.5, "", 5, False)[2]
        assert [row["fields"] for row in page.library_search("shop", "owl")] == [{"price": 12}]

    def test_why_each_was_found_stands_on_its_card(self, tmp_path):
        page = shelves(tmp_path)
        add_all(page)
        *view, hits = page.find(True, "pocket", "owl", None, 0.5, "", 2, False)
        assert "ir-why" not in view[2] and len(hits.results) == 2
        *steps, (heading, grid) = page.reasons.write(True, hits)
        assert [words for words, _ in steps if "Saying why each was found: 1 of 2" in words]
        assert "Saying" not in heading and grid.count('class="ir-why"') == grid.count("from its fields") == 2
        assert "owl" in grid.split("ir-why")[1].split("</p>")[0]
        assert (
            list(page.reasons.write(False, hits)) == list(page.reasons.write(True, None)) == [[gr.skip()] * 2]
        )
        with speaking("zh"):
            *_, (_, grid) = page.reasons.write(True, hits)
        assert "取自其字段" in grid

    def test_a_reason_of_a_model_is_not_marked_and_cannot_write_html(self):
        why = Explanation(1, f"an owl {BAD}")
        assert "from its fields" not in (html := cards.grid([Card("owl.png", "", why=why)]))
        assert "an owl &lt;script&gt;" in html and BAD not in html

    def test_where_reasons_fail_the_hits_stay_and_a_sentence_says_so(self, tmp_path):
        class Broken:
            def explained(self, query, results):
                raise LibraryError("The model is not there.")

        page = shelves(tmp_path)
        *_, hits = page.find(True, "pocket", "owl", None, 0.5, "", 2, False)
        ((heading, grid),) = Reasons(Broken()).write(True, hits)
        assert "The model is not there." in heading and "2 results" in heading and grid == gr.skip()

    def test_pages_are_turned_and_never_left(self, tmp_path):
        folder = tmp_path / "libraries" / "many"
        folder.mkdir(parents=True)
        for number in range(PAGE + 2):
            tile("dog", 4).save(folder / f"{number:03}.png")
        page = shelves(tmp_path)
        page.begin_first(ME, "many")
        list(page.add(ME))
        first = page.open("many")[1:]
        assert first[2].count("<li class") == PAGE
        assert (first[3]["visible"], first[4], first[6]["interactive"], first[7]["interactive"]) == (
            True, 1, False, True,
        )  # fmt: skip
        second = page.turn("many", "", 1, 1)
        assert second[2].count("<li class") == 2 and "049.png" in second[2]
        assert (second[4], second[7]["interactive"]) == (2, False)
        assert page.turn("many", "", 99)[4] == 2
        assert page.turn("many", "", -5)[4] == 1
        assert page.turn("many", "", None)[4] == 1

    def test_a_filter_needs_no_model_and_a_bad_one_is_a_sentence(self, tmp_path):
        page = shelves(tmp_path)
        add_all(page)
        wanted, *view = page.look("pocket", "", None, "name = 'owl'")
        assert wanted is False and "1 picture that pass" in view[1]
        banner = page.look("pocket", "", None, "name = = 3")[1]
        assert "not understood" in banner and 'role="alert"' in banner

    def test_both_a_picture_and_words(self, tmp_path):
        page = shelves(tmp_path)
        add_all(page)
        tile("owl").save(tmp_path / "query.png")
        picture_alone = page.find(True, "pocket", "", str(tmp_path / "query.png"), 0.5, "", 1, False)
        assert "owl.png" not in picture_alone[2]  # the query itself is left out
        both = page.find(True, "pocket", "cat", str(tmp_path / "query.png"), 0.1, "", 1, False)
        assert "cat.png" in both[2]

    def test_each_that_was_looked_at_again_has_its_sentence_where_that_is_wanted(self, tmp_path):
        page = shelves(tmp_path)
        add_all(page)
        first = page.find(True, "pocket", "cat", None, 0.5, "", 3, True)
        each = page.find(True, "pocket", "cat", None, 0.5, "", 3, True, True)
        assert "First because:" in first[1] and first[2].count("% sure") == 1
        assert each[2].count("% sure") == 3

    def test_a_ranking_that_cannot_be_read_is_told(self, tmp_path):
        page = shelves(tmp_path)
        profile = page._librarian._pipeline.profile
        page._librarian._pipeline.profile = replace(profile, ranking=RankingProfile(way="collage"))
        add_all(page)
        found = page.find(True, "pocket", "cat", None, 0.5, "", 3, True)
        assert "ir-note" in found[1]

    def test_the_library_of_the_app_stays(self, tmp_path):
        page = shelves(tmp_path)
        assert "stays" in page.delete("pocket", "pocket")[-1]
        assert "stays" in page.rename("pocket", "pocket", "other")[-1]
        assert (tmp_path / "libraries" / "pocket" / "dog.png").exists()

    def test_a_renamed_library_stays_chosen_in_both_places(self, tmp_path):
        page = shelves(tmp_path)
        page.create("pocket", "mine")
        name, drawing, *_ = page.rename("mine", "mine", "yours")
        assert (name["value"], drawing["value"]) == ("yours", "yours")
        name, drawing, *_ = page.delete("yours", "yours")
        assert (name["value"], drawing["value"], name["choices"]) == ("pocket", "pocket", ["pocket"])

    @pytest.mark.parametrize("name", ["", "a/b", "..", "pocket", "con", ".hidden"])
    def test_a_bad_name_is_a_sentence_and_chooses_nothing(self, tmp_path, name):
        name_update, *_, banner = shelves(tmp_path).create("pocket", name)
        assert "value" not in name_update
        assert banner.startswith('<div class="ir-banner"')

    @pytest.mark.parametrize("name", ["/etc", "..", "nope", "", None])
    def test_a_path_is_no_library(self, tmp_path, name):
        page = shelves(tmp_path)
        assert "ir-banner" in page.open(name)[1] if name else "No library" in page.open(name)[2]
        assert "ir-banner" in page.turn(name, "", 1)[0]
        assert "ir-banner" in page.begin_again(ME, name)[2]
        with pytest.raises(gr.Error, match="o library"):
            page.library_search(name, "owl")

    def test_stop_keeps_what_was_added_and_frees_the_buttons(self, tmp_path):
        page = shelves(tmp_path)
        page.begin_again(ME, "pocket")
        assert "Stopping" in page.stop(ME)
        *_, said, last = list(page.add(ME))
        assert "stopped" in said[1]
        assert last[3]["interactive"] is True
        assert page.stop(ME) == gr.skip()

    def test_a_page_adds_one_thing_at_a_time_and_closing_it_stops(self, tmp_path):
        page = shelves(tmp_path)
        page.begin_again(ME, "pocket")
        assert page.begin_again(ME, "pocket") == [gr.skip()] * 5
        stop = page._adding["me"].stop
        page.leave(ME)
        assert stop.is_set() and page._adding == {}
        assert list(page.add(ME)) == [[gr.skip()] * 7]

    def test_a_library_is_looked_through_once_by_itself(self, tmp_path):
        page = shelves(tmp_path)
        assert "Looking" in page.begin_first(ME, "pocket")[0]
        list(page.add(ME))
        assert page.begin_first(ME, "pocket") == [gr.skip()] * 5
        page.create("pocket", "empty")
        assert page.begin_first(ME, "empty") == [gr.skip()] * 5

    def test_a_library_of_the_app_is_copied_to_be_changed(self, tmp_path):
        bundled = make_library(tmp_path / "app" / "stickers", "owl")
        page = shelves(tmp_path, bundled=[bundled])
        page.begin_first(ME, "stickers")
        list(page.add(ME))
        for view in (page.open("stickers")[1:12], page.turn("stickers", "", 1), page.find(
            True, "stickers", "owl", None, 0.5, "", 5, False
        )):  # fmt: skip
            assert view[2].count("<li class") == 1 and "checkbox" not in view[2]
        own, add, fixed, rename, delete = page.open("stickers")[-5:]
        assert (own["visible"], add["visible"], fixed["visible"]) == (False, False, True)
        assert (rename["interactive"], delete["interactive"]) == (False, False)
        with pytest.raises(LibraryError, match="comes with the app"):
            page.removals.remove(ME, "stickers", ["owl.png"])

        for name in ("stickers copy", "stickers copy 2"):
            chosen, drawing, *_, banner = page.copy("stickers", "pocket")
            assert (chosen["value"], drawing["value"], banner) == (name, "pocket", "")
        assert "checkbox" in page.open("stickers copy")[3]
        assert page.open("stickers copy")[-3]["visible"] is False
        assert "as it is" in page.copy("pocket", "pocket")[-1], "nobody copies a whole library of their own"

    def test_two_visitors_undo_what_they_removed_themselves(self, tmp_path):
        page, you = shelves(tmp_path), SimpleNamespace(session_hash="you")
        add_all(page)
        _, said, row = page.removals.remove(ME, "pocket", ["owl.png", "cat.png"])
        assert "2 pictures taken out of “pocket”" in said and row["visible"] is True
        page.removals.remove(ME, "pocket", ["dog.png"])
        page.removals.remove(you, "pocket", ["toolbox.png"])
        assert "1 picture" in page.removals.undo(you, "pocket")[0]
        assert "2 pictures taken" in page.removals.undo(ME, "pocket")[1]
        stats, said, row = page.removals.undo(ME, None)
        assert (stats, said, row["visible"]) == ("", "", False)
        assert page.removals.undo(ME, "pocket")[1] == ""
        assert page.library_list() == [{"name": "pocket", "images": 4}]

    def test_what_was_removed_goes_with_the_page_and_follows_a_new_name(self, tmp_path):
        page = shelves(tmp_path)
        waiting = tmp_path / "libraries" / "yours" / "uploads" / ".removed"
        page.create("pocket", "mine")
        files = sorted(str(file) for file in make_library(tmp_path / "in", "dog", "owl").iterdir())
        add(page, "mine", files)
        page.removals.remove(ME, "mine", ["uploads/dog.png"])
        page.rename("mine", "pocket", "yours")
        assert "2 pictures" in page.removals.undo(ME, "yours")[0]
        page.removals.remove(ME, "yours", ["uploads/dog.png"])
        assert len(list(waiting.rglob("*.png"))) == 1
        page.leave(ME)
        assert not list(waiting.rglob("*.png"))
        page.removals.remove(ME, "yours", ["uploads/owl.png"])
        page.delete("yours", "pocket")
        assert page.removals.undo(ME, "pocket")[1] == ""

    def test_a_search_that_cannot_be_is_told_before_it_waits_for_a_model(self, tmp_path):
        page = shelves(tmp_path)
        page.create("pocket", "empty")
        for name, where, words in (
            ("empty", "", "holds no images"),
            ("pocket", "name = = 3", "not understood"),
            ("gone", "", "no library"),
        ):
            wanted, *view = page.look(name, "owl", None, where)
            assert wanted is False and words in view[0] and "Searching" not in view[1]

    def test_what_nobody_foresaw_is_not_shown(self, tmp_path, caplog):
        class Broken:
            def stats(self, name):
                raise OSError(2, "No such file", "/secret/place")

        page = Shelves(Broken(), {"pocket": "pocket"})
        assert "our side" in page.open("pocket")[1] and "secret" not in page.open("pocket")[1]
        assert "secret" in caplog.text

    def test_one_value_for_each_output(self, tmp_path):
        demo = build_demo(page_pipeline(tmp_path))
        looks = [fn for fn in demo.fns.values() if fn.name == "turn"]
        assert looks and all(len(fn.outputs) == len(shown(View(""))) for fn in looks)

    def test_a_search_stands_in_no_line_with_the_runs_and_in_none_with_browsing(self, tmp_path):
        demo = build_demo(page_pipeline(tmp_path))
        lines = {fn.name: fn.concurrency_id for fn in demo.fns.values()}
        assert lines["find"] == lines["library_search"] == "search" and lines["stream"] == "gpu"
        assert lines["write"] == "gpu", "reasons wait for the language model, and read no picture"
        assert lines["turn"] == lines["open"] == "browse"

    def test_a_library_made_later_can_be_drawn_with(self, tmp_path):
        pipeline = page_pipeline(tmp_path)
        offered = Offered(pipeline)
        Librarian(pipeline).create("later")
        assert offered["later"] == "later" and list(offered) == ["pocket", "later"]


def add_all(page: Shelves) -> None:
    """Index the library that the app comes with."""
    page.begin_first(ME, "pocket")
    list(page.add(ME))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    make_library(folder / "photos" / "birds", "owl", "cat")
    return folder


@pytest.fixture(scope="module")
def url(place) -> Iterator[str]:
    command = ("-m", "tests.served", "--folder", str(place), "--folders", str(place / "photos"))
    with served(*command) as address:
        yield address


@pytest.fixture(scope="module")
def client(url, place) -> Client:
    return Client(url, verbose=False, download_files=str(place / "downloads"))


def test_a_program_searches_by_words_by_a_picture_and_with_a_filter(client, place):
    found = client.predict(library="pocket", text="owl", k=2, api_name="/library_search")
    assert found[0]["name"] == "owl" and len(found) == 2
    assert found[0].keys() >= {"id", "file", "name", "score", "caption", "source", "licence"}
    assert found[0]["id"] > 0 and found[0]["score"] == pytest.approx(1.0)
    tile("cat").resize((30, 30)).save(place / "query.png")
    found = client.predict(
        library="pocket", image=handle_file(place / "query.png"), where="name in ('owl', 'cat')",
        api_name="/library_search",
    )  # fmt: skip
    assert {row["name"] for row in found} <= {"owl", "cat"}
    assert {"name": "pocket", "images": len(COLOURS)} in client.predict(api_name="/library_list")


def test_a_program_is_told_why_each_was_found(client):
    found = client.predict(library="pocket", text="owl", k=2, explain=True, api_name="/library_search")
    assert all(row["reason"].startswith(row["name"]) and row["plain"] is True for row in found)
    assert "reason" not in client.predict(library="pocket", text="owl", api_name="/library_search")[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"library": "/etc", "text": "owl"}, "no library '/etc'"),
        ({"library": "pocket"}, "nothing to search by"),
        ({"library": "pocket", "text": "owl", "where": "name = "}, "not understood"),
    ],
)  # fmt: skip
def test_a_program_is_told_what_is_wrong(client, arguments, words):
    with pytest.raises(AppError, match=words):
        client.predict(**arguments, api_name="/library_search")


def test_a_program_that_sends_an_address_is_told_so(client):
    address = {"path": "http://127.0.0.1:9/a.png", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(ValidationError, match="not fetched"):
        client.predict(library="pocket", image=address, api_name="/library_search")


def test_a_program_that_sends_a_bomb_is_told_so(client, place):
    Image.new("1", (13_000, 13_000)).save(place / "bomb.png")
    with pytest.raises(AppError, match=r"megapixels|too large"):
        client.predict(library="pocket", image=handle_file(place / "bomb.png"), api_name="/library_search")


@pytest.fixture
def page(browser, url) -> Iterator[sync_api.Page]:  # noqa: F811
    page = library_tab(browser, url)
    yield page
    page.close()


def library_tab(browser: Any, url: str, width: int = 1280, height: int = 900) -> sync_api.Page:  # noqa: F811
    page = opened(browser, url, width, height)
    page.get_by_role("tab", name="Library").click()
    page.wait_for_selector("#ir-lib-heading h2")
    return page


def field(page: sync_api.Page, name: str) -> sync_api.Locator:
    return page.locator(f"#ir-lib-{name} :is(input, textarea)").first


def headed(page: sync_api.Page, words: str) -> None:
    page.wait_for_selector(f'#ir-lib-heading:has-text("{words}")')


def create(page: sync_api.Page, name: str) -> None:
    """Make a library; it is chosen then."""
    if not page.locator("#ir-lib-new").is_visible():
        page.click("#ir-lib-manage > button")
    field(page, "new").fill(name)
    page.click("#ir-lib-create")
    page.wait_for_function(f"document.querySelector('#ir-lib-name input').value === '{name}'")
    headed(page, "No pictures yet")


def test_a_person_makes_fills_searches_and_deletes_a_library(page, place):
    create(page, "mine")
    make_library(place / "up", "dog", "toolbox")
    with zipfile.ZipFile(place / "more.zip", "w") as archive:
        archive.write(place / "up" / "toolbox.png", "deep/toolbox.png")
    (place / "bad.png").write_text("no picture")
    files = [place / "up" / "dog.png", place / "more.zip", place / "bad.png"]
    page.set_input_files("#ir-lib-files input[type=file]", files)
    page.wait_for_function("document.querySelector('#ir-lib-files').textContent.includes('more')")
    page.click("#ir-lib-add-button")
    page.wait_for_selector("#ir-lib-report:has-text('2 added')")
    assert "bad.png" in page.inner_text("#ir-lib-report")
    headed(page, "2 pictures")

    field(page, "folder").fill("birds")
    page.click("#ir-lib-add-button")
    headed(page, "4 pictures")
    field(page, "words").fill("owl")
    page.click("#ir-lib-search")
    headed(page, "4 results")
    assert page.locator(".ir-card strong").first.inner_text() == "owl"
    assert "similarity 1.00" in page.locator(".ir-card").first.inner_text()

    page.locator(".ir-card input").first.check()
    page.click("#ir-lib-remove:has-text('Remove 1 picture')")
    page.click("#ir-lib-remove-yes")
    headed(page, "3 results")
    assert page.locator(".ir-card input:checked").count() == 0
    assert (place / "photos" / "birds" / "owl.png").exists()

    page.click("#ir-lib-delete")
    assert "mine" in page.inner_text("#ir-lib-sure")
    page.click("#ir-lib-yes")
    page.wait_for_function("document.querySelector('#ir-lib-name input').value === 'pocket'")
    assert not (place / "libraries" / "mine").exists()


def test_a_folder_elsewhere_and_a_bad_filter_are_sentences(page, place):
    create(page, "errors")
    field(page, "folder").fill("/etc")
    page.click("#ir-lib-add-button")
    page.wait_for_selector("#ir-lib-add .ir-banner:has-text('outside')")
    field(page, "where").fill("name = = 3")
    page.click("#ir-lib-search")
    page.wait_for_selector("#ir-lib-banner .ir-banner:has-text('not understood')")
    assert str(place) not in page.content() and "Traceback" not in page.content()


def test_the_create_tab_learns_of_a_new_library_and_draws_with_it(page, place):
    create(page, "drawn with")
    page.set_input_files(
        "#ir-lib-files input[type=file]", make_library(place / "only", "toolbox") / "toolbox.png"
    )
    page.wait_for_function("document.querySelector('#ir-lib-files').textContent.includes('toolbox')")
    page.click("#ir-lib-add-button")
    headed(page, "1 picture")
    page.get_by_role("tab", name="Create").click()
    page.click("#ir-settings button")
    page.get_by_label("Library", exact=False).locator("visible=true").last.click()
    page.get_by_role("option", name="drawn with").click()
    page.fill("#ir-prompt textarea", "a dog and a toolbox")
    page.press("#ir-prompt textarea", "Enter")
    page.wait_for_selector('#ir-strip [data-phase="finished"]')
    assert "unknown source" in page.inner_text(".ir-stage-references")  # the other library names one


def test_the_candidates_stand_under_the_reference(browser, url):  # noqa: F811
    page = opened(browser, url)
    page.fill("#ir-prompt textarea", "a dog and a toolbox")
    page.press("#ir-prompt textarea", "Enter")
    page.wait_for_selector('#ir-strip [data-phase="finished"]')
    names = page.eval_on_selector_all(".ir-other img", "images => images.map(image => image.alt)")
    assert sorted(names) == ["cat", "dog", "owl"]
    assert page.locator(".ir-other small").count() == 3
    page.close()


def test_the_tab_fits_a_narrow_screen_and_every_picture_has_a_text(browser, url):  # noqa: F811
    page = library_tab(browser, url, 360, 740)
    page.wait_for_selector(".ir-card img")
    page.click("#ir-lib-manage > button")
    page.click("#ir-lib-delete")
    page.wait_for_selector("#ir-lib-yes")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    right = "elements => Math.max(...elements.map(element => element.getBoundingClientRect().right))"
    assert page.eval_on_selector_all(".ir-card, #ir-library button, #ir-library input", right) <= 360
    assert page.eval_on_selector_all(".ir-card img", "images => images.every(image => image.alt)")
    page.close()


def test_the_share_is_offered_only_for_words_and_a_picture(page, place):
    assert not page.locator("#ir-lib-weight").is_visible()
    field(page, "words").fill("owl")
    assert not page.locator("#ir-lib-weight").is_visible()
    tile("dog").save(place / "share.png")
    page.set_input_files("#ir-lib-picture input[type=file]", place / "share.png")
    page.wait_for_selector("#ir-lib-picture img")
    assert page.locator("#ir-lib-weight").is_visible()
    page.click("#ir-lib-clear")
    page.wait_for_selector("#ir-lib-picture img", state="detached")
    assert not page.locator("#ir-lib-weight").is_visible()


def test_cards_are_ticked_by_the_keyboard(page):
    page.wait_for_selector(".ir-card")
    page.locator(".ir-card input").first.focus()
    page.keyboard.press("Space")
    page.wait_for_selector("#ir-lib-remove:has-text('Remove 1 picture')")
    page.keyboard.press("Space")
    page.wait_for_selector("#ir-lib-remove", state="hidden")


def test_without_an_allowed_folder_there_is_no_field_for_one(tmp_path):
    demo = build_demo(page_pipeline(tmp_path))
    fields = [block for block in demo.blocks.values() if block.elem_id == "ir-lib-folder"]
    assert [block.visible for block in fields] == [False]
