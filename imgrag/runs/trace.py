"""What a run decided, in words. Pure functions."""

from __future__ import annotations

from dataclasses import replace

from imgrag.runs.decisions import folded, is_by_person, lacking, listed
from imgrag.runs.drafts import likeliest, seeds_of
from imgrag.runs.reading import Reading
from imgrag.runs.styles import Styling
from imgrag.runs.values import Correction, Reference, Round, Run, Verdict


def trace(run: Run) -> list[str]:
    """The decisions of a run, a sentence each, in the order in which they were taken."""
    lines = []
    if run.reading is not None:
        told = run.reading.augmentation
        read = run.reading.prompt if told is None else told.original
        lines += [f'Read "{run.request.prompt}" as "{read}".'] if read != run.request.prompt else []
        lines += _looked_up(run.reading)
        lines += map(_styled, run.reading.styles)
    if run.structure is not None:
        words = run.structure.in_words
        whole = f"All images are drawn along {words}."
        lines.append(f"The enhanced images are drawn along {words}." if run.structure.initial else whole)
    if run.initial is not None and not _replaced(run):
        lines += _drew(run)
    lines += [_changed(correction, run) for correction in run.corrections]
    for number, now in enumerate(run.rounds, start=1):
        lines += _round_trace(now, number, run)
    return [*lines, *([run.why] if run.why else []), *run.notes]


def _drew(run: Run) -> list[str]:
    """What was drawn first, and of several the one that the judge finds likeliest."""
    seed, count = run.settings["seed"], len(run.drafts)
    if not count:
        return [f'Drew "{run.prompt}" with seed {seed}.']
    last, best = seeds_of(seed, count)[-1], likeliest(run.drafts)
    drew = f'Drew {count} images of "{run.prompt}" at once, with the seeds {seed} to {last}.'
    return [drew] if best is None else [drew, f"The judge finds image {best + 1} the likeliest."]


def _looked_up(reading: Reading) -> list[str]:
    """What was looked up for the prompt, and what came of it."""
    told = reading.augmentation
    if told is None:
        return []
    origins = (", ".join(filter(None, (fact.base, fact.source, fact.licence))) for fact in told.facts)
    lines = [f'Looked up "{f.term}": "{f.text}" ({o}).' for f, o in zip(told.facts, origins, strict=True)]
    if told.reason:
        return [*lines, f"The prompt is drawn as it was: {told.reason}."]
    return [*lines, f'Written again with it: "{told.rewritten}", read as "{reading.prompt}".']


def _styled(style: Styling) -> str:
    weight = f"{style.weight:g}" + (f", LoRA {style.lora[:12]}" if style.lora else "")
    if style.words:
        return f'Style "{style.title}", weight {weight}, called by "{style.words}".'
    return f'Style "{style.title}", weight {weight}.'


def _round_trace(now: Round, number: int, run: Run) -> list[str]:
    lines = []
    if now.verdict is not None and number == 1:
        if is_by_person(now.verdict, run):  # what is seen is the judge's
            said = _in_words(replace(now.verdict, seen=()))
            lines.append(f"A person says of the initial image: {said}.")
        else:
            lines.append(f"The judge says of the initial image: {_in_words(now.verdict)}.")
    lines += [f'"{rejection.name}" is not looked up: {rejection.reason}.' for rejection in now.rejected]
    if now.concepts:
        lines.append(f"To look up: {listed([concept.name for concept in now.concepts])}.")
    earlier = run.rounds[number - 2].references or () if number > 1 else ()
    new = [reference for reference in now.references or () if reference not in earlier]
    lines += [_alike(one) if _is_alike(one, now, run) else _found(one) for one in new]
    lines += [f'No reference for "{rejection.name}": {rejection.reason}.' for rejection in now.unfound]
    if now.enhanced is not None:
        guides = [reference.chosen.file for reference in now.references or ()]
        lines.append(f"Drew again, guided by {listed(guides)}.")
    if now.second_verdict is not None:
        lines.append(f"The judge says of the enhanced image: {_in_words(now.second_verdict)}.")
    if now.comparison is not None:
        lines.append(
            f"Log-likelihood that all is there: {now.comparison.earlier:.1f} in the earlier image, "
            f"{now.comparison.enhanced:.1f} in the enhanced one."
        )
    return [f"Round {number}: {line}" for line in lines] if len(run.rounds) > 1 else lines


def _is_alike(reference: Reference, now: Round, run: Run) -> bool:
    """Whether a reference was found by the sketch, not by a concept."""
    seeks = run.structure is not None and run.structure.similar is not None
    return (
        seeks
        and not reference.own
        and folded([reference.concept]).isdisjoint(folded([concept.name for concept in now.concepts or ()]))
    )


def _alike(reference: Reference) -> str:
    chosen = reference.chosen
    origin = ", ".join(filter(None, (chosen.source, chosen.licence)))
    gives = {"both": "guides whole", "style": "gives its style", "thing": "gives its thing"}[reference.use]
    told = f"similarity {chosen.score:.3f}{f', {origin}' if origin else ''}"
    return f"What looks most like the sketch is {chosen.file} ({told}); it {gives}."


def _found(reference: Reference) -> str:
    chosen = reference.chosen
    if reference.own:
        return f'The reference for "{reference.concept}" is a picture of one\'s own, {chosen.file}.'
    origin = ", ".join(filter(None, (chosen.source, chosen.licence)))
    return (
        f'The reference for "{reference.concept}" is {chosen.file}, similarity {chosen.score:.3f}'
        f"{f' ({origin})' if origin else ''}."
    )


def _in_words(verdict: Verdict) -> str:
    fewer = {sight.name for sight in verdict.sights if sight.fewer}
    lacked = folded([sight.name for sight in verdict.unsure] + [n for n in verdict.missing if n not in fewer])
    shown = [name for name in verdict.seen if name.casefold() not in lacked]
    seen = f"it shows {listed(shown)}" if shown else ""
    verdict_words = "everything is there" if verdict.matches else f"it {lacking(verdict)}"
    return "; ".join(filter(None, (seen, verdict_words)))


def _replaced(run: Run) -> bool:
    return any(correction.what == "image" for correction in run.corrections)


def _changed(correction: Correction, run: Run) -> str:
    turn = f" of round {correction.round}" if len(run.rounds) > 1 else ""
    return f"A person changed the {correction.what}{turn}, from {correction.before} to {correction.after}."
