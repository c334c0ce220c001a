"""The small picture below the result: seconds of each stage, memory, and which models are in it."""

from __future__ import annotations

from html import escape

from imgrag.models.residency import Resident
from imgrag.runs.values import STAGES
from imgrag.ui.create.board import Board, PanelState
from imgrag.ui.create.markup import duration, title
from imgrag.ui.language import say

MEGABYTE = 2**20
READABLE = 0.12  # of the bar; a shorter stage has no room for its seconds


def picture(board: Board) -> str:
    """A bar of the stages by their seconds, the models by their size; "" before the first run."""
    timed = [panel for panel in board.panels if panel.seconds]
    if not timed and board.usage is None:
        return ""
    return f'<div class="ir-usage">{_stages(timed)}{_memory(board)}</div>'


def _stages(timed: list[PanelState]) -> str:
    if not timed:
        return ""
    total = sum(panel.seconds for panel in timed)
    parts = "".join(_stage(panel, panel.seconds / total > READABLE) for panel in timed)
    words = escape(say("Time of each step"))
    bar = f'<div class="ir-times" role="img" aria-label="{words}: {_listed(timed)}">{parts}</div>'
    return f'<span aria-hidden="true">{words}</span>{bar}'


def _stage(panel: PanelState, wide: bool) -> str:
    told = escape(f"{title(panel.stage)}: {duration(panel.seconds)}")
    number = STAGES.index(panel.stage) + 1
    words = f"<b>{number} · {escape(duration(panel.seconds))}</b>" if wide else ""
    return (
        f'<i style="flex-grow:{max(panel.seconds, 0.01):.3f}" data-stage="{panel.stage}" title="{told}">'
        f"{words}</i>"
    )


def _listed(timed: list[PanelState]) -> str:
    return escape(", ".join(f"{title(panel.stage)} {duration(panel.seconds)}" for panel in timed))


def _memory(board: Board) -> str:
    if board.usage is None:
        return ""
    models = "".join(_model(model) for model in sorted(board.usage.models, key=lambda model: model.name))
    total = escape(say("{size} MB of memory", size=f"{board.usage.bytes / MEGABYTE:,.0f}"))
    return f'<div class="ir-models"><span>{total}</span>{models}</div>'


def _model(model: Resident) -> str:
    state = say("at work") if model.pinned else say("in memory")
    size = f"{model.bytes / MEGABYTE:,.0f} MB"
    tip = escape(f"{model.label or model.name}, {size}, {state}")
    return (
        f'<span class="ir-model" data-busy="{str(model.pinned).lower()}" title="{tip}">{escape(model.name)} '
        f"<small>{size}</small></span>"
    )
