"""A prompt cut into the phrases that each name a thing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import simplemma

from imgrag.engine.reading.lexicon import (
    Found,
    Lexicon,
    is_action,
    is_english,
    is_inflected,
    is_swapped,
    singular,
)
from imgrag.engine.reading.spelling import WHOLE
from imgrag.engine.reading.words import (
    ACTIONS,
    ADJECTIVES,
    BESIDE,
    BESIDE_EACH_OTHER,
    COMPARED,
    DETERMINERS,
    HALF_A_DOZEN,
    HERDS,
    MEASURES,
    NOT_ONE,
    NOTHING_BUT,
    NUMBERS,
    OTHER_THINGS,
    PARTS,
    RELATIONS,
    RELATIVES,
    SMALL_WORDS,
    SUBJECTS,
    UNWANTED,
    UNWANTED_PHRASE,
    VERB_FORMS,
    VERBS_TOO,
)
from imgrag.runs.reading import MOST, MOST_THINGS

_WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+(?:['\u2019\u00b7][^\W_]+)*|[^\s\w-]|(?<!\w)-|-(?!\w)|\n|_")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_LONG_NUMBER = re.compile(r"[0-9]{5,}")  # four may be a year
_FRACTION = re.compile(r"\d+(?:\.|,(?!\d{3}$))0*[1-9]\d*x?")
_BREAK = re.compile(r"[^\w&+/]")
LONGEST = 6  # words of a name
LONGEST_OTHER = 3  # words of a name of something else than its last word
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
        fraction: that number as it was said, where it is not a whole one.
        determined: whether an article or a number stands before it.
        unwanted: whether it says what shall not be there.
        acted: whether a verb stands right before it.
        choice: whether it stands behind an "or".
        link: the words between the thing before it and this one, as far as they say more than that both are there.
    """

    pieces: tuple[Piece, ...] = ()
    relation: str = ""
    number: int = 0
    fraction: str = ""
    determined: bool = False
    unwanted: bool = False
    acted: bool = False
    choice: bool = False
    link: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(piece.text for piece in self.pieces)


def phrases(text: str, lexicon: Lexicon) -> list[Phrase]:
    """The phrases of a prompt, in order; relations and verbs are their links, the last one's a phrase by itself."""
    cutter = _Cutter(lexicon.closed)
    plainly = HALF_A_DOZEN.sub("six", UNWANTED_PHRASE.sub(" without ", NOTHING_BUT.sub(" , ", text)))
    plainly = COMPARED.sub(lambda found: f"{WHOLE.join(found.group(1).split())}{WHOLE}than", plainly)
    for piece in _known(_words(plainly)[:MOST_THINGS], lexicon):
        cutter.take(piece)
    return cutter.done()


def _words(text: str) -> list[str]:
    return [_small_word(word).replace(WHOLE, " ") for word in _WORD.findall(text)]


def _small_word(word: str) -> str:
    """The word, or what it is a slip of: "teh", "adn"."""
    low = word.casefold()
    meant = next((small for small in SMALL_WORDS if is_swapped(low, small)), "")
    return meant if meant and not is_english(low) else word


def _known(words: Sequence[str], lexicon: Lexicon) -> Iterator[Piece]:
    """The words, those of a known name joined; the longest name counts."""
    at = 0
    while at < len(words):
        found, length = _longest(words, at, lexicon)
        other = _other_thing(words[at : at + LONGEST_OTHER], found, lexicon) if lexicon.closed else 0
        found, length = (None, other) if other > length else (found, length)
        yield Piece(" ".join(words[at : at + length]), found)
        at += length


def _other_thing(words: Sequence[str], found: Found | None, lexicon: Lexicon) -> int:
    """How many words begin the name of something else than their last one: "guinea pig", "horse shoe"; 0 if none do."""
    for length in range(len(words), 1, -1):
        if " ".join(singular(words[:length])).casefold() in OTHER_THINGS:
            return length
    if len(words) < 2 or not words[1].isalpha() or any(map(_says_nothing, words[:2])):
        return 0
    named = found is not None or (
        words[0].casefold() not in ADJECTIVES and lexicon.named(words[1:2]) is not None
    )
    if not named or (found is not None and _is_verb(words)):
        return 0
    return 2 if is_english("".join(singular(words[:2])).casefold()) else 0


