"""How fast and how exact the library is, as ratios within one run where a machine would decide otherwise.

Searching is measured on vectors (`searching`) and captions (`wording`), adding on files (`adding`).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from imgrag.bench import Bar, Meter, count, machine, print_bars, print_document
from imgrag.bench.library import precision
from imgrag.bench.library.adding import measure_again, measure_memory, measure_photos
from imgrag.bench.library.counts import DIMENSIONS, Counts, Experiment, Figures
from imgrag.bench.library.searching import K, measure_large_search, measure_search
from imgrag.bench.library.wording import measure_large_words, measure_words


def main(argv: list[str]) -> int:
    """Measure, print the table and the JSON line; exit code 0 whatever the figures are."""
    options = _options(argv)
    counts = Counts(options.rows, options.large, options.photos, options.files, options.many)
    figures = run(counts, options.only)
    print_bars("library", bars(counts), figures)
    print_document(report(counts, figures), options.out)
    return 0


def bars(counts: Counts) -> tuple[Bar, ...]:
    """What is measured and what it has to reach."""
    rows, large = f"{counts.rows:,} x {DIMENSIONS}", f"{counts.large:,} x {DIMENSIONS}"
    return (
        Bar("recall", f"recall@{K} against exact, {rows}", 0.99),
        Bar("recall_large", f"  {large}", 0.99),
        Bar("query", f"p50 of one query, {rows}", unit="ms"),
        Bar("query_large", f"  {large}", unit="ms"),
        Bar("against_bare", f"  against bare FAISS, {rows}", 1.3, at_most=True, unit="x"),
        Bar("against_bare_large", f"  {large}", 1.3, at_most=True, unit="x"),
        Bar("memory_large", "  memory, against lists of whole vectors", 0.35, at_most=True),
        Bar("filtered", f"recall@{K} where 2.5% pass, {rows}", 1.0),
        Bar("filtered_large", f"  {large}", 1.0),
        Bar("named_vectors", f"recall@{K} of rare names in captions, vectors alone, {rows}"),
        Bar("named_words", "  words alone"),
        Bar("named_both", "  both", 0.99),
        Bar("fused", f"p50 of one query by words and look, {rows}", unit="ms"),
        Bar("fused_large", f"  {large}", unit="ms"),
        Bar("against_look", f"  against the look alone, {rows}", 1.5, at_most=True, unit="x"),
        Bar("against_look_large", f"  {large}", 1.5, at_most=True, unit="x"),
        Bar("meant", f"p50 of names that may have been meant, {rows}", 20, at_most=True, unit="ms"),
        Bar("completed", "  of completions", 20, at_most=True, unit="ms"),
        Bar("opened", f"open + first query, new process, {rows}", 0.7, at_most=True, unit="s"),
        Bar("photos", f"adding {counts.photos:,} JPEGs, against bare ViT-B/32", 0.85),
        Bar("again", f"adding {counts.files:,} images again, against first", 0.02, at_most=True),
        *precision.BARS,
        Bar("memory", f"adding {counts.many:,} images: growth", 200, at_most=True, unit="MB"),
    )


def run(counts: Counts, only: Iterable[str] = ()) -> Figures:
    """The figures of the wanted rows (all, if `only` is empty)."""
    wanted = set(only) or {bar.key for bar in bars(counts)}
    figures: Figures = {}
    for experiment in EXPERIMENTS:
        if not wanted.intersection(experiment.keys):
            continue
        with tempfile.TemporaryDirectory(prefix="imgrag-bench-", ignore_cleanup_errors=True) as folder:
            measured = experiment.measure(counts, Path(folder), Meter())
        figures.update({key: figure for key, figure in measured.items() if key in wanted})
    return figures


def report(counts: Counts, figures: Figures) -> dict[str, Any]:
    """The JSON document: each row's value, what it has to reach, and whether it does."""
    rows = {
        bar.key: {
            "value": round(figures[bar.key].value, 4), "n": figures[bar.key].n, "must": bar.must,
            "at_most": bar.at_most, "unit": bar.unit, "state": bar.state(figures[bar.key].value),
        }
        for bar in bars(counts) if bar.key in figures
    }  # fmt: skip
    return {"bench": "library", "counts": asdict(counts), "rows": rows, "machine": machine()}


EXPERIMENTS = (
    Experiment(("recall", "query", "against_bare", "filtered", "opened"), measure_search),
    Experiment(
        (
            "recall_large",
            "query_large",
            "against_bare_large",
            "filtered_large",
            "memory_large",
        ),
        measure_large_search,
    ),
    Experiment(
        ("named_vectors", "named_words", "named_both", "fused", "against_look", "meant", "completed"),
        measure_words,
    ),
    Experiment(("fused_large", "against_look_large"), measure_large_words),
    Experiment(("photos",), measure_photos),
    Experiment(("again",), measure_again),
    Experiment(("memory",), measure_memory),
    Experiment(tuple(bar.key for bar in precision.BARS), precision.measure_precision),
)


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m imgrag bench library", description=__doc__)
    usual, keys = Counts(), [bar.key for bar in bars(Counts())]
    parser.add_argument("--rows", type=count, default=usual.rows, help="vectors to search")
    parser.add_argument(
        "--large", type=count, default=usual.large, help="and again, so many; 0 leaves it out"
    )
    parser.add_argument("--photos", type=count, default=usual.photos, help="JPEGs to add through a ViT-B/32")
    parser.add_argument("--files", type=count, default=usual.files, help="images to add twice")
    parser.add_argument(
        "--many", type=count, default=usual.many, help="images to add while memory is watched"
    )
    parser.add_argument("--only", nargs="+", default=[], choices=keys, metavar="ROW", help=", ".join(keys))
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    options = parser.parse_args(argv)
    for name, least in (("rows", K), ("large", 0), ("photos", 1), ("files", 1), ("many", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name} is {getattr(options, name)}; it must be at least {least}")
    return options
