"""What every kernel promises, whoever implements it.

A contract is the one description of a kernel that all backends share: the order of its
parameters, its arithmetic as a NumPy function, and its cost as a formula. A backend's kernel of
the same name must compute what the reference computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        return int(np.prod(self.shape, dtype=np.int64))

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


@dataclass(frozen=True)
class Contract:
    """One kernel of the vocabulary.

    name: the kernel's name on every backend.
    reference: `(params, inputs, outputs) -> arrays`; `outputs` gives the dtypes and shapes wanted.
    flops: `(params, inputs, outputs) -> int`, multiplies and adds counted separately, dense.
    ints: names of the integer parameters, in the order in which native code receives them; a
        parameter that is a tuple contributes its elements one after the other.
    tapes: names of the parameters that are tapes, or tuples of tapes, in native order.
    least_flops: like `flops`, but without products that are known to be zero, such as those behind
        a max-pool; None where it is the same.
    picked: numbers of the inputs of which only some elements are read, as many as the first output
        has at most.
    touched: for a kernel whose output is its input 0, updated in place: number of the input that
        has as many elements as are touched there at most.
    base: whether the kernel belongs to the vocabulary that every backend must have; otherwise
        it is a fused form, used where a backend declares it.
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

    def flat_ints(self, params: Params) -> list[int]:
        """The integer parameters as one list, in native order."""
        flat: list[int] = []
        for name in self.ints:
            value = params[name]
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
    """Adds a contract to the vocabulary; a second one of the same name is an error."""
    if contract.name in CONTRACTS:
        raise ValueError(f"the contract {contract.name!r} is registered twice")
    CONTRACTS[contract.name] = contract
    return contract
