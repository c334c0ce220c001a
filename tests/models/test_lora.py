"""LoRAs on tiny checkpoints of the very classes the profiles name, in both formats."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file

from imgrag.errors import StyleError
from imgrag.models import Guide, Lora
from imgrag.models.generator import DiffusionGenerator
from imgrag.models.lora import lora_bytes, trigger_words
from imgrag.models.profile import Profile
from imgrag.models.roles import load_roles
from tests import tiny
from tests.models.test_roles import RED, draw, same

BUILD: dict[str, Callable[[Path], Profile]] = {"sdxl": tiny.build_sdxl, "pocket": tiny.build_pocket}
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


@pytest.fixture(scope="module", params=[*BUILD])
def profile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return BUILD[request.param](tmp_path_factory.mktemp("checkpoints") / request.param)


@pytest.fixture(scope="module")
def generator(profile: Profile) -> DiffusionGenerator:
    return load_roles(profile)["generator"].load()


@pytest.fixture(autouse=True)
def undressed(generator: DiffusionGenerator) -> Iterator[None]:
    yield
    draw(generator, steps=1)


def trained(unet: torch.nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    """What peft trains of a U-Net, with random numbers that are seen, as diffusers writes it."""
    torch.manual_seed(seed)
    unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=TARGETS), "ink")
    state = {
        f"unet.{key}": torch.randn_like(value)
        for key, value in get_peft_model_state_dict(unet, adapter_name="ink").items()
    }
    unet.unload_lora()
    return state


def as_kohya(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same layers under the names of kohya's scripts, each with its alpha."""
    found = {}
    for key, value in state.items():
        layer, end = re.fullmatch(r"unet\.(.*)\.(lora_[AB])\.weight", key).groups()
        name = f"lora_unet_{layer.replace('.', '_')}"
        found[f"{name}.{'lora_down' if end == 'lora_A' else 'lora_up'}.weight"] = value
        found[f"{name}.alpha"] = torch.tensor(2.0)
    return found


def lora_in(folder: Path, state: dict[str, torch.Tensor], name: str = "lora", **metadata: str) -> Lora:
    file = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, file, metadata)
    return Lora("ink", file)


def scaled(lora: Lora, scale: float) -> Lora:
    return Lora(lora.name, lora.file, scale)


def test_both_formats_give_one_image(generator: DiffusionGenerator, tmp_path: Path) -> None:
    state = trained(generator._pipe.unet)
    one = draw(generator, loras=[lora_in(tmp_path, state)])
    other = draw(generator, loras=[lora_in(tmp_path, as_kohya(state), "kohya")])
    assert same(one, other)
    assert not same(one, draw(generator))


def test_images_without_a_lora_are_the_same_whatever_came_between(
    generator: DiffusionGenerator, tmp_path: Path
) -> None:
    lora = lora_in(tmp_path, trained(generator._pipe.unet))
    plain, guided = draw(generator), draw(generator, guides=[Guide(RED, 1.0)])
    worn = draw(generator, loras=[lora])
    both = draw(generator, loras=[lora], guides=[Guide(RED, 1.0)])
    assert len({image.tobytes() for image in (plain, guided, worn, both)}) == 4
    assert same(worn, draw(generator, loras=[lora]))
    assert same(plain, draw(generator))
    assert same(both, draw(generator, loras=[lora], guides=[Guide(RED, 1.0)]))
    assert same(guided, draw(generator, guides=[Guide(RED, 1.0)]))
    assert same(worn, draw(generator, loras=[lora]))


def test_each_lora_counts_with_its_scale(generator: DiffusionGenerator, tmp_path: Path) -> None:
    one = lora_in(tmp_path, trained(generator._pipe.unet))
    other = lora_in(tmp_path, trained(generator._pipe.unet, 1), "other")
    images = [draw(generator, loras=loras) for loras in ([one], [scaled(one, 0.5)], [other], [one, other])]
    assert len({image.tobytes() for image in images}) == 4
    assert same(images[0], draw(generator, loras=[one, scaled(other, 0.0)]))


def test_a_lora_is_read_once_while_it_is_wanted(generator: DiffusionGenerator, tmp_path: Path) -> None:
    lora = lora_in(tmp_path, trained(generator._pipe.unet))
    first = draw(generator, loras=[lora])
    lora.file.unlink()
    draw(generator, loras=[scaled(lora, 0.3)])
    assert same(first, draw(generator, loras=[lora]))


def test_what_a_lora_takes_is_counted_and_given_back(generator: DiffusionGenerator, tmp_path: Path) -> None:
    before = generator.nbytes
    lora = lora_in(tmp_path, trained(generator._pipe.unet))
    draw(generator, loras=[lora])
    assert generator.nbytes == before + lora_bytes(lora.file)
    draw(generator)
    assert generator.nbytes == before


