"""Models in turn: who is in memory, who has to leave for the next one, and how much came back.

A role is declared once (`ModelSpec`) and borrowed with `with residency.use("vlm") as vlm:`.
While borrowed it is pinned. When the next one does not fit the budget, idle models leave, the
least recently used first. Nothing else knows of loading: stages know no policy, and this module
knows no stage.

Let no name of yours outlive the `with` block: a model leaves memory when its last reference
does. That is why a stage is a function of its own.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import psutil

from imgrag.errors import MemoryBudgetError

Policy = Literal["sequential", "resident"]
SHARE = 0.8  # of the memory that is free at the start; the rest is for activations


class Sized(Protocol):
    """What a model must tell of itself."""

    @property
    def nbytes(self) -> int:
        """Bytes of its parameters and buffers on the device."""
        ...


@dataclass(frozen=True)
class ModelSpec:
    """How to get a role's model.

    Attributes:
        name: of the role.
        load: makes the model. It is called with nothing and must keep no reference to what it returns.
        bytes: the most it will take, an estimate; the measured footprint counts if that is more.
        label: what to call the checkpoint on a page or in a record.
        recurring: needed more than once in a run; leaves after the models that are not.
        passing: leaves as soon as nobody uses it.
    """

    name: str
    load: Callable[[], Sized]
    bytes: int = 0
    label: str = ""
    recurring: bool = False
    passing: bool = False


@dataclass(frozen=True)
class Resident:
    """A model in memory. `grown` is by how much the process (or the GPU's use) grew as it loaded."""

    name: str
    bytes: int
    grown: int
    pinned: bool
    label: str = ""


@dataclass(frozen=True)
class Usage:
    """What is in memory: the process (or the GPU's allocation), the models, and what they may take together."""

    bytes: int
    budget_bytes: int | None
    models: tuple[Resident, ...]


@dataclass
class _Entry:
    spec: ModelSpec
    model: Any
    bytes: int
    grown: int
    beside: int = 0  # bytes of what it was lent to carry, such as LoRAs
    pins: int = 0
    used: int = 0  # a counter's reading: the larger the more recent


class Residency:
    """Holds models and lets them go.

    Args:
        specs: the roles.
        policy: "sequential" lets idle models go when the next needs room, "resident" never does.
        budget_bytes: what all models together may take. `None` is a share of what is free at
            the start (sequential) or no limit (resident, as on ZeroGPU, where nothing can be asked).
        device: "cpu", "cuda", ...; decides which memory is measured.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        policy: Policy = "sequential",
        budget_bytes: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.policy = policy
        self.device = device
        self.loads = 0
        self._specs = {spec.name: spec for spec in specs}
        self._entries: dict[str, _Entry] = {}
        self._measured: dict[str, int] = {}
        self._lock = threading.RLock()
        self._clock = 0
        if budget_bytes is None and policy == "sequential":
            budget_bytes = int(free_bytes(device) * SHARE)
        self.budget_bytes = budget_bytes

    def has(self, name: str) -> bool:
        """Whether there is such a role."""
        return name in self._specs

    @contextmanager
    def use(self, name: str, beside: int | None = None) -> Iterator[Any]:
        """Borrow a model, loaded if need be.

        Args:
            beside: bytes that it will carry from now on, beyond its own; `None`: as many as before.

        Raises:
            KeyError: there is no such role.
            MemoryBudgetError: it does not fit beside the models in use. Nothing has left for it.
        """
        entry = self._acquire(name, beside)
        try:
            yield entry.model
        finally:
            with self._lock:
                entry.pins -= 1
                if entry.spec.passing and not entry.pins:
                    self._drop([name])

    @property
    def resident(self) -> list[Resident]:
        """The models in memory, in the order in which they were last asked for."""
        entries = list(self._entries.values())  # in one go: the page looks while a model is loading
        entries.sort(key=lambda entry: entry.used)
        return [Resident(e.spec.name, e.bytes + e.beside, e.grown, e.pins > 0, e.spec.label) for e in entries]

    def usage(self) -> Usage:
        """What is in memory at this moment; can be asked while a model is loading."""
        return Usage(used_bytes(self.device), self.budget_bytes, tuple(self.resident))

    def spec(self, name: str) -> ModelSpec:
        """The declaration of a role."""
        return self._specs[name]

    def preload(self, names: Sequence[str] = ()) -> None:
        """Load these roles now, or all; what a resident policy wants before the first request."""
        for name in names or self._specs:
            with self.use(name):
                pass

    def release(self) -> None:
        """Let all idle models go."""
        with self._lock:
            self._drop([entry.spec.name for entry in self._entries.values() if not entry.pins])

    def _acquire(self, name: str, beside: int | None) -> _Entry:
        with self._lock:
            spec = self._specs[name]
            entry = self._entries.get(name)
            carried = entry.beside if entry is not None else 0
            if entry is None or (beside or 0) > carried:
                self._make_room(spec, beside or 0)
            entry = entry or self._load(spec)
            entry.beside = carried if beside is None else beside
            self._clock += 1
            entry.used, entry.pins = self._clock, entry.pins + 1
            return entry

    def _load(self, spec: ModelSpec) -> _Entry:
        before = used_bytes(self.device)
        try:
            model = spec.load()
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise self._too_big(spec) from error
        entry = _Entry(spec, model, model.nbytes, max(0, used_bytes(self.device) - before))
        self._measured[spec.name] = entry.bytes
        self.loads += 1
        self._entries[spec.name] = entry
        self._settle(spec)
        return entry

    def _settle(self, spec: ModelSpec) -> None:
        """Make good for an estimate that was too low: others leave, or the new one does."""
        try:
            self._make_room(spec)
        except MemoryBudgetError:
            self._drop([spec.name])
            raise

    def _make_room(self, spec: ModelSpec, beside: int = 0) -> None:
        """Choose who leaves before anyone does, so that a refusal changes nothing."""
        if self.budget_bytes is None:
            return
        others = [entry for entry in self._entries.values() if entry.spec.name != spec.name]
        total = self._expected(spec) + beside + sum(self._expected(e.spec) + e.beside for e in others)
        leaving = []
        for entry in sorted(others, key=lambda entry: (entry.spec.recurring, entry.used)):
            if total <= self.budget_bytes:
                break
            if not entry.pins and self.policy == "sequential":
                leaving.append(entry.spec.name)
                total -= self._expected(entry.spec) + entry.beside
        if total > self.budget_bytes:
            raise self._no_room(spec, beside, others)
        self._drop(leaving)

    def _expected(self, spec: ModelSpec) -> int:
        return max(spec.bytes, self._measured.get(spec.name, 0))

    def _drop(self, names: Sequence[str]) -> None:
        if not names:
            return
        for name in names:
            self._entries.pop(name).model = None  # whoever still holds the entry holds no model
        gc.collect()
        _trim()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def _no_room(self, spec: ModelSpec, carried: int, others: Sequence[_Entry]) -> MemoryBudgetError:
        staying = [entry.spec for entry in others if entry.pins or self.policy == "resident"]
        beside = (
            " beside " + " and ".join(f"{s.name} ({_size(self._expected(s))})" for s in staying)
            if staying
            else ""
        )
        return MemoryBudgetError(
            f"The {spec.name} model needs {_size(self._expected(spec) + carried)}{beside}, and the models may take "
            f"{_size(self.budget_bytes or 0)} together. Free some memory, or choose a smaller profile."
        )

    def _too_big(self, spec: ModelSpec) -> MemoryBudgetError:
        return MemoryBudgetError(
            f"The memory ran out while the {spec.name} model ({_size(self._expected(spec))}) was loading. "
            "Close other programs, or choose a smaller profile."
        )


def free_bytes(device: str) -> int:
    """Memory that is free now: the GPU's on a GPU, the machine's elsewhere."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def used_bytes(device: str) -> int:
    """What this process holds now: allocated on the GPU, resident in memory elsewhere."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.memory_allocated(device)
    return psutil.Process().memory_info().rss


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has its own class for it on a GPU, and a bare RuntimeError on a CPU."""
    torch = sys.modules.get("torch")
    on_gpu = torch is not None and isinstance(error, torch.OutOfMemoryError)
    return on_gpu or isinstance(error, MemoryError) or "not enough memory" in str(error)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"


def _trim() -> None:
    """Give freed memory back to the system: glibc keeps what is below a bound that grows to 32 MB by use."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)  # musl has none
