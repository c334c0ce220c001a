"""Recipe: the pocket captioner (T5's class), which writes what the captions of similar pictures tell.

It does not see the picture. It learns to read whose captions agree, where a thing stands, and which ground most
scenes alike have, and to copy a thing's name letter by letter, so that it need never have met it; what
no neighbour tells of it calls "something". Neighbours are put together at random with the faults that a search has: parts
that find nothing, half of a thing or a wrong one, scenes on another ground. No search and no CLIP takes part, so other
ones do as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from transformers import T5Config, T5ForConditionalGeneration

from imgrag.engine.prompts import with_article
from imgrag.pocket.recipes.judging import invented_name
from imgrag.pocket.recipes.precision import autocast
from imgrag.pocket.recipes.things import taught
from imgrag.pocket.recipes.training import Fitted, Schedule, fit
from imgrag.pocket.world import subwords, world
from imgrag.runs.captions import SOMETHING, caption_prompt
from imgrag.runs.captions import WHOLE_PICTURE as WHOLE

_T = TypeVar("_T")
SCHEDULE = Schedule(steps=3000, lr=2e-3, seed=9, warmup=40, ema=0.99, save_every=50)
SHORT = 120  # steps with little beside what is to be copied
BATCH = 48
FIRMLY, TOLD, COPIED = (
    10.0,
    3.0,
    8.0,
)  # of the heads that copy: with these 3 of 5 tokens are right from the start
ICONS_ALONE = 0.12  # of the libraries have no scenes, so that nothing tells of the ground
LEFT, MIDDLE, RIGHT = "left", "middle", "right"
MANNERS = (
    ("{things} on {ground}", "a {colour} background"),
    ("{things} on {ground}", "a {colour} background"),
    ("a picture of {things} on {ground}", "{colour}"),
    ("{ground} with {things}", "a {colour} background"),
    ("there is {things}, the background is {ground}", "{colour}"),
    ("{things} against {ground}", "a plain {colour} ground"),
    ("{ground}: {things}", "{colour}"),
    ("on {ground} one sees {things}", "{colour} paper"),
    ("{things}, {ground}", "{colour} behind"),
)
ALONE = (
    "a picture of {it}", "{it}", "{bare}", "{it} on a white background", "an icon of {it}", "this is {it}",
    "{it} on a {colour} background", "a photo of {it}", "here is {it}", "{it}, alone", "only {it}", "see {it} by itself",
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """What a picture shows: one or two things by name, "" where no neighbour knows it, on a ground, "" likewise."""

    things: tuple[str, ...]
    ground: str

    @property
    def caption(self) -> str:
        """How the captioner says it."""
        said = " and ".join(with_article(name) if name else SOMETHING for name in self.things)
        return f"{said} on {with_article(f'{self.ground} background')}" if self.ground else said


def tokenizer() -> Any:
    """The words of the pocket LLM; as T5's do, they put an end behind each text."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    words = subwords.tokenizer()
    core = Tokenizer.from_str(words.backend_tokenizer.to_str())
    end = words.eos_token
    core.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, words.eos_token_id)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=end, pad_token=words.pad_token, model_max_length=1024
    )


def build() -> T5ForConditionalGeneration:
    words = subwords.tokenizer()
    config = T5Config(
        vocab_size=len(words),
        d_model=128,
        d_kv=32,
        d_ff=384,
        num_layers=3,
        num_decoder_layers=3,
        num_heads=4,
        dropout_rate=0.0,
        tie_word_embeddings=True,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        decoder_start_token_id=words.pad_token_id,
    )
    model = T5ForConditionalGeneration(config)
    ready_to_copy(model)
    model.set_attn_implementation("eager")  # its plain products are faster at this size on a CPU
    return model


