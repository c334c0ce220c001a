"""Zips that strangers upload: what is unpacked, and what is refused before anything is written."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from imgrag.errors import LibraryError
from imgrag.library.base import Skipped
from imgrag.library.intake import archives
from imgrag.library.intake.archives import Unpacked, unpack_pictures
from imgrag.library.intake.described import Described
from imgrag.library.intake.metadata import read_metadata
from tests.fakes import tile


def picture() -> bytes:
    file = io.BytesIO()
    tile("cat").save(file, format="PNG")
    return file.getvalue()


PNG = picture()


def packed(path: Path, files: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def refused(archive: Path, reason: str) -> None:
    """It is refused for that reason, and nothing but the zip remains."""
    before = left(archive.parent)
    with pytest.raises(LibraryError, match=reason) as caught:
        unpack_pictures(archive, archive.parent / "out")
    assert str(archive.parent) not in str(caught.value)
    assert left(archive.parent) == before and not (archive.parent / "out").exists()


def test_pictures_and_their_metadata_are_unpacked(tmp_path: Path) -> None:
    table = b"file_name,caption\ncat.png,a cat\n"
    files = {
        "pics/": b"", "pics/cat.png": PNG, "pics/Ümläut & 猫.JPG": b"any content", "pics/metadata.csv": table,
        "pics/annotations/x.json": b"{}", "readme.txt": b"hello", "run.sh": b"rm", ".DS_Store": b"x",
        "__MACOSX/pics/._cat.png": b"x", ".git/x.png": PNG,
    }  # fmt: skip
    found = unpack_pictures(packed(tmp_path / "x.zip", files), tmp_path / "out")
    reason = "it is no picture"
    assert found == Unpacked(
        ("pics/cat.png", "pics/Ümläut & 猫.JPG"), (Skipped("readme.txt", reason), Skipped("run.sh", reason))
    )
    written = ["pics/annotations/x.json", "pics/cat.png", "pics/metadata.csv", "pics/Ümläut & 猫.JPG"]
    assert left(tmp_path / "out") == written
    assert (tmp_path / "out" / "pics" / "cat.png").read_bytes() == PNG
    assert read_metadata(tmp_path / "out").described == {"pics/cat.png": Described(caption="a cat")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.zip"]


def test_stored_and_self_extracting_zips_are_read(tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.zip", {"cat.png": PNG}, zipfile.ZIP_STORED)
    archive.write_bytes(b"#!program" + archive.read_bytes())
    assert unpack_pictures(archive, tmp_path / "out").files == ("cat.png",)


ESCAPES = ["../evil.png", "a/../../evil.png", "a/..", "/etc/evil.png", "//host/evil.png", "C:/evil.png", "c:evil.png",
           "..\\evil.png", "a\\b.png", "a\0.png", "../evil.txt", "__MACOSX/../../x"]  # fmt: skip


@pytest.mark.parametrize("name", ESCAPES)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path / "x.zip", {"cat.png": PNG, "#" * len(name): b"evil"})
    archive.write_bytes(archive.read_bytes().replace(b"#" * len(name), name.encode()))
    refused(archive, "leads out of its folder")


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFDIR]
)
@pytest.mark.parametrize("name", ["link.png", "notes.txt"])
def test_links_and_special_files_are_refused(tmp_path: Path, kind: int, name: str) -> None:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("cat.png", PNG)
        archive.writestr(entry, "/etc/passwd")
    refused(tmp_path / "x.zip", rf"'{name}', a link or special file")


def many(path: Path, count: int) -> Path:
    """A zip that lists one entry `count` times, without packing that many."""
    packed(path, {"a.png": b""}, zipfile.ZIP_STORED)
    data = path.read_bytes()
    begin, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    listed = b"".join(data[begin:end].replace(b"a.png", b"%05d" % (n % 100_000)) for n in range(count))
    last = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count % 65_536, count % 65_536, len(listed), begin, 0)
    path.write_bytes(data[:begin] + listed + last)
    return path


def zip64(path: Path) -> Path:
    """A zip whose real list is named by the record for huge archives."""
    data = packed(path, {"a.png": PNG}).read_bytes()
    begin, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, end - begin, begin)
    path.write_bytes(data[:end] + record + struct.pack("<4sIQI", b"PK\6\7", 0, end, 1) + data[end:])
    assert zipfile.ZipFile(path).namelist() == ["a.png"]
    return path


@pytest.mark.parametrize("count", [20_001, 65_535, 100_000, 400_000])
def test_too_many_entries_are_refused(tmp_path: Path, count: int) -> None:
    """100,000 do not fit the count's 16 bits: the length of the list gives them away."""
    refused(many(tmp_path / "x.zip", count), "holds more than 20,000 files")


