"""The History tab: a browser's runs as cards, two of them side by side, and runs brought along as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from imgrag.archive.history import DAMAGED, Entry, title_of
from imgrag.runs.trace import trace
from imgrag.runs.values import Run
from imgrag.ui.create import takings
from imgrag.ui.create.markup import chip, data_uri
from imgrag.ui.create.verdicts import given_chips, verdict_chips
from imgrag.ui.language import both, label, say, told

SIDE = 384  # px of a card's picture
ACT = (Path(__file__).parents[1] / "past.js").read_text(encoding="utf-8")
"""Of the component with the cards."""

REVEAL = """
() => {
    const strip = document.querySelector("#ir-strip");
    if (!strip?.offsetParent) return;
    strip.tabIndex = -1;
    strip.focus({ preventScroll: true });
    document.querySelector("#ir-right").scrollIntoView({ block: "start" });
}
"""
"""Once a run was brought to the other tab: the page goes to its panels, and so does the keyboard."""


@dataclass(frozen=True)
class HistoryTab:
    """The components of the tab. `view` is the order of what `Past.entries` gives."""

    tab: gr.Tab
    file: gr.File
    search: gr.Textbox
    banner: gr.HTML
    heading: gr.HTML
    grid: gr.HTML
    pair: gr.HTML

    @property
    def view(self) -> list[Any]:
        return [self.banner, self.heading, self.grid, self.pair]


def build_history() -> HistoryTab:
    """Lay the tab out, empty."""
    with gr.Tab(label("History"), id="history", elem_id="ir-past") as tab, gr.Row(elem_classes="ir-two"):
        with gr.Column(scale=3, min_width=300, elem_id="ir-past-left"):
            gr.Markdown(
                label(
                    "# History\nYour runs in this browser. Open one to look at it or to go on from any step."
                ),
                elem_classes="ir-title",
            )
            file = gr.File(
                label=label("Drop a saved PNG or zip: the run comes back"), file_types=[".png", ".zip"],
                type="filepath", height=150, elem_id="ir-past-file",
            )  # fmt: skip
            banner = gr.HTML("", elem_classes="ir-said", elem_id="ir-past-banner")
        with gr.Column(scale=8, min_width=300, elem_id="ir-past-right"):
            search = gr.Textbox(
                label=label("Search your runs"), placeholder=label("Words of a prompt, a thing, or a name"),
                max_length=200, elem_id="ir-past-search",
            )  # fmt: skip
            pair = gr.HTML("", elem_id="ir-past-pair")
            heading = gr.HTML(both(lambda: heading_of(0)), elem_id="ir-past-heading")
            grid = gr.HTML("", js_on_load=ACT, elem_id="ir-past-grid")
    return HistoryTab(tab, file, search, banner, heading, grid, pair)


def heading_of(count: int, words: str = "", more: bool = False) -> str:
    """The line above the cards.

    Args:
        words: those that were searched for.
        more: whether there are older ones that are not shown.
    """
    said = say("Nothing yet. Runs appear here when they have begun.")
    if words.strip():
        said = say("{count:,} found", count=count) if count else say("No run of yours has these words.")
    elif count:
        said = say("1 run") if count == 1 else say("{count:,} runs", count=count)
    if more:
        said = say("The newest {count:,}; a search finds the older ones too", count=count)
    return f'<div class="ir-head"><h2>{escape(said)}</h2></div>'


def cards(entries: Sequence[Entry], pictures: Sequence[Image.Image | None]) -> str:
    """A card a run, newest first, below the choice of their size and what can be done with many."""
    items = "".join(
        _damaged(entry) if entry.state == DAMAGED else _card(entry, picture)
        for entry, picture in zip(entries, pictures, strict=True)
    )
    return f'{_sizes()}{_picked()}<ul class="ir-cards">{items}</ul>' if items else ""


def _sizes() -> str:
    sizes = (("small", say("Small pictures")), ("large", say("Large pictures")))
    buttons = "".join(
        f'<button type="button" data-size="{size}">{escape(words)}</button>' for size, words in sizes
    )
    return f'<div class="ir-tools ir-sizes" role="group" aria-label="{escape(say("Size of the pictures"))}">{buttons}</div>'


def _picked() -> str:
    """What can be done with all that are ticked; past.js shows it once there are any."""
    acts = (
        ("compare", say("Compare two")), ("pin", say("Pin")), ("unpin", say("Unpin")),
        ("download", say("Download as zip")), ("delete", say("Delete")), ("all", say("Tick all")), ("none", say("Tick none")),
    )  # fmt: skip
    sure = escape(say("Delete what is ticked ({count})? It cannot be brought back.", count="[count]"))
    buttons = "".join(
        f'<button type="button" data-many="{act}"{_asked(act, sure)}>{escape(words)}</button>'
        for act, words in acts
    )
    words = escape(say("{count} ticked", count="[count]"))
    return (
        f'<div class="ir-tools ir-picked" role="toolbar" aria-label="{escape(say("What is ticked"))}" hidden>'
        f'<span role="status" data-words="{words}"></span>{buttons}</div>'
    )


def _asked(act: str, question: str) -> str:
    """The attribute with what is asked before something is done that cannot be undone; `question` is HTML."""
    return f' data-sure="{question}"' if act == "delete" else ""


def side_by_side(left: Run, right: Run) -> str:
    """Two runs compared: their images, verdicts, and what differs in their settings."""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(one)}</td><td>{escape(other)}</td></tr>"
        for name, one, other in _differences(left, right)
    )
    table = f'<table class="ir-differences">{rows}</table>' if rows else ""
    return (
        f'<section class="ir-panel ir-compared"><div class="ir-head"><h2>{say("Side by side")}</h2></div>'
        f'<div class="ir-pair">{_column(left)}{_column(right)}</div>{table}</section>'
    )


def _damaged(entry: Entry) -> str:
    """The card of a run that nobody can read: its name, and a way to be rid of it."""
    words = say("The record of this run is damaged.")
    return (
        f'<li class="ir-card"><span class="ir-unread" role="img" aria-label="{escape(words)}">'
        f"{escape(say('no picture'))}</span><label>{_tick(entry)}</label><strong>{escape(entry.id)}</strong>"
        f'<p class="ir-caption">{escape(words)}</p>'
        f'<div class="ir-acts">{_button("delete", say("Delete"), entry.id, entry.id)}</div></li>'
    )


def _card(entry: Entry, picture: Image.Image | None) -> str:
    called, run_id = escape(entry.name or entry.title), escape(entry.id)
    seen = (
        f'<img src="{data_uri(picture, SIDE, "webp")}" data-file="{run_id}" alt="{called}">'
        if picture is not None
        else f'<span class="ir-unread" role="img" aria-label="{called}">{say("no picture yet")}</span>'
    )
    prompt = (
        f'<p class="ir-caption" title="{escape(entry.title)}">{escape(entry.title)}</p>' if entry.name else ""
    )
    return (
        f'<li class="ir-card"><div class="ir-shot">{seen}'
        f"<label>{_tick(entry)}</label></div>"
        f'<strong title="{called}"><a href="?run={run_id}">{called}</a></strong>{prompt}'
        f'<p class="ir-caption">{_told_of(entry)}</p>{_state(entry)}'
        f'<div class="ir-acts">{_acts(entry)}{_menus(entry, picture is not None)}</div></li>'
    )


def _tick(entry: Entry) -> str:
    words = escape(say("Tick {prompt}", prompt=entry.name or entry.title or entry.id))
    return f'<input type="checkbox" data-id="{escape(entry.id)}" aria-label="{words}">'


def _acts(entry: Entry) -> str:
    acts = (
        ("open", _opening(entry)),
        ("unpin", say("Unpin")) if entry.pinned else ("pin", say("Pin")),
        ("name", say("Rename") if entry.name else say("Name it")),
        ("delete", say("Delete")),
    )
    return "".join(
        _button(act, words, entry.id, entry.name or entry.title, entry.name) for act, words in acts
    )


def _menus(entry: Entry, drawn: bool) -> str:
    finished = entry.state == "finished"
    return takings.of_run(entry.id, entry.title, drawn) + takings.sharing(
        entry.id, entry.title, finished, entry.shared
    )


def _button(act: str, words: str, run_id: str, named: str, name: str = "") -> str:
    """`named` is what the run is called aloud, `name` what a person called it."""
    sure = escape(say("Delete this run? It cannot be brought back."))
    about = f' data-name="{escape(name)}"' if act == "name" else ""
    return (
        f'<button type="button" data-do="{act}" data-id="{escape(run_id)}"{_asked(act, sure)}{about} '
        f'aria-label="{escape(words)}: {escape(named)}">{escape(words)}</button>'
    )


def _opening(entry: Entry) -> str:
    return say("Open") if entry.state == "finished" else say("Go on")


def _told_of(entry: Entry) -> str:
    """When it began, in UTC until page.js says it in the visitor's own time, and its seed."""
    shown = escape(entry.started.replace("T", " ")[:16])
    when = f'<time datetime="{escape(entry.started)}">{shown}</time>'
    return f"{when} · {escape(say('seed {seed}', seed=entry.seed))}"


