"""A prompt cut into the phrases that each name a thing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from imgrag.engine.reading.lexicon import Found, Lexicon, is_action
from imgrag.engine.reading.words import (
    ACTIONS,
    BESIDE,
    DETERMINERS,
    MEASURES,
    MOST,
    NOTHING_BUT,
    NUMBERS,
    RELATIONS,
    UNWANTED,
    UNWANTED_PHRASE,
)

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*|[^\s\w-]|(?<!\w)-|-(?!\w)|\n|_")
_BREAK = re.compile(r"[^\w&+/]")
LONGEST = 6  # words of a name
SETTINGS = frozenset(
    "in at on during near inside outside within under over by around across through against behind".split()
)
"""Relations that place a thing somewhere: what follows them without being known is where the scene is set."""


@dataclass(frozen=True)
class Piece:
    """A word, or the words of a name that somebody knows."""

    text: str
    found: Found | None = None

    @property
    def low(self) -> str:
        return self.text.casefold()


@dataclass(frozen=True)
class Phrase:
    """What lies between two relations.

    Attributes:
        relation: the word before it, "" at the beginning and behind punctuation.
        number: how many are asked for; 0 where nothing says it.
        determined: whether an article or a number stands before it.
        unwanted: whether it says what shall not be there.
        acted: whether a verb stands right before it.
        choice: whether it stands behind an "or".
    """

    pieces: tuple[Piece, ...] = ()
    relation: str = ""
    number: int = 0
    determined: bool = False
    unwanted: bool = False
    acted: bool = False
    choice: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(piece.text for piece in self.pieces)


def phrases(text: str, lexicon: Lexicon) -> list[Phrase]:
    """The phrases of a prompt, in order; relations, verbs and what says nothing of things are gone."""
    cutter = _Cutter()
    plainly = UNWANTED_PHRASE.sub(" without ", NOTHING_BUT.sub(" , ", text))
    for piece in _known(_WORD.findall(plainly), lexicon):
        cutter.take(piece)
    return cutter.done()


def _known(words: Sequence[str], lexicon: Lexicon) -> Iterator[Piece]:
    """The words, those of a known name joined; the longest name counts."""
    at = 0
    while at < len(words):
        found, length = _longest(words, at, lexicon)
        yield Piece(" ".join(words[at : at + length]), found)
        at += length


def _longest(words: Sequence[str], at: int, lexicon: Lexicon) -> tuple[Found | None, int]:
    for length in range(min(LONGEST, len(words) - at), 0, -1):
        part = words[at : at + length]
        if any(_BREAK.fullmatch(word) for word in part) or (length == 1 and _says_nothing(part[0])):
            continue
        if found := lexicon.named(part):
            return found, length
    return None, 1


def _says_nothing(word: str) -> bool:
    low = word.casefold()
    return low in RELATIONS or low in DETERMINERS or low in BESIDE or low in NUMBERS


@dataclass
class _Cutter:
    """Takes the pieces of a prompt one after the other."""

    phrase: Phrase = field(default_factory=Phrase)
    cut: list[Phrase] = field(default_factory=list)

    def take(self, piece: Piece) -> None:
        if piece.found is not None:
            self._add(piece)
        elif _BREAK.fullmatch(piece.text):
            self._end(Phrase())
        elif piece.low in UNWANTED:
            self._end(Phrase(unwanted=True))
        elif (number := _number(piece.low)) and not (piece.low == "one" and self.phrase.pieces):
            self._count(number)
        elif piece.low in DETERMINERS:
            self._determine()
        elif piece.low == "of" and self._is_measure():
            self.phrase = replace(self.phrase, pieces=())
        elif piece.low in RELATIONS:
            same = piece.low in ("and", "or", "&", "+") and self.phrase.unwanted
            choice = piece.low == "or" and not same and bool(self.phrase.pieces)
            self._end(Phrase(relation=piece.low, unwanted=same, choice=choice))
        elif is_action(piece.low, ACTIONS) and not self._describes_next():
            self._end(Phrase(relation=self.phrase.relation, acted=True))
        elif piece.low not in BESIDE:
            self._add(piece)

    def done(self) -> list[Phrase]:
        self._end(Phrase())
        return self.cut

    def _add(self, piece: Piece) -> None:
        self.phrase = replace(self.phrase, pieces=(*self.phrase.pieces, piece))

    def _determine(self) -> None:
        if self.phrase.pieces:
            self._end(Phrase(unwanted=False))
        self.phrase = replace(self.phrase, determined=True)

    def _count(self, number: int) -> None:
        if self.phrase.pieces:
            self._end(Phrase())
        self.phrase = replace(self.phrase, number=number, determined=True)

    def _is_measure(self) -> bool:
        """Whether what stands before "of" only says how much: "a bunch of grapes"."""
        words = [piece.low for piece in self.phrase.pieces]
        return not words or (self.phrase.pieces[-1].found is None and words[-1].rstrip("s") in MEASURES)

    def _describes_next(self) -> bool:
        """A participle right behind an article describes what follows: "a sleeping cat"."""
        return self.phrase.determined and not self.phrase.pieces

    def _end(self, following: Phrase) -> None:
        if self.phrase.pieces:
            self.cut.append(self.phrase)
        elif self.phrase.relation and not following.relation:
            following = replace(following, relation=self.phrase.relation)
        self.phrase = following


def _number(word: str) -> int:
    """How many a word says, 0 if it says no number."""
    if word.isascii() and word.isdigit() and len(word) <= 2:
        return min(int(word), MOST)
    return NUMBERS.get(word, 0)
