"""Benches: each measures through the real pipeline, prints a table, and ends with one JSON line.

A bench is a module or folder here with `main(argv) -> exit code`, known to the command line by its name
(so what they all print with stands in this file). Their figures are in `imgrag/bench/README.md`.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

MOST = 10**9


def count(text: str) -> int:
    """How many, for `argparse`: 0 to a billion. Raises ValueError: it is none of these."""
    number = int(text)
    if not 0 <= number <= MOST:
        raise ValueError(f"{number} is out of range")
    return number


@dataclass(frozen=True)
class Bar:
    """What one figure has to reach. `unit` is "%" (values are then shares, 0 to 1), "s", "ms", "x", "MB", or "" of a count."""

    key: str
    label: str
    must: float | None = None
    aim: float | None = None
    at_most: bool = False
    unit: str = "%"

    def state(self, value: float) -> str:
        """ "ok" or "short" of the must, "" where there is none."""
        if self.must is None:
            return ""
        return "ok" if (value <= self.must if self.at_most else value >= self.must) else "short"


@dataclass(frozen=True)
class Figure:
    """A measured value; `n` is how many cases it stands on."""

    value: float
    n: int


@dataclass
class Meter:
    """Progress with an estimate of the time left, on stderr: a bar on a terminal, else ten lines."""

    console: Console = field(default_factory=lambda: Console(stderr=True))

    @contextmanager
    def over(self, what: str, cases: Sequence[Any]) -> Iterator[Iterator[Any]]:
        """Go through `cases`; the block gets the iterator."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as progress:
            task = progress.add_task(what, total=len(cases))
            yield self._steps(what, cases, progress, task)

    def _steps(self, what: str, cases: Sequence[Any], progress: Progress, task: Any) -> Iterator[Any]:
        for number, case in enumerate(cases, start=1):
            yield case
            progress.advance(task)
            tenth = max(1, len(cases) // 10)
            if not self.console.is_terminal and (number % tenth == 0 or number == len(cases)):
                left = progress.tasks[task].time_remaining
                self.console.print(f"{what} {number}/{len(cases)}, {left or 0:.0f} s left")


def machine() -> dict[str, Any]:
    """What a figure was measured on."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def shown(value: float | None, unit: str) -> str:
    """A value as a table has it."""
    if value is None:
        return "-"
    if not unit:
        return f"{value:,.0f}"
    return f"{100 * value:.1f}%" if unit == "%" else f"{value:.2f} {unit}"


def print_bars(title: str, bars: Sequence[Bar], figures: Mapping[str, Figure]) -> None:
    """A table of the measured figures against what they have to reach."""
    table = Table(title=title, title_justify="left")
    for heading in ("row", "value", "must", "aim", "n", ""):
        table.add_column(heading, justify="left" if heading in ("row", "") else "right")
    for bar in bars:
        if bar.key in figures:
            figure, sign = figures[bar.key], "at most " if bar.at_most else ""
            wanted = [f"{sign}{shown(x, bar.unit)}" if x is not None else "-" for x in (bar.must, bar.aim)]
            value = shown(figure.value, bar.unit)
            table.add_row(bar.label, value, *wanted, str(figure.n), bar.state(figure.value))
    Console(width=120).print(table)


def print_document(document: Mapping[str, Any], out: Path | None = None) -> None:
    """The last line of a bench: everything as JSON; written to `out` too if that is given."""
    line = json.dumps(document)
    print(line, flush=True)
    if out is not None:
        partial = out.with_name(f"{out.name}.partial")
        partial.write_text(f"{line}\n", encoding="utf-8")
        os.replace(partial, out)
