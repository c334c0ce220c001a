"""Where words and pictures act in a drawing: a U-Net's cross-attention, watched while it draws.

Of the words it is the attention's probabilities, as DAAM has it (Tang et al., 2023). An adapter's picture tokens
have a softmax of their own, which sums to 1 wherever it looks, so of a picture it is the length of what its tokens
add: probabilities times values (Kobayashi et al., 2020), with scale and mask. Hooks look at what goes into a layer
and leave what comes out alone, so the image stays the same bit for bit; processors that record would hide the
adapter's own class, by which diffusers ends its part after its share of the steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

LONGEST_SIDE = 32  # of a map; a larger one says no more


@dataclass(frozen=True)
class Word:
    """A word of a prompt: where it begins, in characters, and its tokens' places in the window."""

    text: str
    at: int
    tokens: range


class Watch:
    """Takes in one drawing, step by step.

    Args:
        index: which of the images that are drawn at once is watched.

    Attributes:
        frames: the image after each step.
        words: of the prompt, with their tokens' places; none where the U-Net shows nothing of them.
    """

    def __init__(self, index: int = 0) -> None:
        self.index = index
        self.frames: list[Image.Image] = []
        self.words: list[Word] = []
        self._steps: list[dict[str, np.ndarray]] = []
        self._now: dict[str, list[np.ndarray]] = {"words": [], "pictures": []}

    def take(self, kind: str, maps: np.ndarray) -> None:
        """Maps of one layer, float32 [n, h, w]: of all tokens, or of all pictures."""
        self._now[kind].append(maps)

    def step(self, frame: Image.Image) -> None:
        """A step is done and the image looks like this."""
        self.frames.append(frame)
        self._steps.append({kind: np.mean(maps, axis=0) for kind, maps in self._now.items() if maps})
        self._now = {"words": [], "pictures": []}

    def maps(self, kind: str) -> np.ndarray | None:
        """float32 [steps, n, h, w] of "words" (all tokens of the window) or "pictures"; `None` where nothing was seen.

        Where an adapter is silent its pictures have zeros.
        """
        seen = [step[kind] for step in self._steps if kind in step]
        if not seen:
            return None
        nothing = np.zeros_like(seen[0])
        return np.stack([step.get(kind, nothing) for step in self._steps])


@contextmanager
def watching(pipe: Any, prompt: str, images: int, watch: Watch | None) -> Iterator[None]:
    """Let `watch` see what goes on in the pipeline's U-Net within.

    Args:
        images: how many are drawn at once.
    """
    layers = crossings(getattr(pipe, "unet", None)) if watch is not None else []
    if watch is None or not layers:
        yield
        return
    watch.words = words_of(pipe.tokenizer, prompt)
    look = _Look(watch, watch.index - images)
    with ExitStack() as hooks:
        hooks.callback(pipe.unet.register_forward_pre_hook(look.size).remove)
        for layer in layers:
            hooks.callback(layer.register_forward_hook(look.layer, with_kwargs=True).remove)
        yield


def crossings(unet: Any) -> list[Any]:
    """The layers in which a U-Net attends to words, none of those that change what goes in first."""
    modules = unet.named_modules() if hasattr(unet, "named_modules") else ()
    found = [module for name, module in modules if name.endswith(".attn2")]
    return [m for m in found if m.group_norm is None and m.spatial_norm is None and not m.norm_cross]


def words_of(tokenizer: Any, prompt: str) -> list[Word]:
    """The words of a prompt within the window; none where its tokens are not those of its words one by one."""
    encode = partial(tokenizer, add_special_tokens=False, verbose=False)
    pieces = list(re.finditer(r"[^\W_]+|[^\w\s]+|_+", prompt))
    counts = [encode(piece.group()).input_ids for piece in pieces]
    whole = tokenizer(prompt, verbose=False).input_ids
    if [token for tokens in counts for token in tokens] != list(encode(prompt).input_ids):
        return []
    at = 1 if whole[0] == tokenizer.bos_token_id else 0
    words = []
    for piece, tokens in zip(pieces, counts, strict=True):
        place, at = range(at, at + len(tokens)), at + len(tokens)
        if at < tokenizer.model_max_length and piece.group()[0].isalnum() and tokens:
            words.append(Word(piece.group(), piece.start(), place))
    return words


