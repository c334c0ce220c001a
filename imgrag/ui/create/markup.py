"""Board -> HTML, in the language in force. Every text that comes from outside goes through `escape`."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Literal, get_args

from PIL import Image

from imgrag.pictures import KEPT, opaque, shrunk
from imgrag.runs.values import StageName
from imgrag.ui.create.board import GUESSED_PACE, Board, PanelState, progress, remaining
from imgrag.ui.language import Language, say, speaking, told

# Drawn here so that no icon depends on a font the visitor may lack. Words always stand beside them.
_PATHS = {
    "waiting": '<circle cx="8" cy="8" r="5.5" stroke-dasharray="2.2 2.2"/>',
    "running": '<path d="M8 2.5a5.5 5.5 0 1 1-5.5 5.5"/>',
    "done": '<path d="m3.5 8.5 3 3 6-7"/>',
    "corrected": '<path d="m3 13 .8-3.2 6.7-6.7 2.4 2.4-6.7 6.7z"/>',
    "skipped": '<path d="m3.5 4 4 4-4 4m5-8 4 4-4 4"/>',
    "stopped": '<rect x="4" y="4" width="8" height="8" rx="1.5"/>',
    "failed": '<path d="m4 4 8 8m0-8-8 8"/>',
    "absent": '<circle cx="8" cy="8" r="5.5"/><path d="M8 5v3.5m0 2v.2"/>',
    "seen": '<path d="M1.8 8S4 3.8 8 3.8 14.2 8 14.2 8 12 12.2 8 12.2 1.8 8 1.8 8Z"/><circle cx="8" cy="8" r="1.8"/>',
    "unsure": '<circle cx="8" cy="8" r="5.5"/><path d="M6.4 6.6c0-2 3.2-2 3.2 0 0 1.2-1.6 1.2-1.6 2.4m0 1.8v.2"/>',
    "search": '<circle cx="7" cy="7" r="4"/><path d="m10 10 3.5 3.5"/>',
}


def title(stage: StageName) -> str:
    """What a stage's panel is called."""
    return {
        "reading": say("How the prompt was read"),
        "initial": say("Initial image"),
        "verdict": say("Verdict"),
        "concepts": say("Missing concepts"),
        "references": say("References"),
        "enhanced": say("Enhanced image"),
        "second_verdict": say("Second verdict"),
    }[stage]


def purpose(stage: StageName) -> str:
    """What a stage is for."""
    return {
        "reading": say("Which things it asks for, and who knows them."),
        "initial": say("The generator draws what was read."),
        "verdict": say("A vision model checks what is there."),
        "concepts": say("A language model names what to look up."),
        "references": say("CLIP finds a picture of each."),
        "enhanced": say("Drawn again, with references in view."),
        "second_verdict": say("The better of the two images is kept."),
    }[stage]


def status(panel: PanelState) -> str:
    """How it goes in a stage, in a word or two."""
    if panel.status == "running" and panel.steps:
        return say("Step {step} of {steps}", step=panel.step, steps=panel.steps)
    if panel.status == "done":
        return say("Done · {time}", time=duration(panel.seconds))
    return {
        "waiting": say("Waiting"),
        "running": say("Running"),
        "corrected": say("Corrected"),
        "skipped": say("Skipped"),
        "stopped": say("Stopped"),
        "failed": say("Failed"),
    }[panel.status]


def icon(name: str) -> str:
    """A 16 px line icon, hidden from screen readers."""
    return (
        f'<svg class="ir-icon ir-icon-{name}" viewBox="0 0 16 16" fill="none" stroke="currentColor" '
        f'stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{_PATHS[name]}</svg>'
    )


def chip(kind: str, text: str, icon_name: str) -> str:
    """Colour, icon and words: never colour alone. `kind` is good, bad, unsure, accent, plain or muted."""
    return f'<span class="ir-chip ir-{kind}">{icon(icon_name)}<span>{escape(text)}</span></span>'


def head(panel: PanelState, number: int) -> str:
    """Number, title and state of a panel; below them what it is for."""
    turn = say(" · round {number}", number=panel.round) if panel.round > 1 else ""
    return (
        f'<div class="ir-head" data-status="{panel.status}"><span class="ir-number">{number}</span>'
        f'<h2>{title(panel.stage)}{turn}</h2><span class="ir-badge">{icon(panel.status)}{status(panel)}</span></div>'
        f'<p class="ir-meta">{escape(purpose(panel.stage))}</p>'
    )


