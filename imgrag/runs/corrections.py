"""What a person changes in a run. Each is a pure function from a run to the run as corrected.

A correction replaces what one stage of the round in hand found, forgets all that followed from it,
and says so in `Run.corrections`. Whoever goes on with the run computes only what was forgotten.
A finished run is left as it is: its correction is a new run with the old one as its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

from PIL import Image, ImageOps

from imgrag.errors import RequestError
from imgrag.pictures import border_colour, bounded, upright
from imgrag.runs.decisions import folded, listed, rekept
from imgrag.runs.reading import Reading
from imgrag.runs.structure import Structure
from imgrag.runs.styles import MAX_STYLES, USES, Use, joined
from imgrag.runs.values import (
    MAX_CONCEPTS,
    ONCE,
    STAGES,
    WHOLE,
    Box,
    Candidate,
    Concept,
    Correction,
    Reference,
    Round,
    Run,
    StageName,
    StageReport,
    Verdict,
    in_brief,
    new_id,
    verdict_reply,
)
from imgrag.texts import clean_line

MAX_NAME = 200  # characters of a name that a person types
MAX_CAPTION = 500  # characters; CLIP reads far fewer
MAX_MISSING = 20  # names; the judge itself rarely has more than five


def rewind(run: Run, stage: StageName) -> Run:
    """The run as it was before this stage of the round in hand: it and all later ones are to come again.

    The first stages belong to the first round, so going back to them forgets the other rounds.

    Raises:
        RequestError: the run has not come to this stage, or ended before it.
    """
    number = 1 if stage in ONCE else len(run.rounds)
    here = STAGES.index(stage)
    before = [run.report(earlier, 1 if earlier in ONCE else number) for earlier in STAGES[:here]]
    if None in before:
        raise RequestError("The run has not come to that stage yet. Continue it first.")
    if any(report.status == "skipped" for report in before if report is not None):
        raise RequestError("The run ended before that stage. Correct an earlier one.")
    rounds = (*run.rounds[: max(0, number - 1)], _cleared(run, number, stage))
    reports = tuple(
        report
        for report in run.stages
        if report.round < number or (report.round == number and STAGES.index(report.name) < here)
        if report.status != "skipped"
    )
    back = replace(
        run,
        reading=None if stage == "reading" else run.reading,
        structure=anew(run.structure) if stage in ONCE[:2] else run.structure,
        drafts=() if stage in ONCE[:2] else run.drafts,
        chosen=0 if stage in ONCE[:2] else run.chosen,
        initial=None if stage in ONCE[:2] else run.initial,
        rounds=() if stage in ONCE[:2] else rounds,
        stages=reports,
        state="paused",
        corrections=tuple(c for c in run.corrections if _stands(c, reports)),
    )
    return rekept(_branched(back) if run.state == "finished" else back)


def reread(run: Run, reading: Reading) -> Run:
    """A person's own reading of the prompt.

    Raises:
        RequestError: it holds nothing to draw.
    """
    if not reading.prompt.strip():
        raise RequestError("Nothing is left to draw. Name at least one thing.")
    old = run.reading.prompt if run.reading is not None else run.request.prompt
    kept = run.reading.styles if run.reading is not None else ()
    reading = replace(reading, styles=joined(kept, reading.styles)[:MAX_STYLES])
    back = replace(rewind(run, "reading"), reading=reading)
    return _corrected(back, "reading", "reading", old, reading.prompt)


def own_initial(run: Run, image: Image.Image) -> Run:
    """A person's own picture in place of the initial image.

    Args:
        image: of any size; it becomes a square of the profile's, padded with its border's colour.
    """
    size = run.settings["size"]
    picture = bounded(image, size)
    square = ImageOps.pad(picture, (size, size), Image.Resampling.LANCZOS, color=border_colour(picture))
    back = replace(rewind(run, "initial"), initial=square)
    return _corrected(back, "initial", "image", "as drawn", "a picture of one's own")


def overrule(run: Run, matches: bool, missing: Sequence[str]) -> Run:
    """A person's verdict on the initial image.

    Raises:
        RequestError: it does not match, but nothing is named as missing, or too much.
    """
    names = _names(missing)
    if len(names) > MAX_MISSING:
        raise RequestError(f"{len(names)} things are named as missing; at most {MAX_MISSING} are. Drop some.")
    if not matches and not names:
        raise RequestError("Name what is missing, one thing a line, or say that the image matches.")
    back = rewind(run, "verdict")
    old = run.rounds[0].verdict if run.rounds else None
    missing = () if matches else names
    seen = tuple(name for name in (old.seen if old else ()) if name.casefold() not in folded(missing))
    new = Verdict(matches, missing, seen, verdict_reply(seen, missing))
    back = replace(back, rounds=(Round(verdict=new),))
    return _corrected(back, "verdict", "verdict", _in_words(old), _in_words(new))


def name_concepts(run: Run, concepts: Sequence[Concept]) -> Run:
    """The concepts to look up, in this order; without any the run ends with the image it has.

    Raises:
        RequestError: there are too many, or a name is empty, or a name or a caption too long.
    """
    new = _concepts(concepts)
    if len(new) > MAX_CONCEPTS:
        raise RequestError(
            f"{len(new)} concepts are named; at most {MAX_CONCEPTS} can be looked up. Drop some."
        )
    names = [concept.name for concept in new]
    if run.round.verdict is not None and run.round.verdict.matches and names and len(run.rounds) == 1:
        run = overrule(run, False, names)  # to look something up is to say that it is missing
    back = rewind(run, "concepts")
    old = [concept.name for concept in run.round.concepts or ()]
    back = back.with_round(concepts=new, rejected=())
    return _corrected(back, "concepts", "concepts", _names_in_words(old), _names_in_words(names))


def choose(run: Run, concept: str, file: str, image: Image.Image) -> Run:
    """Another of a concept's candidates as its reference.

    Raises:
        RequestError: the concept has no such candidate.
    """
    old = _reference(run, concept)
    found = [candidate for candidate in old.candidates if candidate.file == file]
    if not found:
        raise RequestError(
            f"{file!r} is none of the candidates for {old.concept!r}. Choose one of those shown."
        )
    new = replace(old, chosen=found[0], image=image, own=False, crop=WHOLE)
    return _with_reference(run, old, new, old.chosen.file, new.chosen.file)


def own_picture(run: Run, concept: str, image: Image.Image, name: str) -> Run:
    """A person's own picture as a concept's reference, also where none was found.

    Args:
        name: what to call it, such as its file's name.

    Raises:
        RequestError: the run has no such concept, or has not looked for references yet.
    """
    held = {r.concept.casefold(): r for r in run.round.references or ()}
    old = held.get(concept.casefold())
    known = {c.name.casefold(): c.name for c in run.round.concepts or ()}
    spelt = old.concept if old else known.get(concept.casefold())
    if spelt is None:
        raise RequestError(
            f"{concept[:40]!r} is none of the concepts of this run. Name it as a concept first."
        )
    file = clean_line(name)[:MAX_NAME] or "picture"
    chosen = Candidate(file=file, score=0.0, name=spelt, source="your own picture")
    base = old or Reference(spelt, chosen, image)
    new = replace(base, chosen=chosen, image=upright(image), own=True, crop=WHOLE)
    return _with_reference(run, old, new, old.chosen.file if old else "none", f"{file} (one's own)")


def adjust(run: Run, concept: str, weight: float, crop: Box, region: Box, use: Use = "both") -> Run:
    """A reference's weight (0 to 2), the part of it that is used, the part of the image it fills, and what it gives.

    Raises:
        RequestError: the run has no reference for the concept, or the weight or the use is none.
    """
    old, weight = _reference(run, concept), _number("weight of a reference", weight, 2)
    if use not in USES:
        raise RequestError(f"The use of a reference is {in_brief(use)}; it must be both, style or thing.")
    new = replace(old, weight=weight, crop=crop, region=region, use=use)
    return _with_reference(run, old, new, _placed(old), _placed(new))


def drop(run: Run, concept: str) -> Run:
    """Do without the reference for a concept.

    Raises:
        RequestError: the run has no reference for it.
    """
    old = _reference(run, concept)
    return _with_reference(run, old, None, old.chosen.file, "none")


def guide(run: Run, adapter_scale: float, guided_share: float) -> Run:
    """How strongly the references guide (0 to 2), and in which share of the steps (0 to 1).

    Raises:
        RequestError: a value is out of range.
    """
    scale, share = (
        _number("adapter scale", adapter_scale, 2),
        _number("share of guided steps", guided_share, 1),
    )
    back = rewind(run, "enhanced")
    old = run.settings
    settings = {**old, "adapter_scale": scale, "guided_share": share}
    before, after = (f"scale {s['adapter_scale']:g}, share {s['guided_share']:g}" for s in (old, settings))
    correction = Correction("enhanced", len(run.rounds), "guidance", before, after)
    return replace(back, settings=settings, corrections=(*back.corrections, correction))


def keep(run: Run, number: int) -> Run:
    """A person's choice of the result: 0 for the initial image, n for the nth round's. It ends the run.

    Raises:
        RequestError: there is no such image.
    """
    drawn = (run.initial, *(past.enhanced for past in run.rounds))
    if not 0 <= number < len(drawn) or drawn[number] is None:
        raise RequestError("That image has not been drawn, so it cannot be the result.")
    back = replace(_branched(run) if run.state == "finished" else run, state="paused")
    name, old = (_image_name(n, run) for n in (number, run.kept))
    back = replace(back, kept=number, why=f"A person chose the {name}.")
    here = max(1, len(run.rounds))
    for stage in STAGES if here == 1 else STAGES[len(ONCE) :]:
        if back.report(stage, here) is None:
            back = back.with_report(StageReport(stage, "skipped", reason=back.why, round=here))
    return _corrected(back, "second_verdict", "result", old, name)


def _image_name(number: int, run: Run) -> str:
    if not number:
        return "initial image"
    return "enhanced image" if len(run.rounds) == 1 else f"enhanced image of round {number}"


def anew(structure: Structure | None) -> Structure | None:
    """The structure before there is an initial image."""
    if structure is None or not structure.initial:
        return structure
    return replace(structure, image=None)


def _cleared(run: Run, number: int, stage: StageName) -> Round:
    """The round without what this stage and the later ones found."""
    if not run.rounds:
        return Round()
    old = run.rounds[number - 1]
    if stage in ONCE:
        return Round()
    fields: dict[StageName, dict[str, object]] = {
        "concepts": {"concepts": None, "rejected": ()},
        "references": {"references": None, "unfound": ()},
        "enhanced": {"enhanced": None},
        "second_verdict": {"second_verdict": None, "comparison": None},
    }
    gone: dict[str, object] = {}
    for later in STAGES[STAGES.index(stage) :]:
        gone |= fields[later]
    return replace(old, **gone)  # type: ignore[arg-type]


def _stands(correction: Correction, reports: Sequence[StageReport]) -> bool:
    """Whether what was corrected is still there; guidance is a setting and stays in force."""
    there = {(report.name, report.round) for report in reports}
    return correction.what == "guidance" or (correction.stage, correction.round) in there


def _branched(run: Run) -> Run:
    now = datetime.now(timezone.utc)
    reports = tuple(replace(report, reused=True) for report in run.stages)
    return replace(
        run,
        id=new_id(now),
        parent=run.id,
        started=now.isoformat(timespec="seconds"),
        stages=reports,
        loads=0,
    )


def _corrected(run: Run, stage: StageName, what: str, before: str, after: str) -> Run:
    """The run with the stage reported as done by a person."""
    number = 1 if stage in ONCE else max(1, len(run.rounds))
    correction = Correction(stage, number, what, before, after)
    told = replace(run, corrections=(*run.corrections, correction))
    return told.with_report(StageReport(stage, "corrected", round=number))


def _reference(run: Run, concept: str) -> Reference:
    found = [r for r in run.round.references or () if r.concept.casefold() == concept.casefold()]
    if not found:
        raise RequestError(f"The run has no reference for {concept[:40]!r}. Choose one of its concepts.")
    return found[0]


def _with_reference(run: Run, old: Reference | None, new: Reference | None, before: str, after: str) -> Run:
    if run.round.references is None:
        raise RequestError("The run has not come to that stage yet. Continue it first.")
    kept = list(run.round.references)
    at = kept.index(old) if old is not None else len(kept)
    kept[at : at + 1] = [] if new is None else [new]
    concept = (new or old).concept  # type: ignore[union-attr]
    unfound = tuple(item for item in run.round.unfound if item.name.casefold() != concept.casefold())
    earlier = [c for c in run.corrections if c.stage == "references" and c.round == len(run.rounds)]
    back = rewind(run, "references").with_round(references=tuple(kept), unfound=unfound)
    back = replace(back, corrections=(*back.corrections, *earlier))
    return _corrected(back, "references", f"reference for {concept}", before, after)


def _placed(reference: Reference) -> str:
    crop = "" if reference.crop == WHOLE else f", cropped to {_edges(reference.crop)}"
    region = "" if reference.region == WHOLE else f", filling {_edges(reference.region)}"
    use = "" if reference.use == "both" else f", its {reference.use} only"
    return f"weight {reference.weight:g}{crop}{region}{use}"


def _edges(box: Box) -> str:
    return " ".join(f"{100 * edge:.0f}%" for edge in (box.left, box.top, box.right, box.bottom))


def _concepts(rows: Sequence[Concept]) -> tuple[Concept, ...]:
    """What a person typed, each name once; an empty row is none."""
    new: dict[str, Concept] = {}
    for row in rows:
        name, caption = _text("name", row.name, MAX_NAME), _text("caption", row.caption, MAX_CAPTION)
        if not name and caption:
            raise RequestError(f"The caption {caption[:40]!r} has no name before it. Name what it describes.")
        if name:
            new.setdefault(name.casefold(), Concept(name, caption or name))
    return tuple(new.values())


def _names(names: Sequence[str]) -> tuple[str, ...]:
    """What a person typed, each name once."""
    found: dict[str, str] = {}
    for name in filter(None, (_text("name", name, MAX_NAME) for name in names)):
        found.setdefault(name.casefold(), name)
    return tuple(found.values())


def _text(what: str, text: str, most: int) -> str:
    """On one line, as prompts take it."""
    line = clean_line(text)
    if len(line) > most:
        raise RequestError(f"A {what} may have {most} characters; {line[:20]!r} does not fit.")
    return line


def _number(what: str, value: float, high: float) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= high:
        raise RequestError(f"The {what} is {in_brief(value)}; it must be a number from 0 to {high:g}.")
    return float(value)


def _in_words(verdict: Verdict | None) -> str:
    if verdict is None:
        return "none"
    return "matches" if verdict.matches else f"lacks {_names_in_words(verdict.missing)}"


def _names_in_words(names: Sequence[str]) -> str:
    return listed(list(names)) or "none"
