"""Recipe: the pocket generator (Stable Diffusion's classes) and its IP-Adapter, trained together.

The generator learns the known concepts by name. Shown concepts are never named to it: their
names are `<unk>` to its tokenizer, and half of the batches give it their picture through the
adapter instead, so that it learns to copy what it is shown. Unseen concepts take no part.

v-prediction (Salimans and Ho, 2022), IP-Adapter with every patch token of the image encoder
(Ye et al., 2023; diffusers' full projection), classifier-free guidance by dropped conditions
(Ho and Salimans, 2022).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerFast,
)

from imgrag.pocket.recipes.adapter import adapter_state, attach_new_adapter, set_adapter_scale
from imgrag.pocket.recipes.batches import Batch, Mix, sample
from imgrag.pocket.recipes.precision import autocast
from imgrag.pocket.recipes.training import Fitted, Schedule, fit, together
from imgrag.pocket.world import world

WIDTH = 192
WINDOW = 32  # tokens the text encoder reads
NAMING = Schedule(steps=2500, lr=1e-3, ema=0.997, warmup=150, save_every=250)
COPYING = Schedule(steps=2400, lr=8e-4, ema=0.994, seed=1, warmup=40, save_every=150)
INVENTED = Schedule(steps=2000, lr=6e-4, ema=0.994, seed=2, warmup=40, save_every=100)
GATHERED = Schedule(steps=3800, lr=7e-4, ema=0.996, seed=3, warmup=60, save_every=100)
NOISINESS = 0.3  # timesteps are drawn as u ** 0.3: what goes where is decided in the noise
POSITION_STD = 0.3  # CLIP's own 0.02 is lost beside the patches, and copying is looking up by place
POSITIONS = "vision_model.embeddings.position_embedding"
EXTRA_WORDS = (
    "according to this these image images of generate a an the and with in on at by near next beside "
    "background one two draw drawing paint painting picture photo photograph illustration icon scene "
    "show showing there is are please some my your his her its it style cartoon emoji plain color "
    "side left right in front together both also very high quality detailed make create want i me"
)


Steer = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], dict[str, Any]]
"""(noisy latents, times, text) -> further arguments of the U-Net."""
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


def plain_unet(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """A copy without its adapter."""
    plain = build_unet()
    plain.load_state_dict({k: v for k, v in unet.state_dict().items() if k in plain.state_dict()})
    return plain


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
    return together(terms)


def batch_loss(
    batch: Batch,
    modules: dict[str, Any],
    alphas: torch.Tensor,
    rng: np.random.Generator,
    device: torch.device,
    steer: Steer = lambda noisy, times, text: {},
) -> torch.Tensor:
    """Mean squared error of the predicted velocity, weighted by place; `steer` gives the U-Net what else it is told."""
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
    noisy = signal * latents + sigma * noise
    with autocast(device):
        text = modules["text_encoder"](tokens)[0]
        velocity = modules["unet"](
            noisy,
            times,
            encoder_hidden_states=text,
            added_cond_kwargs={"image_embeds": [encode_references(batch, modules, device)]},
            **steer(noisy, times, text),
        ).sample
    missed = (velocity.float() - (signal * noise - sigma * latents)) ** 2
    return (batch.weights.to(device) * missed).mean()


def encode_references(batch: Batch, modules: dict[str, Any], device: torch.device) -> torch.Tensor:
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
    plain_unet(unet).half().save_pretrained(folder / "generator" / "unet", max_shard_size="9MB")
    modules["text_encoder"].cpu().half().save_pretrained(folder / "generator" / "text_encoder")
    # A new one: the one that training asked would take its padding along into the file.
    build_tokenizer().save_pretrained(folder / "generator" / "tokenizer")
    build_scheduler().save_pretrained(folder / "generator" / "scheduler")
