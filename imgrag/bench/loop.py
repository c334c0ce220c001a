"""How long the whole loop takes and how much memory, in the first run and in the next.

As with a page that is up: the pipeline has warmed up before the clock starts, the library has
not been indexed yet. Run it in a process of its own, since imports are part of what is measured.

`--with style control knowledge` measures the plain loop first and then, in the same process, the loop with these: a
style of the profile, a sketch to draw along, a prompt that is looked up. A run's seconds are compared with those of a
plain run that has its models in memory, as it has itself. Last comes how many times as long
as for one image the generator takes for four at once.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from imgrag.bench import machine, print_document
from imgrag.runs.drafts import MAX_IMAGES, seeds_of
from imgrag.runs.structure import Structured
from imgrag.runs.styles import Styled
from imgrag.runs.values import Request, Run

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline
    from imgrag.models.residency import Policy

PROMPT = "a dog and a toolbox"
RIDDLE = "man's best friend and a toolbox"
SQUARE = (0.2, 0.3, 0.5, 0.8)  # where the sketch has a box, as shares of its side
WITH = ("style", "control", "knowledge")
TIMES = 3  # that drawing several images at once is measured


def main(argv: list[str]) -> int:
    """Measure and print; the exit code is 0, or 1 when a run ended before its last stage."""
    options = _options(argv)
    with tempfile.TemporaryDirectory(prefix="imgrag-bench-", ignore_cleanup_errors=True) as folder:
        document = measure(
            lambda: _pipeline(options.profile, options.policy, Path(folder)), options.prompt, options.with_
        )
    _print(document)
    print_document(document, options.out)
    return 0 if all(run["whole"] for run in document["runs"]) else 1


def measure(make: Callable[[], ImageRAGPipeline], prompt: str, parts: Sequence[str] = ()) -> dict[str, Any]:
    """Seconds of making and warming up a pipeline and of two runs (seeds 0 and 1), loads, peaks.

    Args:
        parts: of `WITH`; with some, two runs (seeds 2 and 3) with these follow.
    """
    begun = time.perf_counter()
    pipeline = make()
    pipeline.warm_up()
    warm = time.perf_counter() - begun
    runs = [_timed(pipeline, Request(prompt, seed=seed)) for seed in (0, 1)]
    whole = [_timed(pipeline, _with(pipeline, prompt, parts, seed)) for seed in (2, 3)] if parts else []
    more = {"with": list(parts), "runs_with": whole, "times_plain": _times(whole, runs)} if parts else {}
    return {
        **more, "at_once": measure_images(pipeline, prompt), "bench": "loop", "profile": pipeline.profile.name, "policy": pipeline.policy, "prompt": prompt,
        "warm_up_seconds": round(warm, 3), "runs": runs, "machine": machine(),
    }  # fmt: skip


def _timed(pipeline: ImageRAGPipeline, request: Request) -> dict[str, Any]:
    begun = time.perf_counter()
    run = pipeline(request)
    held = {model.name: model.bytes for model in pipeline.residency.resident}
    return {**_described(run, time.perf_counter() - begun), "held_bytes": held}


def measure_images(pipeline: ImageRAGPipeline, prompt: str, images: int = MAX_IMAGES) -> dict[str, Any]:
    """Seconds of the generator for one image and for several at once, the quickest of three each, in turn."""
    from imgrag.engine.settings import settings

    seconds = {1: math.inf, images: math.inf}
    values = settings(Request(prompt), pipeline.profile)
    asked = {name: values[name] for name in ("negative_prompt", "steps", "guidance_scale")}
    with pipeline.residency.use("generator") as generator:
        for count in (1, images) * TIMES:
            begun = time.perf_counter()
            generator.draw(prompt, seeds=seeds_of(0, count), **asked)
            seconds[count] = min(seconds[count], time.perf_counter() - begun)
    return {"images": images, "one_seconds": round(seconds[1], 3), "all_seconds": round(seconds[images], 3),
            "times_one": round(seconds[images] / seconds[1], 3)}  # fmt: skip


def _times(whole: Sequence[dict[str, Any]], plain: Sequence[dict[str, Any]]) -> float:
    """How many times as long as a plain run; both are the second of their kind, with their models in memory."""
    return round(float(whole[1]["seconds"]) / float(plain[1]["seconds"]), 3)


def _with(pipeline: ImageRAGPipeline, prompt: str, parts: Sequence[str], seed: int) -> Request:
    """A request with these parts; a prompt of one's own is looked up as it is."""
    asked = Request(RIDDLE if "knowledge" in parts and prompt == PROMPT else prompt, seed=seed)
    if "style" in parts:
        first = pipeline.styles.styles()[0]
        asked = replace(asked, styles=(Styled(first.name),))
    if "knowledge" in parts:
        asked = replace(asked, knowledge="on")
    return replace(asked, structure=Structured(_sketch())) if "control" in parts else asked


