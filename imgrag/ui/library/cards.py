"""Pictures of a library -> HTML in the language in force: cards, the line above them, reports.

Every text that comes from outside goes through `escape`. Thumbnails arrive as data URIs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count
from typing import Any

from imgrag.library import Skipped
from imgrag.library.engines.store import TWO_STAGES
from imgrag.library.search.explaining import Explanation
from imgrag.ui.create import takings
from imgrag.ui.create.markup import countdown, duration, icon, line, origin, score
from imgrag.ui.language import say, told

PAGE = 48  # cards on a page
SHOWN_SKIPPED = 100  # files named in a report

SELECT = """
const tell = () => trigger("select", {
    act: "tick", files: [...element.querySelectorAll("input:checked")].map((box) => box.dataset.file),
});
element.addEventListener("change", tell);
element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (button) trigger("select", { act: button.dataset.do, id: button.dataset.id, name: button.dataset.name });
});
element.addEventListener("imgrag:looked", (event) => trigger("select", { act: "look", id: event.target.dataset.file }));
watch("value", () => element.querySelectorAll("input:checked").forEach((box) => { box.checked = false; }));
"""
"""Of the component with the cards: its "select" event carries the files that are ticked, or what is to be done with
one, or that it is looked at large. Gradio
changes the old elements into the new ones, so ticks are taken off by hand."""


@dataclass(frozen=True)
class Card:
    """One picture. `thumbnail` is a data URI, "" where it cannot be read; `score`, `look` and `why` are a result's."""

    file: str
    thumbnail: str
    name: str = ""
    caption: str = ""
    source: str = ""
    licence: str = ""
    fields: Mapping[str, Any] | None = None
    score: float | None = None
    why: Explanation | None = None
    look: str = ""

    @property
    def title(self) -> str:
        return self.name or self.caption or self.file


def grid(cards: Sequence[Card], ticks: bool = True) -> str:
    """A list of cards; "" without any. Results are numbered. `ticks`: whether they can be chosen."""
    if not cards:
        return ""
    items = "".join(_card(card, rank, ticks) for rank, card in enumerate(cards, start=1))
    return f'<ul class="ir-cards">{items}</ul>'


def heading(words: str, reason: str = "", note: str = "") -> str:
    """What the cards are, why the first result is the first, and what did not go as asked."""
    first = escape(say("First because: {reason}", reason=told(reason)))
    because = f'<p class="ir-reason">{first}</p>' if reason else ""
    noted = f'<p class="ir-note">{icon("absent")}{escape(told(note))}</p>' if note else ""
    return f'<div class="ir-head"><h2>{escape(words)}</h2></div>{because}{noted}'


def browsed(count: int, offset: int, shown: int, where: str) -> str:
    """The heading of a page of pictures, in words."""
    if not count:
        return (
            say("No pictures that pass the filter")
            if where.strip()
            else say("No pictures yet. Add some on this page.")
        )
    total = pictures(count)
    if shown < count:
        total = say("{first:,} to {last:,} of {total}", first=offset + 1, last=offset + shown, total=total)
    if not where.strip():
        return total
    if count == 1:
        return say("{total} that passes the filter", total=total)
    return say("{total} that pass the filter", total=total)


def stats(values: Mapping[str, Any]) -> str:
    """What a library holds, in one line, and the files left out of it below."""
    folders, broken = ", ".join(values["folders"]), ", ".join(values["broken"])
    parts = [
        pictures(int(values["images"])),
        say("also from {folders}", folders=folders) if folders else "",
        say("{count:,} taken out", count=values["removed"]) if values["removed"] else "",
        _searched(values["engine"], values["index"]),
        say("made anew, the damaged one is kept: {files}", files=broken) if broken else "",
    ]
    whole = escape(" · ".join(part for part in parts if part))
    skipped = [Skipped(item["file"], item["reason"]) for item in values["skipped"]]
    return f'<p class="ir-stats">{whole}</p>{left_out(skipped)}'


def _searched(engine: str, index: str) -> str:
    if engine == "faiss" and index == TWO_STAGES:
        return say("searched in memory, the best scored again from disk")
    return {"faiss": say("searched in memory"), "milvus": say("searched by Milvus")}.get(engine, "")


def report(
    added: int, changed: int, removed: int, unchanged: int, seconds: float, skipped: Sequence[Skipped]
) -> str:
    """What adding did: how many files became what."""
    parts = [
        say("{count:,} added", count=added) if added else "",
        say("{count:,} changed", count=changed) if changed else "",
        say("{count:,} removed", count=removed) if removed else "",
        say("{count:,} unchanged", count=unchanged) if unchanged else "",
    ]
    done = say(", ").join(part for part in parts if part) or say("No pictures there")
    said = _said("done", say("{done}, in {time}.", done=done, time=duration(seconds)))
    return said + left_out(skipped, unfolded=True)


