"""The upscaler: does the judge see no less in the larger image, is its ground plain, and how long does it take.

Whole runs, half of two known things, half of a known and an unseen one, so that half of what is kept was copied from a
reference. The judge knows things at the small size, so it is shown the larger image made small again.
"""

from __future__ import annotations

import time

import numpy as np
from PIL import Image

from imgrag.bench import Bar, Figure
from imgrag.bench.fidelity.cases import mixed_cases, pair_cases
from imgrag.bench.fidelity.workbench import Workbench

EMPTY = 0.2  # of the height at the top where nothing stands
BARS = (
    Bar("larger_seen", "things the judge sees in the kept image, seen in the larger one too", 0.99, 1.0),
    Bar("larger_seen_small", "  things asked for and seen in the kept image"),
    Bar("larger_seen_large", "  things asked for and seen in the larger one"),
    Bar("larger_ground_small", "unrest of the ground in the kept image, of 255", unit=""),
    Bar("larger_ground_large", "  in the larger one", unit=""),
    Bar("larger_seconds", "making it larger, one thread", 0.5, 0.2, at_most=True, unit="s"),
)


def measure_larger(bench: Workbench, prompts: int) -> dict[str, Figure]:
    """Half of the prompts of either sort."""
    half = max(1, prompts // 2)
    cases = [*pair_cases(half), *mixed_cases(half)]
    runs = [outcome.run for outcome in bench.runs("larger", cases, "pocket", (bench.judge, bench.judge))]
    kept = [(run.result, run.larger) for run in runs]
    whole = [(small, large) for small, large in kept if small is not None and large is not None]
    asked = [case.objects for case, (_, large) in zip(cases, kept, strict=True) if large is not None]
    seen = [
        tuple(
            (name in bench.judge.shown(small), name in bench.judge.shown(_small(large, small)))
            for name in names
        )
        for (small, large), names in zip(whole, asked, strict=True)
    ]
    things = [both for each in seen for both in each]
    still = [after for before, after in things if before]
    return {
        "larger_seen": Figure(sum(still) / max(1, len(still)), len(still)),
        "larger_seen_small": Figure(sum(before for before, _ in things) / max(1, len(things)), len(things)),
        "larger_seen_large": Figure(sum(after for _, after in things) / max(1, len(things)), len(things)),
        "larger_ground_small": Figure(float(np.mean([_unrest(small) for small, _ in whole])), len(whole)),
        "larger_ground_large": Figure(float(np.mean([_unrest(large) for _, large in whole])), len(whole)),
        "larger_seconds": _seconds(bench, whole[0][0]),
    }


def _small(large: Image.Image, small: Image.Image) -> Image.Image:
    return large.resize(small.size, Image.Resampling.BOX)


def _unrest(image: Image.Image) -> float:
    """Standard deviation of what stands above the things, which one colour has none of."""
    pixels = np.asarray(image, np.float64)
    return float(pixels[: int(EMPTY * len(pixels))].std((0, 1)).mean())


def _seconds(bench: Workbench, image: Image.Image, times: int = 5) -> Figure:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        took = []
        for _ in range(times):
            begun = time.perf_counter()
            bench.pipeline.enlarge(image)
            took.append(time.perf_counter() - begun)
    finally:
        torch.set_num_threads(before)
    return Figure(float(np.median(took)), times)
