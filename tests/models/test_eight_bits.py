"""CLIP with eight bits: nearly the same vectors, under another name, whatever is embedded beside."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from imgrag.errors import CheckpointError, ProfileError
from imgrag.models import eight_bits
from imgrag.models.clip import ClipEmbedder, clip_id, load_clip
from imgrag.models.eight_bits import Attention, EightBits
from imgrag.models.profile import ClipProfile, load_profile
from imgrag.models.roles import embedder_id, load_roles
from imgrag.models.soundness import UnsoundFile
from tests import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClipEmbedder, ClipEmbedder]:
    profile = tiny.build_pocket(tmp_path_factory.mktemp("tiny") / "casting")
    smaller = replace(profile, clip=replace(profile.clip, precision="int8"))
    whole, eight = (load_roles(one)["clip"].load() for one in (profile, smaller))
    assert eight.model_id == embedder_id(smaller, "clip")
    return whole, eight


def test_vectors_are_nearly_the_same_and_in_a_column_of_their_own(pair) -> None:
    whole, eight = pair
    texts = [f"{number} dogs" for number in range(20)]
    pictures = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    for one, other in (
        (whole.embed_texts(texts), eight.embed_texts(texts)),
        (whole.embed_images(pictures), eight.embed_images(pictures)),
    ):
        assert (one * other).sum(1).min() > 0.99
    assert not np.array_equal(whole.embed_texts(texts), eight.embed_texts(texts))
    assert eight.model_id == f"{whole.model_id} int8"
    assert eight.nbytes < whole.nbytes


def test_no_vector_depends_on_what_is_embedded_beside_it(pair) -> None:
    texts = [f"{number} dogs" for number in range(70)]
    assert np.allclose(pair[1].embed_texts(texts)[66], pair[1].embed_texts(texts[66:67])[0], atol=1e-5)


def test_a_layer_does_what_the_linear_one_does() -> None:
    torch.manual_seed(0)
    layer, given = nn.Linear(64, 48), torch.randn(5, 7, 64) * torch.logspace(-3, 3, 7)[:, None]
    with torch.inference_mode():
        right, found = layer(given), EightBits(layer.weight, layer.bias)(given)
        nothing = EightBits(layer.weight, layer.bias)(torch.zeros(1, 64))
    assert found.shape == right.shape
    assert ((found - right).norm(dim=-1) / right.norm(dim=-1)).max() < 0.03
    assert torch.allclose(nothing[0], layer.bias, atol=1e-6)


def test_the_largest_numbers_do_not_run_over_where_pairs_are_added_in_16_bits() -> None:
    """As on processors without VNNI, which oneDNN takes this one for."""
    code = """
import torch
from imgrag.models.eight_bits import EightBits
with torch.inference_mode():
    found = EightBits(torch.ones(2, 64), torch.zeros(2))(torch.ones(1, 64))
assert torch.allclose(found, torch.full((1, 2), 64.0)), found
"""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert 2 * 255 * eight_bits.FEWER < 2**15


def test_attention_keeps_its_mask() -> None:
    torch.manual_seed(0)
    whole = nn.MultiheadAttention(32, 4)
    given, mask = torch.randn(6, 2, 32), torch.full((6, 6), -torch.inf).triu(1)
    with torch.inference_mode():
        right = whole(given, given, given, need_weights=False, attn_mask=mask)[0]
        found = Attention(whole)(given, given, given, need_weights=False, attn_mask=mask)[0]
    assert torch.nn.functional.cosine_similarity(right, found, dim=-1).min() > 0.99


def test_a_machine_without_such_products_says_so_in_a_sentence(monkeypatch) -> None:
    monkeypatch.setattr(eight_bits.torch, "ops", object())
    with pytest.raises(CheckpointError, match=r"Set clip\.precision to float32"):
        EightBits(torch.ones(2, 2), torch.ones(2))


def test_eight_bits_work_on_the_cpu_whatever_the_device(monkeypatch) -> None:
    asked: list[str] = []
    profile = load_profile("pocket")

    def load(file: str, device: str) -> None:
        asked.append(device)
        raise RuntimeError("enough")

    monkeypatch.setattr("clip.load", load)
    with pytest.raises(UnsoundFile):
        load_clip(profile.clip.checkpoint, Path("x"), "cuda", "int8")
    assert asked == ["cpu"]


def test_the_profile_knows_two_precisions() -> None:
    assert ClipProfile(checkpoint="ViT-B/32").precision == "float32"
    assert clip_id("ViT-B/32", Path("x"), "int8") == "ViT-B/32 int8"
    with pytest.raises(ProfileError, match=r"clip\.precision is 'int4', none of float32, int8"):
        ClipProfile(checkpoint="ViT-B/32", precision="int4")
