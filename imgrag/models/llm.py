"""The language model: any causal model that transformers has, with a chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.models.chat import answer, open_model, open_words, without_markers
from imgrag.models.profile import LlmProfile
from imgrag.models.soundness import refuse_vocabulary
from imgrag.models.weights import tensor_bytes


def load_llm(profile: LlmProfile, folder: Path, device: str) -> LanguageModel:
    """Open a transformers folder.

    Raises:
        UnsoundFile: the folder does not hold such a model, or not all of it.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = open_words(AutoTokenizer, folder, greeting="hello")
    model = open_model(AutoModelForCausalLM, profile, folder, device)
    refuse_vocabulary(folder / "tokenizer.json", tokenizer, model)
    return LanguageModel(model, tokenizer, profile)


class LanguageModel:
    """`imgrag.models.Chat` without eyes."""

    def __init__(self, model: Any, tokenizer: Any, profile: LlmProfile) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._profile = profile

    @property
    def nbytes(self) -> int:
        return tensor_bytes(self._model)

    def tokens(self, text: str) -> int:
        """See `imgrag.models.Chat`."""
        return len(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def reply(
        self, question: str, images: Sequence[Image.Image] = (), *, temperature: float = 0.0, seed: int = 0
    ) -> str:
        """See `imgrag.models.Chat`.

        Raises:
            ValueError: it was given pictures.
        """
        if images:
            raise ValueError(f"a language model was given {len(images)} pictures; it reads none")
        messages = [{"role": "user", "content": without_markers(question, self._tokenizer)}]
        inputs = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        limit = self._profile.max_new_tokens
        return answer(
            self._model, self._tokenizer, inputs, max_new_tokens=limit, temperature=temperature, seed=seed
        )
