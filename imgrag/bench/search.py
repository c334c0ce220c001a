"""Composed queries, re-ranking and reasons on the profile's own models: what each gives and costs.

The library holds icons on each of the world's plain colours. A query is a picture of an icon on
one colour and words that ask for another ("on a green background"); right is that icon on that
colour, ranked first, the query picture itself left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgrag.bench import Bar, Figure, Meter, count, explaining, machine, print_bars, print_document
from imgrag.bench.remembering import measure_hits
from imgrag.engine.librarian import Found, Librarian
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.library.intake.adding import finished
from imgrag.library.search.cache import InProcess
from imgrag.library.search.queries import Query
from imgrag.pocket.recipes.clip import on_colour
from imgrag.pocket.world import world

LIBRARY = "colours"
SIDE = 64  # px
SEED = 21
BARS = (
    Bar("image", "picture alone finds it first"),
    Bar("text", "words alone find it first"),
    Bar("composed", "picture and words find it first"),
    Bar("reranked", "the same, the best looked at again"),
    Bar("readable", "rankings that can be read (a collage's)"),
    Bar("cost", "seconds of a re-ranked search, in plain ones", unit="x"),
    *explaining.BARS,
    Bar("hit", "the same search again, p50", 2, at_most=True, unit="ms"),
    Bar("hit_redis", "  from a Redis on this machine", 5, at_most=True, unit="ms"),
    Bar("looked", "  of it to see that nothing has changed, best", unit="ms"),
)


@dataclass(frozen=True)
class Case:
    """The query's two halves and the file that is right."""

    picture: Image.Image
    words: str
    right: str


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m imgrag bench search", description=__doc__)
    parser.add_argument("--icons", type=count, default=60, help="icons, each on eight colours")
    parser.add_argument("--queries", type=count, default=200)
    parser.add_argument("--reranked", type=count, default=20, help="queries that are re-ranked too")
    parser.add_argument(
        "--explained", type=count, default=200, help="hits of which it is said why they were found"
    )
    parser.add_argument("--profile", default="pocket")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="imgrag-bench-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        icons = np.random.default_rng(SEED).permutation(len(world.names()))[: options.icons].tolist()
        draw(root / "libraries" / LIBRARY, icons)
        pipeline = ImageRAGPipeline(options.profile, results=root / "results", libraries=root / "libraries")
        librarian, asked = Librarian(pipeline, InProcess(0)), cases(icons, options.queries)
        figures = measure(librarian, asked, options.reranked)
        figures |= explaining.measure(librarian, explaining.cases(options.explained))
        figures |= measure_hits(
            pipeline, LIBRARY, [Query(text=case.words, image=case.picture) for case in asked]
        )
        pipeline.close_library(LIBRARY)
    title = f"search of {8 * options.icons} pictures, {options.profile}"
    print_bars(title, BARS, figures)
    document = {
        "bench": "search", "profile": options.profile, "pictures": 8 * options.icons,
        **{key: {"value": round(figure.value, 4), "n": figure.n} for key, figure in figures.items()},
        "machine": machine(),
    }  # fmt: skip
    print_document(document, options.out)
    return 0


def draw(folder: Path, icons: Sequence[int]) -> None:
    """A picture of each icon on each colour."""
    folder.mkdir(parents=True)
    for icon in icons:
        for colour in range(len(world.COLOURS)):
            picture(icon, colour).save(folder / _file(icon, colour))


def picture(icon: int, colour: int) -> Image.Image:
    """An icon on a plain colour of the world, RGB [64, 64]."""
    slot = world.icon_slots(SIDE)[icon : icon + 1]
    return world.to_image(world.over(slot, world.colour_values()[colour : colour + 1])[0])


def cases(icons: Sequence[int], count: int) -> list[Case]:
    """Queries from a seed: an icon, the colour it is shown on, the colour that is asked for."""
    rng, colours = np.random.default_rng(SEED + 1), len(world.COLOURS)
    found = []
    for _ in range(count):
        icon, shown = int(rng.choice(icons)), int(rng.integers(colours))
        asked = (shown + int(rng.integers(1, colours))) % colours
        found.append(Case(picture(icon, shown), on_colour(asked), _file(icon, asked)))
    return found


def _file(icon: int, colour: int) -> str:
    return f"{world.names()[icon].replace(' ', '-')}.{list(world.COLOURS)[colour]}.png"


def measure(librarian: Librarian, asked: Sequence[Case], reranked: int) -> dict[str, Figure]:
    """Shares of the queries whose right picture came first, and what re-ranking costs."""
    finished(librarian.add(LIBRARY, []))
    halves: dict[str, Callable[[Case], Query]] = {
        "image": lambda case: Query(image=case.picture),
        "text": lambda case: Query(text=case.words),
        "composed": lambda case: Query(text=case.words, image=case.picture),
    }
    figures = {}
    for key, query in halves.items():
        with Meter().over(key, asked) as each:
            right = [_first(librarian.search(LIBRARY, query(case))) == case.right for case in each]
        figures[key] = Figure(float(np.mean(right)), len(right))
    return {**figures, **_reranking(librarian, asked[:reranked])}


def _reranking(librarian: Librarian, asked: Sequence[Case]) -> dict[str, Figure]:
    right, readable, costs = [], [], []
    with Meter().over("reranked", asked) as each:
        for case in each:
            query = Query(text=case.words, image=case.picture)
            plain, _ = _timed(librarian, query, rerank=False)
            longer, found = _timed(librarian, query, rerank=True)
            right.append(_first(found) == case.right)
            readable.append(not found.note)
            costs.append(longer / plain)
    rows: dict[str, list[Any]] = {"reranked": right, "readable": readable}
    if not asked:
        return {}
    return {
        **{key: Figure(float(np.mean(values)), len(values)) for key, values in rows.items()},
        "cost": Figure(float(np.median(costs)), len(costs)),
    }


def _timed(librarian: Librarian, query: Query, rerank: bool) -> tuple[float, Found]:
    begun = time.perf_counter()
    found = librarian.search(LIBRARY, query, rerank=rerank)
    return time.perf_counter() - begun, found


def _first(found: Found) -> str:
    return found.candidates[0].file if found.candidates else ""
