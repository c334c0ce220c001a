"""The structure of a run on the page: what was sketched as a picture, conditions as HTML, and the example."""

from __future__ import annotations

import re
import secrets
from html import escape
from itertools import pairwise
from pathlib import Path

from gradio.utils import get_upload_folder
from PIL import Image, ImageDraw

from imgrag.commands.structures import read_control, structure_from
from imgrag.errors import RequestError
from imgrag.runs.structure import Structure, Structured
from imgrag.ui.create.markup import data_uri
from imgrag.ui.language import say

SIDE = 512  # px of a sketch
FULL = 1000  # what a stroke's numbers go up to
PEN = 10  # px
MOST_POINTS = 50_000
MOST_LETTERS = 400_000

_NAME = re.compile("[0-9a-f]{32}")

EXAMPLE_PROMPT = "an umbrella on a yellow background"
EXAMPLE = (
    "320 512 332 452 368 392 422 350 500 332 578 350 632 392 668 452 680 512;"
    "320 512 356 482 392 512 428 482 464 512 500 482 536 512 572 482 608 512 644 482 680 512;"
    "500 332 500 302;500 482 500 668 488 698 464 704 446 686 443 662"
)
"""An umbrella."""


def drawn(strokes: str) -> Image.Image | None:
    """A sketch as a picture, dark strokes on white; `None` where nothing was drawn.

    Args:
        strokes: of each the places x y x y ..., 0 to 1000 from the left and the top, with ";" between strokes.

    Raises:
        RequestError: it is something else, or too much.
    """
    if not strokes.strip(" ;"):
        return None
    image = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(image)
    for points in _parsed(strokes):
        for one, other in pairwise(points if len(points) > 1 else points * 2):
            pen.line([one, other], fill="black", width=PEN)
        for x, y in points:
            pen.circle((x, y), PEN / 2, fill="black")
    return image


def _parsed(strokes: str) -> list[list[tuple[float, float]]]:
    found: list[list[tuple[float, float]]] = []
    try:
        if len(strokes) > MOST_LETTERS:
            raise ValueError("too much")
        for stroke in filter(str.strip, strokes.split(";")):
            numbers = [float(part) * SIDE / FULL for part in stroke.split()]
            if len(numbers) % 2 or not all(0 <= number <= SIDE for number in numbers):
                raise ValueError("a place outside")
            found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    except ValueError:
        found = []
    if not found or sum(map(len, found)) > MOST_POINTS:
        raise RequestError("What was drawn cannot be read. Clear it, and draw it again.")
    return found


def hold(path: str) -> str:
    """Keep a small copy of an uploaded picture for a day, and return the name that a run asks for it by.

    Raises:
        RequestError: it is no picture that can be used.
    """
    picture, name = read_control(Path(path)), secrets.token_hex(16)
    file = _file(name)
    file.parent.mkdir(parents=True)
    picture.save(file, compress_level=1)
    return name


def held(name: str) -> Image.Image:
    """The picture that `hold` keeps under this name. Raises RequestError: there is none any more."""
    if not _NAME.fullmatch(name.strip()) or not _file(name.strip()).is_file():
        raise RequestError("The picture of the structure is not here any more. Give it again.")
    return read_control(_file(name.strip()))


def _file(name: str) -> Path:
    return Path(get_upload_folder()) / name / "structure.png"


def asked_for(
    sketch: str, control: str | None, kind: str | None, scale: float | None, share: float | None, own: bool,
    similar: str | None,
) -> Structured | None:  # fmt: skip
    """What the fold asks for, `None` where it is left alone: strengths alone ask for nothing.

    Args:
        sketch: strokes, as `drawn` takes them.
        control: what `hold` called a picture.

    Raises:
        RequestError: it asks for several structures at once, or one of them cannot be used.
    """
    picture = drawn(sketch or "")
    if picture is not None and control:
        raise RequestError("Draw a sketch or give a picture, not both. Clear one of them.")
    if control:
        picture = held(control)
    elif picture is not None:
        kind = "sketch"
    if picture is None and not own:
        return None
    return structure_from(picture, kind or None, scale, share, own, (similar or None) if picture else None)


def shown(condition: Image.Image, words: str) -> str:
    """A condition as a figure; `words` below it."""
    return (
        f'<figure class="ir-condition"><img src="{data_uri(condition)}" alt="{escape(words)}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def along(structure: Structure | None, enhanced: bool) -> str:
    """What an image is drawn along; "" where that is nothing."""
    if structure is None or structure.image is None or (structure.initial and not enhanced):
        return ""
    words = say("Drawn along the initial image's own edges") if structure.initial else say("Drawn along this")
    strength = say("scale {scale:g}, share {share:g}", scale=structure.scale, share=structure.share)
    return shown(structure.image, f"{words} · {strength}")
