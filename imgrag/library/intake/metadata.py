"""What the files beside pictures say about them.

`metadata.csv`, `.jsonl` or `.parquet` with a `file_name` column (the Hugging Face ImageFolder
convention), in any folder, and COCO annotations. Names are not normalised: a `file_name` has to be
spelled as the file is.
"""

from __future__ import annotations

import contextlib
import csv
import posixpath
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from imgrag.errors import LibraryError
from imgrag.library.intake.beside import files_below
from imgrag.library.intake.coco import Coco
from imgrag.library.intake.described import Described
from imgrag.library.intake.pictures import SUFFIXES
from imgrag.library.intake.tables import TABLES, table_rows


def read_metadata(
    root: Path, check: Callable[[], None] = lambda: None, reach: Path | None = None
) -> dict[str, Described]:
    """What the files below `root` say, by the picture's path relative to `root`, with "/".

    Several may speak of one picture: what one leaves open is taken from the next. First come the
    tables, that of the deepest folder first, and in a folder csv, jsonl, parquet; then COCO, which is
    any other JSON with images. Rows about files outside of the table's own folder are left out.
    Hidden files and folders are not looked into.

    Args:
        check: called now and then; it may raise to stop.
        reach: where links may lead, see `walk`.

    Raises:
        LibraryError: a file cannot be read; the message names it, and the line where that is known.
    """
    found: dict[str, Described] = {}
    coco = Coco(root)
    tables, annotations = _metadata_files(files_below(root, check, reach))
    for file, rows in [*((t, table_rows) for t in tables), *((a, coco.rows) for a in annotations)]:
        with _explained(file):
            for picture, described in rows(root, file):
                check()
                known = found.get(picture)
                found[picture] = known.filled_from(described) if known else described
    return found


def is_metadata(file: str) -> bool:
    """Whether a file of this name may be one that `read_metadata` reads."""
    path = PurePosixPath(file)
    return path.name in TABLES or path.suffix.lower() == ".json"


def _metadata_files(files: Iterable[str]) -> tuple[list[str], list[str]]:
    """The tables and JSON files among them, in the order in which they are asked."""
    tables: list[str] = []
    annotations: list[str] = []
    pictures = set()
    for file in files:
        path = PurePosixPath(file)
        if path.suffix.lower() in SUFFIXES:
            pictures.add(path.with_suffix(""))
        elif is_metadata(file):
            (tables if path.name in TABLES else annotations).append(file)
    tables.sort(key=lambda file: (-file.count("/"), posixpath.dirname(file), TABLES.index(Path(file).name)))
    # "cat.json" beside "cat.jpg" is about that picture alone; thousands of those need not be read.
    return tables, sorted(file for file in annotations if PurePosixPath(file).with_suffix("") not in pictures)


@contextlib.contextmanager
def _explained(file: str) -> Iterator[None]:
    """Whatever reading this file raises -> one sentence that names it."""
    try:
        yield
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        if isinstance(error, OSError):
            reason = error.strerror or "it is broken"  # its own text has the path on this machine
        elif isinstance(error, UnicodeDecodeError):
            reason = "it is no UTF-8 text"
        else:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise LibraryError(f"{file} cannot be read: {reason}. Correct it or take it away.") from error
