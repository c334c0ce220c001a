"""Tables that people really have: what is clear of them is taken, the rest is counted and named."""

from __future__ import annotations

import json
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imgrag.errors import Cancelled
from imgrag.library import ImageLibrary
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.intake import coco, documents, findings
from imgrag.library.intake.adding import finished
from imgrag.library.intake.described import Described, named_columns
from imgrag.library.intake.metadata import Metadata, read_metadata
from imgrag.library.intake.places import Place, Places
from tests.fakes import FakeEmbedder, make_library

A = Described(caption="A cat")


def read(folder: Path, name: str, content: str | bytes, *pictures: str) -> Metadata:
    """What a file says about pictures that are there."""
    for file in pictures:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_metadata(folder)


TAKEN = {
    "upper case": ("metadata.csv", "file_name,caption\nA.PNG,A cat\n"),
    "no ending": ("metadata.csv", "file_name,caption\na,A cat\n"),
    "absolute": ("metadata.csv", "file_name,caption\n/home/me/set/a.png,A cat\n"),
    "drive": ("metadata.csv", "file_name,caption\nD:\\set\\a.png,A cat\n"),
    "folder before": ("metadata.csv", "file_name,caption\nimages/a.png,A cat\n"),
    "METADATA.CSV": ("METADATA.CSV", "file_name,caption\na.png,A cat\n"),
    "tsv": ("metadata.tsv", "file_name\tcaption\na.png\tA cat\n"),
    "pipes": ("metadata.csv", "file_name|caption\na.png|A cat\n"),
    "blank first line": ("metadata.csv", "\n  \n,,\nfile_name,caption\na.png,A cat\n"),
    "sep=": ("metadata.csv", "sep=;\r\nfile_name;caption\r\na.png;A cat\r\n"),
    "sep= tab": ("metadata.csv", '"sep=\t"\nfile_name\tcaption\na.png\tA cat\n'),
    "utf-16": ("metadata.csv", "file_name\tcaption\r\na.png\tA cat\r\n".encode("utf-16")),
    "utf-16-be": ("metadata.csv", b"\xfe\xff" + "file_name,caption\na.png,A cat\n".encode("utf-16-be")),
    "old mac": ("metadata.csv", "file_name,caption\ra.png,A cat\r"),
    "list": ("metadata.json", '[{"file_name": "a.png", "caption": "A cat"}, 7, "x"]'),
    "under a key": ("metadata.json", '{"version": 1, "data": [{"file_name": "a.png", "caption": "A cat"}]}'),
    "rows by name": ("metadata.json", '{"/data/a": {"caption": "A cat"}, "b": 1}'),
    "captions by name": ("metadata.json", '{"a.png": "A cat"}'),
    "coco": (
        "metadata.json",
        '{"images": [{"id": 1, "file_name": "A.PNG"}], "annotations": [{"image_id": "1", "caption": "A cat"}]}',
    ),
    "quote never closed": ("metadata.csv", 'file_name,caption\na.png,"A cat\nb.png,a dog\n'),
    "first of two": ("metadata.csv", 'file_name,caption\na.png,"A cat\nb.png,"a dog"\n'),
    "caption beside": ("a.txt", "A\ncat\n"),
    "caption beside, kohya": ("a.caption", "A cat"),
    "one broken line": ("metadata.jsonl", '{"file_name": "b.png"\n{"file_name": "a.png", "caption": "A cat"}\n'),
    "broken, of images": (
        "metadata.json", '[{"file_name": "a.png", "caption": "A cat"}, {"images": }]'),
    "one broken entry": ("metadata.json", '[{"file_name": "a.png", "caption": "A cat"}, {"file_name": }]'),
}  # fmt: skip


@pytest.mark.parametrize("how", TAKEN)
def test_what_is_clear_is_taken(tmp_path: Path, how: str) -> None:
    assert read(tmp_path, *TAKEN[how], "a.png").of("a.png") == A


