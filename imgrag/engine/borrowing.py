"""A model that is had only while it works, so that a run need not wait until ten thousand pictures are embedded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from imgrag.engine.pipeline import ImageRAGPipeline


class BorrowedEmbedder:
    """`imgrag.models.Embedder` that has the model only while it embeds."""

    def __init__(self, pipeline: ImageRAGPipeline, role: str = "clip") -> None:
        self._pipeline = pipeline
        self._role = role
        with pipeline.borrow(role) as model:
            self.model_id: str = model.model_id
            self.dimensions: int = model.dimensions
            self.side: int = model.side
            self.prepare: Callable[[Image.Image], Image.Image] = model.prepare

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """See `imgrag.models.Embedder`."""
        with self._pipeline.borrow(self._role) as model:
            vectors: np.ndarray = model.embed_images(images)
        return vectors

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """See `imgrag.models.Embedder`."""
        with self._pipeline.borrow(self._role) as model:
            vectors: np.ndarray = model.embed_texts(texts)
        return vectors

    def compose(self, image: Image.Image, text: str, weight: float) -> np.ndarray:
        """See `imgrag.models.Embedder`."""
        with self._pipeline.borrow(self._role) as model:
            vector: np.ndarray = model.compose(image, text, weight)
        return vector
