"""Recipe: the pocket LLM (Qwen2's class): which things are missing, can a photo show them, and translation.

It learns to copy, first at random, then what a prompt asks for and the feedback says is missing, in
words it may never have met; and to tell abstract nouns from things. Then it is given one layer more
and learns to say a Chinese or Spanish prompt in the world's English. At last it learns to write a prompt
again with what texts say, and why a picture was found (`python -m imgrag train llm-explaining` is that last term alone, which
the bundled weights have not had); translation, which the pocket profile no longer asks for, has no lesson there and is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import Qwen2Config, Qwen2ForCausalLM

from imgrag.engine import prompts
from imgrag.pocket.recipes import explaining, rewriting
from imgrag.pocket.recipes.drills import drill_loss
from imgrag.pocket.recipes.judging import invented_name
from imgrag.pocket.recipes.precision import autocast
from imgrag.pocket.recipes.training import Fitted, Schedule, fit, together
from imgrag.pocket.recipes.translating import Choice, Exercise, exercise, found, translation
from imgrag.pocket.recipes.vlm import IGNORED, pad, reply_exact, reply_loss
from imgrag.pocket.world import subwords, world
from imgrag.pocket.world.words import ABSTRACT, nonce_word
from imgrag.runs.values import verdict_reply

COPYING = Schedule(steps=900, lr=2e-3, seed=4, warmup=100, save_every=450)
SCHEDULE = Schedule(steps=2300, lr=2e-3, ema=0.995, save_every=300)
WORDS = Schedule(steps=600, lr=2e-3, seed=5, warmup=60, save_every=100, last=0.8)
TRANSLATING = Schedule(steps=1200, lr=3e-3, seed=6, warmup=30, ema=0.99, save_every=100)
SPEAKING = Schedule(steps=3600, lr=2e-3, seed=7, warmup=50, ema=0.995, save_every=200)
REWRITING = Schedule(steps=3000, lr=1e-3, seed=8, warmup=40, ema=0.99, save_every=100)
EXPLAINING = Schedule(steps=1800, lr=8e-4, seed=9, warmup=40, ema=0.99, save_every=100)
BEFORE_REWRITING = Fitted(8600, 116 * 60.0, 0.0, "bfloat16")  # what the terms before it took, by the card
BEFORE_EXPLAINING = Fitted(11600, 155 * 60.0, 0.0, "bfloat16")
LAYERS, DEEPENED = 3, 4
DRILL_SHARE = 0.1  # of the steps: lest copying is forgotten
KEPT_SHARE = 0.4  # of the steps with sentences: with some of the other lessons, lest they are forgotten
EXAMINED = Choice(held=True)
LONGEST = 96  # tokens of a translation
FREE_FEEDBACK = (
    "The picture lacks {}.",
    "No, {} cannot be seen.",
    "I see no {} here.",
    "The image does not match: {} missing.",
    "It does not show {}.",
    "{} should be there, but I cannot find it.",
)


@dataclass(frozen=True)
class Exercises:
    """So many translations a step; in the share `brief` of steps without the question's first line."""

    count: int
    choice: Choice
    brief: float = 1.0


Term = Callable[[Qwen2ForCausalLM, torch.device], Fitted]
Made = Sequence[rewriting.Exercise]
LISTS = Exercises(32, Choice(things=(0.0, 0.1, 0.2, 0.3, 0.4), background=0.0, opening=0.0))
SINGLE = Exercises(96, Choice(things=(1.0,), strange=0.05, background=0.0, opening=0.0))
SENTENCES = Exercises(32, Choice(), brief=0.6)


