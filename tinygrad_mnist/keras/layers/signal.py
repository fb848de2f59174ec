"""What flows from layer to layer: a variable in the engine's layout, and its shape in Keras's.

Users see images (batch, height, width, channels), as Keras has them; the engine holds them as
(batch, channels, height, width). So Flatten, which is a view, gives another order of the features
than Keras: the signal says which. Layers with a parameter per feature keep their parameters in the
held order, and no plan has a transpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.functions import function
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.traversal import leaves
from tinygrad_mnist.graph.variables import Constant, Variable

Array = NDArray[Any]
Shape = tuple[int, ...]
Update = tuple[SharedVariable, Variable]
IMAGE = 3  # axes of an image, without that of the batch


@dataclass(frozen=True, eq=False)
class Signal:
    """A batch between two layers.

    variable: in the engine's layout: (batch, channels, height, width) for images; other signals
    are as in Keras, up to `order`. shape: Keras's shape without the batch, all of it known.
    order: None, or for a matrix the number of the feature, in Keras's order, that each column has.
    updates: of shared variables, such as moving averages, that belong to this pass.
    """

    variable: Variable
    shape: Shape
    order: Array | None = None
    updates: tuple[Update, ...] = ()

    @staticmethod
    def input(shape: Shape) -> Signal:
        """A signal whose variable is a new input, in floatX."""
        return Signal(T.TensorType(config.floatX, (False,) * (len(shape) + 1))(), shape)

    @staticmethod
    def from_keras(variable: Variable, shape: Shape) -> Signal:
        """A signal of a variable in Keras's layout."""
        if len(shape) != IMAGE:
            return Signal(variable, shape)
        height, width, channels = shape
        if channels == 1:
            lengths = (variable.shape[0], 1, height, width)
            return Signal(T.reshape(variable, lengths, ndim=4), shape)
        return Signal(variable.dimshuffle(0, 3, 1, 2), shape)

    def in_keras_order(self) -> Variable:
        """The variable in Keras's layout and order."""
        if self.order is not None:
            return self.variable[:, np.argsort(self.order)]
        if len(self.shape) != IMAGE:
            return self.variable
        if self.shape[2] == 1:
            return T.reshape(self.variable, (self.variable.shape[0], *self.shape), ndim=4)
        return self.variable.dimshuffle(0, 2, 3, 1)

    def in_order(self, order: Array | None) -> Signal:
        """The same features, with the columns in the order `order`."""
        if same_order(order, self.order):
            return self
        variable = self.in_keras_order()
        return replace(
            self, variable=variable if order is None else variable[:, order], order=order
        )

    def of(self, variable: Variable) -> Signal:
        """A signal of the same shape and order."""
        return replace(self, variable=variable)

    def flat(self) -> Signal:
        """All features of a sample side by side."""
        n = prod(self.shape)
        order = None
        if len(self.shape) == IMAGE and self.shape[2] > 1 and self.shape[0] * self.shape[1] > 1:
            order = np.arange(n).reshape(self.shape).transpose(2, 0, 1).ravel()
        elif len(self.shape) == 1:
            return self
        variable = T.reshape(self.variable, (self.variable.shape[0], n), ndim=2)
        return Signal(variable, (n,), order, self.updates)


def known_input(shape: Shape) -> Variable:
    """A new input in floatX, a batch of samples of this shape; `known_shape` finds it."""
    made: Variable = T.TensorType(config.floatX, (False,) * (len(shape) + 1))()
    vars(made)["sample_shape"] = shape
    return made


def known_shape(x: Variable) -> Shape | None:
    """The shape of a sample of a batch `x` that is made of a `known_input`, else None."""
    inputs = [v for v in leaves([x]) if not isinstance(v, SharedVariable | Constant)]
    shape = vars(inputs[0]).get("sample_shape") if len(inputs) == 1 else None
    if shape is None or x is inputs[0]:
        return shape
    of_two = function(inputs, x.shape, no_default_updates=True, on_unused_input="ignore")
    return tuple(int(n) for n in of_two(np.zeros((2, *shape), inputs[0].dtype))[1:])


def same_order(a: Array | None, b: Array | None) -> bool:
    """Whether two orders of features are equal."""
    if a is None or b is None:
        return a is b
    return a is b or np.array_equal(a, b)


def held_axes(ndim: int) -> tuple[int, ...]:
    """The axes of a sample in Keras's layout, without the batch, as the engine holds them."""
    return (2, 0, 1) if ndim == IMAGE else tuple(range(ndim))


def held_axis(axis: int, ndim: int) -> int:
    """Where the engine has an axis of Keras's, from 0 on; both count the batch, as `ndim` does."""
    return (0, 2, 3, 1)[axis] if ndim == IMAGE + 1 else axis


def held(batch: Array, shape: Shape) -> Array:
    """A batch of samples of Keras's `shape` in the engine's layout, C-contiguous in floatX."""
    axes = (0, *(a + 1 for a in held_axes(len(shape))))
    return np.ascontiguousarray(batch.transpose(axes), config.floatX)


def shown(batch: Array, shape: Shape) -> Array:
    """A batch in the engine's layout in Keras's."""
    return batch.transpose(0, 2, 3, 1) if len(shape) == IMAGE else batch


@dataclass(frozen=True, eq=False)
class Arrangement:
    """How the engine holds a weight of Keras: with its axes in another order, and then the entries
    along its first axis."""

    axes: Sequence[int] | None = None
    rows: Array | None = None

    def held(self, value: Array) -> Array:
        """Keras's array as the engine holds it."""
        value = value if self.axes is None else value.transpose(self.axes)
        return np.ascontiguousarray(value if self.rows is None else value[self.rows])

    def shown(self, value: Array) -> Array:
        """The engine's array in Keras's order."""
        value = value if self.rows is None else value[np.argsort(self.rows)]
        value = value if self.axes is None else value.transpose(np.argsort(self.axes))
        return np.ascontiguousarray(value)

    def variable(self, v: Variable) -> Variable:
        """The engine's variable in Keras's order."""
        v = v if self.rows is None else v[np.argsort(self.rows)]
        return v if self.axes is None else v.dimshuffle(*map(int, np.argsort(self.axes)))