@pytest.mark.parametrize(
    "column",
    ["image_file_name", "filename", "image", "file", "File Name", "file_path", "path", "img", "Image-Path", "文件名"],
)  # fmt: skip
def test_columns_of_file_names(tmp_path: Path, column: str) -> None:
    assert read(tmp_path, "metadata.csv", f"{column},caption\na.png,A cat\n", "a.png").of("a.png") == A


def test_file_name_comes_before_its_other_spellings(tmp_path: Path) -> None:
    found = read(tmp_path, "metadata.csv", "image,file,file_name\nx.png,y,a.png\n", "a.png", "x.png")
    assert found.described == {"a.png": Described(fields={"image": "x.png", "file": "y"})}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("café", "cp1252"), ("5 €", "cp1252"), ("it’s", "cp1252"), ("Ein Häuschen", "cp1252"), ("größe", "cp1252"), ("一只橘猫", "gbk"), ("naïve", "utf-8")],
)  # fmt: skip
def test_encodings_of_spreadsheets(tmp_path: Path, text: str, encoding: str) -> None:
    content = f"file_name,caption\na.png,{text}\n".encode(encoding)
    assert read(tmp_path, "metadata.csv", content, "a.png").of("a.png").caption == text


def test_a_broken_character_does_not_change_the_others(tmp_path: Path) -> None:
    content = "file_name,caption\na.png,crème brûlée à la ".encode() + b"\xff\n"
    assert read(tmp_path, "metadata.csv", content, "a.png").of("a.png").caption == "crème brûlée à la \ufffd"


CELLS = {
    "commas": ("file_name,caption\na.png,a cat, asleep, grey", {}, "a cat, asleep, grey"),
    "commas before others": ("file_name,caption,n\na.png,a cat, asleep,7", {"n": 7}, "a cat, asleep"),
    "a number with a comma": ("file_name,price\na.png,1,5", {"price": "1,5"}, ""),
    "two of one name": ("file_name,caption,caption,x,X,x\na.png,a,b,1,2,3", {"caption 2": "b", "x": 1, "X": 2, "x 2": 3}, "a"),
    "200 kB": ("file_name,caption,n\na.png," + "y" * 200_000 + ",7", {"n": 7}, "y" * 2000),
    "lines in quotes": ('file_name,caption,n\na.png,"a\ncat",7', {"n": 7}, "a\ncat"),
    "quotes in quotes": ('file_name,caption,n\na.png,"he said "hi"",7', {"n": 7}, 'he said hi""'),
    "an open quote and commas": ('file_name,caption,n\na.png,"a, cat,7\n', {"n": 7}, "a, cat"),
}  # fmt: skip


@pytest.mark.parametrize("cells", CELLS)
def test_cells_that_somebody_forgot_to_quote(tmp_path: Path, cells: str) -> None:
    content, fields, caption = CELLS[cells]
    found = read(tmp_path, "metadata.csv", content, "a.png")
    known = found.of("a.png")
    assert (known.caption, known.fields, found.problems) == (caption, fields, ())


def test_rows_without_a_picture_are_counted_and_three_are_named(tmp_path: Path) -> None:
    rows = "".join(f"gone{number}.png,x\n" for number in range(9))
    found = read(tmp_path, "metadata.csv", f"file_name,caption\n{rows}a.png,A cat\n,lost\n,\n", "a.png")
    assert (found.unmatched, found.unmatched_names) == (10, ("gone0.png", "gone1.png", "gone2.png"))
    assert found.described == {"a.png": A}


UNCLEAR = {
    "two in other cases": ("A.png,x", ["a.png", "A.PNG"]),
    "two endings": ("a,x", ["a.png", "a.jpg"]),
    "two folders": ("a.png,x", ["x/a.png", "y/a.png"]),
    "another folder": ("train/a.png,x", ["test/a.png"]),
    "two names": ("train/a.png,x\ntest/a.png,y", ["a.png"]),
    "outside": ("../a.png,x\n../../b,y", ["a.png", "b"]),
}


@pytest.mark.parametrize("unclear", UNCLEAR)
def test_what_is_not_clear_is_told(tmp_path: Path, unclear: str) -> None:
    rows, pictures = UNCLEAR[unclear]
    found = read(tmp_path, "metadata.csv", f"file_name,caption\n{rows}\n", *pictures)
    names = [row.split(",")[0] for row in rows.splitlines()]
    assert (found.described, found.unmatched, list(found.unmatched_names)) == ({}, len(names), names)


