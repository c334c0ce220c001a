"""What people type, kind by kind: each prompt with what it truly asks for. The same every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imgrag.bench.fidelity import phrasebook as book
from imgrag.bench.fidelity.asking import Wording, asked, world_set
from imgrag.engine.prompts import with_article
from imgrag.pocket.world import world

SEED = 4711
FIRST_SEED = 3000
PER_KIND = 12 / 200  # cases of a kind for each prompt that the bench is asked for
UNUSED = ("bow and arrow",)  # as a list it would be two things
SETS = ("known", "unseen", "shown")


Make = Callable[[np.random.Generator, int], Iterator[Wording]]


@dataclass(frozen=True)
class Kind:
    """A way of wording: what a table calls it, and what makes so many prompts of it."""

    label: str
    make: Make


def wording_cases(prompts: int, kinds: Sequence[str] = ()) -> list[Wording]:
    """Cases of the kinds (all, if none is named): 12 each where 200 prompts are asked for."""
    count = max(1, round(prompts * PER_KIND))
    cases = []
    for place, (key, kind) in enumerate(KINDS.items()):
        if not kinds or key in kinds:
            made = kind.make(np.random.default_rng((SEED, place)), count)
            seeds = range(FIRST_SEED + 1000 * place, FIRST_SEED + 1000 * place + count)
            cases += [replace(case, kind=key, seed=seed) for case, seed in zip(made, seeds, strict=True)]
    return cases


def _names(*sets: str) -> list[str]:
    return [icon.name for icon in world.icons() if icon.set in sets and icon.name not in UNUSED]


def _turns(entries: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """So many entries, all in random order before any comes again."""
    rounds = -(-count // len(entries))
    return [entries[i] for _ in range(rounds) for i in rng.permutation(len(entries))][:count]


def _said(
    entries: Sequence[tuple[str, str]], count: int, rng: np.random.Generator
) -> Iterator[tuple[str, str]]:
    names = dict(entries)
    for word in _turns([word for word, _ in entries], count, rng):
        yield word, names[word]


def _partner(names: str, rng: np.random.Generator) -> str:
    """A known thing that shares no word with these."""
    taken = set(names.replace("|", " ").split())
    while True:
        name = str(rng.choice(_names("known")))
        if not taken & set(name.split()):
            return name


def _duos(rng: np.random.Generator, count: int) -> Iterator[tuple[str, str]]:
    """A known thing and one of each set in turn, in either order."""
    queues = {kind: iter(_turns(_names(kind), count, rng)) for kind in SETS}
    for number in range(count):
        one = next(queues[SETS[number % len(SETS)]])
        duo = (_partner(one, rng), one)
        yield duo if rng.random() < 0.5 else duo[::-1]


def _filled(template: str, *names: str) -> str:
    """The template with "{a}" as "a dog", "{bare_a}" as "dog", and so on for "b" and "c"."""
    bare = {f"bare_{letter}": name for letter, name in zip("abc", names, strict=False)}
    return template.format(
        **bare, **{letter: with_article(name) for letter, name in zip("abc", names, strict=False)}
    )


def _templates(*templates: str, change: Callable[[str], str] = str) -> Make:
    """Two things in each template in turn; a template may ask for the first alone, or name a third."""

    def make(rng: np.random.Generator, count: int) -> Iterator[Wording]:
        for number, (one, other) in enumerate(_duos(rng, count)):
            template = templates[number % len(templates)]
            third = _partner(f"{one} {other}", rng)
            things = [asked(f"{one}|{third}" if "{c}" in template else one), asked(other)]
            yield Wording(change(_filled(template, one, other, third)), tuple(things))

    return make


def _lacking_first(template: str) -> Make:
    """An unseen thing, then a known one."""

    def make(rng: np.random.Generator, count: int) -> Iterator[Wording]:
        for name in _turns(_names("unseen"), count, rng):
            known = _partner(name, rng)
            yield Wording(_filled(template, name, known), (asked(name), asked(known)))

    return make


def _single(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    for number in range(count):
        name = str(rng.choice(_names(SETS[number % len(SETS)])))
        yield Wording(with_article(name), (asked(name),))


def _words(entries: Sequence[tuple[str, str]], alike: Mapping[str, str] | None = None) -> Make:
    """Other words or spellings beside a known thing; every fourth alone. `alike`: what serves as well."""

    def make(rng: np.random.Generator, count: int) -> Iterator[Wording]:
        for number, (said, names) in enumerate(_said(entries, count, rng)):
            names = "|".join(filter(None, (names, (alike or {}).get(names, ""))))
            known, thing = _partner(names, rng), asked(names, said=said)
            word = with_article(said)
            if number % 4 == 3:
                yield Wording(word, (thing,))
            else:
                duo = (word, with_article(known)) if number % 2 else (with_article(known), word)
                yield Wording(" and ".join(duo), (thing, asked(known)))

    return make


def _plurals(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    for number, (said, name) in enumerate(_said(book.PLURALS, count, rng)):
        known, thing = _partner(name, rng), asked(name, 0, said)
        if number % 3 == 0:
            yield Wording(said if number % 2 else f"some {said}", (thing,))
        else:
            pattern = "{said} and {a}" if number % 2 else "{a} with {said}"
            yield Wording(pattern.format(said=said, a=with_article(known)), (thing, asked(known)))


def _numbers(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    ways = (
        ("two", 2),
        ("3", 3),
        ("2", 2),
        ("three", 3),
        ("a pair of", 2),
        ("five", 5),
        ("a couple of", 2),
        ("4", 4),
    )
    for number, (said, name) in enumerate(_said(book.PLURALS, count, rng)):
        way, many = ways[number % len(ways)]
        yield Wording(f"{way} {said}", (asked(name, many, said),))


def _many(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    """Numbers of two things that no scene holds."""
    ways = (("two", 2, "two", 2), ("three", 3, "a", 1), ("2", 2, "3", 3), ("four", 4, "one", 1))
    known = [entry for entry in book.PLURALS if world_set(entry[1]) == "known"]
    others = list(_said(known, count, rng))
    for number, (said, name) in enumerate(_said(book.PLURALS, count, rng)):
        other_said, other = next(e for e in (*others[number:], *known) if e[1] != name)
        way, many, other_way, other_many = ways[number % len(ways)]
        second = other_said if other_many > 1 else other
        article = with_article(second) if other_way == "a" else f"{other_way} {second}"
        yield Wording(
            f"{way} {said} and {article}", (asked(name, many, said), asked(other, other_many, second))
        )


def _three(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    templates = (
        "{a}, {b} and {c}",
        "{a} and {b} and {c}",
        "{a} with {b} and {c}",
        "{bare_a}, {bare_b}, {bare_c}",
    )
    for number, (one, other) in enumerate(_duos(rng, count)):
        names = rng.permutation([one, other, _partner(f"{one} {other}", rng)]).tolist()
        yield Wording(
            _filled(templates[number % len(templates)], *names), tuple(asked(name) for name in names)
        )


def _foreign(
    entries: Sequence[tuple[str, str]], templates: Sequence[str], bare: Callable[[str], str]
) -> Make:
    """Two things, the second a known one, in the words of another language; every fourth alone."""

    def make(rng: np.random.Generator, count: int) -> Iterator[Wording]:
        known = [entry for entry in entries if world_set(entry[1].split("|")[0]) == "known"]
        for number, (said, names) in enumerate(_said(entries, count, rng)):
            at = rng.permutation(len(known))
            other = next(known[i] for i in at if not set(known[i][1].split("|")) & set(names.split("|")))
            things = (asked(names, said=bare(said)), asked(other[1], said=bare(other[0])))
            if number % 4 == 3:
                yield Wording(said, things[:1])
            else:
                words = {"a": said, "b": other[0], "bare_a": bare(said), "bare_b": bare(other[0])}
                yield Wording(templates[number % len(templates)].format(**words), things)

    return make


def _emoji(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    """Characters of the world's own pictures, and others that show the same."""
    templates = (
        "{a}{b}",
        "{a} {b}",
        "{a} + {b}",
        "{a}",
        "{a} and {b}",
        "draw {a} and {b}",
        "{a}, {b}!",
        "a {a} and {named}",
    )
    others = list(_said(book.EMOJI, count, rng))
    for number, (one, other) in enumerate(_duos(rng, count)):
        first, name = others[number] if number % 4 == 1 else (_character(one), one)
        other = _partner(name, rng) if number % 4 == 1 else other
        template = templates[number % len(templates)]
        prompt = template.format(a=first, b=_character(other), named=with_article(other))
        things = (asked(name, said=first), asked(other, said=_character(other)))
        yield Wording(prompt, things if template != "{a}" else things[:1])


