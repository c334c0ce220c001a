"""How faithful the loop is: the figures of the pocket world, by the independent judge.

Prompts, seeds and pictures are fixed. Every image and decision comes from the real pipeline and
its stages; the judge (`imgrag.pocket.judge`) looks at the images alone. "Other style" means that
references are Twemoji pictures, which no training saw; there the judge compares with those.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from imgrag.bench import Bar, Figure, Meter, count, machine, print_bars, print_document
from imgrag.bench.fidelity import enlarging, honesty, structuring, styling
from imgrag.bench.fidelity.cases import (
    Case,
    missing_cases,
    mixed_cases,
    own_cases,
    own_pictures,
    own_twemoji,
    pair_cases,
)
from imgrag.bench.fidelity.riddles import knowing_cases, plain_prompts
from imgrag.bench.fidelity.wordings import KINDS, wording_cases
from imgrag.bench.fidelity.workbench import Drawn, Workbench
from imgrag.engine.pipeline import ImageRAGPipeline
from imgrag.errors import ImgragError
from imgrag.models.profile import Profile

BARS = (
    Bar("known", "two known concepts, both in the initial image", 0.97, 0.99),
    Bar("blank", "known + unseen: unseen in the initial image", 0.02, 0.0, at_most=True),
    Bar("reference", "the same, with the right reference: unseen there", 0.95, 0.99),
    Bar("reference_other", "  other style", 0.90, 0.97),
    Bar("loop_unseen", "the same, whole loop: unseen in the result", 0.85, 0.97),
    Bar("loop_unseen_other", "  other style", 0.85, 0.97),
    Bar("loop_known", "and the known one still there", 0.95, 0.99),
    Bar("loop_known_other", "  other style", 0.95, 0.99),
    Bar("verdict", "VLM verdict, balanced accuracy", 0.92, 0.98),
    Bar("second_verdict", "  second verdict, agrees with the judge"),
    Bar("named", "concept named is the missing one", 0.88, 0.97),
    Bar("retrieved", "right reference first, by CLIP alone", 0.95, 0.99),
    Bar("retrieved_other", "  other style", 0.80, 0.95),
    Bar("own_named", "own picture, nonce name: named as missing"),
    Bar("own_found", "  found in the library"),
    Bar("own_drawn", "  drawn in the result"),
    Bar("own", "  named, found and drawn", 0.70, 0.95),
    Bar("own_named_other", "  other style: named"),
    Bar("own_found_other", "  other style: found"),
    Bar("own_drawn_other", "  other style: drawn"),
    Bar("own_other", "  other style: all three", 0.70, 0.95),
    Bar("two_shown_one", "two shown, right references, one adapter: both there"),
    Bar("two_shown_one_regions", "  a half of the image for each"),
    Bar("two_shown_each", "  an adapter each"),
    Bar("two_shown_each_regions", "  an adapter and a half each"),
    Bar("two_shown_loop", "  whole loop, both in one round"),
    Bar("two_shown_rounds", "  whole loop, one a round"),
    Bar("two_unseen_one", "two unseen, right references, one adapter: both there"),
    Bar("two_unseen_one_regions", "  a half of the image for each"),
    Bar("two_unseen_each", "  an adapter each"),
    Bar("two_unseen_each_regions", "  an adapter and a half each"),
    Bar("two_unseen_loop", "  whole loop, both in one round"),
    Bar("two_unseen_rounds", "  whole loop, one a round"),
    Bar("seconds_one", "references to image, one adapter", unit="s"),
    Bar("seconds_one_regions", "  a half of the image for each", unit="s"),
    Bar("seconds_each", "  an adapter each", unit="s"),
    Bar("seconds_each_regions", "  an adapter and a half each", unit="s"),
    Bar("seconds_loop", "  whole loop, both in one round", unit="s"),
    Bar("seconds_rounds", "  whole loop, one a round", unit="s"),
    Bar("worse", "result worse than the initial image", 0.03, 0.01, at_most=True),
    Bar("first_run", "whole loop, first run", 6.0, 2.0, at_most=True, unit="s"),
    Bar("second_run", "whole loop, second run", 4.0, 1.5, at_most=True, unit="s"),
)

KNOWLEDGE = (
    Bar(
        "knowledge_without",
        "what needs knowledge, without: all right in the initial image",
        0.0,
        0.0,
        at_most=True,
    ),
    Bar("knowledge_with", "  looked up", 0.85, 0.95),
    Bar("knowledge_unchanged", "what needs none: unchanged", 0.98, 1.0),
)

UNTOLD = "no case of these prompts tells"
ALL = (*BARS, *KNOWLEDGE, *styling.BARS, *structuring.BARS, *enlarging.BARS, *honesty.BARS)
GROUPS: Mapping[str, tuple[Bar, ...]] = {
    **honesty.GROUPS, "knowledge": KNOWLEDGE, "style": styling.BARS, "structure": structuring.BARS,
    "larger": enlarging.BARS,
}  # fmt: skip
Figures = dict[str, Figure]


@dataclass(frozen=True)
class Experiment:
    """Something done once that yields the rows `keys`; `other` if it needs the other style."""

    keys: tuple[str, ...]
    measure: Callable[[Workbench, int], Figures]
    other: bool = False


def main(argv: list[str]) -> int:
    """Measure, print the table and the JSON line; exit code 0 whatever the figures are."""
    options = _options(argv)
    kinds: honesty.Kinds = {}
    with tempfile.TemporaryDirectory(prefix="imgrag-bench-", ignore_cleanup_errors=True) as folder:

        def make(profile: Profile) -> ImageRAGPipeline:
            results, cache = Path(folder, "results"), Path(folder, "cache")
            return ImageRAGPipeline(profile, policy="resident", results=results, cache=cache)

        bench = Workbench(make, options.profile, Path(folder), Meter())
        bench.pipeline.warm_up()  # a missing checkpoint is said at once
        figures, skipped = run(bench, options.prompts, options.only)
        if wanted := options.only & {bar.key for bar in honesty.BARS}:
            answers = bench.answers("what people type", wording_cases(options.prompts, options.kinds))
            measured, kinds = honesty.figures(answers), honesty.by_kind(answers)
            figures |= {key: figure for key, figure in measured.items() if key in wanted}
            skipped |= dict.fromkeys(sorted(wanted - measured.keys()), UNTOLD)
    print_bars(f"fidelity, profile {options.profile}, {options.prompts} prompts", ALL, figures)
    if kinds:
        honesty.print_kinds(kinds)
    for key, reason in skipped.items():
        print(f"skipped {key}: {reason}")
    document = report(options.profile, options.prompts, figures, skipped)
    print_document({**document, "kinds": kinds} if kinds else document, options.out)
    return 0


def run(bench: Workbench, prompts: int, only: Iterable[str] = ()) -> tuple[Figures, dict[str, str]]:
    """The figures of the wanted rows (all, if `only` is empty), and why others are missing."""
    wanted = set(only) or {bar.key for bar in (*BARS, *KNOWLEDGE)}
    figures: Figures = {}
    skipped: dict[str, str] = {}
    for experiment in EXPERIMENTS:
        keys = wanted.intersection(experiment.keys)
        if not keys:
            continue
        reason = bench.without_other_style() if experiment.other else ""
        if reason:
            skipped.update(dict.fromkeys(sorted(keys), reason))
            continue
        try:
            measured = experiment.measure(bench, prompts)
        except ImgragError as error:  # the other rows are worth having
            skipped.update(dict.fromkeys(sorted(keys), str(error)))
            continue
        figures.update({key: figure for key, figure in measured.items() if key in keys})
        missing = keys - measured.keys()
        skipped.update(dict.fromkeys(sorted(missing), UNTOLD))
    return figures, skipped


def report(profile: str, prompts: int, figures: Figures, skipped: Mapping[str, str]) -> dict[str, Any]:
    """The JSON document: each row's value, what it has to reach, and whether it does."""
    rows = {
        bar.key: {
            "value": round(figures[bar.key].value, 4), "n": figures[bar.key].n, "must": bar.must,
            "aim": bar.aim, "at_most": bar.at_most, "unit": bar.unit,
            "state": bar.state(figures[bar.key].value),
        }
        for bar in ALL if bar.key in figures
    }  # fmt: skip
    return {
        "bench": "fidelity", "profile": profile, "prompts": prompts, "rows": rows,
        "skipped": dict(skipped), "machine": machine(),
    }  # fmt: skip


