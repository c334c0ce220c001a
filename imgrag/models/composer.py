"""Composed retrieval: a vision-language model that puts words, a picture, or both into one vector.

Qwen3-VL-Embedding and its like, by transformers' own classes: the last token's hidden state of a
chat turn (arXiv 2601.04720). Everything that is searched must be embedded by the same model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgrag.models.chat import open_model, open_words, without_markers
from imgrag.models.profile import ComposerProfile
from imgrag.models.soundness import refuse_vocabulary
from imgrag.models.weights import tensor_bytes
from imgrag.pictures import bounded

BATCH = 8


def load_composer(profile: ComposerProfile, folder: Path, device: str) -> Composer:
    """Open a transformers folder; the profile's pixel bounds go to its processor.

    Raises:
        UnsoundFile: the folder does not hold such a model, or not all of it.
    """
    from transformers import AutoModel, AutoProcessor

    areas = {"shortest_edge": profile.min_pixels, "longest_edge": profile.max_pixels}
    processor = open_words(AutoProcessor, folder, greeting=[{"type": "text", "text": "hello"}], size=areas)
    processor.tokenizer.padding_side = "left"  # the last token is then the last column
    model = open_model(AutoModel, profile, folder, device)
    refuse_vocabulary(folder / "tokenizer.json", processor.tokenizer, model)
    return Composer(model, processor, profile)


class Composer:
    """`imgrag.models.Embedder` by a vision-language model."""

    def __init__(self, model: Any, processor: Any, profile: ComposerProfile) -> None:
        self._model = model
        self._processor = processor
        self._profile = profile
        self.model_id = profile.checkpoint.label

    @property
    def nbytes(self) -> int:
        return tensor_bytes(self._model)

    @property
    def dimensions(self) -> int:
        """See `imgrag.models.Embedder`."""
        return int(self._model.config.get_text_config().hidden_size)

    @property
    def side(self) -> int:
        """See `imgrag.models.Embedder`."""
        return int(self._profile.max_pixels**0.5)

    @property
    def prepare(self) -> Callable[[Image.Image], Image.Image]:
        """See `imgrag.models.Embedder`. Scaling is left to the processor, which pads and cuts patches too."""
        return partial(bounded, side=self.side)

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """See `imgrag.models.Embedder`."""
        return self._vectors([(image, "") for image in images])

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """See `imgrag.models.Embedder`."""
        return self._vectors([(None, text) for text in texts])

    def compose(self, image: Image.Image, text: str, weight: float) -> np.ndarray:
        """See `imgrag.models.Embedder`. The model itself weighs the two; `weight` is not asked."""
        return self._vectors([(image, text)])[0]

    def _vectors(self, pairs: Sequence[tuple[Image.Image | None, str]]) -> np.ndarray:
        blocks = [self._block(pairs[start : start + BATCH]) for start in range(0, len(pairs), BATCH)]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.dimensions), np.float32)

    def _block(self, pairs: Sequence[tuple[Image.Image | None, str]]) -> np.ndarray:
        import torch

        texts = [
            self._processor.apply_chat_template(
                self._turn(image, text), tokenize=False, add_generation_prompt=True
            )
            for image, text in pairs
        ]
        images = [bounded(image, self.side) for image, _ in pairs if image is not None]
        inputs = self._processor(text=texts, images=images or None, padding=True, return_tensors="pt")
        with torch.inference_mode():
            hidden = self._model(**inputs.to(self._model.device), use_cache=False).last_hidden_state
        vectors = torch.nn.functional.normalize(hidden[:, -1].float(), dim=-1)
        return np.asarray(vectors.cpu().numpy())

    def _turn(self, image: Image.Image | None, text: str) -> list[dict[str, Any]]:
        plain = without_markers(text, self._processor.tokenizer)
        content = [{"type": "image"}] if image is not None else []
        content += [{"type": "text", "text": plain}] if plain.strip() else []
        instruction = [{"type": "text", "text": self._profile.instruction}]
        return [{"role": "system", "content": instruction}, {"role": "user", "content": content}]