def strip(board: Board, pace: Mapping[StageName, float] = GUESSED_PACE) -> str:
    """The thin line above the panels: what goes on, how far it is, how long it will take."""
    part = progress(board, pace)
    if board.phase == "idle":
        words, part = say("Ready. Type a prompt, or pick an example, and press Run."), 0.0
    else:
        words = _announcement(board)
    about = "" if board.phase == "idle" else _about(board)
    return line(board.phase, words, _clock(board, pace), part, say("Progress of the run"), about)


def _about(board: Board) -> str:
    """Which run the strip is about, for page.js, which hands it to the page that comes after a reload."""
    run_id = board.run_id or (board.run.id if board.run is not None else "")
    at_work = next((panel.stage for panel in board.panels if panel.status == "running"), "")
    seed = "" if board.drawn_with is None else board.drawn_with
    return (
        f' data-run="{escape(run_id)}" data-prompt="{escape(board.prompt)}" data-stage="{at_work}"'
        f' data-seed="{seed}"'
    )


def line(phase: str, words: str, clock: str, part: float, name: str, about: str = "") -> str:
    """Words, a clock and a bar of the `part` (0 to 1) that is done. All but `name`, the bar's, are HTML."""
    return (
        f'<div class="ir-strip" data-phase="{phase}"{about}><div class="ir-strip-words">'
        f'<span>{words}</span><span class="ir-eta" aria-hidden="true">{clock}</span></div>'
        f'<div class="ir-bar" role="progressbar" aria-label="{escape(name)}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{round(part * 100)}"><i style="width:{part:.1%}"></i></div></div>'
    )


def countdown(seconds: float) -> str:
    """About how long it will still take; page.js counts it down, in the words of `data-words`."""
    whole = max(1, round(seconds))
    words = escape(say("about {time} left", time=say("{seconds} s", seconds="{left}")))
    left = escape(say("about {time} left", time=duration(whole)))
    return f'<span data-left="{whole}" data-words="{words}">{left}</span>'


def banner(board: Board) -> str:
    """Why the run failed."""
    return sentence(board.message)


def sentence(message: str, field: str = "") -> str:
    """What went wrong, read out at once; "" if nothing did. `field`: which one page.js is to say it at."""
    if not message:
        return ""
    about = f' data-field="{field}"' if field else ' role="alert"'
    return f'<div class="ir-banner"{about}>{icon("absent")}<p>{escape(told(message))}</p></div>'


def lost(message: str) -> str:
    """What became of a run of which nothing is left but its prompt, and a button that draws it again (page.js)."""
    again = f'<button type="button" class="ir-again">{escape(say("Draw it again"))}</button>'
    return f'<div class="ir-banner" role="alert">{icon("absent")}<p>{escape(message)} {again}</p></div>'


def languages() -> str:
    """The choice of language, each by its own name, so that whoever reads only that one finds it.

    page.js acts on it, and gives the tabs their names, which Gradio leaves in the language that they began in.
    """
    named = []
    for tongue in get_args(Language):
        with speaking(tongue):
            named.append([say("Create"), say("History"), say("Library")])
    pairs = escape(json.dumps(list(zip(*named, strict=True)), ensure_ascii=False))
    return (
        f'<nav aria-label="Language / 语言" data-tabs="{pairs}">'
        '<button type="button" lang="en" data-language="en">English</button>'
        '<button type="button" lang="zh" data-language="zh-CN">中文</button>'
        '<button type="button" data-help aria-label="Keys and signals / 快捷键与提醒">?</button></nav>'
    )


def elsewhere() -> str:
    """That the page waits for others of its browser; page.css shows it while streams.js says so."""
    words = say("Other tabs of this browser are at work. This one goes on as soon as one of them is done.")
    return f'<p role="status">{icon("waiting")}<span>{escape(words)}</span></p>'


def notice(words: str) -> str:
    """A good word on the result; "" without any."""
    return f'<p class="ir-report">{icon("done")}<span>{escape(words)}</span></p>' if words else ""


def trace_list(lines: Iterable[str]) -> str:
    """The decision trace, an item a line."""
    items = "".join(f"<li>{escape(told(line))}</li>" for line in lines)
    return f'<ol class="ir-trace">{items}</ol>'