def measure_loop(bench: Workbench, prompts: int) -> Figures:
    """Whole runs on the bundled library, with two known concepts and with one that is unseen."""
    pairs = bench.runs("two known", pair_cases(prompts), "pocket", (bench.judge, bench.judge))
    mixed = bench.runs("known + unseen", mixed_cases(prompts), "pocket", (bench.judge, bench.judge))
    both = [*pairs, *mixed]
    seconds = [o for o in both if o.run.round.second_verdict is not None]
    figures = {
        "known": share(all(o.before) for o in pairs),
        "blank": share(o.before[1] for o in mixed),
        "loop_unseen": share(o.after[1] for o in mixed),
        "loop_known": share(o.after[0] for o in mixed),
        "verdict": balanced((o.matches, all(o.before)) for o in both),
        "second_verdict": share(o.second_matches == all(o.enhanced) for o in seconds),
        "named": share(o.concepts == (o.case.objects[1],) for o in mixed if o.before == (True, False)),
        "worse": share(sum(o.after) < sum(o.before) for o in both),
    }
    return {key: figure for key, figure in figures.items() if figure.n}


def measure_loop_other(bench: Workbench, prompts: int) -> Figures:
    """Whole runs on a library of the same names in the other style."""
    judges = (bench.judge, bench.other_judge)
    mixed = bench.runs("other style", mixed_cases(prompts), bench.other_library(), judges)
    return {
        "loop_unseen_other": share(o.after[1] for o in mixed),
        "loop_known_other": share(o.after[0] for o in mixed),
    }


