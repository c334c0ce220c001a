"""Runs on disk: one folder a run, which grows by a stage at a time and is whole at any moment.

A folder holds `initial.png`, `enhanced.png` (`enhanced-2.png` of the second round, ...),
`draft-1.png`, ... where several were drawn at once, `reference-1.png`, ..., `condition.png` of what it is drawn along, and
`run.json`; of a finished run also `result.png`, and `larger.png` where that was made larger. The drawn images of a finished
run carry prompt, parameters and decisions as JSON in their PNG text, under the key "imgrag"; it has no
times and no ids in it, so that the same request gives the same file. `run.json` is written last and
names only what is there. Whoever writes below the same folder is on the same machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imgrag.archive.writers import PARTIAL, is_at_work, is_being_written, partial_prefix, this_process
from imgrag.errors import RecordError
from imgrag.runs.drafts import draft_name
from imgrag.runs.structure import Structure
from imgrag.runs.values import Box, Reference, Round, Run, Verdict
from imgrag.texts import clean_document

RECORD = "run.json"
TEXT_KEY = "imgrag"
CONDITION, LARGER = "condition.png", "larger.png"
CAPTIONS = "captions"  # a folder below the results that holds no run
MAX_RECORD = 50 * 10**6  # bytes; five rounds with all candidates make ten million
PASSING = ("id", "started", "loads", "state", "parent", "owner")
"""Fields of a record that two runs of the same request do not share."""
LASTING = ("name", "status", "reason", "round", "notes")
"""What of a stage's report they do."""
ID = re.compile(r"[0-9]{8}-[0-9]{6}(?:[0-9]{6})?-[0-9a-f]{6}")  # earlier ones have no microseconds
_OWNER = re.compile(rb'(?<!\\)"owner": ?"([0-9a-f]{1,64})"')  # within a text the first quote has a backslash


def prepare(results: Path) -> None:
    """Make sure that runs can be written below `results`, before any work is done.

    Raises:
        RecordError: the folder cannot be made or written.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        Path(tempfile.mkdtemp(prefix=partial_prefix(), dir=results)).rmdir()
    except OSError as error:
        raise _unwritable(results, error) from error


def sweep(results: Path) -> None:
    """Remove what killed processes left half written."""
    for left in (*results.glob(f"{PARTIAL}*"), *results.glob(f"*/{PARTIAL}*")):
        with suppress(OSError):
            if is_being_written(left):
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


def save(run: Run, results: Path) -> Path:
    """Write what is known of a run; returns its folder. A finished run is not written again.

    Raises:
        RecordError: it cannot be written, or a finished run of that id is there.
    """
    folder = run_folder(results, run.id)
    try:
        if folder.exists():
            _complete(run, folder)
        else:
            _create(run, folder)
    except OSError as error:
        raise _unwritable(results, error) from error
    return folder


def open_record(results: Path, run_id: str) -> dict[str, Any]:
    """The record (`run.json`) of an earlier run. A run whose process has ended is "interrupted".

    Raises:
        RecordError: the id is none, or there is no such run, or its record is broken.
    """
    file = run_folder(results, run_id) / RECORD
    if not file.exists():
        raise RecordError(f"There is no run {run_id}.")
    try:
        found = parsed(_beginning(file))
    except (OSError, ValueError) as error:
        raise RecordError(f"The record of the run {run_id} cannot be read.") from error
    if found.get("state") == "running" and not is_at_work(found.get("worker")):
        found["state"] = "interrupted"
    return found


def parsed(content: bytes) -> dict[str, Any]:
    """What the JSON of a record says; its texts have passed `texts.clean`.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        found = clean_document(json.loads(content))
    except RecursionError as error:
        raise ValueError("nested without end") from error
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def owner_in(damaged: Path) -> str | None:
    """Whose a run is by a record that is no JSON any more, such as the first half of one; `None` if it does not tell."""
    with suppress(OSError, ValueError):
        found = _OWNER.search(_beginning(damaged))
        return found[1].decode() if found else None
    return None


def _beginning(file: Path) -> bytes:
    """What a file holds, of a very large one the first megabytes. Raises OSError, ValueError: it is no file."""
    if not file.is_file():
        raise ValueError(f"{file.name} is no file")  # a pipe would be waited for without end
    with file.open("rb") as opened:
        return opened.read(MAX_RECORD)


def is_id(name: str) -> bool:
    """Whether this is an id of a run, and so the name of its folder."""
    return ID.fullmatch(name) is not None


