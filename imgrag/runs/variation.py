"""Something new of a run of which nobody changed anything: another seed, or a question asked at a temperature.

Pure functions. What was changed stands among the run's corrections, so that a run that goes on later, or is
brought back from its record, asks and draws just so.
"""

from __future__ import annotations

from dataclasses import replace

from imgrag.runs.corrections import rewind
from imgrag.runs.values import ONCE, Correction, Run, StageName

WARM = 0.7  # the temperature at which a model is asked again
SEED, TEMPERATURE = "seed", "temperature"


def redraw(run: Run, seed: int) -> Run:
    """The run before its initial image, to be drawn with this seed. Raises what `rewind` raises."""
    back = rewind(run, "initial")
    correction = Correction("initial", 1, SEED, str(run.settings["seed"]), str(seed))
    settings = {**run.settings, "seed": seed}
    return replace(back, settings=settings, corrections=(*back.corrections, correction))


def ask_again(run: Run, stage: StageName) -> Run:
    """The run before a stage of the round in hand whose model is to be asked again. Raises what `rewind` raises."""
    number = 1 if stage in ONCE else len(run.rounds)
    earlier = tuple(c for c in run.corrections if _asks(c, stage, number))
    back = rewind(run, stage)
    correction = Correction(stage, number, TEMPERATURE, f"{WARM:g}" if earlier else "0", f"{WARM:g}")
    return replace(back, corrections=(*back.corrections, *earlier, correction))


def times_asked(run: Run, stage: StageName) -> int:
    """How often a person had the model of a stage of the round in hand asked again."""
    number = 1 if stage in ONCE else max(1, len(run.rounds))
    return sum(_asks(correction, stage, number) for correction in run.corrections)


def _asks(correction: Correction, stage: StageName, number: int) -> bool:
    return (correction.stage, correction.round, correction.what) == (stage, number, TEMPERATURE)