def measure_reference(bench: Workbench, prompts: int) -> Figures:
    """The enhancing stage alone, given the right reference."""
    cases = mixed_cases(prompts)
    return {"reference": share(bench.enhanced("right reference", cases, bench.pictures, bench.judge))}


def measure_reference_other(bench: Workbench, prompts: int) -> Figures:
    """Likewise, in the other style."""
    cases, pictures = mixed_cases(prompts), bench.other_pictures
    return {
        "reference_other": share(bench.enhanced("right, other style", cases, pictures, bench.other_judge))
    }


def measure_retrieval(bench: Workbench, prompts: int) -> Figures:
    """CLIP alone, every name of the world, without the help of the pictures' names."""
    return {"retrieved": share(bench.first_by_clip("pocket"))}


def measure_retrieval_other(bench: Workbench, prompts: int) -> Figures:
    """Likewise, in the other style."""
    return {"retrieved_other": share(bench.first_by_clip(bench.other_library()))}


def measure_own(bench: Workbench, prompts: int) -> Figures:
    """A person's own picture under a name nobody has heard."""
    return _own(bench, prompts, own_pictures(bench.judge), "")


def measure_own_other(bench: Workbench, prompts: int) -> Figures:
    """Likewise, drawn in the other style."""
    return _own(bench, prompts, own_twemoji(bench.other_pictures), "_other")


def _own(bench: Workbench, prompts: int, pictures: Mapping[str, Any], suffix: str) -> Figures:
    outcomes = bench.own_runs(
        f"own picture{suffix.replace('_', ', ')}", own_cases(prompts, pictures), pictures
    )
    named = [o.case.objects[1] in o.concepts for o in outcomes]
    found = [f"{o.case.objects[1]}.png" in o.files for o in outcomes]
    drawn = [o.after[1] for o in outcomes]
    return {
        f"own_named{suffix}": share(named),
        f"own_found{suffix}": share(found),
        f"own_drawn{suffix}": share(drawn),
        f"own{suffix}": share(all(three) for three in zip(named, found, drawn, strict=True)),
    }


def measure_knowledge(bench: Workbench, prompts: int) -> Figures:
    """Initial images of prompts that need knowledge, and how prompts are read that need none."""
    cases = knowing_cases(prompts)
    plain = bench.readings("needs no knowledge", plain_prompts(prompts))
    return {
        "knowledge_without": share(a.right for a in bench.beginnings("without knowledge", cases, "off")),
        "knowledge_with": share(a.right for a in bench.beginnings("with knowledge", cases, "unknown")),
        "knowledge_unchanged": share(read == unaided for read, unaided in plain),
    }


def measure_two(kind: str, way: str, bench: Workbench, prompts: int) -> Figures:
    """Two concepts of a kind that the generator does not know, drawn one of `WAYS`."""
    drawn = WAYS[way](bench, f"two {kind}, {way}", missing_cases(prompts, kind))
    return {
        f"two_{kind}_{way}": share(image.both for image in drawn),
        f"seconds_{way}": Figure(statistics.median(image.seconds for image in drawn), len(drawn)),
    }


