"""The roles a profile fills, one file each. Stages know these protocols and no library behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from imgrag.models.attention import Watch
from imgrag.runs.structure import Kind
from imgrag.runs.styles import Use
from imgrag.runs.values import WHOLE, Box

OnStep = Callable[[int, int, Callable[[], Image.Image]], None]
"""Called after each denoising step with (steps done, steps in all, a function that makes a
preview). To stop the drawing, raise `Cancelled` from it."""


@dataclass(frozen=True)
class Guide:
    """A reference as the generator takes it: a picture, the adapter's scale, the part it may fill, what of it guides."""

    image: Image.Image = field(repr=False)
    scale: float
    region: Box = WHOLE
    use: Use = "both"


@dataclass(frozen=True)
class Lora:
    """A LoRA as the generator takes it.

    Attributes:
        name: its style's.
        scale: how strongly, 0 to 4.
        hash: SHA-256 of its file.
        bytes: the most that it takes in memory.
    """

    name: str
    file: Path
    scale: float = 1.0
    hash: str = ""
    bytes: int = 0


@dataclass(frozen=True)
class Control:
    """A structure as the generator takes it.

    Attributes:
        net: the ControlNet, a model of the role "control".
        image: the condition, RGB of the output's size.
        kind: what the condition was made of.
        scale: how strongly it guides, 0 to 2.
        share: of the denoising steps, the first ones, that it guides.
        lora: what the generator wears meanwhile, for the whole image.
    """

    net: Any = field(repr=False)
    image: Image.Image = field(repr=False)
    kind: Kind
    scale: float = 1.0
    share: float = 1.0
    lora: Lora | None = None


@dataclass(frozen=True)
class CaptionAdapter:
    """What a captioner may wear: the folder of a LoRA by peft, or of its whole weights with one merged in."""

    name: str
    folder: Path
    merged: bool = False


class Captioner(Protocol):
    """Writes captions from what prompts tell."""

    def write(self, prompts: Sequence[str], say: Callable[[str], None] | None = None) -> list[str]:
        """A caption for each prompt. Of a single one `say` is told the text so far, word by word."""
        ...

    def wear(self, adapter: CaptionAdapter | None) -> None:
        """Have just this adapter on; it stays on until another one is wanted, or none.

        Raises:
            RequestError: it is damaged, or made for another model.
        """
        ...


class Upscaler(Protocol):
    """Makes a picture larger and cleaner."""

    @property
    def factor(self) -> int:
        """How many times as wide and high."""
        ...

    def enlarge(self, picture: Image.Image, check: Callable[[], None] = lambda: None) -> Image.Image:
        """The picture, RGB, `factor` times as large; `check` is called between its pieces and may raise.

        Raises:
            RequestError: what would come out is beyond all measure.
        """
        ...


class Generator(Protocol):
    """Draws, with or without references. One entry in memory serves both images of a run."""

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
        """An image for each seed, all at once; `watch` takes in what goes on and changes nothing. The adapter is attached only if there are guides, and guides that share
        of the steps, the first.

        LoRAs stay on for the next image, until other ones are wanted, or none; a ControlNet does not.

        Raises:
            StyleError: a LoRA's file is damaged, or made for another base model.
        """
        ...

    def cut(self, prompt: str) -> str:
        """The end of the prompt that the text encoder's window leaves out, "" if it fits."""
        ...

    def unknown_words(self, prompt: str) -> dict[str, list[str]]:
        """Words of the prompt that the tokenizer does not know, each with its nearest spellings."""
        ...


class Chat(Protocol):
    """A VLM, or an LLM that is given no pictures."""

    def reply(
        self, question: str, images: Sequence[Image.Image] = (), *, temperature: float = 0.0, seed: int = 0
    ) -> str:
        """The model's answer, without special tokens. Temperature 0 is greedy."""
        ...

    def tokens(self, text: str) -> int:
        """How many tokens a text has for it."""
        ...


class Judge(Chat, Protocol):
    """A VLM, which can also be asked how likely an answer is, or how sure it is of one."""

    def sureness(self, questions: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
        """For each yes-or-no question p(yes) / (p(yes) + p(no)) of the next token, in 0..1.

        As VQAScore does (Lin et al., 2024). The pictures are looked at once for all questions.
        """
        ...

    def odds(self, question: str, shown: Sequence[Sequence[Image.Image]]) -> list[float]:
        """log p(yes) - log p(no) of one yes-or-no question, for each of several sets of pictures, in batches."""
        ...


class Ranker(Protocol):
    """A model that was trained to say whether a picture is what is asked for."""

    def fits(self, text: str, picture: Image.Image | None, candidates: Sequence[Image.Image]) -> list[float]:
        """log p(yes) - log p(no) for each candidate; asked are words, a picture, or both."""
        ...


class Embedder(Protocol):
    """CLIP, or a composer: pictures and words as unit vectors of one space."""

    model_id: str

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    @property
    def side(self) -> int:
        """Pixels on the short side that are looked at; a larger picture gains nothing."""
        ...

    @property
    def prepare(self) -> Callable[[Image.Image], Image.Image]:
        """Makes of a picture what the model looks at; `embed_images` gives both the same vector.

        Any thread may call it. It holds no weights, so the model may leave memory meanwhile.
        """
        ...

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """float32 [n, d], each of length 1."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, d], each of length 1. Texts longer than CLIP's window are cut."""
        ...

    def compose(self, image: Image.Image, text: str, weight: float) -> np.ndarray:
        """float32 [d] of length 1 for a picture as words would have it; `weight` is the picture's share."""
        ...


def weighted_sum(image: np.ndarray, text: np.ndarray, weight: float) -> np.ndarray:
    """Two unit vectors [d] as one, the first with this share: how a space without a composer composes."""
    both = weight * image + (1 - weight) * text
    return np.asarray(both / max(float(np.linalg.norm(both)), 1e-9))
