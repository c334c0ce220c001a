"""Entries as rows of Milvus and back, within the bounds that it sets."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from imgrag.errors import LibraryError
from imgrag.library.base import literal_names
from imgrag.library.engines.store import Entry, blocks
from imgrag.library.search.filters import COLUMNS, Literal
from imgrag.library.search.words import MOST_WORDS, words_of

IDS = 2**63  # ids lie below
TEXT_BYTES = 65_535  # the longest VARCHAR of Milvus; JSON has as many
REQUEST_BYTES = 16 * 2**20  # of one upsert; a server takes 64 MB
ENTRY = ["id", "file", "digest", "size", "mtime_ns", "name", "caption", "source", "licence", "fields"]


def key(text: str) -> int:
    """63 bits of a text's hash, positive: an entry's id from its file's name, a literal name's number.

    Raises:
        LibraryError: the text is no Unicode, as names of files from other systems may be.
    """
    try:
        digest = hashlib.sha256(text.encode()).digest()
    except UnicodeEncodeError as error:
        raise LibraryError(f"{text!r} is no Unicode text, which Milvus needs. Rename the file.") from error
    return max(1, int.from_bytes(digest[:8], "big") >> 1)


def prefix(library: str) -> str:
    """What the names of a library's collections begin with."""
    slug = re.sub(r"[^a-z0-9]+", "_", library.lower()).strip("_")[:40] or "library"
    return f"imgrag_{slug}_{hashed(library)}_"


def hashed(text: str) -> str:
    """A text as a part of a collection's name."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def about(library: str, model_id: str) -> str:
    """What a collection is described by."""
    return f"imgrag library {library}, model {model_id}"


def columns_of_a_row(about: str, dimensions: int) -> Any:
    """The schema of a collection of such rows, described in a few words."""
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=about)
    schema.add_field("id", DataType.INT64, is_primary=True)
    for column in ("file", "name", "caption", "source", "licence"):
        schema.add_field(column, DataType.VARCHAR, max_length=TEXT_BYTES)
    schema.add_field("digest", DataType.VARCHAR, max_length=64)
    schema.add_field("size", DataType.INT64)
    schema.add_field("mtime_ns", DataType.INT64)
    schema.add_field("names", DataType.ARRAY, element_type=DataType.INT64, max_capacity=3)
    schema.add_field("words", DataType.ARRAY, element_type=DataType.INT64, max_capacity=MOST_WORDS)
    schema.add_field("fields", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
    return schema


def as_row(entry: Entry, vector: np.ndarray, with_words: bool = True) -> dict[str, Any]:
    """What an upsert takes. Raises LibraryError if something is too long for Milvus."""
    names = [key(name) for name in literal_names(entry.name, entry.caption, entry.file)]
    row = {column: getattr(entry, column) for column in ENTRY[1:]}
    row |= {"fields": dict(entry.fields), "id": key(entry.file), "names": names}
    if with_words:
        row["words"] = [key(word) for word in words_of(entry)]
    for column in COLUMNS:
        if len(row[column].encode("utf-8", "replace")) > TEXT_BYTES:
            raise LibraryError(
                f"The {column} of {entry.file[:80]!r} is longer than Milvus keeps. Shorten it to 65,535 bytes."
            )
    try:
        size = len(json.dumps(row["fields"], allow_nan=False).encode())
    except ValueError:
        size = TEXT_BYTES + 1
    numbers = [value for value in entry.fields.values() if isinstance(value, int)]
    if size > TEXT_BYTES or any(not -IDS <= number < IDS for number in numbers):
        raise LibraryError(
            f"The metadata of {entry.file[:80]!r} is longer than the 65,535 bytes that Milvus keeps, or has a number "
            "beyond 64 bits. Shorten it."
        )
    return {**row, "vector": np.asarray(vector, np.float32)}


def requests(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows in requests that a server takes."""
    batch: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        letters = sum(len(str(row[column])) for column in ENTRY)  # of 4 bytes at most
        own = row["vector"].nbytes + 4 * letters + 10 * len(row.get("words", ()))
        if batch and size + own > REQUEST_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += own
    if batch:
        yield batch


def filtered_values(row: Mapping[str, Any]) -> dict[str, Literal]:
    """What a filter looks at; the columns hide fields of their names."""
    return {**row.get("fields", {}), **{column: row[column] for column in COLUMNS if column in row}}


def as_entry(row: Mapping[str, Any]) -> Entry:
    """What a query with the columns `ENTRY` gave."""
    return Entry(**{column: row[column] for column in ENTRY})


def matrix(rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The rows' vectors, float32 [n, d]."""
    return np.array([row["vector"] for row in rows], np.float32)


def refuse_shared_ids(
    entries: Sequence[Entry], rows_of: Callable[[Sequence[int]], Iterable[Mapping[str, Any]]]
) -> None:
    """See that no two files get one id; `rows_of` gives the rows that have some ids. Raises LibraryError."""
    ids = [key(entry.file) for entry in entries]
    owners = {row["id"]: row["file"] for block in blocks(ids) for row in rows_of(block)}
    for entry, number in zip(entries, ids, strict=True):
        owner = owners.setdefault(number, entry.file)
        if owner != entry.file:
            raise LibraryError(f"{entry.file!r} and {owner!r} get the same id in Milvus. Rename one of them.")