def measure_seconds(bench: Workbench, prompts: int) -> Figures:
    """The loop bench in a fresh process, so that the first run is really a first one."""
    command = [sys.executable, "-m", "imgrag", "bench", "loop", "--profile", bench.profile]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["the loop ended before its last stage"]
        raise ImgragError(f"The loop bench failed: {said[-1]}")
    runs = json.loads(done.stdout.strip().splitlines()[-1])["runs"]
    return {key: Figure(r["seconds"], 1) for key, r in zip(("first_run", "second_run"), runs, strict=True)}


def share(flags: Iterable[bool]) -> Figure:
    """How many of them are true, 0 to 1; n is 0 where there are none."""
    told = list(flags)
    return Figure(sum(told) / len(told) if told else 0.0, len(told))


def balanced(pairs: Iterable[tuple[bool, bool]]) -> Figure:
    """Balanced accuracy of (said, true) pairs; n is 0 unless both truths occur."""
    told = list(pairs)
    right = [[said == truth for said, truth in told if truth is kind] for kind in (True, False)]
    if not all(right):
        return Figure(0.0, 0)
    return Figure(sum(sum(part) / len(part) for part in right) / 2, len(told))


WAYS: Mapping[str, Callable[[Workbench, str, list[Case]], list[Drawn]]] = {
    "one": lambda bench, what, cases: bench.drawn_from_two(what, cases, "one"),
    "one_regions": lambda bench, what, cases: bench.drawn_from_two(what, cases, "one", halves=True),
    "each": lambda bench, what, cases: bench.drawn_from_two(what, cases, "each"),
    "each_regions": lambda bench, what, cases: bench.drawn_from_two(what, cases, "each", halves=True),
    "loop": lambda bench, what, cases: bench.drawn_by_loop(what, cases, concepts=2, rounds=1),
    "rounds": lambda bench, what, cases: bench.drawn_by_loop(what, cases, concepts=1, rounds=2),
}

EXPERIMENTS = (
    Experiment(("known", "blank", "loop_unseen", "loop_known", "verdict", "second_verdict", "named", "worse"),
               measure_loop),
    Experiment(("loop_unseen_other", "loop_known_other"), measure_loop_other, other=True),
    Experiment(("reference",), measure_reference),
    Experiment(("reference_other",), measure_reference_other, other=True),
    Experiment(("retrieved",), measure_retrieval),
    Experiment(("retrieved_other",), measure_retrieval_other, other=True),
    Experiment(("own_named", "own_found", "own_drawn", "own"), measure_own),
    Experiment(("own_named_other", "own_found_other", "own_drawn_other", "own_other"), measure_own_other, True),
    *(Experiment((f"two_shown_{way}", f"seconds_{way}"), partial(measure_two, "shown", way)) for way in WAYS),
    *(Experiment((f"two_unseen_{way}",), partial(measure_two, "unseen", way)) for way in WAYS),
    Experiment(("knowledge_without", "knowledge_with", "knowledge_unchanged"), measure_knowledge),
    Experiment(tuple(bar.key for bar in styling.BARS), styling.measure_styles),
    Experiment(tuple(bar.key for bar in structuring.BARS), structuring.measure_structure),
    Experiment(tuple(bar.key for bar in enlarging.BARS), enlarging.measure_larger),
    Experiment(("first_run", "second_run"), measure_seconds),
)  # fmt: skip


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m imgrag bench fidelity", description=__doc__)
    parser.add_argument("--prompts", type=count, default=200, help="cases a row stands on")
    parser.add_argument("--profile", default="pocket")
    keys = [*GROUPS, *(bar.key for bar in ALL)]
    parser.add_argument("--only", nargs="+", default=[], choices=keys, metavar="ROW", help=", ".join(keys))
    parser.add_argument("--kinds", nargs="+", default=[], choices=KINDS, metavar="KIND",
                        help=f"of prompts, for the rows of wording and honesty: {', '.join(KINDS)}")  # fmt: skip
    parser.add_argument("--out", type=Path, help="also write the JSON line to this file")
    options = parser.parse_args(argv)
    if options.prompts < 1:
        parser.error(f"--prompts is {options.prompts}; it must be at least 1")
    options.only = _rows(options.only)
    return options


def _rows(only: Iterable[str]) -> set[str]:
    """The rows that are named, a group's name standing for all of its rows; without any, all."""
    named = [GROUPS.get(key, key) for key in only]
    rows = {bar.key for group in named if not isinstance(group, str) for bar in group}
    return rows | {key for key in named if isinstance(key, str)} or {bar.key for bar in ALL}