def test_a_count_that_lies_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 10)
    archive = many(tmp_path / "x.zip", 11)
    data = bytearray(archive.read_bytes())
    data[-14:-10] = struct.pack("<2H", 1, 1)
    archive.write_bytes(data)
    refused(archive, "holds 11 files; at most 10 are allowed")


def test_huge_archives_are_refused(tmp_path: Path) -> None:
    refused(zip64(tmp_path / "x.zip"), "Zip64")


def listed_as(path: Path, **values: int) -> Path:
    """Change what the list of contents says of the last entry."""
    places = {
        "flags": (8, "<H"),
        "kind": (10, "<H"),
        "packed": (20, "<I"),
        "size": (24, "<I"),
        "offset": (42, "<I"),
    }
    data = bytearray(path.read_bytes())
    begin = data.rindex(b"PK\1\2")
    for key, value in values.items():
        struct.pack_into(places[key][1], data, begin + places[key][0], value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("flag", [0x1, 0x41, 0x2000])
def test_encrypted_zips_are_refused(tmp_path: Path, flag: int) -> None:
    refused(listed_as(packed(tmp_path / "x.zip", {"a.png": PNG}), flags=flag), "encrypted")


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9, 93])
def test_unusual_compression_is_refused(tmp_path: Path, kind: int) -> None:
    refused(listed_as(packed(tmp_path / "x.zip", {"a.png": PNG}), kind=kind), "unusual way")


def test_bombs_are_refused(tmp_path: Path) -> None:
    zeros = bytes(11 * 2**20)
    refused(packed(tmp_path / "bomb.zip", {"a.bmp": zeros}), "more than 200 times its size")
    refused(packed(tmp_path / "bombs.zip", {f"{n}.bmp": zeros[: 2**20] for n in range(11)}), "200 times")
    large = listed_as(packed(tmp_path / "large.zip", {"a.png": PNG, "b.txt": PNG}), size=201 * 2**20)
    refused(large, r"'b.txt' in the zip has 201 MB; at most 200 are allowed")
    claims = {f"{n}.png": PNG for n in range(11)}
    whole = packed(tmp_path / "whole.zip", claims)
    data = whole.read_bytes().split(b"PK\1\2")
    claimed = [part[:20] + struct.pack("<I", 199 * 2**20) + part[24:] for part in data[1:]]
    whole.write_bytes(b"PK\1\2".join([data[0], *claimed]))
    refused(whole, r"unpacks to 2.1 GB; at most 2 are allowed")
    assert unpack_pictures(packed(tmp_path / "ok.zip", {"a.bmp": zeros[: 9 * 2**20]}), tmp_path / "out").files


def test_entries_that_share_bytes_are_refused(tmp_path: Path) -> None:
    both = listed_as(packed(tmp_path / "x.zip", {"a.png": PNG, "b.png": PNG}), offset=0)
    refused(both, "overlap")
    longer = listed_as(packed(tmp_path / "y.zip", {"a.png": PNG}), packed=len(PNG) + 999)
    refused(longer, "overlap")


@pytest.mark.parametrize(("size", "packed_size"), [(len(PNG) - 1, None), (len(PNG) + 1, None), (None, 20)])
def test_sizes_that_lie_make_a_broken_file(tmp_path: Path, size: int | None, packed_size: int | None) -> None:
    """The list says one thing, the content is another: never more than listed is written, and that not kept."""
    archive = packed(tmp_path / "x.zip", {"a.png": PNG, "b.png": PNG})
    listed_as(archive, **({"size": size} if size else {"packed": packed_size or 0}))
    found = unpack_pictures(archive, tmp_path / "out")
    assert found == Unpacked(("a.png",), (Skipped("b.png", "it is broken in the zip"),))
    assert left(tmp_path / "out") == ["a.png"]


def test_a_spoiled_file_is_left_out_and_named(tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.zip", {"a.png": PNG, "b.png": b"0123456789" * 5}, zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"0123456789" * 5, b"012345678X" * 5))
    assert unpack_pictures(archive, tmp_path / "out").skipped == (
        Skipped("b.png", "it is broken in the zip"),
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "x.zip", {"a.png": PNG, "b.png": PNG})
    archive.write_bytes(archive.read_bytes().replace(b"b.png", b"a.png"))
    refused(archive, "two files of one name")
    refused(packed(tmp_path / "y.zip", {"a.png": PNG, "a.png/b.png": PNG}), "two files of one name")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("con.png", "every system"), ("a/NUL.tar.png", "every system"), ("lpt1.jpg", "every system"), ("aux/x.png", "every system"),
     ("what?.png", "every system"), ("ab:c.png", "every system"), ("dot./x.png", "every system"), ("space /x.png", "every system"),
     ("a//b.png", "every system"), ("./b.png", "every system"), ("tab\t.png", "every system"), ("CAT.png", "upper and lower"),
     ("x" * 250 + ".png", "too long"), ("é" * 120 + ".png", "too long"), ("y/" * 600 + "b.png", "too long"), ("x.zip", "no picture"),
     ("x.svg", "this kind is not taken; taken are .avif"), ("png", "no picture")],
)  # fmt: skip
def test_names_that_do_not_fit_are_left_out(tmp_path: Path, name: str, reason: str) -> None:
    found = unpack_pictures(packed(tmp_path / "x.zip", {"cat.png": PNG, name: PNG}), tmp_path / "out")
    assert found.files == ("cat.png",) and [skipped.file for skipped in found.skipped] == [name]
    assert reason in found.skipped[0].reason
    assert left(tmp_path / "out") == ["cat.png"]


