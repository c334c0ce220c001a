"""The one gate for text from outside: prompts, names, captions, fields, records, whoever wrote them.

What passed is well-formed Unicode (no lone surrogate, which has no UTF-8), composed (NFC: macOS and
zips write decomposed names) and free of control characters (a NUL ends a text in C libraries).
"""

from __future__ import annotations

import unicodedata
from typing import Any

LONGEST = 201  # characters that are shown of a name or path
_KEPT = frozenset("\n\t")


def clean(text: str) -> str:
    """The text as everything behind the gate may take it; line ends are "\\n".

    Surrogates that pair up become their character, others U+FFFD. Most texts pass unchanged and unwritten.
    """
    if text.isascii() and text.isprintable():
        return text
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    composed = unicodedata.normalize("NFC", joined.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(
        character for character in composed if character in _KEPT or unicodedata.category(character) != "Cc"
    )


def clean_line(text: str) -> str:
    """Likewise on one line: any white space becomes one space, none at the ends."""
    return " ".join(clean(text).split())


def shortened(text: str) -> str:
    """A text of at most `LONGEST` characters, without its middle if need be: of a path both ends tell most."""
    half = (LONGEST - 1) // 2
    return text if len(text) <= LONGEST else f"{text[:half]}…{text[-half:]}"


def clean_document(value: Any) -> Any:
    """A value as JSON has them, with every text and key in it passed through `clean`."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_document(item) for item in value]
    if isinstance(value, dict):
        return {clean_document(key): clean_document(item) for key, item in value.items()}
    return value
