"""What the page shows, as values: one `PanelState` a stage, one `Board` for all of them.

`advance` is the whole logic of a run on the page: a pure function from a board and an event to
the next board. It knows no Gradio and no model; the clock is given to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from PIL import Image

from imgrag.models.residency import Usage
from imgrag.runs.events import Event, Finished, Paused, Preview, StageDone, StageSkipped, StageStarted
from imgrag.runs.values import ONCE, STAGES, Run, StageName, State

PanelStatus = Literal["waiting", "running", "done", "corrected", "skipped", "stopped", "failed"]
Phase = Literal["idle", "running", "stopping", "paused", "finished", "stopped", "failed"]
PHASES: Mapping[State, Phase] = {
    "running": "stopped", "paused": "paused", "stopped": "stopped", "failed": "stopped", "finished": "finished",
}  # fmt: skip
"""What a page shows of a run that it takes up. Nothing of such a run is at work yet."""

DRAWING: tuple[StageName, ...] = ("initial", "enhanced")

# Share of a run's time a stage takes, until a first run on this machine has been timed.
GUESSED_PACE: Mapping[StageName, float] = {
    "reading": 0.4,
    "initial": 4.0,
    "verdict": 1.0,
    "concepts": 0.3,
    "references": 1.0,
    "enhanced": 4.0,
    "second_verdict": 0.8,
}


@dataclass(frozen=True)
class PanelState:
    """One panel. `run` is the run as it was when the stage ended, `None` before that.

    `thumbnails` are data URIs: of candidates by file, of the things that were read by name.
    """

    stage: StageName
    status: PanelStatus = "waiting"
    model: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    reason: str = ""
    round: int = 1
    step: int = 0
    steps: int = 0
    image: Image.Image | None = field(default=None, repr=False, compare=False)
    run: Run | None = field(default=None, repr=False)
    thumbnails: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Board:
    """All panels and what stands above them. `started` and `now` are seconds of one clock.

    `base` is the part of the run that was done at `since`: when it began, or at the first step of a drawing, for
    what was loaded before that is not loaded twice. `usage` is what the models take by now.
    """

    panels: tuple[PanelState, ...] = tuple(PanelState(stage) for stage in STAGES)
    phase: Phase = "idle"
    prompt: str = ""
    started: float = 0.0
    now: float = 0.0
    run: Run | None = field(default=None, repr=False)
    run_id: str = ""  # known from the first stage on
    message: str = ""  # the sentence shown when a run has failed
    notice: str = ""  # a good word on the result
    base: float = 0.0
    since: float | None = None
    usage: Usage | None = None
    seed: int | None = None  # of a run that has only begun; later it is the run's

    def panel(self, stage: StageName) -> PanelState:
        return self.panels[STAGES.index(stage)]

    @property
    def drawn_with(self) -> int | None:
        """The seed of the run on it."""
        return self.seed if self.run is None else int(self.run.settings["seed"])

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.now - self.started


def begin(prompt: str, now: float) -> Board:
    """The board of a run that is about to start."""
    return Board(phase="running", prompt=prompt, started=now, now=now)


def board_of(run: Run) -> Board:
    """The board of a run that is known already: from a history, a file, or as it was corrected."""
    board = Board(
        tuple(_known(stage, run) for stage in STAGES), PHASES[run.state], run.request.prompt, run=run
    )
    return replace(board, base=progress(replace(board, phase="running")))


def take_up(run: Run, now: float) -> Board:
    """The board of a known run that is about to go on."""
    return replace(board_of(run), phase="running", started=now, now=now)


def advance(board: Board, event: Event, now: float, usage: Usage | None = None) -> Board:
    """The board after this event. Panels the event says nothing of are the same objects as before."""
    board = replace(board, now=now, usage=usage or board.usage)
    if isinstance(event, StageStarted):
        return _started(replace(board, run_id=event.run_id), event)
    if isinstance(event, Preview):
        drawn = _changed(board, event.stage, step=event.step, steps=event.steps, image=event.image)
        return drawn if board.since is not None else replace(drawn, since=now, base=progress(drawn))
    if isinstance(event, (Paused, Finished)):
        return replace(board, run=event.run, phase=PHASES[event.run.state])
    return _ended(board, event)


def illustrated(board: Board, stage: StageName, thumbnails: Mapping[str, str]) -> Board:
    """The board with these pictures in a stage's panel."""
    return _changed(board, stage, thumbnails=thumbnails)


