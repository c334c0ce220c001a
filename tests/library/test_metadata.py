"""What files beside and inside of pictures say about them, however messy."""

from __future__ import annotations

import json
import os
import re
import struct
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from imgrag.library.intake import beside
from imgrag.library.intake.beside import folder_category
from imgrag.library.intake.described import Described, describe_row
from imgrag.library.intake.metadata import Metadata, is_metadata, read_metadata
from imgrag.library.intake.tags import describe_picture
from tests.fakes import make_library, tile

ROW = {
    "file_name": "cat.png",
    "name": "zorblax",
    "caption": "a cat",
    "source": "me",
    "licence": "CC0",
    "price": 12,
}
ZORBLAX = Described("zorblax", "a cat", "me", "CC0", {"price": 12})


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def pictures(folder: Path, *files: str) -> None:
    """Files called as pictures are; nobody looks into them."""
    for file in files:
        write(folder / file, b"")


def described(folder: Path) -> dict[str, Described]:
    return dict(read_metadata(folder).described)


def write_rows(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        lines = [list(rows[0]), *(row.values() for row in rows)]
        path.write_text("\n".join(",".join(map(str, line)) for line in lines))
    elif path.suffix == ".jsonl":
        path.write_text("\n\n".join(json.dumps(row) for row in rows) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist(list(rows)), path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_tables_are_read(tmp_path: Path, kind: str) -> None:
    write_rows(tmp_path / f"metadata.{kind}", ROW, {**ROW, "file_name": "sub/owl.png", "price": 0.5})
    write_rows(
        tmp_path / "deep" / "er" / f"metadata.{kind}", {"file_name": "x.png", "text": "x", "License": "MIT"}
    )
    write_rows(tmp_path / ".hidden" / f"metadata.{kind}", ROW)
    pictures(tmp_path, "cat.png", "sub/owl.png", "deep/er/x.png")
    assert described(tmp_path) == {
        "cat.png": ZORBLAX,
        "sub/owl.png": Described("zorblax", "a cat", "me", "CC0", {"price": 0.5}),
        "deep/er/x.png": Described(caption="x", licence="MIT"),
    }


@pytest.mark.parametrize(
    ("cell", "value"),
    [("12", 12), ("-3", -3), ("0", 0), ("1.50", 1.5), (".5", 0.5), ("1e-05", 1e-05), ("-2.5E+3", -2500.0),
     ("true", True), ("False", False), ("007", "007"), ("12e3", "12e3"), ("1,5", "1,5"), ("0x1f", "0x1f"),
     ("+49 30", "+49 30"), ("9" * 30, "9" * 30), ("1e+999", "1e+999"), (" blue ", "blue"), ("", None), ("NaN", None),
     ("None", None), ("null", None), ("inf", "inf"), ("١٢", "١٢"), ("2024-01-01", "2024-01-01"), ("a\0b", "ab")],
)  # fmt: skip
def test_cells_are_typed(tmp_path: Path, cell: str, value: Any) -> None:
    write(tmp_path / "metadata.csv", f'file_name,x\na.png,"{cell}"\n')
    pictures(tmp_path, "a.png")
    (known,) = described(tmp_path).values()
    assert known.fields == ({} if value is None else {"x": value})
    assert type(known.fields.get("x")) is type(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (3, 3), (2**70, str(2**70)), (1.5, 1.5), (float("nan"), None), (float("inf"), None), (None, None),
     ("12", "12"), ("  ", None), (["a", "b"], "a, b"), ([], None), ({"a": 1}, None), (date(2024, 1, 2), "2024-01-02"),
     ("x" * 3000, "x" * 2000), ("a\ud800b", "a\ufffdb"), (b"raw", None)],
)  # fmt: skip
def test_values_are_typed_and_bounded(value: Any, expected: Any) -> None:
    known = describe_row({"x": value}).fields
    assert known == ({} if expected is None else {"x": expected})


def test_columns_have_meanings_and_spellings() -> None:
    row = {
        " License ": "MIT",
        "text": "t",
        "caption": "",
        "NAME": 7,
        "url": "u",
        "file": "f",
        "size": "XL",
        "": 1,
        None: [2],
    }
    assert describe_row(row) == Described("7", "t", "u", "MIT", {"file": "f", "size": "XL"})
    row = {"caption": ["one", "two", None], "text": "kept", "source": float("nan"), "url": "u", "k" * 99: 1}
    assert describe_row(row) == Described("", "one / two", "u", "", {"text": "kept", "k" * 64: 1})


MESSY_TABLES = {
    "bom": ("metadata.csv", b"\xef\xbb\xbffile_name,caption\na.png,A\n"),
    "semicolons": ("metadata.csv", b"file_name;caption\na.png;A\n"),
    "tabs and CRLF": ("metadata.csv", b"file_name\tcaption\r\na.png\tA\r\n"),
    "quoted": ("metadata.csv", b'"file_name","caption"\r\n"a.png","A"\r\n'),
    "order and case": ("metadata.csv", b"caption, File_Name \nA, a.png \n"),
    "windows path": ("metadata.csv", b"file_name,caption\n.\\x\\..\\a.png,A\n"),
    "short and long rows": ("metadata.csv", b"file_name,caption\nb.png\na.png,A,,\n,C\n"),
    "twice": ("metadata.csv", b"file_name,caption\na.png,\na.png,A\na.png,B\n"),
    "blank lines": ("metadata.jsonl", b'\n{"file_name": "a.png", "caption": "A"}\n   \n{"other": 1}\n'),
    "null": ("metadata.jsonl", b'{"file_name": "a.png", "caption": null, "text": "A"}'),
    "a json constant": ("metadata.jsonl", b'{"file_name": "a.png", "text": "A", "x": NaN}'),
    "leading out": ("metadata.csv", b"file_name,caption\na.png,A\n../b.png,B\n/c.png,C\nx/../../d,D\nC:\\e,E\n..,F\n.,G\n"),
}  # fmt: skip


@pytest.mark.parametrize("messy", MESSY_TABLES)
def test_messy_tables_are_read(tmp_path: Path, messy: str) -> None:
    name, content = MESSY_TABLES[messy]
    write(tmp_path / "sub" / name, content)
    pictures(tmp_path, "sub/a.png", "b.png", "e.png")
    assert described(tmp_path) == {"sub/a.png": Described(caption="A")}


BROKEN = {
    "no file_name": (
        "metadata.csv",
        b"name,caption\na,b\n",
        "it has no column that names the pictures; call it",
    ),
    "no json": (
        "metadata.jsonl",
        b'{"file_name": "a.png"}\n\n{"file_name',
        r"line 3 is no JSON \(.*; lines that are",
    ),
    "a list": ("metadata.jsonl", b"[1]", "line 1 is no JSON object"),
    "deep": ("metadata.jsonl", b'{"file_name": "a", "x": ' + b"[" * 100_000, "nested too deeply|is no JSON"),
    "deep list": ("metadata.json", b"[" * 100_000, "nested too deeply|is no JSON"),
    "no parquet": ("metadata.parquet", b"PAR1 nonsense PAR1", "it is no Parquet file or broken"),
    "empty parquet": ("metadata.parquet", b"", "it is no Parquet file or broken"),
    "coco": ("annotations/x.json", b'{"images": [\n{"id": 1,]}', r"line 2 is no JSON \("),
    "excel": ("metadata.XLSX", b"PK", r"\.xlsx is not read; save the table as CSV"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_file_is_told_and_hides_no_other(tmp_path: Path, broken: str) -> None:
    name, content, reason = BROKEN[broken]
    write(tmp_path / "sub" / name, content)
    write_rows(tmp_path / "metadata.csv", ROW)
    pictures(tmp_path, "cat.png")
    found = read_metadata(tmp_path)
    ((file, why),) = ((problem.file, problem.reason) for problem in found.problems)
    assert file == f"sub/{name}" and re.search(reason, why) and str(tmp_path) not in why
    assert found.described == {"cat.png": ZORBLAX}


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "MAX_FILE_BYTES", 2**20)
    for name in ("metadata.csv", "data.json"):
        (tmp_path / name).write_bytes(bytes(2**20 + 1))
    rows = [{"file_name": "a.png", "caption": f"{number:07d}" * 20} for number in range(20_000)]
    pq.write_table(
        pa.Table.from_pylist(rows), tmp_path / "metadata.parquet", compression="zstd", use_dictionary=False
    )
    assert (tmp_path / "metadata.parquet").stat().st_size < 2**20
    assert {problem.file: problem.reason for problem in read_metadata(tmp_path).problems} == {
        "metadata.csv": "it is larger than 1 MB",
        "metadata.parquet": "it unfolds to more than 1 MB",
        "data.json": "it is larger than 1 MB",
    }


def test_files_are_asked_in_order(tmp_path: Path) -> None:
    """The deeper one first, then csv, jsonl, parquet, COCO; what one leaves open the next one fills."""
    write_rows(tmp_path / "cats" / "metadata.parquet", {"file_name": "tom.png", "name": "deep", "a": 1})
    write_rows(
        tmp_path / "metadata.csv",
        {"file_name": "cats/tom.png", "name": "csv", "caption": "csv", "a": 2, "b": 2},
    )
    write_rows(
        tmp_path / "metadata.jsonl", {"file_name": "cats/tom.png", "caption": "jsonl", "source": "jsonl"}
    )
    tile("cat").save(tmp_path / "cats" / "tom.png")
    images = [{"id": 1, "file_name": "cats/tom.png", "license": 1, "flickr_url": "coco"}]
    write(tmp_path / "coco.json", json.dumps({"images": images, "licenses": [{"id": 1, "name": "coco"}]}))
    assert described(tmp_path) == {
        "cats/tom.png": Described("deep", "csv", "jsonl", "coco", {"a": 1, "b": 2})
    }


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_metadata_outside_is_not_read(tmp_path: Path) -> None:
    write_rows(tmp_path / "secret" / "metadata.csv", ROW)
    pictures(tmp_path, "lib/cat.png")
    (tmp_path / "lib" / "metadata.csv").symlink_to(tmp_path / "secret" / "metadata.csv")
    assert described(tmp_path / "lib") == {}


COCO = {
    "info": {"images": "not these"},
    "images": [
        {"id": 1, "file_name": "cat.png", "license": 4, "flickr_url": "http://f/1", "height": 5},
        {"id": 2, "file_name": "owl.png", "license": 9, "coco_url": "http://c/2"},
        {"id": 3, "file_name": "../out.png"},
        {"id": 4},
        "nonsense",
    ],
    "annotations": [
        {"image_id": 1, "caption": " A cat. "},
        {"image_id": 1, "caption": "Tom"},
        {"image_id": 1, "category_id": 7, "segmentation": [[1, 2]], "bbox": [0, 0, 1, 1]},
        {"image_id": 1, "category_id": 8},
        {"image_id": 1, "category_id": 7},
        {"image_id": "2", "category_id": 8},
        {"image_id": 99, "caption": "nothing"},
        None,
    ],
    "categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "pet", "supercategory": "x"}],
    "licenses": [{"id": 4, "name": "CC BY 2.0", "url": "x"}],
}
CAT = Described("", "A cat. / Tom", "http://f/1", "CC BY 2.0", {"category": "cat, pet"})
PET = Described(source="http://c/2", fields={"category": "pet"})


@pytest.mark.parametrize(
    ("annotations", "pictures"),
    [("captions.json", ""), ("annotations/instances_train.json", ""), ("annotations/captions_val.json", "val"),
     ("coco/annotations/x.json", "coco/images"), ("train/_annotations.coco.json", "train"), ("uploads/a/labels.json", "uploads/a/data")],
)  # fmt: skip
def test_coco_is_read_wherever_it_lies(tmp_path: Path, annotations: str, pictures: str) -> None:
    make_library(tmp_path / pictures, "cat", "owl")
    write(tmp_path / annotations, json.dumps(COCO))
    prefix = f"{pictures}/" if pictures else ""
    assert described(tmp_path) == {f"{prefix}cat.png": CAT, f"{prefix}owl.png": PET}


def test_coco_names_that_fit_several_pictures(tmp_path: Path) -> None:
    """The nearest counts, then the folder that the annotations are called after, else none."""
    for folder in ("one/images", "two/images", "two/val2017", "two/train2017"):
        make_library(tmp_path / folder, "cat")
    only = {"images": COCO["images"][:1], "annotations": [{"image_id": 1, "caption": "x"}]}
    write(tmp_path / "one" / "annotations" / "captions.json", json.dumps(only))
    assert set(described(tmp_path)) == {"one/images/cat.png"}
    write(tmp_path / "two" / "annotations" / "captions_val2017.json", json.dumps(only))
    assert set(described(tmp_path)) == {"one/images/cat.png", "two/val2017/cat.png"}
    (tmp_path / "two" / "annotations" / "captions_val2017.json").rename(tmp_path / "two" / "all.json")
    assert set(described(tmp_path)) == {"one/images/cat.png"}


def test_other_json_is_left_alone(tmp_path: Path) -> None:
    make_library(tmp_path, "cat")
    write(tmp_path / "cat.json", '{"images": broken')  # beside cat.png: about that picture alone
    write(tmp_path / "tsconfig.json", "{ // a comment\n}")
    write(tmp_path / "utf16.json", "{}".encode("utf-16"))
    for number, content in enumerate(({"images": {"a": 1}}, ["images"], "images", {"images": [1, None]})):
        write(tmp_path / f"{number}.json", json.dumps(content))
    assert read_metadata(tmp_path) == Metadata({})


def test_names_of_metadata_files() -> None:
    names = [
        "metadata.csv",
        "a/METADATA.Tsv",
        "a/metadata.jsonl",
        "a/b/metadata.parquet",
        "metadata.xlsx",
        "annotations/x.JSON",
        "data.csv",
        "x.parquet",
        "metadata.txt",
    ]
    assert [is_metadata(name) for name in names] == [True] * 6 + [False] * 3


@pytest.mark.parametrize(
    ("file", "category"), [("cats/tom.jpg", "cats"), ("tom.jpg", ""), ("a/b c/x.png", "b c")]
)
def test_a_folder_is_a_category(file: str, category: str) -> None:
    assert folder_category(file) == category


def iptc(*records: tuple[int, bytes]) -> bytes:
    """An IPTC block as Photoshop puts it into a JPEG's APP13."""
    block = b"".join(struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text for number, text in records)
    block += b"\0" * (len(block) % 2)
    inner = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block
    return b"\xff\xed" + struct.pack(">H", len(inner) + 2) + inner


def jpeg(path: Path, exif: dict[int, Any], app13: bytes = b"") -> Path:
    stored = Image.Exif()
    stored.update(exif)
    tile("cat").save(path, format="JPEG", exif=stored)
    data = path.read_bytes()
    path.write_bytes(data[:2] + app13 + data[2:])
    return path


DESCRIPTION, ARTIST, COPYRIGHT = 0x010E, 0x013B, 0x8298


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_exif_is_read(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif.update({DESCRIPTION: "a cat", ARTIST: "Zoe", COPYRIGHT: " CC BY\0 "})
    tile("cat").save(tmp_path / f"x.{kind}", exif=exif)
    assert describe_picture(tmp_path / f"x.{kind}") == Described("", "a cat", "Zoe", "CC BY")


@pytest.mark.parametrize("written", ["é".encode(), "é".encode("latin-1") + b" "])
def test_exif_is_read_as_programs_write_it(tmp_path: Path, written: bytes) -> None:
    path = jpeg(tmp_path / "x.jpg", {DESCRIPTION: "cafe##"})
    path.write_bytes(path.read_bytes().replace(b"e##", written + b"."))
    assert describe_picture(path).caption.replace(" ", "") == "café."


def test_iptc_is_read_and_comes_before_exif(tmp_path: Path) -> None:
    block = iptc(
        (5, b"Tom"),
        (25, b"cat"),
        (25, "schön".encode("latin-1")),
        (25, b" "),
        (120, "Käse".encode()),
        (80, b"A"),
    )
    path = jpeg(tmp_path / "x.jpg", {DESCRIPTION: "camera", COPYRIGHT: "CC0"}, block)
    assert describe_picture(path) == Described("Tom", "Käse", "A", "CC0", {"keywords": "cat, schön"})


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"\xff\xd8\xff\xed\x00\x20Photoshop 3.0\x008BIM\x04\x04\0\0\xff\xff\xff\xff", b"\xff\xd8"],
)
def test_describing_never_raises(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    assert describe_picture(tmp_path / "x.jpg") == describe_picture(tmp_path / "gone.jpg") == Described()


def test_describing_a_png_decodes_nothing(tmp_path: Path) -> None:
    """Its EXIF may lie behind the picture; Pillow would decode it all to look."""
    tile("cat").save(tmp_path / "x.png")
    data = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(data[: data.index(b"IDAT") + 4])  # decoding it would fail
    assert describe_picture(tmp_path / "x.png") == Described()


def test_broken_iptc_does_not_hide_exif(tmp_path: Path) -> None:
    path = jpeg(
        tmp_path / "x.jpg", {DESCRIPTION: "kept"}, iptc((5, b"Tom")).replace(b"\x1c\x02", b"\x1d\x02")
    )
    assert describe_picture(path) == Described(caption="kept")


RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SPACES = (
    f'xmlns:rdf="{RDF}" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
)


def xmp(properties: str, attributes: str = "") -> bytes:
    """A packet as programs write it."""
    block = f'<rdf:Description rdf:about="" {attributes}>{properties}</rdf:Description>'
    rdf = f"<rdf:RDF {SPACES}>{block}</rdf:RDF>"
    return f'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/">{rdf}</x:xmpmeta>'.encode()


def alternatives(*texts: tuple[str, str]) -> str:
    items = "".join(f'<rdf:li xml:lang="{language}">{text}</rdf:li>' for language, text in texts)
    return f"<rdf:Alt>{items}</rdf:Alt>"


FULL = xmp(
    f"<dc:title>{alternatives(('de', 'Kater'), ('x-default', 'Tom'))}</dc:title>"
    f"<dc:description>{alternatives(('x-default', 'A cat &amp; more'))}</dc:description>"
    "<dc:creator><rdf:Seq><rdf:li>Zoë</rdf:li><rdf:li>Ann</rdf:li></rdf:Seq></dc:creator>"
    f"<dc:rights>{alternatives(('en', ' CC BY '))}</dc:rights>",
    'photoshop:Credit="Agency"',
)


def save_with_xmp(path: Path, packet: bytes) -> Path:
    if path.suffix == ".png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
        tile("cat").save(path, pnginfo=text)
    elif path.suffix == ".tif":
        tile("cat").save(path, tiffinfo={700: packet})
    else:
        tile("cat").save(path, xmp=packet)
    return path


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_xmp_is_read(tmp_path: Path, kind: str) -> None:
    known = describe_picture(save_with_xmp(tmp_path / f"x.{kind}", FULL))
    assert known == Described("Tom", "A cat & more", "Zoë, Ann", "CC BY")


@pytest.mark.parametrize(
    ("packet", "known"),
    [
        (xmp("", 'photoshop:Credit=" Agency "'), Described(source="Agency")),
        (xmp("<photoshop:Credit>Agency</photoshop:Credit>"), Described(source="Agency")),
        (xmp("<dc:title>plain</dc:title><dc:rights/>"), Described("plain")),
        (xmp("<dc:title><rdf:Alt/></dc:title><dc:creator><rdf:Seq/></dc:creator>"), Described()),
        (xmp("</rdf:Description><rdf:Description><dc:title>two</dc:title>"), Described("two")),
        (f"<rdf:RDF {SPACES}><rdf:Description><dc:title>bare</dc:title></rdf:Description></rdf:RDF>".encode(), Described("bare")),
        (xmp(f"<dc:title>{'x' * 3000}</dc:title>"), Described("x" * 2000)),
        (b'<!DOCTYPE x [<!ENTITY a "' + b"b" * 99 + b'">]>' + xmp("<dc:title>&a;</dc:title>")[26:], Described()),
        (b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>' + xmp("<dc:title>&a;</dc:title>")[26:], Described()),
        (xmp("<dc:title>")[:-30], Described()),
        (b"<x/>", Described()),
        (b"nonsense", Described()),
    ],
)  # fmt: skip
def test_messy_xmp(tmp_path: Path, packet: bytes, known: Described) -> None:
    assert describe_picture(save_with_xmp(tmp_path / "x.jpg", packet)) == known


def test_xmp_that_is_too_long_is_left_alone(tmp_path: Path) -> None:
    long = xmp(f"<dc:title>Tom</dc:title><dc:x>{'x' * 2**20}</dc:x>")
    assert describe_picture(save_with_xmp(tmp_path / "x.webp", long)) == Described()


def test_xmp_comes_before_iptc_and_leaves_it_the_rest(tmp_path: Path) -> None:
    packet = b"http://ns.adobe.com/xap/1.0/\0" + xmp("<dc:title>new</dc:title>")
    app1 = b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet
    path = jpeg(tmp_path / "x.jpg", {COPYRIGHT: "CC0"}, app1 + iptc((5, b"old"), (120, b"A cat")))
    assert describe_picture(path) == Described("new", "A cat", "", "CC0")
