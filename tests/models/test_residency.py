"""Models in turn, with short models of a known footprint and with one real torch module."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import psutil
import pytest

from imgrag.errors import MemoryBudgetError
from imgrag.models.residency import ModelSpec, Residency

SIZES = {"generator": 40, "vlm": 30, "llm": 20, "clip": 10}
LOOP = ("generator", "vlm", "llm", "clip", "generator", "vlm")  # the roles of a full run, in order


@dataclass
class Block:
    """A model that is nothing but its size."""

    nbytes: int


def roles(**sizes: int) -> list[ModelSpec]:
    recurring = ("generator", "vlm")
    return [
        ModelSpec(name, lambda size=size: Block(size), bytes=size, recurring=name in recurring)
        for name, size in (sizes or SIZES).items()
    ]


def run(residency: Residency, order: Sequence[str] = LOOP) -> int:
    """Borrow the roles in order; how many loads that took."""
    before = residency.loads
    for name in order:
        with residency.use(name):
            pass
    return residency.loads - before


def names(residency: Residency) -> list[str]:
    return [model.name for model in residency.resident]


def test_a_loop_with_one_role_at_a_time_takes_six_loads() -> None:
    assert run(Residency(roles(), budget_bytes=40)) == 6


def test_generator_and_vlm_together_and_the_others_in_turn_take_four_loads() -> None:
    assert run(Residency(roles(), budget_bytes=40 + 30 + 20)) == 4


def test_with_room_nothing_is_loaded_twice() -> None:
    residency = Residency(roles(), budget_bytes=100)
    assert (run(residency), run(residency)) == (4, 0)


def test_resident_loads_nothing_in_a_second_run() -> None:
    residency = Residency(roles(), policy="resident")
    assert (run(residency), run(residency)) == (4, 0)


def test_preloading_leaves_nothing_to_load() -> None:
    residency = Residency(roles(), policy="resident")
    residency.preload()
    assert run(residency) == 0


def test_resident_never_evicts() -> None:
    residency = Residency(roles(), policy="resident", budget_bytes=80)
    with pytest.raises(MemoryBudgetError):
        run(residency, ("generator", "vlm", "llm"))
    assert names(residency) == ["generator", "vlm"]


def test_the_least_recently_used_leaves_first() -> None:
    residency = Residency(roles(a=10, b=10, c=10), budget_bytes=20)
    run(residency, ("a", "b", "a", "c"))
    assert names(residency) == ["a", "c"]


def test_only_as_many_leave_as_must() -> None:
    residency = Residency(roles(a=10, b=10, c=10, d=15), budget_bytes=30)
    run(residency, ("a", "b", "c", "d"))
    assert names(residency) == ["c", "d"]


def test_what_a_model_carries_is_counted_until_it_is_laid_down() -> None:
    residency = Residency(roles(), budget_bytes=90)
    run(residency, ("vlm", "generator"))
    with residency.use("generator", beside=15):
        assert [model.bytes for model in residency.resident] == [30, 55]
    run(residency, ("llm",))
    assert names(residency) == ["generator", "llm"]
    with residency.use("generator"):
        assert [model.bytes for model in residency.resident] == [20, 55]
    with residency.use("generator", beside=0):
        assert [model.bytes for model in residency.resident] == [20, 40]
    with pytest.raises(MemoryBudgetError, match="needs 0 MB"), residency.use("generator", beside=60):
        pass


def test_a_pinned_model_stays() -> None:
    residency = Residency(roles(a=10, b=10, c=10), budget_bytes=20)
    with residency.use("a"):
        run(residency, ("b", "c"))
        assert names(residency) == ["a", "c"]
        assert [model.pinned for model in residency.resident] == [True, False]
    assert not any(model.pinned for model in residency.resident)


def test_a_pin_is_counted() -> None:
    residency = Residency(roles(a=10, b=15), budget_bytes=20)
    with residency.use("a"):
        with residency.use("a"):
            pass
        with pytest.raises(MemoryBudgetError):
            run(residency, ("b",))


def test_a_pin_ends_with_an_exception() -> None:
    residency = Residency(roles(a=10))
    with pytest.raises(ZeroDivisionError), residency.use("a"):
        1 / 0  # noqa: B018
    assert not residency.resident[0].pinned


def test_what_cannot_fit_is_refused_before_anyone_leaves() -> None:
    residency = Residency(roles(idle=10, pinned=40, new=50), budget_bytes=80)
    run(residency, ("idle",))
    with residency.use("pinned"):
        with pytest.raises(MemoryBudgetError, match=r"new model needs .* beside pinned"):
            run(residency, ("new",))
        assert names(residency) == ["idle", "pinned"]


def test_both_sizes_stand_in_the_message() -> None:
    residency = Residency(roles(a=3 * 2**30), budget_bytes=2**30)
    with pytest.raises(MemoryBudgetError, match=r"needs 3\.0 GB.*1\.0 GB together"):
        run(residency, ("a",))


def test_the_measured_footprint_counts_when_the_estimate_was_too_low() -> None:
    specs = [ModelSpec("a", lambda: Block(30), bytes=1), ModelSpec("b", lambda: Block(30), bytes=1)]
    residency = Residency(specs, budget_bytes=50)
    assert run(residency, ("a", "b", "a")) == 3
    assert [(model.name, model.bytes) for model in residency.resident] == [("a", 30)]


def test_a_model_larger_than_said_does_not_stay_beyond_the_budget() -> None:
    residency = Residency([ModelSpec("a", lambda: Block(60), bytes=1)], budget_bytes=50)
    with pytest.raises(MemoryBudgetError):
        run(residency, ("a",))
    assert names(residency) == []


def test_a_load_that_fails_leaves_all_as_it_was() -> None:
    class Broken:
        def __call__(self) -> Block:
            raise MemoryError

    residency = Residency([*roles(a=10), ModelSpec("b", Broken(), bytes=5)], budget_bytes=20)
    run(residency, ("a",))
    with pytest.raises(MemoryBudgetError, match="memory ran out while the b model"):
        run(residency, ("b",))
    assert (names(residency), residency.loads) == (["a"], 1)


def test_another_error_of_a_load_is_passed_on() -> None:
    def broken() -> Block:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        run(Residency([ModelSpec("a", broken)]), ("a",))


def test_an_evicted_model_is_referenced_by_no_one() -> None:
    residency = Residency(roles(a=10, b=15), budget_bytes=20)
    with residency.use("a") as model:
        gone = weakref.ref(model)
    del model
    assert gone() is not None
    run(residency, ("b",))
    assert gone() is None


def test_release_lets_idle_models_go() -> None:
    residency = Residency(roles(a=10, b=15))
    with residency.use("a"):
        run(residency, ("b",))
        residency.release()
        assert names(residency) == ["a"]


def test_a_real_module_gives_its_memory_back() -> None:
    """At least 90% of a 128 MB torch module. In a process of its own: what else goes on in one takes memory too."""
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        left, size = alone.submit(left_by_a_real_module).result(timeout=300)
    assert left <= 0.1 * size


def left_by_a_real_module() -> tuple[int, int]:
    """Bytes by which the process has grown once a module has come and gone, and its own."""
    import torch

    class Layered(torch.nn.Module):
        """Holds a reference to itself, as hooked modules do: only the collector frees it."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(2048, 2048) for _ in range(8))
            self.__dict__["me"] = self

        @property
        def nbytes(self) -> int:
            return sum(p.nbytes for p in self.parameters())

    def borrow(residency: Residency) -> weakref.ref:
        with residency.use("big") as model:
            return weakref.ref(model)

    freed = torch.ones(2200, 2200)  # glibc learns from it to keep what is as large
    del freed
    residency = Residency([ModelSpec("big", Layered)])
    gc.collect()
    before = psutil.Process().memory_info().rss
    gone = borrow(residency)
    (big,) = residency.resident
    assert big.bytes == 8 * (2048 * 2048 + 2048) * 4
    assert gone() is not None
    residency.release()
    assert gone() is None
    alive = [o for o in gc.get_objects() if type(o) is torch.nn.Parameter and o.shape == (2048, 2048)]
    assert not alive
    return psutil.Process().memory_info().rss - before, big.bytes
