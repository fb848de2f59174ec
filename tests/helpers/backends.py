"""The backends that tests of expressions run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tinygrad_mnist as theano
from tinygrad_mnist import backends
from tinygrad_mnist.backends.reference import ReferenceBackend
from tinygrad_mnist.contracts import CONTRACTS


class FusedReference(ReferenceBackend):
    """The oracle's kernels on plans with every rule and every fused form of the CPU applied.

    It separates a wrong rule from a wrong native kernel.
    """

    fuses = True

    @property
    def kernels(self) -> frozenset[str]:
        return frozenset(name for name, contract in CONTRACTS.items() if not contract.gpu_only)


class FusedGpuReference(FusedReference):
    """The oracle's kernels on plans as a GPU gets them."""

    keeps_depth = True

    @property
    def kernels(self) -> frozenset[str]:
        return frozenset(CONTRACTS)


DEVICES = ("reference", "fused", "cpu")
_FUSED = {"fused": FusedReference(), "fused for a GPU": FusedGpuReference()}


@contextmanager
def making_functions_for(device: str) -> Iterator[None]:
    """Functions made inside run on `device`: 'reference', 'cpu', or a fused one (see above)."""
    before, oracle = theano.config.device, backends.BACKENDS["reference"]
    try:
        if device in _FUSED:
            theano.config.device = "reference"
            backends.BACKENDS["reference"] = _FUSED[device]
        else:
            theano.config.device = device
        yield
    finally:
        theano.config.device = before
        backends.BACKENDS["reference"] = oracle
