"""COCO annotations: captions, categories and licences of pictures that lie somewhere near."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from imgrag.library.intake.beside import checked, files_below, folder_category, place_below
from imgrag.library.intake.described import Described, Row, bounded_text, describe_row

_KEYS = frozenset(
    "images annotations categories licenses id file_name license flickr_url coco_url image_id caption "
    "category_id name".split()
)


class Coco:
    """Reads COCO annotations of a folder. They often name pictures without the folder they lie in."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_name: dict[str, list[str]] | None = None

    def rows(self, root: Path, file: str) -> Iterator[tuple[str, Described]]:
        """Pictures that `file` annotates, and what it says; nothing if it is another kind of JSON.

        Raises:
            ValueError, OSError, RecursionError: it cannot be read; the text says why.
        """
        text = checked(root / file).read_text(encoding="utf-8-sig", errors="replace")
        if '"images"' not in text:
            return
        try:
            content = json.loads(text, object_hook=_without_outlines)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {error.lineno} is no JSON ({error.msg})") from error
        if isinstance(content, dict) and isinstance(content.get("images"), list):
            for name, row in _images(content):
                if place := self._place(file, name):
                    yield place, describe_row(row)

    def _place(self, file: str, name: object) -> str:
        """The picture beside the annotations, or else the nearest one of this name below the root.

        Of several equally near the one counts whose folder the annotations are called after:
        "captions_val2017.json" is about "val2017". If that leaves several, none does.
        """
        folder = posixpath.dirname(file)
        place = place_below(folder, name)
        if not place or (self._root / place).is_file():
            return place
        inner = place_below("", name)
        same = [path for path in self._named(posixpath.basename(inner)) if f"/{path}".endswith(f"/{inner}")]
        nearest = max((_common(folder, path) for path in same), default=0)
        near = [path for path in same if _common(folder, path) == nearest]
        fitting = [path for path in near if len(near) == 1 or folder_category(path) in Path(file).stem]
        return fitting[0] if len(fitting) == 1 else ""

    def _named(self, name: str) -> list[str]:
        if self._by_name is None:
            self._by_name = {}
            for file in files_below(self._root):
                self._by_name.setdefault(posixpath.basename(file), []).append(file)
        return self._by_name.get(name, [])


def _common(folder: str, path: str) -> int:
    """How many folders, from the root on, two paths have in common."""
    pairs = zip(PurePosixPath(folder).parts, PurePosixPath(path).parts, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _without_outlines(content: Row) -> Row:
    """Only what is read: the outlines of objects are nearly all of a large file."""
    return {key: content[key] for key in content.keys() & _KEYS}


def _images(content: Row) -> Iterator[tuple[object, Row]]:
    """The name of each image, and its annotations as a row."""
    categories = _names(content, "categories")
    licences = _names(content, "licenses")
    captions: dict[str, list[Any]] = {}
    kinds: dict[str, dict[str, None]] = {}  # in the order in which they are met
    for annotation in _records(content, "annotations"):
        image = str(annotation.get("image_id"))
        if caption := annotation.get("caption"):
            captions.setdefault(image, []).append(caption)
        if category := categories.get(str(annotation.get("category_id"))):
            kinds.setdefault(image, {})[category] = None
    for record in _records(content, "images"):
        number = str(record.get("id"))
        yield (
            record.get("file_name"),
            {
                "caption": captions.get(number),
                "category": list(kinds.get(number, ())),
                "licence": licences.get(str(record.get("license"))),
                "source": record.get("flickr_url") or record.get("coco_url"),
            },
        )


def _names(content: Row, key: str) -> dict[str, str]:
    return {str(record.get("id")): bounded_text(record.get("name")) for record in _records(content, key)}


def _records(content: Row, key: str) -> list[Row]:
    records = content.get(key)
    return [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []
