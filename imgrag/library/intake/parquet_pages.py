"""What the pages of a Parquet file say that they unfold to: Arrow asks for that much memory, whatever the footer says.

A page's header is a struct of Thrift's compact protocol, of which only the sizes are wanted here.
Source: parquet.thrift and the compact protocol's specification, both of Apache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

MAX_PAGES = 100_000  # of a file, a few seconds' look; writers make one of a megabyte or of 20,000 rows
MAX_DEPTH = 5  # of structs in a header; there are two
MAX_VARINT = 10  # bytes of a number of 64 bits
_BOOLEANS, _BYTE, _NUMBERS, _DOUBLE, _BINARY, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, 12
_UNCOMPRESSED, _COMPRESSED = 2, 3  # the fields of a header


def check_pages(path: Path, metadata: Any) -> None:
    """See that no column's pages unfold to more than the footer says of it.

    Args:
        metadata: a `pyarrow.parquet.FileMetaData`.

    Raises:
        ValueError, OSError: they do, or a header is broken.
    """
    left = MAX_PAGES
    with path.open("rb") as file:
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            for chunk in map(group.column, range(group.num_columns)):
                sizes = _sizes(file, chunk, left)
                left -= len(sizes)
                if sum(sizes) > chunk.total_uncompressed_size:
                    raise ValueError("its pages unfold to more than it says")


def _sizes(file: BinaryIO, chunk: Any, most: int) -> list[int]:
    """Bytes that each page of a column unfolds to, as it says itself."""
    dictionary = chunk.dictionary_page_offset or 0
    at = min(dictionary, chunk.data_page_offset) if dictionary > 0 else chunk.data_page_offset
    end, unfolded = at + chunk.total_compressed_size, list[int]()
    while at < end:
        if len(unfolded) >= most:
            raise ValueError(f"it has more than {MAX_PAGES:,} pages")
        file.seek(at)
        sizes = _numbers(file)
        if min(sizes.get(_UNCOMPRESSED, -1), sizes.get(_COMPRESSED, -1)) < 0:
            raise ValueError("a page of it has no size")
        unfolded.append(sizes[_UNCOMPRESSED])
        at = file.tell() + sizes[_COMPRESSED]
    return unfolded


def _numbers(file: BinaryIO, depth: int = 0) -> dict[int, int]:
    """The numbers of a struct, by field; what else it holds is passed over."""
    if depth > MAX_DEPTH:
        raise ValueError("a page of it has a header that is none")
    found: dict[int, int] = {}
    field = 0
    while head := _byte(file):
        kind = head & 0xF
        field = field + (head >> 4) if head >> 4 else _zigzag(file)
        if kind in _NUMBERS:
            found[field] = _zigzag(file)
        elif kind == _STRUCT:
            _numbers(file, depth + 1)
        else:
            _pass_over(file, kind)
    return found


def _pass_over(file: BinaryIO, kind: int) -> None:
    if kind in _BOOLEANS:  # the kind is the value
        return
    if kind == _BYTE:
        _byte(file)
    elif kind == _DOUBLE:
        file.seek(8, 1)
    elif kind == _BINARY:
        file.seek(_varint(file), 1)
    else:
        raise ValueError("a page of it has a header that is none")


def _zigzag(file: BinaryIO) -> int:
    number = _varint(file)
    return (number >> 1) ^ -(number & 1)


def _varint(file: BinaryIO) -> int:
    number = 0
    for place in range(MAX_VARINT):
        byte = _byte(file)
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number
    raise ValueError("a page of it has a number that is none")


def _byte(file: BinaryIO) -> int:
    found = file.read(1)
    if not found:
        raise ValueError("it ends in mid-page")
    return found[0]
