"""The upscaler on a small network of the compact kind with random weights, opened by spandrel as a person's is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from imgrag.errors import Cancelled, ProfileError, RequestError
from imgrag.models.places import Checkpoint
from imgrag.models.soundness import UnsoundFile
from imgrag.models.upscaler import load_upscaler
from imgrag.models.upscaling import UpscalerProfile

NAME = "net.safetensors"


def profile(tile: int = 0) -> UpscalerProfile:
    return UpscalerProfile(checkpoint=Checkpoint(local="there"), weight_name=NAME, tile=tile)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    layers = [
        nn.Conv2d(3, 24, 3, 1, 1),
        nn.PReLU(24),
        nn.Conv2d(24, 24, 3, 1, 1),
        nn.PReLU(24),
        nn.Conv2d(24, 12, 3, 1, 1),
    ]
    state = nn.ModuleList(layers).state_dict()
    save_file({f"body.{key}": value for key, value in state.items()}, tmp_path / NAME)
    return tmp_path


def picture(size: tuple[int, int]) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_picture_comes_out_larger(folder: Path) -> None:
    upscaler = load_upscaler(profile(), folder, "cpu")
    assert upscaler.factor == 2 and upscaler.nbytes > 0
    large = upscaler.enlarge(picture((30, 20)).convert("RGBA"))
    assert (large.mode, large.size) == ("RGB", (60, 40))


def test_tiles_meet_without_seams(folder: Path) -> None:
    whole = load_upscaler(profile(), folder, "cpu").enlarge(picture((150, 90)))
    tiled = load_upscaler(profile(64), folder, "cpu").enlarge(picture((150, 90)))
    assert int(np.abs(np.asarray(whole, int) - np.asarray(tiled, int)).max()) <= 1


def test_it_can_be_stopped_between_tiles(folder: Path) -> None:
    seen: list[int] = []

    def check() -> None:
        seen.append(1)
        if len(seen) == 2:
            raise Cancelled("The run was stopped.")

    with pytest.raises(Cancelled):
        load_upscaler(profile(64), folder, "cpu").enlarge(picture((150, 90)), check)
    assert len(seen) == 2


def test_what_would_be_beyond_all_measure_is_refused(folder: Path) -> None:
    with pytest.raises(RequestError, match="at most 64 megapixels"):
        load_upscaler(profile(), folder, "cpu").enlarge(Image.new("RGB", (9000, 9000)))


@pytest.mark.parametrize("harm", ["truncated", "foreign", "grey"])
def test_a_file_that_is_none_is_blamed(folder: Path, harm: str) -> None:
    file = folder / NAME
    if harm == "truncated":
        file.write_bytes(file.read_bytes()[:500])
    elif harm == "foreign":
        save_file({"weight": torch.zeros(3)}, file)
    else:
        layers = nn.ModuleList([nn.Conv2d(1, 24, 3, 1, 1), nn.PReLU(24), nn.Conv2d(24, 4, 3, 1, 1)])
        save_file({f"body.{key}": value for key, value in layers.state_dict().items()}, file)
    with pytest.raises(UnsoundFile):
        load_upscaler(profile(), folder, "cpu")


@pytest.mark.parametrize(("name", "tile"), [("net.pth", 0), (NAME, 8), (NAME, -1)])
def test_a_profile_that_makes_no_sense_is_refused(name: str, tile: int) -> None:
    with pytest.raises(ProfileError, match="upscaler"):
        UpscalerProfile(checkpoint=Checkpoint(local="there"), weight_name=name, tile=tile)
