"""How well and how fast pictures are found by words and look together, on captions made from a seed.

A caption is eight words of a made-up language, the frequent ones as frequent as in real ones (Zipf). Every
hundredth picture has a name besides that one other has. A query asks for such a name in words that many
captions hold, and its vector is that of some other picture, as a CLIP embeds a name that it does not know.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imgrag.bench import Figure, Meter
from imgrag.bench.library.counts import DIMENSIONS, MODEL, Counts, Figures, seconds_of
from imgrag.bench.library.searching import BLOCK, QUERIES, K, clustered
from imgrag.library.engines.sqlite import EmbeddedStore
from imgrag.library.engines.store import Entry
from imgrag.library.search.column import Column
from imgrag.library.search.fusion import read
from imgrag.library.search.names import names_of

SYLLABLES = "ka lo mi tra ble zor vax pin du shi ro fen gar tol mep".split()
COMMON = "beach"  # the most frequent word of the captions
VOCABULARY = 5000  # words that captions are made of
LENGTH = 8  # words of a caption
NAMED_EVERY = 100  # pictures; one of them has a name
TYPED = 50  # names that are looked for with a slip, and begun


def measure_words(counts: Counts, folder: Path, meter: Meter) -> Figures:
    """Recall of rare names, and the pace of what is asked by words, at `rows` pictures."""
    with closing(EmbeddedStore(folder)) as store:
        column = _filled(store, counts.rows, meter)
        names = names_of(store.names())
        typed = [names.plain[at * len(names.plain) // TYPED] for at in range(TYPED)]
        return {
            **_paces(column, counts.rows),  # first: whatever was asked is remembered
            **_recalls(column, counts.rows),
            "meant": _pace(typed, lambda name: names.near(f"{name[:-1]}q", 3)),
            "completed": _pace(typed, lambda name: names.completions(name[:3], 8)),
        }


def measure_large_words(counts: Counts, folder: Path, meter: Meter) -> Figures:
    """The pace at `large` pictures; nothing if there are to be none."""
    if counts.large == 0:
        return {}
    with closing(EmbeddedStore(folder)) as store:
        paces = _paces(_filled(store, counts.large, meter), counts.large)
        return {f"{key}_large": figure for key, figure in paces.items()}


def rare_name(number: int) -> str:
    """What a picture is called in its caption; two are called alike."""
    generator = np.random.default_rng([4, number // (2 * NAMED_EVERY)])
    return "qu" + "".join(generator.choice(SYLLABLES, 4))


def _filled(store: EmbeddedStore, rows: int, meter: Meter) -> Column:
    store.select(MODEL, DIMENSIONS)
    generator = np.random.default_rng(5)
    words = np.array([COMMON, *("".join(generator.choice(SYLLABLES, 3)) for _ in range(VOCABULARY - 1))])
    frequencies = 1 / np.arange(1, VOCABULARY + 1)
    starts = range(0, rows, BLOCK)
    with meter.over(f"writing {rows:,} captions, blocks", starts) as steps:
        for start, vectors in zip(steps, clustered(rows, seed=3), strict=True):
            chosen = generator.choice(words, (len(vectors), LENGTH), p=frequencies / frequencies.sum())
            store.write([_entry(start + at, row) for at, row in enumerate(chosen)], vectors)
    store.optimise()
    return Column(store)


def _entry(number: int, words: Sequence[str]) -> Entry:
    name = [] if number % NAMED_EVERY else [rare_name(number)]
    own = "".join(np.random.default_rng([6, number]).choice(SYLLABLES, 5))
    return Entry(f"{number}.png", f"{number:064x}", name=own, caption=" ".join((*name, *words)))


def _asked(rows: int) -> list[str]:
    """Names of pictures, each in a sentence."""
    named = range(0, rows, NAMED_EVERY)
    return [f"my {rare_name(named[at * len(named) // QUERIES])} at the {COMMON}" for at in range(QUERIES)]


def _recalls(column: Column, rows: int) -> Figures:
    """The share of queries that find a picture with the name among the best `K`."""
    asked, looks = _asked(rows), next(clustered(QUERIES, seed=2))
    found = {
        "named_vectors": [column.ranked(look, "", K) for look in looks],
        "named_words": [_by_words(column, text) for text in asked],
        "named_both": [column.ranked(look, text, K) for look, text in zip(looks, asked, strict=True)],
    }
    return {
        key: Figure(
            statistics.mean(
                any(text.split()[1] in entry.caption for entry, _ in hits)
                for text, hits in zip(asked, every, strict=True)
            ),
            len(asked),
        )
        for key, every in found.items()
    }


def _by_words(column: Column, text: str) -> list[tuple[Entry, float]]:
    strengths = read(column.store, text).strengths()
    best = sorted(strengths, key=lambda number: -strengths[number])[:K]
    return [(entry, 0.0) for entry in column.store.get(best)]


def _paces(column: Column, rows: int) -> Figures:
    """Median of a query by words and look, and against one by look alone; they take turns."""
    looks = next(clustered(QUERIES, seed=2))
    both, alone = [], []
    for one, other, text in zip(looks, looks[::-1], _asked(rows), strict=True):
        both.append(seconds_of(partial(column.ranked, one, text, K)))
        alone.append(seconds_of(partial(column.ranked, other, "", K)))
    fused = statistics.median(both)
    return {
        "fused": Figure(1000 * fused, QUERIES),
        "against_look": Figure(fused / statistics.median(alone), QUERIES),
    }


def _pace(typed: Sequence[str], answer: Callable[[str], Any]) -> Figure:
    return Figure(1000 * statistics.median(seconds_of(partial(answer, name)) for name in typed), len(typed))
