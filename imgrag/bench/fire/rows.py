"""Security and reliability with figures: the real page and pipeline, served with short stand-ins for models.

Each row is a function that takes a count; the tests call the same functions with small counts. What a
row counted as wrong is told on stderr, one line each. Run it from the project's root: the page that is
fired at is `python -m tests.served`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgrag.bench import Bar, Figure, Meter, machine, print_bars, print_document
from imgrag.bench.fire import browser, faults, hostile, queueing, strangers, unfolding
from imgrag.bench.fire.server import Server, serving

Figures = dict[str, Figure]


def _none(key: str, label: str) -> Bar:
    """A row that counts what must not happen."""
    return Bar(key, label, 0, at_most=True, unit="")


BARS = (
    Bar("cancel_inside", "cancel, then submit: runs in the models at once", 1, at_most=True, unit=""),
    Bar("cancel_exit", "  exit, beyond one step", 0.5, at_most=True, unit="s"),
    _none("direct", "direct POSTs around the queue that were let in"),
    Bar("joins", "joins of a queue of 8: accepted", 9, at_most=True, unit=""),
    _none("joins_untold", "  refused without a sentence"),
    Bar("joins_page", "  the page answers within", 1.0, at_most=True, unit="s"),
    _none("sessions", "20 sessions x 5 runs: texts and pictures of another session"),
    _none("images_crash", "malformed images through every upload: crashes"),
    _none("images_sentence", "  answers without a friendly sentence"),
    _none("images_path", "  paths in answers"),
    _none("bomb_taken", "a 20 KB PNG of 169 megapixels: not refused"),
    Bar("bomb_seconds", "  refused within", 0.5, at_most=True, unit="s"),
    Bar("bomb_memory", "  memory", 50, at_most=True, unit="MB"),
    _none("busy_untold", "small pictures that take long to read: not refused in words"),
    Bar("busy_seconds", "  refused within", 0.5, at_most=True, unit="s"),
    Bar("busy_wait", "  another visitor's run waits", 1.0, at_most=True, unit="s"),
    Bar("unfold_memory", "tables that unfold, all in one process: memory", 200, at_most=True, unit="MB"),
    Bar("unfold_stop", "  a stop is heard within", 1.0, at_most=True, unit="s"),
    _none("unfold_untold", "  ended without a value or a sentence"),
    _none("urls", "addresses in every field: sockets and files opened"),
    _none("paths", "paths in names, fields, links: what they reached"),
    _none("prompts", "prompts of every kind: not bounded, escaped or answered"),
    _none("prompts_run", "  executed in a browser"),
    _none("cap_over", "runs under a disk cap: times above it"),
    _none("cap_left", "  left over or broken after kill -9"),
    Bar("aged_run", "5,000 kept runs: a further run pays for them", 0.2, at_most=True, unit="s"),
    Bar("aged_history", "  a look back, without one of them", 0.2, at_most=True, unit="s"),
    _none("kills", "kill -9 in mid-run: partial files, broken records"),
    _none("memory_left", "out of memory in each stage: models or bytes changed"),
    _none("memory_next", "  next run failed"),
    _none("memory_sentence", "  without a sentence that says what to change"),
    _none("exception_lock", "an exception in each stage: lock held"),
    _none("exception_told", "  traceback or path in the browser"),
    _none("exception_log", "  no log line with the run's id"),
    Bar(
        "tabs",
        "tab closed in each stage: models free, beyond one step",
        browser.GRACE,
        at_most=True,
        unit="s",
    ),
    Bar("growth", "memory growth a run", 0.1, at_most=True, unit="MB"),
    Bar("new_sessions", "2,000 new sessions: memory", 40, at_most=True, unit="MB"),
    Bar("visitors", "300 visitors with a run each: memory a visitor", 0.1, at_most=True, unit="MB"),
    _none("before_login", "what keeps state and answers before the login"),
    Bar("closing", "300 heartbeats closed at once: /healthz within", 0.5, at_most=True, unit="s"),
    _none("elsewhere", "foreign origins and hosts: let in"),
    Bar("guesses", "200 wrong passwords at once: looked at", 10, at_most=True, unit=""),
    _none("guesses_other", "  kept out with the right one, elsewhere"),
    Bar("idle", "1,100 idle connections, 1,024 descriptors: the page within", 1.0, at_most=True, unit="s"),
    _none("slow", "a byte a second, head or body: held after 15 s"),
    _none("cut_uploads", "uploads that are cut off: files left on the disk"),
    _none("weights", "pickles and repositories with code: opened or run"),
    _none("network", "requests to other machines, from page and server"),
    _none("axe", "axe, light and dark: serious findings"),
    _none("alt", "  images without a text"),
    Bar("narrow", "360 px wide: sideways scroll", 0, at_most=True, unit="px"),
)


@dataclass(frozen=True)
class Experiment:
    """Something done `count` times (`quick` for a look) that yields the rows `keys`.

    `measure` gets the server that all share, or, if it is `alone`, an empty folder of its own.
    """

    keys: tuple[str, ...]
    measure: Callable[[Any, int], Figures]
    count: int
    quick: int
    alone: bool = False


EXPERIMENTS = (
    Experiment(("cancel_inside", "cancel_exit"), queueing.cancels, 50, 3),
    Experiment(("direct",), queueing.direct_posts, 20, 8),
    Experiment(("joins", "joins_untold", "joins_page"), queueing.joins, 200, 30),
    Experiment(("sessions",), queueing.sessions, 20, 4),
    Experiment(("images_crash", "images_sentence", "images_path"), hostile.images, 60, 6),
    Experiment(("bomb_taken", "bomb_seconds", "bomb_memory"), hostile.bomb, 5, 1),
    Experiment(("busy_untold", "busy_seconds", "busy_wait"), hostile.busy_pictures, 11, 2),
    Experiment(("unfold_memory", "unfold_stop", "unfold_untold"), unfolding.tables, 1000, 20, alone=True),
    Experiment(("urls",), hostile.urls, 12, 1),
    Experiment(("paths",), hostile.paths, 10, 1),
    Experiment(("prompts",), hostile.prompts, 14, 6),
    Experiment(("prompts_run",), browser.markup, 3, 1),
    Experiment(("cap_over", "cap_left"), faults.disk_cap, 500, 8, alone=True),
    Experiment(("aged_run", "aged_history"), faults.aged, 5000, 50, alone=True),
    Experiment(("kills",), faults.kills, 50, 1, alone=True),
    Experiment(("memory_left", "memory_next", "memory_sentence"), faults.memory_runs_out, 3, 1),
    Experiment(("exception_lock", "exception_told", "exception_log"), faults.exceptions, 5, 1),
    Experiment(("tabs",), browser.closed_tabs, 1, 1),
    Experiment(("growth",), faults.growth, 200, 40),
    Experiment(("new_sessions",), strangers.new_sessions, 2000, 200),
    Experiment(("visitors",), strangers.visitors, 300, 40),
    Experiment(("before_login", "closing"), strangers.before_login, 30, 2, alone=True),
    Experiment(("elsewhere",), strangers.elsewhere, 8, 8),
    Experiment(("guesses", "guesses_other"), strangers.guesses, 200, 30, alone=True),
    Experiment(("idle",), strangers.idle, 1100, 1100, alone=True),
    Experiment(("slow",), strangers.slow, 25, 2),
    Experiment(("cut_uploads",), strangers.cut_uploads, 20, 2),
    Experiment(("weights",), hostile.weights, 7, 7, alone=True),
    Experiment(("network",), browser.outside_requests, 3, 1, alone=True),
    Experiment(("axe", "alt"), browser.accessibility, 2, 1),
    Experiment(("narrow",), browser.narrow, 2, 1),
)


def main(argv: list[str]) -> int:
    """Measure, print the table and the JSON line; exit code 0 whatever the figures are."""
    options = _options(argv)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="imgrag-fire-", ignore_cleanup_errors=True) as folder:
        figures, skipped = run(Path(folder), options.only, options.quick, Meter())
    print_bars(f"fire, {'reduced' if options.quick else 'full'} counts", BARS, figures)
    for key, reason in skipped.items():
        print(f"skipped {key}: {reason}")
    seconds = round(time.monotonic() - begun)
    print_document(report(figures, skipped, seconds, options.quick), options.out)
    return 0


def run(
    folder: Path, only: Iterable[str] = (), quick: bool = False, meter: Meter | None = None
) -> tuple[Figures, dict[str, str]]:
    """The figures of the wanted rows (all, if `only` is empty), and why others are missing."""
    wanted = set(only) or {bar.key for bar in BARS}
    chosen = [experiment for experiment in EXPERIMENTS if wanted.intersection(experiment.keys)]
    figures: Figures = {}
    skipped: dict[str, str] = {}
    with ExitStack() as stack, (meter or Meter()).over("fire", chosen) as steps:
        shared: list[Server] = []
        for number, experiment in enumerate(steps):
            try:
                if experiment.alone:
                    place: Any = folder / f"alone-{number}"
                    place.mkdir()
                else:
                    shared = shared or [stack.enter_context(serving(folder / "shared"))]
                    place = shared[0]
                figures |= experiment.measure(place, experiment.quick if quick else experiment.count)
            except Exception as error:  # noqa: BLE001  the other rows are worth having
                skipped.update(dict.fromkeys(experiment.keys, str(error) or type(error).__name__))
    return {key: figure for key, figure in figures.items() if key in wanted}, skipped


def report(figures: Figures, skipped: Mapping[str, str], seconds: int, quick: bool) -> dict[str, Any]:
    """The JSON document: each row's value, what it has to reach, and whether it does."""
    rows = {
        bar.key: {
            "value": round(figures[bar.key].value, 4), "n": figures[bar.key].n, "must": bar.must,
            "at_most": bar.at_most, "unit": bar.unit, "state": bar.state(figures[bar.key].value),
        }
        for bar in BARS if bar.key in figures
    }  # fmt: skip
    return {
        "bench": "fire", "quick": quick, "seconds": seconds, "rows": rows, "skipped": dict(skipped),
        "machine": machine(),
    }  # fmt: skip


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m imgrag bench fire", description=__doc__)
    keys = [bar.key for bar in BARS]
    parser.add_argument("--only", nargs="+", default=[], choices=keys, metavar="ROW", help=", ".join(keys))
    parser.add_argument("--quick", action="store_true", help="small counts, for a look")
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    return parser.parse_args(argv)
