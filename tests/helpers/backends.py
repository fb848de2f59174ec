"""The backends that tests of expressions run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tinygrad_mnist as theano
from tinygrad_mnist import backends
from tinygrad_mnist.backends.reference import ReferenceBackend
from tinygrad_mnist.contracts import CONTRACTS


class FusedReference(ReferenceBackend):
    """The oracle's kernels on plans with every rule and every fused form applied.

    It separates a wrong rule from a wrong native kernel.
    """

    fuses = True

    @property
    def kernels(self) -> frozenset[str]:
        return frozenset(CONTRACTS)


DEVICES = ("reference", "fused", "cpu")
_FUSED = FusedReference()


@contextmanager
def making_functions_for(device: str) -> Iterator[None]:
    """Functions made inside run on `device`: 'reference', 'cpu', or 'fused' (see above)."""
    before, oracle = theano.config.device, backends.BACKENDS["reference"]
    try:
        if device == "fused":
            theano.config.device = "reference"
            backends.BACKENDS["reference"] = _FUSED
        else:
            theano.config.device = device
        yield
    finally:
        theano.config.device = before
        backends.BACKENDS["reference"] = oracle
