"""What entries are found by besides their vectors: fields, literal names, and words in SQLite's FTS5.

The words come made (see `search.words`), so FTS5 has only to part them at spaces. It keeps which
entry holds a word and nothing of where (`detail = none`), and is asked for one word at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np

from imgrag.library.base import literal_names
from imgrag.library.engines.sqlite_rows import ENTRY, as_entry, marks
from imgrag.library.engines.store import LONGEST_NAME, RARE, Entry, blocks
from imgrag.library.search.filters import COLUMNS
from imgrag.library.search.words import words_of

READ = 5000  # entries of an earlier version that are read in one transaction
_PUT_WORDS = "insert or replace into words (rowid, text) values (?, ?)"


def describe(base: sqlite3.Connection, entries: Mapping[int, Entry], known: Sequence[int]) -> None:
    """Note what filters, names and words look at; `known` are the ids that had something noted before."""
    for block in blocks(list(known)):
        for table, column in (("fields", "id"), ("names", "id"), ("words", "rowid")):
            base.execute(f"delete from {table} where {column} in ({marks(block)})", block)
    rows = [
        (key, value, number)
        for number, entry in entries.items()
        for key, value in {**entry.fields, **{c: getattr(entry, c) for c in COLUMNS}}.items()
    ]
    base.executemany("insert into fields values (?, ?, ?)", rows)
    names = [
        (name, number)
        for number, entry in entries.items()
        for name in literal_names(entry.name, entry.caption, entry.file)
    ]
    base.executemany("insert into names values (?, ?)", names)
    _put_words(base, entries)


def read_earlier(base: sqlite3.Connection, changing: Callable[[], AbstractContextManager[None]]) -> None:
    """Note the words of entries from before there were any, a block at a time: others may write in between."""
    text = f"select {ENTRY} from images i where i.id > ? and i.id <= ? order by i.id limit {READ}"
    while base.execute("select 1 from unread where low < high").fetchone():
        with changing():
            base.execute("update unread set low = low")  # from here on nobody else reads this block
            low, high = base.execute("select low, high from unread").fetchone()
            entries = [as_entry(row) for row in base.execute(text, (low, high))]
            _put_words(base, {entry.id: entry for entry in entries})
            base.execute("update unread set low = ?", (entries[-1].id if entries else high,))


def keeps_words(base: sqlite3.Connection) -> bool:
    """Whether words are kept: an earlier version's database that cannot be written has none."""
    return bool(base.execute("select 1 from sqlite_master where name = 'words'").fetchone())


def holders(base: sqlite3.Connection, word: str) -> np.ndarray | None:
    """Ids int64 [n], ascending, of the entries that hold a word; `None` if they are more than `RARE`."""
    text = f"select rowid from words where words match ? limit {RARE + 1}"
    if not word.isalnum():  # no word, but perhaps FTS5's language
        return np.zeros(0, np.int64)
    rows = base.execute(text, (f'"{word}"',)).fetchall()
    return None if len(rows) > RARE else np.fromiter((row[0] for row in rows), np.int64, len(rows))


def short_names(base: sqlite3.Connection) -> set[str]:
    """See `Store.names`."""
    rows = base.execute("select distinct name from names where length(name) <= ?", (LONGEST_NAME,))
    return {row[0] for row in rows}


def _put_words(base: sqlite3.Connection, entries: Mapping[int, Entry]) -> None:
    base.executemany(_PUT_WORDS, [(number, " ".join(words_of(e))) for number, e in entries.items()])
