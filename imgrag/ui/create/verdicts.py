"""Verdicts -> HTML, in the language in force: what the judge says of an image, and of each thing in it.

There are three outcomes, each with a colour, an icon and a word of its own; green is for a match alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from imgrag.runs.decisions import is_by_person
from imgrag.runs.reading import Outcome, Reading, Sight
from imgrag.runs.values import Run, Verdict
from imgrag.ui.create.markup import chip, icon
from imgrag.ui.language import say, told

_MARKS: Mapping[Outcome, str] = {"there": "done", "absent": "absent", "not sure": "unsure"}


def verdict(value: Verdict, run: Run) -> str:
    """What a verdict's panel shows: the outcome, a bar a thing, and the judge's own words."""
    seen = "" if value.sights else "".join(chip("plain", told(thing), "seen") for thing in value.seen)
    own = escape(say("The model's own words"))
    raw = "" if is_by_person(value, run) else value.raw
    words = f"<details><summary>{own}</summary><pre>{escape(raw)}</pre></details>" if raw else ""
    heading = say("Seen in the image")
    row = f'<div class="ir-label">{heading}</div><div class="ir-chips">{seen}</div>' if seen else ""
    return f'<div class="ir-chips">{given_chips(value, run)}</div>{row}{_sights(value)}{words}'


def given_chips(value: Verdict, run: Run) -> str:
    """What is said of an image of a run, and that a person says it where it is not the judge."""
    person = chip("plain", say("A person's verdict"), "corrected") if is_by_person(value, run) else ""
    return verdict_chips(value, run.reading) + person


def verdict_chips(value: Verdict, reading: Reading | None) -> str:
    """Whether an image matches, what it lacks, and what nobody can be sure of; `reading` is the prompt's."""
    if value.matches:
        return _matching(reading)
    fewer = {sight.name: told(sight.fewer[0]) for sight in value.sights if sight.fewer}
    missing = "".join(
        chip("bad", fewer.get(name) or say("Missing: {name}", name=told(name)), "absent")
        for name in value.missing
    )
    unsure = "".join(chip("unsure", _unsure(sight), "unsure") for sight in value.unsure)
    return missing + unsure or chip("bad", say("Does not match"), "absent")


def _unsure(sight: Sight) -> str:
    if sight.unwanted:
        return say("Perhaps still there: {name}", name=sight.unwanted)
    return say("Not sure: {name}", name=sight.name)


def outcome(run: Run) -> str:
    """Both verdicts side by side, and why this image was kept."""
    later = [r for r in run.rounds if r.enhanced is not None]
    first = run.rounds[0].verdict if run.rounds else None
    kept = run.kept == 0 and bool(later)
    cells = [_side(say("Before") if later else say("Verdict"), first, run, kept)]
    if later:
        shown = run.rounds[run.kept - 1] if run.kept else later[-1]
        cells.append(_side(say("After"), shown.second_verdict, run, kept=run.kept > 0))
    return (
        f'<div class="ir-sides">{"".join(cells)}</div>'
        f'<p class="ir-why">{escape(told(run.why))}</p>'
        f'<p class="ir-link"><a href="?run={escape(run.id)}">{escape(say("Link to this run"))}</a> '
        f"{escape(say('opens in this browser only'))}</p>"
    )


def _matching(reading: Reading | None) -> str:
    """A match; of a prompt that was not read whole it says so."""
    if reading is None or not reading.curtailed:
        return chip("good", say("Matches the prompt"), "done")
    words = ", ".join(left.words for left in reading.left_out if left.seen)
    return chip("good", say("Shows all of it that can be drawn"), "done") + chip(
        "muted", say("Left out: {words}", words=words), "skipped"
    )


def _sights(value: Verdict) -> str:
    items = "".join(_sight(sight) for sight in value.sights)
    heading = say("Each thing, and how likely the judge finds it")
    return f'<div class="ir-label">{heading}</div><ul class="ir-sights">{items}</ul>' if items else ""


def _sight(sight: Sight) -> str:
    """One thing: its outcome in a word, how likely it is, and why it is no plain answer."""
    word = {"there": say("there"), "absent": say("absent"), "not sure": say("not sure")}[sight.outcome]
    word = told(sight.fewer[0]) if sight.fewer else word
    share = "" if sight.sureness is None else f"{sight.sureness:.0%}"
    bar = f'<i aria-hidden="true"><b style="width:{share}"></b></i>' if share else ""
    reason = (
        f'<p class="ir-caption">{escape(told(sight.reason))}</p>' if sight.reason and not sight.fewer else ""
    )
    return (
        f'<li data-outcome="{sight.outcome}"><strong>{escape(_named(sight))}</strong>'
        f'<span class="ir-sight">{icon(_MARKS[sight.outcome])}{escape(word)}{f" · {share}" if share else ""}</span>'
        f"{bar}{reason}</li>"
    )


def _named(sight: Sight) -> str:
    return say("without {name}", name=sight.unwanted) if sight.unwanted else sight.name


def _side(heading: str, value: Verdict | None, run: Run, kept: bool) -> str:
    mark = f' <span class="ir-kept">{say("kept")}</span>' if kept else ""
    chips = given_chips(value, run) if value else chip("muted", say("Not judged"), "skipped")
    return f'<div><div class="ir-label">{heading}{mark}</div><div class="ir-chips">{chips}</div></div>'
