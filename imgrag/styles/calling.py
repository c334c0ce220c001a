"""Styles that a prompt calls by their words: "a dog in pixel art", "a pencil drawing of a dog", "一只狗，像素画"."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from imgrag.library.search.words import is_unspaced
from imgrag.styles.style import Style

Names = Callable[[str], bool]
"""Whether words name a thing."""
_MADE = r"(?:(?:drawn|painted|made|done|rendered|shown)\s{1,3})?"
_AS = r"\b(?:in|as|with|like)\s{1,3}(?:(?:an?|the)\s{1,3})?(?:style\s{1,3}of\s{1,3})?"
_AS_SUCH = r"\b(?:in|as)\s{1,3}(?:the\s{1,3}style\s{1,3}of\s{1,3})?"
_PICTURE = r"[\s-]{1,3}(?:style|styled|picture|image|drawing|painting|sketch|version|rendering|icon|print)"
_LOOK = r"[\s-]{1,3}(?:style|styled|look)\b"


@dataclass(frozen=True)
class Called:
    """A style and the words that called it, as the prompt has them."""

    style: Style
    words: str


def called_in(
    prompt: str, styles: Sequence[Style], named: Names = lambda words: False
) -> tuple[str, list[Called]]:
    """The prompt without the words that call styles, and those, the longest words first; each style once.

    Words that name a thing too call a style only where they are said to be one: "in pencil", not "a pencil". Where
    nothing else is left, the prompt stays as it is.
    """
    found: dict[str, Called] = {}
    pairs = [(words, style) for style in styles for words in style.words]
    for words, style in sorted(pairs, key=lambda pair: -len(pair[0])):
        matched = _pattern(words, named(words)).search(prompt)
        if matched is not None:
            found.setdefault(style.name, Called(style, matched.group().strip(" ,;，、")))
            prompt = _without(matched) or prompt
    return prompt, list(found.values())


def _without(matched: re.Match[str]) -> str:
    """The text without what was found."""
    rest = " ".join(f"{matched.string[: matched.start()]} {matched.string[matched.end() :]}".split())
    return re.sub(r" (?=[,;.])", "", rest).strip(" ,;.，、。")


@lru_cache(maxsize=1024)
def _pattern(words: str, thing: bool) -> re.Pattern[str]:
    """What finds the words; of those that are a thing's too only where they are a style."""
    spelt = r"[\s-]{1,3}".join(map(re.escape, re.split(r"[\s-]+", words)))
    if any(map(is_unspaced, words)):
        said = rf"(?:[用以]{spelt}画?|{spelt}画)" if thing else rf"[用以]?{spelt}"
        manner = "(?:风格|風格)"
        return re.compile(rf"[,，、;\s]*(?:{said}{manner}?|{spelt}{manner})的?", re.IGNORECASE)
    spelt = rf"(?<!\w){spelt}(?!\w)"
    picture_of = rf"(?:\b(?:an?|the)\s{{1,3}})?{spelt}(?:{_PICTURE}){'' if thing else '?'}\s{{1,3}}of\b"
    in_it = rf"{_AS_SUCH}{spelt}(?:{_LOOK})?" if thing else rf"(?:{_AS})?{spelt}(?:{_LOOK})?"
    looking = rf"(?:{_AS})?{spelt}{_LOOK}"
    return re.compile(rf"{picture_of}|[,;]?\s{{0,3}}{_MADE}(?:{looking}|{in_it})", re.IGNORECASE)
