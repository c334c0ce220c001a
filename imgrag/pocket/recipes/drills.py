"""A drill that teaches a language model to copy: tokens at random, and then the same again.

A name nobody trained on must be repeated piece by piece. In questions and replies a model meets
that seldom, and learns the pieces instead; where nothing but the first half tells what comes
next, the look-up forms at once (induction heads: Olsson et al., 2022).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from imgrag.pocket.world import subwords

BATCH = 128
SPECIALS = len(subwords.SPECIAL)


def repeats(rng: np.random.Generator) -> tuple[torch.Tensor, int]:
    """Tokens [128, t]: 6 to 24 at random, up to 7 others, and the first again; and how many those are."""
    length, gap = int(rng.integers(6, 25)), int(rng.integers(0, 8))
    high = len(subwords.tokenizer())
    phrase = torch.from_numpy(rng.integers(SPECIALS, high, (BATCH, length)))
    between = torch.from_numpy(rng.integers(SPECIALS, high, (BATCH, gap)))
    return torch.cat([phrase, between, phrase], dim=1), length


def drill_loss(
    model: nn.Module, head: nn.Module, rng: np.random.Generator, device: torch.device
) -> torch.Tensor:
    """Cross-entropy over the repetition but its first token. `model` is a decoder without its head."""
    tokens, length = repeats(rng)
    tokens = tokens.to(device)
    hidden = model(input_ids=tokens, use_cache=False).last_hidden_state
    logits = head(hidden[:, -length:-1]).float()
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1 - length :].flatten())
