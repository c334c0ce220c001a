"""What is known of one picture, and how texts and values of any origin become part of it.

Text is cut at 2,000 characters and the name of a field at 64. What is empty, null or no number
(NaN) counts as not there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from imgrag.library.engines.store import Value

MAX_TEXT = 2000  # characters
MAX_FIELD_NAME = 64  # characters
ABSENT = frozenset(("", "nan", "none", "null"))  # as pandas and others write what is missing
Row = dict[str, Any]

_SPELLINGS = {
    "name": ("name",),
    "caption": ("caption", "text"),
    "source": ("source", "url"),
    "licence": ("licence", "license"),
}


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
            return value if abs(value) < 2**63 else bounded_text(value)  # databases hold 64 bits
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case str() | date() | datetime() | time() | list():
            return bounded_text(value, ", ") or None
    return None


def _take_text(columns: Row, names: Iterable[str]) -> str:
    """The first text in a column of one of these names, which is taken out of `columns`."""
    for name in names:
        for column in [column for column in columns if column.casefold() == name]:
            text = bounded_text(columns[column])
            if text.casefold() not in ABSENT:
                del columns[column]
                return text
    return ""


def bounded_text(value: Any, joint: str = " / ") -> str:
    """One value or several as one bounded text that any database takes."""
    if isinstance(value, list):
        return bounded_text(
            joint.join(
                text for item in value if (text := "" if isinstance(item, list) else bounded_text(item))
            )
        )
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str | int | float | Decimal | date | datetime | time) or value != value:
        return ""  # also NaN, the only value that differs from itself
    # Lone surrogates have no UTF-8, and C libraries end a text at a NUL.
    clean = str(value).encode("utf-8", "replace").decode().replace("\0", "")
    return clean.strip()[:MAX_TEXT].strip()
