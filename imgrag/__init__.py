"""ImageRAG: draw, judge, look up what is missing, draw again.

    from imgrag import ImageRAGPipeline, Request
    run = ImageRAGPipeline("pocket")(Request("a dog and a toolbox"))

Importing this opens no model and imports no torch.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from imgrag.runs.values import Request, Run

if TYPE_CHECKING:
    from imgrag.engine.pipeline import ImageRAGPipeline

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent until a program configures logs

__all__ = ["ImageRAGPipeline", "Request", "Run"]


def __getattr__(name: str) -> Any:
    """The pipeline on first use: the values alone are needed far more often."""
    if name != "ImageRAGPipeline":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from imgrag.engine.pipeline import ImageRAGPipeline

    return ImageRAGPipeline
