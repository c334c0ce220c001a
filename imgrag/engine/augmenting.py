"""The rule of augmented prompts: which phrases want knowledge, which texts are about them, what may come of it.

Nothing here knows a model or a base. A phrase that a text is about stands in [brackets] in what the language model
gets; what stands outside them was named by the person and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from imgrag.engine.prompts import fact_line
from imgrag.engine.reading.lexicon import is_english, is_plural
from imgrag.engine.reading.phrases import SETTINGS
from imgrag.engine.reading.wording import worded
from imgrag.engine.reading.words import DETERMINERS, NUMBERS, RELATIONS
from imgrag.library.search.words import asked_words
from imgrag.runs.decisions import listed
from imgrag.runs.knowledge import Fact
from imgrag.runs.reading import Reading, Thing

ENOUGH = 2 / 3  # of a term's words that a phrase about it holds
BETWEEN = 4  # words that may stand between those of a term, all together
DESCRIBING = 2  # words between a phrase's article and the first word of its term
AT_ONCE = 20  # words that a base is asked for; it reads no more than 24
NEXT = 12  # words from one question to the next, so that each phrase stands whole in one
MOST_WORDS = 120  # of a prompt that are looked at, as many as the reader's
_PLACING = SETTINGS | frozenset("when it is down deep out over far beside above below amid".split())
_COUNTS = {number: word for word, number in reversed(NUMBERS.items())}
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_STOP = re.compile(r"[,;:.!?\n]")


@dataclass(frozen=True)
class Span:
    """Words of a prompt, from the one of this index up to that of `end`."""

    begin: int
    end: int

    def meets(self, other: Span) -> bool:
        """Whether they share a word."""
        return self.begin < other.end and other.begin < self.end


@dataclass(frozen=True)
class Told:
    """A phrase of a prompt and the texts about it.

    Attributes:
        setting: whether it says where or when.
    """

    span: Span
    phrase: str
    setting: bool
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Wording:
    """A prompt word by word, beside how it was read.

    Args:
        text: in the generator's language, without other tools' syntax.
        closed: whether what the models know has an end.
    """

    text: str
    reading: Reading
    closed: bool

    @cached_property
    def words(self) -> tuple[re.Match[str], ...]:
        """Those that are looked at."""
        return tuple(islice(_WORD.finditer(self.text), MOST_WORDS))

    @cached_property
    def _stemmed(self) -> tuple[frozenset[str], ...]:
        return tuple(_stems(word.group()) for word in self.words)

    def unknown(self) -> list[Span]:
        """Where it says what nobody knows or the reader dropped: unknown things, scenes, what describes a thing.

        And names made of names, such as "the ship of the desert" and "where we sleep". Models whose words have no end
        may know anything.
        """
        if not self.closed:
            return []
        return [*self.strangers(), *self._dropped, *self._riddles()]

    def strangers(self) -> list[Span]:
        """Things that nobody knows; of models whose words have no end, what is in no dictionary."""
        strange = (t for t in self.reading.things if not (t.known if self.closed else is_english(t.name)))
        return [span for thing in strange for span in self.places(thing.spelling)]

    @cached_property
    def _things(self) -> tuple[Span, ...]:
        """Where things are named."""
        return tuple(span for thing in self.reading.things for span in self.places(thing.spelling))

    def places(self, words: str) -> list[Span]:
        """Where these words stand, or their last one: small words may have been left out between them."""
        name = [word.group().casefold() for word in _WORD.finditer(words)]
        return self._places(name) or self._places(name[-1:])

    def _places(self, name: Sequence[str]) -> list[Span]:
        there = [word.group().casefold() for word in self.words]
        starts = range(len(there) - len(name) + 1) if name else ()
        return [Span(at, at + len(name)) for at in starts if there[at : at + len(name)] == name]

    def _riddles(self) -> Iterator[Span]:
        """A thing with "of" and what stands behind it; what follows "what"."""
        last = len(self.words)
        for span in self._things:
            if span.end < last and self._low(span.end) == "of":
                yield Span(span.begin, min(span.end + 3, last))
        yield from (Span(at, min(at + 4, last)) for at in range(last) if self._low(at) in ("what", "where"))

    def questions(self) -> Iterator[str]:
        """The words that a base is asked for, not too many at a time."""
        for start in range(0, max(1, len(self.words) - AT_ONCE + NEXT), NEXT):
            part = self.words[start : start + AT_ONCE]
            if part:
                yield self.text[part[0].start() : part[-1].end()]

    def about(self, term: str) -> tuple[Span, int] | None:
        """Where this term is named, and how many of its words are there; `None` where too few are."""
        wanted = _stems(term)
        best = max((self._window(at, wanted) for at in range(len(self.words))), key=_share, default=None)
        if best is None or not wanted or len(best[1]) < ENOUGH * len(wanted):
            return None
        return None if len(best[1]) == 1 and self._is_part(best[0]) else (best[0], len(best[1]))

    def _is_part(self, span: Span) -> bool:
        """Whether one word is no phrase by itself: what sets no scene in "a sea monster", "the queen of the night"."""
        whole, setting = self._whole(span)
        if setting:
            return False
        named = any(thing.meets(Span(span.end, span.end + 1)) for thing in self._things)
        head = Span(whole.begin - 2, whole.begin - 1)
        owned = whole.begin > 1 and self._low(whole.begin - 1) == "of"
        return named or (owned and any(head.meets(other) for other in (*self._things, *self._dropped)))

    @cached_property
    def _dropped(self) -> tuple[Span, ...]:
        """What the reader left out and would have been seen."""
        parts = (part.words for part in self.reading.left_out if part.seen)
        return tuple(span for words in parts for span in self.places(words))

    def _window(self, begin: int, wanted: frozenset[str]) -> tuple[Span, frozenset[str]]:
        """The words of a term from here on, and the shortest span that holds them."""
        held: frozenset[str] = frozenset()
        end = begin
        for at in range(begin, min(begin + len(wanted) + BETWEEN, len(self.words))):
            if at > begin and self._is_apart(at):
                break
            new = self._stemmed[at] & wanted - held
            if not new and at == begin:
                break
            held, end = held | new, at + 1 if new else end
        return Span(begin, end), held

    def _whole(self, span: Span) -> tuple[Span, bool]:
        """A phrase with its article and what says where or when."""
        begin = span.begin
        for at in range(begin - 1, max(-1, begin - 2 - DESCRIBING), -1):
            if self._is_apart(at + 1) or self._low(at) in RELATIONS or self._is_other(at, span):
                break
            if self._low(at) in DETERMINERS:
                begin = at
                break
        article = begin
        while begin and not self._is_apart(begin) and self._low(begin - 1) in _PLACING:
            begin -= 1
        return Span(begin, span.end), begin < article

    def _is_other(self, at: int, span: Span) -> bool:
        """Whether a word names a thing that has none of these."""
        return any(other.meets(Span(at, at + 1)) and not other.meets(span) for other in self._things)

    def _is_apart(self, at: int) -> bool:
        """Whether a sentence or a part of one ends before this word."""
        return _STOP.search(self.text[self.words[at - 1].end() : self.words[at].start()]) is not None

    def _low(self, at: int) -> str:
        return self.words[at].group().casefold()

    def told(self, facts: Sequence[Fact], wanted: Sequence[Span] | None, k: int) -> tuple[Told, ...]:
        """The phrases that texts are about, the longest term first; no word belongs to two.

        Args:
            facts: the nearest first.
            wanted: a phrase has to meet one of these; any will do where it is `None`.
            k: texts of a phrase, at most.
        """
        matched = [(fact, *place) for fact in facts if (place := self.about(fact.term)) is not None]
        found: list[Told] = []
        for fact, span, _ in sorted(matched, key=lambda match: -match[2]):
            one = self.phrase(span, (fact,))
            meeting = [other for other in found if other.span.meets(one.span)]
            if not meeting and (wanted is None or any(span.meets(other) for other in wanted)):
                found.append(one)
            elif meeting and meeting[0].span == one.span and len(meeting[0].facts) < k:
                found[found.index(meeting[0])] = replace(one, facts=(*meeting[0].facts, fact))
        return tuple(found)

    def phrase(self, span: Span, facts: Sequence[Fact]) -> Told:
        """The phrase that these words stand in, and the texts about it."""
        whole, setting = self._whole(span)
        return Told(whole, self.said(whole), setting, tuple(facts))

    def said(self, span: Span) -> str:
        """The words of a span as they stand there."""
        return self.text[self.words[span.begin].start() : self.words[span.end - 1].end()]

    def kept(self, told: Sequence[Told]) -> dict[str, int]:
        """The things outside of the brackets, and how many of each are asked for."""
        return {thing.name: count for thing, count, _ in self._outside(told)}

    def _outside(self, told: Sequence[Told]) -> Iterator[tuple[Thing, int, int]]:
        """Things, how many of each, and where the first stands."""
        for thing in self.reading.things:
            asked = thing.drawn if self.closed else thing.number
            places = self.places(thing.spelling)
            free = [span for span in places if not any(span.meets(one.span) for one in told)]
            if asked and (free or not places):
                count = asked if len(free) == len(places) else min(asked, len(free))
                yield thing, count, free[0].begin if free else len(self.words)

    def bracketed(self, told: Sequence[Told]) -> str:
        """What the language model gets.

        Of a prompt for a generator whose words have an end these are its things, its phrases in brackets and its
        ground; else the prompt as it stands, with brackets in it.
        """
        if not self.closed:
            return self._with_brackets(told)
        things = [(at, _counted(thing, n)) for thing, n, at in self._outside(told)]
        things += [(one.span.begin, f"[{one.phrase}]") for one in told if not one.setting]
        joined = " and ".join(text for _, text in sorted(things))
        settings = [f"[{one.phrase}]" for one in sorted(told, key=_begin) if one.setting]
        ground = self.reading.background
        return " ".join(filter(None, (joined, *settings, ground and f"on a {ground} background")))

    def _with_brackets(self, told: Sequence[Told]) -> str:
        text = self.text.replace("[", " ").replace("]", " ")
        for one in sorted(told, key=_begin, reverse=True):
            start, end = self.words[one.span.begin].start(), self.words[one.span.end - 1].end()
            text = f"{text[:start]}[{text[start:end]}]{text[end:]}"
        return text


def _counted(thing: Thing, number: int) -> str:
    """ "two owls" where the prompt has the plural: of "an owl and an owl" a small language model may leave one out."""
    if number > 1 and is_plural(thing.spelling.split()[-1]):
        return f"{_COUNTS.get(number, number)} {thing.spelling}"
    return worded([replace(thing, drawn=number)], "")


def lines(told: Sequence[Told]) -> list[str]:
    """The texts as the language model reads them."""
    return list(dict.fromkeys(fact_line(fact.term, fact.text) for one in told for fact in one.facts))


def fault(first: Reading, new: Reading, kept: Mapping[str, int], told: Sequence[Told]) -> str:
    """What is wrong with a prompt that was written again, "" if nothing is.

    Whatever the person named is there still, and nothing else came but what the texts, or their phrases, name.

    Args:
        first: how the prompt was read without; `new` how it is read now.
        kept: the things outside of the brackets.
    """
    if lost := [name for name, count in kept.items() if (t := new.named(name)) is None or t.drawn < count]:
        return f"the language model left out {listed(lost)}"
    counts = {name.casefold(): count for name, count in kept.items()}
    added = [thing.name for thing in new.things if thing.number > counts.get(thing.name.casefold(), 0)]
    sources = [_stems(text) for one in told for text in (one.phrase, *(fact.text for fact in one.facts))]
    own = _stems(" ".join(thing.spelling for thing in first.things))
    named = [*sources, own]  # but not more of a thing than the person named
    strange = [n for n in added if not _is_among(n, sources if n.casefold() in counts else named)]
    if strange:
        return f"the language model added {listed(strange)}, which neither prompt nor texts name"
    phrases = [_stems(one.phrase) for one in told]
    if all(_is_among(name, phrases) for name in added) and new.background in ("", first.background):
        return "nothing of the texts is in what the language model wrote"
    return _beside(first, new, sources)


def _is_among(name: str, sources: Sequence[frozenset[str]]) -> bool:
    """Whether one of these texts has all words of a name."""
    return any(_stems(name) <= source for source in sources)


def _beside(first: Reading, new: Reading, sources: Sequence[frozenset[str]]) -> str:
    """What is wrong with ground and style."""
    if first.background and new.background != first.background:
        return f"the language model left out the {first.background} background"
    if new.background and not first.background and not _is_among(new.background, sources):
        return f"the language model added {new.background}, which neither prompt nor texts name"
    if first.style and first.style.casefold() not in new.style.casefold():
        return f"the language model left out {first.style}"
    return ""


def merged(first: Reading, new: Reading, kept: Mapping[str, int], told: Sequence[Told]) -> Reading:
    """How an augmented prompt was read, beside what is known of the original alone."""
    inside = f" {' '.join(one.phrase for one in told)} ".casefold()
    left_out = [part for part in first.left_out if f" {part.words} ".casefold() not in inside]
    undrawn = [t for t in first.things if not t.drawn and f" {t.spelling} ".casefold() not in inside]
    things = [_by_knowledge(t, told) if t.number > kept.get(t.name, 0) else t for t in new.things]
    return replace(
        new,
        things=(*things, *(t for t in undrawn if new.named(t.name) is None)),
        negative=", ".join(dict.fromkeys(filter(None, (first.negative, new.negative)))),
        left_out=tuple(dict.fromkeys((*left_out, *new.left_out))),
        language=first.language,
        translation=first.translation,
    )


def _by_knowledge(thing: Thing, told: Sequence[Told]) -> Thing:
    """A thing that came by a text, with the phrase that it stands for."""
    for one in told:
        own, named = _stems(one.phrase), _stems(thing.name)
        if not named <= own and any(named <= _stems(fact.text) for fact in one.facts):
            return replace(thing, how="knowledge", spelling=one.phrase)
    return thing


def _stems(text: str) -> frozenset[str]:
    return frozenset(asked_words(text)) - {"s"}  # "man's" is read as two words


def _share(window: tuple[Span, frozenset[str]]) -> tuple[int, int]:
    """The more words of a term, and the closer together, the better."""
    span, held = window
    return len(held), span.begin - span.end


def _begin(told: Told) -> int:
    return told.span.begin
