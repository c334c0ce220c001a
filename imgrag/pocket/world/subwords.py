"""The sub-word tokenizer of the pocket VLM and LLM: byte-level BPE in Qwen2's class.

Small enough for tiny models, complete enough for any text: a word nobody trained on falls into
pieces, down to single bytes, and can be copied piece by piece.
"""

from __future__ import annotations

import json
from functools import cache

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from imgrag.engine import prompts
from imgrag.pocket.world import world
from imgrag.pocket.world.words import ABSTRACT, nonce_word
from imgrag.runs.values import verdict_reply

SIZE = 2400
SEED = 3
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
SOMETHING = "something"  # what the pocket VLM calls a smear

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _corpus() -> list[str]:
    rng = np.random.default_rng(SEED)
    names = world.names()
    texts = []
    for name in names:
        texts += [
            verdict_reply([name], [name]),
            prompts.concepts_reply([name]),
            f"{name}, the {name}",
        ]
    for word in ABSTRACT:
        texts += [prompts.with_article(word)] * 2
    for _ in range(3000):
        pair = tuple(names[i] for i in rng.integers(len(names), size=2))
        colour = list(world.COLOURS)[rng.integers(len(world.COLOURS))]
        texts.append(world.sentence(pair, colour if rng.random() < 0.5 else None, rng))
    texts += [f"a {nonce_word(rng)}" for _ in range(6000)]
    for _ in range(60):
        question = prompts.second_verdict_question(
            "a dog and an owl", [prompts.Introduced(name) for name in ("dog", "owl")]
        )
        texts += [prompts.verdict_question("a dog"), question, prompts.validation_question("dog")]
        texts += [prompts.concepts_question("a dog", verdict_reply([SOMETHING], ["dog"]), 2)]
    return texts


@cache
def tokenizer() -> Qwen2Tokenizer:
    """Trained once, deterministic; the specials keep Qwen's names."""
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(_corpus(), trainer)
    return _as_qwen(core)


def _as_qwen(core: Tokenizer) -> Qwen2Tokenizer:
    model = json.loads(core.to_str())["model"]
    words = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(merge) for merge in model["merges"]],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=1024,
    )
    words.add_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    words.chat_template = CHAT_TEMPLATE
    return words
