"""The vision-language model: Qwen2.5-VL, or any image-text-to-text model with a chat template."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.models.chat import answer, log_likelihood, open_model, open_words, without_markers
from imgrag.models.profile import VlmProfile
from imgrag.models.soundness import refuse_vocabulary
from imgrag.models.weights import tensor_bytes
from imgrag.pictures import bounded, slimmest


def load_vlm(profile: VlmProfile, folder: Path, device: str) -> VisionLanguageModel:
    """Open a transformers folder; the profile's pixel bounds go to its processor.

    Raises:
        UnsoundFile: the folder does not hold such a model, or not all of it.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    areas = {"shortest_edge": profile.min_pixels, "longest_edge": profile.max_pixels}  # for all their names
    processor = open_words(AutoProcessor, folder, greeting=[{"type": "text", "text": "hello"}], size=areas)
    model = open_model(AutoModelForImageTextToText, profile, folder, device)
    refuse_vocabulary(folder / "tokenizer.json", processor.tokenizer, model)
    return VisionLanguageModel(model, processor, profile)


class VisionLanguageModel:
    """See `imgrag.models.Judge`."""

    def __init__(self, model: Any, processor: Any, profile: VlmProfile) -> None:
        self._model = model
        self._processor = processor
        self._profile = profile

    @property
    def nbytes(self) -> int:
        return tensor_bytes(self._model)

    def reply(
        self, question: str, images: Sequence[Image.Image] = (), *, temperature: float = 0.0, seed: int = 0
    ) -> str:
        """See `imgrag.models.Chat`. The pictures come before the question, in order."""
        return answer(
            self._model,
            self._processor.tokenizer,
            self.inputs(question, images),
            max_new_tokens=self._profile.max_new_tokens,
            temperature=temperature,
            seed=seed,
        )

    def likelihood(self, question: str, images: Sequence[Image.Image], reply: str) -> float:
        """See `imgrag.models.Judge`."""
        tokens = self._processor.tokenizer(self._plain(reply), add_special_tokens=False)["input_ids"]
        return log_likelihood(self._model, self.inputs(question, images, reply), len(tokens))

    def inputs(self, question: str, images: Sequence[Image.Image], reply: str = "") -> Any:
        """What the model is given, to which `reply` is its answer so far.

        `image_grid_thw` [n, 3] tells each picture's size in patches.
        """
        from qwen_vl_utils import process_vision_info

        content = [*map(self._picture, images), {"type": "text", "text": self._plain(question)}]
        messages = [{"role": "user", "content": content}]
        text = self._processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        patch = self._processor.image_processor.patch_size
        pictures, _ = process_vision_info(messages, image_patch_size=patch)
        return self._processor(text=[text + self._plain(reply)], images=pictures, return_tensors="pt")

    def _picture(self, image: Image.Image) -> dict[str, Any]:
        """A message's entry. It only ever holds a PIL image: a string would be fetched or opened."""
        low, high = self._profile.min_pixels, self._profile.max_pixels
        # Bounds that leave one size leave one shape: a picture that is not square is padded.
        ratio = 1 if low == high else slimmest(high, self._patch)
        shaped = bounded(image, math.isqrt(high), ratio)
        return {"type": "image", "image": shaped, "min_pixels": low, "max_pixels": high}

    @property
    def _patch(self) -> int:
        """Pixels on the side of what becomes one token."""
        pictures = self._processor.image_processor
        return int(pictures.patch_size * pictures.merge_size)

    def _plain(self, question: str) -> str:
        return without_markers(question, self._processor.tokenizer)
