"""ControlNets on tiny checkpoints of the very classes the profiles name: laid over a pipeline, and gone again."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from imgrag.errors import CheckpointError, RequestError
from imgrag.models import Control, Guide
from imgrag.models.conditions import condition_of
from imgrag.models.control import ControlNet
from imgrag.models.generator import DiffusionGenerator
from imgrag.models.places import Checkpoint
from imgrag.models.profile import Profile
from imgrag.models.residency import Residency
from imgrag.models.roles import load_roles
from imgrag.runs.structure import KINDS, Kind
from imgrag.runs.values import Box
from tests import tiny
from tests.models.test_lora import BUILD, as_kohya, lora_in, trained
from tests.models.test_roles import BLUE, RED, draw, same


@pytest.fixture(scope="module", params=[*BUILD])
def profile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    folder = tmp_path_factory.mktemp("checkpoints")
    return tiny.with_control(BUILD[request.param](folder / "cast"), folder)


@pytest.fixture(scope="module")
def generator(profile: Profile) -> DiffusionGenerator:
    return load_roles(profile)["generator"].load()


@pytest.fixture(scope="module")
def net(profile: Profile) -> ControlNet:
    return load_roles(profile)["control"].load()


def sketch(*corners: int) -> Image.Image:
    image = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(image).rectangle(corners or (20, 20, 80, 100), outline="black", width=4)
    return image


def along(net: ControlNet, kind: Kind = "sketch", **changes: Any) -> Control:
    return Control(net.net, condition_of(sketch(), kind, tiny.SIZE), kind, **changes)


def test_a_structure_guides_the_image(generator: DiffusionGenerator, net: ControlNet) -> None:
    plain, steered = draw(generator), draw(generator, control=along(net))
    assert not same(plain, steered)
    assert same(steered, draw(generator, control=along(net)))
    other = Control(net.net, condition_of(sketch(60, 60, 120, 120), "sketch", tiny.SIZE), "sketch")
    images = [draw(generator, control=control) for control in (other, along(net, scale=0.3))]
    images += [draw(generator, steps=4, control=along(net, share=share)) for share in (0.5, 1.0)]
    assert len({image.tobytes() for image in (steered, *images)}) == 5


@pytest.mark.parametrize("changes", [{"scale": 0.0}, {"share": 0.0}])
def test_what_guides_nothing_changes_nothing(
    generator: DiffusionGenerator, net: ControlNet, changes: dict[str, float]
) -> None:
    assert same(draw(generator), draw(generator, control=along(net, **changes)))


def test_images_without_a_structure_are_the_same_whatever_came_between(
    generator: DiffusionGenerator, net: ControlNet, tmp_path: Path
) -> None:
    """In any order of LoRA, IP-Adapter and ControlNet, put on and taken off."""
    lora = lora_in(tmp_path, trained(generator._pipe.unet))
    guides = [Guide(RED, 1.0), Guide(BLUE, 0.5, Box(left=0.5))]
    ways: list[dict[str, Any]] = [
        {name: value for bit, (name, value) in enumerate(
            (("loras", [lora]), ("guides", guides), ("control", along(net)))) if number >> bit & 1}
        for number in range(8)
    ]  # fmt: skip
    first = [draw(generator, **way) for way in ways]
    assert len({image.tobytes() for image in first}) == len(ways)
    for number in (4, 0, 7, 0, 2, 6, 1, 5, 0, 3, 4, 1, 2, 0):
        assert same(first[number], draw(generator, **ways[number])), number


def test_a_net_may_bring_a_lora_that_is_worn_with_it(
    generator: DiffusionGenerator, profile: Profile, tmp_path: Path
) -> None:
    plain, style = draw(generator), lora_in(tmp_path, trained(generator._pipe.unet))
    folder = tmp_path / "control"
    assert profile.control is not None
    shutil.copytree(profile.control.checkpoint.local, folder)
    shutil.copyfile(style.file, folder / "worn.safetensors")
    told = replace(profile.control, checkpoint=Checkpoint(local=str(folder)), lora="worn.safetensors")
    net = load_roles(replace(profile, control=told))["control"].load()
    bare, worn = along(net), along(net, lora=net.lora)
    assert not same(draw(generator, control=bare), draw(generator, control=worn))
    assert same(draw(generator), plain)
    for weak in ({"scale": 0.0}, {"share": 0.0}):
        assert same(draw(generator, control=along(net, lora=net.lora, **weak)), plain)
    both = draw(generator, control=worn, loras=[style])
    assert not same(both, draw(generator, control=worn))
    assert same(draw(generator), plain)


def test_the_plain_pipeline_keeps_nothing_of_it(generator: DiffusionGenerator, profile: Profile) -> None:
    before, net = generator.nbytes, load_roles(profile)["control"].load()
    draw(generator, control=along(net), guides=[Guide(RED, 1.0)])
    assert generator.nbytes == before
    assert "controlnet" not in generator._pipe.components
    left = weakref.ref(net.net)
    del net
    gc.collect()
    assert left() is None


def test_a_half_pipeline_stays_half(generator: DiffusionGenerator, profile: Profile) -> None:
    """`from_pipe` makes float32 of all parts unless it is told otherwise."""
    own = load_roles(profile)["generator"].load()
    own._pipe.to(torch.bfloat16)
    net = load_roles(profile)["control"].load()
    draw(own, control=Control(net.net.to(torch.bfloat16), along(net).image, "sketch"))
    assert own._pipe.unet.dtype == own._pipe.vae.dtype == torch.bfloat16


@pytest.mark.parametrize("as_file", [dict, as_kohya], ids=["diffusers", "kohya"])
def test_offload_keeps_its_device(
    profile: Profile, net: ControlNet, tmp_path: Path, as_file: Callable[[Any], Any]
) -> None:
    """Two references with regions, a LoRA of either format and a structure, with offload on and off."""
    generator = load_roles(profile)["generator"].load()
    state = as_file(trained(generator._pipe.unet))
    whole: dict[str, Any] = {
        "loras": [lora_in(tmp_path, state)], "control": along(net),
        "guides": [Guide(RED, 1.0, Box(right=0.5)), Guide(BLUE, 1.0, Box(left=0.5))],
    }  # fmt: skip
    plain, everything = draw(generator), draw(generator, **whole)
    pipe = generator._pipe
    pipe.unload_lora_weights()
    enable, devices = type(pipe).enable_model_cpu_offload, list[object]()

    def noted(gpu_id: int | None = None, device: str | None = None) -> None:
        devices.append(device)
        enable(pipe, device=device)

    pipe.enable_model_cpu_offload = noted
    parts = (pipe, generator._profile, generator._adapter, generator._adapter_folder)
    offloaded = DiffusionGenerator(*parts, "cpu", offload=True)
    assert same(everything, draw(offloaded, **whole))
    assert same(plain, draw(offloaded))
    assert same(everything, draw(offloaded, **whole))
    assert devices
    assert None not in devices


def test_a_net_of_another_generator_is_refused(profile: Profile, tmp_path: Path) -> None:
    other = next(build for name, build in BUILD.items() if name != _name(profile))
    foreign = tiny.with_control(other(tmp_path / "other"), tmp_path / "foreign")
    with pytest.raises(
        CheckpointError, match=r"control/config\.json is of a ControlNet for another generator"
    ):
        load_roles(replace(profile, control=foreign.control))["control"].load()


def _name(profile: Profile) -> str:
    return "sdxl" if profile.generator.checkpoint.variant else "pocket"


def test_what_is_no_control_net_is_refused(profile: Profile, tmp_path: Path) -> None:
    folder = tmp_path / "control"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    (folder / "model.safetensors").write_bytes(b"")
    assert profile.control is not None
    checkpoint = replace(profile.control.checkpoint, local=str(folder))
    wrong = replace(profile, control=replace(profile.control, checkpoint=checkpoint))
    with pytest.raises(CheckpointError, match=r"control"):
        load_roles(wrong)["control"].load()


def test_a_profile_whose_net_is_not_here_draws_without(profile: Profile, tmp_path: Path) -> None:
    assert profile.control is not None
    checkpoint = replace(profile.control.checkpoint, local=str(tmp_path / "nowhere"))
    roles = load_roles(replace(profile, control=replace(profile.control, checkpoint=checkpoint)))
    draw(roles["generator"].load())
    with pytest.raises(CheckpointError, match="is missing"):
        roles["control"].load()


def test_residency_counts_the_net_and_lets_eyes_go(profile: Profile) -> None:
    residency = Residency(list(load_roles(profile).values()), budget_bytes=10**10)
    with residency.use("generator"), residency.use("control") as net:
        held = {resident.name: resident.bytes for resident in residency.resident}
        assert held["control"] == net.nbytes == load_roles(profile)["control"].bytes
    assert profile.control is not None
    for eye in {"depth", "pose"} & set(profile.control.kinds):
        with residency.use(eye) as seeing:
            assert seeing.see(sketch()).size == sketch().size
            assert eye in [resident.name for resident in residency.resident]
        assert eye not in [resident.name for resident in residency.resident]


def test_each_kind_is_told_apart_where_a_net_knows_several(
    profile: Profile, generator: DiffusionGenerator, net: ControlNet
) -> None:
    assert profile.control is not None
    picture = along(net).image
    images = {
        kind: draw(generator, control=Control(net.net, picture, kind)) for kind in profile.control.kinds
    }
    told_apart = len({image.tobytes() for image in images.values()})
    assert told_apart == (
        len(KINDS) - 1 if _name(profile) == "sdxl" else 1
    )  # edges and lines are one kind to it


def test_a_generator_without_such_a_pipeline_says_so(generator: DiffusionGenerator, net: ControlNet) -> None:
    class Other(type(generator._pipe)):  # type: ignore[misc]
        pass

    kind, generator._pipe.__class__ = type(generator._pipe), Other
    try:
        with pytest.raises(RequestError, match="draws along no structure"):
            draw(generator, control=along(net))
    finally:
        generator._pipe.__class__ = kind
