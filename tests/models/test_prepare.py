"""What becomes of a picture before the model sees it: reduced in strips as in one piece, prepared twice as once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imgrag.library.intake.pictures import read_picture
from imgrag.models.clip import Cropped, import_clip
from imgrag.pictures import bounded, columns, on_ground, opaque, slimmest, square_reference

SIDE = 16
PREPROCESS = import_clip().clip._transform(SIDE)  # what `clip.load` returns with a model


def speckled(width: int, height: int, mode: str = "RGB") -> Image.Image:
    return Image.effect_noise((width, height), 90).convert(mode)


def turned() -> Image.Image:
    picture = speckled(30, 50)
    picture.getexif()[0x0112] = 6
    return picture


PICTURES = {
    "wide": speckled(90, 31),
    "tall": speckled(20, 200),
    "longer than any model reads": speckled(3, 400),
    "small": speckled(5, 7),
    "one pixel": speckled(1, 1),
    "just right": speckled(SIDE, SIDE),
    "grey": speckled(40, 50, "L"),
    "palette": speckled(40, 50, "P"),
    "transparent": speckled(40, 50, "LA"),
    "turned by EXIF": turned(),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_prepared_picture_gives_the_same_tensor(name: str) -> None:
    prepare = Cropped(PREPROCESS, SIDE)
    prepared = prepare(PICTURES[name])
    assert (prepared.size, prepared.mode) == ((SIDE, SIDE), "RGB")
    wanted = PREPROCESS(bounded(PICTURES[name], SIDE))
    assert torch.equal(PREPROCESS(bounded(prepared, SIDE)), wanted)
    assert torch.equal(PREPROCESS(bounded(prepare(prepared), SIDE)), wanted)


@pytest.mark.parametrize(
    ("mode", "kind", "save"),
    [("RGB", "png", {}), ("RGBA", "png", {}), ("P", "png", {}), ("P", "gif", {"transparency": 3}), ("LA", "png", {}),
     ("1", "png", {}), ("L", "bmp", {}), ("I;16", "png", {}), ("I;16", "tif", {}), ("CMYK", "tif", {}), ("F", "tif", {})],
)  # fmt: skip
@pytest.mark.parametrize("size", [(403, 555), (300, 256), (1000, 131)])
def test_strips_are_as_one_piece(
    tmp_path: Path, mode: str, kind: str, save: dict[str, int], size: tuple[int, int]
) -> None:
    file = tmp_path / f"x.{kind}"
    picture = speckled(*size, "L").convert("I").convert(mode) if mode == "I;16" else speckled(*size, mode)
    picture.save(file, **save)
    whole = read_picture(file)
    reduced = read_picture(file, SIDE)
    factor = min(size) // (2 * SIDE)
    assert factor > 1 and reduced.mode == whole.mode
    assert np.array_equal(np.asarray(reduced), np.asarray(whole.reduce(factor)))


def test_a_reduced_picture_is_still_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    speckled(200, 400).save(tmp_path / "x.png", exif=exif)
    assert read_picture(tmp_path / "x.png", SIDE).size == (67, 34)


SLIM = [(40_000, 1), (1, 40_000), (40_000, 20), (3_000_000, 2)]


class Watched:
    """The largest picture that Pillow made meanwhile, in pixels."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = 0
        new = Image.new

        def watched(mode: str, size: tuple[int, int], *colour: object) -> Image.Image:
            self.most = max(self.most, size[0] * size[1])
            return new(mode, size, *colour)

        monkeypatch.setattr(Image, "new", watched)


@pytest.mark.parametrize("size", SLIM)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_slim_picture_is_made_smaller_before_it_is_padded(
    size: tuple[int, int], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padded as it is, 40,000 x 1 takes 6 GB as a square."""
    picture = Image.new(mode, size, "red")
    watched = Watched(monkeypatch)
    assert Cropped(PREPROCESS, SIDE)(picture).size == (SIDE, SIDE)
    square = square_reference(picture, 224)
    flat = bounded(picture, 112, ratio=1)
    assert square.width == square.height <= 8 * 224 and flat.width == flat.height <= 4 * 112
    assert watched.most <= max(math.prod(size), (8 * 224) ** 2)


@pytest.mark.parametrize("size", [(300, 200), (1000, 1), (64, 64)])
def test_what_is_not_too_long_is_padded_as_it_is(size: tuple[int, int]) -> None:
    assert square_reference(speckled(*size), 224).width == max(size)
    assert max(bounded(speckled(*size), 224).size) == max(size)


def test_a_large_transparent_picture_is_laid_on_white_in_strips() -> None:
    picture = Image.merge("RGBA", [speckled(70, 200, "L")] * 4)
    whole = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    assert np.array_equal(np.asarray(opaque(picture)), np.asarray(whole))


@pytest.mark.parametrize(
    ("low", "high"), [(784, 12_544), (3136, 12_544), (784, 3136), (256 * 784, 1280 * 784)]
)
@pytest.mark.parametrize("size", [(400, 20), (20, 400), (2000, 100), (9000, 30), (63, 3), (19, 1), (500, 31)])
def test_no_side_of_what_a_vlm_sees_is_nothing(low: int, high: int, size: tuple[int, int]) -> None:
    from qwen_vl_utils import smart_resize

    width, height = bounded(Image.new("RGB", size), math.isqrt(high), slimmest(high, 28)).size
    assert min(smart_resize(height, width, 28, low, high)) >= 28


def test_columns_stand_in_the_middle_of_their_own_ground() -> None:
    image = Image.new("RGB", (64, 64), "white")
    image.paste((255, 0, 0), (8, 16, 24, 48))
    left, right = columns(image, 2)
    assert left.size == right.size == (64, 64)
    assert left.getpixel((32, 32)) == (255, 0, 0) and left.getpixel((2, 2)) == (255, 255, 255)
    assert right.getcolors() == [(64 * 64, (255, 255, 255))]


@pytest.mark.parametrize("ground", [(226, 88, 84), (250, 250, 250), (10, 20, 30)])
def test_a_plain_ground_becomes_another_and_soft_edges_their_share(ground: tuple[int, int, int]) -> None:
    thing, edge = (20, 200, 90), tuple(value + 18 * (-1 if value > 128 else 1) for value in ground)
    picture = Image.new("RGB", (16, 16), ground)
    picture.paste(edge, (4, 4, 12, 12))
    picture.paste(thing, (5, 5, 11, 11))
    moved = on_ground(picture, "white")
    assert moved.getpixel((0, 0)) == (255, 255, 255)
    assert moved.getpixel((8, 8)) == thing
    half = [min(255, round(e + (255 - g) / 2)) for e, g in zip(edge, ground, strict=True)]
    assert np.abs(np.subtract(moved.getpixel((4, 4)), half)).max() <= 1


def test_a_ground_that_is_not_plain_stays_and_so_does_a_picture_of_ground_alone() -> None:
    photo = speckled(16, 16)
    assert on_ground(photo, "white").tobytes() == photo.tobytes()
    plain = Image.new("RGB", (8, 8), "red")
    assert on_ground(plain, "white").getpixel((3, 3)) == (255, 0, 0)
