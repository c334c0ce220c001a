"""The pictures of a library most like a picture and like its parts, and which of them count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from imgrag.library.engines.store import WRITTEN_BY, Entry
from imgrag.library.search.column import Column, Scored, as_candidate
from imgrag.models import Embedder
from imgrag.models.captioning import CaptionsProfile
from imgrag.pictures import on_ground
from imgrag.runs.captions import WHOLE_PICTURE, Neighbour, parts_of
from imgrag.runs.values import Box

SAME = 0.99999  # cosine similarity from which a picture of the library is the picture itself
RUNNERS_UP = 5  # neighbours that the first one of a part must stand out from
MOST_LOOKED_AT = 1000  # neighbours, where most have no caption
NEAREST = 64  # pictures of which the likest to a part is chosen
CROWD = 10  # pictures by which it is told how crowded it is around one


@dataclass(frozen=True)
class Search:
    """Where neighbours come from. `crowds` remembers how crowded it is around pictures, by id."""

    column: Column
    profile: CaptionsProfile
    k: int
    crowds: dict[int, float] = field(default_factory=dict, compare=False, repr=False)

    @property
    def parts(self) -> tuple[str, ...]:
        """What is looked at, the whole first."""
        grid = parts_of(self.profile.columns, self.profile.rows, self.profile.part)
        return (WHOLE_PICTURE, *grid)


def embed_views(pictures: Sequence[Image.Image], profile: CaptionsProfile, embedder: Embedder) -> np.ndarray:
    """Each picture and its parts as unit vectors, float32 [n, 1 + parts, d]."""
    boxes = parts_of(profile.columns, profile.rows, profile.part).values()
    views = [
        view
        for picture in pictures
        for view in (picture, *(_cut(picture, box, profile.part_ground) for box in boxes))
    ]
    return embedder.embed_images(views).reshape(len(pictures), 1 + len(boxes), -1)


def _cut(picture: Image.Image, box: Box, ground: str) -> Image.Image:
    part = picture.crop(box.pixels(*picture.size))
    return on_ground(part, ground) if ground else part


def neighbours(views: np.ndarray, search: Search, itself: str | None = None) -> tuple[Neighbour, ...]:
    """The neighbours of a picture [1 + parts, d], by part, the most similar first.

    Pictures without a caption are none, nor those whose caption a model wrote, nor the picture itself.

    Args:
        itself: the digest of the picture, where it is one of the library's; otherwise it is looked for.
    """
    digest = _itself(search.column, views[0]) if itself is None else itself
    found: list[Neighbour] = []
    for part, vector in zip(search.parts, views, strict=True):
        near, counting = (_whole if part == WHOLE_PICTURE else _part)(vector, digest, search)
        found += [
            Neighbour(part, as_candidate(entry, score), counts)
            for (entry, score), counts in zip(near, counting, strict=True)
        ]
    return tuple(found)


def _whole(vector: np.ndarray, digest: str, search: Search) -> tuple[list[Scored], list[bool]]:
    near = _captioned(search.column, vector, search.k, digest)
    return near, [score >= search.profile.floor for _, score in near]


def _part(vector: np.ndarray, digest: str, search: Search) -> tuple[list[Scored], list[bool]]:
    """The pictures most like a part, and whether each counts: the first if it stands out, others if they are near it.

    A thing that the library lacks has many neighbours that are all as like it as each other. What counts is twice the
    similarity without how crowded it is around the picture (CSLS; Conneau et al., 2018): a scene is like every part
    with its ground, as it is like every other scene on it.
    """
    profile, k = search.profile, search.profile.k_parts
    if not profile.ahead:
        near = _captioned(search.column, vector, k, digest)
        return near, [score >= profile.part_floor for _, score in near]
    near = _captioned(search.column, vector, NEAREST, digest)
    crowds = _crowds([entry for entry, _ in near], search)
    scaled = {entry.id: 2 * score - crowds[entry.id] for entry, score in near}
    near.sort(key=lambda one: -scaled[one[0].id])
    if not near:
        return [], []
    (first, score), others = near[0], [s for s in near[1:] if s[0].caption != near[0][0].caption]
    rest = [scaled[entry.id] for entry, _ in others[:RUNNERS_UP]]
    best, mean = scaled[first.id], float(np.mean(rest)) if rest else -1.0
    stands = score >= profile.part_floor and best - mean >= profile.ahead
    counting = [stands and scaled[entry.id] >= (best + mean) / 2 for entry, _ in near[:k]]
    return near[:k], counting


def _crowds(entries: Sequence[Entry], search: Search) -> dict[int, float]:
    """How like each of these is to the pictures nearest to it, on average."""
    store = search.column.store
    unknown = [entry for entry in entries if entry.id not in search.crowds]
    vectors = store.vectors({entry.digest for entry in unknown})
    for entry in unknown:
        near = store.search(vectors[entry.digest], CROWD, None, entry.digest)
        search.crowds[entry.id] = float(np.mean([hit.score for hit in near])) if near else 0.0
    return search.crowds


def _itself(column: Column, vector: np.ndarray) -> str:
    nearest = column.nearest(vector)
    return nearest[0].digest if nearest and nearest[1] >= SAME else ""


def _captioned(column: Column, vector: np.ndarray, k: int, digest: str) -> list[Scored]:
    """The `k` most similar pictures with a caption by a person; further ones are looked at where many have none."""
    looked_at = k
    while True:
        hits = column.store.search(vector, looked_at, None, digest)
        scores = {hit.id: hit.score for hit in hits}
        found = [(entry, scores[entry.id]) for entry in column.store.get(list(scores)) if _tells(entry)]
        if len(found) >= k or len(hits) < looked_at or looked_at >= MOST_LOOKED_AT:
            return found[:k]
        looked_at = min(MOST_LOOKED_AT, 4 * looked_at)


def _tells(entry: Entry) -> bool:
    return bool(entry.caption.strip()) and WRITTEN_BY not in entry.fields
