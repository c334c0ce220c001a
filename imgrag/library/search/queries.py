"""What one searches by: words, a picture, or both."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from imgrag.errors import LibraryError
from imgrag.models import Embedder
from imgrag.texts import clean

MAX_TEXT = 2000  # characters
PICTURE_SHARE = 0.4  # by `bench search` the best for the pocket CLIP: words move a vector less than pictures


@dataclass(frozen=True)
class Query:
    """Words, a picture or both, and a filter.

    Attributes:
        weight: the picture's share in a query of both, 0 to 1.
        where: see `filters`.

    Raises:
        LibraryError: there is neither, or a value is out of its range.
    """

    text: str = ""
    image: Image.Image | None = field(default=None, repr=False, compare=False)
    weight: float = PICTURE_SHARE
    where: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", clean(self.text))  # frozen for everybody else
        if not self.text.strip() and self.image is None:
            raise LibraryError("There is nothing to search by. Type some words or give a picture.")
        if len(self.text) > MAX_TEXT:
            raise LibraryError(
                f"The words have {len(self.text)} characters; at most {MAX_TEXT} are allowed. Shorten them."
            )
        if not 0 <= self.weight <= 1:
            raise LibraryError(f"The picture's weight is {self.weight}; it must be from 0 to 1.")


@dataclass(frozen=True)
class Embedded:
    """A query as vectors [d] of length 1: what to search by, and the picture alone."""

    vector: np.ndarray
    image: np.ndarray | None


def embed(query: Query, embedder: Embedder) -> Embedded:
    """Words, a picture, or both as one vector; how the two add up is the embedder's business."""
    if query.image is None:
        return Embedded(embedder.embed_texts([query.text])[0], None)
    image = embedder.embed_images([query.image])[0]
    if not query.text.strip():
        return Embedded(image, image)
    return Embedded(embedder.compose(query.image, query.text, query.weight), image)
