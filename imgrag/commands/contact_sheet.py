"""The runs of a batch at a glance: a card for each, with its images, the one that was kept, and the prompt.

Reads runs from their folders as it draws, so that a long batch takes no more memory than a page of
it. Knows neither models nor pages.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from imgrag.archive.records import PARTIAL
from imgrag.archive.restoring import open_run
from imgrag.commands.batch import Line
from imgrag.errors import RecordError
from imgrag.pictures import bounded
from imgrag.runs.decisions import listed
from imgrag.runs.values import Reference, Run

NAME = "contact-sheet"
PAGE = 60  # cards
ACROSS = 3
IMAGE, REFERENCE = 224, 104  # px, the sides of an image and of a reference beside it
SHOWN_REFERENCES = 3
PAD, GAP, MARGIN = 16, 12, 24  # px within a card, between its images, between cards
FRAME = 4  # px around the kept image
TITLE, BODY, SMALL = 24, 17, 13  # px of letters
LEADING = 1.4  # of a line, in its letters' height
PROMPT_LINES, REASON_LINES = 2, 2
LONGEST = 400  # characters of a text that are looked at

PAPER, CARD, BORDER, EMPTY = "#f1f2f6", "#ffffff", "#dfe1ea", "#f1f2f6"
INK, FADED, KEPT, FAILED = "#1b1d29", "#666a7d", "#17864b", "#b3261e"

FONTS = (
    "DejaVuSans.ttf", "segoeui.ttf", "Helvetica.ttc", "NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc",
    "Hiragino Sans GB.ttc", "YuGothM.ttc", "malgun.ttf", "AppleSDGothicNeo.ttc", "wqy-microhei.ttc",
    "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "Nirmala.ttc", "Arial Unicode.ttf",
)  # fmt: skip
"""Of Linux, Windows and macOS, in the order they are tried when Pillow's own lacks a letter."""
NO_LETTER = "\U0010ffff"  # no font has it, so it is drawn as every letter that the font lacks

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Box = tuple[int, int, int, int]

TEXT_HEIGHT = round((SMALL * (1 + REASON_LINES) + BODY * PROMPT_LINES) * LEADING) + 2 * GAP
CARD_SIZE = (2 * (PAD + IMAGE + GAP) + REFERENCE, 2 * PAD + IMAGE + TEXT_HEIGHT)


def contact_sheets(lines: Sequence[Line], results: Path, folder: Path) -> list[Path]:
    """Draw `contact-sheet.png`, `contact-sheet-2.png`, ... of the runs below `results`; returns their paths.

    A page has up to 60 cards. Pages of an earlier, longer batch in that folder go.

    Raises:
        RecordError: the folder cannot be written.
    """
    pages = [lines[start : start + PAGE] for start in range(0, len(lines), PAGE)]
    files = [folder / (f"{NAME}.png" if n == 1 else f"{NAME}-{n}.png") for n in range(1, len(pages) + 1)]
    try:
        for number, (page, file) in enumerate(zip(pages, files, strict=True), start=1):
            turn = f"page {number} of {len(pages)}" if len(pages) > 1 else ""
            _write(_sheet(page, results, " · ".join(filter(None, (_summary(lines), turn)))), file)
        for left in set(folder.glob(f"{NAME}*.png")) - set(files):
            left.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RecordError(
            f"The contact sheet cannot be written ({reason}). Choose another folder."
        ) from error
    return files


def _write(sheet: Image.Image, file: Path) -> None:
    partial = file.with_name(f"{PARTIAL}{file.name}")
    try:
        sheet.save(partial, format="PNG")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _summary(lines: Sequence[Line]) -> str:
    """In words: "12 prompts: 7 enhanced, 4 kept as first drawn, 1 failed"."""
    kinds = Counter(
        "failed" if line.state == "failed" else "enhanced" if line.kept else "kept" for line in lines
    )
    names = {"enhanced": "enhanced", "kept": "kept as first drawn", "failed": "failed"}
    counts = [f"{kinds[kind]} {name}" for kind, name in names.items() if kinds[kind]]
    return f"{len(lines)} prompt{'s' if len(lines) != 1 else ''}: {', '.join(counts)}"


