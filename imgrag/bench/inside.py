"""Seeing inside: whether the map of a named thing, and that of a reference, has its mass where the thing stands.

Each case is an enhanced image of two things side by side: one that the generator knows by name, and one that comes
from its reference, left and right in turn. A map is right if more than half of it, over all steps, lies in its
thing's half; the other half is what a map that knows nothing reaches half of the time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from imgrag.bench import Bar, Figure, Meter, count, machine, print_bars, print_document
from imgrag.engine.inspecting import watched
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.engine.prompts import with_article
from imgrag.engine.settings import settings
from imgrag.library.intake.pictures import read_picture
from imgrag.pocket.world import world
from imgrag.runs.inside import Heat
from imgrag.runs.values import Candidate, Reference, Request, Round, Run, new_id

SEED = 13
BARS = (
    Bar("word", "a named thing: most of its word's map in its half", 0.90),
    Bar("word_mass", "  share of the map in it, on average"),
    Bar("reference", "a thing from a reference: most of the reference's map in its half", 0.90),
    Bar("reference_mass", "  share of the map in it, on average"),
    Bar("reference_word", "  most of its word's map in its half"),
    Bar("seconds", "drawing an image again and watching", unit="s"),
)


@dataclass(frozen=True)
class Case:
    """A thing that is known by name and one that a reference shows; `left` is the one that stands left."""

    known: str
    shown: str
    seed: int

    @property
    def left(self) -> str:
        return (self.known, self.shown)[self.seed % 2]

    @property
    def prompt(self) -> str:
        right = self.shown if self.left == self.known else self.known
        return f"{with_article(self.left)} and {with_article(right)}"


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m imgrag bench inside", description=__doc__)
    parser.add_argument("--runs", type=count, default=100, help="images that are looked into")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="imgrag-bench-", ignore_cleanup_errors=True) as folder:
        figures = measure(ImageRAGPipeline("pocket", results=Path(folder)), cases(options.runs))
    print_bars("seeing inside, pocket", BARS, figures)
    values = {key: {"value": round(figure.value, 4), "n": figure.n} for key, figure in figures.items()}
    print_document({"bench": "inside", "profile": "pocket", **values, "machine": machine()}, options.out)
    return 0


def cases(number: int) -> list[Case]:
    """Pairs of a known and a shown thing from a seed."""
    rng, names = np.random.default_rng(SEED), world.names()
    known, shown = (rng.choice(world.indices(kind), number) for kind in ("known", "shown"))
    return [Case(names[a], names[b], seed) for seed, (a, b) in enumerate(zip(known, shown, strict=True))]


def measure(pipeline: ImageRAGPipeline, asked: Sequence[Case]) -> dict[str, Figure]:
    """Shares of the maps that lie where they should, and seconds an image."""
    if not asked:
        return {}
    told, seconds = [], []
    with Meter().over("inside", asked) as each:
        for case in each:
            begun = time.perf_counter()
            told.append(_masses(_heats(pipeline, case), case))
            seconds.append(time.perf_counter() - begun)
    found = {
        key: Figure(float(np.mean([masses[key] > 0.5 for masses in told])), len(told)) for key in told[0]
    }
    means = {f"{key}_mass": Figure(float(np.mean([m[key] for m in told])), len(told)) for key in told[0]}
    return {**found, **means, "seconds": Figure(float(np.median(seconds)), len(seconds))}


def _heats(pipeline: ImageRAGPipeline, case: Case) -> list[Heat]:
    """What is seen of the enhanced image of a case, drawn as a run would draw it."""
    request = Request(case.prompt, seed=case.seed)
    library = pipeline.library_of(request)
    file = next(icon.file_name for icon in world.icons() if icon.name == case.shown)
    reference = Reference(case.shown, Candidate(file, 1.0, case.shown), read_picture(world.LIBRARY / file))
    run = Run(
        new_id(datetime.now(timezone.utc)), request, pipeline.profile.name, library.name, "",
        settings(request, pipeline.profile), rounds=(Round(references=(reference,)),),
    )  # fmt: skip
    context = pipeline.context(library, lambda event: None, lambda: None)
    _, _, heats = watched(replace(run, reading=context.reader.read(case.prompt)), "enhanced", 1, context)
    return heats


def _masses(heats: Sequence[Heat], case: Case) -> dict[str, float]:
    """The share of each map that lies in its thing's half; of a word that has no map none does."""
    maps: Mapping[tuple[str, str], Heat] = {(heat.kind, heat.name): heat for heat in heats}
    wanted = {
        "word": ("word", case.known),
        "reference": ("reference", case.shown),
        "reference_word": ("word", case.shown),
    }
    return {key: _mass(maps.get(heat), heat[1] == case.left) for key, heat in wanted.items()}


def _mass(heat: Heat | None, left: bool) -> float:
    if heat is None:
        return 0.0
    mean = heat.mean
    half = mean.shape[1] // 2
    part = mean[:, :half] if left else mean[:, half:]
    return float(part.sum() / mean.sum())