@pytest.mark.parametrize("name", ["console.png", "nul1.png", "a/com.png", "a b.png", "a..b.png", "com10.jpg"])
def test_names_that_only_look_odd_are_kept(tmp_path: Path, name: str) -> None:
    assert unpack_pictures(packed(tmp_path / "x.zip", {name: PNG}), tmp_path / "out").files == (name,)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "no zip"), (b"text" * 99, "no zip"), (b"PK\5\6", "no zip"), (b"PK\5\6" + bytes(18), "holds no pictures"),
     (b"PK\5\6" + bytes(4) + b"\1\0\1\0" + b"\x50\0\0\0" + bytes(6), "no zip")],
)  # fmt: skip
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    refused(tmp_path / "x.zip", reason)


@pytest.mark.parametrize(
    "cut", [lambda data: data[: len(data) // 2], lambda data: data[40:], lambda data: data[:-4]]
)
def test_a_cut_zip_is_refused(tmp_path: Path, cut: Callable[[bytes], bytes]) -> None:
    archive = packed(tmp_path / "x.zip", {"a.png": PNG, "b.png": PNG})
    archive.write_bytes(cut(archive.read_bytes()))
    refused(archive, "no zip|no pictures|overlap|broken")


def test_a_zip_without_pictures_is_refused(tmp_path: Path) -> None:
    refused(
        packed(tmp_path / "x.zip", {"readme.txt": b"x", "metadata.csv": b"x", ".a.png": PNG}),
        "holds no pictures",
    )


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(LibraryError, match="already something called 'out'"):
        unpack_pictures(packed(tmp_path / "x.zip", {"a.png": PNG}), tmp_path / "out")
    assert left(tmp_path) == ["x.zip"]


def test_nothing_remains_of_what_is_stopped_or_fails(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    calls: list[int] = []

    def check() -> None:
        calls.append(len(left(tmp_path)))
        if len(calls) == 3:
            raise Stopped

    archive = packed(tmp_path / "x.zip", {f"{n}.png": PNG for n in range(5)})
    with pytest.raises(Stopped):
        unpack_pictures(archive, tmp_path / "out", check)
    assert calls == [1, 2, 2]  # the zip and what was written so far: before and within a file
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]
    with pytest.raises(LibraryError, match=r"could not be unpacked: ") as caught:
        unpack_pictures(archive, tmp_path / "x.zip" / "out")
    assert str(tmp_path) not in str(caught.value)


def test_unpacked_pictures_open(tmp_path: Path) -> None:
    unpack_pictures(packed(tmp_path / "x.zip", {"a/cat.png": PNG}), tmp_path / "new" / "out")
    assert Image.open(tmp_path / "new" / "out" / "a" / "cat.png").size == (8, 8)


@pytest.mark.parametrize("before", [b"", b"#!program"])
def test_names_that_are_falsely_said_to_be_utf8_are_read_as_those_that_are_not(
    tmp_path: Path, before: bytes
) -> None:
    files = {"caf\u00e9.png": PNG, "\u732b.png": PNG, "dog.png": PNG}
    archive = packed(tmp_path / "x.zip", files, zipfile.ZIP_STORED)
    false = "caf\u00e9".encode().replace(b"\xc3\xa9", b"\x82\x82")  # as code page 437 has that letter
    archive.write_bytes(before + archive.read_bytes().replace("caf\u00e9".encode(), false))
    content = archive.read_bytes()
    with pytest.raises(UnicodeDecodeError):
        zipfile.ZipFile(archive)
    found = unpack_pictures(archive, tmp_path / "out")
    assert found == Unpacked(("caf\u00e9\u00e9.png", "\u732b.png", "dog.png"), ())
    assert all((tmp_path / "out" / file).read_bytes() == PNG for file in found.files)
    assert archive.read_bytes() == content