def _sheet(lines: Sequence[Line], results: Path, title: str) -> Image.Image:
    across = min(ACROSS, len(lines))
    down = -(-len(lines) // across)
    width, height = CARD_SIZE
    top = 2 * MARGIN + round(TITLE * LEADING)
    size = (MARGIN + across * (width + MARGIN), top + down * (height + MARGIN))
    sheet = Image.new("RGB", size, PAPER)
    _text(ImageDraw.Draw(sheet), (MARGIN, MARGIN), title, TITLE, INK, size[0] - 2 * MARGIN)
    for place, line in enumerate(lines):
        row, column = divmod(place, across)
        corner = (MARGIN + column * (width + MARGIN), top + row * (height + MARGIN))
        sheet.paste(_card(line, _run_of(line, results)), corner)
    return sheet


def _run_of(line: Line, results: Path) -> Run | None:
    """The run, `None` if it never began or its files are gone."""
    with suppress(RecordError):
        return open_run(results, line.id)
    return None


def _card(line: Line, run: Run | None) -> Image.Image:
    card = Image.new("RGB", CARD_SIZE, CARD)
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, CARD_SIZE[0] - 1, CARD_SIZE[1] - 1), outline=BORDER)
    _images(card, draw, line, run)
    room, top = CARD_SIZE[0] - 2 * PAD, PAD + IMAGE + GAP + round(SMALL * LEADING)
    top = _text(draw, (PAD, top), line.prompt, BODY, INK, room, PROMPT_LINES) + GAP // 2
    failed = line.state == "failed"
    words = f"{line.number} · seed {line.seed} · {line.error or line.why}"
    _text(draw, (PAD, top), words, SMALL, FAILED if failed else FADED, room, REASON_LINES)
    return card


def _images(card: Image.Image, draw: ImageDraw.ImageDraw, line: Line, run: Run | None) -> None:
    """The initial image, the references, the enhanced image, from left to right, each with its name below."""
    middle = PAD + IMAGE + GAP
    right = middle + REFERENCE + GAP
    drawn = _drawn(run)
    references = (run.rounds[drawn - 1].references or ()) if run is not None and drawn else ()
    initial = run.initial if run is not None else None
    enhanced = run.rounds[drawn - 1].enhanced if run is not None and drawn else None
    _picture(card, draw, PAD, initial, "initial", line.kept == 0)
    _references(card, draw, middle, references)
    name = f"enhanced, round {drawn}" if drawn > 1 else "enhanced"
    _picture(card, draw, right, enhanced, name, bool(line.kept))


def _drawn(run: Run | None) -> int:
    """The round whose enhanced image is shown: the kept one, or the last; 0 for none."""
    if run is None:
        return 0
    rounds = [number for number, now in enumerate(run.rounds, start=1) if now.enhanced is not None]
    return run.kept or max(rounds, default=0)


def _picture(
    card: Image.Image, draw: ImageDraw.ImageDraw, left: int, image: Image.Image | None, name: str, kept: bool
) -> None:
    box = (left, PAD, left + IMAGE, PAD + IMAGE)
    if image is None:
        draw.rectangle(_outer(box, -1), fill=EMPTY)
        name = f"no {name} image"
    else:
        _paste(card, image, box)
    if kept:
        draw.rectangle(_outer(box, FRAME), outline=KEPT, width=FRAME)
    below = (left, PAD + IMAGE + FRAME + 2)
    _text(draw, below, f"{name}, kept" if kept else name, SMALL, KEPT if kept else FADED, IMAGE)


def _references(
    card: Image.Image, draw: ImageDraw.ImageDraw, left: int, references: Sequence[Reference]
) -> None:
    """One above the other, in the middle of the height."""
    shown = references[:SHOWN_REFERENCES]
    if not shown:
        return
    side = min(REFERENCE, (IMAGE - (len(shown) - 1) * GAP // 2) // len(shown))
    top = PAD + (IMAGE - len(shown) * side - (len(shown) - 1) * GAP // 2) // 2
    for place, reference in enumerate(shown):
        y, x = top + place * (side + GAP // 2), left + (REFERENCE - side) // 2
        _paste(card, reference.picture, (x, y, x + side, y + side))
    names = listed([reference.concept for reference in references])
    _text(draw, (left, PAD + IMAGE + FRAME + 2), names, SMALL, FADED, REFERENCE)


def _paste(card: Image.Image, image: Image.Image, box: Box) -> None:
    """The whole image in the middle of the box, larger or smaller."""
    room = (box[2] - box[0], box[3] - box[1])
    fitted = ImageOps.contain(bounded(image, max(room)), room, Image.Resampling.LANCZOS)
    card.paste(fitted, ((box[0] + box[2] - fitted.width) // 2, (box[1] + box[3] - fitted.height) // 2))


def _outer(box: Box, by: int) -> Box:
    """A frame of that width around the box; PIL's rectangles hold their last pixel."""
    return box[0] - by, box[1] - by, box[2] + by - 1, box[3] + by - 1


def _text(
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