def _state(entry: Entry) -> str:
    words = {
        "interrupted": say("Interrupted"), "paused": say("Paused"), "stopped": say("Stopped"),
        "failed": say("Failed"), "running": say("Running"),
    }.get(entry.state)  # fmt: skip
    chips = [chip("bad", words, "absent")] if words else []
    chips += [verdict_chips(entry.verdict, entry.reading)] if entry.verdict is not None else []
    chips += [chip("plain", say("Corrected"), "corrected")] if entry.corrected else []
    chips += [chip("accent", say("Pinned"), "done")] if entry.pinned else []
    chips += [chip("accent", say("Shared"), "seen")] if entry.shared else []
    return f'<div class="ir-chips">{"".join(chips)}</div>' if chips else ""


def _column(run: Run) -> str:
    corrections = [asdict(correction) for correction in run.corrections]
    title = escape(title_of({"prompt": run.request.prompt, "corrections": corrections}))
    result = run.result
    picture = f'<img src="{data_uri(result, 512)}" alt="{title}">' if result is not None else ""
    chips = given_chips(run.verdict, run) if run.verdict is not None else ""
    lines = "".join(f"<li>{escape(told(line))}</li>" for line in trace(run))
    return (
        f'<div><strong>{title}</strong>{picture}<div class="ir-chips">{chips}</div>'
        f'<ol class="ir-trace">{lines}</ol></div>'
    )


def _differences(left: Run, right: Run) -> list[tuple[str, str, str]]:
    """What was asked differently: name, and both values in words."""
    values = [
        {say("Prompt"): run.request.prompt, say("Library"): run.library, **run.settings}
        for run in (left, right)
    ]
    names = dict.fromkeys((*values[0], *values[1]))
    told_apart = [
        (name.replace("_", " "), str(values[0].get(name, "")), str(values[1].get(name, ""))) for name in names
    ]
    return [row for row in told_apart if row[1] != row[2]]
