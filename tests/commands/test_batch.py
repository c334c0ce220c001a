"""Batches: lists of prompts, a line for each, going on after a stop, the contact sheet, the endpoint."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image, ImageColor
from typer.testing import CliRunner

from imgrag.archive import records
from imgrag.commands import cli, contact_sheet
from imgrag.commands.batch import JOURNAL, Journal, Line, request_key, run_batch
from imgrag.commands.contact_sheet import CARD_SIZE, IMAGE, KEPT, MARGIN, contact_sheets
from imgrag.commands.prompt_files import MAX_REQUESTS, parse_prompts, read_prompts
from imgrag.commands.terminal import Pace
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import Cancelled, CheckpointError, MemoryBudgetError, RecordError, RequestError
from imgrag.runs.events import Preview
from imgrag.runs.values import Request
from imgrag.ui.create.batches import MAX_PROMPTS, Batches
from tests.fakes import COLOURS, Cast, make_pipeline, shows

ROOT = Path(__file__).parents[2]
GREEN = ImageColor.getrgb(KEPT)

PLAIN = (*[None] * 6, 1, None)  # no structure, one image, looked at once


class Bench:
    """A pipeline on fakes whose runs lie beside their journal."""

    def __init__(self, folder: Path) -> None:
        self.cast = Cast()
        self.pipeline = make_pipeline(folder, self.cast)
        self.folder = self.pipeline.results

    @property
    def drawn(self) -> int:
        return len(self.cast.generator.calls)

    def __call__(self, *requests: Request | str, stop: threading.Event | None = None) -> list[Line]:
        asked = [Request(r, steps=2) if isinstance(r, str) else r for r in requests]
        events = run_batch(self.pipeline, asked, stop, Journal(self.folder))
        return [event for event in events if isinstance(event, Line)]

    def written(self) -> list[dict]:
        return [json.loads(line) for line in (self.folder / JOURNAL).read_text().splitlines()]

    def fail(self, prompt: str, error: Exception) -> None:
        """From now on, drawing this prompt raises."""
        draw = self.cast.generator.draw

        def failing(given: str, **settings):
            if given == prompt:
                raise error
            return draw(given, **settings)

        self.cast.generator.draw = failing


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_line_tells_how_a_run_went(bench: Bench) -> None:
    enhanced, plain = bench("a dog and an owl", "a cat")
    assert [enhanced.number, plain.number] == [1, 2]
    assert (enhanced.state, enhanced.kept, enhanced.matches, enhanced.error) == ("finished", 1, True, None)
    assert (plain.kept, plain.matches) == (0, True) and "already matches" in plain.why
    with Image.open(bench.folder / enhanced.result) as result:
        assert shows(result, "owl")
    assert bench.written() == [json.loads(enhanced.json()), json.loads(plain.json())]
    assert records.open_record(bench.folder, plain.id)["prompt"] == plain.prompt == "a cat"


def test_what_is_finished_is_not_run_again(bench: Bench) -> None:
    first = bench("a dog", "a cat")
    drawn = bench.drawn
    again = bench("a cat", "a dog")
    assert bench.drawn == drawn and all(line.reused for line in again)
    assert [line.id for line in again] == [first[1].id, first[0].id]
    assert [line.number for line in again] == [1, 2] and len(bench.written()) == 2


@pytest.mark.parametrize("change", [{"seed": 1}, {"steps": 3}, {"rounds": 2}, {"weights": (0.5,)}])
def test_another_request_is_run(bench: Bench, change: dict) -> None:
    bench("a dog")
    (line,) = bench(Request(**{"prompt": "a dog", "steps": 2, **change}))
    assert not line.reused and len(bench.written()) == 2


def test_a_request_is_known_by_what_was_asked_and_of_whom() -> None:
    assert request_key(Request("a dog"), "pocket") == request_key(Request("a dog", seed=0), "pocket")
    assert request_key(Request("a dog"), "pocket") != request_key(Request("a dog"), "sdxl")


def test_equal_requests_run_once(bench: Bench) -> None:
    first, second = bench("a dog", "a dog")
    assert (first.id, second.number, second.reused) == (second.id, 2, True)


def test_a_result_that_is_gone_is_made_again(bench: Bench) -> None:
    (line,) = bench("a dog")
    (bench.folder / line.result).unlink()
    (again,) = bench("a dog")
    assert not again.reused and again.id != line.id


def test_a_disk_that_fills_while_a_line_is_written_leaves_whole_lines(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = bench("a dog")
    journal, before = Journal(bench.folder), (bench.folder / JOURNAL).read_bytes()
    monkeypatch.setattr("imgrag.commands.batch.FileIO", Short)
    with pytest.raises(RecordError, match="No space left"):
        journal.add(line)
    assert (bench.folder / JOURNAL).read_bytes() == before


class Short(io.FileIO):
    """A file on a disk with room for ten bytes."""

    def write(self, data: Any) -> int:
        return super().write(data[:10])


@pytest.mark.parametrize(
    "result", ["x" * 300, "../secret.png", "\x00", "20260101-000000-abcdef/initial.png", ""]
)
def test_a_line_that_names_no_result_of_a_run_is_none(bench: Bench, result: str) -> None:
    (line,) = bench("a dog")
    (bench.folder / JOURNAL).write_text(json.dumps({**asdict(line), "result": result}) + "\n")
    assert Journal(bench.folder).finished() == {}


@pytest.mark.parametrize(
    "left",
    [
        b'{"number": 2, "pro',
        b"\xff\xfe\x00",
        b"{}\n",
        b"null\n",
        b"[1]\n",
        b'{"state": "finished"}\n',
        b"\n\n",
    ],
)
def test_half_a_line_and_strange_ones_do_no_harm(bench: Bench, left: bytes) -> None:
    first = bench("a dog", "a cat")
    with (bench.folder / JOURNAL).open("ab") as file:
        file.write(left)
    lines = bench("a dog", "a cat", "an owl")
    assert [line.reused for line in lines] == [True, True, False]
    whole = left if left.endswith(b"\n") else b""
    expected = (
        "".join(f"{line.json()}\n" for line in first).encode() + whole + f"{lines[2].json()}\n".encode()
    )
    assert (bench.folder / JOURNAL).read_bytes() == expected


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryBudgetError("Take fewer steps."), "Take fewer steps."),
        (OSError(2, "none", "/secret/place"), "went wrong on our side"),
        (ValueError("bad"), "went wrong on our side"),
    ],
)
def test_a_failed_request_is_a_line_and_tried_again(bench: Bench, error: Exception, says: str) -> None:
    draw = bench.cast.generator.draw
    bench.fail("a cat", error)
    lines = bench("a dog", "a cat", "an owl")
    assert [line.state for line in lines] == ["finished", "failed", "finished"]
    assert says in lines[1].error and "secret" not in lines[1].json()
    assert (lines[1].result, lines[1].kept, lines[1].matches) == (None, None, None)
    bench.cast.generator.draw = draw
    again = bench("a dog", "a cat", "an owl")
    assert [line.reused for line in again] == [True, False, True] and again[1].state == "finished"
    assert [line["state"] for line in bench.written()] == ["finished", "failed", "finished", "finished"]


def test_an_unknown_library_is_a_line(bench: Bench) -> None:
    lines = bench(Request("a dog", library="nope"), "a cat")
    assert [line.state for line in lines] == ["failed", "finished"]
    assert lines[0].id == "" and "no library 'nope'" in lines[0].error


@pytest.mark.parametrize("error", [CheckpointError("The VLM is missing."), RecordError("The disk is full.")])
def test_what_no_request_can_do_without_ends_the_batch(bench: Bench, error: Exception) -> None:
    bench.fail("a cat", error)
    with pytest.raises(type(error)):
        bench("a dog", "a cat", "an owl")
    assert [line["prompt"] for line in bench.written()] == ["a dog"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot be written"):
        Journal(tmp_path / "file")
    (tmp_path / JOURNAL).mkdir()
    with pytest.raises(RecordError, match=JOURNAL):
        Journal(tmp_path)


def test_a_stop_ends_it_within_a_step(bench: Bench) -> None:
    stop, steps = threading.Event(), []

    def at_step(step: int) -> None:
        steps.append(step)
        if len(steps) == 3:
            stop.set()

    bench.cast.generator._at_step = at_step
    with pytest.raises(Cancelled):
        bench("a dog", "a cat", "an owl", stop=stop)
    assert len(steps) <= 4 and len(bench.written()) == 1
    lines = bench("a dog", "a cat", "an owl")
    assert [line.reused for line in lines] == [True, False, False]


def test_closing_it_leaves_the_models_free(bench: Bench) -> None:
    events = run_batch(bench.pipeline, [Request("a dog", steps=150)], journal=Journal(bench.folder))
    while not isinstance(next(events), Preview):
        pass
    events.close()
    assert bench.cast.crowd.now == 0 and bench.written() == []
    assert bench("a dog")[0].state == "finished"


# Lists of prompts


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", "a dog\n\n  # no\n a cat \r\nan owl", ["a dog", "a cat", "an owl"]),
        ("a.txt", '{"prompt": "a dog"}', ['{"prompt": "a dog"}']),
        ("a.txt", "prompt\na dog", ["prompt", "a dog"]),
        ("a.txt", "a\u2028dog\n一只狗", ["a\u2028dog", "一只狗"]),
        ("a", '\n{"prompt": "a dog", "seed": 3}\n\n', [("a dog", {"seed": 3})]),
        ("a", "prompt,seed\na dog,3", [("a dog", {"seed": 3})]),
        ("a", "a dog, a cat", ["a dog, a cat"]),
        ("a.jsonl", '{"prompt": "a dog", "seed": 3.0, "steps": null}', [("a dog", {"seed": 3})]),
        ("a.jsonl", '{"prompt": "a dog", "weights": [1, 0.5]}', [("a dog", {"weights": (1.0, 0.5)})]),
        ("a.csv", 'Prompt,Weights\n"a dog, a cat","1,0.5"', [("a dog, a cat", {"weights": (1.0, 0.5)})]),
        ("a.csv", "prompt;rounds\na dog, a cat;2\n;\n\na cat;", [("a dog, a cat", {"rounds": 2}), "a cat"]),
        ("a.tsv", "prompt\tadapter_scale\na dog\t0.5", [("a dog", {"adapter_scale": 0.5})]),
        ("a.csv", 'prompt\n"a dog\nand a cat"', ["a dog\nand a cat"]),
        ("a.csv", "\n\nprompt\na dog", ["a dog"]),
        ("a.txt", "#1 dad mug\n#\n# a comment\n#\tanother\n#hashtag", ["#1 dad mug", "#hashtag"]),
        ("a.txt", "a\x00dog\x1b and zo\u0308rblax", ["adog and z\u00f6rblax"]),
        ("a.json", '["a dog", "a cat"]', ["a dog", "a cat"]),
        ("a.json", '[{"prompt": "a dog", "seed": 3},\n {"prompt": "a cat"}]\n', [("a dog", {"seed": 3}), "a cat"]),
        ("a.json", '[\n  {\n    "prompt": "a dog",\n    "seed": 3\n  },\n  "a cat"\n]', [("a dog", {"seed": 3}), "a cat"]),
        ("a.json", '{\n  "prompt": "a dog",\n  "steps": 9\n}\n{"Prompt": "a cat"}', [("a dog", {"steps": 9}), "a cat"]),
        ("a.jsonl", '"a dog"\n\n{"prompt": "a \\ud800cat"}', ["a dog", "a \ufffdcat"]),
        ("a", '["a dog"]', ["a dog"]),
        ("a.txt", '--prompt "a dog" --negative_prompt "fog, rain" --seed 5 --steps 20',
         [("a dog", {"negative_prompt": "fog, rain", "seed": 5, "steps": 20})]),
        ("a", "a cat\n--prompt a dog --cfg-scale 3\n-- a line --", ["a cat", "a dog", "-- a line --"]),
        ("a.csv", "sep=;\nprompt;seed\na dog, a cat;3", [("a dog, a cat", {"seed": 3})]),
        ("a", "sep=,\nprompt,seed\na dog,3", [("a dog", {"seed": 3})]),
        ("a.csv", "Negative Prompt,PROMPT\nfog,a dog", [("a dog", {"negative_prompt": "fog"})]),
        ("a.tsv", 'prompt\ta\n"a dog" on a wall\tx\n"a cat\ty', ['"a dog" on a wall', '"a cat']),
    ],
)  # fmt: skip
def test_a_list_of_prompts_is_read(tmp_path: Path, name: str, text: str, expected: list) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    wanted = [(one, {}) if isinstance(one, str) else one for one in expected]
    usual = {"guidance_scale": 3.0}
    assert read_prompts(tmp_path / name, usual) == [
        Request(prompt, **usual, **more) for prompt, more in wanted
    ]


PARTI = (
    "Prompt\tCategory\tChallenge\tNote\n"
    "bond\tAbstract\tBasic\tBiology-inspired concepts with multiple meanings\n"
    'the saying "BE EXCELLENT TO EACH OTHER" on a rough wall\tIllustrations\tWriting & Symbols\t\n'
    '"Good job" in ink\tArtifacts\tWriting & Symbols\t\n'
)
DRAWBENCH = 'Prompts,Category\nA red colored car.,Colors\n"Hovering cow abducting aliens.",Conflicting\n'


@pytest.mark.parametrize(
    ("name", "text", "prompts", "left_out"),
    [
        ("PartiPrompts.tsv", PARTI,
         ["bond", 'the saying "BE EXCELLENT TO EACH OTHER" on a rough wall', '"Good job" in ink'], "category, challenge, note"),
        ("parti", PARTI.splitlines()[0] + "\nbond\tAbstract\tBasic\t\n", ["bond"], "category, challenge, note"),
        ("drawbench.csv", DRAWBENCH, ["A red colored car.", "Hovering cow abducting aliens."], "category"),
        ("drawbench", DRAWBENCH, ["A red colored car.", "Hovering cow abducting aliens."], "category"),
        ("a.csv", "prompt,mood,\na dog,good,", ["a dog"], "mood"),
        ("a.json", '[{"Prompt": "bond", "Category": "Abstract", "Note": null}]', ["bond"], "category, note"),
        ("a.txt", '--prompt "a dog" --width 512 --sampler_name "Euler a" --tiling', ["a dog"], "width, sampler_name, tiling"),
        ("a.txt", "--prompt owl --library /etc --adapter_scale 2", ["owl"], "library, adapter_scale"),
    ],
)  # fmt: skip
def test_what_other_tools_say_of_a_prompt_is_left_out_and_told_once(
    tmp_path: Path, name: str, text: str, prompts: list[str], left_out: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    told: list[str] = []
    assert read_prompts(tmp_path / name, tell=told.append) == [Request(prompt) for prompt in prompts]
    assert told == [f"A request has none of these, so they were left out: {left_out}."]


def test_the_guidance_of_a_line_of_options_is_taken() -> None:
    assert parse_prompts("--prompt owl --cfg_scale 7.5") == [Request("owl", guidance_scale=7.5)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_windows_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes("ein Käuzchen".encode(encoding))
    assert read_prompts(tmp_path / "a.txt") == [Request("ein Käuzchen")]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt", "", "no prompt of a.txt"),
        ("a.txt", "# nothing\n\n", "no prompt"),
        ("a.txt", "a dog\n" + "x" * 2001, "Line 2 of a.txt: The prompt has 2001"),
        ("a.txt", '--prompt "a dog --seed 5', "Line 1 of a.txt has a quotation mark that is never closed"),
        ("a.txt", "a dog\n--seed 5", "Line 2 of a.txt: The prompt is empty"),
        ("a.txt", f"--prompt owl --seed {'9' * 400}", "Line 1 of a.txt: The seed is 1e400"),
        ("a.jsonl", '{"prompt": "a dog"}\n{"prompt": ', "Line 2 of a.jsonl is no JSON object"),
        ("a.json", "[\n", "The list of a.json does not end"),
        ("a.json", '["a dog"] ["a cat"]', "The list of a.json does not end"),
        ("a.json", '[\n"a dog",\n{"prompt": "a cat", "seed": -1}\n]', "Line 3 of a.json: The seed is -1"),
        ("a.json", '[\n"a dog",\n5]', "Line 3 of a.json is no JSON object"),
        ("a.json", f'[{{"prompt": "a dog", "seed": {"9" * 400}}}]', "Line 1 of a.json: The seed is 1e400"),
        ("a.json", f'[{{"prompt": "a dog", "seed": {"9" * 5000}}}]', "Line 1 of a.json is no JSON object"),
        ("a.json", '{"prompts": {"prompt": "a dog"}}', "The prompt is"),
        ("a.csv", f"prompt,steps\na dog,{'9' * 400}", "The number of steps is 1e400"),
        ("a.csv", 'prompt,seed\n"a dog,1\na cat,2', "Line 2 of a.csv is no CSV"),
        ("a.csv", "text,mood\na dog,good", "Line 1 of a.csv names no column prompt, only text, mood"),
        ("a.csv", "sep=;\n\ntext;mood", "Line 3 of a.csv names no column prompt"),
        ("a.jsonl", "[" * 100_000, "no JSON object"),
        ("a.jsonl", "5", "no JSON object"),
        ("a.jsonl", '{"seed": 1}', "Line 1 of a.jsonl: The prompt is empty"),
        ("a.jsonl", '{"prompt": 5}', "The prompt is 5, which"),
        ("a.jsonl", '{"prompt": "a dog", "seed": true}', "The seed is True"),
        ("a.jsonl", '{"prompt": "a dog", "seed": 1.5}', "The seed is 1.5"),
        ("a.jsonl", '{"prompt": "a dog", "guidance_scale": NaN}', "guidance scale is nan"),
        ("a.jsonl", '{"prompt": "a dog", "weights": {"a": 1}}', "The weights is|The weights"),
        ("a.jsonl", '{"prompt": "a dog", "sed": 1}', "no field 'sed'"),
        ("a.csv", "prompt,seed\na dog,1\na cat,-1", "Line 3 of a.csv: The seed is -1"),
        ("a.csv", "prompt,seed\na dog,many", "Line 2 of a.csv: The seed is 'many'"),
        ("a.csv", "prompt,seed\na dog, a cat,1", "Line 2 of a.csv has more cells"),
        ("a.csv", "seed\n1", "names no column prompt, only seed"),
        ("a.csv", "", "no prompt"),
        ("a.csv", f"prompt\n{'x' * 200_000}", "no CSV|2000"),
    ],
)
def test_a_bad_list_is_one_sentence_with_the_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    with pytest.raises(RequestError, match=says) as caught:
        read_prompts(tmp_path / name)
    assert str(tmp_path) not in str(caught.value) and len(str(caught.value)) < 400


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    for path, says in (
        (tmp_path / "a.txt", "is no text"),
        (tmp_path, "cannot be read"),
        (tmp_path / "b", "b"),
    ):
        with pytest.raises(RequestError, match=says) as caught:
            read_prompts(path)
        assert str(tmp_path.parent) not in str(caught.value)


def test_there_is_a_most() -> None:
    assert len(parse_prompts("a dog\n" * MAX_REQUESTS)) == MAX_REQUESTS
    with pytest.raises(RequestError, match="more than 10000 prompts"):
        parse_prompts("a dog\n" * (MAX_REQUESTS + 1))


# The contact sheet


def test_a_card_takes_a_reference_of_any_shape() -> None:
    card = Image.new("RGB", CARD_SIZE)
    contact_sheet.paste(card, Image.new("RGB", (40_000, 1), "red"), (0, 0, 90, 90))
    assert (255, 0, 0) in _colours(card)


def test_the_sheet_shows_images_and_marks_the_kept_one(bench: Bench, tmp_path: Path) -> None:
    lines = bench("a dog and an owl", "a cat", Request("a dog", library="nope"))
    (file,) = contact_sheets(lines, bench.folder, tmp_path)
    with Image.open(file) as sheet:
        width, height = CARD_SIZE
        assert sheet.width == 3 * width + 4 * MARGIN and height < sheet.height < height + 6 * MARGIN
        cards = [_card(sheet, place) for place in range(3)]
    assert file.name == "contact-sheet.png" and not list(tmp_path.glob(f"{records.PARTIAL}*"))
    left, right = (0, 0, width // 2 - IMAGE // 2, height), (width - IMAGE - 40, 0, width, height)
    assert shows(cards[0].crop(left), "dog") and not shows(cards[0].crop(left), "owl")
    assert shows(cards[0].crop(right), "owl") and GREEN in _colours(cards[0].crop(right))
    assert GREEN in _colours(cards[1].crop(left)) and GREEN not in _colours(cards[1].crop(right))
    assert GREEN not in _colours(cards[2]) and not any(shows(cards[2], name) for name in COLOURS)


def _card(sheet: Image.Image, place: int) -> Image.Image:
    left, top = MARGIN + place * (CARD_SIZE[0] + MARGIN), sheet.height - MARGIN - CARD_SIZE[1]
    return sheet.crop((left, top, left + CARD_SIZE[0], top + CARD_SIZE[1]))


def _colours(image: Image.Image) -> set:
    return {colour for _, colour in image.getcolors(10**7)}


def test_pages_follow_and_those_of_a_longer_batch_go(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_sheet, "PAGE", 2)
    lines = bench("a dog", "a cat", "an owl")
    assert [file.name for file in contact_sheets(lines, bench.folder, tmp_path)] == [
        "contact-sheet.png", "contact-sheet-2.png",
    ]  # fmt: skip
    contact_sheets(lines[:1], bench.folder, tmp_path)
    assert [file.name for file in tmp_path.glob("contact-sheet*")] == ["contact-sheet.png"]


@pytest.mark.parametrize(
    "prompt",
    [
        "x" * 2000,
        "a dog " * 300,
        "一只狗和一个工具箱" * 50,
        "سيارة حمراء",
        "🐶\u202e\u0007\n\t<b>&",
        "\ufffd\U0010fffe",
    ],
)
def test_any_prompt_can_be_written_below(bench: Bench, tmp_path: Path, prompt: str) -> None:
    (file,) = contact_sheets(bench(prompt), bench.folder, tmp_path)
    with Image.open(file) as sheet:
        card = _card(sheet, 0)
    words = card.crop((1, IMAGE + 44, CARD_SIZE[0] - 1, CARD_SIZE[1] - 1))
    assert len(_colours(words)) > 1, "there are letters"
    edge = card.crop((CARD_SIZE[0] - 12, IMAGE + 30, CARD_SIZE[0] - 1, CARD_SIZE[1] - 1))
    assert _colours(edge) == {(255, 255, 255)}, "and none beyond the edge"


def test_a_run_whose_files_are_gone_has_a_card_too(bench: Bench, tmp_path: Path) -> None:
    lines = bench("a dog", "a cat")
    (bench.folder / lines[0].id / "initial.png").write_bytes(b"")
    (file,) = contact_sheets(lines, bench.folder, tmp_path)
    with Image.open(file) as sheet:
        assert not shows(_card(sheet, 0), "dog") and shows(_card(sheet, 1), "cat")


# The command


@pytest.fixture
def tool(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    def make(profile: str, policy: str, results: Path) -> ImageRAGPipeline:
        bench.pipeline.results = results
        return bench.pipeline

    monkeypatch.setattr("imgrag.engine.pipeline.ImageRAGPipeline", make)
    return lambda *arguments, **more: CliRunner().invoke(
        cli.app, ["batch", "--steps", "2", *arguments], **more
    )


def test_the_command_prints_lines_and_goes_on(tool, bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "more.csv").write_text("prompt,seed\nan owl,7\n")
    arguments = ("a dog", "a cat", "--file", str(tmp_path / "more.csv"), "--out", str(out))
    done = tool(*arguments)
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0, done.stderr
    assert [(row["number"], row["prompt"], row["seed"]) for row in printed] == [
        (1, "a dog", 0), (2, "a cat", 0), (3, "an owl", 7),
    ]  # fmt: skip
    assert (out / JOURNAL).read_text() == done.stdout
    assert (out / "contact-sheet.png").is_file() and "1 of 3, about 0:0" in done.stderr
    drawn = bench.drawn
    again = tool(*arguments, "--no-sheet")
    assert bench.drawn == drawn and "3 of them earlier" in again.stderr
    assert [json.loads(line)["id"] for line in again.stdout.splitlines()] == [row["id"] for row in printed]


def test_a_failed_prompt_is_exit_code_1(tool, tmp_path: Path) -> None:
    rows = '{"prompt": "a dog", "library": "nope"}\n{"prompt": "a cat"}\n'
    done = tool("--file", "-", "--out", str(tmp_path / "out"), input=rows)
    assert done.exit_code == 1 and "1 failed" in done.stderr
    assert [json.loads(line)["state"] for line in done.stdout.splitlines()] == ["failed", "finished"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no prompt"),
        (["a dog", " "], "prompt is empty"),
        (["--file", "none.txt"], "none.txt cannot be read"),
        (["a dog", "--weights", "much"], "weights are 'much'"),
        (["a dog", "--profile", "nope"], "no profile 'nope'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["batch", *arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2 and done.stdout == "" and not (tmp_path / "out").exists()
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def test_control_c_is_130_and_keeps_what_is_finished(tool, bench: Bench, tmp_path: Path) -> None:
    bench.fail("a cat", KeyboardInterrupt())  # type: ignore[arg-type]
    done = tool("a dog", "a cat", "--out", str(tmp_path / "out"))
    assert done.exit_code == 130 and done.stderr.splitlines()[-1] == "Stopped."
    assert [json.loads(line)["prompt"] for line in done.stdout.splitlines()] == ["a dog"]


def test_the_remaining_time_counts_runs_that_were_made() -> None:
    pace = Pace(5)
    assert str(pace) == "0 of 5"
    line = Line(1, "a", 0, "", "failed", None, None, "", None, 30.0, "x", "k")
    for reused in (True, False):
        pace.count(Line(**{**line.__dict__, "reused": reused}))
    assert str(pace) == "2 of 5, about 0:01:30 left"


# The endpoint


class Visitor(gr.Request):
    """A request of one session."""

    def __init__(self, session_hash: str = "one") -> None:
        super().__init__(session_hash=session_hash)


@pytest.fixture
def batches(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Batches:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    return Batches(bench.pipeline, {"pocket": "pocket"})


def test_the_endpoint_gives_lines_as_they_come_and_the_sheet(batches: Batches, tmp_path: Path) -> None:
    updates = list(
        batches.call("a dog\n# no\n\na cat and an owl", 3, "pocket", None, None, "", *PLAIN, Visitor())
    )
    counts = [len(lines) for lines, _ in updates]
    assert counts == sorted(counts) and {0, 1, 2} == set(counts)
    assert [sheet for _, sheet in updates[:-1]] == [None] * (len(updates) - 1)
    lines, sheet = updates[-1]
    assert [(line["prompt"], line["seed"], line["state"]) for line in lines] == [
        ("a dog", 3, "finished"), ("a cat and an owl", 3, "finished"),
    ]  # fmt: skip
    json.dumps(lines)
    with Image.open(sheet) as shown:
        assert Path(sheet).is_relative_to(tmp_path / "gradio") and shows(shown, "owl")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("", 0, None), "no prompt"),
        (("a dog\n" * (MAX_PROMPTS + 1), 0, None), "more than 50 prompts"),
        (("a dog\n" + "x" * 2001, 0, None), "Line 2: The prompt has 2001"),
        (("x" * 6_000_000, 0, None), "6000000 characters"),
        (("a dog", -1, None), "seed is -1"),
        (("a dog", 0, "/etc"), "goes by its name here, not by a path"),
    ],
)
def test_bad_input_to_the_endpoint_is_a_sentence(batches: Batches, arguments: tuple, says: str) -> None:
    with pytest.raises(gr.Error, match=says):
        list(batches.call(*arguments, None, None, None, *PLAIN, Visitor()))


def test_whoever_leaves_stops_the_batch(batches: Batches, bench: Bench) -> None:
    begun = threading.Event()
    bench.cast.generator._at_step = lambda step: begun.set()
    ended: list[Exception] = []

    def go() -> None:
        try:
            list(batches.call("a dog\n" * 2 + "a cat", 0, None, None, None, None, *PLAIN, Visitor()))
        except gr.Error as error:
            ended.append(error)

    bench.pipeline.profile  # noqa: B018  the thread must not be the first to look
    visit = threading.Thread(target=go)
    visit.start()
    assert begun.wait(20)
    batches.leave(Visitor("another"))
    batches.leave(Visitor())
    visit.join(20)
    assert not visit.is_alive() and bench.cast.crowd.now == 0 and len(ended) == 1
    assert batches._stops == {}


def test_a_closed_generator_stops_the_batch(batches: Batches, bench: Bench) -> None:
    updates = batches.call("a dog\na cat", 0, None, None, None, None, *PLAIN, Visitor())
    next(updates)
    updates.close()
    with bench.pipeline._lock:  # whoever gets it is the only one in the models
        assert bench.cast.crowd.now == 0
    assert batches._stops == {}


def test_importing_it_takes_no_models() -> None:
    code = (
        "import sys, imgrag.ui.create.batches, imgrag.commands.batch, imgrag.commands.contact_sheet\n"
        "heavy = {'torch', 'diffusers', 'transformers'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_a_batch_that_was_killed_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from imgrag.commands.batch import Journal, Line, run_batch\n"
        "from imgrag.runs.values import Request\n"
        "from tests.fakes import Cast, make_pipeline\n"
        "pipeline = make_pipeline(Path(sys.argv[1]), Cast())\n"
        "requests = [Request('a dog', seed=seed, steps=20) for seed in range(int(sys.argv[2]))]\n"
        "for event in run_batch(pipeline, requests, journal=Journal(pipeline.results)):\n"
        "    if isinstance(event, Line): print(event.reused, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    killed = subprocess.Popen([*command, "500"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert isinstance(killed.stdout, io.TextIOBase)
    seen = [killed.stdout.readline() for _ in range(3)]
    killed.kill()
    killed.communicate()
    assert seen == ["False\n"] * 3
    done = subprocess.run([*command, "3"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "True\n" * 3
    for raw in (tmp_path / "results" / JOURNAL).read_bytes().splitlines():
        assert json.loads(raw)["state"] == "finished"
