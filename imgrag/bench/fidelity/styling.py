"""Pocket's styles: is the style there, are the things still there, and is an unseen one that is shown by reference.

The judge of each style knows the icons as that style renders them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from PIL import Image

from imgrag.bench import Bar, Figure
from imgrag.bench.fidelity.cases import mixed_cases, pair_cases
from imgrag.bench.fidelity.style_eye import StyleEye
from imgrag.bench.fidelity.workbench import Workbench, style_judge
from imgrag.pocket.judge import Judge
from imgrag.pocket.world.renderings import RENDERINGS

EYE = Bar("style_eye", "styles: the eye is right on icons it never saw")
MEASURES = {
    "style": Bar("style_right", "each style asked for: the picture is in it", 0.95),
    "things": Bar("style_things", "  the known things are recognised in it", 0.93),
    "unseen": Bar("style_unseen", "  an unseen thing by reference, recognised in it", 0.85),
}
BYTES = Bar("style_bytes", "  the largest LoRA", 1.0, at_most=True, unit="MB")
BARS = (
    EYE, *MEASURES.values(), BYTES,
    *(
        Bar(f"{bar.key}_{name}", f"    {name}: {what}")
        for name in RENDERINGS
        for what, bar in MEASURES.items()
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What came of a prompt in a style: whether the picture is in it, and the things looked for that are there."""

    style: bool
    things: tuple[bool, ...]


def measure_styles(bench: Workbench, prompts: int) -> dict[str, Figure]:
    """Initial images of two known things, and enhanced ones of a known and an unseen thing, in every style."""
    eye, figures = StyleEye(), dict[str, Figure]()
    flags = defaultdict[str, list[bool]](list)
    for name in RENDERINGS:
        judge = style_judge(name)
        known = _known(bench, prompts, name, eye, judge)
        unseen = _unseen(bench, prompts, name, eye, judge)
        for key, found in (
            ("style_right", [seen.style for seen in (*known, *unseen)]),
            ("style_things", [there for seen in known for there in seen.things]),
            ("style_unseen", [seen.things[1] for seen in unseen]),
        ):
            flags[key] += found
            flags[f"{key}_{name}"] += found
    for key, told in flags.items():
        figures[key] = Figure(sum(told) / len(told), len(told))
    return {EYE.key: Figure(eye.accuracy, eye.checked), BYTES.key: _largest(bench), **figures}


def _known(bench: Workbench, prompts: int, style: str, eye: StyleEye, judge: Judge) -> list[Seen]:
    cases = pair_cases(prompts)
    drawn = bench.styled(f"{style}, two known", cases, style)
    return [_seen(image, case.objects, style, eye, judge) for image, case in zip(drawn, cases, strict=True)]


def _unseen(bench: Workbench, prompts: int, style: str, eye: StyleEye, judge: Judge) -> list[Seen]:
    cases = mixed_cases(prompts)
    drawn = bench.styled_by_reference(f"{style}, known + unseen", cases, style)
    return [_seen(image, case.objects, style, eye, judge) for image, case in zip(drawn, cases, strict=True)]


def _seen(image: Image.Image, things: tuple[str, str], style: str, eye: StyleEye, judge: Judge) -> Seen:
    shown = judge.shown(image)
    return Seen(eye.style(image) == style, tuple(thing in shown for thing in things))


def _largest(bench: Workbench) -> Figure:
    files = [bench.pipeline.styles.get(name).lora for name in RENDERINGS]
    sizes = [file.stat().st_size for file in files if file is not None]
    return Figure(max(sizes, default=0) / 1e6, len(sizes))
