"""One prompt, read: syntax of other tools, style and ground set apart, its things found and shared out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import emoji

from imgrag.engine.prompts import with_article
from imgrag.engine.reading.grounds import grounded
from imgrag.engine.reading.languages import (
    LATIN,
    NAMES,
    by_small_words,
    foreign_script,
    foreign_words,
    has_small_words,
    is_in_english,
)
from imgrag.engine.reading.lexicon import Lexicon, Names, is_english, is_plural
from imgrag.engine.reading.phrases import phrases
from imgrag.engine.reading.spelling import WHOLE, key
from imgrag.engine.reading.syntax import Plain, plain
from imgrag.engine.reading.things import Placed, things_of
from imgrag.engine.reading.vocabulary import Vocabulary
from imgrag.engine.reading.wording import rationed, worded
from imgrag.engine.reading.words import (
    CLOSING,
    DETERMINERS,
    LONGEST_CLOSING,
    MANNER,
    OPENING,
    PICTURE,
    QUALITY,
    SAYS_STYLE,
    SHORT_WORDS,
    STYLE,
)
from imgrag.models.profile import ReadingProfile
from imgrag.runs.decisions import listed
from imgrag.runs.plurals import english_plural
from imgrag.runs.reading import MOST, LeftOut, Reading, Thing
from imgrag.runs.values import MAX_PROMPT
from imgrag.styles import StyleShelf
from imgrag.styles.calling import Called
from imgrag.texts import clean_line

__all__ = ["Names", "Reader"]

Translate = Callable[[str], str]
"""A prompt in the generator's language; may take a model to do it."""
MOST_WORDS = 120  # of a prompt that are looked at for things
LEAST_FOREIGN = 3  # words of a prompt that is told to be in another language; fewer may be a name
ONE_STYLE, NO_STYLE = "these models draw in one style", "there is no style here that is called so"
_UNKNOWN_UNWANTED = "it is not to be there, and these models do not know the word"
_STAND_IN = "zorblax"


