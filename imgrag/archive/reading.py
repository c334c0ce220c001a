"""A run from its record. Every value is checked as if it were typed in: anybody may have written it.

It knows no folder and no zip; whoever reads a record says where its pictures are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, get_args

from PIL import Image
from pydantic import ValidationError

from imgrag.archive import records
from imgrag.archive.checked import (
    MAX_ROWS,
    adapter_of,
    each_of,
    flag_of,
    maybe_of,
    real_of,
    rows_of,
    text_of,
    value_of,
    whole_of,
)
from imgrag.errors import RecordError, RequestError
from imgrag.runs.drafts import MAX_IMAGES, Draft, draft_name
from imgrag.runs.knowledge import MOST_FACTS, Augmentation
from imgrag.runs.reading import LONGEST_NAME, MOST, MOST_THINGS, Reading
from imgrag.runs.structure import Kind, Structure
from imgrag.runs.styles import MAX_STYLES, PLACE, Styled, Styling, Use
from imgrag.runs.values import (
    MAX_PROMPT,
    MAX_ROUNDS,
    ONCE,
    STAGES,
    Box,
    Candidate,
    Comparison,
    Concept,
    Correction,
    Reference,
    Rejection,
    Request,
    Round,
    Run,
    StageName,
    StageReport,
    State,
    Verdict,
)

MAX_TEXT = 20_000  # characters of any value
LONGEST_READ = 3 * MAX_PROMPT  # characters; what is composed anew may be three times as long
MAX_NUMBER = 2**63
MAX_DEPTH = 8
MAX_SIZE = 4096  # pixels; what a drawn image may measure
DAMAGED = "This is no record of a run that can be read; it may be damaged."

Picture = Callable[[str], Image.Image | None]
"""The image in a file of the run, `None` if it is to be drawn again."""

_FILE = re.compile(
    r"initial\.png|draft-[1-4]\.png|enhanced(-[2-9])?\.png|reference-[1-9][0-9]?\.png|condition\.png|larger\.png"
)
_LIBRARY = re.compile(r"[^/\\:\x00-\x1f~.][^/\\:\x00-\x1f]{0,254}")  # a name, never a path


def restored(record: Mapping[str, Any], picture: Picture) -> Run:
    """The run that this record tells of. A drawing that `picture` does not have is to come again.

    Raises:
        RecordError: the record is none of imgrag's, or a picture it names is missing or another one.
    """
    try:
        _check_plain(record)
        pictures = cache(lambda name: _checked(name, picture, record))
        run = _run(record, pictures)
        _check_whole(run)
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
        ValidationError,
        RequestError,
    ) as error:
        raise RecordError(DAMAGED) from error
    return run


def _checked(name: str, picture: Picture, record: Mapping[str, Any]) -> Image.Image | None:
    """The image, if it is the one that the record was written with."""
    if not _FILE.fullmatch(name):
        raise ValueError(f"{name!r} is no file of a run")
    pixels, image = record["pixels"][name], picture(name)
    if image is not None and records.pixel_hash(image) != pixels:
        raise RecordError(f"{name} is not the picture that this run was made with; it was changed since.")
    return image


def _check_plain(value: Any, depth: int = 0) -> None:
    """No endless numbers, no texts or lists without measure, nothing nested without end."""
    endless = isinstance(value, (int, float)) and not abs(value) < MAX_NUMBER  # NaN is not below anything
    long = (
        len(value) > (MAX_TEXT if isinstance(value, str) else MAX_ROWS)
        if hasattr(value, "__len__")
        else False
    )
    if endless or long or depth > MAX_DEPTH:
        raise ValueError("a value beyond all measure")
    if isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            _check_plain(item, depth + 1)


def _check_whole(run: Run) -> None:
    """Every stage that is said to have run has found something, and none was left out before it."""
    if len(run.rounds) > run.settings["rounds"]:
        raise ValueError("more rounds than were asked for")
    if any(past.verdict is None for past in run.rounds[1:]):
        raise ValueError("a round that follows from no verdict")
    kept = run.report("enhanced", run.kept)
    if kept is not None and kept.status == "skipped":
        raise ValueError("an image is kept that was never drawn")
    gap = ""
    for number in range(1, max(1, len(run.rounds)) + 1):
        for stage in STAGES if number == 1 else STAGES[len(ONCE) :]:
            gap = _gap(run, stage, number, gap)
    if run.state == "finished" and (gap or run.result is None):
        raise ValueError("finished, and yet it is not")


def _gap(run: Run, stage: StageName, number: int, before: str) -> str:
    """The first stage up to this one that is to come, "" if there is none. What is drawn may come later."""
    report = run.report(stage, number)
    if report is None and stage not in ("initial", "enhanced"):
        return before or f"{stage} of round {number}"
    chosen = stage == "second_verdict" and report is not None and report.status == "corrected"
    if report is None or report.status == "skipped" or chosen:
        return before
    if before or not _found(run, stage, number):
        raise ValueError(f"{stage} of round {number} has found nothing")
    return ""


def _found(run: Run, stage: StageName, number: int) -> bool:
    now = run.rounds[number - 1] if run.rounds else Round()
    return {
        "reading": run.reading is not None,
        "initial": run.initial is not None,
        "verdict": now.verdict is not None,
        "concepts": now.verdict is not None and now.concepts is not None,
        "references": now.references is not None,
        "enhanced": bool(now.references) and now.enhanced is not None,
        "second_verdict": bool(now.references) and now.second_verdict is not None,
    }[stage]


def _run(record: Mapping[str, Any], picture: Picture) -> Run:
    settings = _settings(record["settings"])
    rounds = tuple(_round(past, picture) for past in rows_of(record["rounds"], MAX_ROUNDS))
    initial = picture("initial.png") if record["initial"] else None
    drafts = tuple(_drafts(record.get("drafts", []), settings["images"], picture))
    return Run(
        id=_id(record["id"]),
        request=_request(record, settings),
        profile=text_of(record["profile"]),
        library=library_of(record["library"]),
        started=text_of(record["started"]),
        settings=settings,
        reading=reading_of(record),
        structure=_structure(record.get("structure"), settings["size"], picture),
        drafts=drafts,
        chosen=_chosen(record, len(drafts)),
        initial=initial,
        rounds=rounds,
        stages=_with_reading(record, tuple(_reports(record["stages"], initial, rounds))),
        kept=_kept(record["kept"], record["rounds"]),
        larger=picture(records.LARGER) if record.get("larger") else None,
        why=text_of(record["why"]),
        loads=whole_of(record.get("loads", 0)),
        state=record["state"] if record["state"] in get_args(State) else "stopped",
        corrections=tuple(_corrections(record["corrections"])),
        parent=_id(record.get("parent", "")),
        owner=text_of(record.get("owner", "")),
    )


def reading_of(record: Mapping[str, Any]) -> Reading | None:
    """How the prompt was read; records of before that was done took it word for word."""
    if record.get("reading") is None:
        return Reading(text_of(record["prompt"])) if record["stages"] else None
    reading = value_of(Reading, record["reading"])
    _check_read(reading)
    return reading


def _structure(row: Any, size: int, picture: Picture) -> Structure | None:
    """What a run is drawn along; earlier records have none. Its condition may be in no file that was brought along."""
    if row is None:
        return None
    image = picture(text_of(row["image"])) if row["image"] else None
    scale, share, initial = real_of(row["scale"]), real_of(row["share"]), bool(row["initial"])
    if not (0 <= scale <= 2 and 0 <= share <= 1) or (row["image"] is None and not initial):
        raise ValueError(f"a structure of scale {scale}, share {share}, or without a condition")
    if image is not None and (image.mode, image.size) != ("RGB", (size, size)):
        raise ValueError("a condition that is not of the output's size")
    kind = adapter_of(Kind).validate_python(row["kind"])
    similar = adapter_of(Use | None).validate_python(row["similar"])
    return Structure(kind, scale, share, image, initial, similar)


def _check_read(reading: Reading) -> None:
    """Only what a prompt could have been read as: going on with more than that would hold the models."""
    spelled = (thing.spelling for thing in reading.things)
    told = reading.augmentation or Augmentation("")
    texts = (reading.prompt, reading.negative, reading.translation, told.original, told.rewritten, *spelled)
    longest = max(map(len, texts))
    if len(told.facts) > MOST_FACTS:
        raise ValueError(f"{len(told.facts)} texts that were looked up")
    if not reading.prompt.strip() or longest > LONGEST_READ or len(reading.things) > MOST_THINGS:
        raise ValueError("a reading without a prompt, or beyond its length")
    _check_styles(reading.styles)
    for thing in reading.things:
        if not thing.name.strip() or len(thing.name) > LONGEST_NAME:
            raise ValueError(f"a thing with a name of {len(thing.name)} characters")
        if not 0 <= thing.drawn <= thing.number <= MOST:
            raise ValueError(f"{thing.drawn} of {thing.number} are drawn")


def _check_styles(styles: Sequence[Styling]) -> None:
    """Only what a shelf could have given."""
    if len(styles) > MAX_STYLES:
        raise ValueError(f"{len(styles)} styles")
    for style in styles:
        if not (0 <= style.weight <= 2 and 0 <= style.scale <= 2) or style.template.count(PLACE) != 1:
            raise ValueError(f"a style of weight {style.weight}, or one without a place for the prompt")
        if not re.fullmatch("(?:[0-9a-f]{64})?", style.lora) or len(style.template) > MAX_PROMPT:
            raise ValueError("no hash of a LoRA, or a template beyond all length")


def _with_reading(record: Mapping[str, Any], reports: tuple[StageReport, ...]) -> tuple[StageReport, ...]:
    """The reports; those of earlier records with one for the reading that they have not."""
    if record.get("reading") is not None or not record["stages"]:
        return reports
    return (StageReport("reading", "done", reason="taken word for word", reused=True), *reports)


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the pipeline makes of a request, in its order. Earlier records have no share, later ones no knowledge or styles."""
    size = whole_of(values["size"])
    if not 8 <= size <= MAX_SIZE:
        raise ValueError(f"an image of {size} pixels")
    return {
        "seed": whole_of(values["seed"]),
        "negative_prompt": text_of(values["negative_prompt"]),
        "steps": whole_of(values["steps"]),
        "guidance_scale": real_of(values["guidance_scale"]),
        "adapter_scale": real_of(values["adapter_scale"]),
        "guided_share": real_of(values.get("guided_share", 1.0)),
        "similarity_floor": real_of(values["similarity_floor"]),
        "max_concepts": whole_of(values["max_concepts"]),
        "weights": [real_of(weight) for weight in rows_of(values["weights"])],
        "rounds": whole_of(values["rounds"]),
        "images": whole_of(values.get("images", 1)),
        "size": size,
        "knowledge": text_of(values.get("knowledge", "off")),
        "knowledge_base": text_of(values.get("knowledge_base", "")),
        "styles": [asdict(style) for style in each_of(Styled, values.get("styles", []))],
        "look_twice": flag_of(values.get("look_twice", False)),
        "larger": flag_of(values.get("larger", False)),
    }


