"""One value over another: what is typed becomes requests, and the picture of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from imgrag.commands.batch import Journal, Line, run_batch
from imgrag.commands.contact_sheet import FAILED
from imgrag.commands.grid import Grid, grid_requests, laid_out, seeds_each, side, sides
from imgrag.commands.grid_sheet import CELL, _corner, grid_sheet
from imgrag.commands.prompt_files import OPTIONS, parse_prompts
from imgrag.errors import RequestError
from imgrag.runs.values import Request
from tests.fakes import Cast, make_pipeline

BASE = Request("a dog and an owl", seed=7, steps=2)


@pytest.mark.parametrize(
    ("setting", "text", "values"),
    [
        ("seed", "1-4", (1, 2, 3, 4)),
        ("seed", "3, 1-2,3", (3, 1, 2)),
        ("steps", "10，20", (10, 20)),
        ("adapter_scale", "0, .5, 1", (0.0, 0.5, 1.0)),
        ("library", "pocket, shop", ("pocket", "shop")),
    ],
)
def test_a_side_is_read_as_it_is_typed(setting: str, text: str, values: tuple) -> None:
    assert side(setting, text).values == values


def test_a_side_of_styles_can_have_none() -> None:
    plain, ink = side("styles", "none, ink:0.5").values
    assert plain == () and (ink[0].name, ink[0].weight) == ("ink", 0.5)


@pytest.mark.parametrize(
    ("setting", "text", "said"),
    [
        ("prompt", "a, b", "cannot vary"),
        ("seed", "", "has 0 values"),
        ("seed", "1-4000000000", "has 13 values"),
        ("seed", "4-1", "'4-1' begins above its end"),
        ("seed", "1," * 1001, "more than 2,000 characters"),
        ("library", "x" * 61, "longer than 60"),
        ("seed", ",".join(map(str, range(400))), "has 13 values"),
        ("seed", "1.5", "'1.5' of seed is no whole number"),
        ("adapter_scale", "0.5, much", "'much' of adapter scale is no number"),
        ("guidance_scale", "nan, 3", "guidance scale"),
    ],
)
def test_what_is_no_side_is_a_sentence(setting: str, text: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        grid_requests(BASE, side(setting, text), None)


def test_the_command_line_names_the_setting_first() -> None:
    assert sides("adapter-scale=0.3,1").values == (0.3, 1.0)
    with pytest.raises(RequestError, match="looks like"):
        sides("adapter scale")


def test_rows_come_one_after_the_other() -> None:
    found = grid_requests(BASE, side("seed", "1-2"), side("adapter_scale", "0.3, 1"))
    assert [(one.seed, one.adapter_scale) for one in found] == [(1, 0.3), (2, 0.3), (1, 1.0), (2, 1.0)]
    assert {one.prompt for one in found} == {BASE.prompt}


def test_both_sides_cannot_vary_one_setting() -> None:
    with pytest.raises(RequestError, match="the same setting"):
        grid_requests(BASE, side("seed", "1-2"), side("seed", "3-4"))


def test_a_grid_is_of_one_prompt_and_a_list_has_seeds() -> None:
    assert [one.seed for one in seeds_each([BASE, BASE], 2)] == [7, 8, 7, 8]
    with pytest.raises(RequestError, match="one prompt"):
        laid_out([BASE, BASE], Grid(side("seed", "1-2")))


def test_a_strangers_list_names_no_file_of_this_machine() -> None:
    left = []
    table = 'prompt,seed,library,control\n"a dog",3,/etc,/etc/passwd\n'
    (found,) = parse_prompts(table, {}, tell=left.append, allowed=OPTIONS)
    assert (found.seed, found.library, found.structure) == (3, None, None)
    assert "library" in left[0] and "control" in left[0]


@pytest.mark.parametrize("name", ["seed", "control_scale"])
def test_lists_within_lists_are_a_sentence_however_deep(name: str) -> None:
    with pytest.raises(RequestError, match="Line 1: A value has lists within lists"):
        parse_prompts(f'{{"prompt": "a dog", "{name}": {"[" * 900}{"]" * 900}}}')


def test_the_picture_has_each_run_in_its_place(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    grid = Grid(side("seed", "1-2"), side("library", "pocket, gone"))
    asked = grid_requests(BASE, grid.across, grid.down)
    lines = [
        one for one in run_batch(pipeline, asked, None, Journal(pipeline.results)) if isinstance(one, Line)
    ]
    assert [line.state for line in lines] == ["finished", "finished", "failed", "failed"]
    file = grid_sheet(lines, pipeline.results, tmp_path, grid.across, grid.down)
    with Image.open(file) as sheet:
        whole = sheet.convert("RGB")
    for row, column in ((0, 0), (0, 1)):
        with Image.open(pipeline.results / lines[column].result) as kept:
            middle = tuple(place + CELL // 2 for place in _corner(row, column))
            wanted = kept.convert("RGB").resize((CELL, CELL)).getpixel((CELL // 2, CELL // 2))
            assert all(abs(a - b) < 12 for a, b in zip(whole.getpixel(middle), wanted, strict=True))
    left, top = _corner(1, 0)
    colours = {colour for _, colour in whole.crop((left, top, left + CELL, top + CELL)).getcolors(10**5)}
    assert tuple(int(FAILED[at : at + 2], 16) for at in (1, 3, 5)) in colours, "why it failed stands there"
    assert not list(tmp_path.glob("*partial*"))


def test_runs_of_a_batch_are_in_the_history_of_whoever_asked(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, Cast())
    (line,) = [one for one in run_batch(pipeline, [BASE], owner="somebody") if isinstance(one, Line)]
    assert '"owner": "somebody"' in (pipeline.results / line.id / "run.json").read_text()