def _is_verb(words: Sequence[str]) -> bool:
    """Whether the second word says what the first one does: "horse riding an astronaut", "cat sat on"."""
    verb = is_action(words[1], ACTIONS) and is_inflected(words[1])
    if not verb or len(words) == 2:
        return verb
    return bool(_BREAK.fullmatch(words[2])) or _says_nothing(words[2]) or words[2].casefold() in UNWANTED


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
    """Takes the pieces of a prompt one after the other; `closed` is whether what models know has an end."""

    closed: bool
    phrase: Phrase = field(default_factory=Phrase)
    cut: list[Phrase] = field(default_factory=list)
    linking: list[str] = field(default_factory=list)
    behind_subject: bool = False
    lapses: bool = False  # an "and" behind "no cheese": with an article it begins what is wanted

    def take(self, piece: Piece) -> None:
        subject, self.behind_subject = self.behind_subject, False
        if (subject and self._may_be_verb(piece)) or self._is_verb_form(piece):
            self._act(piece)
        elif piece.found is not None:
            self._add(piece)
        elif _BREAK.fullmatch(piece.text):
            self._end(Phrase())
            self.linking.clear()
        elif piece.low in UNWANTED or piece.low in NOT_ONE:
            self._end(Phrase(unwanted=True))
        elif (number := counted(piece.low)) and not (piece.low == "one" and self.phrase.pieces):
            self._determine(number)
            self.phrase = replace(self.phrase, fraction=piece.text if _FRACTION.fullmatch(piece.low) else "")
        elif piece.low == "and" and self.phrase.number and not self.phrase.pieces:
            return  # "a hundred and one"
        elif piece.low in RELATIVES and self.phrase.pieces:
            self._relate(piece)
            self.behind_subject = True
        elif piece.low in DETERMINERS:
            self._determine()
        elif piece.low == "of" and self._is_measure():
            self.phrase = replace(self.phrase, pieces=())
        elif piece.low in RELATIONS or piece.low.endswith(" than"):
            self._relate(piece)
        elif is_action(piece.low, ACTIONS) and not self._describes_next():
            self._act(piece)
        elif piece.low not in BESIDE:
            self._add(piece)
        else:
            self.behind_subject = piece.low.replace("\u2019", "'") in SUBJECTS

    def done(self) -> list[Phrase]:
        self._end(Phrase())
        return [*self.cut, Phrase(link=self._link())]

    def _add(self, piece: Piece) -> None:
        link = self.phrase.link if self.phrase.pieces else (*self.phrase.link, *self._link())
        self.phrase = replace(self.phrase, pieces=(*self.phrase.pieces, piece), link=link)

    def _link(self) -> tuple[str, ...]:
        """What was said since the last thing, if it says how things are; that is taken."""
        words = tuple(self.linking) if self.cut else ()
        self.linking.clear()
        return words if any(_tells(word) for word in words) else ()

    def _act(self, piece: Piece) -> None:
        self._end(Phrase(relation=self.phrase.relation, acted=True))
        self.linking.append(piece.text)

    def _relate(self, piece: Piece) -> None:
        same = piece.low in ("and", "or", "&", "+") and self.phrase.unwanted
        choice = piece.low == "or" and not same and bool(self.phrase.pieces)
        lapses = same and piece.low != "or" and not self.phrase.determined
        self._end(Phrase(relation=piece.low, unwanted=same, choice=choice))
        self.lapses = lapses
        self.linking.append(piece.text)

    def _determine(self, number: int = 0) -> None:
        if self._is_verb_at_the_beginning():
            self.linking.append(self.phrase.pieces[0].text)
            self.phrase = replace(self.phrase, pieces=(), acted=True)
        elif self.phrase.pieces and not all(piece.low in PARTS for piece in self.phrase.pieces):
            self._end(Phrase())
        unwanted = self.phrase.unwanted and not self.lapses
        self.phrase = replace(
            self.phrase, number=_together(self.phrase.number, number), determined=True, unwanted=unwanted
        )

    def _is_measure(self) -> bool:
        """Whether what stands before "of" only says how much, "a bunch of grapes", or is nothing that is drawn."""
        words = [piece.low for piece in self.phrase.pieces]
        last = singular(words)[-1] if words else ""
        if not words or last in HERDS or (self.phrase.pieces[-1].found is None and last in MEASURES):
            return True
        if (
            not self.closed
            or any(piece.found for piece in self.phrase.pieces)
            or not is_english(" ".join(words))
        ):
            return False
        self.phrase = replace(self.phrase, link=(*self.phrase.link, *self.phrase.words, "of"))
        return True

    def _describes_next(self) -> bool:
        """A participle right behind an article describes what follows: "a sleeping cat"."""
        return self.phrase.determined and not self.phrase.pieces

    def _may_be_verb(self, piece: Piece) -> bool:
        """Whether a word right behind "I" is one: of the words that are known, only those that are verbs too."""
        if piece.found is not None:
            return singular([piece.low])[-1] in VERBS_TOO
        return is_english(piece.low) and not _says_nothing(piece.low) and piece.low not in UNWANTED

    def _is_verb_form(self, piece: Piece) -> bool:
        """ "an owl watches": behind a thing that is one, the plural of a thing that is a verb too."""
        return (
            piece.found is not None and piece.low in VERB_FORMS
            and self.phrase.determined and any(before.found for before in self.phrase.pieces)
        )  # fmt: skip

    def _is_verb_at_the_beginning(self) -> bool:
        """ "watch a train", without an article of its own."""
        return (
            len(self.phrase.pieces) == 1 and not self.cut and not self.phrase.determined
            and not self.phrase.relation and self.phrase.pieces[0].low in VERBS_TOO
        )  # fmt: skip

    def _end(self, following: Phrase) -> None:
        self.lapses = False
        if self.phrase.pieces:
            self.cut.append(self.phrase)
        elif self.phrase.relation and not following.relation:
            following = replace(following, relation=self.phrase.relation)
        self.phrase = following


def _tells(word: str) -> bool:
    """Whether a word between two things says more than that both are there."""
    low = word.casefold()
    return low not in BESIDE_EACH_OTHER and simplemma.lemmatize(low, "en") not in BESIDE_EACH_OTHER


def _together(before: int, number: int) -> int:
    """What two numbers in a row say: "two hundred", "twenty-one"; of others the last counts."""
    if before and number >= 100:
        return min(before * number, MOST)
    return min(before + number if before >= 20 and number < 10 else number or before, MOST)


def counted(word: str) -> int | None:
    """How many a word says; `None` if it says no number. "2.5" and "2x" are two, "0.5" is one."""
    if word in NOT_ONE:
        return 0
    if _THOUSANDS.fullmatch(word) or _LONG_NUMBER.fullmatch(word):
        return MOST
    if found := re.fullmatch(r"([0-9]{1,3})(?:[.,][0-9]+)?x?", word):
        return min(max(1, int(found.group(1))), MOST)
    return NUMBERS.get(word)
