"""One run on its way: stages in their order, skipping what is known, and keeping what was found.

A stage that has a report is not computed again, whether it ran before a pause, a crash or a
correction. After each stage the run is on disk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil

from imgrag.archive import records
from imgrag.engine.overhearing import Overheard
from imgrag.engine.stages import FIRST, LATER, Context, Stage, next_round
from imgrag.errors import (
    Cancelled,
    CheckpointError,
    ImgragError,
    MemoryBudgetError,
    RecordError,
    RequestError,
)
from imgrag.logs import log_event
from imgrag.models.residency import Residency, out_of_memory
from imgrag.runs.asking import Exchange
from imgrag.runs.decisions import end_reason
from imgrag.runs.events import Event, Preview, StageDone, StageSkipped, StageStarted
from imgrag.runs.values import ONCE, Run, StageName, StageReport, State

log = logging.getLogger(__name__)

NOT_LARGER = "It was not made larger."
Put = Callable[[Event], None]


class Execution:
    """Takes a run to its end, or to its next pause.

    Args:
        run: where to begin; what it has reports of is kept.
        pause: stop after each stage that ran.
        put: takes the events.
    """

    def __init__(
        self, run: Run, context: Context, residency: Residency, results: Path, pause: bool, put: Put
    ) -> None:
        self.run = run
        self._context = context
        self._residency = residency
        self._results = results
        self._pause = pause
        self._put = put
        self._loads = residency.loads - run.loads

    def __call__(self) -> Run:
        """The run, finished or paused. Raises what stages raise; what was found by then is kept."""
        log_event(log, "run_started", run=self.run.id, stages=len(self.run.stages), parent=self.run.parent)
        try:
            if self.run.stages:
                self._save("running")  # what is known already outlives a crash in the first stage to come
            paused = self._go()
            self._context.check()
            if not paused:
                self._enlarge()
            self._save("paused" if paused else "finished")
        except BaseException as error:
            self._broken_off(error)
            raise
        log_event(log, f"run_{self.run.state}", run=self.run.id, kept=self.run.kept, loads=self.run.loads)
        return self.run

    def _go(self) -> bool:
        """Whether it stopped for a pause."""
        for number in range(1, self.run.request.rounds + 1):
            if len(self.run.rounds) < number:
                self.run = next_round(self.run)
            if self._round(number):
                return True
            if self._is_enough(number):
                break
        return False

    def _enlarge(self) -> None:
        """Make the kept image larger, where that is wanted. What was drawn is kept whatever comes of it."""
        kept, wanted = self.run.result, self.run.settings["larger"] and self._residency.has("upscaler")
        why = self.run.why.partition(NOT_LARGER)[
            0
        ].strip()  # a run that is drawn again may have said so before
        self.run = replace(self.run, larger=None, why=why)
        if kept is None or not wanted:
            return
        try:
            with advised("larger"), self._residency.use("upscaler") as upscaler:
                self.run = replace(self.run, larger=upscaler.enlarge(kept, self._context.check))
        except (CheckpointError, MemoryBudgetError, RequestError) as error:
            self.run = replace(self.run, why=f"{why} {NOT_LARGER} {error}".strip())

    def _is_enough(self, number: int) -> bool:
        """Whether no further round is wanted: the image matches, the round ended early, a person chose."""
        verdict = self.run.rounds[number - 1].second_verdict
        report = self.run.report("second_verdict", number)
        by_hand = report is not None and report.status == "corrected"
        return by_hand or verdict is None or verdict.matches

    def _round(self, number: int) -> bool:
        early = ""
        stages = {**FIRST, **LATER}
        for stage, (role, function) in stages.items():
            if (stage in FIRST and number > 1) or self.run.report(stage, number) is not None:
                continue
            reason = "" if stage in ONCE[:2] else end_reason(self._up_to(number))
            if reason:
                early = reason
                self._skip(stage, reason, number)
            else:
                self._stage(stage, role, function, number)
                if self._pause and not self._is_last(stage, number):
                    return True
        if early:
            why = early if number == 1 else f"{self.run.why} Round {number} ended early. {early}".strip()
            self.run = replace(self.run, why=why)
        return False

    def _up_to(self, number: int) -> Run:
        """The run without the rounds after this one: of a run that is drawn again they are known already."""
        return replace(self.run, rounds=self.run.rounds[:number])

    def _is_last(self, stage: StageName, number: int) -> bool:
        last_round = number == self.run.request.rounds or self._is_enough(number)
        return stage == "second_verdict" and last_round

    def _stage(self, stage: StageName, role: str, function: Stage, number: int) -> None:
        self._context.check()
        model = (self._residency.spec(role).label or role) if role else ""
        self._put(StageStarted(stage, model, number, self.run.id))
        log_event(log, "stage_started", run=self.run.id, stage=stage, round=number, model=model)
        peak, notes, asked = PeakMemory(self._residency.device), list[str](), list[Exchange]()
        lender = Overheard(self._context.residency, asked.append)
        begun = time.perf_counter()

        def emit(preview: Preview) -> None:
            peak.look()
            self._put(preview)

        with advised(stage):
            context = replace(self._context, residency=lender, emit=emit, note=notes.append)
            found = function(self._up_to(number), context)
        self.run = replace(found, rounds=(*found.rounds, *self.run.rounds[number:]))
        seconds = round(time.perf_counter() - begun, 3)
        report = StageReport(
            stage, "done", seconds, peak.look(), "", model, number, notes=tuple(notes), asked=tuple(asked)
        )
        self.run = self.run.with_report(report)
        if self.run.initial is not None:  # a prompt that was read is as soon read again
            self._save("running")
        log_event(log, "stage_done", run=self.run.id, stage=stage, round=number, seconds=seconds)
        self._put(StageDone(stage, report, self.run))

    def _skip(self, stage: StageName, reason: str, number: int) -> None:
        report = StageReport(stage, "skipped", reason=reason, round=number)
        self.run = self.run.with_report(report)
        log_event(log, "stage_skipped", run=self.run.id, stage=stage, round=number, reason=reason)
        self._put(StageSkipped(stage, report, self.run))

    def _save(self, state: State) -> None:
        self.run = replace(self.run, state=state, loads=self._residency.loads - self._loads)
        records.save(self.run, self._results)

    def _broken_off(self, error: BaseException) -> None:
        """Leave on disk what was found, as a run that can be gone on with; no stage done, no folder."""
        state: State = "stopped" if isinstance(error, Cancelled) else "failed"
        self.run = replace(self.run, state=state)
        if (self._results / self.run.id).exists():
            with suppress(RecordError):  # the first error is the one to tell
                self._save(state)
        foreseen = isinstance(error, ImgragError)
        level = logging.INFO if state == "stopped" else logging.WARNING if foreseen else logging.ERROR
        trace = None if foreseen else error
        log_event(log, f"run_{state}", run=self.run.id, level=level, error=trace, reason=str(error))


@contextmanager
def advised(stage: str) -> Iterator[None]:
    """Where memory runs out within, a sentence says what to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, ImgragError) or not out_of_memory(error):
            raise
        raise MemoryBudgetError(
            f'The memory ran out in the step "{stage.replace("_", " ")}". Close other programs, ask for fewer '
            "concepts or rounds, or choose a smaller profile."
        ) from error


class PeakMemory:
    """The most memory seen since it was made: the GPU's allocation, else this process's size in RAM."""

    def __init__(self, device: str) -> None:
        self._gpu = device if device.startswith("cuda") else ""
        self._process = psutil.Process()
        self._peak = 0
        if self._gpu:
            import torch

            torch.cuda.reset_peak_memory_stats(self._gpu)
        self.look()

    def look(self) -> int:
        """Take a sample; returns the peak in bytes."""
        if self._gpu:
            import torch

            seen = torch.cuda.max_memory_allocated(self._gpu)
        else:
            seen = self._process.memory_info().rss
        self._peak = max(self._peak, int(seen))
        return self._peak
