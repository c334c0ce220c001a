"""The page without a browser: boards, markup, updates, sessions, flags."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

import app
from imgrag.errors import LibraryError, RequestError
from imgrag.runs.corrections import keep
from imgrag.runs.events import Preview, StageDone, StageStarted
from imgrag.runs.reading import Sight
from imgrag.runs.values import Box, Candidate, Concept, Reference, Rejection, Request, Run, Verdict
from imgrag.ui.create import findings, markup, verdicts, viewing
from imgrag.ui.create.board import (
    GUESSED_PACE,
    Board,
    PanelState,
    advance,
    begin,
    board_of,
    halt,
    progress,
    remaining,
    timed_pace,
)
from imgrag.ui.create.events.runs import Runs, explain
from imgrag.ui.create.fields import Fields
from imgrag.ui.create.layout.forms import BUTTONS, box_from, concepts_from, percent
from imgrag.ui.create.layout.panels import Panels, Results, build_panels, updates
from imgrag.ui.create.layout.settings import request_from
from imgrag.ui.create.viewing import Shown, compared
from imgrag.ui.demo import build_demo, choose_library, sweep
from imgrag.ui.history.events import Past
from imgrag.ui.server import imports
from imgrag.ui.server.sessions import Sessions
from tests.fakes import tile
from tests.served import ROOT, page_pipeline

PROMPT = "a dog and a toolbox"


def boards(folder: Path, prompt: str = PROMPT) -> list[Board]:
    """The board after each event of a run of one second an event."""
    seen = [begin(prompt, 0.0)]
    for second, event in enumerate(page_pipeline(folder).stream(Request(prompt, steps=8)), start=1):
        seen.append(advance(seen[-1], event, float(second)))
    return seen


def states(board: Board) -> list[str]:
    return [panel.status for panel in board.panels]


def blank(prompt: str) -> Run:
    """A run that has not begun."""
    return Run("id", Request(prompt), "pocket", "pocket", "", {})


class TestBoard:
    def test_a_run_goes_through_all_panels(self, tmp_path):
        seen = boards(tmp_path)
        assert states(seen[0]) == ["waiting"] * 7
        assert states(seen[1]) == ["running"] + ["waiting"] * 6
        assert states(seen[-1]) == ["done"] * 7
        assert seen[-1].phase == "finished"
        assert seen[-1].run is not None and seen[-1].run.kept == 1

    def test_what_is_not_needed_is_skipped_with_its_reason(self, tmp_path):
        last = boards(tmp_path, "a car")[-1]
        assert states(last) == ["done"] * 3 + ["skipped"] * 4
        assert last.panel("references").reason == "The image already matches the prompt."

    def test_a_preview_shows_step_and_picture_in_its_own_panel_only(self):
        board = advance(begin(PROMPT, 0), StageStarted("initial", "generator"), 0)
        image = tile("dog")
        after = advance(board, Preview("initial", 3, 8, image), 1)
        assert (after.panel("initial").step, after.panel("initial").steps) == (3, 8)
        assert after.panel("initial").image is image
        assert [old is new for old, new in zip(board.panels, after.panels, strict=True)] == [True, False] + [
            True
        ] * 5

    def test_a_later_round_clears_the_panels_after_its_stage(self, tmp_path):
        board = boards(tmp_path)[-2]
        again = advance(board, StageStarted("concepts", "llm", round=2), 99)
        assert states(again) == ["done", "done", "done", "running", "waiting", "waiting", "waiting"]
        assert again.panel("concepts").round == 2
        assert again.panel("second_verdict").run is None

    def test_stop_leaves_nothing_running(self, tmp_path):
        stopped = halt(boards(tmp_path)[5], "stopped")
        assert states(stopped)[:2] == ["done", "stopped"]
        assert "running" not in states(stopped)
        assert stopped.phase == "stopped"

    def test_progress_only_grows_and_ends_at_one(self, tmp_path):
        parts = [progress(board) for board in boards(tmp_path)]
        assert parts == sorted(parts)
        assert parts[0] == 0.0
        assert parts[-1] == 1.0

    def test_a_run_of_several_rounds_counts_them(self, tmp_path):
        event = [
            e
            for e in page_pipeline(tmp_path).stream(Request(PROMPT, steps=2, rounds=2))
            if isinstance(e, StageDone)
        ][-1]
        panels = tuple(PanelState(p.stage, status="done") for p in Board().panels)
        board = Board(panels=panels, phase="running", run=event.run)
        assert progress(board) == pytest.approx(0.5)

    def test_remaining_time_follows_the_pace(self, tmp_path):
        seen = boards(tmp_path)
        assert remaining(seen[0]) is None
        half = next(board for board in seen if progress(board) >= 0.4)
        part = progress(half)
        assert half.since is not None
        drawn = (half.now - half.since) * (1 - part) / (part - half.base)
        assert remaining(half) == pytest.approx(drawn)
        assert remaining(seen[-1]) is None

    def test_pace_takes_what_was_timed_and_scales_the_rest(self, tmp_path):
        run = boards(tmp_path, "a car")[-1].run
        assert run is not None
        learned = timed_pace(run, GUESSED_PACE)
        timed = {report.name: max(report.seconds, 0.01) for report in run.stages if report.status == "done"}
        assert timed.keys() == {"reading", "initial", "verdict"}
        assert {name: learned[name] for name in timed} == timed
        scale = sum(timed.values()) / sum(GUESSED_PACE[name] for name in timed)
        assert learned["enhanced"] == pytest.approx(GUESSED_PACE["enhanced"] * scale)


class TestMarkup:
    def test_a_head_has_number_title_and_state(self):
        done = PanelState("verdict", status="done", seconds=1.234)
        html = markup.head(done, 2)
        for part in (">2<", "Verdict", "Done · 1.2 s", 'data-status="done"'):
            assert part in html

    def test_a_running_head_counts_steps(self):
        assert "Step 3 of 8" in markup.head(PanelState("initial", status="running", step=3, steps=8), 1)

    def test_chips_say_in_words_what_their_colour_says(self):
        read = blank("a dog").reading
        assert "Matches the prompt" in verdicts.verdict_chips(Verdict(True), read)
        html = verdicts.verdict_chips(Verdict(False, ("toolbox", "owl")), read)
        assert "Missing: toolbox" in html and "Missing: owl" in html
        assert "Does not match" in verdicts.verdict_chips(Verdict(False), read)

    def test_nothing_from_outside_becomes_markup(self):
        bad = "<script>alert(1)</script>\"'"
        chosen = Candidate(bad, 0.5, bad, bad, "javascript:alert(1)", bad)
        reference = Reference(
            bad, chosen, tile("toolbox"), candidates=(chosen, replace(chosen, file=bad + "2"))
        )
        html = [
            verdicts.verdict(
                Verdict(False, (bad,), (bad,), bad, sights=(Sight(bad, "absent", 0.1, bad),)), blank(bad)
            ),
            findings.concepts([Concept(bad, bad)], [Rejection(bad, bad)]),
            findings.references([], [Rejection(bad, bad)]),
            findings.references([reference]),
            markup.banner(Board(message=bad)),
            markup.trace_list([bad]),
            markup.served(PanelState("verdict", model=bad)),
            viewing.picture(begin(bad, 0), Shown(bad, bad, bad)),
            findings.body(PanelState("verdict", status="skipped", reason=bad)),
        ]
        assert not any("<script" in text or 'href="javascript' in text for text in html)
        assert all("&lt;script&gt;" in text for text in html)

    def test_a_reference_tells_where_it_comes_from(self):
        chosen = Candidate("a.png", 0.834, "toolbox", "", "https://example.org/a", "CC BY 4.0")
        other = Candidate("b.png", 0.412, "briefcase")
        html = findings.references([Reference("box", chosen, tile("toolbox"), candidates=(chosen, other))])
        for part in (
            "0.83",
            'href="https://example.org/a"',
            "CC BY 4.0",
            "briefcase",
            "0.41",
            "Reference for box: toolbox",
        ):
            assert part in html

    def test_before_and_after_and_the_kept_one(self, tmp_path):
        run = boards(tmp_path)[-1].run
        assert run is not None
        html = verdicts.outcome(run)
        assert html.index("Missing: toolbox") < html.index("Matches the prompt")
        assert html.index(">After") < html.index(">kept")
        worse = verdicts.outcome(replace(run, kept=0))
        assert worse.index(">kept") < worse.index(">After")

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(0.42, "0.42 s"), (1.25, "1.2 s"), (5, "5 s"), (12.4, "12 s"), (200, "3 min 20 s")],
    )
    def test_durations_as_people_say_them(self, seconds, words):
        assert markup.duration(seconds) == words

    def test_progress_is_readable_by_machines(self, tmp_path):
        half = next(board for board in boards(tmp_path) if progress(board) >= 0.4)
        html = markup.strip(half)
        assert f'aria-valuenow="{round(progress(half) * 100)}"' in html
        assert "left" in html


class TestUpdates:
    def test_one_value_for_each_output(self, tmp_path):
        seen = boards(tmp_path)
        outputs = len(laid_out().outputs)
        assert len(updates(None, seen[0])) == outputs
        assert len(updates(seen[0], seen[1])) == outputs
        results = Results(Shown("image.png"), "run.json", "run.zip", ["a", "b"])
        assert len(updates(seen[-2], seen[-1], results=results)) == outputs

    def test_a_preview_touches_its_head_its_picture_and_the_strip(self, tmp_path):
        seen, panels = boards(tmp_path), laid_out()
        shown = zip(panels.outputs, updates(seen[3], seen[4]), strict=True)
        touched = [part for part, value in shown if value != gr.skip()]
        body = panels.bodies["initial"]
        assert touched == [panels.strip, panels.heads["initial"], panels.images["initial"], body]

    def test_two_images_are_compared_only_where_there_are_two(self, tmp_path):
        two, one = boards(tmp_path)[-1], boards(tmp_path, "a car")[-1]
        assert (compared(two.run), compared(one.run)) == (("initial.png", "enhanced.png"), None)
        both = viewing.picture(two, Shown("result.png", "initial.png", "enhanced.png"))
        assert both.count("<img") == 3 and both.count("data-view=") == 4
        alone = viewing.picture(one, Shown("result.png"))
        assert alone.count("<img") == 1 and "data-view=" not in alone and "data-live" not in alone

    def test_until_there_is_a_result_what_is_drawn_stands_in_its_place(self, tmp_path):
        seen, panels = boards(tmp_path), laid_out()
        column, shown = (panels.outputs.index(part) for part in (panels.result, panels.picture))
        assert updates(None, Board())[column]["visible"] is False
        begun = updates(None, seen[0])
        assert begun[column]["visible"] is True and "data-live" in begun[shown]
        assert updates(seen[3], seen[4])[shown] == gr.skip()

    def test_a_panel_keeps_its_purpose_and_folds_what_it_took(self):
        done = PanelState(
            "verdict", status="done", model="some/vlm", peak_bytes=300 * 2**20, run=blank("a dog")
        )
        assert "A vision model checks what is there." in markup.head(done, 2)
        assert "some/vlm" not in markup.head(done, 2)
        detail = findings.body(done)
        assert "some/vlm · 300 MB" in detail and "<details" in detail and " open" not in detail
        assert findings.body(PanelState("verdict")) == ""

    def test_the_forms_are_filled_when_a_run_ends_and_locked_while_it_goes(self, tmp_path):
        seen, panels = boards(tmp_path), laid_out()
        begun = named(panels, updates(None, seen[0]))
        ended = named(panels, updates(seen[-2], seen[-1]))
        assert not any(begun[name]["interactive"] for name in BUTTONS)
        assert all(ended[name]["interactive"] for name in BUTTONS if name not in ("original", "unstructure"))
        assert (begun["missing"], ended["missing"]) == (gr.skip(), "toolbox")
        assert ended["concepts"] == "toolbox: a picture of toolbox"
        assert ended["result"] == gr.update(choices=[("Initial image", 0), ("Enhanced image", 1)], value=1)

    def test_only_what_makes_sense_can_be_corrected(self, tmp_path):
        last = boards(tmp_path, "a car")[-1]
        buttons = named(laid_out(), updates(None, last))
        able = {name for name in BUTTONS if buttons[name]["interactive"]}
        assert able == {
            "reread",
            "read",
            "restyle",
            "restructure",
            "use_image",
            "draw",
            "overrule",
            "judge",
            "name",
            "extract",
        }

    def test_a_run_from_the_history_looks_as_it_did(self, tmp_path):
        last = boards(tmp_path)[-1]
        again = board_of(last.run)
        assert [(p.status, p.seconds, p.model) for p in again.panels] == [
            (p.status, p.seconds, p.model) for p in last.panels
        ]
        seconds = sum(report.seconds for report in last.run.stages)
        assert f"took {markup.duration(seconds)}" in markup.strip(again)

    def test_what_was_taken_over_counts_and_what_was_done_anew_is_told(self, tmp_path):
        run = boards(tmp_path)[-1].run
        assert run is not None
        again = keep(run, 0)
        whole = sum(report.seconds for report in again.stages)
        kept = markup.strip(replace(board_of(again), phase="finished"))
        assert f"took {markup.duration(whole)}, {markup.duration(0)} of it anew" in kept

    def test_between_two_steps_the_next_one_is_named(self, tmp_path):
        seen = boards(tmp_path)
        assert "Starting" in markup.strip(seen[0])
        between = [
            board for board in seen[1:-1] if "running" not in states(board) and board.phase == "running"
        ]
        assert between and not any("Starting" in markup.strip(board) for board in between)


def test_a_reference_s_style_or_thing_alone_is_offered_where_the_profile_can():
    with gr.Blocks():
        assert [build_panels(can).forms.fields["use"].visible for can in (False, True)] == [False, True]


def named(panels: Panels, values: list) -> dict:
    """The updates of the forms by name."""
    names = [*panels.forms.fields, *panels.forms.buttons]
    return dict(zip(names, values[-len(names) :], strict=True))


def laid_out() -> Panels:
    with gr.Blocks():
        return build_panels()


class TestForms:
    @pytest.mark.parametrize(
        ("text", "box"),
        [
            ("0 0 50 100", Box(0, 0, 0.5, 1)),
            ("12.5, 0, 100%, 50%", Box(0.125, 0, 1, 0.5)),
            ("", Box()),
            (None, Box()),
        ],
    )
    def test_a_box_is_read_as_people_write_it(self, text, box):
        assert box_from(text) == box
        assert box_from(percent(box)) == box

    @pytest.mark.parametrize(
        "text", ["1 2", "a b c d", "0 0 0 100", "50 0 40 100", "0 0 101 100", "nan 0 1 1"]
    )
    def test_what_is_no_box_is_said_in_a_sentence(self, text):
        with pytest.raises(RequestError, match="box"):
            box_from(text)

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("owl", [Concept("owl", "a picture of owl")]),
            ("- owl: a grey owl\n\n* toolbox", [Concept("owl", "a grey owl"), Concept("toolbox", "a picture of toolbox")]),
            (" owl :", [Concept("owl", "a picture of owl")]),
            ("  \n", []),
        ],
    )  # fmt: skip
    def test_concepts_are_read_a_line_each(self, text, found):
        assert [c.name for c in concepts_from(text)] == [c.name for c in found]
        assert all(c.caption for c in concepts_from(text))


class TestRuns:
    def test_sessions_stop_their_own_run_only(self):
        sessions = Sessions()
        mine, other = sessions.open("me", begin(PROMPT, 0)), sessions.open("you", begin(PROMPT, 0))
        assert sessions.stop("me") is mine
        assert mine.stop.is_set() and not other.stop.is_set()
        assert sessions.stop("nobody") is None

    def test_an_idle_page_has_nothing_to_stop(self):
        sessions = Sessions()
        sessions.open("me", replace(begin(PROMPT, 0), phase="finished"))
        assert sessions.stop("me") is None

    def test_a_stopped_run_is_shown_as_such_when_it_has_ended(self, tmp_path):
        class Page:
            session_hash = "me"

        runs = Runs(page_pipeline(tmp_path), {"pocket": "pocket"})
        frames = runs.stream(Page(), prompt=f"slow {PROMPT}", steps=2)
        while (
            runs.sessions.get("me") is None
            or runs.sessions.get("me").board.panel("initial").status != "running"
        ):
            next(frames)
        strip, button = runs.stop(Page())
        assert "Stopping" in strip and button["interactive"] is False
        frames.close()
        assert runs.sessions.get("me").ended.is_set()
        *shown, button = runs.settle(Page())
        assert "What is done is kept" in shown[0] and button["interactive"] is True
        board = runs.sessions.get("me").board
        assert board.panel("initial").status == "stopped"
        assert not any(model.pinned for model in board.usage.models)
        assert runs.stop(Page()) == [gr.skip()] * 2

    def test_a_run_that_ended_while_it_was_told_to_stop_has_ended(self, tmp_path):
        class Page:
            session_hash = "me"

        runs = Runs(page_pipeline(tmp_path), {"pocket": "pocket"})
        list(runs.stream(Page(), prompt="a car", steps=2))
        runs.sessions.get("me").stop.set()
        *shown, button = runs.settle(Page())
        assert "Done." in shown[0] and button["interactive"] is True
        assert runs.run_of(Page()).state == "finished"

    def test_a_page_whose_run_is_gone_is_told_so(self, tmp_path):
        class Page:
            session_hash = "of another server"

        runs = Runs(page_pipeline(tmp_path), {"pocket": "pocket"})
        (shown,) = runs.go_on(Page())
        assert "There is no run on this page." in shown[1]
        assert len(runs.sessions) == 0

    def test_a_prompt_that_has_no_utf8_reaches_page_and_history_all_the_same(self, tmp_path):
        class Page:
            session_hash = "me"

        runs = Runs(page_pipeline(tmp_path), {"pocket": "pocket"})
        shown = list(runs.stream(Page(), key="k" * 32, prompt="a \ud800 car", steps=2))
        shown += [Past(runs, page_pipeline(tmp_path), Fields({}, ())).entries("k" * 32)]
        texts = json.dumps(shown, default=str, ensure_ascii=False)
        texts.encode()
        assert "a \ufffd car" in texts
        explain(LibraryError("There is no \udfff.")).encode()

    def test_closing_a_page_stops_and_forgets(self):
        sessions = Sessions()
        session = sessions.open("me", begin(PROMPT, 0))
        sessions.close("me")
        assert session.stop.is_set()
        assert len(sessions) == 0

    def test_a_known_error_is_shown_and_an_unknown_one_is_not(self, caplog):
        assert explain(RequestError("The prompt is empty.")) == "The prompt is empty."
        shown = explain(OSError(2, "No such file", "/secret/place"))
        assert "our side" in shown and "secret" not in shown and "OSError" not in shown
        assert "secret" in caplog.text

    def test_a_program_gets_the_stages_and_then_the_result(self, tmp_path):
        runs = Runs(page_pipeline(tmp_path), {"pocket": "pocket"})
        *steps, (image, record) = runs.call(prompt=PROMPT, seed=5, library="pocket")
        stages = [note["stage"] for _, note in steps if note and "step" not in note]
        assert stages == list(GUESSED_PACE)
        drawn = {note["stage"] for _, note in steps if note and "step" in note}
        assert drawn == {"initial", "enhanced"}
        assert image is not None and Path(image).name == "result.png"
        assert record is not None and (record["prompt"], record["seed"]) == (PROMPT, 5)

    def test_leaving_a_run_does_not_wait_for_its_models(self, tmp_path):
        released, closed = threading.Event(), threading.Event()

        class Pipeline:
            results = tmp_path

            def stream(self, request, stop):
                try:
                    yield StageStarted("initial", "generator")
                finally:
                    released.wait(10)
                    assert stop.is_set()
                    closed.set()

        steps = Runs(Pipeline(), {"pocket": "pocket"}).call(prompt=PROMPT)
        next(steps)
        steps.close()
        assert not closed.is_set()
        released.set()
        assert closed.wait(10)

    def test_a_run_waits_for_the_imports_under_way(self, tmp_path):
        order = []

        class Pipeline:
            results = tmp_path

            def stream(self, request, stop):
                order.append("run")
                yield from ()

        def through():
            order.append("imported")
            imports._under_way.release()

        imports.announce()
        threading.Timer(0.2, through).start()
        list(Runs(Pipeline(), {"pocket": "pocket"}).call(prompt=PROMPT))
        assert order == ["imported", "run"]

    @pytest.mark.parametrize(
        ("values", "words"),
        [({"prompt": ""}, "empty"), ({"prompt": "x" * 2001}, "2001"), ({"prompt": "x", "seed": -1}, "seed")],
    )
    def test_a_program_is_told_what_is_wrong(self, tmp_path, values, words):
        runs = Runs(page_pipeline(tmp_path), {"pocket": "pocket"})
        with pytest.raises(gr.Error, match=words):
            list(runs.call(**values))

    def test_only_offered_libraries_can_be_named(self, tmp_path):
        runs = Runs(page_pipeline(tmp_path), {"pocket": "pocket"})
        with pytest.raises(gr.Error, match="goes by its name here, not by a path"):
            list(runs.call(prompt=PROMPT, library="/etc"))
        with pytest.raises(gr.Error, match="no library 'etc' here"):
            list(runs.call(prompt=PROMPT, library="etc"))

    def test_values_become_a_request(self):
        request = request_from(PROMPT, "blur", 7, 12, 3.0, 0.5, 0.25, 2, 0.5, 1.0, 2.0, 3, "pocket")
        assert request == Request(PROMPT, "blur", 7, 12, 3.0, 0.5, 0.25, 2, (0.5, 1.0, 2.0), 3, "pocket")

    def test_an_emptied_weight_counts_as_one(self):
        assert request_from(PROMPT, weight_1=None, weight_2=0.5, weight_3=None).weights == (1.0, 0.5, 1.0)


class TestDemo:
    def test_a_folder_is_offered_by_its_name(self, tmp_path):
        folder = tmp_path / "my pictures"
        folder.mkdir()
        names, chosen = choose_library(page_pipeline(tmp_path), str(folder))
        assert chosen == "my pictures"
        assert names == {"pocket": "pocket", "my pictures": str(folder)}

    def test_an_unknown_library_is_an_error_before_the_page_is_up(self, tmp_path):
        with pytest.raises(LibraryError, match="nowhere"):
            build_demo(page_pipeline(tmp_path), "nowhere")

    def test_old_served_files_are_swept(self, tmp_path):
        for name, age in (("old", 100_000), ("new", 10)):
            file = tmp_path / name / "image.png"
            file.parent.mkdir()
            file.write_bytes(b"x")
            os.utime(file, (time.time() - age,) * 2)
        (tmp_path / "cut-off").write_bytes(b"x")
        os.utime(tmp_path / "cut-off", (time.time() - 100_000,) * 2)
        sweep(tmp_path)
        assert [file.parent.name for file in tmp_path.rglob("*") if file.is_file()] == ["new"]

    def test_every_button_of_a_form_does_something(self, tmp_path):
        demo = build_demo(page_pipeline(tmp_path))
        clicked = {
            block for function in demo.fns.values() for block, event in function.targets if event == "click"
        }
        known = {str(block.elem_id): number for number, block in demo.blocks.items()}
        assert not [name for name in BUTTONS if known[f"ir-do-{name}"] not in clicked]

    def test_everything_that_runs_models_waits_in_one_line(self, tmp_path):
        demo = build_demo(page_pipeline(tmp_path))
        heavy = [fn for fn in demo.fns.values() if fn.name in ("stream", "call")]
        assert len(heavy) == 3  # the page's, and a program's for one and for many
        assert {(fn.concurrency_id, fn.concurrency_limit) for fn in heavy} == {("gpu", 1)}

    def test_nothing_that_waits_for_a_run_decodes_what_comes_from_outside(self, tmp_path):
        demo = build_demo(page_pipeline(tmp_path))
        fns = list(demo.fns.values())
        taking = [fn for fn in fns if any(isinstance(part, gr.Image | gr.File) for part in fn.inputs)]
        assert {fn.concurrency_id for fn in taking if fn.queue} == {
            "pictures",
            "search",
            "browse",
            "knowledge files",
            "beside",
        }
        assert {fn.name for fn in taking if not fn.queue} == {"begin"}  # it only lists what is to be added

    def test_only_the_named_endpoints_are_public(self, tmp_path):
        demo = build_demo(page_pipeline(tmp_path))
        named = set(demo.get_api_info()["named_endpoints"])
        assert named == {
            "/run",
            "/batch",
            "/structure",
            "/enlarge",
            "/caption",
            "/libraries",
            "/library_search",
            "/library_list",
        }


def test_flags():
    flags = app.parse_flags(
        ["--profile", "sdxl", "--port", "7777", "--share", "--library", "mine", "--policy", "resident"]
    )
    assert (flags.profile, flags.port, flags.share, flags.library, flags.policy) == (
        "sdxl",
        7777,
        True,
        "mine",
        "resident",
    )
    assert app.parse_flags([]).profile == "pocket"
    assert app.parse_flags(["--shared-links"]).shared_links and not app.parse_flags([]).shared_links


def test_the_page_is_built_without_the_heavy_imports():
    code = (
        "import sys, app; from imgrag.engine.pipeline import ImageRAGPipeline; from imgrag.ui import build_demo;"
        "build_demo(ImageRAGPipeline()); print([m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_an_unknown_profile_is_one_sentence():
    done = subprocess.run(
        [sys.executable, "app.py", "--profile", "nope"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "no profile 'nope'" in done.stderr
    assert "Traceback" not in done.stderr


def test_transparency_is_shown_on_white_as_the_models_see_it() -> None:
    uri = markup.data_uri(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as shown:
        assert shown.convert("RGB").getpixel((4, 4)) == (255, 255, 255)