def _request(record: Mapping[str, Any], settings: Mapping[str, Any]) -> Request:
    """The request with what the profile had filled in: another profile's defaults change nothing."""
    named = {name: value for name, value in settings.items() if name not in ("weights", "styles", "size")}
    return Request(
        prompt=text_of(record["prompt"]), library=library_of(record["library"]), weights=tuple(settings["weights"]),
        styles=tuple(each_of(Styled, settings["styles"])), **named,
    )  # fmt: skip


def _drafts(rows: Any, images: int, picture: Picture) -> Iterator[Draft]:
    """The images that were drawn at once; earlier records have none."""
    found = rows_of(rows, MAX_IMAGES)
    if len(found) not in (0, images) or len(found) == 1:
        raise ValueError(f"{len(found)} of {images} images")
    for number, row in enumerate(found):
        name = draft_name(number)
        if row["image"] not in (None, name):
            raise ValueError(f"{row['image']!r} is not in its place")
        likelihood = None if row["likelihood"] is None else real_of(row["likelihood"])
        if likelihood is not None and not likelihood <= 0:
            raise ValueError(f"a likelihood of e to the {likelihood}")
        yield Draft(picture(name) if row["image"] else None, likelihood)


def _chosen(record: Mapping[str, Any], drafts: int) -> int:
    """Which of them is the initial one."""
    chosen, pixels = whole_of(record.get("chosen", 0)), record["pixels"]
    if not 0 <= chosen < max(1, drafts):
        raise ValueError(f"image {chosen} of {drafts}")
    if drafts and record["initial"] and pixels["initial.png"] != pixels[draft_name(chosen)]:
        raise ValueError("an initial image that is none of those drawn")
    return chosen