def long_list(items: Sequence[str], most: int) -> str:
    """So many of these list items, which are HTML already, and how many more there are; "" of none."""
    more = say("and {count:,} more", count=len(items) - most)
    rest = f"<li><small>{escape(more)}</small></li>" if len(items) > most else ""
    return f"<ul>{''.join(items[:most])}{rest}</ul>" if items else ""


def data_uri(image: Image.Image, side: int = 256, kind: Literal["png", "webp"] = "png") -> str:
    """A picture of at most `side` pixels as text, for an <img> inside the markup.

    "png" keeps every pixel; "webp" is a fifth of it, for where there are many.

    Transparency lies on white, as the models see it.
    """
    small = opaque(shrunk(image, KEPT * side)).copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, format=kind, quality=80)
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def duration(seconds: float) -> str:
    """For example "0.01 s", "0.42 s", "1.2 s", "12 s", "3 min 20 s"."""
    if seconds < 0.1:
        return say("{seconds} s", seconds=f"{max(seconds, 0.01):.2f}")
    if seconds < 10:
        return say("{seconds} s", seconds=f"{seconds:.2g}")
    if seconds < 90:
        return say("{seconds} s", seconds=f"{seconds:.0f}")
    return say("{minutes} min {seconds} s", minutes=int(seconds) // 60, seconds=int(seconds) % 60)


def score(similarity: float) -> str:
    """A cosine similarity as a number and a bar."""
    width = max(0.0, min(1.0, similarity))
    return (
        f'<div class="ir-score"><span>{say("similarity {score:.2f}", score=similarity)}</span>'
        f'<i aria-hidden="true"><b style="width:{width:.0%}"></b></i></div>'
    )


def origin(source: str, licence: str) -> str:
    """Where a picture comes from and what it may be used for; an address becomes a link."""
    place = escape(source or say("unknown source"))
    if re.match(r"https?://", source):
        place = f'<a href="{place}" target="_blank" rel="noopener noreferrer">{place}</a>'
    return f'<div class="ir-origin">{place} · {escape(licence or say("licence not stated"))}</div>'


def served(panel: PanelState) -> str:
    """Which checkpoint a stage took and how much memory, folded away; "" where that is not known."""
    peak = panel.peak_bytes / 2**20
    memory = say("{megabytes:,.0f} MB at most", megabytes=peak) if peak else ""
    words = " · ".join(part for part in (panel.model, memory) if part)
    if not words:
        return ""
    return f'<details class="ir-served"><summary>{escape(say("Model and memory"))}</summary><p>{escape(words)}</p></details>'


def _announcement(board: Board) -> str:
    if board.phase == "finished":
        return f'{say("Done.")} <a href="#ir-result">{say("See the result")}</a>'
    if board.phase == "stopping":
        return say("Stopping after the step at work…")
    if board.phase == "paused":
        return say("Paused. Correct a step, or continue.")
    if board.phase == "stopped":
        known = any(panel.run is not None for panel in board.panels)
        return (
            say("Stopped. What is done is kept; continue, or press Run to begin again.")
            if known
            else say("Stopped before anything was done; press Run to begin again.")
        )
    if board.phase == "failed":
        return say("This run ended early.")
    to_come = [panel for panel in board.panels if panel.status == "running"]
    if not to_come and any(panel.status != "waiting" for panel in board.panels):
        waiting = [panel for panel in board.panels if panel.status == "waiting"]
        to_come = waiting or [board.panels[-1]]  # between two steps, or after the last one
    return f"{title(to_come[0].stage)}…" if to_come else say("Starting…")


def _spent(board: Board, anew: bool) -> float:
    """Seconds that the stages took, over all pauses; `anew`: without those of the run that it was made from."""
    reports = board.run.stages if board.run is not None else ()
    return sum(report.seconds for report in reports if not (anew and report.reused))


def _clock(board: Board, pace: Mapping[StageName, float]) -> str:
    if board.phase == "finished":
        whole, anew = _spent(board, anew=False), _spent(board, anew=True)
        if not whole:
            return ""
        if anew == whole:
            return say("took {time}", time=duration(whole))
        return say("took {time}, {anew} of it anew", time=duration(whole), anew=duration(anew))
    left = remaining(board, pace)
    return "" if left is None else countdown(left)
