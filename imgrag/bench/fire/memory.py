"""What doing something once more costs a server in memory, told from the allocator's noise."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from statistics import median

from imgrag.bench.fire.server import MEGABYTE, Server

STRETCHES = 10  # with a look at the memory after each; a look takes most of a second
WARM_UP = 40  # times at least: imports are made, threads begin, caches fill


def growth_each(server: Server, act: Callable[[], object], count: int) -> float:
    """MB that the process grows by with each of `count` acts, after a tenth of them to warm up."""
    for _ in range(max(WARM_UP, count // 10)):
        act()
    stretch = max(1, count // STRETCHES)
    sizes = [server.settled_memory()]
    for _ in range(STRETCHES):
        for _ in range(stretch):
            act()
        sizes.append(server.settled_memory())
    return typical_step(sizes) / stretch / MEGABYTE


def typical_step(sizes: list[int]) -> float:
    """The median of the steps from one size to the next.

    The allocator takes or gives back megabytes at once, now and then; what leaks does so in every stretch.
    """
    return median(after - before for before, after in pairwise(sizes))
