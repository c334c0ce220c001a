"""Picture files: what is read, how, at what cost, and what is refused."""

from __future__ import annotations

import io
import json
import math
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgrag.bench.fire import busy
from imgrag.library.intake.pictures import (
    MAX_PIXELS,
    SIDE,
    SUFFIXES,
    UNTAKEN,
    UnreadablePicture,
    content_hash,
    opened,
    read_picture,
    thumbnail,
)

RED = (200, 40, 40)
ROOT = Path(__file__).parents[2]


def png(
    size: tuple[int, int], depth: int, kind: int, pixel: bytes, extra: bytes = b"", rows: int = -1
) -> bytes:
    """A PNG of one colour, of any kind and depth, holding `rows` of the rows it claims."""
    lines = (b"\0" + pixel * size[0]) * (size[1] if rows < 0 else rows)
    header = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        *([(b"tRNS", extra)] if extra else []),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    body = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def odd_files(folder: Path, size: tuple[int, int] = (8, 4)) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Writes a red picture in many ways; returns the mode and first pixel that each should have."""
    red = Image.new("RGB", size, RED)
    clear = Image.new("RGBA", size, (*RED, 0))
    srgb, lab = (ImageCms.createProfile(space) for space in ("sRGB", "LAB"))
    ImageCms.profileToProfile(red, srgb, lab, outputMode="LAB").save(folder / "lab.tif")
    red.save(folder / "ycbcr.tif", compression="jpeg")
    red.save(folder / "phone.heic", quality=95)
    clear.save(folder / "clear.avif", quality=100)
    red.save(folder / "moving.avif", save_all=True, append_images=[Image.new("RGB", size)], quality=100)
    (folder / "avif.jpg").write_bytes((folder / "moving.avif").read_bytes())
    red.save(folder / "web.jfif", "JPEG", quality=95)
    red.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    red.convert("CMYK").save(folder / "cmyk.tif")
    red.save(folder / "progressive.jpg", progressive=True)
    red.quantize(4).save(folder / "palette.png")
    red.quantize(4).save(folder / "palette_clear.png", transparency=0)
    clear.save(folder / "clear.png")
    clear.save(folder / "clear.webp", lossless=True, exact=True)
    clear.convert("LA").save(folder / "grey_clear.png")
    Image.new("1", size, 1).save(folder / "bit.png")
    Image.fromarray(np.full(size[::-1], 40_000, np.uint16)).save(folder / "deep.png")
    Image.fromarray(np.full(size[::-1], 40_000, np.uint16)).save(folder / "deep.tif")
    Image.fromarray(np.full(size[::-1], 40_000, np.dtype(">u2"))).save(folder / "big_endian.tif")
    Image.fromarray(np.full(size[::-1], 0.5, np.float32)).save(folder / "float.tif")
    (folder / "deep_rgb.png").write_bytes(png(size, 16, 2, struct.pack(">3H", 40_000, 10_000, 60_000)))
    grey = struct.pack(">H", 40_000)
    (folder / "deep_clear.png").write_bytes(png(size, 16, 0, grey, extra=grey))
    (folder / "deep_alpha.png").write_bytes(png(size, 16, 4, struct.pack(">2H", 40_000, 30_000)))
    frames = [Image.new("RGB", size, (0, 0, shade)) for shade in range(30)]
    for name in ("moving.gif", "pages.tif"):
        red.save(folder / name, save_all=True, append_images=frames)
    red.save(folder / "moving.webp", save_all=True, append_images=frames, lossless=True)
    red.resize((1, 1)).save(folder / "tiny.png")
    return {
        **dict.fromkeys(
            ("cmyk.jpg", "cmyk.tif", "progressive.jpg", "palette.png", "moving.gif", "pages.tif", "moving.webp", "tiny.png",
             "lab.tif", "ycbcr.tif", "phone.heic", "moving.avif", "avif.jpg", "web.jfif"),
            ("RGB", RED),
        ),
        **dict.fromkeys(("clear.png", "clear.webp", "clear.avif", "palette_clear.png"), ("RGBA", (*RED, 0))),
        "grey_clear.png": ("RGBA", (*clear.convert("LA").convert("RGB").getpixel((0, 0)), 0)),
        "bit.png": ("RGB", (255, 255, 255)),
        **dict.fromkeys(("deep.png", "deep.tif", "big_endian.tif", "deep_clear.png"), ("RGB", (156, 156, 156))),
        "float.tif": ("RGB", (127, 127, 127)),
        "deep_rgb.png": ("RGB", (156, 39, 234)),
        "deep_alpha.png": ("RGBA", (156, 156, 156, 117)),
    }  # fmt: skip


def broken_files(folder: Path) -> dict[str, str]:
    """Writes files that are no usable pictures; returns what each one's reason says."""
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    for name in ("whole.png", "whole.jpg", "whole.webp", "whole.gif", "whole.tif"):
        noise.save(folder / name)
    whole = {path.suffix: path.read_bytes() for path in folder.glob("whole.*")}
    spoiled = bytearray(whole[".png"])
    spoiled[spoiled.index(b"IDAT") + 40] ^= 0xFF
    contents = {
        "empty.png": (b"", "empty"),
        "text.jpg": (b"not a picture at all", "no picture"),
        "page.png": (b"<html><body>404</body></html>", "no picture"),
        "zip.webp": (b"PK\x03\x04", "no picture"),
        "drawing.png": (
            b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
            "SVG.*one of PNG, JPEG, .*HEIC",
        ),
        "layers.jpg": (b"8BPS\0\1" + bytes(40), "Photoshop"),
        "raw.tif": (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "raw file"),
        "checksum.png": (bytes(spoiled), "broken"),
        "bomb.png": (png((13_000, 13_000), 8, 2, bytes(3), rows=500), "169 megapixels, more than 65"),
        "huge.png": (png((60_000, 60_000), 8, 2, bytes(3), rows=1), "too large"),
        **{f"cut{suffix}": (data[: len(data) // 2], "broken|no picture") for suffix, data in whole.items()},
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    for path in folder.glob("whole.*"):
        path.unlink()
    assert len(contents["bomb.png"][0]) < 25_000
    return {name: reason for name, (_, reason) in contents.items()}


@pytest.mark.parametrize("side", [SIDE, 2])
def test_odd_pictures_are_read_properly(tmp_path: Path, side: int | None) -> None:
    for name, (mode, pixel) in odd_files(tmp_path, (32, 16)).items():
        picture = read_picture(tmp_path / name, side)
        expected = (1, 1) if name == "tiny.png" else (32, 16) if side == SIDE else (8, 4)
        assert (picture.mode, picture.size) == (mode, expected), name
        if (
            mode == "RGBA" and pixel[3] == 0 and side < SIDE
        ):  # what nobody sees has no colour once it is scaled
            pixel = (0, 0, 0, 0)
        assert np.allclose(picture.getpixel((0, 0)), pixel, atol=4), name


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif", "heic", "avif"])
@pytest.mark.parametrize("side", [SIDE, 8])
def test_all_orientations_are_turned_upright(tmp_path: Path, kind: str, side: int | None) -> None:
    """The quarters of the upright picture are red, blue, green, black; each file stores it turned."""
    upright = np.zeros((32, 64, 3), np.uint8)
    upright[:16, :32, 0] = upright[:16, 32:, 2] = upright[16:, :32, 1] = 250
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright), 7: upright.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }  # fmt: skip
    for orientation, pixels in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.{kind}"
        Image.fromarray(np.ascontiguousarray(pixels)).save(
            path, exif=exif.tobytes(), **({} if kind == "tif" else {"quality": 95})
        )
        picture = read_picture(path, side)
        width, height = picture.size
        corners = [(2, 2), (width - 3, 2), (2, height - 3), (width - 3, height - 3)]
        colours = [np.array(picture.getpixel(corner)) > 125 for corner in corners]
        assert width == 2 * height, orientation
        assert np.array_equal(colours, [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]]), orientation


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_broken_files_say_why(tmp_path: Path) -> None:
    for name, reason in broken_files(tmp_path).items():
        with pytest.raises(UnreadablePicture, match=reason) as caught:
            read_picture(tmp_path / name)
        assert str(tmp_path) not in str(caught.value), name
    with pytest.raises(UnreadablePicture, match="cannot be opened"):
        read_picture(tmp_path / "gone.png")


def test_enough_is_enough(tmp_path: Path) -> None:
    """A large photo is scaled while it is decoded; the short side stays long enough."""
    for name, size in (("wide.jpg", (1600, 1000)), ("wide.png", (1600, 1000)), ("small.jpg", (60, 40))):
        Image.new("RGB", size, RED).save(tmp_path / name)
    sizes = [read_picture(tmp_path / name, 100).size for name in ("wide.jpg", "wide.png", "small.jpg")]
    assert sizes == [(400, 250), (320, 200), (60, 40)]


@pytest.mark.parametrize(("size", "expected"), [((400, 100), (32, 8)), ((100, 400), (8, 32)), ((20, 10), (20, 10)), ((900, 1), (32, 1))])  # fmt: skip
def test_thumbnails_fit(tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]) -> None:
    Image.new("RGBA", size).save(tmp_path / "x.png")
    assert (thumbnail(tmp_path / "x.png", 32).size, thumbnail(tmp_path / "x.png", 32).mode) == (
        expected,
        "RGBA",
    )


