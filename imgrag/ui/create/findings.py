"""What each stage found -> HTML, in the language in force. Every text that comes from outside goes through `escape`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType

from imgrag.runs.drafts import likeliest, seeds_of
from imgrag.runs.values import WHOLE, Candidate, Concept, Reference, Rejection, Run, StageName
from imgrag.ui.create.asked import asked
from imgrag.ui.create.board import PanelState
from imgrag.ui.create.markup import chip, data_uri, icon, origin, score, served
from imgrag.ui.create.readings import reading
from imgrag.ui.create.structures import along
from imgrag.ui.create.verdicts import verdict
from imgrag.ui.language import say, told

NOTHING: Mapping[str, str] = MappingProxyType({})

# Outlines that stand where a finding will be while its stage is at work.
_GHOST_CHIPS = '<div class="ir-ghost ir-chips" aria-hidden="true"><i></i><i></i></div>'
_GHOSTS: Mapping[StageName, str] = {
    "reading": _GHOST_CHIPS,
    "verdict": _GHOST_CHIPS,
    "concepts": '<div class="ir-ghost" aria-hidden="true"><i></i><u></u></div>',
    "references": '<div class="ir-ghost ir-reference" aria-hidden="true"><s></s><div><i></i><u></u><u></u></div></div>',
    "second_verdict": _GHOST_CHIPS,
}


def body(panel: PanelState) -> str:
    """What the stage found and what it took, why it was skipped, or the outline of what is about to come."""
    if panel.status == "skipped":
        return f'<p class="ir-reason">{escape(told(panel.reason))}</p>'
    if panel.run is None or panel.status not in ("done", "corrected"):
        return _GHOSTS.get(panel.stage, "") if panel.status == "running" else ""
    return _found(panel, panel.run) + asked(panel) + served(panel)


def _found(panel: PanelState, run: Run) -> str:
    content = run.round
    if panel.stage == "reading" and run.reading:
        return reading(run.reading, panel.thumbnails)
    if panel.stage == "enhanced":
        return along(run.structure, True)
    if panel.stage == "initial":
        return (
            drafts(run)
            + along(run.structure, False)
            + "".join(f'<p class="ir-note">{icon("absent")}{escape(told(note))}</p>' for note in _notes(run))
        )
    if panel.stage == "verdict" and content.verdict:
        return verdict(content.verdict, run)
    if panel.stage == "second_verdict" and content.second_verdict:
        return verdict(content.second_verdict, run)
    if panel.stage == "concepts":
        return concepts(content.concepts or (), content.rejected)
    if panel.stage == "references":
        return references(content.references or (), content.unfound, panel.thumbnails)
    return ""


def drafts(run: Run) -> str:
    """The images that were drawn at once, a button each: which is taken, and how likely the judge finds each."""
    if not run.drafts:
        return ""
    best = likeliest(run.drafts)
    heading = escape(say("Drawn at once; press one to go on with it"))
    items = "".join(_draft(number, number == best, run) for number in range(len(run.drafts)))
    return f'<div class="ir-label">{heading}</div><ul class="ir-drafts">{items}</ul>'


def _draft(number: int, best: bool, run: Run) -> str:
    draft = run.drafts[number]
    seed = seeds_of(run.settings["seed"], len(run.drafts))[number]
    alt = say("Image {number}, seed {seed}", number=number + 1, seed=seed)
    picture = f'<img src="{data_uri(draft.image)}" alt="{escape(alt)}">' if draft.image is not None else ""
    sure = "" if draft.likelihood is None else f"{math.exp(draft.likelihood):.0%}"
    words = " · ".join(filter(None, (sure, say("likeliest") if best else "")))
    return (
        f'<li><button type="button" data-draft="{number}" aria-pressed="{str(number == run.chosen).lower()}">'
        f"{picture}<small>{escape(words) or '…'}</small></button></li>"
    )


def _notes(run: Run) -> list[str]:
    """Those that are not told by the panel before."""
    notes = [note for report in run.stages if report.name != "reading" for note in report.notes]
    return list(dict.fromkeys(notes))


def concepts(found: Sequence[Concept], rejected: Sequence[Rejection]) -> str:
    rows = "".join(
        f'<li>{chip("accent", concept.name, "search")}<span class="ir-caption">“{escape(concept.caption)}”</span></li>'
        for concept in found
    )
    return f'<ul class="ir-found">{rows}{_rejections(rejected)}</ul>'


def references(
    found: Sequence[Reference], unfound: Sequence[Rejection] = (), thumbnails: Mapping[str, str] = NOTHING
) -> str:
    """The chosen pictures with their other candidates. `thumbnails` are data URIs by file."""
    pictures = "".join(_reference(reference, thumbnails) for reference in found)
    return pictures + (f'<ul class="ir-found">{_rejections(unfound)}</ul>' if unfound else "")


def _reference(reference: Reference, thumbnails: Mapping[str, str]) -> str:
    chosen = reference.chosen
    name = _called(chosen)
    alt = say("Reference for {concept}: {name}", concept=reference.concept, name=name)
    others = "".join(
        _other(reference.concept, c, thumbnails) for c in reference.candidates if c.file != chosen.file
    )
    heading = say("Use another one instead")
    more = f'<div class="ir-label">{heading}</div><ul class="ir-others">{others}</ul>' if others else ""
    return (
        f'<article class="ir-reference"><img src="{data_uri(reference.picture)}" alt="{escape(alt)}">'
        f'<div><div class="ir-chips">{chip("accent", reference.concept, "search")}</div>'
        f"<strong>{escape(name)}</strong>{'' if reference.own else score(chosen.score)}"
        f"{_use(reference)}{origin(chosen.source, chosen.licence)}</div>"
        f"{more}</article>"
    )


def _other(concept: str, candidate: Candidate, thumbnails: Mapping[str, str]) -> str:
    """A candidate that was not chosen, to be chosen; its name in words where there is no thumbnail."""
    name = escape(_called(candidate))
    uri = thumbnails.get(candidate.file)
    picture = f'<img src="{uri}" alt="{name}">' if uri else f"<span>{name}</span>"
    tip = say("Use {name} instead, similarity {score:.2f}", name=_called(candidate), score=candidate.score)
    return (
        f'<li><button type="button" class="ir-other" data-concept="{escape(concept)}" '
        f'data-file="{escape(candidate.file)}" title="{escape(tip)}">{picture}'
        f"<small>{candidate.score:.2f}</small></button></li>"
    )


def _use(reference: Reference) -> str:
    """How a reference is used, where that is not the usual way."""
    parts = [
        say("weight {weight:g}", weight=reference.weight) if reference.weight != 1 else "",
        {"style": say("its style only"), "thing": say("the thing only")}.get(reference.use, ""),
        say("a part of it") if reference.crop != WHOLE else "",
        say("fills a part of the image") if reference.region != WHOLE else "",
    ]
    words = " · ".join(part for part in parts if part)
    return f'<div class="ir-origin">{escape(words)}</div>' if words else ""


def _called(candidate: Candidate) -> str:
    return candidate.name or candidate.caption or candidate.file


def _rejections(items: Sequence[Rejection]) -> str:
    return "".join(
        f'<li>{chip("muted", item.name, "failed")}<span class="ir-caption">{escape(told(item.reason))}</span></li>'
        for item in items
    )
