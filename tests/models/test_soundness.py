"""Checkpoints that are damaged, cut short or put together from others: one sentence with the file's name."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, Qwen2ForCausalLM

from imgrag.errors import CheckpointError
from imgrag.models.checkpoints import Store
from imgrag.models.profile import Checkpoint, ComposerProfile, Profile, load_profile
from imgrag.models.roles import ROLES, load_roles
from imgrag.ui.language import speaking, told
from tests import tiny
from tests.models.test_composer import PIXELS, save_tiny

Change = Callable[[Path], object]
LLM, VLM, PROJECTION = "llm/model.safetensors", "vlm/model.safetensors", "adapter/full.safetensors"
UNET, VAE = (f"generator/{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae"))
ENCODER = "adapter/image_encoder/model.safetensors"
WEIGHTS = {
    LLM: "llm", VLM: "vlm", UNET: "generator", VAE: "generator", PROJECTION: "generator", ENCODER: "generator",
    "generator/text_encoder/model.safetensors": "generator", "composer/model.safetensors": "composer",
}  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    tiny.build_pocket(folder)
    save_tiny(folder / "composer")
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(built, tmp_path / "checkpoints")


def cast_in(folder: Path) -> Profile:
    at = {name: Checkpoint(local=name) for name in ("generator", "adapter", "vlm", "llm", "composer")}
    pocket = load_profile("pocket")
    parts = {name: replace(getattr(pocket, name), checkpoint=at[name]) for name in at if name != "composer"}
    adapter = replace(parts.pop("adapter"), weight_name="full.safetensors")
    composer = ComposerProfile(checkpoint=at["composer"], min_pixels=PIXELS, max_pixels=PIXELS)
    clip = replace(pocket.clip, checkpoint="clip.pt")
    return replace(pocket, clip=clip, composer=composer, adapter=adapter, **parts)


def told_of(folder: Path, role: str) -> str:
    """The sentence that opening a role ends with; it has no path of this machine, and a translation."""
    with pytest.raises(CheckpointError) as caught:
        load_roles(cast_in(folder), store=Store(root=folder))[role].load()
    sentence = str(caught.value)
    assert str(folder) not in sentence and "\n" not in sentence
    with speaking("zh"):
        assert not re.search(r"\b(is|holds|has|there|tensors|it)\b", told(sentence)), told(sentence)
    return sentence


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-8])


def garbled(file: Path) -> None:
    file.write_bytes(b"\xff" * 64)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def lacking(file: Path) -> None:
    """Without its last tensor."""
    state = load_file(file)
    state.pop(max(state))
    save_file(state, file)


def burdened(file: Path) -> None:
    save_file({**load_file(file), "nobody.knows.this": torch.zeros(2)}, file)


def reshaped(file: Path) -> None:
    state = load_file(file)
    state[max(state)] = torch.zeros(3, 5)
    save_file(state, file)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (cut, "is cut short, or no safetensors"),
        (garbled, "is cut short, or no safetensors"),
        (emptied, "is empty"),
        (lacking, "tensors 1 missing (such as "),
        (burdened, "tensors 1 unknown (such as nobody.knows.this)"),
        (reshaped, "of another shape (such as "),
    ],
)
def test_weights_that_are_not_whole_are_named(folder: Path, weights: str, change: Change, what: str) -> None:
    change(folder / weights)
    sentence = told_of(folder, WEIGHTS[weights])
    assert sentence.startswith(f"{weights} ") and what in sentence


def test_whole_checkpoints_open(folder: Path) -> None:
    """Tied weights are stored once, and what an older library stored besides is no stranger."""
    encoder = folder / ENCODER
    save_file({**load_file(encoder), "vision_model.embeddings.position_ids": torch.arange(17)}, encoder)
    roles = load_roles(cast_in(folder), store=Store(root=folder))
    for role in (*ROLES, "composer"):
        assert role not in roles or roles[role].load().nbytes > 0


def test_the_weights_of_another_model_do_not_judge(folder: Path) -> None:
    shutil.copy(folder / LLM, folder / VLM)
    assert told_of(folder, "vlm").startswith(f"{VLM} is of another model, or not whole: tensors ")


def broken(*parts: str) -> Change:
    return lambda folder: folder.joinpath(*parts).write_text('{"a": {{', encoding="utf-8")


def sharded(folder: Path) -> None:
    """The language model in two files, of which the second was not fetched."""
    model = Qwen2ForCausalLM.from_pretrained(folder / "llm")
    (folder / LLM).unlink()
    model.save_pretrained(folder / "llm", max_shard_size="100KB")
    min((folder / "llm").glob("*-00002-of-*.safetensors")).unlink()


def renamed(folder: Path) -> None:
    """The language model says that it is a text encoder."""
    shutil.copy(folder / "generator" / "text_encoder" / "config.json", folder / "llm" / "config.json")


def swapped(one: str, other: str) -> Change:
    def change(folder: Path) -> None:
        shutil.rmtree(folder / one)
        shutil.copytree(folder / other, folder / one)

    return change


def moved(one: str, other: str) -> Change:
    return lambda folder: shutil.copy(folder / other, folder / one)


def configured(file: str, **values: Any) -> Change:
    def change(folder: Path) -> None:
        config = json.loads((folder / file).read_text(encoding="utf-8"))
        (folder / file).write_text(json.dumps({**config, **values}), encoding="utf-8")

    return change


def narrow(folder: Path) -> None:
    """A text encoder that is whole, of another width."""
    config = CLIPTextConfig.from_pretrained(folder / "generator" / "text_encoder")
    config.hidden_size, config.num_attention_heads = 16, 2
    CLIPTextModel(config).save_pretrained(folder / "generator" / "text_encoder")


def other_adapter(folder: Path) -> None:
    """An adapter for a U-Net of another width."""
    state = load_file(folder / PROJECTION)
    save_file({key: torch.cat([tensor, tensor]) for key, tensor in state.items()}, folder / PROJECTION)


def other_projection(folder: Path) -> None:
    """Its attention fits, and it looks at another image encoder."""
    state = load_file(folder / PROJECTION)
    state["image_proj.proj.0.weight"] = torch.zeros(32, 48)
    save_file(state, folder / PROJECTION)


@pytest.mark.parametrize(
    ("role", "change", "told"),
    [
        ("llm", broken("llm", "config.json"), "llm/config.json is no JSON"),
        ("llm", broken("llm", "generation_config.json"), "llm/generation_config.json is no JSON"),
        ("llm", broken("llm", "tokenizer.json"), "llm/tokenizer.json is no JSON"),
        ("llm", moved("llm/tokenizer.json", "llm/config.json"), "llm/tokenizer.json holds no words"),
        ("llm", moved("llm/tokenizer.json", "generator/tokenizer/tokenizer.json"), "llm/tokenizer.json has "),
        ("llm", broken("llm", "chat_template.jinja"), "llm/chat_template.jinja holds no chat template"),
        ("llm", renamed, "llm/config.json describes no model"),
        ("llm", sharded, "llm/model.safetensors.index.json names model-00002-of-"),
        ("vlm", broken("vlm", "processor_config.json"), "vlm/processor_config.json is no JSON"),
        ("vlm", swapped("vlm", "llm"), "vlm/"),
        ("llm", swapped("llm", "vlm"), "llm/"),
        ("composer", swapped("composer", "llm"), "composer/"),
        ("generator", broken("generator", "model_index.json"), "generator/model_index.json is no JSON"),
        ("generator", broken("generator", "scheduler", "scheduler_config.json"), "generator/scheduler/scheduler_config.json is no JSON"),
        ("generator", broken("generator", "tokenizer", "tokenizer.json"), "generator/tokenizer/tokenizer.json is no JSON"),
        ("generator", moved("generator/tokenizer/tokenizer.json", "llm/tokenizer.json"), "generator/tokenizer has "),
        ("generator", configured("generator/tokenizer/tokenizer_config.json", model_max_length=99), "generator/tokenizer gives up to 99 tokens"),
        ("generator", configured("generator/model_index.json", unet=["diffusers", "Nothing"]), "generator/model_index.json describes no pipeline"),
        ("generator", configured("generator/model_index.json", _class_name="AutoencoderKL"), "generator/model_index.json describes no pipeline"),
        ("generator", swapped("generator/unet", "generator/vae"), "generator/unet/diffusion_pytorch_model.safetensors is of another model"),
        ("generator", lambda folder: shutil.rmtree(folder / "generator" / "vae"), "generator/vae holds no safetensors weights"),
        ("generator", narrow, "generator/text_encoder/config.json gives 16 numbers a token"),
        ("generator", other_adapter, f"{PROJECTION} is of another model"),
        ("generator", other_projection, f"{PROJECTION} projects no pictures"),
        ("generator", lambda folder: (folder / PROJECTION).unlink(), f"{PROJECTION} is missing"),
        ("generator", broken("adapter", "image_encoder", "config.json"), "adapter/image_encoder/config.json is no JSON"),
        ("generator", lambda folder: shutil.rmtree(folder / "adapter" / "image_encoder"), "adapter/image_encoder/config.json is missing"),
    ],
)  # fmt: skip
def test_files_that_do_not_belong_together_are_named(
    folder: Path, role: str, change: Change, told: str
) -> None:
    change(folder)
    assert told_of(folder, role).startswith(told)


def pickled(file: Path) -> None:
    torch.save({"weights": Path}, file)


def other_clip(file: Path) -> None:
    """As open_clip names its tensors."""
    torch.save({f"trunk.{key}": value for key, value in torch.load(file).items()}, file)


def fewer_words(file: Path) -> None:
    state = torch.load(file)
    torch.save({**state, "token_embedding.weight": state["token_embedding.weight"][:500].clone()}, file)


def shallow(file: Path) -> None:
    torch.save({key: value for key, value in torch.load(file).items() if "ln_final" not in key}, file)


@pytest.mark.parametrize("change", [cut, garbled, emptied, pickled, other_clip, fewer_words, shallow])
def test_a_file_that_is_no_clip_is_named(folder: Path, change: Change) -> None:
    change(folder / "clip.pt")
    assert told_of(folder, "clip").startswith("clip.pt ")
