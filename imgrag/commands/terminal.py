"""What all programs of a terminal share: whole streams, progress on stderr, errors as one sentence and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from typer.core import TyperGroup

from imgrag.errors import Cancelled, CheckpointError, ImgragError, LibraryError, MemoryBudgetError
from imgrag.runs.values import in_brief
from imgrag.texts import clean_line, shortened

if TYPE_CHECKING:
    from imgrag.commands.batch import Line


@contextmanager
def whole_streams() -> Iterator[None]:
    """Around a whole program: its streams are there, take any letter, and what they do not take is told.

    Whoever started it may have closed them, or put them on a full disk, a pipe that nobody reads, or a
    console that lacks some letters of a prompt.
    """
    _open_streams()
    try:
        yield
    except OSError as error:  # while a usage or a help text was printed
        _end_for(error)
    finally:
        untold = _let_go(sys.stdout)
        if untold is not None:
            say(_in_words(untold))
        _let_go(sys.stderr)  # the last to be written to
        if untold is not None:
            raise SystemExit(2)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what a person can mend into one sentence and an exit code."""
    try:
        yield
    except (KeyboardInterrupt, Cancelled):
        _end("Stopped.", 130)
    except (CheckpointError, MemoryBudgetError) as error:
        _end(str(error), 1)
    except ImgragError as error:
        _end(str(error), 2)
    except OSError as error:
        _end_for(error)


class Program(TyperGroup):
    """The commands; what is wrong with their arguments is one sentence too."""

    def main(self, *arguments: Any, **options: Any) -> NoReturn:
        """Do what the arguments ask for, and end with an exit code."""
        try:
            code = super().main(*arguments, **{**options, "standalone_mode": False})
        except typer.TyperException as error:
            _end(_usage_in_words(error), error.exit_code)
        except typer.Abort:
            _end("Stopped.", 130)
        raise SystemExit(code or 0)


def say(sentence: str) -> None:
    with suppress(OSError):  # there is nobody to tell
        print(clean_line(sentence), file=sys.stderr)


def typed(text: str) -> str:
    """An argument of the command line as a person meant it, also where the locale is not UTF-8."""
    return os.fsencode(text).decode("utf-8", "replace")


def require_yes(said: bool, question: str) -> None:
    """Ask on a terminal before something is removed. What else stands on stdin is somebody's list, and no answer.

    Raises:
        LibraryError: nobody is there to be asked.
        Cancelled: the person would rather not.
    """
    if said:
        return
    try:
        agreed = sys.stdin.isatty() and typer.confirm(question, err=True)
    except typer.Abort:  # Ctrl-C, Ctrl-D
        raise Cancelled("Nothing was removed.") from None
    if not sys.stdin.isatty():
        raise LibraryError("Nothing was removed: nobody is there to be asked. Add --yes to do it unasked.")
    if not agreed:
        raise Cancelled("Nothing was removed.")


def _end(sentence: str, code: int) -> NoReturn:
    if sentence:
        say(sentence)
    raise SystemExit(code) from None


def _end_for(error: OSError) -> NoReturn:
    """What stdout has not taken by now is dropped: it would only fail again, and be told again."""
    _let_go(sys.stdout)
    _end(_in_words(error), 2)


def _open_streams() -> None:
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115  for as long as the program
            setattr(sys, name, nowhere)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _let_go(stream: TextIO) -> OSError | None:
    """Write what is left of a stream. What it does not take is dropped, or Python would complain of it at the end."""
    try:
        stream.flush()
    except OSError as error:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error
    return None


def _in_words(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{in_brief(os.fsdecode(error.filename))!r} cannot be used ({reason})."
    return f"The output or a file could not be written or read ({reason})."


def _usage_in_words(error: typer.TyperException) -> str:
    """ "" where the help was printed instead, since there were no arguments at all."""
    said = error.format_message().rstrip(".").replace(": Value error, ", ": ", 1)  # typer's own name for it
    context = getattr(error, "ctx", None)
    where = f" See {context.command_path} --help." if context else ""
    return said and f"{shortened(clean_line(said))}.{where}"


def progress() -> Progress:
    """Bars on a terminal's stderr, nothing elsewhere."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


class Pace:
    """How far a batch is and how long the rest may take: as long as its runs took so far."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._made, self._seconds = total, 0, 0, 0.0

    def count(self, line: Line) -> None:
        """One more is done."""
        self._done += 1
        if not line.reused:
            self._made, self._seconds = self._made + 1, self._seconds + line.seconds

    def __str__(self) -> str:
        left = (self._total - self._done) * self._seconds / self._made if self._made else 0.0
        about = f", about {timedelta(seconds=round(left))} left" if left else ""
        return f"{self._done} of {self._total}{about}"
