"""What is known of pictures, read from the files beside them or inside them.

Beside: `metadata.csv`, `.jsonl` or `.parquet` with a `file_name` column (the Hugging Face
ImageFolder convention), in any folder, and COCO annotations. Inside: EXIF and IPTC. XMP is not
read. Names are not normalised: a `file_name` has to be spelled as the file is.

Text is cut at 2,000 characters and the name of a field at 64. What is empty, null or no number
(NaN) counts as not there.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin

from imgrag.errors import LibraryError
from imgrag.library.pictures import FORMATS, SUFFIXES
from imgrag.library.store import Value

MAX_FILE_BYTES = 512 * 2**20
MAX_TEXT = 2000  # characters
MAX_FIELD_NAME = 64  # characters
TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
Row = dict[str, Any]

_SPELLINGS = {
    "name": ("name",),
    "caption": ("caption", "text"),
    "source": ("source", "url"),
    "licence": ("licence", "license"),
}
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})")  # "007" is a text: as a number it would lose its zeros
_DECIMAL = re.compile(r"-?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|-?\d+[eE][-+]\d+")
_ABSENT = frozenset(("", "nan", "none", "null"))  # as pandas and others write what is missing
_COCO_KEYS = frozenset(
    "images annotations categories licenses id file_name license flickr_url coco_url image_id caption "
    "category_id name".split()
)
_IPTC = {"name": (2, 5), "caption": (2, 120), "source": (2, 80), "licence": (2, 116)}
_IPTC_KEYWORDS = (2, 25)


@dataclass(frozen=True)
class Described:
    """What is known of one picture; "" where nothing is.

    Attributes:
        caption: one or several, joined by " / ".
        fields: everything else, such as category or price.
    """

    name: str = ""
    caption: str = ""
    source: str = ""
    licence: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict)

    def filled_from(self, other: Described) -> Described:
        """This, and from `other` what is not known here."""
        return Described(
            self.name or other.name,
            self.caption or other.caption,
            self.source or other.source,
            self.licence or other.licence,
            {**other.fields, **self.fields},
        )


def read_metadata(root: Path) -> dict[str, Described]:
    """What the files below `root` say, by the picture's path relative to `root`, with "/".

    Several may speak of one picture: what one leaves open is taken from the next. First come the
    tables, that of the deepest folder first, and in a folder csv, jsonl, parquet; then COCO, which is
    any other JSON with images. Rows about files outside of the table's own folder are left out.
    Hidden files and folders are not looked into.

    Raises:
        LibraryError: a file cannot be read; the message names it, and the line where that is known.
    """
    found: dict[str, Described] = {}
    coco = _Coco(root)
    tables, annotations = _metadata_files(root)
    for file, rows in [*((t, _table_rows) for t in tables), *((a, coco.rows) for a in annotations)]:
        with _explained(file):
            for picture, described in rows(root, file):
                known = found.get(picture)
                found[picture] = known.filled_from(described) if known else described
    return found


def is_metadata(file: str) -> bool:
    """Whether a file of this name may be one that `read_metadata` reads."""
    path = PurePosixPath(file)
    return path.name in TABLES or path.suffix.lower() == ".json"


def folder_category(file: str) -> str:
    """The folder a picture lies in: "cats/tom.jpg" -> "cats"; "" if it lies in none."""
    return PurePosixPath(file).parent.name


def describe_row(row: Mapping[Any, Any], scalar: Callable[[Any], Value | None] | None = None) -> Described:
    """Columns -> what they say. Those with a meaning of their own may be spelled in several ways.

    Every other column becomes a field, also one called "file" or "size".

    Args:
        scalar: how a field's value is read; `None` means that there is none.
    """
    columns = {name: value for key, value in row.items() if isinstance(key, str) and (name := key.strip())}
    texts = {attribute: _take_text(columns, names) for attribute, names in _SPELLINGS.items()}
    values = ((name[:MAX_FIELD_NAME], (scalar or as_scalar)(value)) for name, value in columns.items())
    return Described(**texts, fields={name: value for name, value in values if value is not None})


def as_scalar(value: Any) -> Value | None:
    """A value as JSON or Parquet give it -> a field's value; `None` if it is none."""
    match value:
        case bool():
            return value
        case int():
            return value if abs(value) < 2**63 else _text(value)  # databases hold 64 bits
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case str() | date() | datetime() | time() | list():
            return _text(value, ", ") or None
    return None


