"""Many at once on the page: lists and grids, stopped, gone on with, and as files."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from imgrag.errors import RequestError
from imgrag.ui.create.many import MOST, MOST_BATCHES, Batch, Many
from imgrag.ui.server import uploads
from tests.fakes import Cast, make_pipeline

REQUEST = gr.Request(headers={}, session_hash="one")
OTHER = gr.Request(headers={}, session_hash="other")
USUAL = {"prompt": "a dog and an owl", "seed": 1, "steps": 2, "library": "pocket"}


@pytest.fixture
def bench(tmp_path: Path) -> SimpleNamespace:
    cast = Cast()
    pipeline = make_pipeline(tmp_path, cast)
    return SimpleNamespace(cast=cast, many=Many(pipeline, {"pocket": "pocket"}))


def begin(many: Many, prompts: str = "", seeds: int = 1, **other: Any) -> list[list[Any]]:
    asked = {
        "kind": "list",
        "across": "seed",
        "across_values": "1-2",
        "down": "",
        "down_values": "",
        **USUAL,
        **other,
    }
    return list(many.begin(REQUEST, "k" * 40, prompts=prompts, seeds=seeds, **asked))


def test_each_prompt_is_drawn_and_kept_in_files(bench: SimpleNamespace) -> None:
    last = begin(bench.many, "a cat\na dog and an owl", seeds=2)[-1]
    assert last[1].count("<img") == 4 and "4 of 4 drawn" in last[1] and 'href="?run=' in last[1]
    files = [Path(file) for file in last[2]["value"]]
    assert [file.name for file in files] == ["contact-sheet.png", "imgrag-many.zip"]
    with zipfile.ZipFile(files[1]) as bundle:
        assert len([name for name in bundle.namelist() if name.startswith("0")]) == 4
        assert bundle.read("batch.jsonl").count(b"\n") == 4
    assert not last[5]["visible"], "nothing is left to go on with"


def test_a_grid_has_its_words_and_its_picture(bench: SimpleNamespace) -> None:
    last = begin(bench.many, kind="grid", down="adapter_scale", down_values="0.3, 1")[-1]
    assert last[1].count("<img") == 4
    assert "Seed 2, Adapter scale 0.3" in last[1] and "--ir-columns: 2" in last[1]
    assert Path(last[2]["value"][0]).name == "grid.png"


def test_what_was_stopped_goes_on_where_it_was(bench: SimpleNamespace) -> None:
    asked = {"kind": "list", "across": "", "across_values": "", "down": "", "down_values": "", **USUAL}
    steps = bench.many.begin(REQUEST, "k" * 40, prompts="a cat\na dog\nan owl", seeds=1, **asked)
    while "1 of 3" not in next(steps)[1]:
        pass
    drawn = len(bench.cast.generator.calls)
    stopped = bench.many.stop(REQUEST)
    steps.close()
    assert stopped[5]["visible"] and stopped[1].count("<img") == 1 and not stopped[2]["visible"]
    assert len(bench.many.files(REQUEST)[2]["value"]) == 2
    last = list(bench.many.go_on(REQUEST, "k" * 40))[-1]
    assert last[1].count("<img") == 3 and "3 of 3" in last[1]
    assert drawn >= 1


def test_what_was_deleted_is_drawn_again(bench: SimpleNamespace) -> None:
    asked = {"kind": "list", "across": "", "across_values": "", "down": "", "down_values": "", **USUAL}
    steps = bench.many.begin(REQUEST, "k" * 40, prompts="a cat\na dog", seeds=1, **asked)
    while "1 of 2" not in next(steps)[1]:
        pass
    bench.many.stop(REQUEST)
    steps.close()
    (batch,) = bench.many._batches.values()
    before = batch.lines[1].id
    shutil.rmtree(batch.results / before)
    last = list(bench.many.go_on(REQUEST, "k" * 40))[-1]
    assert last[1].count("<img") == 2 and before not in last[1]
    assert all((batch.results / line.result).is_file() for line in batch.told)


def test_of_many_pages_the_oldest_batches_go_unless_they_are_at_work(bench: SimpleNamespace) -> None:
    for number in range(MOST_BATCHES + 3):
        state = "running" if number == 0 else "finished"
        bench.many._hold(f"page {number}", Batch([], None, Path(), state=state))
    held = list(bench.many._batches)
    assert len(held) == MOST_BATCHES and held[:2] == ["page 0", "page 4"]


def test_what_goes_on_within_a_step_of_its_stop_is_not_stopped_by_what_ends_then(
    bench: SimpleNamespace,
) -> None:
    asked = {"kind": "list", "across": "", "across_values": "", "down": "", "down_values": "", **USUAL}
    old = bench.many.begin(REQUEST, "k" * 40, prompts="a cat\na dog", seeds=1, **asked)
    while "1 of 2" not in next(old)[1]:
        pass
    bench.many.stop(REQUEST)
    new = bench.many.go_on(REQUEST, "k" * 40)
    running = next(new)
    assert list(old) == [] and running[4]["interactive"]
    assert bench.many.stop(REQUEST)[5]["visible"], "the new one was running"
    new.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"prompts": ""}, "There is no prompt of the list"),
        ({"prompts": "\n".join(["a dog"] * 40), "seeds": 2}, f"80 images; at most {MOST}"),
        ({"prompts": "\n".join(["a dog"] * 90)}, f"more than {MOST} prompts"),
        ({"kind": "grid", "across": "", "across_values": ""}, "Choose what varies"),
        ({"kind": "grid", "across": "library", "across_values": "/etc"}, "goes by its name here"),
        ({"kind": "grid", "across": "steps", "across_values": "900"}, "number of steps"),
        ({"kind": "grid", "prompt": " "}, "The prompt is empty"),
        ({"prompts": '[{"prompt": "a dog", "library": "/etc"}]', "library": "elsewhere"}, "no library"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence_and_what_is_there_stays(
    bench: SimpleNamespace, given: dict[str, Any], said: str
) -> None:
    begin(bench.many, "a cat")
    (only,) = begin(bench.many, **given)
    assert said in only[1] and only[1].count("<img") == 1
    assert "/etc" not in only[1]


def test_a_list_names_no_library_of_this_machine(bench: SimpleNamespace) -> None:
    last = begin(bench.many, '[{"prompt": "a cat", "library": "/etc"}]')[-1]
    assert last[1].count("<img") == 1 and "left out: library" in last[1]


def test_another_page_has_nothing_of_it(bench: SimpleNamespace) -> None:
    begin(bench.many, "a cat")
    nothing = [*[gr.skip()] * 4, gr.update(interactive=False), gr.skip()]
    assert bench.many.stop(OTHER) == bench.many.files(OTHER) == nothing
    assert list(bench.many.go_on(OTHER, None)) == [nothing]
    bench.many.leave(REQUEST)
    assert list(bench.many.go_on(REQUEST, None)) == [nothing]


def test_what_is_refused_leaves_nothing_to_stop(bench: SimpleNamespace) -> None:
    (only,) = begin(bench.many, "")
    assert only[4] == gr.update(interactive=False)


def test_what_has_no_room_for_its_files_is_seen_and_said(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_room", lambda folder: 0)
    last = begin(bench.many, "a cat")[-1]
    assert "no room for downloads" in last[1] and last[1].count("<img") == 1 and not last[2]["visible"]


def test_a_file_that_is_too_large_is_not_read(bench: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_bytes(b"\x00" * 500_000)
    with pytest.raises(RequestError, match="more than 100,000"):
        bench.many.read(REQUEST, str(tmp_path / "prompts.txt"))


def test_a_file_comes_into_the_field(bench: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_bytes("prompt,seed\ncafé,3\n".encode("cp1252"))
    read, *rest = bench.many.read(REQUEST, str(tmp_path / "prompts.csv"))
    assert read == "prompt,seed\ncafé,3\n" and rest == [gr.skip()] * 6
    assert bench.many.read(REQUEST, None)[0] == ""


def test_a_table_stays_one_whatever_its_columns(bench: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("prompt,author\na cat,ann\na dog,bob\n", encoding="utf-8")
    text, *updates = bench.many.read(REQUEST, str(tmp_path / "prompts.csv"))
    assert "left out: author" in updates[1]
    assert "2 of 2 drawn" in begin(bench.many, text)[-1][1]
    (tmp_path / "prompts.txt").write_text("[a cat\n", encoding="utf-8")
    assert (
        "1 of 1 drawn" in begin(bench.many, bench.many.read(REQUEST, str(tmp_path / "prompts.txt"))[0])[-1][1]
    )
