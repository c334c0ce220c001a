"""What follows from what was found: which image is the better one, and why a run ends. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from imgrag.runs.values import Reference, Rejection, Round, Run, Verdict

Form = Literal["lacks", "lacked", "lacks only"]
_FORMS: Mapping[str, tuple[str, str, str]] = {
    "lacks": (
        "lacks {missing}",
        "perhaps still shows {unwanted}",
        "lacks {missing} and perhaps still shows {unwanted}",
    ),
    "lacked": (
        "lacked {missing}",
        "perhaps still showed {unwanted}",
        "lacked {missing} and perhaps still showed {unwanted}",
    ),
    "lacks only": (
        "lacks only {missing}",
        "perhaps still shows {unwanted}",
        "lacks only {missing} and perhaps still shows {unwanted}",
    ),
    "perhaps lacks": (
        "perhaps lacks {missing}",
        "perhaps still shows {unwanted}",
        "perhaps lacks {missing} and perhaps still shows {unwanted}",
    ),
    "perhaps lacked": (
        "perhaps lacked {missing}",
        "perhaps still showed {unwanted}",
        "perhaps lacked {missing} and perhaps still showed {unwanted}",
    ),
    "perhaps lacks only": (
        "perhaps lacks only {missing}",
        "perhaps still shows {unwanted}",
        "perhaps lacks only {missing} and perhaps still shows {unwanted}",
    ),
}
"""What is missing, what is there without being wanted, and both."""


def keep_better(run: Run) -> Run:
    """Keep the image of this round if its verdict is better than that of the image kept so far.

    Fewer missing things win. On a tie the enhanced image wins if it shows what was fetched for it, for
    the person asked for that. Where it does not either, the comparison decides; without one, or if both
    images are as likely, the earlier image stays.
    """
    old, new, compared = run.verdict, run.round.second_verdict, run.round.comparison
    assert old is not None and new is not None
    earlier = "initial" if not run.kept else "earlier enhanced"
    gained = _gained(run.round, new)
    if new.matches and old.matches:
        return _kept(
            run, "Both images match; the enhanced one has the look of its references, as was asked for."
        )
    if new.matches:
        left_out = run.reading is not None and run.reading.curtailed
        everything = (
            "everything of the prompt that these models can draw" if left_out else "everything in the prompt"
        )
        return _kept(
            run, f"The enhanced image shows {everything}; the {earlier} image {lacking(old, 'lacked')}."
        )
    if _faults(new) < _faults(old):
        return _kept(
            run,
            f"The enhanced image {lacking(new, 'lacks only')}; the {earlier} image {lacking(old, 'lacked')}.",
        )
    if _faults(new) == _faults(old) and gained:
        return _kept(run, f"The enhanced image shows {listed(gained)} now, though it {lacking(new)}.")
    if compared is not None and compared.enhanced > compared.earlier:
        return _kept(
            run,
            f"The enhanced image {lacking(new)}; the judge finds it likelier than in the {earlier} one that all is there.",
        )
    return replace(run, why=f"The {earlier} image is kept: the enhanced one is no better, it {lacking(new)}.")


def is_open(run: Run) -> bool:
    """Whether the verdicts alone leave it open which image is better: each lacks as much, and nothing is gained."""
    old, new = run.verdict, run.round.second_verdict
    if old is None or new is None:
        return False
    return _faults(new) == _faults(old) > 0 and not _gained(run.round, new)


def rekept(run: Run) -> Run:
    """The run with what its complete rounds decide, after some of them were forgotten."""
    replayed = replace(run, rounds=(), kept=0, why="")
    for past in run.rounds:
        replayed = replace(replayed, rounds=(*replayed.rounds, past))
        if past.second_verdict is not None and past.second_verdict.readable:
            replayed = keep_better(replayed)
    return replayed


def end_reason(run: Run) -> str:
    """Why the rest of this round is not needed or not possible; "" while it is both."""
    now = run.round
    if now.verdict is not None and now.verdict.matches and not seeks_alike(run):
        return matching(run)
    if now.concepts == () and not seeks_alike(run):
        return " ".join(("There is no missing concept that a picture can show.", *_reasons(now.rejected)))
    before = run.rounds[-2].references if len(run.rounds) > 1 else ()
    if now.references is not None and (not now.references or _same(now.references, before or ())):
        return " ".join(("There is no good reference.", *_reasons(now.unfound)))
    return ""


def seeks_alike(run: Run) -> bool:
    """Whether references are wanted of what looks like the sketch, whatever is missing."""
    return run.structure is not None and run.structure.similar is not None and len(run.rounds) == 1


def matching(run: Run) -> str:
    """That the initial image shows what was asked for, with what of the prompt it cannot show, or who says so."""
    if is_by_person(run.round.verdict, run):
        return "A person says that the image already matches the prompt."
    if run.reading is None or not run.reading.curtailed:
        return "The image already matches the prompt."
    return "The image already shows everything of the prompt that these models can draw."


def is_by_person(verdict: Verdict | None, run: Run) -> bool:
    """Whether a person gave this verdict of a run; they give it of the initial image alone."""
    report = run.report("verdict", 1)
    given = report is not None and report.status == "corrected"
    return given and bool(run.rounds) and verdict is run.rounds[0].verdict


def listed(names: Sequence[str]) -> str:
    """("a", "b", "c") -> "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def lacking(verdict: Verdict, form: Form = "lacks") -> str:
    """What an image lacks by its verdict, surely or perhaps, and what it may show that was not to be there."""
    unsure = [sight.name for sight in verdict.unsure if not sight.unwanted]
    unwanted = listed([sight.unwanted for sight in verdict.unsure if sight.unwanted])
    fewer = {sight.name: sight.fewer[1] for sight in verdict.sights if sight.fewer}
    sure = [fewer.get(name, name) for name in verdict.missing]
    missing = listed([*sure, *([f"perhaps {listed(unsure)}"] if unsure else [])] if sure else unsure)
    if not missing and not unwanted:
        missing = "something that the judge did not name"
    alone, shown, both = _FORMS[f"perhaps {form}" if unsure and not sure else form]
    words = both if missing and unwanted else alone if missing else shown
    return words.format(missing=missing, unwanted=unwanted)


def folded(names: Collection[str]) -> set[str]:
    """Names as they are compared."""
    return {name.casefold() for name in names}


def _same(now: Sequence[Reference], before: Sequence[Reference]) -> bool:
    """Whether two rounds' references are the same, in their pictures too: two own ones may share a name."""
    return now == before and all(
        new.image is old.image or new.image.tobytes() == old.image.tobytes()
        for new, old in zip(now, before, strict=True)
        if new.own
    )


def _gained(now: Round, new: Verdict) -> list[str]:
    """What was looked up and is not missing any more; a verdict that names nothing does not tell."""
    told = bool(new.missing or new.unsure)
    missing = folded(_short_of(new)) - folded([sight.name for sight in new.sights if sight.fewer])
    return [c.name for c in now.concepts or () if told and c.name.casefold() not in missing]


def _short_of(verdict: Verdict) -> list[str]:
    return [*verdict.missing, *(sight.name for sight in verdict.unsure)] or ["something"]


def _faults(verdict: Verdict) -> int:
    """How many things are missing or not surely there; an image that does not match lacks at least one."""
    return 0 if verdict.matches else len(_short_of(verdict))


def _reasons(rejections: Sequence[Rejection]) -> list[str]:
    return [f"{rejection.name}: {rejection.reason}." for rejection in rejections]


def _kept(run: Run, why: str) -> Run:
    return replace(run, kept=len(run.rounds), why=why)
