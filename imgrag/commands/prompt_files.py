"""Lists of prompts: plain text, JSON lines or CSV become requests. Knows neither runs nor models."""

from __future__ import annotations

import codecs
import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from imgrag.errors import RequestError
from imgrag.runs.values import Request

MAX_REQUESTS = 10_000
MAX_BYTES = 100_000_000  # of a file
PLAIN = (".txt", ".text")
JSON = (".jsonl", ".ndjson", ".json")
CSV = (".csv", ".tsv")
DELIMITERS = ",;\t"  # a spreadsheet takes the second where a comma parts decimals
FIELDS = tuple(field.name for field in fields(Request))

Row = dict[str, Any]


def read_prompts(
    path: Path, usual: Mapping[str, Any] | None = None, limit: int = MAX_REQUESTS
) -> list[Request]:
    """The requests in a file, or of standard input where `path` is "-".

    A file has one prompt a line, or is JSON lines or CSV with a `prompt` and any other of a request's
    fields. Its name's ending says which; with none that is known here, its beginning does.

    Args:
        usual: a request's fields where a line does not give them.

    Raises:
        RequestError: the file cannot be read, or a line is no request; the message names the line.
    """
    name = "standard input" if str(path) == "-" else path.name
    try:
        text = _decoded(_bytes(path))
    except UnicodeDecodeError as error:
        raise RequestError(f"{name} is no text in UTF-8. Save it as UTF-8 and try again.") from error
    except OSError as error:
        raise RequestError(f"{name} cannot be read ({error.strerror or 'it is no file'}).") from error
    return parse_prompts(text, usual, limit, name=name, suffix=path.suffix.lower())


def parse_prompts(
    text: str,
    usual: Mapping[str, Any] | None = None,
    limit: int = MAX_REQUESTS,
    *,
    name: str = "",
    suffix: str = "",
) -> list[Request]:
    """The requests in a text, in order; see `read_prompts`.

    Args:
        name: what the text is called in a message.
        suffix: the ending of a file's name, such as ".csv"; "" looks at the text.

    Raises:
        RequestError: a line is no request, there is none, or there are more than `limit`.
    """
    requests: list[Request] = []
    for number, row in _rows(text, suffix, name):
        if len(requests) == limit:
            raise RequestError(f"There are more than {limit} prompts{_of(name)}; at most {limit} go at once.")
        try:
            requests.append(_request(row, usual or {}))
        except RequestError as error:
            raise RequestError(f"Line {number}{_of(name)}: {error}") from None
    if not requests:
        raise RequestError(f"There is no prompt{_of(name)}. Write one a line.")
    return requests


def parse_weights(text: str) -> tuple[float, ...]:
    """ "1,0.5" -> (1.0, 0.5).

    Raises:
        RequestError: there is something else than numbers and commas.
    """
    try:
        return tuple(float(weight) for weight in text.split(",")) if text.strip() else ()
    except ValueError:
        raise RequestError(f"The weights are {text!r}; give numbers with commas, such as 1,0.5.") from None


def _bytes(path: Path) -> bytes:
    if str(path) == "-":
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise RequestError(f"{path.name} is larger than {MAX_BYTES // 10**6} MB. Split it.")
    return data


def _decoded(data: bytes) -> str:
    """UTF-8, or UTF-16 where it says so: some of Windows' programs write that."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if wide else "utf-8-sig")


def _rows(text: str, suffix: str, name: str) -> Iterator[tuple[int, Row]]:
    """Line numbers and fields."""
    first = next((line for line in _lines(text) if line.strip()), "")
    looks = suffix not in PLAIN + JSON + CSV
    if suffix in JSON or (looks and first.lstrip().startswith("{")):
        return _json_rows(text, name)
    if suffix in CSV or (looks and set(_columns(first)) <= set(FIELDS)):
        return _csv_rows(text, name)
    return _plain_rows(text)


def _lines(text: str) -> Iterator[str]:
    """Without `str.splitlines`, which also parts at signs that JSON and prompts may hold."""
    return io.StringIO(text, newline=None)


def _plain_rows(text: str) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(_lines(text), start=1):
        prompt = line.strip()
        if prompt and not prompt.startswith("#"):
            yield number, {"prompt": prompt}


def _json_rows(text: str, name: str) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise RequestError(f'Line {number}{_of(name)} is no JSON object such as {{"prompt": "a dog"}}.')
        yield number, row


def _csv_rows(text: str, name: str) -> Iterator[tuple[int, Row]]:
    body = text.lstrip("\r\n")
    skipped = text[: len(text) - len(body)].count("\n")
    head = next(_lines(body), "")
    rows = csv.DictReader(io.StringIO(body, newline=""), _columns(head), delimiter=_delimiter(head))
    try:
        for row in islice(rows, 1, None):
            number = rows.line_num + skipped
            if None in row:
                raise RequestError(
                    f"Line {number}{_of(name)} has more cells than the first line names. "
                    "Put a prompt that holds the delimiter in double quotes."
                )
            if any(row.values()):
                yield number, row
    except csv.Error as error:
        raise RequestError(f"Line {rows.line_num + skipped}{_of(name)} is no CSV ({error}).") from error


def _columns(head: str) -> list[str]:
    return [cell.strip().strip('"').casefold() for cell in head.strip().split(_delimiter(head))]


def _delimiter(head: str) -> str:
    return max(DELIMITERS, key=head.count)


def _request(row: Row, usual: Mapping[str, Any]) -> Request:
    unknown = [str(name) for name in row if name not in FIELDS]
    if unknown:
        raise RequestError(f"A request has no field {unknown[0]!r}; it has {', '.join(FIELDS)}.")
    given = {name: _value(name, value) for name, value in row.items() if value is not None and value != ""}
    return Request(**{"prompt": "", **usual, **given})


def _value(name: str, value: Any) -> Any:
    """A cell of CSV is a text whatever it means; JSON has numbers."""
    if name == "weights" and isinstance(value, str):
        return parse_weights(value)
    try:
        if isinstance(value, bool):  # or it would pass for a number
            raise ValueError
        return _adapters()[name].validate_python(value)
    except (ValidationError, ValueError):
        what = name.replace("_", " ")
        raise RequestError(f"The {what} is {_short(value)}, which cannot be read as one.") from None


@lru_cache(maxsize=1)
def _adapters() -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(kind) for name, kind in get_type_hints(Request).items()}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _of(name: str) -> str:
    return f" of {name}" if name else ""
