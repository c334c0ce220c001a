"""Letters on a picture, in whatever script: broken into lines, shortened, in a font that has them."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache

from PIL import ImageDraw, ImageFont

LEADING = 1.4  # of a line, in its letters' height
LONGEST = 400  # characters of a text that are looked at

FONTS = (
    "DejaVuSans.ttf", "segoeui.ttf", "Helvetica.ttc", "NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc",
    "Hiragino Sans GB.ttc", "YuGothM.ttc", "malgun.ttf", "AppleSDGothicNeo.ttc", "wqy-microhei.ttc",
    "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "Nirmala.ttc", "Arial Unicode.ttf",
)  # fmt: skip
"""Of Linux, Windows and macOS, in the order they are tried when Pillow's own lacks a letter."""
NO_LETTER = "\U0010ffff"  # no font has it, so it is drawn as every letter that the font lacks

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    text: str,
    size: int,
    colour: str,
    width: int,
    lines: int = 1,
) -> int:
    """Write the text in up to so many lines; returns where it ends. What does not fit ends in an ellipsis."""
    left, top = corner
    clean = _clean(text)
    font = _font(size, clean)
    for row in _wrapped(clean, font, width, lines):
        draw.text((left, top), row, colour, font)
        top += round(size * LEADING)
    return top


def _clean(text: str) -> str:
    """Without what turns, hides or breaks lines."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text[:LONGEST]).split())


def _wrapped(text: str, font: Font, width: int, lines: int) -> list[str]:
    """Broken at spaces, and where a word (or a Chinese sentence) has none, between letters."""
    rows: list[str] = []
    while text and len(rows) < lines:
        fits = _fitting(text, font, width)
        if fits == len(text) or len(rows) == lines - 1:
            rows.append(text if fits == len(text) else _shortened(text, font, width))
            break
        cut = text.rfind(" ", 0, fits + 1)
        cut = cut if cut > fits // 2 else fits
        rows.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return rows


def _shortened(text: str, font: Font, width: int) -> str:
    room = width - int(font.getlength("…")) - 1
    return f"{text[: _fitting(text, font, room)].rstrip()}…"


def _fitting(text: str, font: Font, width: int) -> int:
    """How many letters of a text fit, at least one."""
    lengths = range(1, len(text) + 1)
    return max(1, bisect_right(lengths, float(width), key=lambda count: font.getlength(text[:count])))


def _font(size: int, text: str) -> Font:
    """The first font that has every letter of the text, or most of them."""
    best, fewest = _fonts(size, 0), len(text) + 1
    for number in range(len(FONTS) + 1):
        font = _fonts(size, number)
        lacks = fewest if font is None else sum(_lacks(size, number, sign) for sign in set(text))
        if lacks < fewest:
            best, fewest = font, lacks
        if not fewest:
            break
    assert best is not None
    return best


@lru_cache(maxsize=1 + len(FONTS) * 3)
def _fonts(size: int, number: int) -> Font | None:
    """Pillow's own is number 0. Pillow looks through the folders where systems keep fonts."""
    if number == 0:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(FONTS[number - 1], size)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _lacks(size: int, number: int, sign: str) -> bool:
    font = _fonts(size, number)
    assert font is not None
    return not sign.isspace() and bytes(font.getmask(sign)) == bytes(font.getmask(NO_LETTER))
