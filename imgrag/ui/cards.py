"""Pictures of a library -> HTML: cards, the line above them, reports. Pure functions.

Every text that comes from outside goes through `escape`. Thumbnails arrive as data URIs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from imgrag.library import Skipped
from imgrag.ui.markup import duration, icon, origin, score

PAGE = 48  # cards on a page
SHOWN_SKIPPED = 100  # files named in a report

SELECT = """
const tell = () => trigger("select", {
    files: [...element.querySelectorAll("input:checked")].map((box) => box.dataset.file),
});
element.addEventListener("change", tell);
watch("value", () => element.querySelectorAll("input:checked").forEach((box) => { box.checked = false; }));
"""
"""Of the component with the cards: its "select" event carries the files that are ticked. Gradio
changes the old elements into the new ones, so ticks are taken off by hand."""


@dataclass(frozen=True)
class Card:
    """One picture. `thumbnail` is a data URI, "" where it cannot be read; `score` is a result's."""

    file: str
    thumbnail: str
    name: str = ""
    caption: str = ""
    source: str = ""
    licence: str = ""
    fields: Mapping[str, Any] | None = None
    score: float | None = None

    @property
    def title(self) -> str:
        return self.name or self.caption or self.file


def grid(cards: Sequence[Card]) -> str:
    """A list of cards; "" without any. Results are numbered."""
    if not cards:
        return ""
    items = "".join(_card(card, rank) for rank, card in enumerate(cards, start=1))
    return f'<ul class="ir-cards">{items}</ul>'


def heading(words: str, reason: str = "", note: str = "") -> str:
    """What the cards are, why the first result is the first, and what did not go as asked."""
    because = f'<p class="ir-reason">First because: {escape(reason)}</p>' if reason else ""
    noted = f'<p class="ir-note">{icon("absent")}{escape(note)}</p>' if note else ""
    return f'<div class="ir-head"><h2>{escape(words)}</h2></div>{because}{noted}'


def browsed(count: int, offset: int, shown: int, where: str) -> str:
    """The heading of a page of pictures, in words."""
    passing = " that pass the filter" if where.strip() else ""
    if not count:
        return f"No pictures{passing}" if passing else "No pictures yet. Add some on this page."
    total = counted(count, "picture")
    place = "" if shown == count else f"{offset + 1:,} to {offset + shown:,} of "
    return f"{place}{total}{passing}"


def stats(values: Mapping[str, Any]) -> str:
    """What a library holds, in one line, and the files left out of it below."""
    parts = [
        counted(int(values["images"]), "picture"),
        f"also from {', '.join(values['folders'])}" if values["folders"] else "",
        f"{values['removed']:,} taken out" if values["removed"] else "",
        {"faiss": "searched in memory", "milvus": "searched by Milvus"}.get(values["engine"], ""),
    ]
    line = escape(" · ".join(part for part in parts if part))
    skipped = [Skipped(item["file"], item["reason"]) for item in values["skipped"]]
    return f'<p class="ir-stats">{line}</p>{left_out(skipped)}'


def report(counts: Mapping[str, int], seconds: float, skipped: Sequence[Skipped]) -> str:
    """What adding did. `counts` are files by what became of them: "added", "changed", ..."""
    done = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    said = _said("done", f"{done or 'No pictures there'}, in {duration(seconds)}.")
    return said + left_out(skipped, unfolded=True)


def stopped(words: str) -> str:
    """Adding was stopped."""
    return _said("stopped", words)


def left_out(skipped: Sequence[Skipped], unfolded: bool = False) -> str:
    """The files that could not be used, by name; "" without any."""
    if not skipped:
        return ""
    rows = "".join(
        f"<li><strong>{escape(item.file)}</strong> {escape(item.reason)}</li>"
        for item in skipped[:SHOWN_SKIPPED]
    )
    rest = len(skipped) - SHOWN_SKIPPED
    more = f"<li>and {rest:,} more</li>" if rest > 0 else ""
    noun = "file was" if len(skipped) == 1 else "files were"
    return (
        f'<details class="ir-skipped"{" open" * unfolded}><summary>{len(skipped):,} {noun} left out</summary>'
        f"<ul>{rows}{more}</ul></details>"
    )


def working(words: str, part: float = 0.0, left: float | None = None) -> str:
    """The progress of adding: words, how far it is (0 to 1), how many seconds it will still take."""
    clock = ""
    if left is not None:
        whole = max(1, round(left))
        clock = f'<span data-left="{whole}">about {duration(whole)} left</span>'
    return (
        f'<div class="ir-strip" data-phase="running"><div class="ir-strip-words"><span>{escape(words)}</span>'
        f'<span class="ir-eta" aria-hidden="true">{clock}</span></div>'
        f'<div class="ir-bar" role="progressbar" aria-label="Progress of adding" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{round(part * 100)}"><i style="width:{part:.1%}"></i></div></div>'
    )


def found(count: int) -> str:
    """The heading of results, in words."""
    return counted(count, "result") if count else "Nothing found"


def counted(count: int, noun: str) -> str:
    """ "1 picture", "1,234 pictures"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _said(kind: str, words: str) -> str:
    return f'<p class="ir-report" data-kind="{kind}">{icon(kind)}<span>{escape(words)}</span></p>'


def _card(card: Card, rank: int) -> str:
    title, alt = escape(card.title), escape(_alt(card))
    number = f'<span class="ir-number">{rank}</span>' if card.score is not None else ""
    picture = (
        f'<img src="{card.thumbnail}" alt="{alt}">'
        if card.thumbnail
        else f'<span class="ir-unread" role="img" aria-label="{alt}">cannot be read</span>'
    )
    caption = card.caption if card.caption != card.title else ""
    told = f'<p class="ir-caption" title="{escape(caption)}">{escape(caption)}</p>' if caption else ""
    return (
        f'<li class="ir-card"><label>{picture}{number}'
        f'<input type="checkbox" data-file="{escape(card.file)}" aria-label="Select {title}"></label>'
        f'<strong title="{escape(card.file)}">{title}</strong>{told}'
        f"{score(card.score) if card.score is not None else ''}{_fields(card.fields or {})}"
        f"{origin(card.source, card.licence)}</li>"
    )


def _alt(card: Card) -> str:
    return ": ".join(dict.fromkeys(text for text in (card.title, card.caption) if text))


def _fields(fields: Mapping[str, Any]) -> str:
    if not fields:
        return ""
    words = " · ".join(f"{name} {value}" for name, value in fields.items())
    return f'<p class="ir-fields" title="{escape(words)}">{escape(words)}</p>'
