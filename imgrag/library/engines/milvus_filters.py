"""Filters as expressions of Milvus, as far as every version of it answers them alike."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from imgrag.library.search.filters import COLUMNS, Comparison, Filter, Joined, Literal, Not, passes

ALL, NONE = "id >= 0", "id < 0"
_SIGNS = {"=": "==", "in": "==", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_KEY = re.compile(r"[^\W\d][\w-]*")
_EXACT_INTEGERS = 2**53  # beyond, a number of JSON may be rounded


def narrowed(where: Filter | None) -> tuple[str, Filter | None]:
    """An expression of Milvus for all that may pass, and the filter if it must still be asked."""
    text, exact = _expression(where)
    return text or ALL, None if exact else where


def _expression(where: Filter | None) -> tuple[str, bool]:
    """An expression that whatever passes `where` matches, "" for any, and whether nothing else does.

    Only comparisons of columns are left to Milvus alone. On JSON its versions disagree about
    missing keys, types, true against 1 and `not`; what it matches is looked at once more.
    """
    match where:
        case None:
            return "", True
        case Not(part):
            text, exact = _expression(part)
            return (f"not ({text})", True) if exact else ("", False)
        case Joined(how, parts):
            texts, exacts = zip(*map(_expression, parts), strict=True)
            if how == "or" and "" in texts:
                return "", False
            return f" {how} ".join(f"({text})" for text in texts if text), all(exacts)
        case Comparison(field, operator, _) if operator == "like":  # Milvus minds the case
            return "", False
        case Comparison(field, operator, value) if field in COLUMNS:
            return _about_column(field, operator, value if isinstance(value, tuple) else (value,))
        case Comparison(field, operator, value):
            return _about_field(field, operator, value if isinstance(value, tuple) else (value,)), False


def _about_column(column: str, operator: str, values: Sequence[Literal]) -> tuple[str, bool]:
    """A column is never missing and always a text: against a number only "!=" is true."""
    texts = [value for value in values if isinstance(value, str)]
    if not all(map(str.isprintable, texts)):
        return "", False
    if not texts:
        return (ALL if operator == "!=" else NONE), True
    if operator == "in":
        return among(column, [quoted(text) for text in texts]), True
    return f"{column} {'==' if operator == '=' else operator} {quoted(texts[0])}", True


def _about_field(field: str, operator: str, values: Sequence[Literal]) -> str:
    """A field of the JSON, compared with any of the values; "" if Milvus might miss one."""
    if operator not in _SIGNS or not _KEY.fullmatch(field):
        return ""
    place = f'fields["{field}"]'
    texts = []
    for value in values:
        literal = _literal(value)
        texts.append(f"{place} {_SIGNS[operator]} {literal}" if literal else "")
        for truth in (False, True):  # to `passes` they are 0 and 1
            if passes(Comparison(field, "=" if operator == "in" else operator, value), {field: truth}):
                texts.append(f"{place} == {str(truth).lower()}")
    return "" if "" in texts else " or ".join(texts)


def _literal(value: Literal) -> str:
    """A value as Milvus reads it; "" if it cannot, or not exactly."""
    if isinstance(value, str):
        return quoted(value) if value.isprintable() else ""
    if not math.isfinite(value) or abs(value) >= _EXACT_INTEGERS:
        return ""
    return repr(int(value) if isinstance(value, bool) else value)


def quoted(text: str) -> str:
    """A printable text in quotes: what could end it is escaped, the rest means itself."""
    if not text.isprintable():
        raise ValueError(f"{text!r} cannot be quoted")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def among(column: str, literals: Iterable[Any]) -> str:
    """`column` is one of these literals."""
    return f"{column} in [{', '.join(map(str, literals))}]"


def both(*texts: str) -> str:
    """All of these expressions."""
    return " and ".join(f"({text})" for text in texts)
