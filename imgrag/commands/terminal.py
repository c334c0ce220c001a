"""What all commands share: progress on stderr, and errors as one sentence with an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

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

from imgrag.errors import Cancelled, CheckpointError, ImgragError, MemoryBudgetError


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what a person can mend into one sentence and an exit code."""
    try:
        yield
    except (KeyboardInterrupt, Cancelled):
        say("Stopped.")
        raise typer.Exit(130) from None
    except (CheckpointError, MemoryBudgetError) as error:
        say(str(error))
        raise typer.Exit(1) from None
    except ImgragError as error:
        say(str(error))
        raise typer.Exit(2) from None


def say(sentence: str) -> None:
    print(" ".join(sentence.split()), file=sys.stderr)


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