def _character(name: str) -> str:
    codes = next(icon.codepoints for icon in world.icons() if icon.name == name)
    return "".join(chr(int(code, 16)) for code in codes.split("-"))


def _styled(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    for number, (one, other) in enumerate(_duos(rng, count)):
        template, style = book.STYLED[number % len(book.STYLED)]
        yield Wording(_filled(template, one, other), (asked(one), asked(other)), declinable=(style,))


def _adjectives(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    adjectives = _turns(book.ADJECTIVES, count, rng)
    for number, ((one, other), adjective) in enumerate(zip(_duos(rng, count), adjectives, strict=True)):
        first = with_article(f"{adjective} {one}")
        prompt = f"{first} and {with_article(other)}" if number % 3 else first
        yield Wording(
            prompt, (asked(one), asked(other)) if number % 3 else (asked(one),), declinable=(adjective,)
        )


def _strangers(words: Sequence[str]) -> Make:
    """What nobody has, alone or beside a known thing."""

    def make(rng: np.random.Generator, count: int) -> Iterator[Wording]:
        for number, word in enumerate(_turns(words, count, rng)):
            stranger = word if word[0].isupper() else with_article(word)
            nobody, known = (
                word.removeprefix("a ").removeprefix("an ").removeprefix("the "),
                _partner(word, rng),
            )
            duo = (stranger, with_article(known))
            prompts = (" and ".join(duo), " and ".join(duo[::-1]), stranger)
            yield Wording(prompts[number % 3], (asked(known),) if number % 3 < 2 else (), (nobody,))

    return make


def _nothing(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    words = dict(book.NOTHING_TO_SEE)
    for prompt in _turns(list(words), count, rng):
        yield Wording(prompt, (asked("castle"),) if "castle" in prompt else (), words[prompt])


def _settings(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    for number in range(count):
        setting, word = book.SETTINGS[number % len(book.SETTINGS)]
        name = str(rng.choice(_names("known" if number % 2 else "unseen")))
        beach = () if word else (asked("beach"),)
        yield Wording(f"{with_article(name)} {setting}", (asked(name), *beach), (word,) if word else ())


def _spelt_apart(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    for number, (said, name) in enumerate(_said(book.SPELT_APART, count, rng)):
        known = _partner(name, rng)
        prompt = f"{said} and {known}" if number % 2 else f"{said} and {with_article(known)}"
        yield Wording(prompt, (asked(name, said=said.split(" ", 1)[1]), asked(known)))


def _grounds(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    for number, (one, other) in enumerate(_duos(rng, count)):
        template, colour = book.GROUNDS[number % len(book.GROUNDS)]
        both = f"{with_article(one)} and {with_article(other)}"
        yield Wording(template.format(ab=both), (asked(one), asked(other)), ground=colour)


def _without(rng: np.random.Generator, count: int) -> Iterator[Wording]:
    for number, (one, other) in enumerate(_duos(rng, count)):
        template, third = book.WITHOUT[number % len(book.WITHOUT)], _partner(f"{one} {other}", rng)
        things = (asked(one), asked(other)) if "{b}" in template else (asked(one),)
        yield Wording(_filled(template, one, other, third), things, unwanted=(third,))


def _sentence(prompt: str) -> str:
    return f"{prompt[0].upper()}{prompt[1:]}."


KINDS = {
    "pair": Kind("two things", _templates("{a} and {b}")),
    "single": Kind("one thing", _single),
    "punctuation": Kind("punctuation", _templates(*book.PUNCTUATION)),
    "sentence": Kind("sentence case", _templates("{a} and {b}", change=_sentence)),
    "capitals": Kind("ALL CAPITALS", _templates("{a} and {b}", change=str.upper)),
    "each_word": Kind("Each Word", _templates("{a} and {b}", change=str.title)),
    "bare": Kind("bare, a comma", _lacking_first("{bare_a}, {bare_b}")),
    "bare_and": Kind('bare, "and"', _lacking_first("{bare_a} and {bare_b}")),
    "plurals": Kind("plurals", _plurals),
    "numbers": Kind("numbers", _numbers),
    "typos": Kind("slips of the pen", _words(book.SLIPS)),
    "first_letter": Kind("a wrong first letter", _words(book.FIRST_SLIPS)),
    "chinese": Kind("Chinese", _foreign(book.CHINESE, book.CHINESE_PAIRS, lambda said: said[book.MEASURE :])),
    "spanish": Kind(
        "Spanish", _foreign(book.SPANISH, book.SPANISH_PAIRS, lambda said: said.split(" ", 1)[1])
    ),
    "emoji": Kind("emoji characters", _emoji),
    "keywords": Kind("other words, CLDR's", _words(book.KEYWORDS, book.OTHERS_LIKE_IT)),
    "other_words": Kind("other words, others", _words(book.OTHER_WORDS, book.OTHERS_LIKE_IT)),
    "polite": Kind("polite openings", _templates(*book.POLITE)),
    "tags": Kind("quality tags", _templates(*book.TAGGED)),
    "styles": Kind("styles asked for", _styled),
    "adjectives": Kind("adjectives nobody knows", _adjectives),
    "relations": Kind("relations", _templates(*(f"{{a}} {relation} {{b}}" for relation in book.RELATIONS))),
    "actions": Kind("actions", _templates(*book.ACTIONS)),
    "three": Kind("three things", _three),
    "many": Kind("more than fits", _many),
    "invented": Kind("names nobody knows", _strangers(book.INVENTED)),
    "nothing": Kind("gibberish, ideas", _nothing),
    "brands": Kind("brands, characters", _strangers(book.BRANDS)),
    "outside": Kind("nouns of no world", _strangers(book.OUTSIDE)),
    "settings": Kind("settings", _settings),
    "syntax": Kind("other tools' syntax", _templates(*book.SYNTAX)),
    "spelling": Kind("articles, hyphens", _spelt_apart),
    "grounds": Kind("backgrounds", _grounds),
    "negations": Kind("negations", _without),
}
