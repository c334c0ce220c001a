"""The style commands, and styles in the commands that draw."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from imgrag.commands import cli
from imgrag.commands.prompt_files import parse_prompts, parse_styles
from imgrag.errors import RequestError
from imgrag.runs.styles import Styled
from imgrag.styles import StyleShelf
from tests.fakes import FakeEmbedder, tile
from tests.styles.test_shelf import INK, lora_at, put


def style(*arguments):
    return CliRunner().invoke(cli.app, ["style", *map(str, arguments)])


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    """A style "ink" that comes with the app, and no real CLIP."""
    put(tmp_path / "bundled" / "pocket" / "ink", INK, tile("dog"))
    found = StyleShelf("pocket", tmp_path / "own", tmp_path / "bundled")
    monkeypatch.setattr("imgrag.commands.style._shelf", lambda profile: found)
    monkeypatch.setattr("imgrag.commands.style._embedder", lambda profile: FakeEmbedder())
    return found


def test_from_its_adding_to_its_end(tmp_path):
    file = lora_at(tmp_path / "chalk.safetensors", **{"modelspec.trigger_phrase": "chlk"})
    added = style("add", file, "--licence", "CC0", "--words", "in chalk, chalk drawing", "--scale", 0.5)
    assert added.exit_code == 0
    assert (
        style("list").stdout
        == "chalk  chalk  in chalk, chalk drawing\nink  Ink wash  ink wash, in ink, 水墨画\n"
    )
    shown = json.loads(style("show", "chalk", "--json").stdout)
    assert (shown["drawn_as"], shown["scale"], shown["lora"]) == ("{prompt}, chlk", 0.5, True)
    assert [row["name"] for row in json.loads(style("search", "chalk", "--words", "--json").stdout)] == [
        "chalk"
    ]
    picture = tmp_path / "dog.png"
    tile("dog").save(picture)
    assert style("search", "--image", picture).stdout == "1.000  ink  Ink wash\n"
    assert style("remove", "chalk", "--yes").exit_code == 0
    assert style("list").stdout == "ink  Ink wash  ink wash, in ink, 水墨画\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "chalk"], "no style 'chalk' here"),
        (["remove", "ink", "--yes"], "comes with the app"),
        (["search"], "nothing to search by"),
        (["search", "--image", "gone.png"], "The picture 'gone.png' cannot be used"),
        (["add", "gone"], "it is no folder and no file"),
    ],
)
def test_bad_input_is_one_sentence(arguments, says):
    result = style(*arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_a_broken_style_is_told_beside_the_others(tmp_path):
    put(tmp_path / "own" / "pocket" / "chalk", 'title = "Chalk"')
    result = style("list")
    assert result.stdout.startswith("ink")
    assert "names no licence" in " ".join(result.stderr.split())


def test_styles_are_named_with_weights():
    assert parse_styles("ink:0.8, pixel art") == (Styled("ink", 0.8), Styled("pixel art"))
    with pytest.raises(RequestError, match="give a name, or a name and a weight"):
        parse_styles("ink:much")
    (one,) = parse_prompts('{"prompt": "a dog", "styles": ["ink:0.5"]}')
    (other,) = parse_prompts('prompt,styles\na dog,"ink:0.5"\n')
    (table,) = parse_prompts('{"prompt": "a dog", "styles": [{"name": "ink", "weight": 0.5}]}')
    assert one.styles == other.styles == table.styles == (Styled("ink", 0.5),)


def test_a_style_that_is_not_there_is_told_before_anything_is_drawn(tmp_path):
    drawing = CliRunner().invoke(
        cli.app, ["run", "a dog", "--style", "gone:0.5", "--out", str(tmp_path / "out")]
    )
    assert drawing.exit_code == 2
    assert "no style 'gone' here" in " ".join(drawing.stderr.split())


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [("chalk", (), "--licence"), ("ink", ("--licence", "CC0"), "comes with the app"),
     ("chalk", ("--licence", "CC0", "--rank", 0), "rank"), ("chalk", ("--licence", "CC0"), "no picture")],
)  # fmt: skip
def test_what_cannot_be_trained_is_said_in_a_sentence(tmp_path, name, options, said):
    refused = style("train", name, tmp_path / "nowhere", *options)
    assert refused.exit_code == 2
    assert said in refused.stderr
