"""Recipe: the pocket VLM (Qwen2.5-VL's class), asked through `imgrag.engine.prompts` like the big one.

Eight terms: seeing (the vision tower learns to call things by their words), copying (the language model
learns to repeat names it never met), judging pictures against prompts with and without references,
judging pictures that the generator itself drew, then saying of one thing whether it is there, first by
its name alone, beside references too, mostly by what a reference shows, and last both in equal parts.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VLVisionAttention,
    apply_rotary_pos_emb_vision,
)

from imgrag.pocket.recipes import judging, things
from imgrag.pocket.recipes.drawings import Drawings, draw_bank, draw_copies
from imgrag.pocket.recipes.drills import drill_loss
from imgrag.pocket.recipes.judging import VIEW, Lesson, Studio, Styled
from imgrag.pocket.recipes.precision import autocast
from imgrag.pocket.recipes.training import Fitted, Schedule, fit, together
from imgrag.pocket.world import subwords, world
from imgrag.pocket.world.pixels import CLIP_MEAN, CLIP_STD, normalise

BATCH = 64
SEEING = Schedule(steps=1100, lr=2e-3, ema=0.99, warmup=60, save_every=200)
COPYING = Schedule(steps=2000, lr=2e-3, seed=4, warmup=60, save_every=125, last=0.5)
JUDGING = Schedule(steps=1400, lr=1.2e-3, ema=0.995, seed=1, warmup=100, save_every=100)
DRAWINGS = Schedule(steps=800, lr=6e-4, ema=0.99, seed=2, warmup=30, save_every=100)
ASKING = Schedule(steps=120, lr=1.2e-3, ema=0.97, seed=5, warmup=15, save_every=20, last=0.5)
THINGS = Schedule(steps=700, lr=1e-3, ema=0.98, seed=6, warmup=10, save_every=20)
COMPARING = Schedule(steps=600, lr=1.1e-3, ema=0.98, seed=7, warmup=20, save_every=20)
BOTH = Schedule(steps=260, lr=1e-3, ema=0.98, seed=8, warmup=10, save_every=20)
ASKED_WEIGHT = 2.0  # of a yes or no beside a list: it is one token of two or three that the reply has
REMEMBERED = 16  # of the earlier lessons a step,
RECALLED = 40  # of them a step at the end, where both count alike
REMEMBERED_SHARE = 0.4  # of the steps: apart from the questions, so that those do not count by their number
SIGHT_SHARE = 0.2
DRILL_SHARE = 0.12  # of the judging steps: lest copying is forgotten
PATCH, MERGE = 14, 2
GRID = VIEW // PATCH  # patches a side
IMAGE_TOKENS = (GRID // MERGE) ** 2
IGNORED = -100


def build() -> Qwen2_5_VLForConditionalGeneration:
    words = subwords.tokenizer()
    ids = {token: words.convert_tokens_to_ids(token) for token in subwords.SPECIAL}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(words),
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 6,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": words.eos_token_id,
            "pad_token_id": words.pad_token_id,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
        },
        vision_config={
            "depth": 4,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_heads": 4,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "window_size": VIEW,
            "fullatt_block_indexes": [1, 3],
            "out_hidden_size": 192,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    return model


def build_processor() -> Qwen2_5_VLProcessor:
    pixels = {"shortest_edge": VIEW * VIEW, "longest_edge": VIEW * VIEW}
    image_processor = Qwen2VLImageProcessor(
        size=pixels, patch_size=PATCH, merge_size=MERGE, image_mean=list(CLIP_MEAN), image_std=list(CLIP_STD)
    )
    video_processor = Qwen2VLVideoProcessor(size=pixels, patch_size=PATCH, merge_size=MERGE)
    return Qwen2_5_VLProcessor(
        image_processor, subwords.tokenizer(), video_processor, chat_template=subwords.CHAT_TEMPLATE
    )


def patches(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures [n, 3, 112, 112] in 0..1 as the processor's rows: [n * 64, 3 * 2 * 14 * 14].

    Patches of one merged token follow each other, and a still picture is two equal frames.
    """
    side = GRID // MERGE
    rows = normalise(pictures).reshape(-1, 3, side, MERGE, PATCH, side, MERGE, PATCH)
    rows = rows.permute(0, 2, 5, 3, 6, 1, 4, 7)  # n, h, w, mh, mw, c, ph, pw
    rows = rows.unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, 2, -1, -1)
    return rows.reshape(-1, 3 * 2 * PATCH * PATCH)


