"""What a style is learnt from: pictures in it, what they show, and where there is one a plain picture of that.

A caption is what the files beside a picture say (`metadata.csv` and its kin, "cat.txt" beside "cat.jpg");
without one it is the style's own word. A column "reference" names a picture of the thing as it looks
outside of the style: with it the style is also learnt while the IP-Adapter shows the thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from imgrag.errors import StyleError
from imgrag.library.intake.metadata import read_metadata
from imgrag.library.intake.pictures import SUFFIXES, content_hash
from imgrag.library.intake.sources import Source, pictures_of
from imgrag.runs.values import in_brief

REFERENCE = "reference"
MOST = 20_000  # pictures


@dataclass(frozen=True)
class Example:
    """A picture in the style, what it shows, and a plain picture of the thing where there is one."""

    picture: Path
    caption: str
    reference: Path | None = None


def read_examples(places: Sequence[Path], word: str) -> list[Example]:
    """The pictures of these files and folders, in the order of their names.

    Args:
        word: the caption of those that have none.

    Raises:
        StyleError: there is no such place, no picture in it, or a reference that is not there.
    """
    found = [example for place in places for example in _examples(place, word)]
    if not found:
        raise StyleError("There is no picture to learn the style from. Give files or a folder of them.")
    if len(found) > MOST:
        raise StyleError(f"There are {len(found):,} pictures to learn from, more than {MOST:,}.")
    return found


def digest(examples: Iterable[Example]) -> str:
    """Changes with any picture, reference or caption."""
    known = sha256()
    for example in examples:
        known.update(example.caption.encode())
        for file in filter(None, (example.picture, example.reference)):
            known.update(content_hash(file).encode())
    return known.hexdigest()


def _examples(place: Path, word: str) -> list[Example]:
    if place.is_file() and place.suffix.lower() in SUFFIXES:
        return [Example(place, read_metadata(place.parent).of(place.name).caption or word)]
    if not place.is_dir():
        raise StyleError(f"There is no picture or folder {in_brief(place.name)!r} to learn the style from.")
    metadata, root = read_metadata(place), place.resolve()
    examples = []
    for found in pictures_of(Source("", root, root)):
        known = metadata.of(found.relative)
        reference = known.fields.get(REFERENCE)
        shown = _reference(root, found.path.parent, str(reference)) if reference else None
        examples.append(Example(found.path, known.caption or word, shown))
    references = {example.reference for example in examples}
    return [example for example in examples if example.picture not in references]


def _reference(root: Path, beside: Path, name: str) -> Path:
    """A picture that a table beside `beside` names, below the folder."""
    file = (beside / name).resolve()
    if not file.is_relative_to(root) or not file.is_file():
        raise StyleError(f"The reference {in_brief(name)!r} is no file in the folder of pictures.")
    return file
