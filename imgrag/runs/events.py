"""What a run announces while it goes, in order. The page and the terminal know only these."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from imgrag.runs.values import Run, StageName, StageReport


@dataclass(frozen=True)
class StageStarted:
    """A stage begins; `model` names the checkpoint that will serve it, `run_id` is the run's."""

    stage: StageName
    model: str
    round: int = 1
    run_id: str = ""


@dataclass(frozen=True)
class Preview:
    """A denoising step: `step` of `steps` is done and the image looks like this by now."""

    stage: StageName
    step: int
    steps: int
    image: Image.Image = field(repr=False)
    round: int = 1


@dataclass(frozen=True)
class StageDone:
    """A stage has ended; `run` holds what it found."""

    stage: StageName
    report: StageReport
    run: Run


@dataclass(frozen=True)
class StageSkipped:
    """A stage was not needed or not possible; `report.reason` says why."""

    stage: StageName
    report: StageReport
    run: Run


@dataclass(frozen=True)
class Paused:
    """The last event of a run that waits for a person after each stage, while it is not finished."""

    run: Run


@dataclass(frozen=True)
class Finished:
    """The last event of every other run that was not cancelled and did not fail."""

    run: Run


Event = StageStarted | Preview | StageDone | StageSkipped | Paused | Finished
