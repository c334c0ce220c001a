"""Styles that a prompt calls by their words: "a dog in pixel art", "a pencil drawing of a dog", "一只狗，像素画"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from imgrag.library.search.words import is_unspaced
from imgrag.styles.style import Style

_MADE = r"(?:(?:drawn|painted|made|done|rendered|shown)\s{1,3})?"
_AS = r"(?:\b(?:in|as|with|like)\s{1,3}(?:(?:an?|the)\s{1,3})?(?:style\s{1,3}of\s{1,3})?)?"
_PICTURE = r"(?:[\s-]{1,3}(?:style|styled|picture|image|drawing|painting|version|rendering|icon|print))?"


@dataclass(frozen=True)
class Called:
    """A style and the words that called it, as the prompt has them."""

    style: Style
    words: str


def called_in(prompt: str, styles: Sequence[Style]) -> tuple[str, list[Called]]:
    """The prompt without the words that call styles, and those, the longest words first; each style once.

    Where nothing else is left, the prompt stays as it is.
    """
    found: dict[str, Called] = {}
    pairs = [(words, style) for style in styles for words in style.words]
    for words, style in sorted(pairs, key=lambda pair: -len(pair[0])):
        matched = _pattern(words).search(prompt)
        if matched is not None:
            found.setdefault(style.name, Called(style, matched.group().strip(" ,;，、")))
            prompt = _without(matched) or prompt
    return prompt, list(found.values())


def _without(matched: re.Match[str]) -> str:
    """The text without what was found."""
    rest = " ".join(f"{matched.string[: matched.start()]} {matched.string[matched.end() :]}".split())
    return re.sub(r" (?=[,;.])", "", rest).strip(" ,;.，、。")


@lru_cache(maxsize=1024)
def _pattern(words: str) -> re.Pattern[str]:
    spelt = r"[\s-]{1,3}".join(map(re.escape, re.split(r"[\s-]+", words)))
    if any(map(is_unspaced, words)):
        return re.compile(rf"[,，、;\s]*[用以]?{spelt}(?:风格|風格)?的?", re.IGNORECASE)
    picture_of = rf"(?:\b(?:an?|the)\s{{1,3}})?(?<!\w){spelt}(?!\w){_PICTURE}\s{{1,3}}of\b"
    beside = rf"[,;]?\s{{0,3}}{_MADE}{_AS}(?<!\w){spelt}(?!\w)(?:[\s-]{{1,3}}(?:style|styled|look)\b)?"
    return re.compile(f"{picture_of}|{beside}", re.IGNORECASE)
