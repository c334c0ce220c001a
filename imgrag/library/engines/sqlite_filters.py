"""Filters as SQL. Values stay apart from the text: SQLite binds them."""

from __future__ import annotations

from typing import Any

from imgrag.library.search.filters import Comparison, Filter, Joined, Not


def as_sql(where: Filter | None) -> tuple[str, list[Any]]:
    """A filter as SQL over `images i`, its values apart."""
    match where:
        case None:
            return "1", []
        case Not(part):
            text, values = as_sql(part)
            return f"not ({text})", values
        case Joined(how, parts):
            texts, lists = zip(*map(as_sql, parts), strict=True)
            return "(" + f" {how} ".join(texts) + ")", [value for values in lists for value in values]
        case Comparison(field, operator, value):
            text, values = _comparison(operator, value)
            return f"i.id in (select f.id from fields f where f.key = ? and {text})", [field, *values]


def _comparison(operator: str, value: Any) -> tuple[str, list[Any]]:
    """Texts compare with texts and numbers with numbers; "!=" alone is true between them."""
    if operator == "in":
        return f"f.value in ({', '.join('?' * len(value))})", list(value)
    if operator == "like":
        return "typeof(f.value) = 'text' and is_like(f.value, ?)", [value]
    if operator in ("=", "!="):
        return f"f.value {operator} ?", [value]
    kind = "=" if isinstance(value, str) else "!="
    return f"typeof(f.value) {kind} 'text' and f.value {operator} ?", [value]
