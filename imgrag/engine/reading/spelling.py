"""How names are compared."""

from __future__ import annotations

import unicodedata

WHOLE = "\u00b7"
"""Between the words of a name that is not to be taken apart."""


def key(text: str) -> str:
    """A name as it is compared: no case, no accents, no hyphens, no apostrophes."""
    bare = text.casefold()
    if not bare.isascii():
        bare = "".join(c for c in unicodedata.normalize("NFKD", bare) if not unicodedata.combining(c))
    return " ".join(bare.replace("'", "").replace("\u2019", "").replace("-", " ").replace("_", " ").split())