def _sketch() -> Image.Image:
    image = Image.new("RGB", (512, 512), "white")
    box = [edge * image.width for edge in SQUARE]
    ImageDraw.Draw(image).rounded_rectangle(box, 40, outline="black", width=10)
    return image


def _pipeline(profile: str, policy: Policy, folder: Path) -> ImageRAGPipeline:
    """A pipeline that has nothing from earlier runs, neither images nor embeddings."""
    from imgrag.engine.pipeline import ImageRAGPipeline
    from imgrag.library import libraries_folder
    from imgrag.library.intake.sources import STATE

    # A copy of the libraries without what earlier runs have embedded.
    shutil.copytree(libraries_folder(), folder / "libraries", ignore=shutil.ignore_patterns(STATE))
    return ImageRAGPipeline(
        profile,
        policy=policy,
        results=folder / "results",
        libraries=folder / "libraries",
        cache=folder / "cache",
    )


def _described(run: Run, seconds: float) -> dict[str, Any]:
    stages = [
        {"name": s.name, "status": s.status, "seconds": s.seconds, "peak_bytes": s.peak_bytes}
        for s in run.stages
    ]
    whole = all(stage["status"] == "done" for stage in stages)
    return {
        "seconds": round(seconds, 3),
        "whole": whole,
        "loads": run.loads,
        "why": run.why,
        "stages": stages,
    }


def _print(document: dict[str, Any]) -> None:
    _print_runs(f"{document['prompt']!r}, profile {document['profile']}", document["runs"])
    if document.get("with"):
        _print_runs(f"with {', '.join(document['with'])}", document["runs_with"])
        print(f"{document['times_plain']:.2f} times as long as the plain loop")
    four = document["at_once"]
    print(f"{four['images']} images at once: {four['times_one']:.2f} times as long as one")
    Console(width=100).print(
        f"Warm-up before the first run: {document['warm_up_seconds']:.1f} s", highlight=False
    )


def _print_runs(title: str, runs: Sequence[dict[str, Any]]) -> None:
    first, second = runs
    table = Table(title=title, title_justify="left")
    for heading in ("stage", "first run", "second run", "peak memory"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for one, other in zip(first["stages"], second["stages"], strict=True):
        peak = max(one["peak_bytes"], other["peak_bytes"]) / 2**20
        table.add_row(one["name"], _cell(one), _cell(other), f"{peak:.0f} MiB" if peak else "-")
    table.add_section()
    table.add_row("whole loop", f"{first['seconds']:.2f} s", f"{second['seconds']:.2f} s", "")
    table.add_row("loads", str(first["loads"]), str(second["loads"]), "")
    Console(width=100).print(table)


def _cell(stage: dict[str, Any]) -> str:
    return f"{stage['seconds']:.2f} s" if stage["status"] == "done" else stage["status"]


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m imgrag bench loop", description=__doc__)
    parser.add_argument("--prompt", default=PROMPT, help="one with a concept that the generator lacks")
    parser.add_argument("--profile", default="pocket")
    parser.add_argument("--policy", choices=("sequential", "resident"), default="sequential")
    parser.add_argument(
        "--with", dest="with_", nargs="+", choices=WITH, default=(), help="measure also with these"
    )
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    return parser.parse_args(argv)
