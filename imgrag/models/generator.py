"""The image generator: any Stable Diffusion or SDXL checkpoint with an IP-Adapter beside it.

One pipeline in memory draws both images of a run. The adapter is attached for an image with
references and detached after it, so that a picture without references is the same bit for bit
before and after; LoRAs stay on while they are wanted, a ControlNet for one image. A guide's region is a mask on what the adapter adds in the attention layers
(diffusers' IP-Adapter masking). Knows diffusers; knows no stage and no profile by name.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from imgrag.models import Control, Guide, Lora, OnStep
from imgrag.models.adapter import adapter_files, refuse_adapter
from imgrag.models.attention import Watch, watching
from imgrag.models.control import steered
from imgrag.models.lora import WornLoras
from imgrag.models.parts import open_parts, refuse_strangers
from imgrag.models.profile import AdapterProfile, GeneratorProfile
from imgrag.models.soundness import blaming
from imgrag.models.weights import tensor_bytes
from imgrag.pictures import beside, square_reference
from imgrag.runs.values import WHOLE, Box

StepEnd = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]
"""diffusers' `callback_on_step_end`: (pipeline, step from 0, timestep, tensors) -> changed tensors."""
PREVIEW_LATENTS = 32  # longest side of the latents a preview decodes: 256 px, a few milliseconds on a GPU


def load_generator(
    profile: GeneratorProfile, folder: Path, adapter: AdapterProfile, adapter_folder: Path, device: str
) -> DiffusionGenerator:
    """Open a diffusers folder; on a CPU in float32 whatever it was stored in.

    Raises:
        UnsoundFile: a folder does not hold such a pipeline or such an adapter, or not all of it.
    """
    pipe = open_pipeline(profile, folder, device)
    refuse_adapter(*adapter_files(adapter, adapter_folder), pipe.unet)
    offload = profile.offload and device != "cpu"
    return DiffusionGenerator(pipe, profile, adapter, adapter_folder, device, offload)


def open_pipeline(profile: GeneratorProfile, folder: Path, device: str) -> Any:
    """A diffusers folder as a pipeline, not yet on the device; without a progress bar of its own.

    Raises:
        UnsoundFile: the folder does not hold such a pipeline, or not all of it.
    """
    import torch
    from diffusers import AutoPipelineForText2Image
    from diffusers.utils import logging as diffusers_logging

    diffusers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()  # it warns each time an adapter comes; `cut` tells what it truncates
    dtype = torch.float32 if device == "cpu" else getattr(torch, profile.dtype)
    parts = open_parts(folder, profile.checkpoint.variant, dtype)
    with blaming(folder / "model_index.json", "describes no pipeline that can be opened here"):
        pipe = AutoPipelineForText2Image.from_pretrained(folder, dtype=dtype, local_files_only=True, **parts)
        refuse_strangers(folder, pipe)
    pipe.set_progress_bar_config(disable=True)
    return pipe