def _kept(number: Any, rounds: Sequence[Mapping[str, Any]]) -> int:
    """An image that was drawn, or that is to be drawn again from what was found for it."""
    kept = whole_of(number)
    if not 0 <= kept <= len(rounds) or (kept and not rounds[kept - 1]["references"]):
        raise ValueError(f"kept is {number!r} of {len(rounds)} rounds")
    return kept


def _reports(rows: Any, initial: Image.Image | None, rounds: Sequence[Round]) -> Iterator[StageReport]:
    """Of drawings that are to come again there is nothing to report yet."""
    reports = list(each_of(StageReport, rows))
    if len({(report.name, report.round) for report in reports}) < len(reports):
        raise ValueError("two reports of one stage")
    for report in reports:
        if not 1 <= report.round <= max(1, len(rounds)):
            raise ValueError(f"a report of round {report.round}")
        enhanced = rounds[report.round - 1].enhanced if 1 <= report.round <= len(rounds) else None
        image = initial if report.name == "initial" else enhanced
        if report.name not in ("initial", "enhanced") or report.status == "skipped" or image is not None:
            yield report


def _corrections(rows: Any) -> Iterator[Correction]:
    for correction in each_of(Correction, rows):
        if not 1 <= correction.round <= MAX_ROUNDS:
            raise ValueError(f"a correction of round {correction.round}")
        yield correction


