"""The pictures of a library most like a picture and like its parts, and which of them count."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imgrag.library.engines.store import WRITTEN_BY, Entry
from imgrag.library.search.column import Column, Scored, as_candidate
from imgrag.models import Embedder
from imgrag.models.captioning import CaptionsProfile
from imgrag.runs.captions import WHOLE_PICTURE, Neighbour, parts_of

SAME = 0.99999  # cosine similarity from which a picture of the library is the picture itself
RUNNERS_UP = 5  # neighbours that the first one of a part must stand out from
MOST_LOOKED_AT = 1000  # neighbours, where most have no caption


@dataclass(frozen=True)
class Search:
    """Where neighbours come from. `without` are files that a person took out."""

    column: Column
    profile: CaptionsProfile
    k: int
    without: frozenset[str] = frozenset()

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
        for view in (picture, *(picture.crop(box.pixels(*picture.size)) for box in boxes))
    ]
    return embedder.embed_images(views).reshape(len(pictures), 1 + len(boxes), -1)


def neighbours(views: np.ndarray, search: Search, itself: str | None = None) -> tuple[Neighbour, ...]:
    """The neighbours of a picture [1 + parts, d], by part, the most similar first.

    Pictures without a caption are none, nor those whose caption a model wrote, nor the picture itself.

    Args:
        itself: the digest of the picture, where it is one of the library's; otherwise it is looked for.
    """
    digest = _itself(search.column, views[0]) if itself is None else itself
    found: list[Neighbour] = []
    for part, vector in zip(search.parts, views, strict=True):
        whole = part == WHOLE_PICTURE
        k = search.k if whole else search.profile.k_parts
        near = _captioned(search.column, vector, k + RUNNERS_UP, digest, search.without)
        counting = _like_whole(near[:k], search.profile) if whole else _like_part(near, k, search.profile)
        found += [
            Neighbour(part, as_candidate(entry, score), counts)
            for (entry, score), counts in zip(near[:k], counting, strict=True)
        ]
    return tuple(found)


def _itself(column: Column, vector: np.ndarray) -> str:
    nearest = column.nearest(vector)
    return nearest[0].digest if nearest and nearest[1] >= SAME else ""


def _captioned(
    column: Column, vector: np.ndarray, k: int, digest: str, without: Collection[str]
) -> list[Scored]:
    """The `k` most similar pictures with a caption by a person; further ones are looked at where many have none."""
    looked_at = k + len(without)
    while True:
        hits = column.store.search(vector, looked_at, None, digest)
        scores = {hit.id: hit.score for hit in hits}
        found = [
            (entry, scores[entry.id]) for entry in column.store.get(list(scores)) if _tells(entry, without)
        ]
        if len(found) >= k or len(hits) < looked_at or looked_at >= MOST_LOOKED_AT:
            return found[:k]
        looked_at = min(MOST_LOOKED_AT, 4 * looked_at)


def _tells(entry: Entry, without: Collection[str]) -> bool:
    return bool(entry.caption.strip()) and entry.file not in without and WRITTEN_BY not in entry.fields


def _like_whole(near: Sequence[Scored], profile: CaptionsProfile) -> list[bool]:
    return [score >= profile.floor for _, score in near]


def _like_part(near: Sequence[Scored], k: int, profile: CaptionsProfile) -> list[bool]:
    """Whether each of the first `k` counts: the first if it stands out or is near, others if they are near it.

    A thing that the library lacks has many neighbours that are all as like it as each other.
    """
    if not near:
        return []
    (first, best), others = (
        near[0],
        [score for entry, score in near[1:] if entry.caption != near[0][0].caption],
    )
    rest = float(np.mean(others[:RUNNERS_UP])) if others else -1.0
    stands = best >= profile.part_floor and (best >= profile.sure or best - rest >= profile.ahead)
    middle = (best + rest) / 2
    return [
        stands and (entry is first or score >= max(middle, profile.part_floor)) for entry, score in near[:k]
    ]
