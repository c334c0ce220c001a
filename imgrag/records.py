"""Runs on disk: one folder a run, written whole or not at all, and what a run decided in words.

A folder holds `initial.png`, `enhanced.png` (`enhanced-2.png` of the second round, ...),
`reference-1.png`, ..., `result.png` and `run.json`. The drawn images carry prompt, parameters and
decisions as JSON in their PNG text, under the key "imgrag"; it has no times and no ids in it, so
that the same request gives the same file.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import tempfile
import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imgrag.decisions import lacking, listed
from imgrag.errors import RecordError
from imgrag.run import Reference, Round, Run, Verdict

PARTIAL = ".partial-"
LEFT_SECONDS = 3600  # a run is written in less; an older partial folder has nobody writing it
RECORD = "run.json"
TEXT_KEY = "imgrag"
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


def new_id(now: datetime) -> str:
    """Such as "20261122-034416-ab12cd": the UTC time and a random part."""
    return f"{now.astimezone(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def prepare(results: Path) -> None:
    """Make sure that runs can be written below `results`, before any work is done.

    What a killed process left half written an hour ago or earlier is removed.

    Raises:
        RecordError: the folder cannot be made or written.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        Path(tempfile.mkdtemp(prefix=PARTIAL, dir=results)).rmdir()
        for left in results.glob(f"{PARTIAL}*"):
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise _unwritable(results, error) from error


def write_run(run: Run, results: Path) -> Path:
    """Write the run's folder beside its place and rename it; returns the folder.

    Raises:
        RecordError: it cannot be written. Nothing is left behind.
    """
    partial = None
    try:
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=results))
        _write_files(run, partial)
        folder = results / run.id
        if folder.exists():
            raise FileExistsError(f"{run.id} is already there")
        partial.chmod(0o755)  # mkdtemp's folders are private
        partial.rename(folder)
    except OSError as error:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        raise _unwritable(results, error) from error
    return folder