def halt(board: Board, phase: Literal["stopped", "failed"], message: str = "") -> Board:
    """The board of a run that was stopped or broke: nothing on it runs any longer."""
    panels = tuple(replace(p, status=phase) if p.status == "running" else p for p in board.panels)
    return replace(board, panels=panels, phase=phase, message=message, usage=_idle(board.usage))


def progress(board: Board, pace: Mapping[StageName, float] = GUESSED_PACE) -> float:
    """The part of the run that is done, 0 to 1, each stage weighed with the seconds it is known to take."""
    if board.phase == "finished":
        return 1.0
    done = sum(pace[panel.stage] * _part(panel) for panel in board.panels)
    in_round = done / sum(pace.values())
    current = max(panel.round for panel in board.panels)
    rounds = board.run.request.rounds if board.run else 1
    return (current - 1 + in_round) / max(rounds, current)


def remaining(board: Board, pace: Mapping[StageName, float] = GUESSED_PACE) -> float | None:
    """Seconds the run will still take, `None` while there is too little to tell by."""
    part = progress(board, pace)
    gone = part - board.base
    if board.phase != "running" or gone < 0.05:
        return None
    begun = board.started if board.since is None else board.since
    return (board.now - begun) * (1 - part) / gone


def timed_pace(run: Run, pace: Mapping[StageName, float]) -> dict[StageName, float]:
    """`pace` with the seconds this run's stages took where they ran, scaled for the others."""
    seconds = {r.name: max(r.seconds, 0.01) for r in run.stages if r.status == "done"}
    known = sum(pace[name] for name in seconds)
    scale = sum(seconds.values()) / known if known else 1.0
    return {name: seconds.get(name, weight * scale) for name, weight in pace.items()}


def _idle(usage: Usage | None) -> Usage | None:
    """The usage with no model at work; the one that was ends its step."""
    if usage is None:
        return None
    return replace(usage, models=tuple(replace(model, pinned=False) for model in usage.models))


def _known(stage: StageName, run: Run) -> PanelState:
    """A panel as the run left it; those of the first round alone show that, the others the last."""
    number = 1 if stage in ONCE else max(1, len(run.rounds))
    report = run.report(stage, number)
    if report is None:
        return PanelState(stage, round=number)
    then = replace(run, rounds=run.rounds[:number])
    images = {"initial": run.initial, "enhanced": then.round.enhanced}
    return PanelState(
        stage, report.status, report.model, report.seconds, report.peak_bytes, report.reason, number,
        image=images.get(stage), run=then,
    )  # fmt: skip


def _started(board: Board, event: StageStarted) -> Board:
    """A later round clears the panels from this stage on; they show the round in hand."""
    here = STAGES.index(event.stage)
    panels = tuple(
        PanelState(panel.stage, round=event.round) if index > here and panel.round < event.round else panel
        for index, panel in enumerate(board.panels)
    )
    fresh = PanelState(event.stage, status="running", model=event.model, round=event.round)
    return replace(board, panels=(*panels[:here], fresh, *panels[here + 1 :]))


def _ended(board: Board, event: StageDone | StageSkipped) -> Board:
    report, run = event.report, event.run
    images = {"initial": run.initial, "enhanced": run.round.enhanced}
    board = replace(board, run=run)
    if event.stage == "verdict" and run.drafts:  # one of them is taken by now
        board = _changed(board, "initial", image=run.initial, run=run)
    return _changed(
        board,
        event.stage,
        status=report.status,
        seconds=report.seconds,
        peak_bytes=report.peak_bytes,
        reason=report.reason,
        model=report.model or board.panel(event.stage).model,
        round=report.round,
        image=images.get(event.stage) if isinstance(event, StageDone) else None,
        run=run,
    )


def _changed(board: Board, stage: StageName, **changes: object) -> Board:
    panels = tuple(
        replace(panel, **changes) if panel.stage == stage else panel  # type: ignore[arg-type]
        for panel in board.panels
    )
    return replace(board, panels=panels)


def _part(panel: PanelState) -> float:
    if panel.status in ("done", "corrected", "skipped"):
        return 1.0
    return 0.9 * panel.step / panel.steps if panel.steps else 0.0
