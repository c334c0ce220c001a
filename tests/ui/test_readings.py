"""How prompts are read on the page: in their panel, corrected, and while somebody types. No browser."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr
import pytest

from imgrag.models.profile import load_profile
from imgrag.runs.knowledge import Augmentation, Fact
from imgrag.runs.reading import SEEN, LeftOut, Reading, Sight, Thing
from imgrag.runs.values import Request, Round, Run, StageReport, Verdict
from imgrag.ui.create import readings, verdicts
from imgrag.ui.create.events.changes import Changes
from imgrag.ui.create.events.prompts import MOST_NAMES, WRITTEN, Typing, completions
from imgrag.ui.create.events.runs import Runs
from imgrag.ui.create.layout.forms import _can
from imgrag.ui.language import speaking, told
from tests.engine.test_augmenting import FRIEND, Writer, knowing
from tests.engine.test_augmenting import WRITTEN as AGAIN
from tests.fakes import Cast
from tests.served import PagePipeline, page_pipeline

BAD = "<script>alert(1)</script>\"'"


class Page:
    session_hash = "me"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> PagePipeline:
    return page_pipeline(tmp_path_factory.mktemp("read"))


def typed(pipeline: PagePipeline, text: str, before: str = "", library: str | None = "pocket") -> str:
    event = gr.EventData(None, {"text": text, "before": before, "number": 7})
    said = Typing(pipeline, {"pocket": "pocket", "gone": "gone"}).typed(library, event)
    assert said.startswith('<div data-number="7">')
    return said.removeprefix('<div data-number="7">').removesuffix("</div>")


def names(pipeline: PagePipeline, before: str) -> list[tuple[str, int]]:
    return completions(before, pipeline.vocabulary, pipeline.library("pocket"))


class TestTyping:
    def test_nothing_is_said_of_nothing(self, pipeline):
        assert typed(pipeline, "") == typed(pipeline, " \n") == ""

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("a dog", "the generator draws it"),
            ("a tolbox", "taken for toolbox, typed as tolbox"),
            ("two owls", "owl ×2"),
            ("a frumious zorblax", "known to nobody"),
            ("a DOG and a toolbox", 'alt="toolbox in the library"'),
        ],
    )
    def test_each_thing_has_a_chip_that_tells_who_knows_it(self, pipeline, text, words):
        # Indexed once, so that the library knows its pictures by their names.
        with pipeline.borrow("clip") as clip:
            pipeline.library("pocket").index(clip)
        assert words in typed(pipeline, text)

    def test_it_opens_no_model_and_does_not_wait_for_a_run(self, tmp_path):
        fresh = page_pipeline(tmp_path)
        with fresh._lock:
            assert "ir-thing" in typed(fresh, "a dog and a toolbox " * 100)
        assert not fresh.residency.usage().models

    def test_a_prompt_in_another_language_is_told_so(self, pipeline):
        assert "translated from Chinese" in typed(pipeline, "一只狗")
        assert "do not read Russian" in typed(pipeline, "собака и кошка")

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("一只小狗和一台洗衣机", ["dog", "the generator draws it", "洗衣机", "known to nobody", "Read as: a dog and a 洗衣机"]),
            ("dos perros y un pez espada", ["dog ×2", "pez espada", "translated from Spanish"]),
            ("没有猫的城堡，油画风格", ["castle", "<s>cat</s>", "negative prompt", "<s>oil painting</s>", "there is no style here that is called so"]),
            ("没有猫的城堡，水彩风格", ["castle", "Watercolour", "水彩风格"]),
            ("a dog on a pink background without a cat", ["<s>on a pink background</s>", "the grounds are", "<s>cat</s>"]),
        ],
    )  # fmt: skip
    def test_a_foreign_prompt_has_chips_too_and_what_is_left_out_is_told(self, pipeline, text, parts):
        said = typed(pipeline, text)
        assert all(part in said for part in parts), said

    def test_a_chip_of_what_is_left_out_is_in_chinese_on_the_chinese_page(self, pipeline):
        with speaking("zh"):
            said = typed(pipeline, "城堡，油画风格")
        assert "读作：a castle" in said and "<s>oil painting</s><small>这里没有这样称呼的风格" in said

    def test_a_library_that_is_gone_says_nothing(self, pipeline):
        assert typed(pipeline, "a dog", library="gone") == typed(pipeline, "a dog", library="none") == ""

    def test_what_was_typed_never_becomes_markup(self, pipeline):
        assert "<script" not in typed(pipeline, f"a {BAD} and a dog", f"a {BAD} do")


class TestCompletions:
    def test_the_last_words_before_the_caret_are_completed(self, pipeline):
        assert ("toolbox", 4) in names(pipeline, "a dog and a tool")
        assert ("hot dog", 5) in names(pipeline, "a hot d")

    @pytest.mark.parametrize("before", ["", "a dog, ", "t", "a toolbox", "qqqq"])
    def test_where_nothing_begins_so_there_is_no_list(self, pipeline, before):
        assert "toolbox" not in dict(names(pipeline, before))
        assert readings.names_list([], before) == ""

    def test_words_that_are_a_name_are_completed_to_longer_names_alone(self, pipeline):
        assert "hot dog" not in dict(names(pipeline, "a cat, not a dog"))
        assert "dog" not in dict(names(pipeline, "a hot dog")) and "bow and arrow" in dict(
            names(pipeline, "a bow")
        )

    def test_there_are_never_more_than_fit(self, pipeline):
        assert 0 < len(names(pipeline, "a dog and a ca")) <= MOST_NAMES

    def test_the_list_is_one_for_assistive_technology(self, pipeline):
        html = typed(pipeline, "a tool", "a tool")
        assert 'role="listbox"' in html and 'role="option"' in html and 'data-typed="a tool"' in html


class TestSurprises:
    def test_a_surprise_is_made_of_known_things(self, pipeline):
        typing = Typing(pipeline, {})
        reader = pipeline.reader(pipeline.library("pocket"))
        for _ in range(20):
            things = reader.read(typing.surprise()).things
            assert 1 <= len(things) <= 2 and all("judge" in thing.known for thing in things)

    def test_models_without_an_end_to_their_words_get_a_written_prompt(self, pipeline, monkeypatch):
        profile = pipeline.profile
        monkeypatch.setattr(
            pipeline, "profile", replace(profile, reading=replace(profile.reading, vocabulary=""))
        )
        assert Typing(pipeline, {}).surprise() in WRITTEN


def test_a_style_that_is_left_out_is_not_shown_as_taken():
    left = (LeftOut("photorealistic", "there is no style here that is called so", seen=True),)
    assert ">Style<" not in readings.reading(
        Reading("a horse", (), style="photorealistic", left_out=left), {}
    )
    assert ">Style<" in readings.reading(Reading("a horse", (), style="photorealistic"), {})


def test_the_line_above_the_field_says_what_is_drawn_and_lists_the_names(pipeline):
    vocabulary = pipeline.vocabulary
    html = readings.drawable(pipeline.profile.reading.draws, vocabulary)
    assert "one or two things" in html and f"{len(vocabulary.names)} names" in html
    drawn, others = html.split("Needs a reference")
    assert "dog" in drawn and "toolbox" in others
    assert "<details" not in readings.drawable("Photographs", None)


@pytest.mark.parametrize("name", ["pocket", "sdxl"])
def test_what_a_profile_draws_is_said_in_chinese_too(name):
    draws = load_profile(name).reading.draws
    with speaking("zh"):
        assert draws and told(draws) != draws


class TestPanel:
    def test_it_shows_everything_that_was_read(self):
        thing = Thing("tolbox", "toolbox", 3, 2, ("red",), "slip", ("judge", "library"))
        read = Reading(
            "a toolbox", (thing,), "blue", "watercolor", "rain", (LeftOut("4k", "it names nothing to draw"),), "Chinese", "a tolbox"
        )  # fmt: skip
        html = readings.reading(read, {"toolbox": "data:image/webp;base64,x"})
        for part in (
            "toolbox ×3", "typed as tolbox", "red", "in the library", "2 of 3 drawn", "blue", "watercolor", "rain",
            "4k", "it names nothing to draw", "Translated from Chinese", "a tolbox", 'src="data:image/webp',
        ):  # fmt: skip
            assert part in html

    def test_what_was_looked_up_is_shown_with_its_source(self):
        dog = Thing("man's best friend", "dog", how="knowledge", known=("generator",))
        facts = (Fact("man's best friend", "man's best friend is a dog", "en", "ours", "CC0-1.0", "mine"),)
        found = Augmentation(
            "a man's best friend", (*facts, Fact("the sea", "the sea is blue")), "a dog on blue"
        )
        read = Reading("a dog on a blue background", (dog,), "blue", augmentation=found)
        html = readings.reading(read, {})
        for part in (
            "from “man&#x27;s best friend”", "Without knowledge it is", "<dd>a man&#x27;s best friend</dd>",
            "mine · ours · CC0-1.0", "Written again</dt><dd>a dog on blue", "blue<small>from “the sea”",
        ):  # fmt: skip
            assert part in html
        assert "Why the original is drawn" not in html

    def test_what_was_not_used_is_said_with_the_reason(self):
        found = Augmentation("a dog", (), "a cat", "the language model left out dog")
        with speaking("zh"):
            html = readings.reading(Reading("a dog", background="red", augmentation=found), {})
        assert "改写过，未采用</dt><dd>a cat" in html and "语言模型漏掉了 dog" in html and "得知" not in html

    def test_nothing_from_outside_becomes_markup(self):
        read = Reading(
            BAD,
            (Thing(BAD, BAD, describing=(BAD,), how="slip"),),
            BAD,
            BAD,
            BAD,
            (LeftOut(BAD, BAD),),
            BAD,
            BAD,
            Augmentation(BAD, (Fact(BAD, BAD, BAD, BAD, BAD, BAD),), BAD, BAD),
        )
        assert "<script" not in readings.reading(read, {BAD: ""}) + readings.names_list([(BAD, 1)], BAD)

    def test_the_many_parts_of_a_long_prompt_are_not_all_listed(self):
        read = Reading(
            "a dog", left_out=tuple(LeftOut(f"word{n}", "it names nothing to draw") for n in range(40))
        )
        html = readings.reading(read, {})
        assert "word11" in html and "word12" not in html and "and 28 more" in html
        chips = readings.left_out(read)
        assert "word11" in chips and "word12" not in chips and "and 28 more" in chips
        assert "more" not in readings.left_out(replace(read, left_out=read.left_out[:12]))


class TestCorrection:
    def test_the_original_is_drawn_where_a_person_wants_that(self, tmp_path):
        pipeline = knowing(tmp_path, Cast(llm=Writer(AGAIN)))
        runs = Runs(pipeline, {"pocket": "pocket"})
        list(runs.stream(Page(), prompt=FRIEND.prompt, steps=1, knowledge_base="mine"))
        assert [_can("original", run) for run in (runs.run_of(Page()), None)] == [True, False]
        list(Changes(runs, pipeline).original(Page(), False))
        run = runs.run_of(Page())
        assert run.prompt == "an owl and a man's best friend" and run.state == "finished"
        assert not _can("original", run)

    def test_what_was_written_again_is_edited(self, tmp_path):
        pipeline = knowing(tmp_path, Cast(llm=Writer("a dog")))
        runs = Runs(pipeline, {"pocket": "pocket"})
        list(runs.stream(Page(), prompt=FRIEND.prompt, steps=1, knowledge_base="mine"))
        list(Changes(runs, pipeline).reread(Page(), False, AGAIN, ""))
        found = runs.run_of(Page()).reading.augmentation
        assert (found.rewritten, found.reason) == (AGAIN, "") and len(found.facts) == 2

    def test_what_a_person_types_is_read_anew_and_the_run_goes_on(self, tmp_path):
        changes, runs = changes_of(page_pipeline(tmp_path))
        assert len(list(changes.reread(Page(), False, "a cat and an owl", "rain"))) > 7
        run = runs.run_of(Page())
        assert run.reading is not None and run.state == "finished" and run.parent
        assert (run.prompt, run.reading.negative) == ("a cat and an owl", "rain")
        assert [thing.name for thing in run.reading.things] == ["cat", "owl"]
        assert [c.stage for c in run.corrections] == ["reading"]
        assert run.request.prompt == "quick a dog and a toolbox"

    @pytest.mark.parametrize(
        ("text", "words"),
        [("  ", "prompt is empty"), ("x" * 2001, "2001 characters"), ("一只狗", "seems to be Chinese")],
    )
    def test_what_cannot_be_read_is_said_and_the_run_stays(self, tmp_path, text, words):
        changes, runs = changes_of(page_pipeline(tmp_path))
        before = runs.run_of(Page())
        (update,) = changes.reread(Page(), False, text, "")
        assert words in update[1]
        assert runs.run_of(Page()) is before


def changes_of(pipeline: PagePipeline) -> tuple[Changes, Runs]:
    """The handlers of a page with a finished run on it."""
    runs = Runs(pipeline, {"pocket": "pocket"})
    for _ in runs.stream(Page(), prompt="quick a dog and a toolbox", steps=1):
        pass
    return Changes(runs, pipeline), runs


class TestVerdicts:
    RUN = Run("id", Request("a dog"), "pocket", "pocket", "", {})
    SIGHTS = (
        Sight("dog", "there", 0.98),
        Sight("toolbox", "absent", 0.03),
        Sight("kangaroo", "not sure", None, "the judge is undecided"),
    )

    def test_each_thing_has_its_outcome_in_words_and_how_sure_it_is(self):
        html = verdicts.verdict(Verdict(False, ("toolbox",), sights=self.SIGHTS), self.RUN)
        for part in (
            "there · 98%",
            "absent · 3%",
            "not sure",
            "the judge is undecided",
            "Missing: toolbox",
            "Not sure: kangaroo",
        ):
            assert part in html
        assert "ir-good" not in html

    def test_a_verdict_that_a_person_gave_is_told_as_that(self):
        judged = Verdict(True, raw="Seen: dog\nMatches: yes\nMissing: none")
        report = StageReport("verdict", "corrected")
        by_person = replace(self.RUN, rounds=(Round(verdict=judged),), stages=(report,))
        for html in (verdicts.verdict(judged, by_person), verdicts.outcome(by_person)):
            assert "Matches the prompt" in html and "A person's verdict" in html.replace("&#x27;", "'")
            assert "Matches: yes" not in html
        by_judge = replace(by_person, stages=(replace(report, status="done"),))
        html = verdicts.verdict(judged, by_judge)
        assert "A person" not in html and "Matches: yes" in html
        with speaking("zh"):
            assert "用户的评判" in verdicts.outcome(by_person)

    def test_fewer_than_asked_for_are_not_called_absent(self):
        judged = Verdict(False, ("cat",), ("cat",), sights=(Sight("cat", "absent", 0.997, "2 drawn for 3"),))
        html = verdicts.verdict(judged, self.RUN)
        assert html.count("2 of 3 cats") == 2 and "2 of 3 cats · 100%" in html and "ir-good" not in html
        assert "Missing" not in html and ">absent" not in html and "drawn for" not in html
        with speaking("zh"):
            assert "3 个 cats 中的 2 个" in verdicts.verdict(judged, self.RUN)
            assert told("The judge says of the initial image: it shows cat; it lacks 1 of 3 cats.") == (
                "对初始图像的评判：图中有 cat，缺少 3 个 cats 中的 1 个。"
            )

    def test_nobody_being_sure_is_no_match(self):
        html = verdicts.verdict_chips(Verdict(False, sights=self.SIGHTS[2:]), self.RUN.reading)
        assert "Not sure: kangaroo" in html and "ir-good" not in html and "Does not match" not in html

    def test_what_is_not_to_be_there_and_may_be_is_said_so(self):
        html = verdicts.verdict(Verdict(False, sights=(Sight("no dog", "not sure", None, SEEN),)), self.RUN)
        assert "Perhaps still there: dog" in html and "without dog" in html and "no dog" not in html

    def test_a_match_of_a_prompt_that_was_not_read_whole_says_so(self):
        read = Reading(
            "a dog", left_out=(LeftOut("watercolor", "these models draw in one style", seen=True),)
        )
        html = verdicts.verdict_chips(Verdict(True), read)
        assert (
            "Matches the prompt" not in html
            and "that can be drawn" in html
            and "Left out: watercolor" in html
        )
        assert "Matches the prompt" in verdicts.verdict_chips(Verdict(True), None)