def open_run(results: Path, run_id: str) -> dict[str, Any]:
    """The record (`run.json`) of an earlier run.

    Raises:
        RecordError: the id is none, or there is no such run, or its record is broken.
    """
    if not _ID.fullmatch(run_id):
        raise RecordError("This is no id of a run; one looks like 20261122-034416-ab12cd.")
    try:
        found = json.loads((results / run_id / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecordError(f"There is no run {run_id}.") from error
    except (OSError, ValueError) as error:
        raise RecordError(f"The record of the run {run_id} cannot be read.") from error
    return dict(found)


def record(run: Run) -> dict[str, Any]:
    """What `run.json` holds. `second_verdict` belongs to the image named by `enhanced`.

    That is the image that was kept, or the last one if none was. File names of images are
    relative to the run's folder, `file` of a reference to its library.
    """
    shown = _shown_round(run)
    last = run.rounds[shown] if shown is not None else run.round
    return {
        "id": run.id,
        "prompt": run.request.prompt,
        "seed": run.request.seed,
        "profile": run.profile,
        "library": run.library,
        "started": run.started,
        "settings": dict(run.settings),
        "initial": "initial.png" if run.initial is not None else None,
        "enhanced": _enhanced_name(shown) if shown is not None else None,
        "result": "result.png" if run.result is not None else None,
        "kept": run.kept,
        "why": run.why,
        **_decisions(run, last),
        "rounds": [_round(now, number, run) for number, now in enumerate(run.rounds)],
        "stages": [asdict(stage) for stage in run.stages],
        "notes": list(run.notes),
        "loads": run.loads,
    }


def trace(run: Run) -> list[str]:
    """The decisions of a run, a sentence each, in the order in which they were taken."""
    lines = []
    if run.initial is not None:
        lines.append(f'Drew "{run.request.prompt}" with seed {run.settings["seed"]}.')
    for number, now in enumerate(run.rounds, start=1):
        lines += _round_trace(now, number, run)
    return [*lines, *([run.why] if run.why else []), *run.notes]


def _round_trace(now: Round, number: int, run: Run) -> list[str]:
    lines = []
    if now.verdict is not None and number == 1:
        lines.append(f"The judge says of the initial image: {_in_words(now.verdict)}.")
    lines += [f'"{rejection.name}" is not looked up: {rejection.reason}.' for rejection in now.rejected]
    if now.concepts:
        lines.append(f"To look up: {listed([concept.name for concept in now.concepts])}.")
    earlier = run.rounds[number - 2].references or () if number > 1 else ()
    lines += [_found(reference) for reference in now.references or () if reference not in earlier]
    lines += [f'No reference for "{rejection.name}": {rejection.reason}.' for rejection in now.unfound]
    if now.enhanced is not None:
        guides = [reference.chosen.file for reference in now.references or ()]
        lines.append(f"Drew again, guided by {listed(guides)}.")
    if now.second_verdict is not None:
        lines.append(f"The judge says of the enhanced image: {_in_words(now.second_verdict)}.")
    return [f"Round {number}: {line}" for line in lines] if len(run.rounds) > 1 else lines


def _found(reference: Reference) -> str:
    chosen = reference.chosen
    origin = ", ".join(filter(None, (chosen.source, chosen.licence)))
    return (
        f'The reference for "{reference.concept}" is {chosen.file}, similarity {chosen.score:.3f}'
        f"{f' ({origin})' if origin else ''}."
    )


def _in_words(verdict: Verdict) -> str:
    seen = f"it shows {listed(verdict.seen)}" if verdict.seen else ""
    verdict_words = "everything is there" if verdict.matches else f"it lacks {lacking(verdict)}"
    return "; ".join(filter(None, (seen, verdict_words)))


def _shown_round(run: Run) -> int | None:
    """Index of the round whose enhanced image stands beside the initial one; `None` if there is none."""
    drawn = [number for number, now in enumerate(run.rounds) if now.enhanced is not None]
    return run.kept - 1 if run.kept else drawn[-1] if drawn else None


def _enhanced_name(number: int) -> str:
    return "enhanced.png" if number == 0 else f"enhanced-{number + 1}.png"


def _decisions(run: Run, last: Round) -> dict[str, Any]:
    """The first verdict, what was looked up in any round, and the references and verdict of `last`."""
    concepts = [asdict(concept) for now in run.rounds for concept in now.concepts or ()]
    rejected = [asdict(rejection) for now in run.rounds for rejection in now.rejected]
    return {
        "verdict": _verdict(run.rounds[0].verdict) if run.rounds else None,
        "second_verdict": _verdict(last.second_verdict),
        "concepts": _unique(concepts),
        "rejected_concepts": _unique(rejected),
        "references": [_reference(reference, run) for reference in last.references or ()],
    }


def _round(now: Round, number: int, run: Run) -> dict[str, Any]:
    return {
        "verdict": _verdict(now.verdict),
        "concepts": [asdict(concept) for concept in now.concepts or ()],
        "rejected_concepts": [asdict(rejection) for rejection in now.rejected],
        "references": [_reference(reference, run) for reference in now.references or ()],
        "without_reference": [asdict(rejection) for rejection in now.unfound],
        "enhanced": _enhanced_name(number) if now.enhanced is not None else None,
        "second_verdict": _verdict(now.second_verdict),
    }


def _verdict(verdict: Verdict | None) -> dict[str, Any] | None:
    return None if verdict is None else asdict(verdict)


def _reference(reference: Reference, run: Run) -> dict[str, Any]:
    return {
        "concept": reference.concept,
        **asdict(reference.chosen),
        "weight": reference.weight,
        "image": f"reference-{list(_all_references(run)).index(_key(reference)) + 1}.png",
        "candidates": [asdict(candidate) for candidate in reference.candidates],
    }


def _unique(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for number, item in enumerate(items) if item not in items[:number]]


def _key(reference: Reference) -> tuple[str, str]:
    return reference.concept, reference.chosen.file


def _all_references(run: Run) -> dict[tuple[str, str], Reference]:
    """The references of all rounds, each once, in order."""
    return {_key(reference): reference for now in run.rounds for reference in now.references or ()}


def _write_files(run: Run, folder: Path) -> None:
    text = PngInfo()
    text.add_text(TEXT_KEY, json.dumps(_reproducible(run)))
    drawn: dict[str, Image.Image | None] = {"initial.png": run.initial, "result.png": run.result}
    drawn |= {_enhanced_name(number): now.enhanced for number, now in enumerate(run.rounds)}
    for name, image in drawn.items():
        if image is not None:
            image.save(folder / name, format="PNG", pnginfo=text)
    for number, reference in enumerate(_all_references(run).values(), start=1):
        reference.image.save(folder / f"reference-{number}.png", format="PNG")
    (folder / RECORD).write_text(json.dumps(record(run), indent=2) + "\n", encoding="utf-8")


def _reproducible(run: Run) -> dict[str, Any]:
    """The record without what differs between two runs of the same request."""
    return {k: v for k, v in record(run).items() if k not in ("id", "started", "stages", "loads")}


def _unwritable(results: Path, error: OSError) -> RecordError:
    reason = error.strerror or str(error)
    return RecordError(
        f"The folder {results.name!r} for results cannot be written ({reason}). Choose another folder."
    )
