"""Which name a few words stand for, and who knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import simplemma
from rapidfuzz import process
from rapidfuzz.distance import OSA, JaroWinkler

from imgrag.engine.reading.spelling import key
from imgrag.engine.reading.vocabulary import Vocabulary
from imgrag.library.search.words import stem
from imgrag.runs.reading import LONGEST_NAME, How, Knower

SHORTEST = 4  # letters of a word that may have a slip in it
SWAPPED = 3  # letters from which on two of them may have changed places
LONG = 6  # letters from which on it may have two
ALIKE = 0.905  # Jaro-Winkler similarity of words with two; 2% of made-up words are taken for a name


class Names(Protocol):
    """The names of a library."""

    def holds(self, name: str) -> bool:
        """Whether a picture is called that."""
        ...

    def mentions(self, name: str) -> bool:
        """Whether a picture's name, caption or fields hold all of its words, if they are rare."""
        ...

    def near(self, name: str, limit: int = 3) -> list[str]:
        """Names that are spelt nearly like it, best first."""
        ...


@dataclass(frozen=True)
class Found:
    """A name, how it was found, and who knows it; `several` where it was the plural that was said."""

    name: str
    how: How
    known: tuple[Knower, ...]
    several: bool = False


class Lexicon:
    """Names of the models and of one library.

    Args:
        vocabulary: what the models know; `None` where there is no end to it.
    """

    def __init__(self, vocabulary: Vocabulary | None, library: Names) -> None:
        self._vocabulary = vocabulary
        self._library = library

    @property
    def closed(self) -> bool:
        """Whether what the models know has an end."""
        return self._vocabulary is not None

    def named(self, words: Sequence[str]) -> Found | None:
        """The thing that the models call this, or that it is another word for; in the plural too."""
        if self._vocabulary is None:
            return None
        spellings = [key(" ".join(words)), key(" ".join(singular(words)))]
        joined = [spelling.replace(" ", "") for spelling in spellings]  # "hedge-hog"
        for spelling in dict.fromkeys((*spellings, *joined)):
            if spelling in self._vocabulary.names:
                found = self._of_models(self._vocabulary.names[spelling], "name")
            elif spelling in self._vocabulary.words:
                found = self._of_models(self._vocabulary.words[spelling], "synonym")
            else:
                continue
            return replace(found, several=spelling not in _alike(spellings[0]))
        return None

    def owned(self, words: Sequence[str]) -> Found | None:
        """The picture of the library that is called this."""
        for text in dict.fromkeys((" ".join(words), " ".join(singular(words)))):
            if len(text) <= LONGEST_NAME and self._library.holds(text):
                return replace(self._library_s(text), several=text != " ".join(words))
        return None

    def mentioned(self, words: Sequence[str]) -> Found | None:
        """What a picture of the library is about, by its name, caption or fields; a plain word says too little."""
        text = " ".join(words)
        if len(text) > LONGEST_NAME or is_english(text) or self._is_a_form(text):
            return None
        return self._library_s(text) if self._library.mentions(text) else None

    def slipped(self, words: Sequence[str]) -> Found | None:
        """The thing whose name this is but for a letter or two; never where all of it are English words."""
        text = key(" ".join(words))
        if len(text) < SWAPPED or is_english(" ".join(words)):
            return None
        near = self._nearest(text)
        if near is not None:
            return self._of_models(near, "slip")
        owned = [name for name in self._library.near(text) if _may_be(text, key(name))]
        return self._library_s(owned[0], "slip") if owned else None

    def unknown(self, name: str) -> Found:
        """What nobody has a name or a picture for; models without an end to their words may know it all the same."""
        return Found(name, "nobody" if self.closed else "name", () if self.closed else ("generator", "judge"))

    def _nearest(self, text: str) -> str | None:
        """The one name that lies closest; `None` if none is close, or two are as close."""
        if self._vocabulary is None:
            return None
        spellings = {**self._vocabulary.words, **self._vocabulary.names}
        most = 1 if len(text) < LONG else 2
        found = process.extract(text, spellings.keys(), scorer=OSA.distance, score_cutoff=most, limit=9)
        names_only = self._vocabulary.names
        best = [slip for slip in found if _may_be(text, slip[0]) and (slip[1] < 2 or slip[0] in names_only)]
        closest = [spelling for spelling, distance, _ in best if distance == best[0][1]]
        swapped = [spelling for spelling in closest if is_swapped(text, spelling)]
        names = {spellings[spelling] for spelling in swapped or closest}
        return names.pop() if len(names) == 1 else None

    def _is_a_form(self, text: str) -> bool:
        """Whether a library finds it only as a form of a name that the models know: "penguine" by "penguin"."""
        near = self._nearest(key(text))
        return near is not None and list(map(stem, key(near).split())) == list(map(stem, key(text).split()))

    def _library_s(self, name: str, how: How = "name") -> Found:
        return Found(name, how, (*self._models(name), "library"))

    def _of_models(self, name: str, how: How) -> Found:
        owned: tuple[Knower, ...] = ("library",) if self._library.holds(name) else ()
        return Found(name, how, (*self._models(name), *owned))

    def _models(self, name: str) -> tuple[Knower, ...]:
        """Which of the models know a name."""
        if self._vocabulary is None:
            return ("generator", "judge")
        known: tuple[tuple[Knower, bool], ...] = (
            ("generator", name in self._vocabulary.drawn),
            ("judge", self._vocabulary.knows(name)),
        )
        return tuple(knower for knower, knows in known if knows)


def _alike(spelling: str) -> tuple[str, str]:
    """A spelling, and that in one word."""
    return spelling, spelling.replace(" ", "")


def is_english(text: str) -> bool:
    """Whether all words of a text are English, as far as a dictionary tells."""
    return all(simplemma.is_known(word, "en") for word in text.split())


def is_swapped(text: str, meant: str) -> bool:
    """Whether these are the letters of that, two of them in each other's place: the commonest slip in typing."""
    return text[:1] == meant[:1] and sorted(text) == sorted(meant) and OSA.distance(text, meant) == 1


def _may_be(text: str, meant: str) -> bool:
    """Whether somebody may have meant this: by one slip, or by two where the words begin and go on alike."""
    if len(text) < SHORTEST:
        return is_swapped(text, meant)
    if OSA.distance(text, meant) < 2:
        return meant[:1] == text[:1] or len(text) > SHORTEST
    return JaroWinkler.similarity(text, meant) >= ALIKE


def singular(words: Sequence[str]) -> list[str]:
    """The words with the last one, the head of a noun phrase, in the singular."""
    if not words:
        return []
    last = words[-1].casefold()
    noun = not last.endswith(("ing", "ed", "er", "est", "ss"))
    return [*words[:-1], simplemma.lemmatize(last, "en") if noun else last]


def is_plural(word: str) -> bool:
    """Whether a noun is in the plural, as far as its form tells."""
    return singular([word])[-1] != word.casefold()


def is_inflected(word: str) -> bool:
    """Whether a verb is in the past or an -ing form, as far as its form tells."""
    low = word.casefold()
    return not low.endswith("s") and simplemma.lemmatize(low, "en") != low


def is_action(word: str, actions: frozenset[str]) -> bool:
    """Whether a word is a form of one of these verbs, or the -ing form of any."""
    low = word.casefold()
    lemma = simplemma.lemmatize(low, "en")
    if lemma in actions:
        return True
    stem = low[:-3]
    stems = {stem, f"{stem}e", stem[:-1]} if low.endswith("ing") else set()
    return bool(stems & actions) or (low.endswith("ing") and len(low) > SHORTEST + 1 and lemma != low)