class DiffusionGenerator:
    """`imgrag.models.Generator` on a diffusers pipeline."""

    def __init__(
        self,
        pipe: Any,
        profile: GeneratorProfile,
        adapter: AdapterProfile,
        adapter_folder: Path,
        device: str,
        offload: bool,
    ) -> None:
        self._pipe = pipe
        self._profile = profile
        self._adapter = adapter
        self._adapter_folder = adapter_folder
        self._device = device
        self._offload = offload
        self._loras = WornLoras(pipe, self._change)
        if not offload:
            pipe.to(device)
        self._lay_offload(pipe)

    @property
    def nbytes(self) -> int:
        """What is on the device at once: all parts, or with offload the largest."""
        import torch

        sizes = [
            tensor_bytes(part) for part in self._pipe.components.values() if isinstance(part, torch.nn.Module)
        ]
        return max(sizes) if self._offload else sum(sizes)

    def draw(
        self,
        prompt: str,
        *,
        negative_prompt: str,
        seeds: Sequence[int],
        steps: int,
        guidance_scale: float,
        guides: Sequence[Guide] = (),
        guided_share: float = 1.0,
        loras: Sequence[Lora] = (),
        control: Control | None = None,
        on_step: OnStep | None = None,
        watch: Watch | None = None,
    ) -> list[Image.Image]:
        """See `imgrag.models.Generator`. What `on_step` raises ends the drawing and is passed on."""

        self._loras.wear([*loras, *_with_structure(control, steps)])
        guided = round(guided_share * steps)
        adapters = self._shared_out(guides) if guided else []
        report = self._reporter(on_step, watch) if on_step or watch else None
        settings = {
            "prompt": prompt,
            "negative_prompt": negative_prompt or None,
            "num_inference_steps": steps,
            "guidance_scale": guidance_scale,
            **_noise(seeds),
            "callback_on_step_end": report,
        }
        if not adapters:
            return self._drawn(settings, control, watch)
        if guided < steps:
            settings["callback_on_step_end"] = _silencing(guided, len(adapters), report)
        with self._attached(len(adapters)):
            self._set_scales(adapters)
            return self._drawn({**settings, **self._guidance(adapters)}, control, watch)

    def cut(self, prompt: str) -> str:
        """See `imgrag.models.Generator`; with two text encoders the shorter window counts."""
        words = prompt.split()
        fitting = min(_fitting_words(tokenizer, words) for tokenizer in self._tokenizers)
        return " ".join(words[fitting:])

    def unknown_words(self, prompt: str) -> dict[str, list[str]]:
        """See `imgrag.models.Generator`. Sub-word tokenizers spell every word out: {}."""
        found = dict.fromkeys(re.findall(r"(?<!['’])\b[^\W\d_]+", prompt.lower()))
        tokenizer = self._tokenizers[0]
        special = set(tokenizer.all_special_tokens)
        vocabulary = [word for word in tokenizer.get_vocab() if word not in special]
        return {
            word: difflib.get_close_matches(word, vocabulary, n=3)
            for word in found
            if all(_is_unknown(tokenizer, word) for tokenizer in self._tokenizers)
        }

    @property
    def _tokenizers(self) -> list[Any]:
        both = (self._pipe.tokenizer, getattr(self._pipe, "tokenizer_2", None))
        return [tokenizer for tokenizer in both if tokenizer is not None]

    def _drawn(
        self, settings: dict[str, Any], control: Control | None, watch: Watch | None
    ) -> list[Image.Image]:
        """By the pipeline as it is, or along a structure for this image alone."""
        steps = settings["num_inference_steps"]
        held = round(control.share * steps) if control is not None else 0
        with watching(self._pipe, settings["prompt"], settings["num_images_per_prompt"], watch):
            return self._steered(settings, control if held else None, held / steps)

    def _steered(self, settings: dict[str, Any], control: Control | None, share: float) -> list[Image.Image]:
        if control is None:
            return self._call(self._pipe, settings)
        with steered(self._pipe, control, share, self._lay_offload) as (pipe, structure):
            return self._call(pipe, {**settings, **structure})

    def _call(self, pipe: Any, settings: dict[str, Any]) -> list[Image.Image]:
        size = self._profile.size
        try:
            return list(pipe(height=size, width=size, **settings).images)
        except BaseException:
            pipe.maybe_free_model_hooks()  # an interrupted call leaves its part on the device
            raise

    def _lay_offload(self, pipe: Any) -> None:
        if self._offload:
            pipe.enable_model_cpu_offload(device=self._device)

    @contextmanager
    def _attached(self, count: int) -> Iterator[None]:
        """So many adapters in place; gone afterwards, also when attaching or drawing fails."""
        try:
            self._change(partial(self._attach, count))
            yield
        finally:
            self._change(self._pipe.unload_ip_adapter)

    def _attach(self, count: int) -> None:
        self._pipe.load_ip_adapter(
            str(self._adapter_folder),
            subfolder=self._adapter.subfolder,
            weight_name=[self._adapter.weight_name] * count,
            image_encoder_folder=self._adapter.image_encoder_folder,
            local_files_only=True,
        )

    def _change(self, step: Callable[[], None]) -> None:
        """Offload hooks are laid over finished modules (diffusers #7300): off, change, and on again."""
        if not self._offload:
            step()
            return
        self._pipe.remove_all_hooks()
        step()
        self._lay_offload(self._pipe)

    def _shared_out(self, guides: Sequence[Guide]) -> list[Sequence[Guide]]:
        """The guides that each adapter serves; no adapter without one."""
        if self._adapter.several == "each":
            return [[guide] for guide in guides]
        return [guides] if guides else []

    def _guidance(self, adapters: Sequence[Sequence[Guide]]) -> dict[str, Any]:
        """Pictures for every adapter, and masks if it must tell them apart: by region or by scale.

        An adapter without masks attends to all of its pictures at once, with one scale.
        """
        import torch

        side, background = self._pipe.image_encoder.config.image_size, self._adapter.background
        pictures = [
            [square_reference(guide.image, side, background) for guide in served] for served in adapters
        ]
        arguments: dict[str, Any] = {"ip_adapter_image": pictures}
        everywhere = all(guide.region == WHOLE for served in adapters for guide in served)
        if not everywhere or any(len({(g.scale, g.use) for g in served}) > 1 for served in adapters):
            masks = [torch.stack([self._mask(guide.region) for guide in served])[None] for served in adapters]
            arguments["cross_attention_kwargs"] = {"ip_adapter_masks": masks}
        return arguments

    def _set_scales(self, adapters: Sequence[Sequence[Guide]]) -> None:
        """Each adapter's scale in each layer; one that takes the style does not hear of the thing, and the other way."""
        style = self._adapter.style_layers
        for name, processor in self._pipe.unet.attn_processors.items():
            if hasattr(processor, "scale"):
                deaf = "thing" if name.startswith(style) else "style"
                processor.scale = [_adapter_scale(served, deaf if style else "") for served in adapters]

    def _mask(self, region: Box) -> Any:
        """How much of each latent pixel lies in the region, float32 [h, w], 0 to 1.

        Attention layers pick single points of a mask, so a narrow box would fall between the
        points of one that has the image's own size.
        """
        import torch

        size = self._profile.size
        left, top, right, bottom = region.pixels(size, size)
        mask = torch.zeros(1, size, size, device=self._device)
        mask[:, top:bottom, left:right] = 1
        return torch.nn.functional.avg_pool2d(mask, self._pipe.vae_scale_factor)[0]

    def _reporter(self, on_step: OnStep | None, watch: Watch | None) -> StepEnd:
        def report(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            latents = _clean_estimate(pipe.scheduler, tensors["latents"])
            if watch is not None:
                watch.step(self._preview(latents[watch.index : watch.index + 1])[0])
            if on_step is not None:
                on_step(step + 1, pipe.num_timesteps, lambda: beside(self._preview(latents)))
            return {}

        return report

    def _preview(self, latents: Any) -> list[Image.Image]:
        """Decode latents [n, c, h, w], made smaller first if they are large."""
        import torch
        from torch.nn.functional import interpolate

        vae = self._pipe.vae
        shrink = min(1.0, PREVIEW_LATENTS / max(latents.shape[-2:]))
        with torch.no_grad(), torch.autocast(latents.device.type, torch.bfloat16, vae.dtype == torch.float16):
            latents = latents / latents.std(dim=(1, 2, 3), keepdim=True).clamp(
                min=1
            )  # early latents of some samplers are 14 times too loud
            if shrink < 1:
                latents = interpolate(latents.float(), scale_factor=shrink, mode="area")
            latents = (latents / vae.config.scaling_factor).to(vae.dtype)
            # Not vae.decode: under offload its hook would send the U-Net away after every step.
            vae.to(latents.device)
            if getattr(vae, "post_quant_conv", None) is not None:
                latents = vae.post_quant_conv(latents)
            decoded = vae.decoder(latents)
        return self._pipe.image_processor.postprocess(decoded.float(), output_type="pil")


def _noise(seeds: Sequence[int]) -> dict[str, Any]:
    """Where the noise comes from: each image's from a seed of its own, so that none depends on those beside it."""
    import torch

    sources = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    return {"generator": sources[0] if len(sources) == 1 else sources, "num_images_per_prompt": len(sources)}


def _with_structure(control: Control | None, steps: int) -> list[Lora]:
    """What is worn beside the styles, the less the weaker a structure guides; nothing where it guides no step."""
    if control is None or control.lora is None or not control.scale or not round(control.share * steps):
        return []
    return [replace(control.lora, scale=min(1.0, control.scale))]


def _adapter_scale(served: Sequence[Guide], deaf: str) -> float | list[float]:
    """One scale for all of an adapter's pictures, or, where they differ, one for each; `deaf` is the use that is left out."""
    scales = [0.0 if guide.use == deaf else guide.scale for guide in served]
    return scales[0] if len(set(scales)) == 1 else scales


def _silencing(guided: int, adapters: int, report: StepEnd | None) -> StepEnd:
    """Ends the adapters' part after so many steps; diffusers' own cutoff callback knows only one adapter."""

    def silence(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step + 1 == guided:
            pipe.set_ip_adapter_scale([0.0] * adapters)
        return report(pipe, step, timestep, tensors) if report else {}

    return silence


def _clean_estimate(scheduler: Any, latents: Any) -> Any:
    """The latents as the sampler sees them without noise, where it keeps that: DPM-Solver++ does."""
    outputs = getattr(scheduler, "model_outputs", None)
    predicts = "++" in scheduler.config.get("algorithm_type", "")
    return outputs[-1] if predicts and outputs and outputs[-1] is not None else latents


def _fitting_words(tokenizer: Any, words: Sequence[str]) -> int:
    """How many of the first words fit the window, its special tokens counted in."""

    def tokens(count: int) -> int:
        return len(tokenizer(" ".join(words[:count]), verbose=False).input_ids)

    return bisect_right(range(1, len(words) + 1), tokenizer.model_max_length, key=tokens)


def _is_unknown(tokenizer: Any, word: str) -> bool:
    return tokenizer.unk_token_id in tokenizer(word, add_special_tokens=False).input_ids
