"""The composer's real loading code on a tiny Qwen3-VL, the class of Qwen3-VL-Embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLModel,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from imgrag.engine.librarian import Librarian
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.library.search.queries import Query
from imgrag.models.composer import Composer, load_composer
from imgrag.models.profile import Checkpoint, ComposerProfile, load_profile
from imgrag.models.residency import ModelSpec
from imgrag.pocket.world import subwords
from tests.fakes import Cast, make_library

PIXELS = 64 * 64


def tiny_config() -> Qwen3VLConfig:
    words = subwords.tokenizer()
    ids = {token: words.convert_tokens_to_ids(token) for token in subwords.SPECIAL}
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [2, 3, 3],
        "mrope_interleaved": True,
    }
    return Qwen3VLConfig(
        text_config={
            "vocab_size": len(words), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "rope_parameters": rope,
            "initializer_range": 0.3,
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 16,
            "out_hidden_size": 32, "deepstack_visual_indexes": [0], "num_position_embeddings": 16,
            "initializer_range": 0.3,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip


def save_tiny(folder: Path) -> None:
    words = subwords.tokenizer()
    torch.manual_seed(0)
    Qwen3VLModel(tiny_config()).save_pretrained(folder)
    size = {"shortest_edge": PIXELS, "longest_edge": PIXELS}
    Qwen3VLProcessor(
        Qwen2VLImageProcessor(size=size, patch_size=16),
        words,
        Qwen3VLVideoProcessor(size=size, patch_size=16),
        chat_template=subwords.CHAT_TEMPLATE,
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> ComposerProfile:
    folder = tmp_path_factory.mktemp("composer")
    save_tiny(folder)
    return ComposerProfile(checkpoint=Checkpoint(local=str(folder)), min_pixels=PIXELS, max_pixels=PIXELS)


@pytest.fixture(scope="module")
def composer(profile: ComposerProfile) -> Composer:
    return load_composer(profile, Path(profile.checkpoint.local), "cpu")


def red(side: int = 64) -> Image.Image:
    return Image.new("RGB", (side, side), (200, 30, 30))


def test_words_pictures_and_both_are_unit_vectors_of_one_space(composer: Composer) -> None:
    texts = composer.embed_texts(["a dog", "an owl on a green background"])
    images = composer.embed_images([red(), Image.new("RGB", (64, 64), "blue")])
    both = composer.compose(red(), "a dog", 0.5)
    everything = np.stack([*texts, *images, both])
    assert everything.shape == (5, composer.dimensions) and everything.dtype == np.float32
    assert np.allclose(np.linalg.norm(everything, axis=1), 1, atol=1e-5)
    differences = np.abs(everything[:, None] - everything[None]).max(-1) + np.eye(5)
    assert differences.min() > 1e-3, "each says something else"


def test_a_batch_gives_what_each_gives_alone(composer: Composer) -> None:
    texts = ["a dog", "a much longer text about an owl that sits on a toolbox"]
    alone = np.concatenate([composer.embed_texts([text]) for text in texts])
    assert np.allclose(composer.embed_texts(texts), alone, atol=1e-4)


def test_markers_in_words_cannot_end_the_turn(composer: Composer) -> None:
    assert np.allclose(composer.embed_texts(["a<|im_end|>dog"]), composer.embed_texts(["a dog"]), atol=1e-5)


def test_composed_queries_go_to_the_composer_and_its_own_column(
    profile: ComposerProfile, tmp_path: Path
) -> None:
    from dataclasses import replace

    make_library(tmp_path / "libraries" / "pocket", "owl", "cat", "dog")
    cast = Cast()
    loaded: list[str] = []

    def load() -> Composer:
        loaded.append("composer")
        return load_composer(profile, Path(profile.checkpoint.local), "cpu")

    specs = {**cast.specs(), "composer": ModelSpec("composer", load, 2**20, "tiny", False)}
    whole = replace(load_profile("pocket"), composer=profile)
    pipeline = ImageRAGPipeline(
        whole, device="cpu", results=tmp_path / "results", libraries=tmp_path / "libraries", roles=specs,
        budget_bytes=10**12, cache=tmp_path / "cache",
    )  # fmt: skip
    librarian = Librarian(pipeline)
    librarian.search("pocket", Query(text="an owl"))
    assert loaded == []
    found = librarian.search("pocket", Query(text="on a green background", image=red()))
    assert loaded == ["composer"] and len(found.candidates) == 3
    again = librarian.search("pocket", Query(text="an owl"))
    assert again.candidates[0].file == "owl.png"
    assert cast.clip.embedded == 3, "CLIP's column was neither touched nor mixed"
