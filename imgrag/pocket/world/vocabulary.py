"""Other words and characters for the world's things: `python -m imgrag.pocket.world.vocabulary`.

Unicode's CLDR keeps keywords for every emoji. Most are no other word for it: "education" stands at the
backpack. `synonyms.csv` has the ones that a person means the thing by, each read and chosen by hand, and
words that CLDR lacks; this command checks the list and writes what reads prompts, `assets/pocket/vocabulary.json`.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgrag.errors import LibraryError
from imgrag.pocket.world import npm
from imgrag.pocket.world.translations import LANGUAGES
from imgrag.pocket.world.world import Icon, icons, names

SYNONYMS_FILE = Path(__file__).with_name("synonyms.csv")
VARIANTS_FILE = Path(__file__).with_name("variants.csv")
VOCABULARY_FILE = Path(__file__).parents[3] / "assets" / "pocket" / "vocabulary.json"
ANNOTATIONS = (
    npm.Package("cldr-annotations-full", "48.2.0"),
    npm.Package("cldr-annotations-derived-full", "48.2.0"),
)
ENGLISH = ("package/annotations/en/annotations.json", "package/annotationsDerived/en/annotations.json")
FOLDER = npm.CACHE / "cldr"
SELECTOR = "\ufe0f"  # asks for the coloured picture; whether it is typed depends on the keyboard
SOURCE = "Unicode CLDR 48, English annotations and derived annotations, chosen by hand; a few words added"
LICENCE = "Unicode-3.0"


@dataclass(frozen=True)
class Synonym:
    """A word for the thing `name`. `source` is "cldr" or "added"."""

    name: str
    word: str
    source: str


def synonyms() -> tuple[Synonym, ...]:
    with SYNONYMS_FILE.open(newline="", encoding="utf-8") as file:
        return tuple(Synonym(**row) for row in csv.DictReader(file))


def variants() -> dict[str, tuple[str, ...]]:
    """By name, the characters of pictures that nearly show the same thing, such as a dog's body."""
    with VARIANTS_FILE.open(newline="", encoding="utf-8") as file:
        return {row["name"]: tuple(row["emoji"].split()) for row in csv.DictReader(file)}


def keywords(folder: Path = FOLDER) -> dict[str, frozenset[str]]:
    """CLDR's English names and keywords of every emoji, lower case, by its characters without U+FE0F.

    Raises:
        LibraryError: npm or the packages cannot be had.
    """
    found: dict[str, frozenset[str]] = {}
    for package in ANNOTATIONS:
        path = npm.fetched(package, folder / package.name, ENGLISH.__contains__) / "annotations.json"
        (content,) = json.loads(path.read_text(encoding="utf-8")).values()
        for characters, annotation in content["annotations"].items():
            words = [*annotation.get("tts", ()), *annotation.get("default", ())]
            found[characters.replace(SELECTOR, "")] = frozenset(word.lower() for word in words)
    return found


def faults(chosen: tuple[Synonym, ...], known: dict[str, frozenset[str]]) -> Iterator[str]:
    """What is wrong with a list of synonyms, a sentence each.

    Args:
        known: as `keywords` gives it.
    """
    characters = {icon.name: tuple(map(_bare, emoji(icon))) for icon in icons()}
    counts = Counter(synonym.word for synonym in chosen)
    for synonym in chosen:
        said = f'"{synonym.word}" for {synonym.name}'
        if synonym.name not in characters:
            yield f"{said}: the world has no such thing."
            continue
        if synonym.word in names():
            yield f"{said}: that is itself a name of the world."
        if counts[synonym.word] > 1:
            yield f"{said}: the word stands there {counts[synonym.word]} times."
        of_cldr = any(synonym.word in known.get(each, ()) for each in characters[synonym.name])
        if of_cldr != (synonym.source == "cldr"):
            yield f"{said}: its source is {'cldr' if of_cldr else 'added'}."


def emoji(icon: Icon) -> tuple[str, ...]:
    """The characters of an icon and of its close variants, with and without U+FE0F where one stands alone."""
    own = "".join(chr(int(code, 16)) for code in icon.codepoints.split("-"))
    every = (own, _bare(own), *variants().get(icon.name, ()))
    alone = [each for one in every for each in ((one, one + SELECTOR) if len(one) == 1 else (one,))]
    return tuple(dict.fromkeys(sorted(alone, key=len)))


def _bare(characters: str) -> str:
    return characters.replace(SELECTOR, "")


def vocabulary(chosen: tuple[Synonym, ...]) -> dict[str, Any]:
    """The content of `vocabulary.json`, things in the order of `concepts.csv`."""
    words = defaultdict(list)
    for synonym in chosen:
        words[synonym.name].append(synonym.word)
    things = [
        {
            "name": icon.name,
            "drawn": icon.set == "known",
            "emoji": list(emoji(icon)),
            "words": words[icon.name],
        }
        for icon in icons()
    ]
    return {"source": SOURCE, "licence": LICENCE, "languages": list(LANGUAGES), "things": things}


def write(path: Path = VOCABULARY_FILE) -> None:
    """Check the synonyms and write them, a thing a line.

    Raises:
        LibraryError: CLDR cannot be had, or the list has faults; it names them.
    """
    chosen = synonyms()
    found = list(faults(chosen, keywords()))
    if found:
        raise LibraryError("\n".join(found))
    content = vocabulary(chosen)
    head = [f"{json.dumps(key)}: {json.dumps(content[key])}," for key in ("source", "licence", "languages")]
    things = ",\n".join(json.dumps(thing, ensure_ascii=False) for thing in content["things"])
    partial = path.with_suffix(".partial")
    partial.write_text("{\n" + "\n".join(head) + f'\n"things": [\n{things}\n]\n}}\n', encoding="utf-8")
    os.replace(partial, path)


if __name__ == "__main__":
    write()
