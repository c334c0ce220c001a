"""Training a style: a LoRA on the profile's own U-Net, from a person's own pictures.

Low-rank adaptation (Hu et al., 2021) by peft. The same code trains the pocket generator on a CPU and SDXL
on a GPU: what is frozen is asked once (`conditions`), the U-Net alone is run, on a GPU with gradient checkpointing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imgrag.errors import StyleError
from imgrag.models.checkpoints import locate
from imgrag.models.generator import open_pipeline
from imgrag.models.profile import AdapterProfile, Profile
from imgrag.pocket.recipes import training
from imgrag.pocket.recipes.adapting import attach_lora, save_lora
from imgrag.pocket.recipes.precision import autocast
from imgrag.pocket.recipes.training import Fitted, Schedule, fit, pick_device
from imgrag.runs.values import in_brief
from imgrag.styles.conditions import Conditions, encode
from imgrag.styles.lessons import Example, digest
from imgrag.styles.sheets import Curve, draw_previews, draw_sheet
from imgrag.styles.style import FILE, LORA, Style, style_toml

NOISINESS = 0.6  # timesteps are drawn as u ** 0.6: the ground and what is large are decided in the noise
DROPPED = 0.1  # of captions and of references, for guidance
REFERRED = 0.5  # of the batches show the thing, where any example does


@dataclass(frozen=True)
class Lesson:
    """How a style is learnt.

    Attributes:
        rank: of the LoRA; its size grows with it.
        alpha: what it adds is multiplied by alpha / rank; 0 is the rank itself.
        rate: of learning, at its peak.
        resolution: px that pictures are brought to; 0 is the profile's own.
        convolutions: whether the layers between the attentions learn too; they draw textures and grounds.
        every: steps from one sample sheet to the next.
    """

    rank: int = 8
    alpha: int = 0
    steps: int = 600
    rate: float = 1e-3
    resolution: int = 0
    seed: int = 0
    batch: int = 8
    convolutions: bool = False
    every: int = 200

    def __post_init__(self) -> None:
        for name, least, most in (
            ("rank", 1, 256), ("alpha", 0, 1024), ("steps", 1, 100_000), ("rate", 1e-7, 1.0),
            ("resolution", 0, 2048), ("seed", 0, 2**31), ("batch", 1, 256), ("every", 1, 100_000),
        ):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= most:
                raise StyleError(f"The {name} is {in_brief(value)}, not from {least:g} to {most:g}.")
        if self.resolution % 8:
            raise StyleError(f"The resolution is {self.resolution}, no multiple of 8.")


def train_style(
    style: Style,
    examples: Sequence[Example],
    folder: Path,
    profile: Profile,
    lesson: Lesson = Lesson(),
    device: str = "auto",
    say: Callable[[str], None] = lambda line: None,
) -> Fitted:
    """Train a LoRA and write the style's folder: its file, LoRA, previews, loss curve and card.

    A training that was stopped goes on where it was when the same pictures and settings come again.

    Args:
        style: all that its file says but the LoRA.
        folder: the style's own, new or to be trained anew; what it holds is replaced at the end.
        say: told where the sample sheets are.

    Raises:
        StyleError: the pictures or settings cannot be used.
        CheckpointError: the profile's checkpoints are not here.
    """
    place = pick_device(device)
    size = lesson.resolution or profile.generator.size
    work = training.CACHE / f"style-{style.name}-{_key(examples, lesson, profile)}"
    work.mkdir(parents=True, exist_ok=True)
    say(f"Loss curve and sample sheets: {work}")
    pipe = _opened(profile, examples, place)
    known = encode(pipe, profile.adapter, examples, size)
    lora = attach_lora(
        pipe.unet, place,
        rank=lesson.rank, alpha=lesson.alpha, convolutions=lesson.convolutions, seed=lesson.seed,
    )  # fmt: skip
    curve = Curve(work / "loss.csv")

    def watch(done: int, loss: float) -> None:
        curve.add(done, loss)
        if done % lesson.every == 0 or done == lesson.steps:
            draw_sheet(work / f"sheet-{done:06}.png", pipe, profile, examples, size)

    fitted = fit(
        work.name, {"lora": lora}, _loss(pipe, profile.adapter, known, lesson, size, place), _schedule(lesson), place,
        watch=watch,
    )  # fmt: skip
    _write(style, folder, pipe, profile, examples, lesson, fitted, work, size)
    return fitted


def _key(examples: Sequence[Example], lesson: Lesson, profile: Profile) -> str:
    """Other pictures, settings or checkpoints are another training."""
    said = json.dumps([digest(examples), asdict(lesson), profile.generator.checkpoint.label])
    return sha256(said.encode()).hexdigest()[:12]


def _schedule(lesson: Lesson) -> Schedule:
    warmup = min(30, lesson.steps // 4)
    save = max(1, min(100, lesson.steps // 3))
    return Schedule(
        lesson.steps, lesson.rate, lesson.seed, warmup, weight_decay=0.0, ema=0.98, save_every=save
    )


def _opened(profile: Profile, examples: Sequence[Example], device: torch.device) -> Any:
    pipe = open_pipeline(
        profile.generator, locate(profile.generator.checkpoint, profile.name), str(device)
    ).to(device)
    if any(example.reference for example in examples):
        adapter = profile.adapter
        pipe.load_ip_adapter(
            str(locate(adapter.checkpoint, profile.name)),
            subfolder=adapter.subfolder,
            weight_name=adapter.weight_name,
            image_encoder_folder=adapter.image_encoder_folder,
            local_files_only=True,
        )
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)
    return pipe


def _loss(
    pipe: Any, adapter: AdapterProfile, known: Conditions, lesson: Lesson, size: int, device: torch.device
) -> Callable[[int, np.random.Generator], torch.Tensor]:
    from diffusers import DDPMScheduler

    noising = DDPMScheduler.from_config(pipe.scheduler.config)
    rows = [np.flatnonzero((known.shown_of >= 0).numpy() == shown) for shown in (False, True)]

    def loss(step: int, rng: np.random.Generator) -> torch.Tensor:
        shows = len(rows[1]) > 0 and (len(rows[0]) == 0 or rng.random() < REFERRED)
        chosen = rng.choice(rows[shows], lesson.batch)
        latents = known.latents[chosen].to(device)
        noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32)).to(device)
        share = rng.random(lesson.batch) ** NOISINESS
        times = torch.from_numpy((noising.config.num_train_timesteps * share).astype(np.int64)).to(device)
        told, asked = _told(pipe, adapter, known, chosen, bool(shows), rng, size, device)
        with autocast(device):
            said = pipe.unet(
                noising.add_noise(latents, noise, times),
                times,
                encoder_hidden_states=told,
                added_cond_kwargs=asked,
            ).sample
        return (said.float() - _wanted(noising, latents, noise, times)).square().mean()

    return loss


def _wanted(noising: Any, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    if noising.config.prediction_type == "v_prediction":
        return noising.get_velocity(latents, noise, times)
    return noise


def _told(
    pipe: Any, adapter: AdapterProfile, known: Conditions, chosen: np.ndarray, shows: bool,
    rng: np.random.Generator, size: int, device: torch.device,
) -> tuple[torch.Tensor, dict[str, Any]]:  # fmt: skip
    """Captions' vectors, and what else the U-Net asks for; a share of both is left out, for guidance."""
    row = torch.where(torch.from_numpy(rng.random(len(chosen)) < DROPPED), -1, known.text_of[chosen])
    asked: dict[str, Any] = {}
    if known.pooled is not None:
        ids = torch.tensor([size, size, 0, 0, size, size], device=device)
        asked |= {"text_embeds": known.pooled[row].to(device), "time_ids": ids.repeat(len(chosen), 1)}
    if known.shown is not None:
        pipe.set_ip_adapter_scale(adapter.scale if shows else 0.0)
        hidden = torch.from_numpy(rng.random(len(chosen)) < DROPPED)
        picture = torch.where(hidden, -1, known.shown_of[chosen])
        asked["image_embeds"] = [known.shown[picture][:, None].to(device)]
    return known.texts[row].to(device), asked


