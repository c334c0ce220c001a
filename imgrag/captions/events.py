"""What a caption announces while it is made, in order."""

from __future__ import annotations

from dataclasses import dataclass

from imgrag.runs.captions import Captioned, CaptionStage


@dataclass(frozen=True)
class CaptionStageStarted:
    """A stage begins; `model` names the checkpoint that will serve it."""

    stage: CaptionStage
    model: str


@dataclass(frozen=True)
class CaptionWords:
    """The caption as far as it is written."""

    text: str


@dataclass(frozen=True)
class CaptionStageDone:
    """A stage has ended; `captioned` holds what it found."""

    stage: CaptionStage
    captioned: Captioned


@dataclass(frozen=True)
class CaptionFinished:
    """The last event of one that was not cancelled and did not fail."""

    captioned: Captioned


CaptionEvent = CaptionStageStarted | CaptionWords | CaptionStageDone | CaptionFinished
