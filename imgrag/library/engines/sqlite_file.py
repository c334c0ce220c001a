"""The database file of the embedded engine: its tables, and how it is opened."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from imgrag.errors import LibraryError

FILE = "library.sqlite"
WAIT = 60.0  # seconds that another process may hold the file
IN_USE = "Another program is writing to the store at the moment, and nothing was changed. Try again when that has ended."
log = logging.getLogger(__name__)
SCHEMA = """
create table if not exists models (number integer primary key, id text unique, dimensions integer);
create table if not exists images (
    id integer primary key autoincrement, file text unique not null, digest text not null,
    size integer, mtime_ns integer, name text, caption text, source text, licence text, fields text);
create index if not exists images_by_digest on images (digest);
create table if not exists embeddings (
    model integer not null, id integer not null, digest text not null, changed integer not null,
    vector blob not null, primary key (model, id));
create index if not exists embeddings_by_change on embeddings (model, changed);
create index if not exists embeddings_by_digest on embeddings (digest, model);
create index if not exists embeddings_by_id on embeddings (id);
create table if not exists fields (key text not null, value, id integer not null);
create index if not exists fields_by_value on fields (key, value, id);
create index if not exists fields_by_id on fields (id);
create table if not exists names (name text not null, id integer not null);
create index if not exists names_by_name on names (name, id);
create index if not exists names_by_id on names (id);
create table if not exists gone (id integer primary key, epoch integer not null);
create table if not exists state (epoch integer not null);
insert into state select 0 where not exists (select 1 from state);
create table if not exists stamp (token text not null);
insert into stamp select lower(hex(randomblob(8))) where not exists (select 1 from stamp);
create virtual table if not exists words using fts5 (text, detail = none, columnsize = 0, tokenize = 'ascii');
create table if not exists unread (low integer not null, high integer not null);
insert into unread select 0, coalesce(max(id), 0) from images where not exists (select 1 from unread);
"""
"""`unread` are the ids above `low`, up to `high`, of entries that an earlier version wrote without their words."""
FULLEST = """
select m.number, m.dimensions, m.id from models m left join embeddings e on e.model = m.number
group by m.number order by count(e.id) desc limit 1
"""
COLUMN_NAMES = """
with recursive names (name) as (
    select min(key) from fields
    union all select (select min(key) from fields where key > names.name) from names where names.name is not null)
select name from names where name is not null limit ?
"""
"""From one name to the next by the index, instead of through all fields of a million entries."""


def open_database(file: Path) -> sqlite3.Connection:
    """The database; a broken one is put aside, since the pictures themselves are elsewhere.

    So is one that is empty or gone beside a log that is not: SQLite would delete the log, which may hold all there was.
    """
    _put_aside_log(file)
    try:
        return _connected(file)
    except sqlite3.OperationalError:  # locked, or not to be written: there is nothing wrong with the file
        raise
    except sqlite3.DatabaseError as error:
        log.warning("%s is broken and made anew: %s", file.name, error)
        os.replace(file, file.with_suffix(".broken"))
        return _connected(file)


def _put_aside_log(file: Path) -> None:
    """Keep the log of a database that was emptied or lost."""
    log_file = file.with_name(f"{file.name}-wal")
    if log_file.is_file() and log_file.stat().st_size and not (file.is_file() and file.stat().st_size):
        log.warning("%s is empty beside its log, which is kept", file.name)
        os.replace(log_file, file.with_suffix(".wal.broken"))
        file.with_name(f"{file.name}-shm").unlink(missing_ok=True)


def open_unwritable(file: Path) -> sqlite3.Connection:
    """A database on a disk that cannot be written.

    While another process has it open, SQLite reads the log beside it too; after a proper end there is
    none, and the file cannot change. Raises sqlite3.Error: it is none, or a log is left that cannot be read.
    """
    try:
        return _as_it_is(file, "mode=ro")
    except sqlite3.OperationalError:
        log_file = file.with_name(f"{file.name}-wal")
        if log_file.is_file() and log_file.stat().st_size:
            raise
        return _as_it_is(file, "immutable=1")


def advance(base: sqlite3.Connection) -> None:
    """Mark, within a transaction that changes something, that it does."""
    base.execute("update state set epoch = epoch + 1")
    base.execute("update stamp set token = lower(hex(randomblob(8)))")


def stamp(base: sqlite3.Connection) -> str:
    """See `Store.stamp`; "" of an earlier version's database that cannot be written.

    An earlier version's process changes the epoch alone; two copies may come to the same epoch by other ways.
    """
    if not base.execute("select 1 from sqlite_master where name = 'stamp'").fetchone():
        return ""
    return str(base.execute("select token || ' ' || epoch from stamp, state").fetchone()[0])


def in_words(error: Exception, otherwise: str) -> str:
    """What kept SQLite from it: another process at work in the file for longer than `WAIT`, or something else."""
    locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
    return IN_USE if locked else otherwise


@contextmanager
def explained() -> Iterator[None]:
    """What SQLite says of a full, broken or unplugged disk -> one sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        otherwise = (
            f"The store does not work: {error}. What was there is whole: check its disk, make "
            "room on it if it is full, then try again."
        )
        raise LibraryError(in_words(error, otherwise)) from error


@contextmanager
def transaction(base: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. The log of what a full disk did not take gives its room back, if nothing else stands in it."""
    try:
        with base:
            yield
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            with suppress(sqlite3.Error):
                base.execute("pragma wal_checkpoint(truncate)").fetchone()
        raise


def _as_it_is(file: Path, how: str) -> sqlite3.Connection:
    base = sqlite3.connect(
        f"{file.absolute().as_uri()}?{how}", uri=True, check_same_thread=False, timeout=WAIT
    )
    try:
        base.execute("select epoch from state").fetchone()
    except sqlite3.Error:
        base.close()
        raise
    return base


def copy_database(base: sqlite3.Connection, file: Path) -> None:
    """All of it into a new file, as of one moment, whoever writes meanwhile.

    Raises:
        OSError: the file cannot be written, or the disk is full.
    """
    try:
        with closing(sqlite3.connect(file)) as copy:
            base.backup(copy)
    except sqlite3.OperationalError as error:
        raise OSError(errno.EIO, str(error)) from error


def _connected(file: Path) -> sqlite3.Connection:
    base = sqlite3.connect(file, check_same_thread=False, timeout=WAIT)
    try:
        base.execute("pragma journal_mode = wal")
        base.execute("pragma synchronous = full")  # what was acknowledged survives a power cut too
        base.executescript(SCHEMA)
    except sqlite3.Error:
        base.close()
        raise
    return base
