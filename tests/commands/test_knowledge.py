"""The knowledge commands: from making one to its end, and what is said of bad input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imgrag.commands import cli
from imgrag.knowledge import KnowledgeShelf
from tests.fakes import FakeEmbedder

TEXTS = Path(__file__).parents[1] / "knowledge" / "texts.csv"


def knowledge(*arguments):
    return CliRunner().invoke(cli.app, ["knowledge", *map(str, arguments)])


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    """An empty folder of knowledge beside "texts", and no real CLIP."""
    found = KnowledgeShelf(tmp_path / "own", tmp_path / "cache", TEXTS.parent)
    monkeypatch.setattr("imgrag.commands.knowledge._shelf", lambda: found)
    monkeypatch.setattr("imgrag.commands.knowledge._embedder", lambda profile: FakeEmbedder())
    return found


def test_from_its_making_to_its_end(shelf, tmp_path):
    assert knowledge("create", "mine").exit_code == 0
    table = tmp_path / "a.jsonl"
    table.write_text('{"term": "zorblax", "text": "a zorblax is an owl"}\nno\n{"term": "x"}\n')
    added = knowledge("add", "mine", table, TEXTS)
    assert added.stdout.splitlines() == [
        "21 added, 0 unchanged, 2 left out",
        "left out: line 2 is no JSON (Expecting value)",
        "left out: row 3 has no column 'text'",
    ]
    assert json.loads(knowledge("add", "mine", table, "--json").stdout)["unchanged"] == 1
    by_words = knowledge("search", "mine", "a ZORBLAX by the seashore", "--words", "-k", 2, "--json")
    assert [(row["term"], row["base"], row["score"]) for row in json.loads(by_words.stdout)] == [
        ("zorblax", "mine", 0.0), ("the seashore", "mine", 0.0),
    ]  # fmt: skip
    fused = knowledge("search", "mine", "owl", "-k", 1)
    assert fused.stdout == "1.000  zorblax  a zorblax is an owl\n"
    assert json.loads(knowledge("list", "--json").stdout) == [
        {"name": "mine", "texts": 21, "read_only": False},
        {"name": "texts", "texts": 20, "read_only": True},
    ]
    assert knowledge("remove", "mine", "Zorblax", "--yes").stdout == "1 removed\n"
    assert knowledge("remove", "mine", "--yes").exit_code == 0
    assert shelf.names() == ["texts"]


def test_what_comes_with_the_app_is_copied_and_not_changed(shelf):
    for arguments in (["add", "texts", TEXTS], ["remove", "texts", "the sea"], ["remove", "texts"]):
        refused = knowledge(*arguments)
        assert refused.exit_code == 2 and "knowledge copy 'texts' NEW" in refused.stderr
    assert knowledge("copy", "texts", "mine").exit_code == 0
    assert shelf.open("mine").count() == 20


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "../x"], "cannot be a knowledge base's name"),
        (["create", "texts"], "already"),
        (["add", "nope", "x.csv"], "There is no knowledge base 'nope'. Known are: mine, texts."),
        (["search", "\udcff", "owl"], "There is no knowledge base '\ufffd'."),
        (["add", "mine", "none.csv"], "'none.csv' cannot be added"),
        (["add", "mine", "/dev/null"], "'null' cannot be added"),
        (["add", "mine"], "Missing argument 'paths'"),
        (["search", "mine", " "], "nothing to search by"),
        (["search", "mine", "owl", "-k", "0"], "from 1 to 1000"),
        (["search", "mine", "owl", "-k", "9" * 400], "number of results is 1e400"),
        (["remove", "mine", "the sea", "--yes"], "has no text about 'the sea'"),
        (["remove", "mine", "the sea"], "Add --yes"),
        (["list", "mine"], "mine"),
    ],
)
def test_bad_input_is_one_sentence(arguments, says, shelf):
    shelf.create("mine")
    done = knowledge(*arguments)
    assert done.exit_code == 2 and done.stdout == ""
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def test_nothing_is_kept_of_a_call_that_fails(shelf, tmp_path):
    shelf.create("mine")
    os.mkfifo(tmp_path / "a.csv")
    assert knowledge("add", "mine", TEXTS, tmp_path / "a.csv").exit_code == 2
    assert shelf.open("mine").count() == 0