def run_folder(results: Path, run_id: str) -> Path:
    """Where a run of this id lies.

    Raises:
        RecordError: the id is none.
    """
    if not is_id(run_id):
        raise RecordError("This is no id of a run; one looks like 20261122-034416271828-ab12cd.")
    return results / run_id


def record(run: Run) -> dict[str, Any]:
    """What `run.json` holds. `second_verdict` belongs to the image named by `enhanced`.

    That is the image that was kept, or the last one if none was. File names of images are
    relative to the run's folder, `file` of a reference to its library. `pixels` are hashes of what
    the images show.
    """
    shown = _shown_round(run)
    last = run.rounds[shown] if shown is not None else run.round
    return {
        "id": run.id,
        "prompt": run.request.prompt,
        "seed": run.settings["seed"],
        "profile": run.profile,
        "library": run.library,
        "started": run.started,
        "state": run.state,
        "parent": run.parent,
        "owner": run.owner,
        "settings": dict(run.settings),
        "reading": None if run.reading is None else asdict(run.reading),
        "structure": None if run.structure is None else _structure(run.structure),
        "drafts": _drafts(run),
        "chosen": run.chosen,
        "initial": "initial.png" if run.initial is not None else None,
        "enhanced": enhanced_name(shown) if shown is not None else None,
        "result": "result.png" if _has_result(run) else None,
        "larger": LARGER if _has_result(run) and run.larger is not None else None,
        "kept": run.kept,
        "why": run.why,
        **_decisions(run, last),
        "rounds": [_round(now, number, run) for number, now in enumerate(run.rounds)],
        "corrections": [asdict(correction) for correction in run.corrections],
        "stages": [asdict(stage) for stage in run.stages],
        "notes": list(run.notes),
        "loads": run.loads,
        "pixels": {name: pixel_hash(image) for name, image in images(run).items()},
    }


def images(run: Run) -> dict[str, Image.Image]:
    """The images of a run under the names of their files."""
    drawn = {enhanced_name(n): now.enhanced for n, now in enumerate(run.rounds) if now.enhanced is not None}
    result = {"initial.png": run.initial, "result.png": run.result if _has_result(run) else None}
    result |= {draft_name(number): draft.image for number, draft in enumerate(run.drafts)}
    result[LARGER] = run.larger if _has_result(run) else None
    result[CONDITION] = run.structure.image if run.structure is not None else None
    found = {f"reference-{n}.png": r.image for n, r in enumerate(_all_references(run).values(), start=1)}
    return {name: image for name, image in {**result, **drawn, **found}.items() if image is not None}


def pixel_hash(image: Image.Image) -> str:
    """SHA-256 of an image's size, mode and pixels, whatever file it came from."""
    head = f"{image.mode} {image.width} {image.height} ".encode()
    return hashlib.sha256(head + image.tobytes()).hexdigest()


def enhanced_name(number: int) -> str:
    """The file of a round's image; the first round is 0."""
    return "enhanced.png" if number == 0 else f"enhanced-{number + 1}.png"


def _drafts(run: Run) -> list[dict[str, Any]]:
    names = [None if draft.image is None else draft_name(n) for n, draft in enumerate(run.drafts)]
    return [{"image": n, "likelihood": d.likelihood} for n, d in zip(names, run.drafts, strict=True)]


def _has_result(run: Run) -> bool:
    """While a run goes on, another image may become the better one; a file is not to change under its record."""
    return run.state == "finished" and run.result is not None


def _shown_round(run: Run) -> int | None:
    """Index of the round whose enhanced image stands beside the initial one; `None` if there is none."""
    drawn = [number for number, now in enumerate(run.rounds) if now.enhanced is not None]
    return run.kept - 1 if run.kept - 1 in drawn else drawn[-1] if drawn else None


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
    """A list is `None` while its stage has not run."""
    concepts = None if now.concepts is None else [asdict(concept) for concept in now.concepts]
    references = None if now.references is None else [_reference(r, run) for r in now.references]
    return {
        "verdict": _verdict(now.verdict),
        "concepts": concepts,
        "rejected_concepts": [asdict(rejection) for rejection in now.rejected],
        "references": references,
        "without_reference": [asdict(rejection) for rejection in now.unfound],
        "enhanced": enhanced_name(number) if now.enhanced is not None else None,
        "second_verdict": _verdict(now.second_verdict),
        "comparison": None if now.comparison is None else asdict(now.comparison),
    }


def _structure(structure: Structure) -> dict[str, Any]:
    values = {name: getattr(structure, name) for name in ("kind", "scale", "share", "initial", "similar")}
    return {**values, "image": CONDITION if structure.image is not None else None}


