"""Lists of prompts: plain text, JSON or a table become requests. Knows neither runs nor models."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import TypeAdapter, ValidationError

from imgrag.commands import structures
from imgrag.errors import RequestError
from imgrag.runs.styles import Styled
from imgrag.runs.values import Request, in_brief
from imgrag.texts import clean_document, clean_line

MAX_REQUESTS = 10_000
MAX_BYTES = 100_000_000  # of a file
MAX_NAMES = 8  # in a sentence
PLAIN = (".txt", ".text")
JSON = (".jsonl", ".ndjson", ".json")
CSV = (".csv", ".tsv")
DELIMITERS = ",;\t"  # a spreadsheet takes the second where a comma parts decimals
FIELDS = (*(field.name for field in fields(Request) if field.name != "structure"), *structures.OPTIONS)
ALIASES = {"prompts": "prompt", "cfg_scale": "guidance_scale"}  # DrawBench's and A1111's words
BESIDE = ("category", "challenge", "note")  # what PartiPrompts and DrawBench say of a prompt
OPTIONS = ("prompt", "negative_prompt", "seed", "steps", "guidance_scale")
"""What a line of options may set: such lines come from the page's endpoint too, so no library, which may be a folder."""

Row = dict[str, Any]
Tell = Callable[[str], None]
_COMMENT = re.compile(r"#(\s|$)")  # "#1 dad mug" is a prompt
_OPTION = re.compile(r"--[A-Za-z]")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_SEPARATOR = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_DECODER = json.JSONDecoder()
_GAP = re.compile(r"\s*")


def read_prompts(
    path: Path,
    usual: Mapping[str, Any] | None = None,
    limit: int = MAX_REQUESTS,
    tell: Tell = lambda words: None,
) -> list[Request]:
    """The requests in a file, or of standard input where `path` is "-".

    A file has one prompt a line, as text or as A1111's options (`--prompt "a dog" --seed 5`); or it is JSON
    (objects one after the other, or a list of objects or texts), or a table with a column `prompt` and any
    other of a request's fields. Its name's ending says which; with none that is known here, its beginning does.

    Args:
        usual: a request's fields where a line does not give them.
        tell: takes a sentence on what was left out, such as columns that a request has not.

    Raises:
        RequestError: the file cannot be read, or a line is no request; the message names the line.
    """
    name = _called(path)
    return parse_prompts(read_text(path), usual, limit, tell, name=name, suffix=path.suffix.lower())


def read_text(path: Path) -> str:
    """The text in a file of prompts, whatever it is encoded in. Raises RequestError: it cannot be read."""
    try:
        return _decoded(_bytes(path), _called(path))
    except OSError as error:
        raise RequestError(
            f"{_called(path)} cannot be read ({error.strerror or 'it is no file'})."
        ) from error


def _called(path: Path) -> str:
    return "standard input" if str(path) == "-" else path.name


def parse_prompts(
    text: str,
    usual: Mapping[str, Any] | None = None,
    limit: int = MAX_REQUESTS,
    tell: Tell = lambda words: None,
    *,
    name: str = "",
    suffix: str = "",
    allowed: Collection[str] = FIELDS,
) -> list[Request]:
    """The requests in a text, in order; see `read_prompts`.

    Args:
        name: what the text is called in a message.
        suffix: the ending of a file's name, such as ".csv"; "" looks at the text.
        allowed: which fields a line may give; a stranger's must name no file of this machine. Others are left out.

    Raises:
        RequestError: a line is no request, there is none, or there are more than `limit`.
    """
    requests, ignored = list[Request](), dict[str, None]()
    for number, row in _rows(text, suffix, name, ignored):
        if len(requests) == limit:
            raise RequestError(f"There are more than {limit} prompts{_of(name)}; at most {limit} go at once.")
        withheld = {name for name in row if name in FIELDS and name not in allowed}
        ignored.update(dict.fromkeys(withheld))
        try:
            taken = {name: value for name, value in row.items() if name not in withheld}
            requests.append(_request(taken, usual or {}))
        except RequestError as error:
            raise RequestError(f"Line {number}{_of(name)}: {error}") from None
    if not requests:
        raise RequestError(f"There is no prompt{_of(name)}. Write one a line.")
    if ignored:
        tell(_left_out(ignored))
    return requests


def plainly(text: str, suffix: str, tell: Tell) -> str:
    """The text of a file, such that `parse_prompts` needs no ending: as it is, or as lines of JSON.

    Raises:
        RequestError: its ending promises what it is not.
    """
    ignored = dict[str, None]()
    rows = [row for _, row in _rows(text, suffix, "", ignored)]
    try:
        if rows == [row for _, row in _rows(text, "", "", {})]:
            return text
    except RequestError:  # such as a prompt that begins as JSON does
        pass
    if ignored:
        tell(_left_out(ignored))
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _left_out(names: Iterable[str]) -> str:
    return f"A request has none of these, so they were left out: {_some(names)}."


