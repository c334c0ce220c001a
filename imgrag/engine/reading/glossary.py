"""A prompt in a language of which a profile's vocabulary has the words, put into English word by word.

It knows the things by their names, and the closed classes: articles, numbers, relations, colours of the ground,
polite words. What it cannot place stays as it was typed, and whole: the name of another thing is not cut into
names that are known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgrag.engine.reading import chinese, spanish
from imgrag.engine.reading.dialects import CHINESE, DIALECTS, Dialect
from imgrag.engine.reading.spelling import key

__all__ = ["DIALECTS", "Glossary", "glossary"]

_JOINING = frozenset("and or".split())


@dataclass(frozen=True)
class Glossary:
    """The words of one language.

    Args:
        words: as `key` spells them -> the English name.
        several: likewise, where the form says that there are several.
    """

    dialect: Dialect
    words: Mapping[str, str]
    several: Mapping[str, str]

    def english(self, prompt: str) -> tuple[str, list[str]]:
        """The prompt, its things by their English names, and the verbs that it does without.

        What it could not place stands where it stood.
        """
        behind: list[str] = []
        text = self.dialect.ground.sub(lambda found: self._ground(found, behind), prompt)
        text = self.dialect.style.sub(lambda found: self._style(found, behind), text)
        walk = chinese.english if self.dialect is CHINESE else spanish.english
        said, verbs = walk(text, self.dialect, self.words, self.several)
        return _tidy(" ".join((*said, *behind)).split()), verbs

    def _ground(self, found: re.Match[str], behind: list[str]) -> str:
        said = next(filter(None, found.groups()))
        behind.append(f"on a {self.dialect.colours.get(key(said), said)} background")
        return " , "

    def _style(self, found: re.Match[str], behind: list[str]) -> str:
        said = next(filter(None, found.groups()))
        manner = self.dialect.manners.get(key(said)) or self.dialect.manners.get(said)
        behind.insert(0, f", {manner or f'in the style of {said}'} ,")
        return " , "


def _tidy(words: Sequence[str]) -> str:
    """The words without what joins nothing: at the ends, twice over, or before a comma."""
    kept: list[str] = []
    for word in words:
        while word == "," and kept and kept[-1] in _JOINING:
            kept.pop()
        before = kept[-1] if kept else ","
        doubled = word in _JOINING and (before in _JOINING or not kept)
        if not doubled and (word, before) != (",", ","):
            kept.append(word)
    while kept and kept[-1] in (",", *_JOINING):
        kept.pop()
    return " ".join(kept).replace(" ,", ",")


def glossary(code: str, things: Sequence[Mapping[str, list[str]]]) -> Glossary | None:
    """The glossary of a language; `None` if the vocabulary has no words of it."""
    if code not in DIALECTS or not any(thing.get(code) for thing in things):
        return None
    words = _spelt(things, code)
    several = {word: name for word, name in _spelt(things, f"{code}-several").items() if word not in words}
    return Glossary(DIALECTS[code], words, several)


def _spelt(things: Sequence[Mapping[str, list[str]]], form: str) -> dict[str, str]:
    """Words as `key` spells them -> names; of two that differ in an accent ("mono", "moño") the plain one counts."""
    pairs = [(word, str(thing["name"])) for thing in things for word in thing.get(form, ())]
    accented = {key(word): name for word, name in pairs if key(word) != word.casefold()}
    return accented | {key(word): name for word, name in pairs if key(word) == word.casefold()}