def plain_columns(schema: Any) -> list[str]:
    """Columns of an Arrow schema that can be read as text or one value; no vectors, pictures, structs."""
    import pyarrow.types as kinds

    def is_plain(kind: Any) -> bool:
        if kinds.is_dictionary(kind):
            return is_plain(kind.value_type)
        if kinds.is_list(kind) or kinds.is_large_list(kind):
            return _is_string(kind.value_type)
        return kinds.is_primitive(kind) or kinds.is_decimal(kind) or _is_string(kind)

    return [column.name for column in schema if is_plain(column.type)]


def _is_string(kind: Any) -> bool:
    import pyarrow.types as kinds

    return kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)


def describe_picture(path: Path) -> Described:
    """What a picture file says of itself, in IPTC and, where that is silent, EXIF; never raises."""
    known = Described()
    # Pillow's readers raise nearly anything on broken files, and a caption is not worth an error.
    with contextlib.suppress(Exception), Image.open(path, formats=FORMATS) as picture:
        for read in (_from_iptc, _from_exif):
            with contextlib.suppress(Exception):
                known = known.filled_from(read(picture))
    return known


def _from_iptc(picture: ImageFile.ImageFile) -> Described:
    stored = IptcImagePlugin.getiptcinfo(picture) or {}
    texts = {key: ", ".join(_iptc_texts(stored.get(number))) for key, number in _IPTC.items()}
    keywords = _text(", ".join(_iptc_texts(stored.get(_IPTC_KEYWORDS))))
    cut = {key: _text(text) for key, text in texts.items()}
    return Described(**cut, fields={"keywords": keywords} if keywords else {})


def _iptc_texts(stored: bytes | list[bytes] | None) -> list[str]:
    items = stored if isinstance(stored, list) else [stored or b""]
    return [text for item in items if (text := _text(_decoded(item)))]


def _from_exif(picture: ImageFile.ImageFile) -> Described:
    if picture.format == "PNG" and "exif" not in picture.info:
        return Described()  # Pillow would decode all of it to look for EXIF at its end
    exif = picture.getexif()

    def text(tag: int) -> str:
        value = exif.get(tag, "")
        # EXIF says ASCII and Pillow reads Latin-1, but what cameras and programs write is UTF-8.
        return _text(_decoded(value.encode("latin-1", "replace") if isinstance(value, str) else value))

    tags = ExifTags.Base
    return Described(
        caption=text(tags.ImageDescription), source=text(tags.Artist), licence=text(tags.Copyright)
    )


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _metadata_files(root: Path) -> tuple[list[str], list[str]]:
    """Tables and JSON files below `root`, in the order in which they are asked."""
    tables: list[str] = []
    annotations: list[str] = []
    pictures = set()
    for file in _files(root):
        path = PurePosixPath(file)
        if path.suffix.lower() in SUFFIXES:
            pictures.add(path.with_suffix(""))
        elif is_metadata(file) and _is_inside(root, root / file):
            (tables if path.name in TABLES else annotations).append(file)
    tables.sort(key=lambda file: (-file.count("/"), posixpath.dirname(file), TABLES.index(Path(file).name)))
    # "cat.json" beside "cat.jpg" is about that picture alone; thousands of those need not be read.
    return tables, sorted(file for file in annotations if PurePosixPath(file).with_suffix("") not in pictures)


def _files(root: Path) -> Iterator[str]:
    """All files below `root` but hidden ones, relative to it."""
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        place = Path(folder).relative_to(root).as_posix()
        yield from (posixpath.normpath(f"{place}/{name}") for name in names if not name.startswith("."))


def _is_inside(root: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


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


def _checked(path: Path) -> Path:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES // 2**20} MB")
    return path


def _table_rows(root: Path, file: str) -> Iterator[tuple[str, Described]]:
    """Pictures that a table speaks of, and what it says."""
    read = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}[Path(file).suffix]
    scalar = _csv_scalar if file.endswith(".csv") else as_scalar
    rows = named = 0
    for row in read(_checked(root / file)):
        rows += 1
        name = next((row.pop(key) for key in list(row) if _is_file_name(key)), None)
        named += bool(name)
        if place := _place(posixpath.dirname(file), name):
            yield place, describe_row(row, scalar)
    if rows and not named:
        raise ValueError("it has no file_name column")


def _is_file_name(column: object) -> bool:
    return isinstance(column, str) and column.strip().casefold() == "file_name"


def _place(folder: str, name: object) -> str:
    """A file's path relative to the root; "" if it is none, or outside of `folder`."""
    if not isinstance(name, str) or not name.strip():
        return ""
    inner = posixpath.normpath(name.strip().replace("\\", "/"))
    if inner.startswith(("/", "../")) or inner in (".", "..") or re.match(r"[A-Za-z]:", inner):
        return ""
    return posixpath.join(folder, inner)


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = file.readline()
        file.seek(0)
        # Spreadsheets of many countries write semicolons.
        reader = csv.DictReader(file, delimiter=max(",;\t", key=header.count))
        try:
            yield from reader
        except csv.Error as error:
            raise ValueError(f"line {reader.reader.line_num}: {error}") from error