def encode(lesson: Lesson) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels [b, t], padded on the right; only the reply is learned."""
    words = subwords.tokenizer()
    images = lesson.pictures.shape[1]
    vision = "<|vision_start|>" + "<|image_pad|>" * IMAGE_TOKENS + "<|vision_end|>"
    heads = [
        f"<|im_start|>user\n{vision * images}{q}<|im_end|>\n<|im_start|>assistant\n" for q in lesson.questions
    ]
    asked = words(heads).input_ids
    learned = words([f"{reply}<|im_end|>" for reply in lesson.replies]).input_ids
    return pad(asked, learned, words.pad_token_id)


def pad(asked: list[list[int]], learned: list[list[int]], filler: int) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(len(a) + len(b) for a, b in zip(asked, learned, strict=True))
    tokens = torch.full((len(asked), length), filler)
    labels = torch.full((len(asked), length), IGNORED)
    for row, (question, reply) in enumerate(zip(asked, learned, strict=True)):
        end = len(question) + len(reply)
        tokens[row, :end] = torch.tensor(question + reply)
        labels[row, len(question) : end] = torch.tensor(reply)
    return tokens, labels


def reply_loss(hidden: torch.Tensor, labels: torch.Tensor, head: nn.Linear) -> torch.Tensor:
    """Cross-entropy on the reply only; the head is not run on the other positions."""
    learned = labels[:, 1:] != IGNORED
    logits = head(hidden[:, :-1][learned]).float()
    return F.cross_entropy(logits, labels[:, 1:][learned])


def reply_exact(hidden: torch.Tensor, labels: torch.Tensor, head: nn.Linear) -> torch.Tensor:
    """Whether greedy decoding gives the reply word for word, bool [b].

    If every next token is right given the right ones before it, greedy decoding finds them all.
    """
    wrong = (head(hidden[:, :-1]).argmax(-1) != labels[:, 1:]) & (labels[:, 1:] != IGNORED)
    return ~wrong.any(dim=1)


def see(model: Qwen2_5_VLForConditionalGeneration, lesson: Lesson, device: torch.device) -> torch.Tensor:
    """Visual tokens of all pictures of a lesson, [b, n * 16, 192]."""
    grid = torch.tensor([[1, GRID, GRID]], device=device).expand(lesson.pictures.shape[:2].numel(), 3)
    pixels = patches(lesson.pictures.flatten(0, 1)).to(device)
    tokens = model.model.visual(pixels, grid_thw=grid).pooler_output
    return tokens.unflatten(0, (len(lesson.pictures), -1))


def read(
    model: Qwen2_5_VLForConditionalGeneration, lesson: Lesson, seen: torch.Tensor, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Last hidden states [b, t, 192] over question and reply, and the labels [b, t]."""
    tokens, labels = encode(lesson)
    looked_at = seen if lesson.places is None else seen[lesson.places]
    # What stands to the right of the reply is padding that causal attention never shows it.
    positions = _positions(model, tokens[:1], lesson.pictures.shape[1])
    hidden = model.model(
        input_ids=tokens.to(device),
        position_ids=positions.expand(3, len(tokens), -1).to(device),
        mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=tuple(looked_at))},
        use_cache=False,
    ).last_hidden_state
    return hidden, labels.to(device)


def batch_loss(
    model: Qwen2_5_VLForConditionalGeneration, lesson: Lesson, device: torch.device
) -> torch.Tensor:
    """The reply's cross-entropy, and a share of the sight's."""
    with autocast(device):
        seen = see(model, lesson, device)
        hidden, labels = read(model, lesson, seen, device)
        return reply_loss(hidden, labels, model.lm_head) + SIGHT_SHARE * sight_loss(model, lesson, seen)


def asking_loss(
    model: Qwen2_5_VLForConditionalGeneration, lesson: Lesson, device: torch.device
) -> torch.Tensor:
    """The reply's cross-entropy alone. What comes before the questions is read once for all about a picture."""
    with autocast(device):
        hidden, labels = read_on(model, lesson, see(model, lesson, device), device)
        return reply_loss(hidden, labels, model.lm_head)


def seeing_loss(
    model: Qwen2_5_VLForConditionalGeneration, lesson: Lesson, device: torch.device
) -> torch.Tensor:
    """The sight's cross-entropy alone; the language model is not run."""
    with autocast(device):
        return sight_loss(model, lesson, see(model, lesson, device))


