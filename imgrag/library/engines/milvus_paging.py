"""Going through the rows of a collection in order, whatever Milvus promises about order and offsets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from imgrag.library.engines.milvus_filters import both
from imgrag.library.engines.milvus_rows import IDS

Row = Mapping[str, Any]


def scan(
    query: Callable[[str, list[str]], list[Row]],
    counted: Callable[[str], int],
    text: str,
    columns: list[str],
    size: int,
    start: int = 0,
    count: int | None = None,
) -> Iterator[list[Row]]:
    """Rows with ids from `start` on, `count` of them, in the order of ids, in blocks of about `size`.

    Milvus promises no order and takes no offset above 16,384. Ids are hashes, so equal ranges of
    them hold about equally many rows, whatever the filter.
    """
    if count is None:
        count = counted(both(text, f"id >= {start}"))
    parts = math.ceil(count / size)
    edges = [start + (IDS - start) * part // parts for part in range(parts)] + [IDS - 1]
    for low, high in pairwise(edges):
        last = "<=" if high == IDS - 1 else "<"
        rows = query(both(text, f"id >= {low}", f"id {last} {high}"), columns)
        yield sorted(rows, key=lambda row: int(row["id"]))


def seek(counted: Callable[[str], int], text: str, offset: int) -> tuple[dict[str, int], int]:
    """The part to `scan`, which begins not far below the row at `offset`, and how many rows lie below it.

    Ids are spread by chance: of n, about sqrt(n) / 2 more or fewer than its share lie below a
    number. They are counted, so a guess that is too high is noticed.
    """
    count = counted(text)
    margin = 2 * math.sqrt(count)
    while margin < offset < count:
        start = int((offset - margin) / count * IDS)
        below = counted(both(text, f"id < {start}"))
        if below <= offset:
            return {"start": start, "count": count - below}, below
        margin *= 2
    return {"start": 0, "count": count}, 0
