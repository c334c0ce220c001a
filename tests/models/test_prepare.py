"""What becomes of a picture before the model sees it: reduced in strips as in one piece, prepared twice as once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imgrag.library.intake.pictures import read_picture
from imgrag.models.clip import Cropped, import_clip
from imgrag.pictures import bounded

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
