"""A grid as one picture: the kept image of each run, with what varies above the columns and beside the rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageDraw

from imgrag.archive.restoring import open_run
from imgrag.commands.batch import Line
from imgrag.commands.contact_sheet import (
    BODY,
    EMPTY,
    FADED,
    FAILED,
    INK,
    MARGIN,
    PAPER,
    SMALL,
    TITLE,
    paste,
    write_sheet,
)
from imgrag.commands.grid import Side
from imgrag.commands.lettering import LEADING, write
from imgrag.errors import RecordError

NAME = "grid.png"
CELL = 224  # px
GAP = 8  # px between cells
BESIDE = 150  # px for the words beside a row
ABOVE = round(2 * BODY * LEADING) + GAP  # px for the words above a column
LINES = 2  # of a label; a prompt has as many


def grid_sheet(
    lines: Sequence[Line], results: Path, folder: Path, across: Side | None, down: Side | None
) -> Path:
    """Draw `grid.png` of runs below `results` that lie row by row; cells that are not run yet stay empty.

    Raises:
        RecordError: the folder cannot be written.
    """
    columns = across.labels if across else ("",)
    rows = down.labels if down else ("",)
    sheet = _paper(lines[0].prompt if lines else "", columns, rows)
    draw = ImageDraw.Draw(sheet)
    for line in lines:
        row, column = divmod(line.number - 1, len(columns))
        _cell(sheet, draw, _corner(row, column), line, results)
    file = folder / NAME
    try:
        write_sheet(sheet, file)
    except OSError as error:
        raise RecordError(
            f"The grid cannot be written ({error.strerror or error}). Choose another folder."
        ) from error
    return file


def _corner(row: int, column: int) -> tuple[int, int]:
    top = 2 * MARGIN + round(LINES * TITLE * LEADING) + ABOVE
    return MARGIN + BESIDE + column * (CELL + GAP), top + row * (CELL + GAP)


def _paper(prompt: str, columns: Sequence[str], rows: Sequence[str]) -> Image.Image:
    """The grid without its images."""
    right, bottom = _corner(len(rows), len(columns))
    sheet = Image.new("RGB", (right + MARGIN, bottom + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    write(draw, (MARGIN, MARGIN), prompt, TITLE, INK, sheet.width - 2 * MARGIN, LINES)
    for column, words in enumerate(columns):
        left, top = _corner(0, column)
        write(draw, (left, top - ABOVE), words, BODY, INK, CELL, LINES)
    for row, words in enumerate(rows):
        left, top = _corner(row, 0)
        write(draw, (MARGIN, top + CELL // 3), words, BODY, INK, BESIDE - GAP, LINES + 1)
        for column in range(len(columns)):
            x, y = _corner(row, column)
            draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=EMPTY, outline=FADED)
    return sheet


def _cell(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, corner: tuple[int, int], line: Line, results: Path
) -> None:
    """The kept image, or why there is none."""
    with suppress(RecordError):
        image = open_run(results, line.id).result
        if image is not None:
            paste(sheet, image, (*corner, corner[0] + CELL, corner[1] + CELL))
            return
    place = corner[0] + GAP, corner[1] + GAP
    write(draw, place, line.error or "The run is gone.", SMALL, FAILED, CELL - 2 * GAP, 8)
