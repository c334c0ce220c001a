"""The names that a profile's models know, where there is an end to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from imgrag.engine.reading.glossary import DIALECTS, Glossary, glossary
from imgrag.engine.reading.spelling import key
from imgrag.errors import ProfileError


@dataclass(frozen=True)
class Vocabulary:
    """What generator, judge, language model and CLIP of a profile were trained on.

    Attributes:
        names: every name as `key` spells it -> as the models spell it.
        drawn: the names that the generator can draw without a reference.
        words: other words for a thing, likewise -> its name.
        emoji: characters that show a thing -> its name.
        glossaries: what the things are called in other languages, by ISO 639-1.
    """

    names: Mapping[str, str]
    drawn: frozenset[str]
    words: Mapping[str, str] = field(default_factory=dict)
    emoji: Mapping[str, str] = field(default_factory=dict)
    glossaries: Mapping[str, Glossary] = field(default_factory=dict)

    def knows(self, name: str) -> bool:
        """Whether the judge and CLIP know this name."""
        return key(name) in self.names

    def speaks(self, text: str) -> bool:
        """Whether a text names anything that they know."""
        words = key(text).split()
        spans = (words[a:b] for a in range(len(words)) for b in range(a + 1, min(a + 5, len(words)) + 1))
        return any(" ".join(span) in self.names for span in spans)


@cache
def load_vocabulary(file: Path) -> Vocabulary:
    """Open a vocabulary: {"things": [{"name", "drawn", "emoji": [...], "words": [...], "zh": [...], ...}, ...]}.

    Raises:
        ProfileError: the file is missing or not of this form.
    """
    try:
        things = json.loads(file.read_text(encoding="utf-8"))["things"]
        return Vocabulary(
            names={key(thing["name"]): thing["name"] for thing in things},
            drawn=frozenset(thing["name"] for thing in things if thing["drawn"]),
            words={key(word): thing["name"] for thing in things for word in thing["words"]},
            emoji={character: thing["name"] for thing in things for character in thing["emoji"]},
            glossaries={code: found for code in DIALECTS if (found := glossary(code, things)) is not None},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProfileError(f"The profile's vocabulary, {file.name}, is missing or damaged.") from error
