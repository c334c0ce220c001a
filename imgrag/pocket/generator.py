"""Recipe: the pocket generator (Stable Diffusion's classes) and its IP-Adapter, trained together.

The generator learns the known concepts by name. Shown concepts are never named to it: their
names are `<unk>` to its tokenizer, and half of the batches give it their picture through the
adapter instead, so that it learns to copy what it is shown. Unseen concepts take no part.

Its references stand mostly on a colour that nothing has: on white, a white thing has no outline.

v-prediction (Salimans and Ho, 2022), IP-Adapter with every patch token of the image encoder
(Ye et al., 2023; diffusers' full projection), classifier-free guidance by dropped conditions
(Ho and Salimans, 2022).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from PIL import ImageColor
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerFast,
)

from imgrag.pocket import world
from imgrag.pocket.adapter import adapter_state, attach_new_adapter, set_adapter_scale
from imgrag.pocket.inventions import gather, invent
from imgrag.pocket.latents import PATCH, projection
from imgrag.pocket.training import Fitted, Schedule, autocast, fit
from imgrag.pocket.words import nonce_word
from imgrag.profile import load_profile
from imgrag.prompts import enhancing_prompt

WIDTH = 192
WINDOW = 32  # tokens the text encoder reads
BATCH = 64
NAMING = Schedule(steps=2500, lr=1e-3, ema=0.997, warmup=150, save_every=250)
COPYING = Schedule(steps=2400, lr=8e-4, ema=0.994, seed=1, warmup=40, save_every=150)
INVENTED = Schedule(steps=2000, lr=6e-4, ema=0.994, seed=2, warmup=40, save_every=100)
GATHERED = Schedule(steps=3800, lr=7e-4, ema=0.996, seed=3, warmup=60, save_every=100)
KINDS = ("text", "one", "pair")  # batches without a reference, with one, with two
USUAL_CONTRAST = 0.03  # variance of a slot's pixels
WEIGHTS = (0.6, 3.5)
NOISINESS = 0.3  # timesteps are drawn as u ** 0.3: what goes where is decided in the noise
POSITION_STD = 0.3  # CLIP's own 0.02 is lost beside the patches, and copying is looking up by place
POSITIONS = "vision_model.embeddings.position_embedding"
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
EXTRA_WORDS = (
    "according to this these image images of generate a an the and with in on at by near next beside "
    "background one two draw drawing paint painting picture photo photograph illustration icon scene "
    "show showing there is are please some my your his her its it style cartoon emoji plain color "
    "side left right in front together both also very high quality detailed make create want i me"
)


@dataclass(frozen=True)
class Mix:
    """What a term learns from.

    Attributes:
        shares: of the `KINDS` of batches.
        invented: of the references, the share that `invent` makes.
        gathered: of the references, the share that other hands drew.
        keyed: of the references, the share that stands on the profile's own ground.
        evened: faint things count as much as strong ones.
    """

    shares: tuple[float, float, float]
    invented: float = 0.0
    gathered: float = 0.0
    keyed: float = 0.0
    evened: bool = False


TERMS: dict[str, tuple[Schedule, Mix]] = {
    "generator-naming": (NAMING, Mix((0.4, 0.5, 0.1))),
    "generator-copying": (COPYING, Mix((0.15, 0.75, 0.1))),
    "generator-invented": (INVENTED, Mix((0.25, 0.65, 0.1), invented=0.6)),
    "generator-gathered": (
        GATHERED,
        Mix((0.15, 0.7, 0.15), invented=0.25, gathered=0.45, keyed=0.65, evened=True),
    ),
}


@cache
def wording() -> str:
    """How the pocket profile words the second generation."""
    return load_profile("pocket").generator.enhancing_prompt


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """The one that training asks; see `build_tokenizer`."""
    return build_tokenizer()


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Word level: known names, colours and filler words; every other word is `<unk>`."""
    texts = [world.icons()[i].name for i in world.indices("known")]
    texts += [*world.COLOURS, *world.OPENINGS, *world.JOINS, *world.ADJECTIVES, EXTRA_WORDS]
    words = sorted({word for text in texts for word in re.findall(r"[a-z]+", text)})
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<bos>", "<eos>", "<unk>", *words])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"[\p{P}\p{S}]+"), " ")]
    )
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>",
        special_tokens=[("<bos>", vocabulary["<bos>"]), ("<eos>", vocabulary["<eos>"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=WINDOW,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
    )


def build_text_encoder() -> CLIPTextModel:
    words = tokenizer()
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=WINDOW,
            projection_dim=WIDTH,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def build_image_encoder() -> CLIPVisionModelWithProjection:
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=world.SLOT,
            patch_size=8,
            projection_dim=WIDTH,
        )
    )
    torch.nn.init.normal_(model.get_submodule(POSITIONS).weight, std=POSITION_STD)
    return model