@dataclass(frozen=True)
class Reader:
    """Reads prompts for one profile and one library.

    Args:
        profile: how the generator wants its prompts.
        vocabulary: what the models know; `None` where there is no end to it.
        library: whose names count too.
        styles: those that a prompt can call.
    """

    profile: ReadingProfile
    vocabulary: Vocabulary | None
    library: Names
    styles: StyleShelf | None = None

    def language_of(self, prompt: str) -> str:
        """The language of a prompt that has to be translated, "" if it has not."""
        text = emoji.replace_emoji(self.called_in(plain(prompt).text)[0], " ")
        mine = self._owned_foreign(text)
        for name in mine:
            text = text.replace(name, " ")
        if script := foreign_script(text):
            return script
        english = self._things(text)[0]
        if all(map(_is_plain, english)):
            return ""
        if self.vocabulary is None:
            return foreign_words(text, self.profile.understands or tuple(LATIN))
        if said := by_small_words(text):
            return said
        known = _surely_known(english)
        for code, glossary in self.vocabulary.glossaries.items():
            theirs = foreign_words(text, (code,)) or has_small_words(text, code)
            if theirs and self._knows_more(glossary.english(text)[0], known):
                return NAMES[code]
        named = known or len(text.split()) < LEAST_FOREIGN or is_in_english(text)
        return "" if named else foreign_words(text, tuple(LATIN))

    def glosses(self, language: str) -> bool:
        """Whether a prompt in this language is read without a model, by the vocabulary's words."""
        return self.vocabulary is not None and language in map(NAMES.get, self.vocabulary.glossaries)

    def _knows_more(self, text: str, known: int) -> bool:
        """Whether more things of a text are known than so many."""
        return _surely_known(self._things(text)[0]) > known

    def called_in(self, text: str) -> tuple[str, list[Called]]:
        """A text without the words that call styles, and those styles."""
        return (text, []) if self.styles is None else self.styles.called_in(text, self._names_thing)

    def _names_thing(self, words: str) -> bool:
        """Whether words that call a style are what somebody knows a thing by, in any language that is read."""
        known = self.vocabulary
        if known is None or self.library.holds(words):
            return self.library.holds(words)
        glossed = (glossary.english(words)[0].replace(WHOLE, " ") for glossary in known.glossaries.values())
        return any(known.knows(meant.strip(" ,")) for meant in (words, *glossed))

    def read(self, prompt: str, translate: Translate | None = None) -> Reading:
        """What a prompt asks for. `translate` is called where it is in another language than the generator's."""
        bare = plain(prompt)
        bare = bare if re.search(r"\w|[^\x00-\u2000]", bare.text) else replace(bare, text=clean_line(prompt))
        text, called = self.called_in(bare.text)
        read = self._read_bare(replace(bare, text=text), prompt, translate)
        if self.styles is None or not called:
            return read
        return replace(read, styles=tuple(self.styles.styling(one.style, words=one.words) for one in called))

    def _read_bare(self, bare: Plain, prompt: str, translate: Translate | None) -> Reading:
        language = self.language_of(prompt) if translate is not None else ""
        if not language or translate is None:
            return self._read(bare.text, bare.negative, bare.left_out)
        if self.profile.understands and language not in self._languages:
            told = LeftOut(
                bare.text, f"these models read {listed(self._languages)}, and this seems to be {language}"
            )
            return replace(self._read(bare.text, bare.negative, (*bare.left_out, told)), language=language)
        glossed = self._glossed(bare.text, language)
        # A model that never met a word makes another of it; what the vocabulary lacks stays as it was typed.
        said, verbs = (self._translated(bare.text, translate), []) if glossed is None else glossed
        translation = said[:MAX_PROMPT]
        acts = [LeftOut(verb, "only the things themselves are drawn", seen=True) for verb in verbs]
        read = self._read(translation, bare.negative, (*bare.left_out, *acts))
        return replace(read, language=language, translation=translation.replace(WHOLE, " "))

    @property
    def _languages(self) -> list[str]:
        return [NAMES.get(code, code) for code in (self.profile.language, *self.profile.understands)]

    def _glossed(self, text: str, language: str) -> tuple[str, list[str]] | None:
        """A text in English as far as the vocabulary has words for it, and the verbs that it leaves out.

        `None` where the vocabulary has no words of its language.
        """
        code = next((code for code, name in NAMES.items() if name == language), "")
        if self.vocabulary is None or code not in self.vocabulary.glossaries:
            return None
        kept = [*self._owned_foreign(text), *(found["emoji"] for found in emoji.emoji_list(text))]
        for number, part in enumerate(kept):
            text = text.replace(
                part, f" , {_STAND_IN}{number}x , " if emoji.is_emoji(part) else f" {_STAND_IN}{number}x "
            )
        said, verbs = self.vocabulary.glossaries[code].english(text)
        for number, part in enumerate(kept):
            said = said.replace(f"{_STAND_IN}{number}x", part)
        return clean_line(said), verbs

    def _translated(self, text: str, translate: Translate) -> str:
        """Names of the person's own pictures stay as they are, in any script."""
        mine = self._owned_foreign(text)
        for name in mine:
            text = text.replace(name, f" {_STAND_IN} ")
        said = clean_line(translate(_emoji_named(text, self.vocabulary)[0]))
        for name in mine:
            said = said.replace(_STAND_IN, name, 1)
        return said

    def _read(self, text: str, negative: str, left_out: tuple[LeftOut, ...]) -> Reading:
        told = list(left_out)
        text = text[:MAX_PROMPT]  # a name for each of two thousand emoji, or characters, is longer
        for short, whole in SHORT_WORDS if self.vocabulary is not None else ():
            text = short.sub(whole, text)
        things, background, style, unwanted = self._parts(text, told)
        negative = ", ".join(filter(None, (self._drawable(negative, told), *unwanted)))[:MAX_PROMPT]
        if self.vocabulary is None:
            text = " ".join(emoji.replace_emoji(text, _said).split())[:MAX_PROMPT]
            return Reading(text, tuple(things), background, style, negative, tuple(told))
        shared = rationed([thing for thing in things if thing.drawn], self.profile.most or len(things))
        drawn = iter(shared)
        things = [next(drawn) if thing.drawn else thing for thing in things]
        self._tell(things, style, told)
        prompt = worded(things, background) if any(thing.known for thing in things) else text
        if not things and (unwanted or any(left.reason == _UNKNOWN_UNWANTED for left in told)):
            prompt = f"{with_article(background or self.profile.backgrounds[0])} background"
        return Reading(prompt, tuple(things), background, style, negative, tuple(told))

    def _drawable(self, negative: str, told: list[LeftOut]) -> str:
        """Of a negative block what the generator has words for."""
        if self.vocabulary is None or not negative:
            return negative
        things, _, _ = self._things(negative)
        names = [thing.name for thing in things if "generator" in thing.known]
        if len(names) < len(things):
            told.append(LeftOut(negative, "the generator has no words for all of this negative block"))
        return ", ".join(names)

    def _tell(self, things: list[Thing], style: str, told: list[LeftOut]) -> None:
        """What a generator with an end to its words leaves out of a prompt that was understood."""
        if style:
            told.append(LeftOut(style, NO_STYLE if self._has_styles else ONE_STYLE, seen=True))
        told += [
            LeftOut(" ".join(thing.describing), f"{thing.name} is drawn as its picture is", seen=True)
            for thing in things if thing.describing
        ]  # fmt: skip
        told += [
            LeftOut(_spelt(thing), self._why_fewer(thing, things), seen=True)
            for thing in things
            if thing.drawn < thing.number and thing.known
        ]

    @property
    def _has_styles(self) -> bool:
        return self.styles is not None and bool(self.styles.names())

    def _why_fewer(self, thing: Thing, things: Sequence[Thing]) -> str:
        """Why fewer of a thing are drawn than were asked for."""
        most = self.profile.most
        if not thing.drawn:
            return f"at most {most} things are drawn in one image"
        if "generator" not in thing.known and sum(other.drawn for other in things) < (most or thing.number):
            return f"{thing.drawn} is drawn; the generator draws one of what it knows from a picture alone"
        if thing.drawn == 1:
            return f"{thing.drawn} is drawn; at most {most} things are in one image"
        return f"{thing.drawn} are drawn; at most {most} things are in one image"

    def _things(self, text: str) -> tuple[list[Thing], list[str], list[LeftOut]]:
        """The things of a text without style and ground, what it does not want, and what says how."""
        lexicon, told = Lexicon(self.vocabulary, self.library), list[LeftOut]()
        named, shown = _emoji_named(text, self.vocabulary)
        words = " ".join(named.split()[:MOST_WORDS])
        wanted: dict[str, Thing] = {}
        unwanted = []
        for phrase in phrases(words, lexicon):
            if phrase.link and lexicon.closed:
                told.append(LeftOut(" ".join(phrase.link), "only the things themselves are drawn", seen=True))
            if phrase.fraction and lexicon.closed:
                told.append(LeftOut(phrase.fraction, "it is not a whole number"))
            only = PICTURE.fullmatch(" ".join(phrase.words)) and not any(
                piece.found for piece in phrase.pieces
            )
            if only and not (phrase.determined and wanted):  # a dog and a poster are two things
                continue
            for placed in things_of(phrase, lexicon, told):
                if phrase.unwanted:
                    if placed.thing.known or not lexicon.closed:
                        unwanted.append(placed.thing.name)
                    else:
                        told.append(LeftOut(placed.thing.spelling, _UNKNOWN_UNWANTED, seen=True))
                elif phrase.choice:
                    told.append(LeftOut(placed.thing.spelling, "of several choices the first is taken"))
                else:
                    _gather(placed, wanted, shown)
        return list(wanted.values()), unwanted, told

    def _parts(self, text: str, told: list[LeftOut]) -> tuple[list[Thing], str, str, list[str]]:
        """Things, background, style, unwanted: what polite people and tag-writers add is gone by then."""
        rest, manner = _opened(text)
        for found in dict.fromkeys(match.group().strip() for match in QUALITY.finditer(rest)):
            told.append(LeftOut(found, "it names nothing to draw"))
        rest = " ".join(QUALITY.sub(" ", rest).split())
        styles: list[str] = []
        rest = STYLE.sub(lambda found: self._without_style(found, styles), rest)
        style = ", ".join(dict.fromkeys(filter(None, (manner, *styles))))
        rest, background, how = grounded(rest, self.profile.backgrounds, self.vocabulary is not None)
        told += how
        things, unwanted, how = self._things(rest)
        told += how
        told += [LeftOut(name, "it is not to be there; it goes to the negative prompt") for name in unwanted]
        return things, background, style, unwanted

    def _without_style(self, found: re.Match[str], styles: list[str]) -> str:
        """Nothing in the place of a style, which goes to `styles`; "a pencil" and "a red pencil" are things."""
        words = found.group().strip(" ,;")
        before = found.string[: found.start()].rstrip()
        apart = not before or before[-1] in ",;." or found.group()[0] in ",;"
        said = bool(SAYS_STYLE.search(words)) or words.split()[0].casefold() in (
            "in",
            "as",
            "with",
            "by",
            "after",
        )
        thing = Lexicon(self.vocabulary, self.library).named(words.split())
        if not said and (not apart or thing is not None or words.split()[0].casefold() in DETERMINERS):
            return found.group()
        styles.append(words)
        return " , "

    def _owned_foreign(self, text: str) -> list[str]:
        """Names of the library in other scripts that stand in a text, the longest first."""
        held: list[str] = []
        for run in re.findall(r"[^\x00-\u024f\s]{1,40}", text)[:MOST_WORDS]:
            at = 0
            while at < len(run):
                sizes = range(min(12, len(run) - at), 0, -1)
                name = next((run[at : at + n] for n in sizes if self.library.holds(run[at : at + n])), "")
                held += [name] if name else []
                at += len(name) or 1
        return sorted(set(held), key=len, reverse=True)