def sight_loss(model: Qwen2_5_VLForConditionalGeneration, lesson: Lesson, seen: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of what each token of the first picture shows, read by the language head itself.

    It puts the pictures' tokens near the words for them, so that naming becomes copying: trained
    by replies alone, the model named nothing after 50,000 samples. The upper half of an object's
    tokens stands for its name's first piece, the lower for its last.
    """
    first, last = _name_pieces()
    targets = torch.full((len(lesson.labels), IMAGE_TOKENS), IGNORED)
    for row, labels in enumerate(lesson.labels):
        named = [place for place, label in enumerate(labels) if label in first]
        for at, place in enumerate(named):
            pieces = first if at < len(named) // 2 else last
            targets[row, place] = pieces[str(labels[place])]
    tokens = seen[:, :IMAGE_TOKENS].float()
    logits = model.lm_head(F.layer_norm(tokens, tokens.shape[-1:])).float()
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten().to(seen.device), ignore_index=IGNORED)


@cache
def _name_pieces() -> tuple[dict[str, int], dict[str, int]]:
    """The first and the last token of every name as it stands in a reply."""
    words = subwords.tokenizer()
    pieces = {name: words(f" {name}").input_ids for name in (*world.names(), subwords.SOMETHING)}
    return {n: ids[0] for n, ids in pieces.items()}, {n: ids[-1] for n, ids in pieces.items()}


def read_on(
    model: Qwen2_5_VLForConditionalGeneration, lesson: Lesson, seen: torch.Tensor, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `read`, of what comes after the pictures only."""
    tokens, labels = encode(lesson)
    places = list(range(len(tokens))) if lesson.places is None else lesson.places
    firsts = [places.index(place) for place in range(len(lesson.pictures))]
    start = int((tokens[0] == model.config.vision_end_token_id).nonzero()[-1]) + 1
    positions = _positions(model, tokens[:1], lesson.pictures.shape[1]).to(device)
    before = model.model(
        input_ids=tokens[firsts, :start].to(device),
        position_ids=positions[..., :start].expand(3, len(firsts), -1),
        mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=tuple(seen))},
        use_cache=True,
    ).past_key_values
    before.batch_select_indices(torch.tensor(places, device=device))
    hidden = model.model(
        input_ids=tokens[:, start:].to(device),
        position_ids=positions[..., start:].expand(3, len(tokens), -1),
        past_key_values=before,
        use_cache=True,
    ).last_hidden_state
    return hidden, labels[:, start:].to(device)


def _positions(model: Qwen2_5_VLForConditionalGeneration, tokens: torch.Tensor, images: int) -> torch.Tensor:
    """Of one row, which serve a batch: pictures stand at the same place in all; [3, 1, t]."""
    grid = torch.tensor([[1, GRID, GRID]]).expand(images, 3)
    kinds = (tokens == model.config.image_token_id).int()
    return model.model.get_rope_index(tokens, kinds, image_grid_thw=grid)[0]


@torch.no_grad()
def evaluate(model: Qwen2_5_VLForConditionalGeneration, batches: int = 4) -> dict[str, float]:
    """Replies word for word right on drawn-up lessons of seeds that training never used."""
    figures = {}
    for name, references in (("verdict", 0), ("with_one_reference", 1), ("with_two_references", 2)):
        lessons = [
            judging.verdicts(np.random.default_rng((99, references, batch)), BATCH, references, Studio())
            for batch in range(batches)
        ]
        figures[f"{name}_exact"] = _exact(model, lessons)
    for place, name in enumerate(things.KINDS):
        lessons = [
            things.lesson((name,), np.random.default_rng((98, place, batch)), 32, Studio(), things.untaught())
            for batch in range(batches)
        ]
        figures[f"thing_{name}_right"] = _exact(model, lessons)
    return figures


def _exact(model: Qwen2_5_VLForConditionalGeneration, lessons: Sequence[Lesson]) -> float:
    right, device = [], torch.device("cpu")
    for lesson in lessons:
        hidden, labels = read(model, lesson, see(model, lesson, device), device)
        right.append(reply_exact(hidden.float(), labels, model.lm_head).float().mean().item())
    return round(float(np.mean(right)), 4)