def test_offload_keeps_its_device(profile: Profile, tmp_path: Path) -> None:
    """diffusers lays offload again over a pipeline that gets a LoRA, on the first GPU, whatever it was."""
    generator = load_roles(profile)["generator"].load()
    lora = lora_in(tmp_path, trained(generator._pipe.unet))
    plain, worn = draw(generator), draw(generator, loras=[lora])
    devices: list[object] = []
    pipe = generator._pipe
    pipe.unload_lora_weights()
    enable = type(pipe).enable_model_cpu_offload

    def noted(gpu_id: int | None = None, device: str | None = None) -> None:
        devices.append(device)
        enable(pipe, device=device)

    pipe.enable_model_cpu_offload = noted
    parts = (pipe, generator._profile, generator._adapter, generator._adapter_folder)
    offloaded = DiffusionGenerator(*parts, "cpu", offload=True)
    assert same(worn, draw(offloaded, loras=[lora]))
    assert same(plain, draw(offloaded))
    assert devices
    assert None not in devices


def broken(state: dict[str, torch.Tensor], what: str) -> dict[str, torch.Tensor]:
    if what == "nan":
        return {key: value * float("nan") for key, value in state.items()}
    if what == "renamed":
        return {key.replace("blocks.0", "blocks.7"): value for key, value in state.items()}
    if what == "no lora":
        return {key.replace("lora", "delta"): value for key, value in state.items()}
    return {key: torch.cat([value, value], -1) if "lora_A" in key else value for key, value in state.items()}


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("nan", "holds values that are no numbers"),
        ("renamed", "is made for another base model"),
        ("wider", "is made for another base model"),
        ("no lora", "holds no LoRA"),
    ],
)
def test_a_lora_that_does_not_fit_is_refused_and_leaves_nothing(
    generator: DiffusionGenerator, tmp_path: Path, what: str, told: str
) -> None:
    plain, state = draw(generator), trained(generator._pipe.unet)
    good = lora_in(tmp_path, state)
    with pytest.raises(StyleError, match=f"The LoRA of the style 'ink' {told}"):
        draw(generator, loras=[good, lora_in(tmp_path, broken(state, what), "broken")])
    assert same(plain, draw(generator))


def test_a_lora_of_the_other_base_is_refused(
    profile: Profile, generator: DiffusionGenerator, tmp_path: Path
) -> None:
    other = next(build for name, build in BUILD.items() if name not in str(generator._adapter_folder))(
        tmp_path
    )
    state = trained(load_roles(other)["generator"].load()._pipe.unet)
    with pytest.raises(StyleError, match="is made for another base model"):
        draw(generator, loras=[lora_in(tmp_path, as_kohya(state))])


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95pickled", b"cut"], ids=["empty", "pickle", "cut"])
def test_what_is_no_safetensors_is_refused(
    generator: DiffusionGenerator, tmp_path: Path, content: bytes
) -> None:
    lora = lora_in(tmp_path, trained(generator._pipe.unet))
    whole = lora.file.read_bytes()
    lora.file.write_bytes(whole[: len(whole) // 2] if content == b"cut" else content)
    with pytest.raises(StyleError, match=r"is empty|is cut short, or no safetensors"):
        draw(generator, loras=[lora])


def test_a_pickle_is_not_opened(generator: DiffusionGenerator, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "lora.pt")
    with pytest.raises(StyleError, match="is no safetensors file"):
        draw(generator, loras=[Lora("ink", tmp_path / "lora.pt")])


def test_a_lora_of_two_gigabytes_is_not_opened(generator: DiffusionGenerator, tmp_path: Path) -> None:
    file = tmp_path / "lora.safetensors"
    with file.open("wb") as opened:
        opened.truncate(2 * 10**9)  # a hole takes no disk
    with pytest.raises(StyleError, match=r"is larger than 1\.5 GB"):
        draw(generator, loras=[Lora("ink", file)])


def test_trigger_words_are_those_of_every_picture(generator: DiffusionGenerator, tmp_path: Path) -> None:
    state = {"lora": torch.zeros(1)}
    tags = json.dumps({"10_ink": {"inkwash": 20, "a dog": 7}, "1_none": {"x": 1}})
    sizes = json.dumps({"10_ink": {"n_repeats": 10, "img_count": 20}})
    kohya = lora_in(tmp_path, state, ss_tag_frequency=tags, ss_dataset_dirs=sizes)
    assert trigger_words(kohya.file) == ("inkwash",)
    spec = lora_in(tmp_path, state, "spec", **{"modelspec.trigger_phrase": " in\nink wash "})
    assert trigger_words(spec.file) == ("in ink wash",)
    assert trigger_words(lora_in(tmp_path, state, "none", ss_tag_frequency="[" * 10**5).file) == ()
