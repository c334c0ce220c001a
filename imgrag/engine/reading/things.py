"""From phrases to things: which words name one, which describe it, and which nobody can place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from imgrag.engine.reading.lexicon import Found, Lexicon, is_english, is_inflected, is_plural
from imgrag.engine.reading.phrases import SETTINGS, Phrase, Piece
from imgrag.engine.reading.words import ADJECTIVES, PICTURE
from imgrag.runs.reading import LeftOut, Thing

PLURAL = 2  # how many a plural without a number is taken for
MOST_OF_NAME = 12  # words of a name that is looked for
LONGEST_UNKNOWN = 60  # characters of a name that nobody knows
AFTER = frozenset(  # adjectives that stand behind their noun
    "alone asleep awake alive outdoors outside inside indoors upside together apart abroad aloft adrift afloat wild".split()
)


@dataclass(frozen=True)
class Placed:
    """A thing, and whether it stands for itself or tells where the scene is set."""

    thing: Thing
    setting: bool = False


def things_of(phrase: Phrase, lexicon: Lexicon, told: list[LeftOut]) -> Iterator[Placed]:
    """The things that a phrase names. What says how something happens goes to `told`."""
    pieces = _without_picture(
        [piece for piece in phrase.pieces if piece.found or any(map(str.isalnum, piece.text))]
    )
    if not pieces:
        return
    if len(pieces) > 1 and (owned := lexicon.owned([piece.text for piece in pieces])):
        yield Placed(_thing(owned, pieces, (), phrase))
    elif any(piece.found for piece in pieces):
        yield from _around_names(pieces, phrase, lexicon, told)
    else:
        yield from _without_name(pieces, phrase, lexicon, told)


def _without_picture(pieces: Sequence[Piece]) -> Sequence[Piece]:
    """A "cat photo" is a photo of a cat."""
    end = len(pieces)
    while end > 1 and not pieces[end - 1].found and PICTURE.fullmatch(pieces[end - 1].text):
        end -= 1
    return pieces[:end]


def _around_names(
    pieces: Sequence[Piece], phrase: Phrase, lexicon: Lexicon, told: list[LeftOut]
) -> Iterator[Placed]:
    """Known names and the words around them."""
    last = max(at for at, piece in enumerate(pieces) if piece.found)
    behind = [
        piece for piece in pieces[last + 1 :] if piece.low not in AFTER and not piece.low.endswith("ly")
    ]
    verbs, names = _told_behind(pieces[last], behind) if lexicon.closed else ([], [])
    if verbs:
        told.append(LeftOut(_said(verbs), "only the things themselves are drawn", seen=True))
    if names:
        for one in _without_name(names, replace(phrase, number=0), lexicon, told):
            yield replace(
                one, setting=not one.thing.known
            )  # it is the dog that is drawn, not "Rex" beside it
    if verbs or names:
        pieces, behind = pieces[: last + 1], []
    if behind and is_english(_said(behind)):  # "a dog house" is no dog: the last noun says what it is
        yield from _unknown(pieces[: last + 1 + len(behind)], phrase, lexicon)
        return
    if behind:
        yield from _without_name(behind, replace(phrase, number=0), lexicon, [])
    if lexicon.closed and _is_somebody(pieces):
        yield from _unknown(pieces, phrase, lexicon)
        return
    heads = [at for at, piece in enumerate(pieces) if piece.found]
    if phrase.determined:
        heads = heads[-1:]
    begin = 0
    for at in heads:
        before = tuple(piece.text for piece in pieces[begin:at])
        found = pieces[at].found
        assert found is not None
        yield Placed(
            _thing(found, [pieces[at]], before, phrase if at == heads[0] else replace(phrase, number=0))
        )
        begin = at + 1


def _is_somebody(pieces: Sequence[Piece]) -> bool:
    """Whether it is a proper name that ends with a thing's: "Mickey Mouse"."""
    capitals = len(pieces) > 1 and _are_capital(pieces)
    return capitals and any(not piece.found and not is_english(piece.low) for piece in pieces[:-1])


def _told_behind(head: Piece, behind: Sequence[Piece]) -> tuple[Sequence[Piece], Sequence[Piece]]:
    """What a thing did, and what it is called: "a dog barked", "a dog named Rex", "my dog Rex"; empty for other words."""
    verbs = list(takewhile(_is_past, behind))
    names = behind[len(verbs) :]
    if names and not (_are_capital(names) and (verbs or head.text.islower())):
        return [], []
    return verbs, names


def _is_past(piece: Piece) -> bool:
    return piece.low.endswith("ed") and is_inflected(piece.low)


def _are_capital(pieces: Sequence[Piece]) -> bool:
    return all(piece.text[0].isupper() and not piece.text.isupper() for piece in pieces)


def _without_name(
    pieces: Sequence[Piece], phrase: Phrase, lexicon: Lexicon, told: list[LeftOut]
) -> Iterator[Placed]:
    """Words that are no name as they stand: of the person's own pictures, with a slip in them, or nobody's."""
    words = [piece.text for piece in pieces]
    for find in (lexicon.owned, lexicon.mentioned, lexicon.slipped):
        for start in range(max(0, len(words) - MOST_OF_NAME), len(words)):
            if found := find(words[start:]):
                yield Placed(_thing(found, pieces[start:], tuple(words[:start]), phrase))
                return
    if lexicon.closed and phrase.relation == "for" and is_english(_said(pieces).replace("'s", "")):
        told.append(LeftOut(_said(pieces), "it says what the image is for"))
        return
    if lexicon.closed and phrase.acted and not phrase.determined and is_english(_said(pieces)):
        told.append(
            LeftOut(" ".join(words), "it says how something happens, and these models draw things", seen=True)
        )
        return
    yield from _unknown(pieces, phrase, lexicon)


def _unknown(pieces: Sequence[Piece], phrase: Phrase, lexicon: Lexicon) -> Iterator[Placed]:
    """What nobody knows. Of "a shiny drendle" it is the drendle; Santa Claus is one name."""
    words = [piece.text for piece in pieces]
    start = 0
    if lexicon.closed and not is_english(words[-1]):
        while start < len(words) - 1 and is_english(words[start]) and not _is_name(pieces[start:]):
            start += 1
    name = " ".join(words[start:])[:LONGEST_UNKNOWN].strip()
    setting = lexicon.closed and phrase.relation in SETTINGS
    found = lexicon.unknown(name.casefold() if lexicon.closed else name)
    yield Placed(_thing(found, pieces[start:], tuple(words[:start]), phrase), setting)


def _is_name(pieces: Sequence[Piece]) -> bool:
    return _are_capital(pieces) and pieces[0].low not in ADJECTIVES


def _thing(found: Found, pieces: Sequence[Piece], describing: tuple[str, ...], phrase: Phrase) -> Thing:
    spelling = _said(pieces)
    slipped = found.how == "slip" and is_plural(spelling.split()[-1])
    number = phrase.number or (PLURAL if found.several or slipped else 1)
    return Thing(spelling, found.name, number, number, describing, found.how, found.known)


def _said(pieces: Sequence[Piece]) -> str:
    return " ".join(piece.text for piece in pieces)