def batch_vision(model: Qwen2_5_VLForConditionalGeneration) -> None:
    """Let the vision tower attend to all pictures of a batch at once.

    transformers takes them one after the other outside of flash attention; in training every
    picture has the same 64 patches (one window), so one batched product gives the same result.
    """
    for block in model.model.visual.blocks:
        block.attn.forward = types.MethodType(_attend_all, block.attn)


def _attend_all(
    self: Qwen2_5_VLVisionAttention,
    hidden_states: torch.Tensor,
    cu_seqlens: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    **_: object,
) -> torch.Tensor:
    length = hidden_states.shape[0]
    query, key, value = self.qkv(hidden_states).reshape(length, 3, self.num_heads, -1).unbind(1)
    query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
    query, key, value = (x.unflatten(0, (-1, GRID * GRID)).transpose(1, 2) for x in (query, key, value))
    attended = F.scaled_dot_product_attention(query, key, value)
    return self.proj(attended.transpose(1, 2).reshape(length, -1))


def train(folder: Path, device: torch.device) -> Fitted:
    """Train the eight terms and write the checkpoint to `folder/vlm`.

    From the fourth on they need the generator in `folder`, and its adapter: they judge what those draw.
    """
    torch.manual_seed(SEEING.seed)
    model = build().to(device)
    batch_vision(model)
    icons = Studio()

    def term(name: str, schedule: Schedule, loss: Callable[[np.random.Generator], torch.Tensor]) -> Fitted:
        return fit(name, {"vlm": model}, lambda _, rng: loss(rng), schedule, device)

    def drill(rng: np.random.Generator) -> torch.Tensor:
        with autocast(device):
            return drill_loss(model.model, model.lm_head, rng, device)

    def judge(rng: np.random.Generator, studios: Sequence[Studio]) -> torch.Tensor:
        if rng.random() < DRILL_SHARE:
            return drill(rng)
        return batch_loss(model, things.earlier(rng, studios[int(rng.integers(len(studios)))], BATCH), device)

    def both(rng: np.random.Generator, studios: Sequence[Studio]) -> torch.Tensor:
        studio = studios[int(rng.integers(len(studios)))]
        words = things.taught() if rng.random() < 0.5 else ()
        learned = batch_loss(model, things.earlier(rng, studio, RECALLED, words), device)
        return learned + asking_loss(
            model, things.mixed(rng, studio, things.taught(), things.ALL_SHARES), device
        )

    def ask(rng: np.random.Generator, studios: Sequence[Studio], shares: Sequence[float]) -> torch.Tensor:
        studio, words = studios[int(rng.integers(len(studios)))], things.taught()
        asked = ASKED_WEIGHT * asking_loss(model, things.mixed(rng, studio, words, shares), device)
        if rng.random() >= REMEMBERED_SHARE:
            return asked
        if rng.random() < DRILL_SHARE:
            return asked + drill(rng)
        return asked + batch_loss(model, things.earlier(rng, studio, REMEMBERED, words), device)

    costs = [
        term(
            "vlm-seeing", SEEING, lambda rng: seeing_loss(model, judging.captions(rng, BATCH, icons), device)
        ),
        term("vlm-copying", COPYING, drill),
        term("vlm-judging", JUDGING, lambda rng: judge(rng, (icons,))),
    ]
    save(folder / "vlm", model)
    bank = draw_bank(folder, device)
    drawings = Drawings(bank)
    costs.append(term("vlm-drawings", DRAWINGS, lambda rng: judge(rng, (drawings, drawings, icons))))
    save(folder / "vlm", model)
    copies = Drawings([*bank, *draw_copies(folder, device)])
    studios = (copies, copies, icons, Styled())
    model.model.visual.requires_grad_(False)  # it names things already: only how to answer is new
    costs.append(term("vlm-asking", ASKING, lambda rng: ask(rng, studios, (1, 0, 0, 0))))
    costs.append(term("vlm-things", THINGS, lambda rng: ask(rng, studios, things.SHARES)))
    model.model.visual.requires_grad_(True)
    costs.append(term("vlm-comparing", COMPARING, lambda rng: ask(rng, studios, things.COMPARED_SHARES)))
    costs.append(term("vlm-both", BOTH, lambda rng: both(rng, studios)))
    save(folder / "vlm", model)
    return together(costs)


def save(folder: Path, model: Qwen2_5_VLForConditionalGeneration) -> None:
    copy.deepcopy(model).cpu().half().save_pretrained(folder, max_shard_size="9MB")
    build_processor().save_pretrained(folder)