@torch.no_grad()
def ready_to_copy(model: T5ForConditionalGeneration) -> None:
    """Begin with heads that copy: what follows the token that was written last, wherever it stands in the prompt.

    As in mimetic initialisation (Trockman and Kolter, 2023): what training would arrive at first is put there, an
    induction head. One head of the encoder tells each token the one before it; two of the decoder look where that is
    their own. In four subspaces: of a token, of the one before, and two of what is copied.
    """
    wide, width = model.config.d_model, model.config.d_kv
    basis, _ = torch.linalg.qr(torch.randn(wide, wide))
    own, before, *copied = basis.T[: 4 * width].split(width)  # each [width, wide]
    teller = model.encoder.block[0].layer[0].SelfAttention
    teller.q.weight[:width] = teller.k.weight[:width] = 0
    buckets = teller._relative_position_bucket(
        torch.tensor([-1]), True, model.config.relative_attention_num_buckets
    )
    teller.relative_attention_bias.weight[:, 0] = -FIRMLY
    teller.relative_attention_bias.weight[buckets, 0] = FIRMLY
    teller.v.weight[:width], teller.o.weight[:, :width] = own, TOLD * before.T
    copier = model.decoder.block[1].layer[1].EncDecAttention
    for head, what in enumerate(copied):
        rows = slice(head * width, (head + 1) * width)
        copier.q.weight[rows], copier.k.weight[rows] = own, before
        copier.v.weight[rows], copier.o.weight[:, rows] = what, COPIED * what.T


def exercise(rng: np.random.Generator, short: bool = False) -> tuple[str, str]:
    """A prompt and its caption. A `short` one has hardly any fault and few neighbours."""
    things = tuple(_name(rng) for _ in range(int(rng.choice([1, 2], p=[0.4, 0.6]))))
    ground = _pick(tuple(world.COLOURS), rng)
    manner = int(rng.integers(len(MANNERS)))
    hidden = rng.random(len(things)) < (0.05 if short else 0.13)
    if not short and rng.random() < 0.04:
        hidden[:] = True
    alone = not short and rng.random() < ICONS_ALONE
    told = {WHOLE: _icons(things, rng) if alone else _like_whole(things, ground, manner, rng, short)}
    told |= _like_parts(things, hidden, rng, short)
    if not short and rng.random() < 0.04:
        told = {part: [] for part in told}
    if not any(told.values()):
        return caption_prompt(told), Scene(("",), "").caption
    known = tuple("" if hide else name for name, hide in zip(things, hidden, strict=True))
    if not any(known):
        known = ("",)
    return caption_prompt(told), Scene(known, ground if told[WHOLE] and not alone else "").caption


