"""What the library's bench measures with: how much of everything, and how time is taken."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from imgrag.bench import Figure, Meter

DIMENSIONS = 512
MODEL = "bench"

T = TypeVar("T")
Figures = dict[str, Figure]


@dataclass(frozen=True)
class Counts:
    """How much each row stands on; `large` may be 0."""

    rows: int = 100_000
    large: int = 1_000_000
    photos: int = 2_000
    files: int = 10_000
    many: int = 100_000


@dataclass(frozen=True)
class Experiment:
    """Something done once, in a folder of its own, that yields the rows `keys`."""

    keys: tuple[str, ...]
    measure: Callable[[Counts, Path, Meter], Figures]


def seconds_of(action: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def in_new_process(function: Callable[..., T], *arguments: Any) -> T:
    """Its result in a Python of its own, which has imported its module and done nothing else."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()
