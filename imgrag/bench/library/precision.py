"""What eight bits bring CLIP on a CPU, and what they cost: pictures a second, and whether the same are found.

The pace is a ViT-B/32's with random weights. What is found is compared on pocket's own CLIP, all its pictures and their
captions as queries, and on the ViT, pictures by pictures. All within one run, the kinds taking turns.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgrag.bench import Bar, Figure, Meter
from imgrag.bench.library.adding import random_vit
from imgrag.bench.library.counts import MODEL, Counts, Figures, seconds_of
from imgrag.models.checkpoints import locate_clip
from imgrag.models.clip import EIGHT_BITS, ClipEmbedder, load_clip
from imgrag.models.eight_bits import with_eight_bits
from imgrag.models.profile import load_profile
from imgrag.pictures import bounded
from imgrag.pocket.world import world

K = 10
AT_ONCE = 16  # pictures that one of the kinds embeds before the next has its turn
SEED = 4
BARS = (
    Bar("eight_bits", "images a second, ViT-B/32 with eight bits", unit="/s"),
    Bar("eight_bits_whole", "  with float32", unit="/s"),
    Bar("eight_bits_bare", "  bare torch, float32", unit="/s"),
    Bar("eight_bits_faster", "  eight bits against float32", 1.3, unit="x"),
    Bar("eight_bits_vit", f"  recall@{K} against float32, pictures by pictures", 0.9),
    Bar("eight_bits_recall", f"recall@{K} against float32, pocket's CLIP, captions", 0.98),
    Bar("eight_bits_pocket", "  images, eight bits against float32", unit="x"),
)
Pictures = Sequence[Image.Image]


def measure_precision(counts: Counts, folder: Path, meter: Meter) -> Figures:
    """Every row of `BARS`; as many pictures for the ViT as there are `photos`, at most all of pocket's."""
    import torch

    files = sorted(world.LIBRARY.glob("*.png"))
    pictures = [Image.open(file).convert("RGBA") for file in files]
    torch.manual_seed(SEED)
    return {**_of_vit(pictures[: counts.photos], meter), **_of_pocket(pictures, meter)}


def _of_vit(pictures: Pictures, meter: Meter) -> Figures:
    model, preprocess = random_vit()
    smaller = with_eight_bits(copy.deepcopy(model))
    whole, eight = (ClipEmbedder(one, preprocess, MODEL, "cpu") for one in (model, smaller))
    found, seconds = _in_turn((whole, eight), pictures, meter)
    bare = _bare_seconds(model, preprocess, whole.side, pictures)
    return {
        "eight_bits": Figure(len(pictures) / seconds[1], len(pictures)),
        "eight_bits_whole": Figure(len(pictures) / seconds[0], len(pictures)),
        "eight_bits_bare": Figure(len(pictures) / bare, len(pictures)),
        "eight_bits_faster": Figure(seconds[0] / seconds[1], len(pictures)),
        "eight_bits_vit": recall(found[0], found[0], found[1], found[1]),
    }


def _of_pocket(pictures: Pictures, meter: Meter) -> Figures:
    name = load_profile("pocket").clip.checkpoint
    file = locate_clip(name, "pocket")
    whole, eight = load_clip(name, file, "cpu"), load_clip(name, file, "cpu", EIGHT_BITS)
    found, seconds = _in_turn((whole, eight), pictures, meter)
    captions = [f"a picture of a {icon.name}" for icon in world.icons()]
    asked = whole.embed_texts(captions), eight.embed_texts(captions)
    return {
        "eight_bits_recall": recall(asked[0], found[0], asked[1], found[1]),
        "eight_bits_pocket": Figure(seconds[0] / seconds[1], len(pictures)),
    }


def _in_turn(
    embedders: Sequence[ClipEmbedder], pictures: Pictures, meter: Meter
) -> tuple[list[np.ndarray], list[float]]:
    """Vectors [n, d] and seconds by each."""
    seconds, found = [0.0] * len(embedders), [list[np.ndarray]() for _ in embedders]
    for embedder in embedders:
        embedder.embed_images(pictures[:1])  # the first pass sets things up
    with meter.over("embedding, batches", range(0, len(pictures), AT_ONCE)) as starts:
        for start in starts:
            batch = pictures[start : start + AT_ONCE]
            for place, embedder in enumerate(embedders):
                act = partial(_keep, embedder, batch, found[place])
                seconds[place] += seconds_of(act)
    return [np.concatenate(vectors) for vectors in found], seconds


def _keep(embedder: ClipEmbedder, pictures: Pictures, found: list[np.ndarray]) -> None:
    found.append(embedder.embed_images(pictures))


def _bare_seconds(model: Any, preprocess: Any, side: int, pictures: Pictures) -> float:
    """Of the forward passes alone."""
    import torch

    seconds = 0.0
    with torch.inference_mode():
        for start in range(0, len(pictures), AT_ONCE):
            batch = [preprocess(bounded(one, side)) for one in pictures[start : start + AT_ONCE]]
            seconds += seconds_of(partial(model.encode_image, torch.stack(batch)))
    return seconds


def recall(
    queries: np.ndarray, vectors: np.ndarray, other_queries: np.ndarray, other_vectors: np.ndarray
) -> Figure:
    """The share of the `K` best by the first two (queries [q, d], vectors [n, d]) that the others find too."""
    best, found = (
        np.argsort(-(asked @ given.T), axis=1, kind="stable")[:, :K]
        for asked, given in ((queries, vectors), (other_queries, other_vectors))
    )
    shares = [len(set(one) & set(other)) / len(one) for one, other in zip(best, found, strict=True)]
    return Figure(float(np.mean(shares)), len(shares))
