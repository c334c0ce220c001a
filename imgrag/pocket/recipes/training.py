"""The one training loop of all recipes: seeded, resumable, with an average of the weights.

A recipe gives its modules and a loss for step `i`; every random number of a step comes from
`(seed, i)`, so a run that was stopped and resumed sees the same samples as one that was not.
Checkpoints go to `.cache/train/<name>.pt`, which git ignores; they hold the optimizer too and
are read with `weights_only=True`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from imgrag.errors import RequestError
from imgrag.pocket.recipes.precision import faster, multiplying
from imgrag.runs.values import in_brief

CACHE = Path(__file__).parents[3] / ".cache" / "train"
LOG_EVERY = 250  # steps


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. `ema` is the decay of the weight average, 0 for none; `last` is the
    rate at the end as a share of the peak."""

    steps: int
    lr: float
    seed: int = 0
    warmup: int = 300
    weight_decay: float = 0.01
    ema: float = 0.0
    clip: float = 1.0
    save_every: int = 1000
    last: float = 0.02

    def rate(self, step: int) -> float:
        """Linear warm-up, then a half cosine to `last` of the peak."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * (self.last + (1 - self.last) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@dataclass(frozen=True)
class Fitted:
    """What a training cost: optimizer steps, wall seconds over all its sittings, the last loss.

    `products` says in which numbers it multiplied, see `precision`.
    """

    steps: int
    seconds: float
    loss: float
    products: str


def together(terms: Sequence[Fitted]) -> Fitted:
    """The cost of trainings that followed each other."""
    kinds = " and ".join(sorted({term.products for term in terms}))
    steps, seconds = sum(term.steps for term in terms), sum(term.seconds for term in terms)
    return Fitted(steps, seconds, terms[-1].loss, kinds)


def pick_device(device: str) -> torch.device:
    """ "auto" is CUDA, then Apple's MPS, then the CPU. Raises RequestError: there is no such device here."""
    if device != "auto":
        return _usable(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _usable(device: str) -> torch.device:
    try:
        return torch.empty(1, device=device).device
    except (RuntimeError, AssertionError) as error:  # a word that is none, or torch lacks what it needs
        raise RequestError(
            f"There is no device {in_brief(device)!r} here. Choose cpu, cuda, mps or auto."
        ) from error


def step_rng(seed: int, step: int) -> np.random.Generator:
    """The random numbers of one step, the same whether or not the run was resumed."""
    return np.random.default_rng((seed, step))


def fit(
    name: str,
    modules: Mapping[str, nn.Module],
    loss: Callable[[int, np.random.Generator], torch.Tensor],
    schedule: Schedule,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
    watch: Callable[[int, float], None] = lambda done, loss: None,
) -> Fitted:
    """Train `modules` in place; at the end they hold the averaged weights.

    It multiplies in the numbers that this machine is faster in, and when it is resumed in the same.

    Args:
        name: names the checkpoint; a finished one is not trained again.
        loss: `(step, rng) -> scalar tensor`, its products within `precision.autocast`.
        clock: seconds.
        watch: told after each step how many are done, and its loss.

    Returns:
        The cost of the whole training, earlier sittings counted in.
    """
    whole = nn.ModuleDict(dict(modules)).to(device).train()
    parameters = [p for p in whole.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=schedule.lr, weight_decay=schedule.weight_decay, betas=(0.9, 0.99)
    )
    average = [p.detach().clone() for p in parameters]
    path = CACHE / f"{name}.pt"

    def value_of(step: int) -> torch.Tensor:
        torch.manual_seed((schedule.seed + 1) * 1_000_003 + step)
        return loss(step, step_rng(schedule.seed, step))

    began = clock()
    # Flash attention's backward is four times slower than plain products at this size on a CPU.
    with sdpa_kernel(SDPBackend.MATH), _progress() as bar:
        begun = _restore(path, whole, optimizer, average, device)
        if begun is None:
            begun = Fitted(0, 0.0, 0.0, faster(whole, value_of, device, clock))
        start, spent, smooth = begun.steps, begun.seconds, begun.loss
        bar.console.print(f"{name} multiplies in {begun.products}")
        task = bar.add_task(name, total=schedule.steps, completed=start, loss=smooth)
        for step in range(start, schedule.steps):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step)
            with multiplying(begun.products):
                value = value_of(step)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(parameters, schedule.clip)
            optimizer.step()
            decay = min(schedule.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
            smooth = value.item() if step == 0 else 0.98 * smooth + 0.02 * value.item()
            bar.update(task, completed=step + 1, loss=smooth)
            done = step + 1
            watch(done, value.item())
            if done % LOG_EVERY == 0:
                elapsed = spent + clock() - began
                bar.console.print(f"{name} step {done} loss {smooth:.4f} seconds {elapsed:.0f}")
            if done % schedule.save_every == 0 or done == schedule.steps:
                now = Fitted(done, spent + clock() - began, smooth, begun.products)
                _save(path, whole, optimizer, average, now)
    with torch.no_grad():
        for parameter, mean in zip(parameters, average, strict=True):
            parameter.copy_(mean)
    whole.eval()
    return Fitted(max(start, schedule.steps), spent + clock() - began, smooth, begun.products)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )


def _save(
    path: Path,
    whole: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: list[torch.Tensor],
    now: Fitted,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    state = {
        "modules": whole.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average,
        "step": now.steps,
        "seconds": now.seconds,
        "loss": now.loss,
        "products": now.products,
    }
    torch.save(state, partial)
    os.replace(partial, path)


def _restore(
    path: Path,
    whole: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: list[torch.Tensor],
    device: torch.device,
) -> Fitted | None:
    if not path.exists():
        return None
    state = torch.load(path, map_location=device, weights_only=True)
    whole.load_state_dict(state["modules"])
    optimizer.load_state_dict(state["optimizer"])
    for mine, saved in zip(average, state["average"], strict=True):
        mine.copy_(saved)
    products = state.get("products", "bfloat16")  # what all trainings had before it was measured
    return Fitted(state["step"], state["seconds"], state["loss"], products)
