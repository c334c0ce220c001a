"""The stamp of a library in Milvus: a row that every change rewrites, since Milvus itself tells of none."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from imgrag.library.engines.milvus_client import make_ready

STAMPS = "imgrag_stamps"  # the collection of all libraries' stamps
CHANGING = ""  # the token while somebody writes; it stays where that was killed, until the next change


class MilvusStamp:
    """One library's stamp, seen by every process that has the same Milvus.

    Args:
        ask: makes a call about a collection.
        number: of the library's row, 63 bits.
    """

    def __init__(self, ask: Callable[..., Any], number: int) -> None:
        self._ask = ask
        self._number = number
        self._ready = False

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While something is written nobody can tell what is kept; afterwards it is another token."""
        self._write(CHANGING)
        try:
            yield
        finally:
            self._write(uuid.uuid4().hex)

    def read(self) -> str:
        """See `Store.stamp`; a library from before there were stamps gets its first."""
        self._make_ready()
        rows = self._ask("query", STAMPS, filter=f"id == {self._number}", output_fields=["token"])
        if not rows:
            self._write(uuid.uuid4().hex)
        return str(rows[0]["token"]) if rows else ""

    def _write(self, token: str) -> None:
        self._make_ready()
        self._ask("upsert", STAMPS, data=[{"id": self._number, "token": token, "vector": [1.0, 0.0]}])

    def _make_ready(self) -> None:
        if not self._ready:
            if not self._ask("has_collection", STAMPS):
                self._ask(
                    "create_collection", STAMPS, schema=_columns(), consistency_level="Strong"
                )  # what one process wrote, the next call of any other finds
            make_ready(self._ask, STAMPS)
            self._ready = True


def _columns() -> Any:
    """A number, a token, and a vector, without which Milvus keeps nothing."""
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False, description="imgrag: changes of libraries"
    )
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("token", DataType.VARCHAR, max_length=64)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    return schema
