"""Captions by retrieval: what a picture shows, said with the captions of the pictures most like it.

Picture -> CLIP -> the most similar pictures of a library -> their captions -> a language model -> caption. How the
neighbours are found is in `neighbours`, how a caption goes in `pipeline`, what is kept in `records`; adapters and
their training in `adapters`, `lessons` and `training`, what is measured in `measures`. Knows no page.
"""

from __future__ import annotations

from imgrag.captions.adapters import AdapterShelf
from imgrag.captions.pipeline import CaptionPipeline, CaptionRequest

__all__ = ["AdapterShelf", "CaptionPipeline", "CaptionRequest"]