def _like_whole(
    things: Sequence[str], ground: str, manner: int, rng: np.random.Generator, short: bool
) -> list[str]:
    """Captions of scenes alike, of which most have the same ground."""
    if rng.random() < 0.06:
        return []
    count = (
        int(rng.integers(1, 3)) if short else int(rng.choice([1, 2, 3, 4, 5], p=[0.06, 0.06, 0.18, 0.2, 0.5]))
    )
    others = 0 if short or count < 3 or rng.random() < 0.55 else int(rng.integers(1, (count + 1) // 2))
    found = []
    for place in range(count):
        shown = [_name(rng) for _ in range(len(things) if rng.random() < 0.75 else 3 - len(things))]
        if rng.random() < 0.2:
            shown[0] = _pick(things, rng)
        wrong = place >= count - others
        colour = _other(ground, rng) if wrong else ground
        found.append(_scene_caption(shown, colour, manner, rng))
    return [found[i] for i in rng.permutation(len(found))]


def _icons(things: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Captions of single things, as the whole finds them in a library without scenes: right only now and then."""
    style = _pick(tuple(style for style in ALONE if "background" not in style), rng)
    shown = [_pick(things, rng) if rng.random() < 0.3 else _name(rng) for _ in range(int(rng.integers(1, 6)))]
    return [_alone(name, style, rng) for name in shown]


def _like_parts(
    things: Sequence[str], hidden: np.ndarray, rng: np.random.Generator, short: bool
) -> dict[str, list[str]]:
    """Captions of pictures like the parts: of what stands there, now and then of half of it, or of a wrong thing."""
    slots = (MIDDLE,) if len(things) == 1 else (LEFT, RIGHT)
    found: dict[str, list[str]] = {LEFT: [], MIDDLE: [], RIGHT: []}
    style = _pick(ALONE, rng)
    for part in found:
        if part in slots:
            at = slots.index(part)
            if not hidden[at]:
                found[part] = [_alone(things[at], style, rng)]
                if not short and rng.random() < 0.25:
                    found[part].append(_alone(things[at] if rng.random() < 0.4 else _name(rng), style, rng))
        elif not short and rng.random() < 0.2:
            half = rng.random() < 0.6
            shown = [name for name, hide in zip(things, hidden, strict=True) if not hide]
            name = _pick(shown, rng) if half and shown else _name(rng)
            if all(found[slot] or slots.index(slot) >= 0 for slot in slots) and shown:
                found[part] = [_alone(name, style, rng)]
    return found


def _scene_caption(things: Sequence[str], colour: str, manner: int, rng: np.random.Generator) -> str:
    said, ground = MANNERS[manner]
    join = " and " if rng.random() < 0.7 else _pick(world.JOINS, rng)
    return said.format(things=join.join(map(with_article, things)), ground=_grounded(ground, colour))


def _alone(name: str, style: str, rng: np.random.Generator) -> str:
    colour = _pick(tuple(world.COLOURS), rng)
    return _grounded(style.format(it=with_article(name), bare=name, colour="{colour}"), colour)


def _grounded(text: str, colour: str) -> str:
    return text.replace("a {colour}", with_article(colour)).replace("{colour}", colour)


def _other(colour: str, rng: np.random.Generator) -> str:
    return _pick(tuple(c for c in world.COLOURS if c != colour), rng)


def _name(rng: np.random.Generator) -> str:
    luck = rng.random()
    if luck < 0.35:
        return invented_name(rng)
    return _pick(_nouns(), rng) if luck < 0.5 else _pick(world.names(), rng)


@cache
def _nouns() -> tuple[str, ...]:
    return taught()


def _pick(entries: Sequence[_T], rng: np.random.Generator) -> _T:
    return entries[int(rng.integers(len(entries)))]


def batch_loss(
    model: T5ForConditionalGeneration, words: Any, step: int, rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    """Of exercises of one stretch of lengths, so that less of them is padding."""
    short = step < SHORT
    every = sorted((exercise(rng, short) for _ in range(4 * BATCH)), key=lambda one: len(one[0]))
    begin = int(rng.integers(4)) * BATCH
    return exercises_loss(model, words, every[begin : begin + BATCH], device)


def exercises_loss(
    model: T5ForConditionalGeneration, words: Any, made: Sequence[tuple[str, str]], device: torch.device
) -> torch.Tensor:
    asked = words([prompt for prompt, _ in made], return_tensors="pt", padding=True).to(device)
    said = words([caption for _, caption in made], return_tensors="pt", padding=True).to(device)
    labels = said.input_ids.masked_fill(said.attention_mask == 0, -100)
    with autocast(device):
        logits = model(input_ids=asked.input_ids, attention_mask=asked.attention_mask, labels=labels).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def train(folder: Path, device: torch.device) -> Fitted:
    torch.manual_seed(SCHEDULE.seed)
    model, words = build(), tokenizer()

    def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
        return batch_loss(model, words, step, rng, device)

    fitted = fit("captioner", {"captioner": model}, loss, SCHEDULE, device)
    model.cpu().half().save_pretrained(folder / "captioner", max_shard_size="9MB")
    words.save_pretrained(folder / "captioner")
    return fitted


@torch.no_grad()
def evaluate(model: T5ForConditionalGeneration, count: int = 512) -> dict[str, float]:
    """Captions word for word right, on exercises of seeds that training never used."""
    rng, words = np.random.default_rng((99, 11)), tokenizer()
    made = [exercise(rng) for _ in range(count)]
    asked = words([prompt for prompt, _ in made], return_tensors="pt", padding=True)
    said = words.batch_decode(
        model.generate(**asked, max_new_tokens=48, do_sample=False), skip_special_tokens=True
    )
    right = [text == caption for text, (_, caption) in zip(said, made, strict=True)]
    return {"exact": round(float(np.mean(right)), 4)}
