"""Several images drawn at once: kept beside each other, judged, and the likeliest taken as the initial one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from imgrag.engine.context import Context
from imgrag.engine.judging import likelihood
from imgrag.models import Judge
from imgrag.runs.drafts import DRAFT, Draft, likeliest, seeds_of
from imgrag.runs.values import Run


def with_drawn(run: Run, images: Sequence[Image.Image]) -> Run:
    """The run with what was drawn; of several the first is the initial one until they are judged.

    Of a run that is drawn again it is known which one went on, and what the judge said of each.
    """
    if len(images) == 1:
        return replace(run, initial=images[0])
    before = run.drafts or [Draft()] * len(images)
    drafts = tuple(replace(old, image=image) for old, image in zip(before, images, strict=True))
    return replace(run, drafts=drafts, initial=images[run.chosen])


def seed_taken(run: Run) -> int:
    """The seed of the initial image, which the enhanced one shares: it starts from the same noise."""
    return seeds_of(run.settings["seed"], max(1, len(run.drafts)))[run.chosen]


def with_likeliest(vlm: Judge, run: Run, context: Context) -> Run:
    """The run with the likeliest of its drafts as the initial image, unless a person took another one."""
    judged = []
    for draft in run.drafts:
        assert draft.image is not None
        context.check()
        judged.append(replace(draft, likelihood=likelihood(vlm, [draft.image], (), run)))
    run = replace(run, drafts=tuple(judged))
    best = likeliest(judged)
    if best is None or any(correction.what == DRAFT for correction in run.corrections):
        return run
    return replace(run, chosen=best, initial=judged[best].image)
