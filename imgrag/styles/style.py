"""One style: a folder with `style.toml`, and where it has them `lora.safetensors` and `preview*.png`.

title = "Pixel art"                       # needed
words = ["pixel art", "as pixels"]        # what calls it in a prompt, in any language
template = "{prompt}, pixel art"          # left out: the prompt as it is
negative = "photograph"
scale = 1.0                               # of the LoRA, 0 to 2
base = "assets/pocket/generator"          # the checkpoint that the LoRA was trained on
source = "drawn from the icons of this project"
licence = "CC-BY-4.0"                     # needed
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imgrag.errors import StyleError
from imgrag.runs.styles import PLACE
from imgrag.runs.values import in_brief
from imgrag.texts import clean_line

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE, LORA, PREVIEWS = "style.toml", "lora.safetensors", "preview*.png"
MAX_FILE = 2**16  # bytes of a style.toml
MAX_WORDS = 40
MOST_PREVIEWS = 8
LENGTHS = {"title": 100, "template": 500, "negative": 500, "base": 200, "source": 300, "licence": 300}
KEYS = (*LENGTHS, "words", "scale")
LONGEST_WORDS = 60  # characters of one of the words


@dataclass(frozen=True)
class Style:
    """A style as its folder has it.

    Attributes:
        name: the folder's.
        title: what people call it.
        licence: under which it may be passed on.
        words: what calls it in a prompt: "pixel art", "in pencil".
        template: the prompt goes where it says {prompt}.
        negative: what is to be kept out of the image.
        scale: of the LoRA, 0 to 2.
        base: the checkpoint that the LoRA was trained on, as a profile labels it; "" where it does not say.
        source: where it was taken from.
        lora: the file of its LoRA, `None` where its words alone make it.
        previews: pictures in this style.
        read_only: it comes with the app, and stays as it is.
    """

    name: str
    title: str
    licence: str
    words: tuple[str, ...] = ()
    template: str = PLACE
    negative: str = ""
    scale: float = 1.0
    base: str = ""
    source: str = ""
    lora: Path | None = None
    previews: tuple[Path, ...] = ()
    read_only: bool = field(default=False, compare=False)


def read_style(folder: Path, read_only: bool = False) -> Style:
    """The style of a folder; its LoRA is not looked into.

    Raises:
        StyleError: it has no `style.toml`, or one that says something that makes no sense, or no licence.
    """
    name = clean_line(folder.name)
    try:
        file = folder / FILE
        if not file.is_file():
            raise ValueError(f"it has no {FILE}")
        if file.stat().st_size > MAX_FILE:
            raise ValueError(f"its {FILE} is larger than {MAX_FILE // 1024} kB")
        lora, previews = folder / LORA, sorted(found for found in folder.glob(PREVIEWS) if found.is_file())
        return replace(
            style_from(name, _table(file)), lora=lora if lora.is_file() else None,
            previews=tuple(previews[:MOST_PREVIEWS]), read_only=read_only,
        )  # fmt: skip
    except OSError as error:
        raise StyleError(f"The style {name!r} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise StyleError(f"The style {name!r} cannot be used: {error}.") from error


def style_from(name: str, table: Mapping[str, Any]) -> Style:
    """A style as a table has it, without files.

    Raises:
        ValueError: it says something that makes no sense; its text is the rest of a sentence.
    """
    unknown = [key for key in table if key not in KEYS]
    if unknown:
        raise ValueError(f"{FILE} has an unknown key {in_brief(unknown[0])!r}; known are {', '.join(KEYS)}")
    texts = {key: _line(key, table[key], most) for key, most in LENGTHS.items() if key in table}
    for key in ("title", "licence"):
        if not texts.get(key):
            raise ValueError(f"{FILE} names no {key}")
    if texts.setdefault("template", PLACE).count(PLACE) != 1:
        raise ValueError(f"its template must hold {PLACE} once")
    return Style(
        name, texts["title"], texts["licence"], _words(table.get("words", [])), texts["template"],
        texts.get("negative", ""), _scale(table.get("scale", 1.0)), texts.get("base", ""), texts.get("source", ""),
    )  # fmt: skip


def style_toml(style: Style) -> str:
    """What its `style.toml` holds."""
    texts = {key: getattr(style, key) for key in LENGTHS}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in texts.items() if value]
    words = json.dumps(list(style.words), ensure_ascii=False)
    return "\n".join([*lines, f"words = {words}", f"scale = {float(style.scale)}", ""])


def _table(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its {FILE} is no TOML that can be read") from error


def _line(what: str, value: Any, most: int) -> str:
    if not isinstance(value, str):
        raise ValueError(f"its {what} is no text")
    if len(value) > most:
        raise ValueError(f"its {what} has {len(value)} characters, more than {most}")
    return clean_line(value)


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or len(value) > MAX_WORDS:
        raise ValueError(f"its words are no list of at most {MAX_WORDS}")
    words = (_line("words", word, LONGEST_WORDS) for word in value)
    return tuple(dict.fromkeys(filter(None, words)))


def _scale(value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= 2:  # NaN is in no range
        raise ValueError(f"its scale is {in_brief(value)}, no number from 0 to 2")
    return float(value)
