"""Conditions: what becomes of pictures and sketches, and which are turned down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imgrag.commands.structures import read_control
from imgrag.errors import RequestError
from imgrag.models.conditions import condition_of
from imgrag.runs.structure import Kind

BOX = (40, 60, 150, 160)


def drawn(ground: str, stroke: str, mode: str = "RGB", width: int = 6) -> Image.Image:
    image = Image.new(mode, (200, 200), ground)
    ImageDraw.Draw(image).rectangle(BOX, outline=stroke, width=width)
    return image


def bounds(condition: Image.Image) -> list[float]:
    box = condition.getbbox()
    assert box is not None
    return [edge / condition.width for edge in box]


SKETCHES = {
    "dark on light": drawn("white", "black"),
    "light on dark": drawn("black", "white"),
    "light on nothing": drawn("#0000", "white", "RGBA"),
    "dark on nothing": drawn("#ffff0000", "black", "RGBA"),
    "grey": drawn("white", "#aaaaaa").convert("L"),
    "thin": drawn("white", "black", width=1),
    "palette": drawn("white", "black").convert("P"),
}


@pytest.mark.parametrize("name", [*SKETCHES])
@pytest.mark.parametrize("kind", ["sketch", "lines"])
def test_a_sketch_becomes_white_lines_on_black_where_it_was_drawn(name: str, kind: Kind) -> None:
    made = condition_of(SKETCHES[name], kind, 64)
    assert (made.mode, made.size) == ("RGB", (64, 64))
    values = np.asarray(made)
    assert set(np.unique(values)) == {0, 255}
    assert 0.02 < (values > 0).mean() < 0.25
    assert bounds(made) == pytest.approx([edge / 200 for edge in BOX], abs=0.03)


def test_edges_are_those_of_what_is_shown() -> None:
    picture = Image.new("RGB", (256, 256), "blue")
    picture.paste("yellow", (64, 64, 192, 128))
    made = condition_of(picture, "edges", 128)
    assert bounds(made) == pytest.approx([0.25, 0.25, 0.75, 0.5], abs=0.03)
    assert made.tobytes() == condition_of(picture, "edges", 128).tobytes()


def test_a_picture_keeps_its_shape() -> None:
    wide = drawn("white", "black").resize((400, 200))
    made = condition_of(wide, "sketch", 64)
    left, top, right, bottom = bounds(made)
    assert 0.25 < top < bottom < 0.75
    assert right - left == pytest.approx((BOX[2] - BOX[0]) / 200, abs=0.04)
    assert condition_of(wide, "edges", 64).crop((0, 0, 64, 15)).getbbox() is None


@pytest.mark.parametrize("size", [(1, 1), (40_000, 1), (7, 64), (4_000, 100)])
@pytest.mark.parametrize("kind", ["sketch", "edges"])
def test_what_has_no_shape_is_refused(size: tuple[int, int], kind: Kind) -> None:
    with pytest.raises(RequestError, match=rf"has {size[0]:,} x {size[1]} pixels; it needs 8 on each side"):
        condition_of(Image.new("RGB", size, "white"), kind, 64)


@pytest.mark.parametrize(
    ("kind", "said"), [("sketch", "The sketch is empty"), ("lines", "no lines"), ("edges", "no edges")]
)
@pytest.mark.parametrize("ground", ["white", "#f0f0f0", "#0000"])
def test_what_shows_nothing_is_refused(kind: Kind, said: str, ground: str) -> None:
    with pytest.raises(RequestError, match=said):
        condition_of(Image.new("RGBA", (64, 64), ground), kind, 64)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_what_moves_is_refused(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"moving.{kind.lower()}"
    frames = [drawn("white", colour) for colour in ("black", "red")]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(RequestError, match="cannot be used: it is animated; save one picture of it"):
        read_control(file)


@pytest.mark.parametrize("content", [b"", b"no picture", b"<svg/>"])
def test_what_is_no_picture_is_refused_without_a_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sketch.png").write_bytes(content)
    with pytest.raises(RequestError, match="The picture of the structure cannot be used") as refusal:
        read_control(tmp_path / "sketch.png")
    assert str(tmp_path) not in str(refusal.value)