def _round(past: Mapping[str, Any], picture: Picture) -> Round:
    concepts, references = past["concepts"], past["references"]
    found = None if references is None else tuple(_reference(row, picture) for row in rows_of(references))
    return Round(
        verdict=verdict_of(past["verdict"]),
        concepts=None if concepts is None else tuple(each_of(Concept, concepts)),
        rejected=tuple(each_of(Rejection, past["rejected_concepts"])),
        references=found,
        unfound=tuple(each_of(Rejection, past["without_reference"])),
        enhanced=picture(text_of(past["enhanced"])) if past["enhanced"] else None,
        second_verdict=verdict_of(past["second_verdict"]),
        comparison=maybe_of(Comparison, past.get("comparison")),  # earlier records have none
    )


def verdict_of(row: Any) -> Verdict | None:
    verdict = maybe_of(Verdict, row)
    sights = verdict.sights if verdict is not None else ()
    sure = [sight.sureness for sight in sights if sight.sureness is not None]
    if len(sights) > MOST_THINGS or not all(0 <= sureness <= 1 for sureness in sure):
        raise ValueError("more sights than things, or one that is surer than sure")
    return verdict


def _reference(row: Mapping[str, Any], picture: Picture) -> Reference:
    image = picture(text_of(row["image"]))
    if image is None:
        raise ValueError(f"no picture {row['image']}")
    weight = real_of(row["weight"])
    if not 0 <= weight <= 2:
        raise ValueError(f"a weight of {weight}")
    return Reference(
        concept=text_of(row["concept"]),
        chosen=value_of(Candidate, {key: row[key] for key in Candidate.__dataclass_fields__ if key in row}),
        image=image,
        weight=weight,
        candidates=tuple(each_of(Candidate, row["candidates"])),
        crop=value_of(Box, row.get("crop", {})),
        region=value_of(Box, row.get("region", {})),
        own=bool(row.get("own", False)),
        use=adapter_of(Use).validate_python(row.get("use", "both")),  # earlier records have none
    )


def _id(text: Any) -> str:
    if text != "" and not records.is_id(text_of(text)):
        raise ValueError("no id of a run")
    return str(text)


def library_of(text: Any) -> str:
    """The text, if it could name a library and no folder elsewhere. Raises ValueError: it could not."""
    if not _LIBRARY.fullmatch(text_of(text)):
        raise ValueError("no name of a library")
    return str(text)
