"""Parquet shards: pictures' embeddings and metadata, to carry a library elsewhere or bring one in.

A shard that this module writes has the columns id, file, digest, name, caption, source, licence,
fields (JSON) and embedding, and names the model in the schema's metadata. It reads those, and
what others write: any Parquet file with a column of vectors, and the output of clip-retrieval,
which keeps the vectors of `metadata/metadata_0.parquet` in `img_emb/img_emb_0.npy`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from imgrag.errors import LibraryError
from imgrag.library.engines.store import Entry, Value
from imgrag.library.intake.described import (
    MAX_FIELDS,
    Row,
    as_scalar,
    describe_row,
    field_name,
)
from imgrag.library.intake.documents import decode
from imgrag.library.intake.parquet import TooMuch, batches, open_parquet, plain_columns, rows_of
from imgrag.texts import clean

MODEL_KEY = b"imgrag_model_id"
DIMENSIONS_KEY = b"imgrag_dimensions"
VECTOR_COLUMNS = ("embedding", "image_embedding", "vector")
FILE_COLUMNS = ("file", "file_name", "image_path")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SCHEME = re.compile(r"^[A-Za-z][\w+.-]*:(?=/)")  # "https:", also a drive's "C:"


def export_shards(
    rows: Iterable[tuple[list[Entry], np.ndarray]], folder: Path, model_id: str, shard_rows: int = 10_000
) -> list[Path]:
    """Write `part-00000.parquet` and so on, each whole or not at all; returns their paths.

    Args:
        rows: entries and their vectors [n, d], as `Store.rows` gives them.
        folder: is made if need be; must not hold parts of an earlier export.

    Raises:
        LibraryError: the folder holds parts already, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.glob("part-*.parquet")):
            raise LibraryError(f"The folder {folder.name!r} already holds an export. Choose an empty one.")
        pieces = groupby(_pieces(rows, shard_rows), key=lambda piece: piece[0])
        return [_write_shard(folder, number, group, model_id) for number, group in pieces]
    except OSError as error:
        reason = error.strerror or "its disk does not take it"
        raise LibraryError(f"The export to {folder.name!r} cannot be written: {reason}.") from error


_Piece = tuple[int, list[Entry], np.ndarray]  # number of the shard, entries, vectors [n, d]


def _pieces(rows: Iterable[tuple[list[Entry], np.ndarray]], shard_rows: int) -> Iterator[_Piece]:
    """The rows, cut where a shard ends."""
    done = 0
    for entries, vectors in rows:
        at = 0
        while at < len(entries):
            size = min(len(entries) - at, shard_rows - done % shard_rows)
            yield done // shard_rows, entries[at : at + size], vectors[at : at + size]
            at += size
            done += size