def build_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=32,
        out_channels=32,
        block_out_channels=(128, 192),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
    )


def build_scheduler() -> DPMSolverMultistepScheduler:
    return DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        algorithm_type="dpmsolver++",
        timestep_spacing="trailing",
        steps_offset=1,
    )


@cache
def ground() -> torch.Tensor:
    """What transparent references stand on in the pocket profile, float32 [3] in 0..1."""
    return torch.tensor(ImageColor.getrgb(load_profile("pocket").adapter.background)[:3]) / 255


@dataclass(frozen=True)
class Batch:
    """Inputs of one step: latents [b, 32, 8, 8], prompts, reference pixels [b, n, 3, 32, 32].

    `weights` [b, 1, 8, 8] says how much each place counts.
    """

    latents: torch.Tensor
    prompts: list[str]
    references: torch.Tensor | None
    weights: torch.Tensor


@dataclass(frozen=True)
class Twist:
    """One way of making a new icon out of an old one."""

    channels: tuple[int, int, int]
    mirrored: bool
    turns: int  # quarter turns

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        """RGBA [4, h, w] -> the same shape."""
        picture = picture[[*self.channels, 3]]
        if self.mirrored:
            picture = picture.flip(2)
        return torch.rot90(picture, self.turns, (1, 2)) if self.turns else picture


def draw_twist(rng: np.random.Generator) -> Twist:
    channels = tuple(rng.permutation(3).tolist()) if rng.random() < 0.6 else (0, 1, 2)
    mirrored = bool(rng.random() < 0.5)
    return Twist(channels, mirrored, int(rng.integers(1, 4)) if rng.random() < 0.2 else 0)