def _write(
    style: Style, folder: Path, pipe: Any, profile: Profile, examples: Sequence[Example], lesson: Lesson,
    fitted: Fitted, work: Path, size: int,
) -> None:  # fmt: skip
    """The whole folder beside its place, then in its place."""
    made = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    save_lora(made / LORA, pipe)
    (made / FILE).write_text(style_toml(style), encoding="utf-8")
    draw_previews(made, pipe, profile, examples, size)
    shutil.copyfile(work / "loss.png", made / "loss.png")
    (made / "README.md").write_text(card(style, profile, examples, lesson, fitted), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(made, folder)


def card(
    style: Style,
    profile: Profile,
    examples: Sequence[Example],
    lesson: Lesson,
    fitted: Fitted,
) -> str:
    """What a reader of the folder wants to know: data, settings, cost, licence."""
    shown = sum(example.reference is not None for example in examples)
    layers = "attention and convolutions" if lesson.convolutions else "attention"
    return f"""# {style.title}

A LoRA for `{profile.generator.checkpoint.label}` (profile {profile.name}), trained by `python -m imgrag style train`.

- **Data.** {len(examples):,} pictures, {shown:,} of them with a plain picture of the thing. {style.source}
- **Settings.** Rank {lesson.rank}, alpha {lesson.alpha or lesson.rank:g}, {layers}, {lesson.steps} steps of {lesson.batch}, rate {lesson.rate:g}, seed {lesson.seed}.
- **Cost.** {fitted.seconds / 60:.1f} minutes ({fitted.products} products); last loss {fitted.loss:.4f} (`loss.png`).
- **Licence.** {style.licence}
"""
