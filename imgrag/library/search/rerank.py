"""Ranking candidates by a VLM that looks at all of them: a numbered collage, a list, a reason.

The query stands in a blue frame, the candidates in red ones with their numbers, as in
visualized re-ranking recipes for Milvus and BGE. A list that cannot be read, or only in part,
falls back to the vectors' order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

from imgrag.models import Chat
from imgrag.pictures import bounded

CELL = 224  # px
FRAME = 8  # px
BLUE, RED = (30, 80, 220), (210, 30, 40)
MAX_RANKED = 24  # candidates on one collage
MAX_REASON = 300  # characters
RANKING = """The picture in the blue frame, if there is one, is what someone looks for; so is this: "{text}".
The pictures in red frames are candidates, numbered 1 to {count}.
Rank the candidates, the best first. Reply:
Ranked: numbers separated by commas
Reason: one sentence on why the first is the best"""


@dataclass(frozen=True)
class Ranking:
    """Places of the candidates, best first; `reason` is of the first, `note` says what went wrong."""

    order: tuple[int, ...]
    reason: str = ""
    note: str = ""


def collage(candidates: Sequence[Image.Image], query: Image.Image | None = None) -> Image.Image:
    """The query in blue, then the candidates in red with their numbers from 1, row by row."""
    columns = max(1, math.ceil(math.sqrt(len(candidates))))
    shown = [(query, "", BLUE)] if query is not None else []
    rows = math.ceil(len(candidates) / columns) + len(shown)
    sheet = Image.new("RGB", (columns * CELL, rows * CELL), "white")
    for picture, label, colour in shown:
        sheet.paste(_framed(picture, label, colour), (0, 0))
    for place, picture in enumerate(candidates):
        at = ((place % columns) * CELL, (place // columns + len(shown)) * CELL)
        sheet.paste(_framed(picture, str(place + 1), RED), at)
    return sheet


def _framed(picture: Image.Image, label: str, colour: tuple[int, int, int]) -> Image.Image:
    inside = CELL - 2 * FRAME
    cell = Image.new("RGB", (CELL, CELL), colour)
    cell.paste(ImageOps.pad(bounded(picture, inside), (inside, inside), color="white"), (FRAME, FRAME))
    if label:
        pen = ImageDraw.Draw(cell)
        pen.rectangle((0, 0, 18 + 14 * len(label), 34), fill=colour)
        pen.text((9, 4), label, fill="white", font=ImageFont.load_default(26))
    return cell


def rank(
    vlm: Chat, text: str, candidates: Sequence[Image.Image], query: Image.Image | None = None
) -> Ranking:
    """Ask the VLM for its order of the candidates (at most 24 of them are shown)."""
    shown = candidates[:MAX_RANKED]
    question = RANKING.format(text=" ".join(text.replace('"', "'").split()), count=len(shown))
    reply = vlm.reply(question, [collage(shown, query)])
    ranking = parse_ranking(reply, len(shown))
    rest = tuple(range(len(shown), len(candidates)))
    return Ranking(ranking.order + rest, ranking.reason, ranking.note)


def parse_ranking(reply: str, count: int) -> Ranking:
    """Read a ranked list of 1 to `count`, in whatever wording.

    All numbers once is an order. A part of them comes first, the others follow in the vectors'
    order; none, or numbers that are not there, leave that order as it is.
    """
    plain = re.sub(r"<think>.*?(?:</think>|\Z)|[*`]|<\|[^|>]*\|>", " ", reply, flags=re.DOTALL)
    head, _, tail = plain.partition("\n") if "Reason" not in plain else plain.partition("Reason")
    listed = re.search(r"rank\w*\s*[:=]?(.*)", head, re.IGNORECASE | re.DOTALL)
    numbers = [int(number) for number in re.findall(r"\d{1,3}", listed.group(1) if listed else head)]
    order = tuple(dict.fromkeys(number - 1 for number in numbers))
    straight = tuple(range(count))
    if not order or any(place not in straight for place in order):
        return Ranking(straight, note="The VLM gave no ranking that can be read; this is the vectors' order.")
    reason = " ".join(tail.strip(" \n\t:.=").split())[:MAX_REASON]
    if len(order) < count:
        note = f"The VLM ranked {len(order)} of {count}; the others follow in the vectors' order."
        return Ranking(order + tuple(place for place in straight if place not in order), reason, note)
    return Ranking(order, reason)
