"""Which process writes a run: whether it still does, or was killed over it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import psutil

PARTIAL = ".partial-"
_WRITER = re.compile(rf"{re.escape(PARTIAL)}([0-9]+)-.*")


def partial_prefix() -> str:
    """What the names of this process's half-written files begin with."""
    return f"{PARTIAL}{os.getpid()}-"


def is_being_written(partial: Path) -> bool:
    """Whether the process of its name is alive, and is no later one with the same number."""
    writer = _WRITER.fullmatch(partial.name)
    try:
        return bool(writer and psutil.Process(int(writer[1])).create_time() < partial.stat().st_mtime + 1)
    except (psutil.Error, OverflowError):
        return False


def this_process() -> list[float]:
    """Its number, and when it began."""
    process = psutil.Process()
    return [process.pid, process.create_time()]


def is_at_work(worker: Any) -> bool:
    """Whether the process that wrote a record is alive: the same number could be another by now."""
    try:
        pid, begun = int(worker[0]), float(worker[1])
        return abs(float(psutil.Process(pid).create_time()) - begun) < 1
    except (psutil.Error, TypeError, ValueError, LookupError, OverflowError):
        return False
