"""The data of `fit` and `evaluate`, kept where the functions run."""

from __future__ import annotations

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.functions import Function, function
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.keras.training.samples import Kind, Samples
from tinygrad_mnist.sharedvalue import shared


class Resident:
    """Shared variables that hold the samples of a pass, in the order of the pass.

    variables: x, and y and weights if there are any; a step reads slices of them.

    A pass in the order of the data has only these. For a shuffled one the data are kept in a second
    set of variables, from which one function gathers each permutation.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.variables = _empty(kind, "")
        self._source: list[SharedVariable] = []
        self._gather: Function | None = None
        self._loaded: tuple[Samples, Array | None] | None = None
        self._in_source: Samples | None = None

    def load(self, samples: Samples, order: Array | None) -> None:
        """Puts samples into the variables, order[i] at i. Does nothing if they are there."""
        loaded = self._loaded
        if loaded is not None and loaded[0] is samples and loaded[1] is order:
            return
        self._loaded = None
        if order is None:
            _fill(self.variables, samples)
        else:
            self._shuffle(samples, order)
        self._loaded = samples, order

    def _shuffle(self, samples: Samples, order: Array) -> None:
        if self._gather is None:
            self._source = _empty(self._kind, "ordered ")
            positions = T.lvector("order")
            pairs = zip(self.variables, self._source, strict=True)
            updates = [(to, data[positions]) for to, data in pairs]
            self._gather = function([positions], updates=updates, name="shuffle")
        if self._in_source is not samples:
            self._in_source = None
            _fill(self._source, samples)
            self._in_source = samples
        for variable, array in zip(self.variables, samples.arrays, strict=True):
            if variable.host_array.shape != array.shape:
                variable.set_value(np.empty_like(array), borrow=True)
        self._gather(order)

    def release(self) -> None:
        """Gives the memory back."""
        self._loaded = self._in_source = None
        for variable in (*self.variables, *self._source):
            shape = (0, *variable.host_array.shape[1:])
            variable.set_value(np.empty(shape, variable.dtype), borrow=True)


def _empty(kind: Kind, label: str) -> list[SharedVariable]:
    """Variables without samples."""
    forms = [("x", config.floatX, kind.x_ndim)]
    if kind.y_shape is not None:
        forms.append(("y", str(kind.y_dtype), 1 + len(kind.y_shape)))
    if kind.weights_ndim is not None:
        forms.append(("sample_weight", config.floatX, kind.weights_ndim))
    return [shared(np.empty((0,) * ndim, dtype), label + name) for name, dtype, ndim in forms]


def _fill(variables: list[SharedVariable], samples: Samples) -> None:
    for variable, array in zip(variables, samples.arrays, strict=True):
        variable.set_value(array, borrow=True)