def remarks(problems: Sequence[Skipped], unmatched: int, names: Sequence[str]) -> str:
    """What of the files about pictures could not be taken; "" without any."""
    count, shown = unmatched, ", ".join(names)
    lost = (
        say("{count} row found no picture: {names}", count=count, names=shown)
        if count == 1
        else say("{count:,} rows found no picture, such as {names}", count=count, names=shown)
    )
    rows = [
        *(f"<li><strong>{escape(item.shown)}</strong> {escape(told(item.reason))}</li>" for item in problems),
        *([f"<li>{escape(lost)}</li>"] if unmatched else []),
    ]
    total = say("Not all that is said about the pictures was taken")
    listed = f"<summary>{total}</summary><ul>{''.join(rows)}</ul>"
    return f'<details class="ir-skipped" open>{listed}</details>' if rows else ""


def removed(words: str) -> str:
    """Pictures were taken out."""
    return _said("done", words)


def stopped(words: str) -> str:
    """Adding was stopped."""
    return _said("stopped", told(words))


def left_out(skipped: Sequence[Skipped], unfolded: bool = False) -> str:
    """The files that could not be used, by name; "" without any."""
    if not skipped:
        return ""
    rows = "".join(
        f"<li><strong>{escape(item.shown)}</strong> {escape(told(item.reason))}</li>"
        for item in skipped[:SHOWN_SKIPPED]
    )
    rest = len(skipped) - SHOWN_SKIPPED
    more = f"<li>{say('and {count:,} more', count=rest)}</li>" if rest > 0 else ""
    count = len(skipped)
    total = (
        say("{count} file was left out", count=count)
        if count == 1
        else say("{count:,} files were left out", count=count)
    )
    return (
        f'<details class="ir-skipped"{" open" * unfolded}><summary>{total}</summary>'
        f"<ul>{rows}{more}</ul></details>"
    )


def working(words: str, part: float = 0.0, left: float | None = None) -> str:
    """The progress of adding: words, how far it is (0 to 1), how many seconds it will still take."""
    clock = "" if left is None else countdown(left)
    return line("running", escape(words), clock, part, say("Progress of adding"))


def found(count: int) -> str:
    """The heading of results, in words."""
    if not count:
        return say("Nothing found")
    return say("{count} result", count=count) if count == 1 else say("{count:,} results", count=count)


def pictures(count: int) -> str:
    """ "1 picture", "1,234 pictures"."""
    return say("{count} picture", count=count) if count == 1 else say("{count:,} pictures", count=count)


def copy_name(name: str, taken: Iterable[str]) -> str:
    """ "pocket copy", or "pocket copy 2" if there is one."""
    known = {one.casefold() for one in taken}
    names = (f"{name[:80]} copy{f' {n}' if n > 1 else ''}" for n in count(1))
    return next(one for one in names if one.casefold() not in known)


def _said(kind: str, words: str) -> str:
    return f'<p class="ir-report" data-kind="{kind}">{icon(kind)}<span>{escape(words)}</span></p>'


def _card(card: Card, rank: int, ticks: bool) -> str:
    title, alt = escape(card.title), escape(_alt(card))
    number = f'<span class="ir-number">{rank}</span>' if card.score is not None else ""
    picture = (
        f'<img src="{card.thumbnail}" alt="{alt}" data-file="{escape(card.file)}">'
        if card.thumbnail
        else f'<span class="ir-unread" role="img" aria-label="{alt}">{say("cannot be read")}</span>'
    )
    caption = card.caption if card.caption != card.title else ""
    below = f'<p class="ir-caption" title="{escape(caption)}">{escape(caption)}</p>' if caption else ""
    look = f'<p class="ir-reason">{escape(told(card.look))}</p>' if card.look else ""
    select = escape(say("Select {name}", name=card.title))
    tick = f'<label><input type="checkbox" data-file="{escape(card.file)}" aria-label="{select}"></label>'
    box = tick if ticks else ""
    return (
        f'<li class="ir-card"><div class="ir-shot">{picture}{number}{box}</div>'
        f'<strong title="{escape(card.file)}">{title}</strong>{below}'
        f"{score(card.score) if card.score is not None else ''}{_why(card.why)}{_fields(card.fields or {})}{look}"
        f"{origin(card.source, card.licence)}{takings.of_picture(card.file, card.name)}</li>"
    )


def _why(why: Explanation | None) -> str:
    if why is None:
        return ""
    listed = f" <small>{say('from its fields')}</small>" if why.plain else ""
    return f'<p class="ir-why">{escape(why.reason)}{listed}</p>'


def _alt(card: Card) -> str:
    return ": ".join(dict.fromkeys(text for text in (card.title, card.caption) if text))


def _fields(fields: Mapping[str, Any]) -> str:
    if not fields:
        return ""
    words = " · ".join(f"{name} {value}" for name, value in fields.items())
    return f'<p class="ir-fields" title="{escape(words)}">{escape(words)}</p>'
