"""COCO annotations: captions, categories and licences of pictures that lie somewhere near."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from imgrag.library.intake.described import MAX_ITEMS, Row, bounded_text
from imgrag.library.intake.documents import entries, mentions

MAX_NAMES = 100_000  # of categories, and of licences
MAX_IMAGES = 10  # that may be one picture; more are not told apart
_ADDRESSES = ("flickr_url", "coco_url")


def is_coco(path: Path, check: Callable[[], None]) -> bool:
    """Whether a JSON file lists images. Raises what `coco_rows` raises."""
    if not mentions(path, '"images"', check):
        return False
    return any(key == "images" for key, _ in _records(path, check))


def coco_rows(
    path: Path, is_here: Callable[[object], bool], pictures: int, check: Callable[[], None]
) -> Iterator[tuple[object, Row]]:
    """What each image is called, and what its annotations say; nothing if it is another kind of JSON.

    Entries that are none are passed over. Of images that are not here nothing but the name is told.

    Args:
        is_here: whether there is a picture that is meant by a name.
        pictures: how many there are, which bounds what is remembered.

    Raises:
        ValueError, OSError: it cannot be read, or not any further; what came before that is told first.
    """
    if not mentions(path, '"images"', check):
        return
    found = _Images(is_here, MAX_IMAGES * pictures)
    problem = None
    try:
        for key, entry in _records(path, check):
            if key == "images" and not found.image(entry):
                yield entry.get("file_name"), {}
            elif key in found.takes:
                found.takes[key](entry)
        if found.is_late:
            for key, entry in _records(path, check):
                if key == "annotations":
                    found.annotation(entry)
    except ValueError as error:
        problem = error
    yield from found.rows()
    if problem:
        raise problem


class _Images:
    """The images that are here, and what was said about them so far."""

    def __init__(self, is_here: Callable[[object], bool], most: int) -> None:
        self._is_here = is_here
        self._most = most
        self._rows: dict[object, Row] = {}
        self._numbered: dict[str, Row] = {}
        self._categories: dict[str, str] = {}
        self._licences: dict[str, str] = {}
        self._begun = False
        self.is_late = False
        """Whether annotations came before the images, and have to be read again."""
        self.takes: dict[str, Callable[[Row], None]] = {
            "annotations": self.annotation,
            "categories": partial(_name, self._categories),
            "licenses": partial(_name, self._licences),
        }

    def rows(self) -> Iterator[tuple[object, Row]]:
        """The images that are here, and their annotations as a row."""
        for name, row in self._rows.items():
            kinds = (self._categories.get(kind, "") for kind in row["category"])
            licence = self._licences.get(row["licence"])
            yield name, {**row, "category": list(filter(None, kinds)), "licence": licence}

    def image(self, entry: Row) -> bool:
        """Whether it is here. Two images of one name are one."""
        self._begun = True
        name = entry.get("file_name")
        if not isinstance(name, str) or not self._is_here(name):
            return False
        if max(len(self._rows), len(self._numbered)) < self._most:
            source = next((address for key in _ADDRESSES if (address := entry.get(key))), None)
            new: Row = {
                "caption": [],
                "category": {},
                "licence": _number(entry.get("license")),
                "source": source,
            }
            self._numbered[_number(entry.get("id"))] = self._rows.setdefault(name, new)
        return True

    def annotation(self, entry: Row) -> None:
        """Of an image that is here."""
        self.is_late = self.is_late or not self._begun
        number = _number(entry.get("image_id"))
        row = self._numbered.get(number) if number else None
        if row is None:
            return
        if (caption := bounded_text(entry.get("caption"))) and len(row["caption"]) < MAX_ITEMS:
            row["caption"].append(caption)
        if (kind := _number(entry.get("category_id"))) and len(row["category"]) < MAX_ITEMS:
            row["category"][kind] = None  # in the order in which they are met, each once


def _records(path: Path, check: Callable[[], None]) -> Iterator[tuple[str, Row]]:
    return ((key, entry) for key, entry in entries(path, check) if isinstance(entry, dict))


def _name(names: dict[str, str], entry: Row) -> None:
    if len(names) < MAX_NAMES:
        names[_number(entry.get("id"))] = bounded_text(entry.get("name"))


def _number(value: object) -> str:
    """An id as some write it: 7, 7.0 and "7" are one. "" if it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if type(value) is int else bounded_text(value) if isinstance(value, str | float) else ""