@pytest.mark.parametrize(
    ("name", "content"), busy.refused(20), ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_keeps_a_decoder_busy_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """Each of them took seconds or a gigabyte; decoding would raise in other words, or nothing."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadablePicture, match="; save it"):
        read_picture(tmp_path / name)


@pytest.mark.parametrize(
    ("size", "scans", "words"),
    [
        ((64, 64), 300, ""),
        ((64, 64), 600, "more than 500 scans"),
        ((6000, 6000), 80, "too many for its size"),
    ],
)
def test_scans_are_counted_and_weighed(tmp_path: Path, size: tuple[int, int], scans: int, words: str) -> None:
    (tmp_path / "x.jpg").write_bytes(busy.progressive(size, scans))
    if words:
        with pytest.raises(UnreadablePicture, match=words):
            read_picture(tmp_path / "x.jpg")
    else:
        assert np.allclose(read_picture(tmp_path / "x.jpg").getpixel((0, 0)), RED, atol=4)


def test_what_stands_behind_a_photo_or_in_its_head_is_no_scan(tmp_path: Path) -> None:
    """Phones append films, and put a small JPEG into the EXIF."""
    photo = io.BytesIO()
    Image.new("RGB", (64, 64), RED).save(photo, "JPEG", comment=b"\xff\xda" * 10_000)
    (tmp_path / "x.jpg").write_bytes(photo.getvalue() + b"\xff\xda\0\2" * 10_000)
    assert read_picture(tmp_path / "x.jpg").size == (64, 64)


def jpeg_header(size: tuple[int, int], progressive: bool) -> bytes:
    """A grey JPEG as far as its first scan, which has nothing in it, with a second one behind."""
    photo = io.BytesIO()
    Image.new("L", (8, 8)).save(photo, "JPEG", progressive=progressive)
    content = photo.getvalue()
    at = content.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return content[: at + 5] + struct.pack(">HH", *size[::-1]) + content[at + 9 :]


def test_a_jpeg_may_be_large_as_far_as_memory_goes(tmp_path: Path) -> None:
    """Headers alone: libjpeg fills up with grey what is missing."""
    file = tmp_path / "x.jpg"
    file.write_bytes(jpeg_header((16_000, 15_000), progressive=False))
    assert read_picture(file).size == (4000, 3750)
    file.write_bytes(jpeg_header((16_000, 16_000), progressive=False))
    with pytest.raises(UnreadablePicture, match="256 megapixels, more than 250"):
        read_picture(file)
    file.write_bytes(jpeg_header((16_000, 15_000), progressive=True))
    with pytest.raises(UnreadablePicture, match="takes 480 MB to read, more than 400; save it as a baseline"):
        read_picture(file)


def test_a_phone_s_picture_is_taken_also_where_it_is_no_jpeg(tmp_path: Path) -> None:
    for size in ((8192, 6144), (9248, 6936)):
        Image.new("1", size).save(tmp_path / "x.png")
        assert min(read_picture(tmp_path / "x.png").size) >= 2 * SIDE


@pytest.mark.parametrize(
    ("size", "expected"),
    [((8192, 6144), (4096, 3072)), ((4000, 3000), (4000, 3000)), ((30_000, 1_000), (15_000, 500))],
)
def test_nothing_of_more_than_25_megapixels_is_returned(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    Image.new("RGB", size).save(tmp_path / "x.jpg")
    Image.new("1", size).save(tmp_path / "x.png")
    for name in ("x.jpg", "x.png"):
        picture = read_picture(tmp_path / name)
        assert math.prod(picture.size) <= 25_000_000
        assert picture.size == expected or name == "x.png"


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["grey.png", "grey.tif", "colours.png"])
def test_levels_are_scaled_by_what_is_there(tmp_path: Path, bits: int, kind: str) -> None:
    """White, a middle and black in so many bits of 16."""
    levels = (2**bits - 1, 2 ** (bits - 1), 0)
    file = tmp_path / kind
    if kind == "colours.png":
        file.write_bytes(png((4, 4), 16, 2, struct.pack(">3H", *levels)))
        shown = read_picture(file).getpixel((0, 0))
    else:
        Image.fromarray(np.array([levels] * 2, np.uint16)).save(file)
        shown = tuple(read_picture(file).getpixel((x, 0))[0] for x in range(3))
    assert shown == (255, 128, 0)


def test_a_tag_of_a_million_numbers_and_one_that_is_cut_off(tmp_path: Path) -> None:
    """The first is refused; the second only lacks its tag."""
    tags = struct.pack("<HHII", 273, 4, 300_000, 8)
    content = b"II*\0" + struct.pack("<IH", 8, 1) + tags + bytes(4)
    with pytest.raises(UnreadablePicture, match="250,000 numbers"), opened(io.BytesIO(content + bytes(99))):
        pass
    tag = struct.pack("<HHII", 270, 2, 2**31, 26)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tag + bytes(4)
    Image.new("RGB", (8, 8)).save(tmp_path / "x.jpg", exif=exif)
    with pytest.warns(UserWarning, match="Truncated File Read"):
        assert read_picture(tmp_path / "x.jpg").size == (8, 8)


def test_what_is_taken_and_what_is_named_are_told_apart() -> None:
    assert {".heic", ".heif", ".avif", ".jfif", ".jpe"} <= SUFFIXES
    assert {".svg", ".dng", ".cr2", ".nef", ".arw", ".psd"} <= UNTAKEN and not SUFFIXES & UNTAKEN


MEASURE = """
import json, sys, threading, time
from pathlib import Path
import psutil
from imgrag.library.intake.pictures import UnreadablePicture, read_picture

me, peak = psutil.Process(), 0
def watch():
    global peak
    while True:
        peak = max(peak, me.memory_info().rss)
        time.sleep(0.0005)

threading.Thread(target=watch, daemon=True).start()
read_picture(Path(sys.argv[2]), 224)
time.sleep(0.05)
before, grown = me.memory_info().rss, {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    peak = 0
    try:
        read_picture(path, 224)
    except UnreadablePicture:
        pass
    grown[path.name] = (max(peak, me.memory_info().rss) - before) / 2**20
print(json.dumps(grown))
"""


def test_memory_stays_small(tmp_path: Path) -> None:
    """Over the odd, the broken, and a photo of 40 megapixels, against what the process had before."""
    folder = tmp_path / "files"
    folder.mkdir()
    odd_files(folder, (1500, 1000))
    broken_files(folder)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (7300, 5480), RED).save(folder / "photo.jpg", exif=exif)
    Image.new("RGB", (8, 8)).save(tmp_path / "first.jpg")
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, str(folder), str(tmp_path / "first.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    grown = json.loads(done.stdout)
    assert MAX_PIXELS > 7300 * 5480 and len(grown) > 30
    assert {name: round(grew) for name, grew in grown.items() if grew >= 50} == {}


def test_content_is_what_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert content_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