class _Look:
    """The hooks: they see each layer's queries again, and what they met.

    Args:
        row: of a batch, from its end: the image that is watched, drawn with the prompt.
    """

    def __init__(self, watch: Watch, row: int) -> None:
        self._watch = watch
        self._row = row
        self._shape = (1, 1)

    def size(self, unet: Any, given: tuple[Any, ...]) -> None:
        """Before the U-Net: how high and wide the latents are."""
        self._shape = tuple(given[0].shape[-2:])

    def layer(self, layer: Any, args: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        """After a layer: where each token and each picture acted."""
        hidden = args[0] if args else named["hidden_states"]
        met = named.get("encoder_hidden_states")
        text, pictures = met if isinstance(met, tuple) else (met, [])
        queries = _heads(layer.to_q(hidden[self._row][None])[0], layer)
        keys = _heads(layer.to_k(text[self._row][None])[0], layer)
        self._take("words", _attended(queries, keys).mean(0).T)
        if len(pictures):
            told = _pictures(layer, queries, pictures, self._row, named.get("ip_adapter_masks"))
            self._take("pictures", told)

    def _take(self, kind: str, maps: torch.Tensor) -> None:
        """Maps [n, pixels] as the image lies, all layers' of one size."""
        from torch.nn.functional import interpolate

        height, width = self._shape
        part = (height * width / maps.shape[1]) ** 0.5
        laid = maps.reshape(1, len(maps), round(height / part), -1)
        fits = min(1.0, LONGEST_SIDE / max(height, width))
        size = (max(1, round(height * fits)), max(1, round(width * fits)))
        mode = "area" if laid.shape[-1] > size[1] else "bilinear"
        self._watch.take(kind, interpolate(laid.float(), size, mode=mode)[0].cpu().numpy())


def _heads(states: torch.Tensor, layer: Any) -> torch.Tensor:
    """[n, c] -> float32 [heads, n, c / heads]."""
    return states.float().unflatten(-1, (layer.heads, -1)).transpose(0, 1)


def _attended(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Probabilities [heads, pixels, tokens]."""
    return (queries @ keys.transpose(1, 2) * queries.shape[-1] ** -0.5).softmax(-1)


def _pictures(
    layer: Any, queries: torch.Tensor, states: Sequence[torch.Tensor], row: int, masks: Any
) -> torch.Tensor:
    """How long what each picture adds is at each pixel, [pictures, pixels], over all adapters."""
    import torch

    adapters, found = layer.processor, []
    for number, (state, scale) in enumerate(zip(states, adapters.scale, strict=True)):
        shown = state[row]  # [pictures, tokens, c]
        mask = None if masks is None else masks[number]
        scales = scale if isinstance(scale, list) else [scale] * len(shown)
        keys, values = (
            _heads(part[number](shown.flatten(0, 1)), layer) for part in (adapters.to_k_ip, adapters.to_v_ip)
        )
        added = _apart(queries, keys, values, len(shown), together=mask is None)
        for place, (length, strength) in enumerate(zip(added, scales, strict=True)):
            found.append(length * strength * _covered(mask, place, length))
    return torch.stack(found)


def _apart(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, count: int, together: bool
) -> list[torch.Tensor]:
    """What each picture's tokens add, as lengths [pixels], averaged over the heads.

    Args:
        together: all pictures share one softmax; with masks each has its own.
    """
    parts = zip(keys.chunk(count, 1), values.chunk(count, 1), strict=True)
    if not together:
        return [(_attended(queries, key) @ value).norm(dim=-1).mean(0) for key, value in parts]
    shares = _attended(queries, keys).chunk(count, -1)
    return [
        (share @ value).norm(dim=-1).mean(0)
        for share, value in zip(shares, values.chunk(count, 1), strict=True)
    ]


def _covered(mask: Any, place: int, pixels: torch.Tensor) -> Any:
    """How much of each pixel a picture's mask covers, as diffusers has it."""
    if mask is None:
        return 1.0
    from diffusers.image_processor import IPAdapterMaskProcessor

    covered = IPAdapterMaskProcessor.downsample(mask[:, place], 1, len(pixels), 1)
    return covered[0, :, 0].to(pixels)