def test_what_is_spelled_exactly_counts_before_a_guess(tmp_path: Path) -> None:
    rows = "file_name,caption\nA.PNG,a dog\na.png,A cat\n"
    found = read(tmp_path, "metadata.csv", rows, "a.png", "b/a.png")
    assert (found.described, found.unmatched_names) == ({"a.png": A}, ("A.PNG",))


def test_a_place_is_found_by_the_longest_of_its_name() -> None:
    places = Places(["images/a.png", "a.png", "deep/images/b.png", "x/metadata/c.png"])
    assert places.find("metadata.csv", "/data/images/a.png") == Place("images/a.png", exact=False)
    assert places.find("metadata.csv", "images/b") == Place("deep/images/b.png", exact=False)
    assert places.find("x/metadata.csv", "c.png") == Place("x/metadata/c.png", exact=False)
    assert places.find("x/metadata.csv", "b.png") is None
    assert places.find("x/coco.json", "b.png", anywhere=True) == Place("deep/images/b.png", exact=False)


@pytest.mark.parametrize(("written", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_are_compared_composed(tmp_path: Path, written: Any, stored: Any) -> None:
    rows = unicodedata.normalize(written, "file_name,caption\nzörblax.png,A cat\n")
    found = read(tmp_path, "metadata.csv", rows, unicodedata.normalize(stored, "zörblax.png"))
    assert found.of(unicodedata.normalize(stored, "zörblax.png")) == A


def test_lone_surrogates_reach_no_database(tmp_path: Path) -> None:
    line = '{"file_name": "a.png", "\\ud800": 1, "\\udfff": "\\udc00", "n\\u0000\\u0308": 2}'
    found = read(tmp_path, "metadata.jsonl", line, "a.png")
    assert found.of("a.png").fields == {"\ufffd": 1, "n̈": 2}
    json.dumps(found.of("a.png").fields, ensure_ascii=False).encode()


def test_columns_of_one_name_are_numbered() -> None:
    long = "x" * 70
    assert named_columns(["a", " a", "", "", "A", long, long]) == [
        "a",
        "a 2",
        "",
        "",
        "A",
        "x" * 64,
        "x" * 55 + " 2",
    ]


NUMBERS = {
    "digits": ("9" * 400, "9" * 400),
    "more digits": ("9" * 9000, "9" * 2000),
    "64 bits": (str(2**63), str(2**63)),
    "negative": ("-" + "9" * 400, "-" + "9" * 400),
    "overflow": ("1e999", None),
    "underflow": ("1e-999", 0.0),
}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(("name", "around"), [("metadata.jsonl", "%s"), ("metadata.json", "[%s]")])
def test_numbers_beyond_64_bits(tmp_path: Path, name: str, around: str, number: str) -> None:
    written, value = NUMBERS[number]
    row = f'{{"file_name": "a.png", "x": {written}}}'
    found = read(tmp_path, name, around % row, "a.png")
    assert (found.of("a.png").fields.get("x"), found.problems) == (value, ())


def test_coco_numbers_of_any_kind(tmp_path: Path) -> None:
    """Broken entries, ids of many digits, as texts or as decimals, and images of one name."""
    nines = "9" * 5000
    images = (
        f'{{"id": {nines}, "file_name": "a.png"}}, {{"id": 2.0, "file_name": "a.png"}}, {{"id": 3}}, 7, null'
    )
    said = [f'{{"image_id": {nines}, "caption": "one"}}', '{"image_id": "2", "caption": "two"}',
            '{"caption": "nobody\'s"}', '{"image_id": {}, "caption": [1]}', "[]"]  # fmt: skip
    found = read(tmp_path, "x.json", f'{{"annotations": [{", ".join(said)}], "images": [{images}]}}', "a.png")
    assert found == Metadata({"a.png": Described(caption="one / two")})


def test_coco_images_that_are_not_here_are_counted(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(9)]
    content = {"images": images, "annotations": [{"image_id": n, "caption": f"{n}"} for n in range(9)]}
    found = read(tmp_path, "x.json", json.dumps(content), "8.png")
    assert found == Metadata({"8.png": Described(caption="8")}, {}, 8, ("0.png", "1.png", "2.png"))


VALUES = {
    "a date beyond the calendar": (pa.array([10**7], pa.date32()), "29349-01-26"),
    "a date before it": (pa.array([-(10**6)], pa.date32()), "-0768-02-04"),
    "no date": (pa.array([2**62], pa.timestamp("us")), None),
    "nanoseconds": (pa.array([10**15 + 1], pa.timestamp("ns")), "1970-01-12 13:46:40.000000001"),
    "a zone that is none": (pa.array([0], pa.timestamp("s", tz="Mars/Base")), "1970-01-01 00:00:00.000"),
    "a duration": (pa.array([timedelta(days=1, seconds=1)]), "1 day, 0:00:01"),
    "an endless duration": (pa.array([2**62], pa.duration("s")), str(2**62)),
    "a huge decimal": (pa.array([Decimal("9" * 76)], pa.decimal256(76, 0)), 1e76),
    "no text": (pa.array([b"\xffa"]).view(pa.string()), "\ufffda"),
    "a dictionary": (pa.array([datetime(2024, 1, 2)]).dictionary_encode(), "2024-01-02 00:00:00"),
    "tags": (pa.array([["a", "b"]], pa.list_(pa.string())), "a, b"),
    "half": (pa.array([1.5], pa.float16()), 1.5),
    "unsigned": (pa.array([2**64 - 1], pa.uint64()), str(2**64 - 1)),
    "a day": (pa.array([date(2024, 1, 2)]), "2024-01-02"),
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_that_python_has_not(tmp_path: Path, kind: str) -> None:
    column, value = VALUES[kind]
    (tmp_path / "a.png").touch()
    pq.write_table(pa.table({"file_name": ["a.png"], "x": column}), tmp_path / "metadata.parquet")
    found = read_metadata(tmp_path)
    assert (found.of("a.png").fields.get("x"), found.problems) == (value, ())


def test_parquet_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    columns = [pa.array([text]) for text in ("a.png", "A cat", "a dog")]
    table = pa.Table.from_arrays(columns, names=["file_name", "caption", "caption"])
    pq.write_table(table, tmp_path / "metadata.parquet")
    assert read_metadata(tmp_path).of("a.png") == Described(caption="A cat", fields={"caption 2": "a dog"})


@pytest.mark.parametrize(
    ("text", "caption"),
    [("a cat,\n  asleep\n", "a cat, asleep"), ("0 0.5 0.5 1e-05 0.3\n", ""), ("x" * 70_000, "")],
)
def test_a_text_beside_a_picture_is_its_caption(tmp_path: Path, text: str, caption: str) -> None:
    """Unless it holds numbers alone, as labels of objects do, or is as long as no caption is."""
    found = read(tmp_path, "a.txt", text, "a.png", "b.png")
    assert (found.of("a.png").caption, found.of("b.png").caption) == (caption, "")


SLOW = {
    "metadata.csv": "file_name\n" + "b.png\n" * 5000,
    "metadata.jsonl": '{"file_name": "b.png"}\n' * 5000,
    "metadata.json": f"[{', '.join(5000 * [json.dumps({'file_name': 'b.png'})])}]",
    "x.json": json.dumps({"images": [{"file_name": "b.png"}] * 5000}),
}


@pytest.mark.parametrize("name", [*SLOW, "metadata.parquet"])
def test_every_reader_looks_at_the_stop(tmp_path: Path, name: str) -> None:
    def stopped() -> Callable[[], None]:
        def check() -> None:
            raise Cancelled("stopped")

        return check

    if name in SLOW:
        (tmp_path / name).write_text(SLOW[name])
    else:
        pq.write_table(pa.table({"file_name": ["b.png"] * 5000}), tmp_path / name)
    with pytest.raises(Cancelled):
        read_metadata(tmp_path, stopped())


def test_an_end_comes_of_rows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MAX_ROWS", 10)
    found = read(tmp_path, "metadata.csv", "file_name,caption\na.png,A cat\n" + "b.png,x\n" * 99, "a.png")
    assert (found.of("a.png"), found.unmatched) == (A, 9)
    assert [problem.reason for problem in found.problems] == ["the tables here have more than 10 rows"]


def test_an_entry_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "BLOCK", 50)
    monkeypatch.setattr(documents, "MAX_ENTRY", 200)
    row = json.dumps({"file_name": "a.png", "caption": "A cat"})
    found = read(tmp_path, "metadata.json", f"[{row}, [{'[], ' * 99}[]]]", "a.png")
    assert found.of("a.png") == A
    assert [problem.reason for problem in found.problems] == ["an entry is broken or longer than 0 MB"]


def test_a_document_is_read_whole_in_small_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "BLOCK", 7)
    path = tmp_path / "x.json"
    path.write_text(
        ' {"a" : [1, 23456789, {"b": [true, null]}] ,\n "c": -1.5e3, "d": [], "e": {}, "f": "x,]" } '
    )
    found = list(documents.entries(path, lambda: None))
    assert found == [
        ("a", 1),
        ("a", 23456789),
        ("a", {"b": [True, None]}),
        ("c", -1500.0),
        ("e", {}),
        ("f", "x,]"),
    ]


def test_what_coco_remembers_is_bounded_by_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "MAX_IMAGES", 2)
    images = [{"id": n, "file_name": f"{'x/' * n}a.png"} for n in range(9)]
    said = [{"image_id": n, "caption": str(n)} for n in range(9)]
    found = read(tmp_path, "x.json", json.dumps({"images": images, "annotations": said}), "a.png")
    assert found.of("a.png").caption == "0"