def _surely_known(things: Sequence[Thing]) -> int:
    """How many of these are known, and not by a slip, which words of any language may look like."""
    return sum(bool(thing.known) and thing.how != "slip" for thing in things)


def _spelt(thing: Thing) -> str:
    """A thing that is drawn less often than asked for, in the prompt's words."""
    if not thing.drawn:
        return thing.spelling
    said = is_plural(thing.spelling.split()[-1])
    return f"{thing.number} {thing.spelling if said else english_plural(thing.spelling)}"


def _is_plain(thing: Thing) -> bool:
    """Whether a thing was found by its very name, and all that describes it is English."""
    named = bool(thing.known) and thing.how != "slip"
    return named and is_english(" ".join(thing.describing))


def _gather(placed: Placed, wanted: dict[str, Thing], shown: Mapping[str, str]) -> None:
    """Add a thing; named twice, it is there twice. What sets a scene and is known to nobody is not drawn."""
    thing = placed.thing
    if character := shown.get(key(thing.spelling)):
        thing = replace(thing, spelling=character, how="emoji" if thing.known else thing.how)
    if placed.setting:
        thing = replace(thing, drawn=0)
    before = wanted.get(thing.name)
    if before is None:
        wanted[thing.name] = thing
    else:
        number = min(before.number + thing.number, MOST)
        wanted[thing.name] = replace(before, number=number, drawn=number if before.drawn else 0)


