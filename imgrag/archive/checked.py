"""Values of a record, each checked for its kind: anybody may have written them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

MAX_ROWS = 1000

T = TypeVar("T")


def text_of(value: Any) -> str:
    """The value, if it is a text. Raises TypeError: it is none."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def real_of(value: Any) -> float:
    """The value, if it is a number. Raises TypeError: it is none."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def whole_of(value: Any) -> int:
    """The value, if it is a whole number. Raises TypeError or ValueError: it is none, OverflowError: it is endless."""
    if real_of(value) != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def flag_of(value: Any) -> bool:
    """The value, if it is true or false. Raises TypeError: it is neither."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def value_of(kind: type[T], row: Any) -> T:
    """A row as a value of this class. Raises ValidationError or TypeError: it is none."""
    value = cast(T, adapter_of(kind).validate_python(row))  # type: ignore[arg-type]  # a class can be hashed
    _check_kinds(row, value)
    return value


def _check_kinds(row: Any, value: Any) -> None:
    """Pydantic takes "3" and true for numbers. Raises TypeError: one stands where another kind is expected."""
    if isinstance(row, Mapping):
        for name in row.keys() & getattr(value, "__dataclass_fields__", {}).keys():
            _check_kinds(row[name], getattr(value, name))
    elif isinstance(row, list):
        for inner, of in zip(row, value, strict=True):
            _check_kinds(inner, of)
    elif any(isinstance(row, kind) != isinstance(value, kind) for kind in (str, bool)):
        raise TypeError(f"{row!r} is not of its kind")


@cache
def adapter_of(kind: Any) -> TypeAdapter[Any]:
    """What checks values of a type."""
    return TypeAdapter(kind)


def maybe_of(kind: type[T], row: Any) -> T | None:
    """`value_of`, or `None` where there is none."""
    return None if row is None else value_of(kind, row)


def each_of(kind: type[T], rows: Any) -> Iterator[T]:
    """`value_of` each row of a list."""
    return (value_of(kind, row) for row in rows_of(rows))


def rows_of(rows: Any, most: int = MAX_ROWS) -> list[Any]:
    """The value, if it is a list that is not too long. Raises ValueError: it is none."""
    if not isinstance(rows, list) or len(rows) > most:
        raise ValueError("no list of what is expected")
    return rows
