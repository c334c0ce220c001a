"""What the files beside pictures say about them.

`metadata.csv`, `.tsv`, `.jsonl`, `.json` or `.parquet` with a `file_name` column (the Hugging Face
ImageFolder convention), in any folder, COCO annotations, and a caption in "cat.txt" or "cat.caption" beside
"cat.jpg". A file that cannot be read costs its captions, never a picture.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from imgrag.library.base import Skipped
from imgrag.library.intake.beside import files_below
from imgrag.library.intake.captions import captions_beside, read_caption
from imgrag.library.intake.coco import coco_rows, is_coco
from imgrag.library.intake.described import Described
from imgrag.library.intake.findings import Findings
from imgrag.library.intake.pictures import SUFFIXES
from imgrag.library.intake.places import Places
from imgrag.library.intake.tables import is_table, scalar_of, table_order, table_rows
from imgrag.texts import clean


@dataclass(frozen=True)
class Metadata:
    """What is known of the pictures below a folder.

    Attributes:
        described: by the picture's path relative to the folder, composed (NFC).
        captions: likewise the file that holds its caption alone.
        unmatched: rows that found no picture.
        unmatched_names: what at most three of them call it.
        problems: files that could not be read, or not to their end, and why.
    """

    described: Mapping[str, Described] = field(default_factory=dict)
    captions: Mapping[str, Path] = field(default_factory=dict)
    unmatched: int = 0
    unmatched_names: tuple[str, ...] = ()
    problems: tuple[Skipped, ...] = ()

    def of(self, picture: str) -> Described:
        """What is known of one picture; a caption of its own is read now."""
        place = clean(picture)
        known = self.described.get(place, Described())
        beside = self.captions.get(place)
        return known.filled_from(Described(caption=read_caption(beside))) if beside else known


def read_metadata(
    root: Path, check: Callable[[], None] = lambda: None, reach: Path | None = None
) -> Metadata:
    """What the files below `root` say.

    Several may speak of one picture: what one leaves open is taken from the next. First come the
    tables, that of the deepest folder first, and in a folder csv, tsv, jsonl, json, parquet; then COCO,
    which is any other JSON with images; then captions. Rows of a table about files outside of its own
    folder find no picture. Hidden files and folders are not looked into.

    Args:
        check: called now and then; it may raise to stop.
    """
    files = list(files_below(root, check, reach))
    pictures = [file for file in files if _suffix(file) in SUFFIXES]
    places = Places(pictures)
    findings, problems = Findings(places), []
    for file in _asked(files, pictures):
        try:
            _read(root, file, places, findings, check)
        except (OSError, ValueError, RecursionError) as error:
            problems.append(Skipped(file, _why(error)))
    return Metadata(
        findings.described,
        {clean(picture): root / beside for picture, beside in captions_beside(files).items()},
        findings.unmatched,
        tuple(findings.names),
        tuple(problems),
    )


def is_metadata(file: str) -> bool:
    """Whether a file of this name may say something about pictures, whatever they are called."""
    return is_table(file) or _suffix(file) == ".json"


def _read(root: Path, file: str, places: Places, findings: Findings, check: Callable[[], None]) -> None:
    path = root / file
    if is_table(file) and not (_suffix(file) == ".json" and is_coco(path, check)):
        findings.read(file, table_rows(path, check), scalar_of(path))
    else:
        is_here = partial(_is_here, places, file)
        findings.read(file, coco_rows(path, is_here, len(places), check), anywhere=True)


def _is_here(places: Places, file: str, name: object) -> bool:
    return places.find(file, name, anywhere=True) is not None


def _asked(files: Iterable[str], pictures: Iterable[str]) -> list[str]:
    """The files that are asked, in this order."""
    # "cat.json" beside "cat.jpg" is about that picture alone; thousands of those need not be read.
    own = set(map(_stem, pictures))
    asked = [file for file in files if is_metadata(file) and (is_table(file) or _stem(file) not in own)]
    return sorted(asked, key=lambda file: _rank(file) if is_table(file) else (1, 0, "", 0, file))


def _rank(file: str) -> tuple[int, int, str, int, str]:
    return (0, -file.count("/"), posixpath.dirname(file), table_order(file), file)


def _stem(file: str) -> str:
    return posixpath.splitext(clean(file))[0]


def _suffix(file: str) -> str:
    return posixpath.splitext(file)[1].lower()


def _why(error: Exception) -> str:
    """The reason in words; an error of the system has the path on this machine in its own."""
    if isinstance(error, OSError):
        return "it cannot be opened"
    if isinstance(error, UnicodeError):
        return "it is no text"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
