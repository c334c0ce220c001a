"""Draw the pocket library: a reference picture for every concept, from the emoji font.

Needs Noto Color Emoji (Debian: fonts-noto-color-emoji) once; nothing at run time does.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from imgrag.engine.prompts import with_article
from imgrag.pocket.world.world import LIBRARY, Icon, icons

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
FONT_SIZE = 109  # px, the only strike in the font
PICTURE = 128  # px, the side of a library picture
MARGIN = 4  # px; a picture reduced to a 32 px slot keeps a 1 px margin


def draw_icon(codepoints: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """One glyph, trimmed and centred, RGBA [128, 128].

    Raises:
        ValueError: the font has no picture for it.
    """
    text = "".join(chr(int(code, 16)) for code in codepoints.split("-"))
    canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((10, 10), text, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        raise ValueError(f"{FONT.name} draws nothing for {codepoints}.")
    return fit_square(canvas.crop(box))


def fit_square(picture: Image.Image) -> Image.Image:
    """An RGBA picture scaled to fill a transparent square but for the margin."""
    inner = PICTURE - 2 * MARGIN
    scale = inner / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    resized = picture.resize(size, Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (PICTURE, PICTURE), (0, 0, 0, 0))
    square.paste(resized, ((PICTURE - size[0]) // 2, (PICTURE - size[1]) // 2))
    return square


def draw_library(folder: Path = LIBRARY, font_file: Path = FONT) -> int:
    """Write a picture for every concept and `metadata.csv`; returns how many.

    Raises:
        FileNotFoundError: the font is not installed.
    """
    if not font_file.exists():
        raise FileNotFoundError(
            f"{font_file} is missing. Install it with: apt-get install fonts-noto-color-emoji"
        )
    font = ImageFont.truetype(str(font_file), FONT_SIZE)
    folder.mkdir(parents=True, exist_ok=True)
    for icon in icons():
        partial = folder / f"{icon.file_name}.partial"
        draw_icon(icon.codepoints, font).save(partial, format="PNG", optimize=True)
        os.replace(partial, folder / icon.file_name)
    _write_metadata(folder / "metadata.csv", icons())
    return len(icons())


def _write_metadata(path: Path, rows: tuple[Icon, ...]) -> None:
    """The Hugging Face ImageFolder convention: one row a picture, by `file_name`."""
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file_name", "name", "caption", "category", "source", "licence"))
        for icon in rows:
            caption = f"a picture of {with_article(icon.name)}"
            writer.writerow((icon.file_name, icon.name, caption, icon.category, icon.source, icon.licence))
    os.replace(partial, path)