def parse_weights(text: str) -> tuple[float, ...]:
    """ "1,0.5" -> (1.0, 0.5).

    Raises:
        RequestError: there is something else than numbers and commas.
    """
    try:
        return tuple(float(weight) for weight in text.split(",")) if text.strip() else ()
    except ValueError:
        raise RequestError(
            f"The weights are {in_brief(text)!r}; give numbers with commas, such as 1,0.5."
        ) from None


def parse_styles(text: str) -> tuple[Styled, ...]:
    """ "ink:0.8, pixels" -> (Styled("ink", 0.8), Styled("pixels")).

    Raises:
        RequestError: a weight is no number.
    """
    return tuple(_styled(part) for part in text.split(",") if part.strip())


def _styled(text: str) -> Styled:
    name, colon, weight = text.strip().partition(":")
    try:
        return Styled(clean_line(name), float(weight) if colon else 1.0)
    except ValueError:
        raise RequestError(
            f"The style is {in_brief(text.strip())!r}; give a name, or a name and a weight such as ink:0.8."
        ) from None


def _bytes(path: Path) -> bytes:
    if str(path) == "-":
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise RequestError(f"{path.name} is larger than {MAX_BYTES // 10**6} MB. Split it.")
    return data


def _decoded(data: bytes, name: str) -> str:
    """UTF-8, or UTF-16 where it says so, or what Windows' programs wrote before either.

    Raises:
        RequestError: it is no text.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if _BINARY.search(data):
            raise RequestError(f"{name} is no text. Save it as text in UTF-8 and try again.") from None
        return data.decode("cp1252", "replace")


def _rows(text: str, suffix: str, name: str, ignored: dict[str, None]) -> Iterator[tuple[int, Row]]:
    """Line numbers and fields; the names of what is no field come to `ignored`."""
    first = next((line for line in _lines(text) if line.strip()), "")
    looks = suffix not in PLAIN + JSON + CSV
    if suffix in JSON or (looks and first.lstrip().startswith(("{", "["))):
        return _json_rows(text, name, ignored)
    columns = set(_columns(first, _delimiter(first)))
    table = {"prompt"} <= columns <= {*FIELDS, *BESIDE} or _SEPARATOR.fullmatch(first.strip())
    if suffix in CSV or (looks and table):
        return _table_rows(text, name, ignored)
    return _plain_rows(text, name, ignored)


def _lines(text: str) -> Iterator[str]:
    """Without `str.splitlines`, which also parts at signs that JSON and prompts may hold."""
    return io.StringIO(text, newline=None)


def _plain_rows(text: str, name: str, ignored: dict[str, None]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(_lines(text), start=1):
        prompt = line.strip()
        if _OPTION.match(prompt):
            yield number, _known(_options(prompt, f"Line {number}{_of(name)}"), OPTIONS, ignored)
        elif prompt and not _COMMENT.match(prompt):
            yield number, {"prompt": prompt}


def _options(line: str, where: str) -> Row:
    """`--prompt "a dog" --seed 5` -> {"prompt": "a dog", "seed": "5"}. Raises RequestError: a quote is left open."""
    try:
        words = shlex.split(line)
    except ValueError:
        raise RequestError(f"{where} has a quotation mark that is never closed.") from None
    values: dict[str, list[str]] = {}
    for word in words:
        if _OPTION.match(word):
            column = values.setdefault(_field(word), [])
        else:
            column.append(word)
    return {name: " ".join(parts) for name, parts in values.items()}


def _json_rows(text: str, name: str, ignored: dict[str, None]) -> Iterator[tuple[int, Row]]:
    """Objects or texts, one after the other or in a list, each on a line or over several."""
    at = _skipped(text, 0)
    listed = text.startswith("[", at)
    at = _skipped(text, at + listed)
    line, counted = 1, 0
    while at < len(text) and not (listed and text[at] == "]"):
        line, counted = line + text.count("\n", counted, at), at
        row, at = _json_value(text, at, f"Line {line}{_of(name)}")
        yield line, _known(row, [name for name in row if name not in BESIDE], ignored)
        at = _skipped(text, at)
        at = _skipped(text, at + 1) if listed and text.startswith(",", at) else at
    if listed and text[at:].rstrip() != "]":
        raise RequestError(f"The list{_of(name)} does not end where the text ends. Close it there with ].")


def _json_value(text: str, at: int, where: str) -> tuple[Row, int]:
    """An object, or a text as its prompt, and where it ends."""
    try:
        value, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        value, end = None, at
    if isinstance(value, str):
        return {"prompt": value}, end
    if not isinstance(value, dict):
        raise RequestError(f'{where} is no JSON object such as {{"prompt": "a dog"}}.')
    return {_field(key): item for key, item in value.items()}, end


def _skipped(text: str, at: int) -> int:
    """Behind the white space there."""
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def _table_rows(text: str, name: str, ignored: dict[str, None]) -> Iterator[tuple[int, Row]]:
    """The rows of a table whose first line names its columns."""
    body, delimiter = text.lstrip("\r\n"), ""
    first = next(_lines(body), "")
    if separator := _SEPARATOR.fullmatch(first.strip("\r\n")):  # what Excel reads and other programs show
        body, delimiter = body[len(first) :].lstrip("\r\n"), separator[1]
    skipped = text[: len(text) - len(body)].count("\n")
    head = next(_lines(body), "")
    delimiter = delimiter or _delimiter(head)
    columns = _columns(head, delimiter)
    if head and "prompt" not in columns:
        raise RequestError(f"Line {skipped + 1}{_of(name)} names no column prompt, only {_some(columns)}.")
    for number, row in _cells(body, columns, delimiter, skipped, name):
        yield number, _known(row, FIELDS, ignored)


def _cells(
    body: str, columns: list[str], delimiter: str, skipped: int, name: str
) -> Iterator[tuple[int, Row]]:
    """Line numbers and rows. Tabs part cells whatever quotation marks there are, unless all are in pairs."""
    quoting: Literal[0, 3] = (
        csv.QUOTE_NONE if delimiter == "\t" and not _is_quoted(body) else csv.QUOTE_MINIMAL
    )
    rows = csv.DictReader(
        io.StringIO(body, newline=""), columns, delimiter=delimiter, quoting=quoting, strict=True
    )
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
        begun = rows.line_num + skipped + 1
        raise RequestError(f"Line {begun}{_of(name)} is no CSV ({error}).") from error


def _is_quoted(body: str) -> bool:
    """Whether quotation marks in a table with tabs mean what they do in CSV. PartiPrompts has them in its prompts."""
    try:
        return all(
            "\n" not in cell for row in csv.reader(_lines(body), "excel-tab", strict=True) for cell in row
        )
    except csv.Error:
        return False


def _columns(head: str, delimiter: str) -> list[str]:
    return [_field(cell.strip().strip('"')) for cell in head.strip("\r\n").split(delimiter)]


def _field(name: str) -> str:
    """ "Negative Prompt", "--negative-prompt" -> "negative_prompt"."""
    spelt = re.sub(r"[\s-]+", "_", clean_line(name).strip("- ").casefold())
    return ALIASES.get(spelt, spelt)


def _known(row: Row, allowed: Collection[str], ignored: dict[str, None]) -> Row:
    """The row without what is not allowed; the names of that come to `ignored`."""
    ignored.update((name, None) for name in row if name and name not in allowed)
    return {name: value for name, value in row.items() if name in allowed}


def _some(names: Iterable[str]) -> str:
    """As many of the names as a sentence may hold."""
    found = [in_brief(name) for name in islice(filter(None, names), MAX_NAMES + 1)]
    return ", ".join(found if len(found) <= MAX_NAMES else [*found[:MAX_NAMES], "…"]) or "empty ones"


def _delimiter(head: str) -> str:
    return max(DELIMITERS, key=head.count)


def _request(row: Row, usual: Mapping[str, Any]) -> Request:
    unknown = [str(name) for name in row if name not in FIELDS]
    if unknown:
        raise RequestError(f"A request has no field {in_brief(unknown[0])!r}; it has {', '.join(FIELDS)}.")
    told = {name: value for name, value in row.items() if value is not None and value != ""}
    try:
        given = {name: _value(name, value) for name, value in told.items() if name not in structures.OPTIONS}
        if told.keys() & set(structures.OPTIONS):
            given["structure"] = structures.structure_in(clean_document(told), usual.get("structure"))
    except RecursionError:
        raise RequestError("A value has lists within lists, too deep to be read. Leave it out.") from None
    return Request(**{"prompt": "", **usual, **given})


def _value(name: str, value: Any) -> Any:
    """A cell of CSV is a text whatever it means; JSON has numbers."""
    if name == "weights" and isinstance(value, str):
        return parse_weights(value)
    if name == "styles" and isinstance(value, str):
        return parse_styles(value)
    if name == "styles" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return parse_styles(",".join(value))
    try:
        if isinstance(value, bool) and name not in ("look_twice", "larger"):  # or it would pass for a number
            raise ValueError
        return _adapters()[name].validate_python(clean_document(value))
    except (ValidationError, ValueError):
        what = name.replace("_", " ")
        raise RequestError(f"The {what} is {in_brief(repr(value))}, which cannot be read as one.") from None


@lru_cache(maxsize=1)
def _adapters() -> dict[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(kind) for name, kind in get_type_hints(Request).items() if name in FIELDS}


def _of(name: str) -> str:
    return f" of {name}" if name else ""
