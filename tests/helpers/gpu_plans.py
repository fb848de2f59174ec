"""Plans for a GPU, made without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tinygrad_mnist import backends, config
from tinygrad_mnist.backends.cuda.code import kernel_names
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.functions import Function


class _Unrun:
    """A program that does nothing."""

    nbytes = 0

    def run(self, arrays: Sequence[Any], slots: Sequence[int]) -> None:
        pass


class _Planning:
    """A backend with the kernels of `cuda` that makes plans, and doesn't run them."""

    name = "cuda"
    fuses = True
    keeps_shared = True
    compiles = False
    rising: frozenset[tuple[str, str]] = frozenset()
    keeps_depth = True
    threads = 1
    target = "none"

    @property
    def kernels(self) -> frozenset[str]:
        return kernel_names()

    def peak(self, dtype: str) -> float | None:
        return None

    def bandwidth(self, nbytes: int) -> float | None:
        return None

    def arena(self) -> _Unrun:
        return _Unrun()

    def prepare(self, plans: Sequence[Plan]) -> None:
        pass

    def program(self, plan: Plan, arena: Any) -> Any:
        return _Unrun()


@contextmanager
def planning_for_cuda() -> Iterator[None]:
    """Functions made inside have plans for the backend `cuda`; they compute nothing."""
    before, real = config.device, backends.BACKENDS.get("cuda")
    backends.BACKENDS["cuda"] = _Planning()
    config.device = "cuda"
    try:
        yield
    finally:
        config.device = before
        del backends.BACKENDS["cuda"]
        if real is not None:
            backends.BACKENDS["cuda"] = real


def plan_of(function: Function, *arguments: Any) -> Plan:
    """The plan that a function made inside `planning_for_cuda` has for these arguments."""
    function(*arguments)
    plan = function.plan
    assert isinstance(plan, Plan)
    return plan
