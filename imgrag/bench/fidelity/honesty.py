"""Whatever people type: how much of it is understood, and whether the rest is honestly declined."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from imgrag.bench import Bar, Figure
from imgrag.bench.fidelity.answers import Answer
from imgrag.bench.fidelity.wordings import KINDS

PLAIN = ("pair", "single", "punctuation", "sentence")
DRAWABLE = (
    *PLAIN, "capitals", "each_word", "bare", "bare_and", "plurals", "typos", "polite", "tags", "adjectives",
    "relations", "actions", "syntax", "spelling", "grounds", "negations", "styles",
)  # fmt: skip
LANGUAGES = ("chinese", "spanish", "emoji")
BEYOND = ("three", "many", "numbers")

WORDING = (
    Bar("wording_drawable", "what people type: all there, the worst kind that can be drawn", 0.90, 0.97),
    Bar("wording_synonyms", "  other words for a thing, CLDR's: all there", 0.85, 0.95),
    Bar("wording_other_synonyms", "  others: all there, or honestly declined", 0.95, 0.99),
    Bar("wording_languages", "  Chinese, Spanish, emoji: all there", 0.85, 0.95),
    Bar("wording_beyond", "  more than fits: said before, the known ones kept", 0.95, 0.99),
)
HONESTY = (
    Bar("honesty_false_claims", '"everything is there": false, every kind', 0.01, 0.003, at_most=True),
    Bar("honesty_wrong_references", "  what nobody has: a wrong reference", 0.03, 0.01, at_most=True),
    Bar("honesty_right_denied", "  right, plain kinds: called unsure or lacking", 0.03, 0.01, at_most=True),
)
GROUPS: Mapping[str, tuple[Bar, ...]] = {"wording": WORDING, "honesty": HONESTY}
BARS = (*WORDING, *HONESTY)

Test = Callable[[Answer], bool]
Kinds = dict[str, dict[str, Any]]


def figures(answers: Sequence[Answer]) -> dict[str, Figure]:
    """The rows, but for those that none of these answers tells of."""
    told = [answer for answer in answers if answer.claims]
    strange = [answer for answer in answers if answer.case.nobody]
    plain = [answer for answer in _of(answers, PLAIN) if answer.right]
    found = {
        "wording_drawable": _worst(answers, DRAWABLE),
        "wording_synonyms": _share(_of(answers, ["keywords"]), lambda a: a.right),
        "wording_other_synonyms": _share(_of(answers, ["other_words"]), lambda a: a.right or a.honest),
        "wording_languages": _share(_of(answers, LANGUAGES), lambda a: a.right),
        "wording_beyond": _share(_of(answers, BEYOND), _kept_and_said),
        "honesty_false_claims": _share(told, lambda a: a.claims_falsely),
        "honesty_wrong_references": _share(strange, lambda a: bool(a.wrong_references)),
        "honesty_right_denied": _share(plain, lambda a: not a.claims),
    }
    return {key: figure for key, figure in found.items() if figure.n}


def by_kind(answers: Sequence[Answer]) -> Kinds:
    """How many of each kind are what; `short` are the prompts that were neither drawn nor honestly declined."""
    kinds: Kinds = {}
    for key in KINDS:
        if of_kind := _of(answers, [key]):
            asking, declining = [a for a in of_kind if a.case.things], [a for a in of_kind if a.to_decline]
            right = [a for a in of_kind if a.right]
            leaving = [a for a in of_kind if a.case.declinable]
            kinds[key] = {
                "n": len(of_kind),
                "asking": len(asking), "right": len(right),
                "claims": sum(a.claims for a in of_kind), "false": sum(a.claims_falsely for a in of_kind),
                "to_decline": len(declining), "honest": sum(a.honest for a in declining),
                "leaving": len(leaving), "left_out_said": sum(a.tells_left_out for a in leaving if a.run),
                "wrong_references": sum(bool(a.wrong_references) for a in of_kind),
                "denied": sum(not a.claims for a in right),
                "short": [a.case.prompt for a in of_kind if a.claims_falsely or (a.to_decline and not a.honest)],
            }  # fmt: skip
    return kinds


def print_kinds(kinds: Mapping[str, Mapping[str, Any]]) -> None:
    """A table, a kind a row: counts, and what they are of."""
    table = Table(title="kinds of prompts, what came of them", title_justify="left")
    for heading in (
        "kind",
        "right",
        "claims",
        "false",
        "honest",
        "left out, said",
        "wrong reference",
        "right, denied",
    ):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for key, row in kinds.items():
        table.add_row(
            KINDS[key].label, _of_so_many(row, "right", "asking"), str(row["claims"]), str(row["false"]),
            _of_so_many(row, "honest", "to_decline"), _of_so_many(row, "left_out_said", "leaving"),
            str(row["wrong_references"]), _of_so_many(row, "denied", "right"),
        )  # fmt: skip
    Console(width=120).print(table)


def _of_so_many(row: Mapping[str, Any], part: str, whole: str) -> str:
    return f"{row[part]}/{row[whole]}" if row[whole] else "-"


def _kept_and_said(answer: Answer) -> bool:
    """What fits is there; what does not was said. Where fewer are there than fit, that too was said."""
    if not answer.case.things or answer.run is None:
        return False
    kept = answer.right or (answer.fits and all(map(answer.count, answer.case.things)))
    return kept and answer.tells_before


def _of(answers: Iterable[Answer], kinds: Collection[str]) -> list[Answer]:
    return [answer for answer in answers if answer.case.kind in kinds]


def _share(answers: Sequence[Answer], test: Test) -> Figure:
    return Figure(sum(map(test, answers)) / len(answers) if answers else 0.0, len(answers))


def _worst(answers: Sequence[Answer], kinds: Sequence[str]) -> Figure:
    """The share of the kind that fares worst."""
    shares = [_share(_of(answers, [kind]), lambda a: a.right) for kind in kinds]
    return min((share for share in shares if share.n), key=lambda share: share.value, default=Figure(0.0, 0))