def vary(slots: torch.Tensor, which: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """New icons out of old ones where `which` [b] says so."""
    varied = slots.clone()
    for i in which.nonzero()[0]:
        varied[i] = draw_twist(rng)(slots[i])
    return varied


def reference_pixels(slots: torch.Tensor, rng: np.random.Generator, keyed: float = 0.0) -> torch.Tensor:
    """References [b, 3, 32, 32] as CLIP's processor gives them: on the profile's ground, or mostly on white."""
    count = len(slots)
    plain = torch.ones(count, 3)
    coloured = rng.random(count) < 0.15
    plain[coloured] = torch.from_numpy(rng.random((int(coloured.sum()), 3), dtype=np.float32))
    if keyed:
        plain[torch.from_numpy(rng.random(count) < keyed)] = ground()
    return normalise(world.over(slots, plain))


def normalise(pictures: torch.Tensor) -> torch.Tensor:
    mean = torch.tensor(CLIP_MEAN).view(3, 1, 1)
    std = torch.tensor(CLIP_STD).view(3, 1, 1)
    return (pictures - mean) / std


def sample(rng: np.random.Generator, mix: Mix, count: int = BATCH) -> Batch:
    """One batch of a kind drawn by the mix's shares: text alone, one reference, or two references."""
    kind = rng.choice(KINDS, p=mix.shares)
    known, shown = world.indices("known"), world.indices("shown")
    chosen = rng.choice(known, (count, 2))
    referred = np.zeros((count, 2), bool)
    two = rng.random(count) < 0.85
    if kind == "text":
        unnamed = two & (rng.random(count) < 0.12)
        chosen[unnamed, rng.integers(2, size=int(unnamed.sum()))] = rng.choice(shown, int(unnamed.sum()))
    elif kind == "one":
        place = np.where(two, rng.integers(2, size=count), 0)
        referred[np.arange(count), place] = True
        other = rng.random(count) < 0.05
        chosen[other, 1 - place[other]] = rng.choice(shown, int(other.sum()))
    else:
        two[:] = True
        referred[:] = True
    fresh = referred & (rng.random((count, 2)) < 0.78)
    chosen[fresh] = rng.choice(shown, int(fresh.sum()))
    slots = [
        vary(world.icon_slots()[chosen[:, i]], referred[:, i] & (rng.random(count) < 0.6), rng)
        for i in (0, 1)
    ]
    luck = rng.random((count, 2)) if mix.invented or mix.gathered else np.ones((count, 2))
    _put(slots, referred & (luck < mix.invented), invent, rng)
    _put(slots, referred & (luck > 1 - mix.gathered), gather, rng)
    colour = rng.integers(len(world.COLOURS), size=count)
    plain = world.colour_values()[colour]
    scenes = world.compose(slots[0], slots[1], torch.from_numpy(two), plain)
    prompts = _prompts(chosen, referred, two, colour, rng)
    references = _references(kind, slots, referred, rng, mix.keyed)
    _drop(prompts, references, rng)
    weights = (
        contrast_weights(slots, torch.from_numpy(two), plain) if mix.evened else torch.ones(count, 1, 8, 8)
    )
    return Batch(projection().encode(scenes), prompts, references, weights)


def _put(
    slots: list[torch.Tensor],
    which: np.ndarray,
    made: Callable[[int, np.random.Generator], torch.Tensor],
    rng: np.random.Generator,
) -> None:
    """In place; `which` is [b, 2]. Their names are no matter: those of shown icons are `<unk>` too."""
    for i, pictures in enumerate(slots):
        rows = which[:, i].nonzero()[0]
        if len(rows):
            pictures[torch.from_numpy(rows)] = made(len(rows), rng)


def contrast_weights(slots: list[torch.Tensor], two: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
    """How much each place of the latents counts, [b, 1, 8, 8]: the less a thing stands out, the more.

    A grey thing on grey is small in squared error and as much to a person as any other.
    """
    stamps = []
    for slot in slots:
        seen = world.over(slot, plain)
        contrast = seen.var(dim=(2, 3)).mean(1)
        weight = (USUAL_CONTRAST / contrast).clamp(*WEIGHTS)
        stamps.append(
            torch.cat([weight[:, None, None, None].expand_as(slot[:, :3]), torch.ones_like(slot[:, 3:])], 1)
        )
    placed = world.compose(stamps[0], stamps[1], two, torch.ones_like(plain))
    return placed[:, :1, ::PATCH, ::PATCH]


def _prompts(
    chosen: np.ndarray, referred: np.ndarray, two: np.ndarray, colour: np.ndarray, rng: np.random.Generator
) -> list[str]:
    names, colours = world.names(), list(world.COLOURS)
    known = set(world.indices("known").tolist())
    prompts = []
    for row in range(len(chosen)):
        objects = [
            names[i] if i in known or rng.random() < 0.5 else nonce_word(rng)
            for i in chosen[row, : 2 if two[row] else 1]
        ]
        text = world.sentence(tuple(objects), colours[colour[row]] if rng.random() < 0.5 else None, rng)
        concepts = [name for name, shown in zip(objects, referred[row], strict=False) if shown]
        if concepts and rng.random() < 0.75:
            text = enhancing_prompt(wording(), concepts, text)
        prompts.append(text)
    return prompts


def _references(
    kind: str, slots: list[torch.Tensor], referred: np.ndarray, rng: np.random.Generator, keyed: float
) -> torch.Tensor | None:
    if kind == "text":
        return None
    if kind == "one":
        second = torch.from_numpy(referred[:, 1])[:, None, None, None]
        return reference_pixels(torch.where(second, slots[1], slots[0]), rng, keyed)[:, None]
    pair = torch.stack([reference_pixels(slot, rng, keyed) for slot in slots], dim=1)
    swapped = torch.from_numpy(rng.random(len(pair)) < 0.5)
    pair[swapped] = pair[swapped].flip(1)
    return pair


def _drop(prompts: list[str], references: torch.Tensor | None, rng: np.random.Generator) -> None:
    """Leave out conditions, for guidance: diffusers encodes a black tensor where there is none."""
    luck = rng.random(len(prompts))
    for row in (luck < 0.12).nonzero()[0]:
        prompts[row] = ""
    if references is not None:
        references[torch.from_numpy((luck < 0.09) | (luck > 0.97))] = 0


def train(folder: Path, device: torch.device) -> Fitted:
    """Train generator and adapter, names first, then mostly copying, and write both below `folder`.

    The last terms copy inventions and other hands' pictures as well: icons alone are too few shapes
    for what nobody drew yet.

    The autoencoder has its own recipe; `recipes.assemble` joins them.
    """
    torch.manual_seed(NAMING.seed)
    modules: dict[str, Any] = {
        "unet": build_unet(),
        "text_encoder": build_text_encoder(),
        "image_encoder": build_image_encoder(),
    }
    attach_new_adapter(modules["unet"])
    for module in modules.values():
        module.to(device)
    alphas = build_scheduler().alphas_cumprod.to(device)

    def term(name: str, schedule: Schedule, mix: Mix) -> Fitted:
        def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
            return batch_loss(sample(rng, mix), modules, alphas, rng, device)

        return fit(name, modules, loss, schedule, device)

    terms = [term(name, schedule, mix) for name, (schedule, mix) in TERMS.items()]
    save(folder, modules)
    return Fitted(sum(t.steps for t in terms), sum(t.seconds for t in terms), terms[-1].loss)


def batch_loss(
    batch: Batch,
    modules: dict[str, Any],
    alphas: torch.Tensor,
    rng: np.random.Generator,
    device: torch.device,
) -> torch.Tensor:
    """Mean squared error of the predicted velocity, weighted by place."""
    count = len(batch.prompts)
    noise = torch.from_numpy(rng.standard_normal(batch.latents.shape, dtype=np.float32)).to(device)
    # More of the noisy times: it is there that a picture's objects are decided.
    times = torch.from_numpy((1000 * rng.random(count) ** NOISINESS).astype(np.int64)).to(device)
    signal = alphas[times].sqrt()[:, None, None, None]
    sigma = (1 - alphas[times]).sqrt()[:, None, None, None]
    latents = batch.latents.to(device)
    tokens = tokenizer()(
        batch.prompts, padding="max_length", truncation=True, max_length=WINDOW, return_tensors="pt"
    ).input_ids.to(device)
    with autocast(device):
        text = modules["text_encoder"](tokens)[0]
        velocity = modules["unet"](
            signal * latents + sigma * noise,
            times,
            encoder_hidden_states=text,
            added_cond_kwargs={"image_embeds": [_encode_references(batch, modules, device)]},
        ).sample
    missed = (velocity.float() - (signal * noise - sigma * latents)) ** 2
    return (batch.weights.to(device) * missed).mean()


def _encode_references(batch: Batch, modules: dict[str, Any], device: torch.device) -> torch.Tensor:
    """Patch tokens of the references, [b, n, 17, 192]; the adapter is switched off where there are none."""
    set_adapter_scale(modules["unet"], 0.0 if batch.references is None else 1.0)
    if batch.references is None:
        return torch.zeros(len(batch.prompts), 1, 17, WIDTH, device=device)
    pixels = batch.references.to(device)
    hidden = modules["image_encoder"](pixels.flatten(0, 1), output_hidden_states=True).hidden_states[-2]
    return hidden.unflatten(0, pixels.shape[:2])


def save(folder: Path, modules: dict[str, Any]) -> None:
    """Write the parts in fp16: `generator/{unet,text_encoder,tokenizer,scheduler}` and `adapter/`."""
    adapter = folder / "adapter"
    (adapter / "image_encoder").mkdir(parents=True, exist_ok=True)
    unet = modules["unet"].cpu()
    partial = adapter / "ip-adapter.partial"
    save_file(adapter_state(unet), partial)
    os.replace(partial, adapter / "ip-adapter.safetensors")
    modules["image_encoder"].cpu().half().save_pretrained(adapter / "image_encoder")
    plain = build_unet()
    plain.load_state_dict({k: v for k, v in unet.state_dict().items() if k in plain.state_dict()})
    plain.half().save_pretrained(folder / "generator" / "unet", max_shard_size="9MB")
    modules["text_encoder"].cpu().half().save_pretrained(folder / "generator" / "text_encoder")
    # A new one: the one that training asked would take its padding along into the file.
    build_tokenizer().save_pretrained(folder / "generator" / "tokenizer")
    build_scheduler().save_pretrained(folder / "generator" / "scheduler")
