"""Texts from tables and Markdown, and what is said of files that are none."""

from __future__ import annotations

import json
import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imgrag.errors import LibraryError
from imgrag.knowledge.reading import Read, read_facts
from imgrag.library import Skipped
from imgrag.runs.knowledge import Fact

SEA = Fact("the sea", "the sea is blue", "en", "our own", "CC0-1.0")
NIGHT = Fact("夜晚", "夜晚是黑色的", "zh")
ROWS = [
    {"Term": "the sea", "TEXT": "the sea is blue", "lang": "en", "url": "our own", "License": "CC0-1.0"},
    {"Term": "夜晚", "TEXT": "夜晚是黑色的", "lang": None, "url": None, "License": None},
]
MARKDOWN = """---
source: our own
license: "CC0-1.0"
---
# The *sea*

the sea
is **blue**

- a list says it too

## 夜晚
source: a friend

夜晚是黑色的
"""


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def in_csv(separator):
    rows = [ROWS[0].keys(), *(["" if cell is None else cell for cell in row.values()] for row in ROWS)]
    return "\n".join(separator.join(row) for row in rows)


def in_parquet(path):
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", in_csv(",")),
        ("a.CSV", in_csv(";")),
        ("a.tsv", in_csv("\t")),
        ("a.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("a.json", json.dumps(ROWS)),
        ("a.json", json.dumps({row["Term"]: {k: v for k, v in row.items() if k != "Term"} for row in ROWS})),
    ],
)
def test_a_table_of_any_kind_says_the_same(tmp_path, name, content):
    assert read_facts(written(tmp_path / name, content)) == Read((SEA, NIGHT))


def test_so_does_parquet(tmp_path):
    in_parquet(tmp_path / "a.parquet")
    assert read_facts(tmp_path / "a.parquet") == Read((SEA, NIGHT))


def test_a_heading_is_a_term_and_each_paragraph_below_it_a_text(tmp_path):
    facts = read_facts(written(tmp_path / "a.md", MARKDOWN)).facts
    assert facts == (
        Fact("The sea", "the sea is blue", "en", "our own", "CC0-1.0"),
        Fact("The sea", "a list says it too", "en", "our own", "CC0-1.0"),
        Fact("夜晚", "夜晚是黑色的", "zh", "a friend", "CC0-1.0"),
    )


def test_before_the_first_heading_the_file_s_name_is_the_term(tmp_path):
    assert read_facts(written(tmp_path / "red-planet.md", "it is Mars")).facts == (
        Fact("red planet", "it is Mars"),
    )


def test_reading_markdown_is_stopped_within_a_file_and_marks_that_nothing_ends_are_characters(tmp_path):
    looks = [LibraryError("Enough.")] + [None] * 100

    def check():
        if found := looks.pop():
            raise found

    with pytest.raises(LibraryError, match="Enough"):
        read_facts(written(tmp_path / "a.md", "[\n\n" * 1000), check)
    facts = read_facts(written(tmp_path / "b.md", "[" * 300_000)).facts
    assert facts == (Fact("b", "[" * 2000, "en"),)


def test_folder_and_zip_are_read_file_by_file(tmp_path):
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    written(folder / "deep" / "a.md", "# night\n\nthe night is black")
    written(folder / "b.csv", "term,text\nday,\nday,the day is bright")
    written(folder / "c.parquet", b"no parquet")
    written(folder / "d.png", b"no text")
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as packed:
        for file in folder.rglob("*.*"):
            packed.write(file, file.relative_to(folder))
    for path in (folder, tmp_path / "texts.zip"):
        found = read_facts(path)
        assert set(found.facts) == {Fact("night", "the night is black"), Fact("day", "the day is bright")}
        assert (found.broken, found.examples) == (1, ("b.csv, row 1 has an empty text",))
        assert found.problems == (Skipped("c.parquet", "it is no Parquet file or broken"),)


def test_a_broken_row_costs_itself_alone_and_three_are_named(tmp_path):
    lines = [
        json.dumps(ROWS[0]),
        "{",
        "[1]",
        '{"term": "x"}',
        '{"term": " ", "text": "y"}',
        json.dumps(ROWS[1]),
    ]
    found = read_facts(written(tmp_path / "a.jsonl", "\n".join(lines)))
    assert (found.facts, found.broken) == ((SEA, NIGHT), 4)
    assert [example[:16] for example in found.examples] == [
        "line 2 is no JSO",
        "line 3 is no JSO",
        "row 4 has no col",
    ]


def test_what_is_no_character_is_marked_and_a_long_text_is_cut(tmp_path):
    long = {"term": "x" * 500, "text": "y" * 5000}
    half = {"term": "half", "text": "\ud800 a \0 b"}
    facts = read_facts(written(tmp_path / "a.json", json.dumps([half, long]))).facts
    assert facts == (Fact("half", "\ufffd a b"), Fact("x" * 200, "y" * 2000))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "", "there is no text in it"),
        ("a.csv", bytes(range(256)) * 20, "has no column 'term'"),
        ("a.csv", "name;colour\nsea;blue", "row 1 has no column 'text'"),
        ("a.jsonl", "hello", "line 1 is no JSON"),
        ("a.json", "{", "line 1 is no JSON"),
        ("a.json", "[" * 100_000, "it is nested too deeply"),
        ("a.parquet", b"PAR1", "it is no Parquet file or broken"),
        ("a.md", "x" * (2**20 + 1), "it is larger than 1 MB"),
        ("a.md", bytes(range(256)) * 20, "it is no text"),
        ("a.md", bytes(range(1, 256)) * 20, "it is no text"),
        ("a.md", "", "there is no text in it"),
        ("a.xlsx", "PK", "'a.xlsx' cannot be added: it is no CSV, TSV"),
        ("a.zip", "PK", "The file is no zip, or a broken one"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(tmp_path, name, content, said):
    with pytest.raises(LibraryError) as error:
        read_facts(written(tmp_path / name, content))
    assert said in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_two_gigabytes_a_pipe_and_nothing_are_one_sentence_each(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(2 * 2**30)
    os.mkfifo(tmp_path / "b.csv")
    for name, said in (("a.csv", "it is larger than 512 MB"), ("b.csv", "no CSV"), ("c.csv", "no CSV")):
        with pytest.raises(LibraryError, match=said):
            read_facts(tmp_path / name)
