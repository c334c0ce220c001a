"""Captions for many pictures: a folder's, written to a table beside them, and a library's own."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from imgrag.captions.pipeline import BATCH, CaptionPipeline, CaptionRequest
from imgrag.engine.borrowing import BorrowedEmbedder
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import LibraryError
from imgrag.library import ImageLibrary
from imgrag.library.engines.store import WRITTEN_BY, Entry
from imgrag.library.intake.pictures import UnreadablePicture, read_picture
from imgrag.library.intake.sources import Source, pictures_of
from imgrag.runs.captions import Captioned

TABLE = "metadata.csv"
COLUMNS = ("file_name", "caption", WRITTEN_BY)
Skip = Callable[[str, str], None]
"""Told of a file that is no picture, and why."""


def pictures_below(folder: Path) -> list[tuple[str, Path]]:
    """Names and paths of the pictures in a folder. Raises LibraryError: there is none."""
    root = folder.resolve()
    found = [(picture.relative, picture.path) for picture in pictures_of(Source("", root, root))]
    if not found:
        raise LibraryError(f"There is no picture in the folder {folder.name!r}.")
    return found


def opened(pictures: Sequence[tuple[str, Path]], skip: Skip) -> Iterator[tuple[str, Image.Image]]:
    """Those that can be read."""
    for name, path in pictures:
        try:
            yield name, read_picture(path)
        except UnreadablePicture as error:
            skip(name, str(error))


def read_table(file: Path) -> list[dict[str, str]]:
    """The rows of a table of captions, none if it is not there.

    Raises:
        LibraryError: it is another kind of table, which is not written over.
    """
    if not file.exists():
        return []
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = csv.DictReader(lines)
            if not {"file_name", "caption"} <= set(rows.fieldnames or ()):
                raise ValueError("it has no columns file_name and caption")
            return [{key: row[key] or "" for key in rows.fieldnames or ()} for row in rows]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise LibraryError(
            f"The table {file.name!r} cannot be gone on with: {error}. Move it, or name another with --out."
        ) from error


def write_table(rows: Sequence[dict[str, str]], file: Path) -> None:
    """Whole or not at all. Raises LibraryError: it cannot be written."""
    columns = list(dict.fromkeys((*(key for row in rows for key in row), *COLUMNS)))
    partial = file.with_name(f"{file.name}.partial")
    try:
        with partial.open("w", newline="", encoding="utf-8") as lines:
            table = csv.DictWriter(lines, columns, restval="")
            table.writeheader()
            table.writerows(rows)
        os.replace(partial, file)
    except OSError as error:
        raise LibraryError(f"The table {file.name!r} cannot be written ({error.strerror}).") from error


def caption_folder(
    captions: CaptionPipeline, folder: Path, file: Path, request: CaptionRequest, skip: Skip,
) -> Iterator[tuple[Captioned, int, int]]:  # fmt: skip
    """Caption what has no caption in the table yet, which grows by a batch at a time; yields (caption, done, total)."""
    rows = read_table(file)
    told = {row["file_name"] for row in rows if row["caption"].strip()}
    wanted = [(name, path) for name, path in pictures_below(folder) if name not in told]
    rows = [row for row in rows if row["file_name"] in told]
    for number, one in enumerate(captions.many(opened(wanted, skip), request), start=1):
        rows.append({"file_name": one.file, "caption": one.caption, WRITTEN_BY: one.model})
        if number % BATCH == 0:
            write_table(rows, file)
        yield one, number, len(wanted)
    write_table(rows, file)


def caption_library(
    pipeline: ImageRAGPipeline, captions: CaptionPipeline, name: str, request: CaptionRequest,
    check: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Captioned, int, int]]:  # fmt: skip
    """Caption the pictures of a library that have no caption; each batch is kept before the next begins.

    They are marked with the model's name in the field `captioned_by`, and are nobody's neighbours.

    Raises:
        LibraryError: the library comes with the app, is being changed, or no other captions can be read.
    """
    library = pipeline.library(name)
    library.require_own()
    column = library.index(BorrowedEmbedder(pipeline), check)
    wanted = [entry for entry in _entries(library) if not entry.caption.strip()]
    done = 0
    for start in range(0, len(wanted), BATCH):
        batch = list(_opened(library, wanted[start : start + BATCH]))
        made = list(captions.many([(entry.file, picture) for entry, picture in batch], request, check))
        kept = [
            replace(entry, caption=one.caption, fields={**entry.fields, WRITTEN_BY: one.model})
            for (entry, _), one in zip(batch, made, strict=True)
        ]
        column.rewrite(kept)
        for one in made:
            done += 1
            yield one, done, len(wanted)


def _entries(library: ImageLibrary, page: int = 1000) -> Iterator[Entry]:
    for start in range(0, library.count(), page):
        yield from library.entries(start, page)


def _opened(library: ImageLibrary, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Image.Image]]:
    for entry in entries:
        try:
            yield entry, library.open(entry.file)
        except LibraryError:  # moved or damaged since; it has no caption then
            continue