def _json_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} is no JSON ({error.msg})") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            yield row


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
            if sum(group.total_byte_size for group in groups) > MAX_FILE_BYTES:
                raise ValueError(f"it unfolds to more than {MAX_FILE_BYTES // 2**20} MB")
            for batch in file.iter_batches(1000, columns=plain_columns(file.schema_arrow)):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError("it is no Parquet file or broken") from error


def _csv_scalar(text: Any) -> Value | None:
    """A cell -> a number, a truth value or a text."""
    cell = _text(text)
    if cell.casefold() in _ABSENT:
        return None
    if _INTEGER.fullmatch(cell):
        return int(cell)
    if _DECIMAL.fullmatch(cell) and math.isfinite(float(cell)):
        return float(cell)
    return cell.casefold() == "true" if cell.casefold() in ("true", "false") else cell


def _take_text(columns: Row, names: Iterable[str]) -> str:
    """The first text in a column of one of these names, which is taken out of `columns`."""
    for name in names:
        for column in [column for column in columns if column.casefold() == name]:
            text = _text(columns[column])
            if text.casefold() not in _ABSENT:
                del columns[column]
                return text
    return ""


def _text(value: Any, joint: str = " / ") -> str:
    """One value or several as one bounded text that any database takes."""
    if isinstance(value, list):
        return _text(
            joint.join(text for item in value if (text := "" if isinstance(item, list) else _text(item)))
        )
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str | int | float | Decimal | date | datetime | time) or value != value:
        return ""  # also NaN, the only value that differs from itself
    # Lone surrogates have no UTF-8, and C libraries end a text at a NUL.
    clean = str(value).encode("utf-8", "replace").decode().replace("\0", "")
    return clean.strip()[:MAX_TEXT].strip()


class _Coco:
    """Reads COCO annotations of a folder. They often name pictures without the folder they lie in."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_name: dict[str, list[str]] | None = None

    def rows(self, root: Path, file: str) -> Iterator[tuple[str, Described]]:
        """Pictures that `file` annotates, and what it says; nothing if it is another kind of JSON."""
        text = _checked(root / file).read_text(encoding="utf-8-sig", errors="replace")
        if '"images"' not in text:
            return
        try:
            content = json.loads(text, object_hook=_without_outlines)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {error.lineno} is no JSON ({error.msg})") from error
        if isinstance(content, dict) and isinstance(content.get("images"), list):
            for name, row in _coco_images(content):
                if place := self._place(file, name):
                    yield place, describe_row(row)

    def _place(self, file: str, name: object) -> str:
        """The picture beside the annotations, or else the nearest one of this name below the root.

        Of several equally near the one counts whose folder the annotations are called after:
        "captions_val2017.json" is about "val2017". If that leaves several, none does.
        """
        folder = posixpath.dirname(file)
        place = _place(folder, name)
        if not place or (self._root / place).is_file():
            return place
        inner = _place("", name)
        same = [path for path in self._named(posixpath.basename(inner)) if f"/{path}".endswith(f"/{inner}")]
        nearest = max((_common(folder, path) for path in same), default=0)
        near = [path for path in same if _common(folder, path) == nearest]
        fitting = [path for path in near if len(near) == 1 or folder_category(path) in Path(file).stem]
        return fitting[0] if len(fitting) == 1 else ""

    def _named(self, name: str) -> list[str]:
        if self._by_name is None:
            self._by_name = {}
            for file in _files(self._root):
                self._by_name.setdefault(posixpath.basename(file), []).append(file)
        return self._by_name.get(name, [])


def _common(folder: str, path: str) -> int:
    """How many folders, from the root on, two paths have in common."""
    pairs = zip(PurePosixPath(folder).parts, PurePosixPath(path).parts, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _without_outlines(content: Row) -> Row:
    """Only what is read: the outlines of objects are nearly all of a large file."""
    return {key: content[key] for key in content.keys() & _COCO_KEYS}


def _coco_images(content: Row) -> Iterator[tuple[object, Row]]:
    """The name of each image, and its annotations as a row."""
    categories = _coco_names(content, "categories")
    licences = _coco_names(content, "licenses")
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


def _coco_names(content: Row, key: str) -> dict[str, str]:
    return {str(record.get("id")): _text(record.get("name")) for record in _records(content, key)}


def _records(content: Row, key: str) -> list[Row]:
    records = content.get(key)
    return [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []
