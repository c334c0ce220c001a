"""Filters such as `category = 'vehicle' and price < 300`, read once and handed to an engine as values.

    expression: comparisons joined by and, or, not and parentheses
    comparison: field = != < <= > >= value, field [not] in (value, ...), field like 'a%'
    value:      'text' (a quote is doubled), a number, true, false

A field is name, caption, source, licence, file or any other metadata. No filter reaches a
database as raw text: engines build their own expressions from the parsed tree.
"""

from __future__ import annotations

import math
import operator as operators
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from imgrag.errors import LibraryError
from imgrag.texts import clean

MAX_LENGTH = 1000  # characters
MAX_DEPTH = 20
MAX_SHOWN = 40  # characters of the filter in a sentence
COLUMNS = ("file", "name", "caption", "source", "licence")
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "like")
Literal = str | int | float | bool

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<mark><=|>=|!=|<>|==|[=<>(),])|(?P<word>[^\W\d][\w.-]*)|(?P<quoted>"[^"]+"))""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Comparison:
    """`field operator value`; for "in" the value is a tuple."""

    field: str
    operator: str
    value: Literal | tuple[Literal, ...]


@dataclass(frozen=True)
class Not:
    """What its part is not; an entry without the field passes."""

    part: Filter


@dataclass(frozen=True)
class Joined:
    """Parts joined by "and" or "or"."""

    how: str
    parts: tuple[Filter, ...]


Filter = Comparison | Not | Joined


def parse_filter(text: str) -> Filter | None:
    """Read a filter; `None` if the text is blank.

    Raises:
        LibraryError: it is no filter; the message says where and shows one that is.
    """
    if len(text) > MAX_LENGTH:
        raise LibraryError(f"The filter has {len(text)} characters; at most {MAX_LENGTH} are allowed.")
    text = clean(text)
    if not text.strip():
        return None
    reader = _Reader(_tokens(text))
    found = reader.expression(0)
    if reader.left:
        reader.complain()
    return found


def fields_of(where: Filter | None) -> set[str]:
    """The names that a filter compares."""
    match where:
        case None:
            return set()
        case Not(part):
            return fields_of(part)
        case Joined(_, parts):
            return set().union(*map(fields_of, parts))
        case Comparison(field, _, _):
            return {field}


def passes(where: Filter | None, values: Mapping[str, Literal]) -> bool:
    """Whether an entry with these values passes: what every engine must answer likewise."""
    match where:
        case None:
            return True
        case Not(part):
            return not passes(part, values)
        case Joined("and", parts):
            return all(passes(part, values) for part in parts)
        case Joined(_, parts):
            return any(passes(part, values) for part in parts)
        case Comparison(field, operator, value):
            return field in values and _compares(values[field], operator, value)


def like(text: str, pattern: str) -> bool:
    """SQL's LIKE, whatever the case: % is any text, _ any letter."""
    shell = re.sub(r"([*?[])", r"[\1]", pattern).replace("%", "*").replace("_", "?")
    return fnmatchcase(text.casefold(), shell.casefold())


def _compares(mine: Literal, operator: str, value: Literal | tuple[Literal, ...]) -> bool:
    if isinstance(value, tuple):
        return any(_compares(mine, "=", item) for item in value)
    if isinstance(mine, str) != isinstance(value, str):
        return operator == "!="
    if operator == "like":
        return like(str(mine), str(value))
    return bool(_ORDER[operator](mine, value))


_ORDER: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if not match or match.lastgroup is None:
            _complain(text[at:].split()[0][:MAX_SHOWN])
        else:
            found.append((match.lastgroup, match.group(match.lastgroup)))
            at = match.end()
    return found


def _number(text: str) -> int | float:
    """A number that every engine can compare with: SQLite's and Milvus's whole ones have 64 bits."""
    if not re.search(r"[.eE]", text):
        number: int | float = int(text)
        fits = -(2**63) <= number < 2**63
    else:
        number = float(text)
        fits = math.isfinite(number)
    if not fits:
        shown = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
        raise LibraryError(f"The number {shown} in the filter is larger than any that a library holds.")
    return number


def _complain(word: str) -> None:
    raise LibraryError(
        f"The filter is not understood at {word!r}. Write it like: category = 'vehicle' and price < 300."
    )


class _Reader:
    """Recursive descent over the tokens that are left."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.left = tokens[::-1]

    def complain(self) -> None:
        if not self.left:
            raise LibraryError(
                "The filter is not understood at its end: something is missing there. Write it like: category = 'vehicle' and price < 300."
            )
        _complain(self.left[-1][1][:MAX_SHOWN])

    def expression(self, depth: int) -> Filter:
        return self._joined("or", lambda: self._joined("and", lambda: self._part(depth)))

    def _joined(self, how: str, read: Callable[[], Filter]) -> Filter:
        parts = [read()]
        while self._took(how):
            parts.append(read())
        return parts[0] if len(parts) == 1 else Joined(how, tuple(parts))

    def _part(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise LibraryError(f"The filter is nested deeper than {MAX_DEPTH}. Write it flatter.")
        if self._took("not"):
            return Not(self._part(depth + 1))
        if self._took("("):
            inside = self.expression(depth + 1)
            self._need(")")
            return inside
        return self._comparison()

    def _comparison(self) -> Filter:
        field = self._field()
        denied = self._took("not")
        operator = self._operator()
        if denied and operator not in ("in", "like"):
            self.complain()
        value = self._values() if operator == "in" else self._value()
        if operator == "like" and not isinstance(value, str):
            self.complain()
        comparison = Comparison(field, operator, value)
        return Not(comparison) if denied else comparison

    def _field(self) -> str:
        kind, text = self._next()
        if kind not in ("word", "quoted"):
            _complain(text)
        name = text.strip('"')
        return name.lower() if name.lower() in COLUMNS else {"license": "licence"}.get(name.lower(), name)

    def _operator(self) -> str:
        _, text = self._next()
        operator = {"==": "=", "<>": "!="}.get(text, text.lower())
        if operator not in OPERATORS:
            _complain(text)
        return operator

    def _values(self) -> tuple[Literal, ...]:
        self._need("(")
        values = [self._value()]
        while self._took(","):
            values.append(self._value())
        self._need(")")
        return tuple(values)

    def _value(self) -> Literal:
        kind, text = self._next()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return _number(text)
        if text.lower() not in ("true", "false"):
            _complain(text)
        return text.lower() == "true"

    def _next(self) -> tuple[str, str]:
        if not self.left:
            self.complain()
        return self.left.pop()

    def _took(self, word: str) -> bool:
        if self.left and self.left[-1][0] in ("word", "mark") and self.left[-1][1].lower() == word:
            self.left.pop()
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._took(word):
            self.complain()