def opened(folder: Path, state: Path) -> ImageLibrary:
    return ImageLibrary(folder, state, lambda: EmbeddedStore(state))


def test_metadata_that_is_broken_or_finds_no_picture_is_told_and_costs_no_picture(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "cat")
    (folder / "metadata.jsonl").write_text("{")
    (folder / "metadata.csv").write_text("file_name,caption\ngone.png,x\nCAT,a cat\n")
    library = opened(folder, tmp_path / "state")
    report = finished(library.add([], FakeEmbedder()))
    assert [problem.file for problem in report.problems] == ["metadata.jsonl"]
    assert (report.added, report.unmatched, report.unmatched_names) == (1, 1, ("gone.png",))
    assert [entry.caption for entry in library.entries(0, 9)] == ["a cat"]
    again = finished(library.add([], FakeEmbedder()))
    assert (again.unchanged, again.problems, again.unmatched) == (1, (), 0)


def test_a_caption_beside_a_picture_is_read_again_when_it_changes(tmp_path: Path) -> None:
    folder = make_library(tmp_path / "lib", "cat")
    (folder / "cat.txt").write_text("a cat")
    library = opened(folder, tmp_path / "state")
    library.index(FakeEmbedder())
    (folder / "cat.txt").write_text("a cat, asleep")
    assert finished(library.add([], FakeEmbedder())).changed == 1
    assert [entry.caption for entry in library.entries(0, 9)] == ["a cat, asleep"]


def test_text_that_is_no_text_leaves_no_library_stuck(tmp_path: Path) -> None:
    """A zip with a lone surrogate as a column's name, and a caption beside a picture."""
    make_library(tmp_path / "pictures", "cat")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "pictures" / "cat.png", "cat.png")
        archive.writestr("metadata.jsonl", '{"file_name": "cat.png", "\\ud800": "\\udc00"}')
        archive.writestr("cat.txt", "a cat")
        archive.writestr("readme.txt", "no caption")
    library = opened(make_library(tmp_path / "lib"), tmp_path / "state")
    assert finished(library.add([tmp_path / "x.zip"], FakeEmbedder())).added == 1
    assert finished(library.add([], FakeEmbedder())).unchanged == 1
    (entry,) = library.entries(0, 9)
    assert (entry.fields, entry.caption) == ({"\ufffd": "\ufffd", "category": "x"}, "a cat")
