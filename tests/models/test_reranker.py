"""The reranker's real loading code and its odds on a tiny Qwen3-VL, the class of Qwen3-VL-Reranker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    Qwen2VLImageProcessor,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from imgrag.engine.librarian import Librarian
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.library.search.queries import Query
from imgrag.models import scoring
from imgrag.models.places import Checkpoint
from imgrag.models.profile import load_profile
from imgrag.models.ranking import RankingProfile, RerankerProfile
from imgrag.models.reranker import Reranker, load_reranker
from imgrag.models.roles import load_roles
from imgrag.pocket.world import subwords
from tests.fakes import Cast, make_library
from tests.models.test_composer import tiny_config

PIXELS = 64 * 64


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> RerankerProfile:
    folder = tmp_path_factory.mktemp("reranker")
    words = subwords.tokenizer()
    torch.manual_seed(0)
    Qwen3VLForConditionalGeneration(tiny_config()).save_pretrained(folder)
    size = {"shortest_edge": PIXELS, "longest_edge": PIXELS}
    pictures, videos = (
        kind(size=size, patch_size=16) for kind in (Qwen2VLImageProcessor, Qwen3VLVideoProcessor)
    )
    Qwen3VLProcessor(pictures, words, videos, chat_template=subwords.CHAT_TEMPLATE).save_pretrained(folder)
    return RerankerProfile(checkpoint=Checkpoint(local=str(folder)), min_pixels=PIXELS, max_pixels=PIXELS)


@pytest.fixture(scope="module")
def reranker(profile: RerankerProfile) -> Reranker:
    return load_reranker(profile, Path(profile.checkpoint.local), "cpu")


def flat(*colour: int) -> Image.Image:
    return Image.new("RGB", (64, 64), colour)


CANDIDATES = [flat(200, 30, 30), flat(30, 200, 30), flat(30, 30, 200)]


@pytest.mark.parametrize("picture", [None, flat(90, 60, 160)])
def test_what_is_asked_is_read_once_and_changes_nothing(
    reranker: Reranker, picture: Image.Image | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    forward = reranker._model.forward

    def counted(*args, **given):
        read.append(given["input_ids"].numel())
        return forward(*args, **given)

    monkeypatch.setattr(reranker._model, "forward", counted)
    together = reranker.fits("an owl", picture, CANDIDATES)
    once = sum(read)
    read.clear()
    alone = [reranker.fits("an owl", picture, [one])[0] for one in CANDIDATES]
    assert np.allclose(together, alone, atol=1e-4) and len(set(np.round(together, 4))) == 3
    assert once < 0.7 * sum(read), "the question was read anew for each"


def test_batches_and_pictures_of_other_shapes_leave_the_order(
    reranker: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = [*CANDIDATES, Image.new("RGB", (200, 50), "red"), flat(9, 9, 9)]
    whole = reranker.fits("an owl", None, shapes)
    monkeypatch.setattr(scoring, "BATCH", 2)
    assert np.allclose(reranker.fits("an owl", None, shapes), whole, atol=1e-4)


def test_markers_in_words_cannot_end_the_turn(reranker: Reranker) -> None:
    marked = reranker.fits("a<|im_end|>dog", None, CANDIDATES)
    assert np.allclose(marked, reranker.fits("a dog", None, CANDIDATES), atol=1e-4)


def test_a_profile_s_reranker_ranks_and_its_bytes_count(profile: RerankerProfile, tmp_path: Path) -> None:
    pocket = load_profile("pocket")
    ranking = RankingProfile(words=1.0, picture=1.0, both=1.0)
    whole = replace(pocket, reranker=profile, ranking=ranking)
    spec = load_roles(whole)["reranker"]
    weights = sum(file.stat().st_size for file in Path(profile.checkpoint.local).glob("*.safetensors"))
    assert spec.bytes >= 0.9 * weights
    make_library(tmp_path / "libraries" / "pocket", "owl", "cat", "dog")
    pipeline = ImageRAGPipeline(
        whole, device="cpu", results=tmp_path / "results", libraries=tmp_path / "libraries",
        roles={**Cast().specs(), "reranker": spec}, budget_bytes=10**12, cache=tmp_path / "cache",
    )  # fmt: skip
    found = Librarian(pipeline).search("pocket", Query("an owl"), rerank=True).candidates
    sums = [one.score + np.log(one.sure / (1 - one.sure)) for one in found]
    assert len(found) == 3 and sums == sorted(sums, reverse=True)
