"""What is known of one picture, and how texts and values of any origin become part of it.

Text is cut at 2,000 characters, the name of a field at 64, and a picture has at most 128 fields. What
is empty, null or no number (NaN) counts as not there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any

from imgrag.library.engines.store import Value
from imgrag.texts import clean, clean_line

MAX_TEXT = 2000  # characters
MAX_FIELD_NAME = 64  # characters
MAX_FIELDS = 128
MAX_COLUMNS = 256  # that are looked at
MAX_ITEMS = 1000  # of a list, one text of which is made
_ROOM = 4  # times what is kept is looked at: cleaning and stripping shorten a text
_PLAIN = (int, float, Decimal, date, datetime, time, timedelta)
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
            dict(islice({**self.fields, **other.fields, **self.fields}.items(), MAX_FIELDS)),
        )


def describe_row(row: Mapping[Any, Any], scalar: Callable[[Any], Value | None] | None = None) -> Described:
    """Columns -> what they say. Those with a meaning of their own may be spelled in several ways.

    Every other column becomes a field, also one called "file" or "size"; of two with one name the first.

    Args:
        scalar: how a field's value is read; `None` means that there is none.
    """
    columns: Row = {}
    for key, value in row.items():
        if isinstance(key, str) and (name := field_name(key)):
            columns.setdefault(name, value)
    meant = {column: column.casefold() for column in columns}
    texts = {attribute: _take_text(columns, meant, names) for attribute, names in _SPELLINGS.items()}
    values = ((name, (scalar or as_scalar)(value)) for name, value in columns.items())
    fields = islice(((name, value) for name, value in values if value is not None), MAX_FIELDS)
    return Described(**texts, fields=dict(fields))


def field_name(column: str) -> str:
    """A column's name as a field has it; "" if it is none."""
    return _field_name(column[: _ROOM * MAX_FIELD_NAME])


@lru_cache(maxsize=1024)
def _field_name(column: str) -> str:
    return clean_line(column)[:MAX_FIELD_NAME].strip()


def named_columns(header: Iterable[str]) -> list[str]:
    """The names of a table's columns, "" for one that has none; the second "caption" is "caption 2"."""
    names: list[str] = []
    met: Counter[str] = Counter()
    for column in header:
        name = field_name(column)
        met[name] += 1
        names.append(f"{name[: MAX_FIELD_NAME - 9]} {met[name]}" if name and met[name] > 1 else name)
    return names


def is_caption(column: str) -> bool:
    """Whether a column of this name holds captions."""
    return column.casefold() in _SPELLINGS["caption"]


def as_scalar(value: Any) -> Value | None:
    """A value as JSON or Parquet give it -> a field's value; `None` if it is none."""
    match value:
        case bool():
            return value
        case int():
            return value if abs(value) < 2**63 else bounded_text(value)  # databases hold 64 bits
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case str() | date() | datetime() | time() | timedelta() | list():
            return bounded_text(value, ", ") or None
    return None


def _take_text(columns: Row, meant: Mapping[str, str], names: Iterable[str]) -> str:
    """The first text in a column that is meant by one of these names, which is taken out of `columns`."""
    for name in names:
        for column in [column for column, spelled in meant.items() if spelled == name]:
            text = bounded_text(columns[column])
            if text.casefold() not in ABSENT:
                del columns[column]
                return text
    return ""


def bounded_text(value: Any, joint: str = " / ") -> str:
    """One value or several as one bounded text that any database takes."""
    if isinstance(value, str):
        return clean(value.strip()[: _ROOM * MAX_TEXT]).strip()[:MAX_TEXT].strip()
    if isinstance(value, list):
        items = (item for item in value[:MAX_ITEMS] if not isinstance(item, list))
        return bounded_text(joint.join(filter(None, map(bounded_text, items))))
    if isinstance(value, bool):
        return "true" if value else "false"
    # NaN is the only value that differs from itself.
    return bounded_text(str(value)) if isinstance(value, _PLAIN) and value == value else ""
