"""Texts as people keep them: CSV, TSV, JSON lines, JSON, Parquet and Markdown -> facts.

Files are opened by the library's readers, which see that they are regular and within bounds. A row without a
term or a text costs itself alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from imgrag.errors import LibraryError
from imgrag.knowledge.markdown import markdown_rows
from imgrag.library.base import Skipped
from imgrag.library.intake.archives import Sought, unpack
from imgrag.library.intake.beside import files_below
from imgrag.library.intake.delimited import delimited_rows
from imgrag.library.intake.described import ABSENT, Row, bounded_text, field_name
from imgrag.library.intake.documents import entries
from imgrag.library.intake.tables import json_lines, parquet_rows
from imgrag.library.intake.taking import kind_of
from imgrag.library.search.words import is_unspaced
from imgrag.runs.knowledge import Fact
from imgrag.texts import clean_line, shortened

MOST_TEXTS = 100_000  # of a knowledge base
LONGEST_TERM = 200  # characters
LONGEST_LABEL = 300  # characters of a source or licence
LOOK = 1000  # rows between two looks at the stop
EXAMPLES = 3  # rows that are named of those left out
MAX_ZIP = 512 * 2**20  # bytes that a zip may unpack to
NO_TEXTS = "it is no file of texts"
TAKEN = "CSV, TSV, JSON lines, JSON, Parquet or Markdown"
_COLUMNS = {
    "term": "term name title word concept topic 词 词条 名称 术语".split(),
    "text": "text caption description definition fact meaning content 文本 说明 定义".split(),
    "language": "language lang 语言".split(),
    "source": "source url 来源".split(),
    "licence": "licence license 许可 许可证".split(),
}


@dataclass(frozen=True)
class Report:
    """What came of adding.

    Attributes:
        added: texts that are new.
        unchanged: texts that were there.
        broken: rows that were left out.
        examples: what is wrong with the first of them.
        problems: files that could not be read, or not to their end.
    """

    added: int = 0
    unchanged: int = 0
    broken: int = 0
    examples: tuple[str, ...] = ()
    problems: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class Read:
    """What a file or folder holds; the rest as in `Report`."""

    facts: tuple[Fact, ...] = ()
    broken: int = 0
    examples: tuple[str, ...] = ()
    problems: tuple[Skipped, ...] = ()


def is_knowledge(file: str) -> bool:
    """Whether a file of this name is read."""
    return Path(file).suffix.casefold() in _READERS


def read_facts(path: Path, check: Callable[[], None] = lambda: None) -> Read:
    """The texts of a file, or of all files in a folder that are read.

    Args:
        check: called now and then; it may raise to stop.

    Raises:
        LibraryError: there is nothing in it that can be read, or too much.
    """
    found = _Findings(kind_of(path) == "folder" or path.suffix.casefold() == ".zip")
    if kind_of(path) == "folder":
        found.read_all(path, check)
        what = "folder"
    elif kind_of(path) == "file" and path.suffix.casefold() == ".zip":
        with TemporaryDirectory(prefix="imgrag-") as place:
            unpack(path, Path(place) / "texts", _SOUGHT, check)
            found.read_all(Path(place) / "texts", check)
        what = "zip"
    elif kind_of(path) == "file" and is_knowledge(path.name):
        found.read(path, path.name, check)
        what = "file"
    else:
        raise LibraryError(
            f"{_shown(path.name)!r} cannot be added: it is no {TAKEN} file that exists, nor a folder or zip of them."
        )
    if found.facts:
        return Read(tuple(found.facts), found.broken, tuple(found.examples), tuple(found.problems))
    why = next(
        (problem.reason for problem in found.problems), next(iter(found.examples), "there is no text in it")
    )
    raise LibraryError(f"The {what} {_shown(path.name)!r} holds no texts that can be read: {why}.")


class _Findings:
    """What is gathered from one file after another."""

    def __init__(self, several: bool) -> None:
        self.facts: dict[Fact, None] = {}
        self.broken = 0
        self.examples: list[str] = []
        self.problems: list[Skipped] = []
        self._several = several

    def read_all(self, folder: Path, check: Callable[[], None]) -> None:
        """Every file below a folder that is read."""
        for file in filter(is_knowledge, files_below(folder, check)):
            self.read(folder / file, file, check)

    def read(self, path: Path, shown: str, check: Callable[[], None]) -> None:
        """One file; what is wrong with it is noted."""
        check()
        try:
            for number, row in enumerate(_READERS[path.suffix.casefold()](path, check), 1):
                self._take(row, f"{shown}, row {number}" if self._several else f"row {number}")
                if number % LOOK == 0:
                    check()
        except OSError:
            self.problems.append(Skipped(shown, "it cannot be opened"))
        except (ValueError, RecursionError) as error:
            self.problems.append(Skipped(shown, str(error)))

    def _take(self, row: Row | ValueError, where: str) -> None:
        fact = str(row) if isinstance(row, ValueError) else as_fact(row) if row else None
        if isinstance(fact, Fact):
            self.facts[fact] = None
        elif fact:
            self.broken += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(fact if isinstance(row, ValueError) else f"{where} has {fact}")
        if len(self.facts) > MOST_TEXTS:
            raise LibraryError(
                f"There are more than {MOST_TEXTS:,} texts. Make several knowledge bases of them."
            )


def as_fact(row: Row) -> Fact | str:
    """A row as a fact, or what it has that is wrong. Columns may be spelled in several ways."""
    told: dict[str, str] = {}
    for column, value in row.items():
        meant = _meant(column)
        text = clean_line(bounded_text(value)) if meant else ""
        if text.casefold() not in ABSENT:
            told.setdefault(meant, text)
    for column in ("term", "text"):
        if column not in told:
            there = any(_meant(name) == column for name in row)
            return f"an empty {column}" if there else f"no column {column!r}"
    source, licence = (told.get(name, "")[:LONGEST_LABEL] for name in ("source", "licence"))
    language = told.get("language", "")[:16] or _language(told["text"])
    return Fact(told["term"][:LONGEST_TERM], told["text"], language, source, licence)


def _language(text: str) -> str:
    """Of a text that nobody said it of."""
    return "zh" if any(map(is_unspaced, text)) else "en"


@lru_cache(maxsize=1024)
def _meant(column: str) -> str:
    """Which of the columns this one is, "" if none."""
    spelled = field_name(column).casefold()
    return next((meant for meant, names in _COLUMNS.items() if spelled in names), "")


def _entry_rows(path: Path, check: Callable[[], None]) -> Iterator[Row | ValueError]:
    """A JSON list of rows, or an object with a text, several, or a row under each term."""
    for number, (term, entry) in enumerate(entries(path, check), 1):
        if isinstance(entry, dict):
            yield (
                {"term": term, **entry} if term and not any(_meant(key) == "term" for key in entry) else entry
            )
        elif isinstance(entry, str) and term:
            yield {"term": term, "text": entry}
        else:
            yield ValueError(f"entry {number} is no JSON object")


def _shown(name: str) -> str:
    return shortened(clean_line(name))


_READERS: dict[str, Callable[[Path, Callable[[], None]], Iterable[Row | ValueError]]] = {
    ".csv": delimited_rows,
    ".tsv": delimited_rows,
    ".jsonl": json_lines,
    ".json": _entry_rows,
    ".parquet": parquet_rows,
    ".md": markdown_rows,
    ".markdown": markdown_rows,
}
SUFFIXES = tuple(_READERS)
_SOUGHT = Sought(
    is_knowledge,
    lambda names: lambda name: "" if is_knowledge(name) else NO_TEXTS,
    f"The zip holds no texts. Pack files of {TAKEN}.",
    MAX_ZIP,
)