def build(layers: int = LAYERS) -> Qwen2ForCausalLM:
    words = subwords.tokenizer()
    config = Qwen2Config(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return Qwen2ForCausalLM(config)


def deepened(model: Qwen2ForCausalLM) -> Qwen2ForCausalLM:
    """The same model with layers more, which at first pass on what they are given."""
    deeper = build(DEEPENED)
    deeper.load_state_dict(model.state_dict(), strict=False)
    for layer in deeper.model.layers[len(model.model.layers) :]:
        nn.init.zeros_(layer.self_attn.o_proj.weight)
        nn.init.zeros_(layer.mlp.down_proj.weight)
    return deeper


def extraction(rng: np.random.Generator) -> tuple[str, str]:
    """A question for the missing concepts and its answer."""
    count = int(rng.choice([1, 2, 3], p=[0.25, 0.6, 0.15]))
    names = list(dict.fromkeys(_name(rng) for _ in range(count)))
    colours = list(world.COLOURS)
    colour = colours[rng.integers(len(colours))] if rng.random() < 0.3 else None
    prompt = world.sentence(tuple(names), colour, rng)
    missing = [name for name in names if rng.random() < 0.55]
    limit = int(rng.integers(1, 4))
    question = prompts.concepts_question(prompt, _feedback(names, missing, rng), limit)
    return question, prompts.concepts_reply(missing[:limit])


def _name(rng: np.random.Generator) -> str:
    names = world.names()
    return invented_name(rng) if rng.random() < 0.4 else names[rng.integers(len(names))]


def _feedback(names: list[str], missing: list[str], rng: np.random.Generator) -> str:
    if missing and rng.random() < 0.12:
        template = FREE_FEEDBACK[rng.integers(len(FREE_FEEDBACK))]
        return template.format(" and ".join(prompts.with_article(name) for name in missing))
    seen = [name for name in names if name not in missing]
    for _ in missing:
        luck = rng.random()
        if luck < 0.55:
            seen.insert(int(rng.integers(len(seen) + 1)), subwords.SOMETHING)
        elif luck < 0.8:
            seen.append(world.names()[rng.integers(len(world.names()))])
    written = [_misspell(name, rng) if rng.random() < 0.06 else name for name in missing]
    return verdict_reply(seen, written)


def _misspell(name: str, rng: np.random.Generator) -> str:
    """A VLM may drop a letter of a word it copies; the prompt has it right."""
    at = int(rng.integers(1, len(name))) if len(name) > 3 else 0
    return name[:at] + name[at + 1 :] if at else name


def validation(rng: np.random.Generator) -> tuple[str, str]:
    """Can a photo show it? Things of the world and invented ones yes, abstract nouns no."""
    luck = rng.random()
    if luck < 0.5:
        word = ABSTRACT[rng.integers(len(ABSTRACT))]
        return prompts.validation_question(word), "no"
    word = nonce_word(rng) if luck < 0.68 else world.names()[rng.integers(len(world.names()))]
    if luck < 0.68 and rng.random() < 0.3:
        word = f"{word} {nonce_word(rng)}" if rng.random() < 0.5 else word.capitalize()
    return prompts.validation_question(word), "yes"


def read_pairs(
    model: Qwen2ForCausalLM, pairs: list[tuple[str, str]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Last hidden states [b, t, 128] over questions and replies, and the labels [b, t]."""
    return read(model, [(f"<|im_start|>user\n{question}", reply) for question, reply in pairs], device)


def read(
    model: Qwen2ForCausalLM, pairs: list[tuple[str, str]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Likewise of questions that begin where their text begins."""
    words = subwords.tokenizer()
    asked = words([f"{question}<|im_end|>\n<|im_start|>assistant\n" for question, _ in pairs]).input_ids
    learned = words([f"{reply}<|im_end|>" for _, reply in pairs]).input_ids
    tokens, labels = pad(asked, learned, words.pad_token_id)
    with autocast(device):
        hidden = model.model(input_ids=tokens.to(device), use_cache=False).last_hidden_state
    return hidden, labels.to(device)


def copying_loss(model: Qwen2ForCausalLM, rng: np.random.Generator, device: torch.device) -> torch.Tensor:
    with autocast(device):
        return drill_loss(model.model, model.lm_head, rng, device)


def batch_loss(model: Qwen2ForCausalLM, rng: np.random.Generator, device: torch.device) -> torch.Tensor:
    if rng.random() < DRILL_SHARE:
        return copying_loss(model, rng, device)
    return sum(
        (_reply_loss(model, [question(rng) for _ in range(count)], device) for question, count in LESSONS),
        start=torch.zeros((), device=device),
    )


def _reply_loss(model: Qwen2ForCausalLM, pairs: list[tuple[str, str]], device: torch.device) -> torch.Tensor:
    hidden, labels = read_pairs(model, pairs, device)
    with autocast(device):
        return reply_loss(hidden, labels, model.lm_head)


def exercises_loss(
    model: Qwen2ForCausalLM, made: Exercises, rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    hidden, labels = read(model, _alike(made, rng), device)
    with autocast(device):
        return reply_loss(hidden, labels, model.lm_head)


def translating_loss(
    model: Qwen2ForCausalLM, sentences: float, kept: float, rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    """Single words, in the share `sentences` of steps prompts, of which `kept` come with the other lessons."""
    if rng.random() > sentences:
        return exercises_loss(model, SINGLE, rng, device)
    loss = exercises_loss(model, SENTENCES, rng, device)
    for question, count in KEPT if rng.random() < kept else ():
        loss = loss + _reply_loss(model, [question(rng) for _ in range(count)], device)
    return loss


def rewriting_loss(
    model: Qwen2ForCausalLM, step: int, rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    """Prompts written again, what was looked up once more by itself; now and then with the other lessons."""
    made = rewriting.exercises(REWRITTEN, rng, rewriting.choice_at(step, rng))
    return _looked_up_loss(model, made, rng, device) + _recalled_loss(model, RECALLED_SHARE, rng, device)


def explaining_loss(model: Qwen2ForCausalLM, rng: np.random.Generator, device: torch.device) -> torch.Tensor:
    """Reasons, and in each step what the terms before taught; with less of prompts written again these got worse."""
    loss = _looked_up_loss(model, explaining.exercises(EXPLAINED, rng), rng, device)
    made = rewriting.exercises(REWRITTEN // 2, rng, rewriting.choice_at(REWRITING.steps, rng))
    loss = loss + _looked_up_loss(model, made, rng, device)
    return loss + _recalled_loss(model, 1.0, rng, device)


def _looked_up_loss(
    model: Qwen2ForCausalLM, made: Made, rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    """Replies, what was looked up once more by itself."""
    brief = rng.random() < BRIEF_SHARE
    asked = [one.question.split("\n", 1)[1] if brief else f"<|im_start|>user\n{one.question}" for one in made]
    hidden, labels = read(model, list(zip(asked, (one.reply for one in made), strict=True)), device)
    with autocast(device):
        loss = reply_loss(hidden, labels, model.lm_head)
        return loss + reply_loss(hidden, _looked_up(made, labels), model.lm_head)


def _recalled_loss(
    model: Qwen2ForCausalLM, share: float, rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    """In this share of steps some of the first lessons, and now and then copying."""
    loss = torch.zeros((), device=device)
    for question, count in KEPT if rng.random() < share else ():
        loss = loss + _reply_loss(model, [question(rng) for _ in range(count)], device)
    return loss + copying_loss(model, rng, device) if rng.random() < DRILL_SHARE else loss


def _looked_up(made: Made, labels: torch.Tensor) -> torch.Tensor:
    """The labels [b, t] without the words of the prompts."""
    kept = torch.full_like(labels, IGNORED)
    replies = subwords.tokenizer()([one.reply for one in made], return_offsets_mapping=True).offset_mapping
    for row, (one, offsets) in enumerate(zip(made, replies, strict=True)):
        first = int((labels[row] != IGNORED).nonzero()[0])
        for place, (begin, end) in enumerate(offsets, start=first):
            if any(begin < last and end > start for start, last in one.looked_up):
                kept[row, place] = labels[row, place]
    return kept


def _alike(made: Exercises, rng: np.random.Generator) -> list[tuple[str, str]]:
    """A quarter of four times as many as wanted, the ones in one stretch of lengths: less of it is padding."""
    every = sorted((exercise(rng, made.choice) for _ in range(4 * made.count)), key=_length)
    begin = int(rng.integers(4)) * made.count
    brief = rng.random() < made.brief
    return [(_asked(one, brief), one.english) for one in every[begin : begin + made.count]]


def _length(one: Exercise) -> int:
    """In tokens."""
    return len(subwords.tokenizer()(one.prompt + one.english).input_ids)


def _asked(one: Exercise, brief: bool) -> str:
    question = prompts.translation_question(one.prompt, "English")
    return question.split("\n", 1)[1] if brief else f"<|im_start|>user\n{question}"


# Apart, so that the two tokens of a yes or no count as much as the twenty of a list.
LESSONS = ((extraction, 48), (validation, 32))
KEPT = ((extraction, 10), (validation, 6))
REWRITTEN = 48  # prompts a step
EXPLAINED = 32  # pictures a step
RECALLED_SHARE = 0.6  # of these steps with some of the other lessons
BRIEF_SHARE = 0.6  # of the steps without the question's first line, which is always the same


@torch.no_grad()
def evaluate(model: Qwen2ForCausalLM, count: int = 256) -> dict[str, float]:
    """Figures on questions of seeds that training never used.

    "exact": replies word for word right. "things": prompts in forms that training never had, all of
    whose things come out so that a look-up finds them; "everyday": likewise with rarer words.
    """
    figures = {}
    for name, question in (
        ("extraction", extraction),
        ("validation", validation),
        ("translation", _examined),
        ("rewriting", lambda rng: _pair(rewriting.exercise(rng, rewriting.ANY))),
        ("explaining", lambda rng: _pair(explaining.exercise(rng))),
    ):
        rng = np.random.default_rng((99, len(name)))
        hidden, labels = read_pairs(model, [question(rng) for _ in range(count)], torch.device("cpu"))
        exact = reply_exact(hidden.float(), labels, model.lm_head)
        figures[f"{name}_exact"] = round(exact.float().mean().item(), 4)
    for name, choice in (("things", EXAMINED), ("everyday", replace(EXAMINED, rarer=True))):
        rng = np.random.default_rng((99, len(name)))
        made = [exercise(rng, choice) for _ in range(count)]
        replies = translated(model, [one.prompt for one in made])
        right = [found(reply, one.names) for reply, one in zip(replies, made, strict=True)]
        figures[f"translation_{name}"] = round(float(np.mean(right)), 4)
    return figures


def _pair(one: rewriting.Exercise) -> tuple[str, str]:
    return one.question, one.reply


def _examined(rng: np.random.Generator) -> tuple[str, str]:
    return translation(rng, EXAMINED)


@torch.no_grad()
def translated(model: Qwen2ForCausalLM, asked: list[str]) -> list[str]:
    """The model's English for each of these prompts."""
    words = subwords.tokenizer()
    chats = [[{"role": "user", "content": prompts.translation_question(text, "English")}] for text in asked]
    texts = [words.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
    batch = words(texts, return_tensors="pt", padding=True, padding_side="left")
    replies = model.generate(**batch, max_new_tokens=LONGEST, do_sample=False)
    return words.batch_decode(replies[:, batch.input_ids.shape[1] :], skip_special_tokens=True)


def train(folder: Path, device: torch.device) -> Fitted:
    """Train the LLM and write the checkpoint to `folder/llm`."""
    torch.manual_seed(SCHEDULE.seed)
    model = build().to(device)
    modules = {"llm": model}
    copying = fit("llm-copying", modules, lambda _, rng: copying_loss(model, rng, device), COPYING, device)
    fitted = fit("llm", modules, lambda _, rng: batch_loss(model, rng, device), SCHEDULE, device)
    torch.manual_seed(TRANSLATING.seed)
    deeper = deepened(model).to(device)
    modules = {"llm": deeper}
    worded = fit(
        "llm-words", modules, lambda _, rng: exercises_loss(deeper, LISTS, rng, device), WORDS, device
    )

    def translating(step: int, rng: np.random.Generator) -> torch.Tensor:
        share = 0.25 + 0.6 * step / TRANSLATING.steps
        return translating_loss(deeper, share, KEPT_SHARE, rng, device)

    def speaking(step: int, rng: np.random.Generator) -> torch.Tensor:
        return translating_loss(deeper, 0.4 + 0.5 * step / SPEAKING.steps, 1.0, rng, device)

    translated = fit("llm-translating", modules, translating, TRANSLATING, device)
    spoken = fit("llm-speaking", modules, speaking, SPEAKING, device)
    rewritten, explained = _rewriting(deeper, device), _explaining(deeper, device)
    _save(deeper, folder)
    return together([copying, fitted, worded, translated, spoken, rewritten, explained])


def train_rewriting(folder: Path, device: torch.device) -> Fitted:
    """The term before the last alone, from the weights in `folder/llm` as the term before it left them."""
    return _term(folder, device, _rewriting, BEFORE_REWRITING)


def train_explaining(folder: Path, device: torch.device) -> Fitted:
    """Likewise the last term."""
    return _term(folder, device, _explaining, BEFORE_EXPLAINING)


def _term(folder: Path, device: torch.device, term: Term, before: Fitted) -> Fitted:
    model = Qwen2ForCausalLM.from_pretrained(folder / "llm").float().to(device)
    fitted = term(model, device)
    _save(model, folder)
    return together([before, fitted])


def _rewriting(model: Qwen2ForCausalLM, device: torch.device) -> Fitted:
    def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
        return rewriting_loss(model, step, rng, device)

    return fit("llm-rewriting", {"llm": model}, loss, REWRITING, device)


def _explaining(model: Qwen2ForCausalLM, device: torch.device) -> Fitted:
    modules = {"llm": model}
    return fit(
        "llm-explaining", modules, lambda _, rng: explaining_loss(model, rng, device), EXPLAINING, device
    )


def _save(model: Qwen2ForCausalLM, folder: Path) -> None:
    model.cpu().half().save_pretrained(folder / "llm", max_shard_size="9MB")
    subwords.tokenizer().save_pretrained(folder / "llm")
