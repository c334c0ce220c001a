"""What a language model and a vision-language model share: how they are opened and how they answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrag.models.profile import ComposerProfile, LlmProfile
from imgrag.models.ranking import RerankerProfile
from imgrag.models.soundness import blaming, open_part

if TYPE_CHECKING:
    import torch


def open_model(
    auto_class: Any, profile: LlmProfile | ComposerProfile | RerankerProfile, folder: Path, device: str
) -> Any:
    """A transformers model on its device; on a CPU in float32 whatever it was stored in.

    Raises:
        UnsoundFile: the folder does not hold such a model, or not all of it.
    """
    return open_part(
        auto_class,
        folder,
        dtype="float32" if device == "cpu" else profile.dtype,
        device_map={"": device},  # straight to its place; quantised weights cannot be moved later
        trust_remote_code=False,
    ).eval()


def open_words(auto_class: Any, folder: Path, greeting: str | list[dict[str, str]], **settings: Any) -> Any:
    """The tokenizer or the processor of a transformers folder.

    Args:
        greeting: what is said in a turn, in the form that the role uses; its chat template is tried with it.

    Raises:
        UnsoundFile: there is none that can be opened, or none with a chat template that works.
    """
    with blaming(folder / "tokenizer.json", "holds no words that can be opened here"):
        words = auto_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **settings)
    template = folder / "chat_template.jinja"
    holder = template if template.exists() else folder / "tokenizer_config.json"
    with blaming(holder, "holds no chat template that works"):
        words.apply_chat_template([{"role": "user", "content": greeting}], tokenize=False)
    return words


def answer(
    model: Any, tokenizer: Any, inputs: Any, *, max_new_tokens: int, temperature: float, seed: int
) -> str:
    """The text a model adds to its inputs. Temperature 0 is greedy, above it the seed decides."""
    import torch

    decoding: dict[str, Any]
    if temperature > 0:
        decoding = {"do_sample": True, "temperature": temperature, "top_p": 0.95, "top_k": 50}
    else:
        decoding = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    with torch.inference_mode(), own_randomness(seed, model.device):
        tokens = model.generate(
            **inputs.to(model.device),
            **decoding,
            max_new_tokens=max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
    new = tokens[0, inputs["input_ids"].shape[1] :]
    return tokenizer.decode(new, skip_special_tokens=True).strip()


def next_logits(
    model: Any, inputs: Any, rests: Sequence[Sequence[int]], positions: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Logits float32 [vocabulary] of what would follow the inputs and each of some rests of tokens.

    The inputs are read once; each rest goes on from what the model kept of them.

    Args:
        positions: [3, 1, t] of the inputs with the longest rest.
    """
    import torch

    length = inputs["input_ids"].shape[1]

    def read(start: int, end: int, **given: Any) -> Any:
        places = positions[..., start:end].to(model.device)
        return model(**given, position_ids=places, logits_to_keep=1, use_cache=True)

    with torch.inference_mode():
        kept = read(0, length, **inputs.to(model.device)).past_key_values
        for rest in rests:
            tokens = torch.tensor([rest], device=model.device)
            told = read(length, length + len(rest), input_ids=tokens, past_key_values=kept)
            kept.crop(-len(rest))
            yield told.logits[0, -1].float()


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers by the seed within; outside, torch's own go on as if nothing had been drawn."""
    import torch

    if device.type == "cpu":
        fork = torch.random.fork_rng(devices=[])
    else:
        fork = torch.random.fork_rng(devices=[device.index or 0], device_type=device.type)
    with fork:
        torch.manual_seed(seed)
        yield


def without_markers(text: str, tokenizer: Any) -> str:
    """A text that cannot end its own turn: "<|im_end|>" and the like become blanks."""
    for marker in (*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens):
        text = text.replace(marker, " ")
    return text
