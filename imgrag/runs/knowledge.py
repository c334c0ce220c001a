"""What a run looked up in a knowledge base before it drew, and what came of it. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

When = Literal["off", "on", "unknown"]
"""Never, for every prompt, or only where something in it is unknown."""
MOST_FACTS = 100  # of one prompt
WHENS: tuple[When, ...] = get_args(When)


@dataclass(frozen=True)
class Fact:
    """A short text of a knowledge base.

    Attributes:
        term: what it is about: "the sea", "man's best friend".
        text: what it says: "the sea is blue".
        language: of the text (ISO 639-1).
        source: where it was taken from.
        licence: under which it may be passed on.
        base: the knowledge base, or the picture library, that holds it.
        score: cosine similarity to what was asked for; 0 where it was found by words alone.
    """

    term: str
    text: str
    language: str = "en"
    source: str = ""
    licence: str = ""
    base: str = ""
    score: float = 0.0


@dataclass(frozen=True)
class Augmentation:
    """A prompt and what was looked up for it.

    Attributes:
        original: the prompt as it was read without.
        facts: the texts that were found, the nearest first.
        rewritten: what the language model made of it; "" where it was not asked or said nothing of use.
        reason: why the original is drawn, "" where the rewritten prompt is.
    """

    original: str
    facts: tuple[Fact, ...] = ()
    rewritten: str = ""
    reason: str = ""
