"""Metadata beside the images, by the Hugging Face ImageFolder convention.

`metadata.csv` or `metadata.jsonl` with a `file_name` column; `name`, `caption`, `source` and
`licence` are read, other columns are left alone.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imgrag.errors import LibraryError

_SPELLINGS = {
    "licence": ("licence", "license"),
    "caption": ("caption", "text"),
    "name": ("name",),
    "source": ("source",),
}


def read_metadata(folder: Path) -> dict[str, dict[str, str]]:
    """What is known of each file: `{file_name: {name, caption, source, licence}}`.

    Raises:
        LibraryError: the file is there but cannot be read.
    """
    for file, rows in (("metadata.csv", _csv_rows), ("metadata.jsonl", _json_rows)):
        if (folder / file).is_file():
            try:
                return {
                    str(row["file_name"]): _known(row) for row in rows(folder / file) if row.get("file_name")
                }
            except (OSError, ValueError, csv.Error) as error:
                raise LibraryError(
                    f"{file} of the library {folder.name!r} cannot be read: {error}."
                ) from error
    return {}


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        yield from csv.DictReader(file)


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for line in filter(str.strip, file):
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a line is no JSON object")
            yield row


def _known(row: dict[str, Any]) -> dict[str, str]:
    return {
        key: next((str(row[s]) for s in spellings if row.get(s)), "") for key, spellings in _SPELLINGS.items()
    }
