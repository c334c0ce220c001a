"""In which numbers a training multiplies: bfloat16 or float32, whichever this machine is faster in.

A CPU with AVX-512 BF16 or AMX is about twice as fast in bfloat16, one with AVX2 alone fifteen times slower.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn

KINDS = ("bfloat16", "float32")
TRIED = 3  # steps in each; the first one also makes what later ones reuse, so the fastest counts
MARGIN = 1.2  # by how much float32 must be faster: where they are close, every start decides alike

_products: ContextVar[str] = ContextVar("products", default="bfloat16")


def autocast(device: torch.device) -> torch.autocast:
    """Matrix products and convolutions in the numbers that are in force, bfloat16 outside of `multiplying`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=_products.get() == "bfloat16")


@contextmanager
def multiplying(products: str) -> Iterator[None]:
    """Within it, `autocast` gives these of `KINDS`."""
    token = _products.set(products)
    try:
        yield
    finally:
        _products.reset(token)


def faster(
    whole: nn.Module,
    loss: Callable[[int], torch.Tensor],
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> str:
    """Which of `KINDS` some steps of a training take less time in; on an accelerator always bfloat16.

    Neither weights and buffers nor torch's random numbers are other ones afterwards.

    Args:
        loss: `step -> scalar tensor`.
        clock: seconds.
    """
    if device.type != "cpu":
        return "bfloat16"
    seconds = dict.fromkeys(KINDS, math.inf)
    buffers = {name: buffer.clone() for name, buffer in whole.named_buffers()}
    with torch.random.fork_rng(devices=[]):
        for products in KINDS:
            for step in range(TRIED):
                began = clock()
                with multiplying(products):
                    loss(step).backward()
                seconds[products] = min(seconds[products], clock() - began)
    for name, buffer in whole.named_buffers():
        buffer.copy_(buffers[name])
    whole.zero_grad(set_to_none=True)
    return "float32" if seconds["float32"] * MARGIN < seconds["bfloat16"] else "bfloat16"
