"""The vision-language model: Qwen2.5-VL, or any image-text-to-text model with a chat template."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from imgrag.models.chat import answer, next_logits, open_model, open_words, without_markers
from imgrag.models.profile import VlmProfile
from imgrag.models.scoring import first_tokens, log_odds
from imgrag.models.soundness import refuse_vocabulary
from imgrag.models.weights import tensor_bytes
from imgrag.pictures import bounded, slimmest

if TYPE_CHECKING:
    import torch


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

    def tokens(self, text: str) -> int:
        """See `imgrag.models.Chat`."""
        return len(self._tokens(text))

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

    def sureness(self, questions: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
        """See `imgrag.models.Judge`."""
        if not questions:
            return []
        yes, no = (first_tokens(self._processor.tokenizer, word) for word in ("yes", "no"))
        told = self._next_logits(questions, images)
        return [float((row[yes].logsumexp(0) - row[no].logsumexp(0)).sigmoid()) for row in told]

    def odds(self, question: str, shown: Sequence[Sequence[Image.Image]]) -> list[float]:
        """See `imgrag.models.Judge`."""
        rows = [self.inputs(question, pictures) for pictures in shown]
        return log_odds(self._model, self._processor.tokenizer, rows)

    def _next_logits(self, questions: Sequence[str], images: Sequence[Image.Image]) -> Iterator[torch.Tensor]:
        """Of the answer to each question, over what all of them begin with: the pictures, and more."""
        asked = [self._tokens(self._text(self._messages(question, images))) for question in questions]
        ends = min(map(len, asked)) - 1  # something must be left to ask
        alike = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*asked, strict=False))
        shared = sum(1 for _ in islice(alike, ends))
        rests = [tokens[shared:] for tokens in asked]
        longest = max(range(len(rests)), key=lambda i: len(rests[i]))
        inputs = self.inputs(questions[longest], images)
        positions = self._positions(inputs)
        cut = inputs["input_ids"].shape[1] - len(rests[longest])
        for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
            if name in inputs:
                inputs[name] = inputs[name][:, :cut]
        return next_logits(self._model, inputs, rests, positions)

    def _positions(self, inputs: Any) -> torch.Tensor:
        """Time, height and width of every token, [3, 1, t]; what follows pictures does not go on counting."""
        import torch

        names = ("input_ids", "mm_token_type_ids", "image_grid_thw")
        if names[-1] not in inputs:
            return torch.arange(inputs["input_ids"].shape[1]).expand(3, 1, -1)
        positions, _ = self._model.model.get_rope_index(**{name: inputs[name] for name in names})
        return cast("torch.Tensor", positions)

    def _tokens(self, text: str) -> list[int]:
        return list(self._processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    def inputs(self, question: str, images: Sequence[Image.Image]) -> Any:
        """What the model is given.

        `image_grid_thw` [n, 3] tells each picture's size in patches.
        """
        from qwen_vl_utils import process_vision_info

        messages = self._messages(question, images)
        patch = self._processor.image_processor.patch_size
        pictures, _ = process_vision_info(messages, image_patch_size=patch)
        return self._processor(text=[self._text(messages)], images=pictures, return_tensors="pt")

    def _messages(self, question: str, images: Sequence[Image.Image]) -> list[dict[str, Any]]:
        content = [*map(self._picture, images), {"type": "text", "text": self._plain(question)}]
        return [{"role": "user", "content": content}]

    def _text(self, messages: list[dict[str, Any]]) -> str:
        """What the chat template makes of them, one marker a picture."""
        return str(self._processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

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