def _unclosed(text: str) -> str:
    """The text without polite words at its end, unless there is nothing else."""
    kept, rest = text, text.rstrip(" \t\n.!?")
    while found := CLOSING.search(rest, max(0, len(rest) - LONGEST_CLOSING)):
        kept = rest = rest[: found.start()].rstrip(" \t\n,.;!?")
    return kept or text


def _opened(text: str) -> tuple[str, str]:
    """The text without polite beginnings and ends, and the style that they named: "an oil painting of ..."."""
    rest, styles = _unclosed(text), []
    while (found := OPENING.match(rest)) and rest[found.end() :].strip(" .,;!?"):
        if MANNER.search(found.group()):
            styles.append(re.sub(r"^\W*(?:an?|the)\s+|\s+\w+\s*$", "", found.group().strip()))
        rest = rest[found.end() :]
    return rest, ", ".join(styles)


def _emoji_named(text: str, vocabulary: Vocabulary | None) -> tuple[str, dict[str, str]]:
    """The text with names for its emoji, and those names as `key` spells them -> the characters."""
    shown: dict[str, str] = {}
    lexicon = {} if vocabulary is None else vocabulary.emoji

    def name(character: str, data: dict[str, str]) -> str:
        bare = character.replace("\ufe0f", "")
        said = lexicon.get(bare) or lexicon.get(character) or _said(character, data).strip()
        shown.setdefault(key(said), character)
        return f" , {said} , "

    return emoji.replace_emoji(text, name), shown


def _said(character: str, data: dict[str, str]) -> str:
    """An emoji by its English CLDR name."""
    return f" {data['en'].strip(':').replace('_', ' ')} "
