"""Small pictures out of a library for the page, as data URIs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from imgrag.errors import LibraryError
from imgrag.library import ImageLibrary
from imgrag.library.called import TYPING_SECONDS
from imgrag.runs.reading import Thing
from imgrag.ui.create.markup import data_uri

SIDE = 64  # px


def thumbnails(library: ImageLibrary, files: Mapping[str, str]) -> dict[str, str]:
    """Of `files`, each under its key; one that vanished since it was found is left out."""
    shown: dict[str, str] = {}
    for key, file in files.items():
        with suppress(LibraryError):
            shown[key] = data_uri(library.thumbnail(file, SIDE), SIDE, "webp")
    return shown


def pictures_of(library: ImageLibrary, things: Iterable[Thing]) -> dict[str, str]:
    """The library's picture of each thing that it holds, by the thing's name."""
    names = library.moment(TYPING_SECONDS)
    held = {thing.name: names.called(thing.name) for thing in things if "library" in thing.known}
    return thumbnails(library, {name: found.file for name, found in held.items() if found is not None})
