"""Looking again at what was found: what it gains over CLIP alone, and whether its reasons are right.

A library holds a picture of every name of the world, without the name: in the library's own style, and in Twemoji's,
which no training saw. The weight is for the names at odd places to choose; those at even places are measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from imgrag.bench import Bar, Figure, Meter, count, machine, print_bars, print_document
from imgrag.engine.librarian import Librarian, Result
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.engine.prompts import with_article
from imgrag.library.intake.adding import finished
from imgrag.library.search.queries import Query
from imgrag.models.profile import load_profile
from imgrag.pocket.world import twemoji, world

STYLES = ("own", "other")
BARS = (
    Bar("clip_other", "other style, right one first: CLIP alone"),
    Bar("ranked_other", "  ranked"),
    Bar("gain_other", "  gain", 0.08),
    Bar("within_other", "  among those that are looked at"),
    Bar("clip_own", "own style, right one first: CLIP alone"),
    Bar("ranked_own", "  ranked"),
    Bar("gain_own", "  gain", 0.0),
    Bar("reason_own", "  the first is right: its reason names it", 0.90),
    Bar("reason_other", "other style, likewise"),
    Bar("seconds", "a search whose best are ranked, without a reason", 1.0, unit="s", at_most=True),
    Bar("reason_seconds", "its reason", unit="s"),
)


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m imgrag bench ranking", description=__doc__)
    parser.add_argument("--names", type=count, default=100, help="names at even places that are asked for")
    parser.add_argument(
        "--choosing", action="store_true", help="those at odd places instead, to choose a weight by"
    )
    parser.add_argument(
        "--weight", type=float, default=None, help="of the log-odds, in place of the profile's"
    )
    parser.add_argument("--profile", default="pocket")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args(argv)
    profile = load_profile(options.profile)
    if options.weight is not None:
        profile = replace(profile, ranking=replace(profile.ranking, words=options.weight))
    names = _spread(world.names()[int(options.choosing) :: 2], options.names)
    with tempfile.TemporaryDirectory(prefix="imgrag-bench-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        fill(root / "libraries", {"own": _own(), "other": twemoji.pictures()})
        pipeline = ImageRAGPipeline(profile, results=root / "results", libraries=root / "libraries")
        figures = measure(Librarian(pipeline), names)
        for style in STYLES:
            pipeline.close_library(style)
    print_bars(f"ranking of {len(world.names())} pictures, {options.profile}", BARS, figures)
    document = {
        "bench": "ranking", "profile": options.profile, "weight": profile.ranking.words,
        **{key: {"value": round(figure.value, 4), "n": figure.n} for key, figure in figures.items()},
        "machine": machine(),
    }  # fmt: skip
    print_document(document, options.out)
    return 0


def _own() -> dict[str, Image.Image]:
    return {icon.name: Image.open(world.LIBRARY / icon.file_name).convert("RGBA") for icon in world.icons()}


def _spread(names: Sequence[str], wanted: int) -> list[str]:
    """So many of them, evenly apart."""
    places = np.linspace(0, len(names) - 1, min(wanted, len(names))).round().astype(int)
    return [names[place] for place in places]


def fill(libraries: Path, styles: Mapping[str, Mapping[str, Image.Image]]) -> None:
    """A library of each style's pictures; their files are called by numbers, see `file_of`."""
    for style, pictures in styles.items():
        (libraries / style).mkdir(parents=True)
        for name, picture in pictures.items():
            picture.save(libraries / style / file_of(name))


def file_of(name: str) -> str:
    """Which file shows a name of the world."""
    return f"{world.names().index(name):04}.png"


def measure(librarian: Librarian, names: Sequence[str]) -> dict[str, Figure]:
    """Shares of the names, and median seconds."""
    figures = dict[str, Figure]()
    seconds: list[tuple[float, float]] = []
    for style in STYLES:
        finished(librarian.add(style, []))
        with Meter().over(style, names) as each:
            asked = [_asked(librarian, style, name, seconds) for name in each]
        figures |= _figures(style, names, asked)
    ranking, telling = np.median(np.array(seconds), axis=0).tolist()
    return figures | {
        "seconds": Figure(ranking, len(seconds)), "reason_seconds": Figure(telling, len(seconds)),
    }  # fmt: skip


def _asked(
    librarian: Librarian, style: str, name: str, seconds: list[tuple[float, float]]
) -> tuple[Sequence[Result], Sequence[Result]]:
    """The best without looking again, and with; takes the time of the ranking and of its reason."""
    query, k = Query(with_article(name)), librarian.ranking.best
    plain = librarian.search(style, query, k).candidates
    begun = time.perf_counter()
    ranked = librarian.search(style, query, k, rerank=True, reasons=None).candidates
    middle = time.perf_counter()
    first = librarian.reason(style, query, ranked[0])
    seconds.append((middle - begun, time.perf_counter() - middle))
    return plain, (first, *ranked[1:])


def _figures(
    style: str, names: Sequence[str], asked: Sequence[tuple[Sequence[Result], Sequence[Result]]]
) -> dict[str, Figure]:
    files = [file_of(name) for name in names]
    clip = [plain[0].file == file for file, (plain, _) in zip(files, asked, strict=True)]
    ranked = [after[0].file == file for file, (_, after) in zip(files, asked, strict=True)]
    within = [file in {one.file for one in plain} for file, (plain, _) in zip(files, asked, strict=True)]
    reasons = [
        f" {name}" in after[0].look
        for name, right, (_, after) in zip(names, ranked, asked, strict=True)
        if right
    ]
    rows = {"clip": clip, "ranked": ranked, "within": within, "reason": reasons}
    shares = {f"{key}_{style}": Figure(float(np.mean(row or [False])), len(row)) for key, row in rows.items()}
    gain = float(np.mean(ranked) - np.mean(clip))
    return shares | {f"gain_{style}": Figure(gain, len(names))}
