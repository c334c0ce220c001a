"""What every library is, and what a picture is literally called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np
from PIL import Image

from imgrag.errors import LibraryError
from imgrag.models import Embedder
from imgrag.runs.knowledge import Fact
from imgrag.runs.values import Candidate
from imgrag.texts import clean, shortened

_OPENING = re.compile(r"^(?:an? |the )?(?:picture|photo|photograph|image|drawing|icon) of ", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:an?|the|some|my|our|your|his|her|its|their) ", re.IGNORECASE)


@dataclass(frozen=True)
class Skipped:
    """A file that is no usable picture, and why."""

    file: str
    reason: str

    @property
    def shown(self) -> str:
        """The file as a sentence or a list names it: the middle of a long path is left out."""
        return shortened(self.file)


class ReadOnly(LibraryError):
    """Somebody would change a library that comes with the app."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The library {name!r} comes with the app and stays as it is. Make a copy and change that."
        )


class Searchable(Protocol):
    """A library as one model has embedded it."""

    def search(self, vector: np.ndarray, name: str, k: int) -> list[Candidate]:
        """The best `k`: pictures whose name is literally `name` first, by cosine similarity, then those that
        are found by it in words and by the vector in looks, as one ranking (see `search.fusion`).

        `vector` is float32 [d] of length 1, from the embedder that was given to `index`.
        """
        ...


class Library(Protocol):
    """Pictures that can be searched. `name` is shown to people."""

    name: str

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Files that were left out."""
        ...

    def news(self) -> tuple[Skipped, ...]:
        """Those that nobody was told of yet; each is told once, and again only when its file has changed."""
        ...

    def require_pictures(self) -> None:
        """Look, before any model is at work, whether there is anything to search.

        Raises:
            LibraryError: there is no picture.
        """
        ...

    def holds(self, name: str) -> bool:
        """Whether a picture is literally called that, also one that is not indexed yet."""
        ...

    def mentions(self, name: str) -> bool:
        """Whether one picture's name, caption, file's name or fields hold all words of a rare `name`.

        "zorblax" is mentioned by "my zorblax at the beach", and no picture need be called so. A name is rare
        if one of its words is (see `Store.holding`): what a thousand captions say tells of no picture.
        """
        ...

    def tells(self, name: str) -> Fact | None:
        """What the caption or the fields of a picture that `mentions` a name say of it; `None` if that is no more."""
        ...

    def called(self, name: str) -> Candidate | None:
        """The first picture that `holds` means."""
        ...

    def near(self, name: str, limit: int = 3) -> list[str]:
        """Names, as the library spells them, that somebody who typed `name` may have meant, best first.

        Alike are names up to case, accents, endings, hyphens and spaces, and a slip of a letter or two.
        """
        ...

    def completions(self, prefix: str, limit: int = 8) -> list[str]:
        """Names of which a word begins with `prefix`; those that begin with it themselves come first."""
        ...

    def index(self, embedder: Embedder, check: Callable[[], None] = ...) -> Searchable:
        """Embed whatever is new or changed. `check` is called now and then; it may raise to stop.

        Raises:
            LibraryError: no picture of the library can be read.
        """
        ...

    def open(self, file: str) -> Image.Image:
        """A picture, decoded and turned upright, RGB or RGBA.

        Raises:
            LibraryError: there is no such picture, or it cannot be read.
        """
        ...


def is_literal(candidate: Candidate, name: str) -> bool:
    """Whether the picture is called exactly that, by its name, its caption or its file's name.

    A name that no CLIP knows ("zorblax") has no meaningful similarity; that the owner gave the
    picture this very name says more than any score.
    """
    return plain_name(name) in literal_names(candidate.name, candidate.caption, candidate.file)


def literal_names(name: str, caption: str, file: str) -> set[str]:
    """Everything a picture is literally called, as `plain_name` spells it."""
    return {plain_name(text) for text in (name, caption, PurePosixPath(file).stem)} - {""}


def plain_name(text: str) -> str:
    """ "A picture of a Hot-Dog" -> "hot dog", "my zorblax" -> "zorblax"."""
    words = " ".join(re.sub(r"[-_\s]+", " ", clean(text)).split()).strip(" .,;:!?\"'")
    return _ARTICLE.sub("", _OPENING.sub("", words)).casefold()


def spellings(file: str) -> list[str]:
    """As it is said, composed and decomposed: an entry is called as its disk spells it, people type otherwise.

    The label of a source, which comes first, is always composed.
    """
    composed, decomposed = (unicodedata.normalize(form, file) for form in ("NFC", "NFD"))
    label, slash, _ = composed.partition("/")
    below = unicodedata.normalize("NFD", composed.removeprefix(label + slash))
    return list(dict.fromkeys((file, composed, decomposed, label + slash + below if slash else decomposed)))
