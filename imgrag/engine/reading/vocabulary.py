"""The names that a profile's models know, where there is an end to them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from imgrag.errors import ProfileError


@dataclass(frozen=True)
class Vocabulary:
    """What generator, judge, language model and CLIP of a profile were trained on.

    Attributes:
        names: every name as `key` spells it -> as the models spell it.
        drawn: the names that the generator can draw without a reference.
        words: other words for a thing, likewise -> its name.
        emoji: characters that show a thing -> its name.
    """

    names: Mapping[str, str]
    drawn: frozenset[str]
    words: Mapping[str, str] = field(default_factory=dict)
    emoji: Mapping[str, str] = field(default_factory=dict)

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
    """Open a vocabulary: {"things": [{"name", "drawn", "emoji": [...], "words": [...]}, ...]}.

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
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProfileError(f"The profile's vocabulary, {file.name}, is missing or damaged.") from error


def key(text: str) -> str:
    """A name as it is compared: no case, no accents, no hyphens, no apostrophes."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return " ".join(bare.replace("'", "").replace("\u2019", "").replace("-", " ").replace("_", " ").split())