def _write_shard(folder: Path, number: int, pieces: Iterable[_Piece], model_id: str) -> Path:
    import pyarrow.parquet as pq

    path = folder / f"part-{number:05d}.parquet"
    partial = folder / f".{path.name}.partial"
    tables = (_table(entries, vectors, model_id) for _, entries, vectors in pieces)
    try:
        first = next(tables)
        with pq.ParquetWriter(partial, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _table(entries: Sequence[Entry], vectors: np.ndarray, model_id: str) -> Any:
    import pyarrow as pa

    dimensions = vectors.shape[1]
    texts = ("file", "digest", "name", "caption", "source", "licence")
    fields = [json.dumps(dict(entry.fields), ensure_ascii=False) for entry in entries]
    values = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    columns = {
        "id": pa.array([entry.id for entry in entries], pa.int64()),
        **{text: pa.array([getattr(entry, text) for entry in entries], pa.string()) for text in texts},
        "fields": pa.array(fields, pa.string()),
        "embedding": pa.FixedSizeListArray.from_arrays(values, dimensions),
    }
    about = {MODEL_KEY: model_id.encode(), DIMENSIONS_KEY: str(dimensions).encode()}
    return pa.table(columns).replace_schema_metadata(about)


def is_shard(path: Path) -> bool:
    """Whether it is a Parquet file whose rows have vectors."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.lower() != ".parquet":
        return False
    try:
        return bool(_vector_column(pq.read_schema(path)) or _numpy_file(path))
    except (OSError, pa.ArrowException):
        return False


def read_shards(paths: Iterable[Path], check: Callable[[], None] = lambda: None) -> ShardReader:
    """Read shards back; nothing is opened before the first block is asked for.

    A picture's file is column file, file_name or image_path, without what leads out of a folder; a
    row that has none is called after its place. Other columns are read as those of metadata are.
    `check` is called before each block; it may raise to stop.
    """
    return ShardReader(paths, check)


class ShardReader:
    """Blocks of at most 1,000 entries, their vectors (float32 [n, d] of length 1) and the model's id.

    The id is "" where a file does not name its model. Entries have the id that the shard gives, or 0,
    and a digest of "" where it gives none. Iterating raises LibraryError if a file cannot be read or
    has no vectors.

    Attributes:
        skipped: rows left out so far: their vector is missing, zero, not finite or of another length.
    """

    def __init__(self, paths: Iterable[Path], check: Callable[[], None]) -> None:
        self._paths = paths
        self._check = check
        self.skipped = 0

    def __iter__(self) -> Iterator[tuple[list[Entry], np.ndarray, str]]:
        for path in self._paths:
            yield from self._shard(path)

    def _shard(self, path: Path) -> Iterator[tuple[list[Entry], np.ndarray, str]]:
        import pyarrow as pa

        try:
            with open_parquet(path) as file:
                schema = file.schema_arrow
                model_id = clean((schema.metadata or {}).get(MODEL_KEY, b"").decode("utf-8", "replace"))
                vectors = _Vectors(path, schema, file.metadata.num_rows)
                columns = [name for name in plain_columns(schema) if name != vectors.column]
                wanted = [*columns, vectors.column] if vectors.column else columns
                start = 0
                for batch in batches(file, wanted, self._check):
                    kept, matrix = vectors.take(batch, start)
                    rows = rows_of(batch.take(pa.array(kept, pa.int64())), but=vectors.column)
                    places = [f"{path.stem}/{start + row:08d}" for row in kept]
                    self.skipped += batch.num_rows - len(kept)
                    start += batch.num_rows
                    if kept:
                        yield [_entry(*pair) for pair in zip(rows, places, strict=True)], matrix, model_id
        except TooMuch as error:
            raise LibraryError(f"{path.name} cannot be read: {error}. Correct it or take it away.") from error
        except (OSError, ValueError, pa.ArrowException) as error:
            raise LibraryError(
                f"{path.name} is no Parquet file, or a broken one. Export it again."
            ) from error


class _Vectors:
    """The vectors of a shard, in one of its columns or in the file that clip-retrieval puts beside."""

    def __init__(self, path: Path, schema: Any, rows: int) -> None:
        self.column = _vector_column(schema)
        self._length = int((schema.metadata or {}).get(DIMENSIONS_KEY, b"0"))
        self._stored: np.ndarray | None = None
        beside = _numpy_file(path)
        if not self.column and beside is None:
            raise LibraryError(f"{path.name} has no column of embeddings ({', '.join(VECTOR_COLUMNS)}).")
        if not self.column and beside is not None:
            self._stored = np.load(beside, mmap_mode="r", allow_pickle=False)
            if self._stored.ndim != 2 or len(self._stored) != rows:
                raise LibraryError(
                    f"{beside.name} holds an array of shape {list(self._stored.shape)}, but {path.name} {rows} "
                    "rows. Take both from one run of clip-retrieval."
                )

    def take(self, batch: Any, start: int) -> tuple[list[int], np.ndarray]:
        """Which rows of a batch have a usable vector, and those [n, d] as float32 of length 1."""
        if self._stored is not None:
            present = list(range(batch.num_rows))
            matrix = np.asarray(self._stored[start : start + batch.num_rows])
        else:
            present, matrix = self._from_column(batch.column(self.column))
        wide = matrix.astype(np.float64)  # a square of a large float32 is no float32
        with np.errstate(over="ignore"):  # what is too long becomes infinite, and is left out
            lengths = np.linalg.norm(wide, axis=1)
        usable = np.isfinite(lengths) & (lengths > 0)
        unit = (wide[usable] / lengths[usable, None]).astype(np.float32)
        return [row for row, good in zip(present, usable, strict=True) if good], unit

    def _from_column(self, column: Any) -> tuple[list[int], np.ndarray]:
        import pyarrow as pa
        import pyarrow.compute as pc

        lengths = pc.list_value_length(column).to_pylist()
        if not self._length:
            # Without a word from the file, what most rows have is right.
            self._length = Counter(filter(None, lengths)).most_common(1)[0][0] if any(lengths) else 0
        present = [row for row, length in enumerate(lengths) if length and length == self._length]
        values = pc.list_flatten(column.take(pa.array(present, pa.int64())))
        return present, values.to_numpy(zero_copy_only=False).reshape(len(present), self._length)


def _vector_column(schema: Any) -> str:
    """The name of the first column of vectors; "" if there is none."""
    import pyarrow.types as kinds

    for name in VECTOR_COLUMNS:
        at = schema.get_field_index(name)
        kind = schema.field(at).type if at >= 0 else None
        if kind is None or not (
            kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
        ):
            continue
        if kinds.is_floating(kind.value_type) or kinds.is_integer(kind.value_type):
            return name
    return ""


def _numpy_file(path: Path) -> Path | None:
    """metadata/metadata_0.parquet -> img_emb/img_emb_0.npy, if it is there."""
    if path.parent.name != "metadata" or not path.stem.startswith("metadata_"):
        return None
    beside = path.parent.parent / "img_emb" / f"{path.stem.replace('metadata', 'img_emb', 1)}.npy"
    return beside if beside.is_file() else None


def _entry(row: Row, place: str) -> Entry:
    row = dict(row)
    column = next((name for name in FILE_COLUMNS if row.get(name)), "")
    file = _inner_path(str(row.pop(column, "")))
    stored = _stored_fields(row)
    number, digest = row.pop("id", None), row.pop("digest", None)
    described = describe_row(row if _is_id(number) else {**row, "id": number})
    return Entry(
        file=file or place,
        digest=digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else "",
        name=described.name,
        caption=described.caption,
        source=described.source,
        licence=described.licence,
        fields={**described.fields, **stored},
        id=number if _is_id(number) else 0,
    )


def _is_id(number: object) -> bool:
    return isinstance(number, int) and number > 0


def _stored_fields(row: Row) -> dict[str, Value]:
    """What an export keeps in its column "fields", which is taken out of the row."""
    with contextlib.suppress(ValueError, TypeError):
        stored = decode(row.get("fields") or "")
        if isinstance(stored, dict):
            del row["fields"]
            read = ((field_name(name), as_scalar(value)) for name, value in stored.items())
            return dict(
                islice(((name, value) for name, value in read if name and value is not None), MAX_FIELDS)
            )
    return {}


def _inner_path(name: str) -> str:
    """A path or address as others write it -> one within a library: no drive, no root, no ".."."""
    path = _SCHEME.sub("", clean(name).strip().replace("\\", "/"))
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))
