"""What a generator is trained with, encoded once: latents of the pictures, vectors of captions and references.

The pocket generator and SDXL are one case: a pipeline says itself how it reads words and pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from imgrag.library.intake.pictures import read_picture
from imgrag.models.profile import AdapterProfile
from imgrag.pictures import opaque, square_reference
from imgrag.styles.lessons import Example


@dataclass(frozen=True)
class Conditions:
    """All examples of a style, on the CPU.

    Attributes:
        latents: float32 [n, c, h, w], scaled as the U-Net wants them.
        texts: distinct captions' vectors [m, tokens, width]; the last one is of no words at all.
        pooled: likewise [m, width] where the U-Net asks for them (SDXL), else `None`.
        text_of: of each example, its row in `texts`, int64 [n].
        shown: distinct references' vectors [k, ...]; the last one is of no picture. `None` without any.
        shown_of: of each example, its row in `shown`, int64 [n]; -1 where it has none.
    """

    latents: torch.Tensor
    texts: torch.Tensor
    pooled: torch.Tensor | None
    text_of: torch.Tensor
    shown: torch.Tensor | None
    shown_of: torch.Tensor


@torch.no_grad()
def encode(pipe: Any, adapter: AdapterProfile, examples: Sequence[Example], size: int) -> Conditions:
    """Everything that training asks of the frozen parts. References need the adapter attached."""
    texts, pooled, text_of = _texts(pipe, [example.caption for example in examples])
    shown, shown_of = _references(pipe, adapter, examples)
    usual = pipe.vae.dtype
    pipe.vae.float()  # in half precision SDXL's overflows
    latents = torch.cat([_latents(pipe.vae, example, size) for example in examples])
    pipe.vae.to(usual)
    return Conditions(latents, texts, pooled, text_of, shown, shown_of)


def fitted(example: Example, size: int) -> Image.Image:
    """The middle of a picture, square, RGB [size, size]."""
    return ImageOps.fit(opaque(read_picture(example.picture, size)), (size, size), Image.Resampling.LANCZOS)


def framed(example: Example, pipe: Any, adapter: AdapterProfile) -> Image.Image:
    """An example's reference as the adapter gets it when a run is drawn."""
    side = pipe.image_encoder.config.image_size
    if example.reference is None:
        return Image.new("RGB", (side, side))
    return square_reference(read_picture(example.reference), side, adapter.background)


def _latents(vae: Any, example: Example, size: int) -> torch.Tensor:
    pixels = torch.from_numpy(np.asarray(fitted(example, size), np.float32) / 127.5 - 1)
    encoded = vae.encode(pixels.permute(2, 0, 1)[None].to(vae.device)).latent_dist.mode()
    return (encoded * vae.config.scaling_factor).cpu()


def _texts(pipe: Any, captions: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    distinct = {caption: place for place, caption in enumerate(dict.fromkeys(captions))}
    rows = [_encode_text(pipe, caption) for caption in distinct]
    blank = _encode_text(pipe, "", none=True)
    texts, pooled = zip(*rows, blank, strict=True)
    places = torch.tensor([distinct[caption] for caption in captions])
    return torch.cat(texts), None if pooled[0] is None else torch.cat(pooled), places


def _encode_text(pipe: Any, caption: str, none: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Vectors of a caption, or as guidance has them where nothing is said."""
    encoded = pipe.encode_prompt(
        caption, device=pipe.unet.device, num_images_per_prompt=1, do_classifier_free_guidance=True
    )
    vectors = encoded[int(none)].cpu()
    return vectors, encoded[2 + int(none)].cpu() if len(encoded) > 2 else None


def _references(
    pipe: Any, adapter: AdapterProfile, examples: Sequence[Example]
) -> tuple[torch.Tensor | None, torch.Tensor]:
    places, rows, blank = dict[Any, int](), list[torch.Tensor](), None
    for example in examples:
        if example.reference is not None and example.reference not in places:
            places[example.reference] = len(places)
            picture, blank = _encode_picture(pipe, framed(example, pipe, adapter))
            rows.append(picture)
    shown_of = torch.tensor([places.get(example.reference, -1) for example in examples])
    return None if blank is None else torch.cat([*rows, blank]), shown_of


def _encode_picture(pipe: Any, picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture's vectors and those of none, [1, ...] each."""
    from diffusers.models.embeddings import ImageProjection

    layer = pipe.unet.encoder_hid_proj.image_projection_layers[0]
    encoded, blank = pipe.encode_image(picture, pipe.unet.device, 1, not isinstance(layer, ImageProjection))
    return encoded.cpu(), blank.cpu()
