"""Spanish, put into English word by word: what describes a thing stands behind it, and so does what makes it another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import simplemma

from imgrag.engine.reading.dialects import Dialect
from imgrag.engine.reading.spelling import WHOLE, key
from imgrag.runs.plurals import english_plural

LONGEST = 6  # words of a name
_TOKEN = re.compile(r"[^\W_]+(?:-[^\W_]+)*|[,;+&.]")
_OF = "de"
_VERY = frozenset("muy bastante tan mas".split())


def english(
    text: str, dialect: Dialect, words: Mapping[str, str], several: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The words in English, and the verbs that are left out."""
    walk = _Walk(
        _TOKEN.findall(text), dialect, {**{w: english_plural(n) for w, n in several.items()}, **words}
    )
    while walk.at < len(walk.tokens):
        walk.step()
    return walk.said, walk.verbs


@dataclass
class _Walk:
    """Goes over the words of a prompt; `at` is the next one."""

    tokens: Sequence[str]
    dialect: Dialect
    names: Mapping[str, str]
    at: int = 0
    said: list[str] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)

    def step(self) -> None:
        """Take the next words, as many as belong together."""
        dialect = self.dialect
        for length in range(min(LONGEST, len(self.tokens) - self.at), 0, -1):
            word = self._word(length)
            if word in dialect.others:
                return self._name(length)
            placed = dialect.numbers.get(word, dialect.joins.get(word))
            if word in self.names:
                return self._name(length)
            if placed is not None or word in dialect.without:
                return self._say(placed or "without", length)
            if word in dialect.qualities or word in dialect.silent:
                return self._say(dialect.qualities.get(word, ""), length)
        if self._is_verb(self.tokens[self.at]) and self.said:
            self.verbs.append(self.tokens[self.at])
            return self._say("and", 1)
        return self._name(1)

    def _name(self, length: int) -> None:
        """A thing, and what stands right behind it: adjectives, materials, or what makes it another thing."""
        begin, first = self.at, self._word(length)
        self.at += length
        if self._measures(first):
            self.at += 1
            return
        described, end = ([], self.at) if first in self.dialect.others else (self._described(), self._other())
        if end:  # adjectives between are told with it
            self.at = end
            self.said += [*self._described(), WHOLE.join(self.tokens[begin:end])]
        else:
            self.said += [*described, self.names.get(first, WHOLE.join(self.tokens[begin : begin + length]))]

    def _measures(self, word: str) -> bool:
        """Whether a word only says how much there is of what follows: "un ramo de rosas"."""
        return word in self.dialect.measures and self._is(self.at, _OF)

    def _described(self) -> list[str]:
        """The adjectives and materials from here on."""
        said = []
        while self.at < len(self.tokens):
            word = self._word(1)
            material = self.dialect.materials.get(key("".join(self.tokens[self.at + 1 : self.at + 2])))
            quality = self.dialect.qualities.get(word) or self.dialect.colours.get(word)
            if word == _OF and self._is(self.at + 1, "color"):
                self.at += 2
            elif word in _VERY:
                self.at += 1
            elif quality:
                said.append(quality)
                self.at += 1
            elif word == _OF and material:
                said.append(material)
                self.at += 2
            else:
                break
        return said

    def _other(self) -> int:
        """Where the name of another thing ends that begins with the last one, 0 if it is none: "pez espada"."""
        end = at = self.at
        while at < len(self.tokens):
            if self._is(at, _OF) and (self._names(at + 1) or self._known(at + 1)):
                at += 2
            elif self._names(at) and not self._is_verb(self.tokens[at]):
                at += 1
            else:
                break
            end = at
        return end if end > self.at else 0

    def _known(self, at: int) -> bool:
        return at < len(self.tokens) and key(self.tokens[at]) in self.names

    def _names(self, at: int) -> bool:
        """Whether a word of no closed class stands there."""
        if at >= len(self.tokens) or not self.tokens[at][0].isalpha():
            return False
        word, dialect = key(self.tokens[at]), self.dialect
        closed = (dialect.numbers, dialect.joins, dialect.without, dialect.silent, dialect.qualities)
        return not any(word in known for known in closed)

    def _is_verb(self, word: str) -> bool:
        """Whether it is the form of a verb, and no name."""
        lemma = simplemma.lemmatize(word.casefold(), "es")
        form = lemma != word.casefold() and lemma.endswith(("ar", "er", "ir"))
        return form and key(word) not in self.names

    def _is(self, at: int, word: str) -> bool:
        return at < len(self.tokens) and key(self.tokens[at]) == word

    def _word(self, length: int) -> str:
        return key(" ".join(self.tokens[self.at : self.at + length]))

    def _say(self, word: str, length: int) -> None:
        self.said += [word] if word else []
        self.at += length