def _verdict(verdict: Verdict | None) -> dict[str, Any] | None:
    return None if verdict is None else asdict(verdict)


def _reference(reference: Reference, run: Run) -> dict[str, Any]:
    return {
        "concept": reference.concept,
        **asdict(reference.chosen),
        "weight": float(reference.weight),
        **{part: _edges(getattr(reference, part)) for part in ("crop", "region")},
        "own": reference.own,
        "use": reference.use,
        "image": f"reference-{[*_all_references(run)].index(_key(reference)) + 1}.png",
        "candidates": [asdict(candidate) for candidate in reference.candidates],
    }


def _edges(box: Box) -> dict[str, float]:
    """As floats, so that a run that was read again is written alike."""
    return {edge: float(value) for edge, value in asdict(box).items()}


def _unique(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for number, item in enumerate(items) if item not in items[:number]]


def _key(reference: Reference) -> tuple[str, str, str]:
    """What tells two pictures apart; those that people bring along often have the same name."""
    return reference.concept, reference.chosen.file, pixel_hash(reference.image) if reference.own else ""


def _all_references(run: Run) -> dict[tuple[str, str, str], Reference]:
    """The references of all rounds, each once, in order."""
    return {_key(reference): reference for now in run.rounds for reference in now.references or ()}


def _create(run: Run, folder: Path) -> None:
    """Write the folder beside its place and rename it."""
    partial = Path(tempfile.mkdtemp(prefix=partial_prefix(), dir=folder.parent))
    try:
        for name, write in _files(run, record(run)):
            write(partial / name)
        partial.chmod(0o755)  # mkdtemp's folders are private
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _complete(run: Run, folder: Path) -> None:
    """Bring a folder to where the run is by now, a file at a time; `run.json` is the last."""
    before = open_record(folder.parent, run.id)
    if before.get("state") == "finished":
        raise RecordError(f"The run {run.id} is already there, and finished. Open it again from the history.")
    found = record(run)
    known, now = before.get("pixels", {}), found["pixels"]
    if any(name in known and known[name] != pixels for name, pixels in now.items()):
        empty = _emptied(run)
        _put(
            folder, RECORD, dict(_files(empty, record(empty)))[RECORD]
        )  # names nothing that is about to change
    for name, write in _files(run, found):
        lacks_text = run.state == "finished" and not name.startswith("reference-")
        if name in known and known[name] == now[name] and not lacks_text:
            continue
        _put(folder, name, write)
    for file in folder.glob("*.png"):
        if file.name not in now and not file.name.startswith(PARTIAL):
            with suppress(OSError):  # somebody looks at it; it is in no record any more
                file.unlink()


def _put(folder: Path, name: str, write: Callable[[Path], None]) -> None:
    partial = folder / f"{partial_prefix()}{name}"
    try:
        write(partial)
        os.replace(partial, folder / name)
    finally:
        partial.unlink(missing_ok=True)


def _emptied(run: Run) -> Run:
    """The run before its first stage."""
    return replace(
        run,
        reading=None,
        drafts=(),
        chosen=0,
        initial=None,
        rounds=(),
        stages=(),
        corrections=(),
        kept=0,
        why="",
        state="running",
    )


def _files(run: Run, found: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """The names of a run's files and what writes them, the record last; `found` is what it holds."""
    text = PngInfo()
    if run.state == "finished":
        text.add_text(TEXT_KEY, json.dumps(reproducible(found)))
    for name, image in images(run).items():
        info = None if name.startswith("reference-") else text
        yield name, lambda path, image=image, info=info: _write_image(path, image, info)  # type: ignore[misc]
    worker = {"worker": this_process()} if run.state == "running" else {}
    yield RECORD, lambda path: _write_text(path, json.dumps({**found, **worker}, indent=2) + "\n")


def _write_image(path: Path, image: Image.Image, info: PngInfo | None) -> None:
    """A copy is written: Pillow keeps what it was asked to write on the image itself for as long as it
    writes, so a page that encodes the same image at that moment would take the text away."""
    image.copy().save(path, format="PNG", pnginfo=info)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def reproducible(found: Mapping[str, Any]) -> dict[str, Any]:
    """A record as a PNG carries it: without what differs between two runs of the same request."""
    kept = {key: value for key, value in found.items() if key not in PASSING}
    return {
        **kept,
        "stages": [{name: stage.get(name) for name in LASTING} for stage in found.get("stages", ())],
    }


def _unwritable(results: Path, error: OSError) -> RecordError:
    reason = error.strerror or str(error)
    return RecordError(
        f"The folder {results.name!r} for results cannot be written ({reason}). Choose another folder."
    )
