"""The captioner: a seq2seq model of transformers (T5, FLAN-T5) that writes what a prompt tells of a picture.

It may wear an adapter: a LoRA by peft that was trained for it, or its whole weights with one merged in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from imgrag.errors import RequestError
from imgrag.models import CaptionAdapter
from imgrag.models.chat import open_model, without_markers
from imgrag.models.profile import LlmProfile
from imgrag.models.soundness import (
    UnsoundFile,
    blaming,
    header,
    open_part,
    read_json,
    refuse_vocabulary,
)
from imgrag.models.weights import tensor_bytes

BATCH = 64  # prompts at a time
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


def load_captioner(profile: LlmProfile, folder: Path, device: str) -> SeqCaptioner:
    """Open a transformers folder.

    Raises:
        UnsoundFile: the folder does not hold such a model, or not all of it.
    """
    return SeqCaptioner(partial(_opened, profile, device), folder, profile)


def _opened(profile: LlmProfile, device: str, folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    with blaming(folder / "tokenizer.json", "holds no words that can be opened here"):
        words = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = open_model(AutoModelForSeq2SeqLM, profile, folder, device)
    refuse_vocabulary(folder / "tokenizer.json", words, model)
    return words, model


class SeqCaptioner:
    """`imgrag.models.Captioner` that sees no picture."""

    def __init__(self, opened: Callable[[Path], tuple[Any, Any]], folder: Path, profile: LlmProfile) -> None:
        self._open, self._folder, self._profile = opened, folder, profile
        self._words, self._model = opened(folder)
        self._worn: CaptionAdapter | None = None

    @property
    def nbytes(self) -> int:
        return tensor_bytes(self._model)

    def write(self, prompts: Sequence[str], say: Callable[[str], None] | None = None) -> list[str]:
        """See `imgrag.models.Captioner`."""
        texts: list[str] = []
        for start in range(0, len(prompts), BATCH):
            texts += self._batch(prompts[start : start + BATCH], say if len(prompts) == 1 else None)
        return texts

    def wear(self, adapter: CaptionAdapter | None) -> None:
        """See `imgrag.models.Captioner`."""
        if adapter == self._worn:
            return
        if self._worn is not None:
            self._worn = None
            _, self._model = self._open(self._folder)
        if adapter is not None:
            with _told(adapter):
                self._put_on(adapter)
            self._worn = adapter

    def _put_on(self, adapter: CaptionAdapter) -> None:
        if adapter.merged:
            self._words, self._model = self._open(adapter.folder)
            return
        refuse_adapter(adapter.folder, self._model)
        from peft import PeftModel

        with blaming(adapter.folder / WEIGHTS, "cannot be put on"):
            self._model = PeftModel.from_pretrained(self._model, adapter.folder, is_trainable=False).eval()

    def _batch(self, prompts: Sequence[str], say: Callable[[str], None] | None) -> list[str]:
        import torch

        asked = [without_markers(prompt, self._words) for prompt in prompts]
        inputs = self._words(asked, return_tensors="pt", padding=True, truncation=True)
        streaming = {} if say is None else {"streamer": _Spoken(self._words, say)}
        with torch.inference_mode():
            tokens = self._model.generate(
                input_ids=inputs.input_ids.to(self._model.device),
                attention_mask=inputs.attention_mask.to(self._model.device),
                max_new_tokens=self._profile.max_new_tokens,
                do_sample=False,
                **streaming,
            )
        return [text.strip() for text in self._words.batch_decode(tokens, skip_special_tokens=True)]


class _Spoken:
    """A streamer of transformers: tells the text so far after each word."""

    def __init__(self, words: Any, say: Callable[[str], None]) -> None:
        self._words, self._say, self._tokens, self._told = words, say, list[int](), ""

    def put(self, value: Any) -> None:
        self._tokens += value.flatten().tolist()
        text = self._words.decode(self._tokens, skip_special_tokens=True).strip()
        if text != self._told and "\ufffd" not in text:
            self._told = text
            self._say(text)

    def end(self) -> None:
        pass


def refuse_adapter(folder: Path, model: Any) -> None:
    """Refuse a LoRA that was not made for this model.

    Raises:
        UnsoundFile: it is no LoRA by peft, damaged, or of another model.
    """
    if read_json(folder / CONFIG).get("peft_type") != "LORA":
        raise UnsoundFile(folder / CONFIG, "describes no LoRA")
    shapes = {key: shape for key, (_, shape) in header(folder / WEIGHTS).items()}
    foreign = [key for key, shape in shapes.items() if not _fits(key, shape, model)]
    if foreign or not shapes:
        raise UnsoundFile(
            folder / WEIGHTS,
            f"is made for another model: {len(foreign)} of its {len(shapes)} tensors are not in this one",
        )


def refuse_foreign(folder: Path, base: Path) -> None:
    """`refuse_adapter` for a model that is not open, by its files. Raises UnsoundFile."""
    from transformers import AutoModelForSeq2SeqLM

    refuse_adapter(folder, open_part(AutoModelForSeq2SeqLM, base))


def _fits(key: str, shape: tuple[int, ...], model: Any) -> bool:
    """Whether a matrix [rank, in] or [out, rank] belongs to a layer of the model, [out, in]."""
    name = key.removeprefix(_PREFIX).removesuffix(_DOWN).removesuffix(_UP)
    try:
        weight = model.get_submodule(name).weight
    except AttributeError:
        return False
    return shape[1] == weight.shape[1] if key.endswith(_DOWN) else shape[0] == weight.shape[0]


@contextmanager
def _told(adapter: CaptionAdapter) -> Iterator[None]:
    """What is wrong with an adapter, in a sentence that names it and no path."""
    try:
        yield
    except UnsoundFile as error:
        raise RequestError(
            f"The adapter {adapter.name!r} {error.what}. Choose another one, or train it again: "
            "python -m imgrag captions train"
        ) from error


def merge_into(base: Path, adapter: Path, folder: Path) -> None:
    """Write a model's whole weights with a LoRA merged in, as a transformers folder with the model's words.

    Raises:
        UnsoundFile: it is no LoRA, or of another model.
    """
    from peft import PeftModel
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = open_part(AutoModelForSeq2SeqLM, base, dtype="float32")
    refuse_adapter(adapter, model)
    with blaming(adapter / WEIGHTS, "cannot be put on"):
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    merged.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base, local_files_only=True).save_pretrained(folder)
