"""CLIP's transformers with eight bits a weight and an activation, for CPUs.

A weight has a step of its own for each output, an activation for each token, so that no vector depends on what else is in its
batch. The products are oneDNN's, which torch brings along for processors of the x86 kind. Convolutions, and with them a residual net's image
tower, stay as they are. Figures, torchao's and ONNX Runtime's beside them: `imgrag/bench/library/README.md`.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from imgrag.errors import CheckpointError

LARGEST = 127  # steps on each side of zero
FEWER = 64  # of a weight, where two products with a byte are added up in 16 bits
MIDDLE = 128  # what stands for zero in an activation's byte
SMALLEST = 1e-12  # that the largest number of a row is taken to be


class EightBits(nn.Module):
    """A linear layer [o, i] with bias: float32 [..., i] -> float32 [..., o].

    Raises:
        CheckpointError: this machine's torch has no product of eight-bit matrices.
    """

    bias: torch.Tensor
    step: torch.Tensor
    zero: torch.Tensor

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        step = weight.detach().float().abs().amax(1).clamp(min=SMALLEST) / _steps()
        whole = (weight.detach().float() / step[:, None]).round().to(torch.int8)
        self.register_buffer("step", step)
        self.register_buffer("zero", torch.zeros(len(step), dtype=torch.int32))
        self.register_buffer("bias", bias.detach().float().clone())
        self._packed = _packed(whole)
        self.nbytes = whole.nbytes
        """Of the weights, which are no tensor that anybody may count: oneDNN keeps them in an order of its own."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """See the class."""
        rows = given.reshape(-1, given.shape[-1])
        steps = torch.linalg.vector_norm(rows, math.inf, dim=1, keepdim=True).clamp_(min=SMALLEST) / LARGEST
        whole = (rows / steps).add_(MIDDLE + 0.5).to(torch.uint8)  # half a step, then cut off: rounded
        found = _product(whole, self._packed, self.step, self.zero)
        return torch.addcmul(self.bias, found, steps).view(*given.shape[:-1], -1)


class Attention(nn.Module):
    """What `nn.MultiheadAttention` of one sequence [t, n, d] to itself does, by layers that can be replaced."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self._heads = attention.num_heads
        self._ins = EightBits(attention.in_proj_weight, attention.in_proj_bias)
        self._out = EightBits(attention.out_proj.weight, attention.out_proj.bias)

    def forward(
        self, given: torch.Tensor, *_: torch.Tensor, need_weights: bool, attn_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, None]:
        """As CLIP's blocks ask for it. `attn_mask` [t, t] is added to the scores."""
        tokens, count, width = given.shape
        heads = self._ins(given).view(tokens, count, 3, self._heads, width // self._heads)
        query, key, value = heads.permute(2, 1, 3, 0, 4)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
        return self._out(mixed.permute(2, 0, 1, 3).reshape(tokens, count, width)), None


def with_eight_bits(model: Any) -> Any:
    """An OpenAI CLIP on the CPU, changed in place: the blocks of its transformers, whichever of its towers are some."""
    for tower in (model.transformer, getattr(model.visual, "transformer", None)):
        for block in tower.resblocks if tower is not None else ():
            block.attn = Attention(block.attn)
            block.mlp.c_fc = EightBits(block.mlp.c_fc.weight, block.mlp.c_fc.bias)
            block.mlp.c_proj = EightBits(block.mlp.c_proj.weight, block.mlp.c_proj.bias)
    return model


def packed_bytes(model: nn.Module) -> int:
    """Bytes of a model's eight-bit weights."""
    return sum(layer.nbytes for layer in model.modules() if isinstance(layer, EightBits))


@cache
def _steps() -> int:
    """Of a weight on each side of zero: fewer where the largest ones would run over, as on x86 without VNNI."""
    most = torch.full((1, 2), LARGEST + MIDDLE, dtype=torch.uint8)
    weight = torch.full((1, 2), LARGEST, dtype=torch.int8)
    found = _product(most, _packed(weight), torch.ones(1), torch.zeros(1, dtype=torch.int32))
    return LARGEST if found.item() == 2 * LARGEST * LARGEST else FEWER


def _product(
    whole: torch.Tensor, packed: torch.Tensor, step: torch.Tensor, zero: torch.Tensor
) -> torch.Tensor:
    """uint8 [n, i] by a weight of steps [o] -> float32 [n, o]."""
    found: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
        whole, 1.0, MIDDLE, packed, step, zero, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return found


def _packed(weight: torch.Tensor) -> torch.Tensor:
    try:
        return torch.ops.onednn.qlinear_prepack(weight, None)
    except (AttributeError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(
            "This machine's torch cannot multiply with eight bits. Set clip.precision to float32 in the profile."
        ) from error
