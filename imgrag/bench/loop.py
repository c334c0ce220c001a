"""How long the whole loop takes and how much memory, in the first run and in the next.

As with a page that is up: the pipeline has warmed up before the clock starts, the library has
not been indexed yet. Run it in a process of its own, since imports are part of what is measured.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from imgrag.bench import machine, print_document
from imgrag.runs.values import Request, Run

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline
    from imgrag.models.residency import Policy

PROMPT = "a dog and a toolbox"


def main(argv: list[str]) -> int:
    """Measure and print; the exit code is 0, or 1 when a run ended before its last stage."""
    options = _options(argv)
    with tempfile.TemporaryDirectory(prefix="imgrag-bench-", ignore_cleanup_errors=True) as folder:
        document = measure(lambda: _pipeline(options.profile, options.policy, Path(folder)), options.prompt)
    _print(document)
    print_document(document, options.out)
    return 0 if all(run["whole"] for run in document["runs"]) else 1


def measure(make: Callable[[], ImageRAGPipeline], prompt: str) -> dict[str, Any]:
    """Seconds of making and warming up a pipeline and of two runs (seeds 0 and 1), loads, peaks."""
    begun = time.perf_counter()
    pipeline = make()
    pipeline.warm_up()
    warm = time.perf_counter() - begun
    runs = []
    for seed in (0, 1):
        begun = time.perf_counter()
        run = pipeline(Request(prompt, seed=seed))
        runs.append(_described(run, time.perf_counter() - begun))
    return {
        "bench": "loop", "profile": pipeline.profile.name, "policy": pipeline.policy, "prompt": prompt,
        "warm_up_seconds": round(warm, 3), "runs": runs, "machine": machine(),
    }  # fmt: skip


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
    first, second = document["runs"]
    table = Table(title=f"{document['prompt']!r}, profile {document['profile']}", title_justify="left")
    for heading in ("stage", "first run", "second run", "peak memory"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for one, other in zip(first["stages"], second["stages"], strict=True):
        peak = max(one["peak_bytes"], other["peak_bytes"]) / 2**20
        table.add_row(one["name"], _cell(one), _cell(other), f"{peak:.0f} MiB" if peak else "-")
    table.add_section()
    table.add_row("whole loop", f"{first['seconds']:.2f} s", f"{second['seconds']:.2f} s", "")
    table.add_row("loads", str(first["loads"]), str(second["loads"]), "")
    console = Console(width=100)
    console.print(table)
    console.print(f"Warm-up before the first run: {document['warm_up_seconds']:.1f} s", highlight=False)


def _cell(stage: dict[str, Any]) -> str:
    return f"{stage['seconds']:.2f} s" if stage["status"] == "done" else stage["status"]


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m imgrag bench loop", description=__doc__)
    parser.add_argument("--prompt", default=PROMPT, help="one with a concept that the generator lacks")
    parser.add_argument("--profile", default="pocket")
    parser.add_argument("--policy", choices=("sequential", "resident"), default="sequential")
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    return parser.parse_args(argv)
