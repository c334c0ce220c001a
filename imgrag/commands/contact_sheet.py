"""The runs of a batch at a glance: a card for each, with its images, the one that was kept, and the prompt.

Reads runs from their folders as it draws, so that a long batch takes no more memory than a page of
it. Knows neither models nor pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from imgrag.archive.records import PARTIAL
from imgrag.archive.restoring import open_run
from imgrag.commands.batch import Line
from imgrag.commands.lettering import LEADING, write
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
PROMPT_LINES, REASON_LINES = 2, 2

PAPER, CARD, BORDER, EMPTY = "#f1f2f6", "#ffffff", "#dfe1ea", "#f1f2f6"
INK, FADED, KEPT, FAILED = "#1b1d29", "#666a7d", "#17864b", "#b3261e"

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
            write_sheet(_sheet(page, results, " · ".join(filter(None, (_summary(lines), turn)))), file)
        for left in set(folder.glob(f"{NAME}*.png")) - set(files):
            left.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RecordError(
            f"The contact sheet cannot be written ({reason}). Choose another folder."
        ) from error
    return files


def write_sheet(sheet: Image.Image, file: Path) -> None:
    """Write it as a PNG, whole or not at all. Raises OSError."""
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
    write(ImageDraw.Draw(sheet), (MARGIN, MARGIN), title, TITLE, INK, size[0] - 2 * MARGIN)
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
    top = write(draw, (PAD, top), line.prompt, BODY, INK, room, PROMPT_LINES) + GAP // 2
    failed = line.state == "failed"
    words = f"{line.number} · seed {line.seed} · {line.error or line.why}"
    write(draw, (PAD, top), words, SMALL, FAILED if failed else FADED, room, REASON_LINES)
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
        paste(card, image, box)
    if kept:
        draw.rectangle(_outer(box, FRAME), outline=KEPT, width=FRAME)
    below = (left, PAD + IMAGE + FRAME + 2)
    write(draw, below, f"{name}, kept" if kept else name, SMALL, KEPT if kept else FADED, IMAGE)


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
        paste(card, reference.picture, (x, y, x + side, y + side))
    names = listed([reference.concept for reference in references])
    write(draw, (left, PAD + IMAGE + FRAME + 2), names, SMALL, FADED, REFERENCE)


def paste(card: Image.Image, image: Image.Image, box: Box) -> None:
    """The whole image in the middle of the box, larger or smaller."""
    room = (box[2] - box[0], box[3] - box[1])
    fitted = ImageOps.contain(bounded(image, max(room)), room, Image.Resampling.LANCZOS)
    card.paste(fitted, ((box[0] + box[2] - fitted.width) // 2, (box[1] + box[3] - fitted.height) // 2))


def _outer(box: Box, by: int) -> Box:
    """A frame of that width around the box; PIL's rectangles hold their last pixel."""
    return box[0] - by, box[1] - by, box[2] + by - 1, box[3] + by - 1
