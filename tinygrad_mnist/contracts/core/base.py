"""Contracts: what a kernel computes, on every backend.

A contract is the one description of a kernel that all backends share: the order of its
parameters, its arithmetic as a NumPy function, its cost as a formula, and what its operands are
for. A backend's kernel of the same name must compute what the reference computes. The rest of the
package knows no kernel by its name: planner, fusion rules and backends ask the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .sizes import n_elements

Array = np.ndarray[Any, np.dtype[Any]]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class ArraySpec:
    """Dtype and shape of an operand, without its data."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return n_elements(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return np.dtype(self.dtype).itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the elements, each counted once."""
        return self.size * self.itemsize


Reference = Callable[[Params, Sequence[Array], Sequence[ArraySpec]], list[Array]]
Flops = Callable[[Params, Sequence[ArraySpec], Sequence[ArraySpec]], int]


# What a tape does in a kernel; the names of the parameters that hold tapes.
PROLOGUE, EPILOGUE, BODY = "prologue", "epilogue", "tape"


@dataclass(frozen=True, eq=False)
class Contract:
    """The contract of one kernel.

    name: the kernel's name on every backend.
    reference: `(params, inputs, outputs) -> arrays`; `outputs` gives the dtypes and shapes wanted.
    flops: `(params, inputs, outputs) -> int`, multiplies and adds counted separately, dense.
    ints: names of the integer parameters, in the order in which native code receives them; a
        parameter that is a tuple contributes its elements one after the other.
    tapes: names of the parameters that are tapes, or tuples of tapes, in native order. The name
        says what the tape does: the `prologue` computes the elements that the kernel works on, from
        all kernel inputs; the `epilogue` makes the first output of the kernel's result and the
        inputs behind the kernel inputs; a `tape` is the whole kernel, from all inputs to all
        outputs. Operands that a tape reads are stretched to the shape that it runs over, and an
        output may be written over an operand of the tape that makes it, element for element.
    kernel_inputs: number of the inputs that come before those of the epilogue, or the name of the
        integer parameter that gives it; for kernels with a prologue or an epilogue alone.
    indices: slice of the kernel inputs whose integers are used as addresses; None for a kernel
        without such inputs. The op has to check the range of each, and on a GPU the kernel does
        nothing after a check that failed.
    checks: whether the kernel writes nothing and checks its input: its reference raises IndexError,
        and then no later call writes a shared variable or uses an index.
    least_flops: like `flops`, but without products that are known to be zero, such as those behind
        a max-pool; None where it is the same.
    picked: numbers of the inputs of which only some elements are read, at most as many as the first
        output has.
    touched: for a kernel that updates its input 0 in place: number of the input whose size is the
        greatest number of elements that change.
    base: whether every backend must have the kernel; otherwise it is a fused form, used where a
        backend has it.
    gpu_only: whether the CPU doesn't have it: a fused form that saves nothing but launches.
    allows_tf32: whether a backend may round factors to tf32 where `config.allow_tf32` is set.
    member: for a kernel that runs several independent calls of another one: that one's contract;
        see `group_contract`.
    optional: those at the end of `ints` that a call leaves out where they are 0.

    Raises ValueError for facts that contradict each other.
    """

    name: str
    reference: Reference
    flops: Flops
    ints: tuple[str, ...] = ()
    tapes: tuple[str, ...] = ()
    picked: tuple[int, ...] = ()
    least_flops: Flops | None = None
    touched: int | None = None
    base: bool = True
    gpu_only: bool = False
    kernel_inputs: int | str | None = None
    indices: slice | None = None
    checks: bool = False
    allows_tf32: bool = False
    member: Contract | None = None
    optional: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = set(self.tapes) - {PROLOGUE, EPILOGUE, BODY}
        if unknown:
            raise ValueError(f"{self.name}: tapes can't be called {', '.join(sorted(unknown))}")
        if self.ints[len(self.ints) - len(self.optional) :] != self.optional:
            raise ValueError(
                f"{self.name}: optional parameters have to be the last of its integers"
            )
        is_split = self.member is None and bool({PROLOGUE, EPILOGUE} & set(self.tapes))
        if is_split != (self.kernel_inputs is not None):
            raise ValueError(
                f"{self.name}: kernel_inputs has to be given with a prologue or an epilogue"
            )
        if self.gpu_only and self.base:
            raise ValueError(f"{self.name}: a kernel that every backend has is on the CPU, too")
        if self.touched is not None and self.tapes:
            raise ValueError(f"{self.name}: a kernel that works in place has no tapes")
        if self.member is not None and (self.member.indices, self.member.touched) != (None, None):
            raise ValueError(f"{self.name}: members neither use indices nor work in place")

    @property
    def has_epilogue(self) -> bool:
        """Whether a tape may join the kernel as its epilogue."""
        return EPILOGUE in self.tapes and self.member is None

    def n_kernel_inputs(self, params: Params, n_inputs: int) -> int:
        """How many of a call's `n_inputs` come before those of the epilogue."""
        n = self.kernel_inputs
        if n is None:
            return n_inputs
        return int(params[n]) if isinstance(n, str) else n

    def index_inputs(self, params: Params, n_inputs: int) -> range:
        """Numbers of the inputs of a call whose integers are used as addresses."""
        if self.indices is None:
            return range(0)
        return range(self.n_kernel_inputs(params, n_inputs))[self.indices]

    def own_params(self, params: Params) -> dict[str, Any]:
        """The contract's parameters among `params`, such as those of an op."""
        return {**self.int_params(params), **{name: params[name] for name in self.tapes}}

    def int_params(self, params: Params) -> dict[str, Any]:
        """The integer parameters among `params`, in native order."""
        names = [name for name in self.ints if name not in self.optional or params.get(name)]
        return {name: params[name] for name in names}

    def flat_ints(self, params: Params) -> list[int]:
        """The integer parameters as one list, in native order."""
        flat: list[int] = []
        for value in self.int_params(params).values():
            flat.extend(int(v) for v in value) if isinstance(value, tuple) else flat.append(
                int(value)
            )
        return flat

    def named_tapes(self, params: Params) -> list[tuple[str, Any]]:
        """The tapes as one list, in native order; those of a tuple are numbered."""
        named: list[tuple[str, Any]] = []
        for name in self.tapes:
            value = params[name]
            if isinstance(value, tuple):
                named += [(f"{name} {k}", tape) for k, tape in enumerate(value)]
            else:
                named.append((name, value))
        return named


CONTRACTS: dict[str, Contract] = {}


def register(contract: Contract) -> Contract:
    """Adds a contract to the registry; a second one of the same name is an error."""
    if contract.name in CONTRACTS:
        raise ValueError(f"the contract {contract.name!r} is registered twice")
    CONTRACTS[contract.name] = contract
    return contract
