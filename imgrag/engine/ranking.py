"""Looking again at what was found: how likely each is what is asked for, in which order that puts them, and why.

The likelihood of "yes" ranks better than an order that a model is asked for (Qwen3-VL-Reranker, arXiv 2601.04720):
added as log-odds to the vectors' similarity, with a weight that the profile has from `bench ranking`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from PIL import Image

from imgrag.engine.context import Context
from imgrag.engine.judging import is_called
from imgrag.engine.prompts import (
    SAME,
    changed_question,
    parse_verdict,
    thing_question,
    verdict_question,
    with_article,
)
from imgrag.errors import LibraryError
from imgrag.models import Chat
from imgrag.models.ranking import Kind, RankingProfile
from imgrag.pictures import border_colour, bounded
from imgrag.runs.values import Candidate, Concept

SIDE = 224  # px; how large pictures are looked at
MOST_SEEN = 3  # things that a reason names


@dataclass(frozen=True)
class Asked:
    """What pictures are held against: words, a picture, or both."""

    text: str = ""
    picture: Image.Image | None = field(default=None, repr=False, compare=False)

    @property
    def kind(self) -> Kind:
        if self.picture is None:
            return "words"
        return "both" if self.text.strip() else "picture"

    @property
    def question(self) -> str:
        """Of the first picture; the asked one is the second."""
        if self.kind == "both":
            return changed_question(self.text)
        return thing_question(self.text) if self.picture is None else SAME


def likelihoods(
    borrow: Callable[[str], AbstractContextManager[Any]],
    role: str,
    ranking: RankingProfile,
    asked: Asked,
    pictures: Sequence[Image.Image],
) -> list[float] | None:
    """Log-odds of "yes, this is asked for" of each; `None` where the profile gives them no weight.

    Args:
        role: who is asked, see `Profile.ranker`.
    """
    if not ranking.weight(asked.kind):
        return None
    pictures = [framed(picture, ranking.fills) for picture in pictures]
    with borrow(role) as model:
        if role == "reranker":
            return list(model.fits(asked.text, asked.picture, pictures))
        beside = [asked.picture] if asked.picture is not None else []
        return list(model.odds(asked.question, [[picture, *beside] for picture in pictures]))


def framed(picture: Image.Image, fills: float) -> Image.Image:
    """A picture in the middle of a square of its border's colour, RGB, of whose side its own long side is a share.

    A VLM that learned from scenes, such as pocket's, knows a thing only at the size that it has in these.
    """
    picture = bounded(picture, SIDE)
    if fills == 1:
        return picture
    picture.thumbnail((SIDE, SIDE))
    side = round(max(picture.size) / fills)
    square = Image.new("RGB", (side, side), border_colour(picture))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def order(scores: Sequence[float], odds: Sequence[float], weight: float) -> list[int]:
    """Places, best first, by similarity and log-odds together; alike ones stay as they were."""
    sums = [score + weight * odd for score, odd in zip(scores, odds, strict=True)]
    return sorted(range(len(sums)), key=lambda place: -sums[place])


def looked_twice(concept: Concept, candidates: Sequence[Candidate], context: Context) -> list[Candidate]:
    """Candidates for a concept, the likeliest first.

    Those that are called so stay before them, unlooked at, and whatever is beyond the profile's `best` behind them.
    """
    called = [candidate for candidate in candidates if is_called(candidate, concept.name)]
    others = [candidate for candidate in candidates if candidate not in called]
    left = iter(others)
    opened = ((one, picture) for one in left if (picture := _opened(one, context)) is not None)
    shown = list(islice(opened, context.ranking.best))
    asked, pictures = Asked(concept.name), [picture for _, picture in shown]
    odds = shown and likelihoods(context.residency.use, context.ranker, context.ranking, asked, pictures)
    if not odds:
        return list(candidates)
    seen = [replace(one, sure=sureness(odd)) for (one, _), odd in zip(shown, odds, strict=True)]
    places = order([one.score for one in seen], odds, context.ranking.weight(asked.kind))
    return [*called, *(seen[place] for place in places), *left]


def _opened(candidate: Candidate, context: Context) -> Image.Image | None:
    """Its picture, `None` where it vanished since it was indexed."""
    with suppress(LibraryError):
        return context.library.open(candidate.file)
    return None


def sureness(odds: float) -> float:
    """The likelihood, 0 to 1, of log-odds."""
    return round(1 / (1 + math.exp(-max(-50.0, min(50.0, odds)))), 4)


def reason(vlm: Chat, ranking: RankingProfile, asked: Asked, picture: Image.Image, sure: float | None) -> str:
    """One sentence: what the VLM sees in a picture by itself, and how sure it was that it is what is asked for."""
    reply = vlm.reply(verdict_question(asked.text or "a picture"), [framed(picture, ranking.fills)])
    verdict = parse_verdict(reply)
    seen = ", ".join(with_article(name) for name in verdict.seen[:MOST_SEEN]) if verdict else ""
    if sure is None:
        return f"It shows {seen}." if seen else ""
    percent = round(100 * sure)
    if sure >= ranking.passes:
        if seen:
            return f"It shows {seen}, as asked ({percent}% sure)."
        return f"It shows what is asked for ({percent}% sure)."
    if seen:
        return f"It shows {seen}; that it is what is asked for is {percent}% sure."
    return f"That it is what is asked for is {percent}% sure."
