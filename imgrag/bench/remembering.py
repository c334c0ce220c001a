"""How fast a search is answered that was asked before: from the process, and from a Redis of the bench's own."""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from imgrag.bench import Figure
from imgrag.bench.library.counts import seconds_of
from imgrag.engine.librarian import Librarian
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.library.search.cache import InProcess, InRedis
from imgrag.library.search.queries import Query

SERVER = "redis-server"
START_SECONDS = 10.0
ROUNDS = 20  # tries of each search, of which the best counts: what else the machine does only ever adds


def measure_hits(pipeline: ImageRAGPipeline, library: str, queries: Sequence[Query]) -> dict[str, Figure]:
    """Milliseconds of a search again: p50 over the queries, each at its best. Without a Redis on this machine only of the process."""
    figures = {"hit": _hits(Librarian(pipeline, InProcess()), library, queries)}
    with redis_server() as uri:
        if uri:
            figures["hit_redis"] = _hits(Librarian(pipeline, InRedis(uri)), library, queries)
    stamp = pipeline.library(library).stamp
    figures["looked"] = Figure(1000 * min(seconds_of(stamp) for _ in range(ROUNDS)), ROUNDS)
    return figures


def _hits(librarian: Librarian, library: str, queries: Sequence[Query]) -> Figure:
    for query in queries:
        librarian.search(library, query)
    best = [
        min(seconds_of(partial(librarian.search, library, query)) for _ in range(ROUNDS)) for query in queries
    ]
    return Figure(1000 * statistics.median(best), len(queries))


@contextmanager
def redis_server() -> Iterator[str]:
    """The address of a Redis on a free port of this machine that keeps nothing; "" where none is installed."""
    program = shutil.which(SERVER)
    if program is None:
        yield ""
        return
    port = _free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(port: int) -> None:
    """Until something listens there. Raises OSError: nothing does in time."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
