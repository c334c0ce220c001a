"""CLIP, by OpenAI's own loader: pictures and words as unit vectors of one space."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from imgrag.models import weighted_sum
from imgrag.models.checkpoints import CLIP_NAMES
from imgrag.models.soundness import UnsoundFile, blaming
from imgrag.models.weights import tensor_bytes
from imgrag.pictures import bounded

BATCH = 64
EIGHT_BITS = "int8"  # a precision
WINDOW, TOKENS = 77, 49408  # what `clip.tokenize` makes of a text: so many numbers, each below so much


def import_clip() -> ModuleType:
    """The `clip` package, without the warning that it still asks setuptools for `pkg_resources`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        import clip
    return clip


def load_clip(name: str, file: Path, device: str, precision: str = "float32") -> ClipEmbedder:
    """Open a CLIP file.

    Args:
        name: OpenAI's name or a path, as the profile has it.
        precision: "float32", or "int8", which is for CPUs and works on one whatever `device` says.

    Raises:
        UnsoundFile: the file holds no CLIP, or one with other words than `clip` has.
        CheckpointError: there are no eight-bit products on this machine.
    """
    clip = import_clip()
    device = "cpu" if precision == EIGHT_BITS else device
    with warnings.catch_warnings(), blaming(file, "is cut short, or no CLIP as OpenAI publishes it"):
        warnings.filterwarnings(
            "ignore", message=".*torch.jit.load. is deprecated"
        )  # how clip opens any file
        model, preprocess = clip.load(str(file), device=device)
    if (model.context_length, model.vocab_size) != (WINDOW, TOKENS):
        read = f"{model.context_length} tokens of {model.vocab_size}"
        raise UnsoundFile(
            file, f"reads {read}, and OpenAI's CLIP {WINDOW} of {TOKENS}: it is another model's"
        )
    if precision == EIGHT_BITS:
        from imgrag.models.eight_bits import with_eight_bits

        model = with_eight_bits(model)
    return ClipEmbedder(model, preprocess, clip_id(name, file, precision), device)


def clip_id(name: str, file: Path, precision: str = "float32") -> str:
    """The `model_id` of a CLIP: OpenAI's own name for it, else which file it is; with eight bits it is another."""
    known = name if name in CLIP_NAMES else file_id(file)
    return f"{known} {precision}" if precision == EIGHT_BITS else known


def file_id(file: Path) -> str:
    """Which model a file is: the first 16 hex digits of its SHA-256."""
    digest = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(2**20):
            digest.update(block)
    return f"sha256:{digest.hexdigest()[:16]}"


@dataclass(frozen=True)
class Cropped:
    """The part of CLIP's `preprocess` that is as much work as decoding: all before the tensor."""

    preprocess: Any
    side: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """A picture of any size and mode -> RGB, square, as large as CLIP looks at."""
        from torchvision.transforms import ToTensor

        steps = takewhile(lambda step: not isinstance(step, ToTensor), self.preprocess.transforms)
        return reduce(lambda picture, step: step(picture), steps, bounded(image, self.side))


class ClipEmbedder:
    """`imgrag.models.Embedder`. Vectors of two models never share a `model_id`."""

    def __init__(self, model: Any, preprocess: Any, model_id: str, device: str) -> None:
        self._model = model
        self._preprocess = preprocess
        self._device = device
        self.model_id = model_id

    @property
    def nbytes(self) -> int:
        from imgrag.models.eight_bits import packed_bytes

        return tensor_bytes(self._model) + packed_bytes(self._model)

    @property
    def dimensions(self) -> int:
        """See `imgrag.models.Embedder`."""
        return int(self._model.text_projection.shape[1])

    @property
    def side(self) -> int:
        """See `imgrag.models.Embedder`."""
        return int(self._model.visual.input_resolution)

    @property
    def prepare(self) -> Callable[[Image.Image], Image.Image]:
        """See `imgrag.models.Embedder`."""
        return Cropped(self._preprocess, self.side)

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """See `imgrag.models.Embedder`."""
        import torch

        vectors = []
        for start in range(0, len(images), BATCH):
            batch = [self._preprocess(bounded(image, self.side)) for image in images[start : start + BATCH]]
            with torch.inference_mode():
                vectors.append(self._model.encode_image(torch.stack(batch).to(self._device)))
        return self._unit(vectors)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """See `imgrag.models.Embedder`."""
        import torch

        clip = import_clip()
        vectors = []
        for start in range(0, len(texts), BATCH):
            tokens = clip.tokenize(list(texts[start : start + BATCH]), truncate=True).to(self._device)
            with torch.inference_mode():
                vectors.append(self._model.encode_text(tokens))
        return self._unit(vectors)

    def compose(self, image: Image.Image, text: str, weight: float) -> np.ndarray:
        """See `imgrag.models.Embedder`: the weighted sum of the two vectors."""
        return weighted_sum(self.embed_images([image])[0], self.embed_texts([text])[0], weight)

    def _unit(self, batches: Sequence[Any]) -> np.ndarray:
        if not batches:
            return np.zeros((0, self.dimensions), np.float32)
        vectors = np.concatenate([batch.float().cpu().numpy() for batch in batches])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
