"""The three kinds of layers of the book."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.network3.gpu import check_flag
from tinygrad_mnist.sharedvalue import shared
from tinygrad_mnist.tensor.nnet import conv2d, sigmoid, softmax
from tinygrad_mnist.tensor.signal import pool
from tinygrad_mnist.training import (
    pooled_shape,
    positive_integer,
    positive_integers,
    probability,
)
from tinygrad_mnist.training.activations import Activation, activated, activation
from tinygrad_mnist.training.dropout import dropout_layer

Normal = Callable[..., Any]
Made = tuple[tuple[Any, ...], dict[str, Any]]  # arguments by position, and by name


class _Layer:
    """The base of the three kinds of layers: two parameters, drawn at construction.

    kind: what a network calls its layers of this kind: `conv1`, `conv2`.
    """

    kind: str
    w: SharedVariable
    b: SharedVariable
    params: list[SharedVariable]
    inpt: Variable
    inpt_dropout: Variable
    output: Variable
    output_dropout: Variable
    y_out: Variable
    _given: Made

    def __new__(cls, *given: Any, **named: Any) -> Self:
        layer = super().__new__(cls)
        layer._given = given, named
        return layer

    def _make_params(self) -> None:
        check_flag()
        w, b = self._draw(np.random.normal)
        self.w = shared(np.asarray(w, dtype=config.floatX), name="w")
        self.b = shared(np.asarray(b, dtype=config.floatX), name="b")
        self.params = [self.w, self.b]

    def _draw(self, normal: Normal) -> tuple[Any, Any]:
        raise NotImplementedError

    def made_with(self) -> Made:
        """The arguments of the constructor, by position and by name. Of the three kinds, those that
        aren't the defaults, as the attributes are; of others, those that were given, since an
        attribute of theirs may have the name of an argument and another value."""
        if type(self).__module__ != __name__:
            return self._given
        arguments = inspect.signature(type(self)).parameters
        return (), {
            name: value
            for name, argument in arguments.items()
            if (value := getattr(self, name)) is not argument.default and value != argument.default
        }

    def __repr__(self) -> str:
        given, named = self.made_with()
        texts = [*map(_shown, given), *(f"{name}={_shown(v)}" for name, v in named.items())]
        return f"{type(self).__name__}({', '.join(texts)})"

    def initialize(self, rng: np.random.RandomState) -> None:
        """Give w and b new initial values, drawn from `rng` by the rule of the constructor."""
        for param, value in zip(self.params, self._draw(rng.normal), strict=True):
            param.set_value(np.asarray(value, dtype=param.dtype))


def _shown(value: Any) -> str:
    """An argument in a layer's repr: of a function, its name."""
    return str(getattr(value, "__name__", shown(value))) if callable(value) else shown(value)


class ConvPoolLayer(_Layer):
    """A convolution, a max-pooling, then the bias and the activation function.

    filter_shape: (filters, input maps, filter height, filter width).
    image_shape: (mini-batch size, input maps, image height, image width).
    poolsize: (height, width) of the pooled blocks; rows and columns that fill none are dropped.

    The convolution is a true one (filters flipped), valid, stride 1. Initial values, from NumPy's
    global generator: w ~ N(0, 1/n), n = filters * height * width // block size; then b ~ N(0, 1).

    Raises TypeError or ValueError when a shape is invalid or the shapes don't fit each other.
    """

    kind = "conv"

    def __init__(
        self,
        filter_shape: Sequence[int],
        image_shape: Sequence[int],
        poolsize: Sequence[int] = (2, 2),
        activation_fn: Activation | str | None = sigmoid,
    ) -> None:
        self.filter_shape = filter_shape = positive_integers("filter_shape", filter_shape, 4)
        self.image_shape = image_shape = positive_integers("image_shape", image_shape, 4)
        self.poolsize = poolsize = positive_integers("poolsize", poolsize, 2)
        self.activation_fn = activation(activation_fn)
        self.n_in = math.prod(image_shape[1:])
        self.n_out = math.prod(pooled_shape(filter_shape, image_shape, poolsize))
        if self._fan_out() < 1:
            raise ValueError(
                f"filters of {filter_shape} have fewer weights than a block {poolsize}"
            )
        self._make_params()

    def _fan_out(self) -> int:
        filters, _, height, width = self.filter_shape
        return filters * height * width // math.prod(self.poolsize)

    def _draw(self, normal: Normal) -> tuple[Any, Any]:
        w = normal(0.0, math.sqrt(1.0 / self._fan_out()), self.filter_shape)
        return w, normal(0.0, 1.0, self.filter_shape[:1])

    def set_inpt(self, inpt: Variable, inpt_dropout: Variable, mini_batch_size: int) -> None:
        """Connect to the layer before; dropout does not apply, so both paths share the output."""
        self.inpt = inpt.reshape(self.image_shape)
        self.inpt_dropout = self.inpt
        convolved = conv2d(
            input=self.inpt,
            filters=self.w,
            input_shape=self.image_shape,
            filter_shape=self.filter_shape,
        )
        pooled = pool.pool_2d(input=convolved, ws=self.poolsize, ignore_border=True)
        biased = pooled + self.b.dimshuffle("x", 0, "x", "x")
        self.output = activated(self.activation_fn, biased)
        self.output_dropout = self.output


class FullyConnectedLayer(_Layer):
    """activation_fn(x w + b), with dropout of the layer's input.

    n_in, n_out: numbers of inputs and outputs; w is (n_in, n_out), b (n_out,).
    p_dropout: probability with which an input is zeroed in training; inference
        multiplies x w by 1 - p_dropout instead.

    Initial values, from NumPy's global generator: w ~ N(0, 1/n_out), then b ~ N(0, 1).

    Raises ValueError when p_dropout is not in 0..1.
    """

    kind = "fc"

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation_fn: Activation | str | None = sigmoid,
        p_dropout: float = 0.0,
    ) -> None:
        self.n_in = positive_integer("n_in", n_in)
        self.n_out = positive_integer("n_out", n_out)
        self.activation_fn = activation(activation_fn)
        self.p_dropout = probability("p_dropout", p_dropout)
        self._make_params()

    def _draw(self, normal: Normal) -> tuple[Any, Any]:
        w = normal(0.0, math.sqrt(1.0 / self.n_out), (self.n_in, self.n_out))
        return w, normal(0.0, 1.0, (self.n_out,))

    def set_inpt(self, inpt: Variable, inpt_dropout: Variable, mini_batch_size: int) -> None:
        """Connect to the layer before: `inpt` for inference, `inpt_dropout` for training."""
        shape = (mini_batch_size, self.n_in)
        self.inpt = inpt.reshape(shape)
        self.inpt_dropout = dropout_layer(inpt_dropout.reshape(shape), self.p_dropout)
        keep = 1 - self.p_dropout
        fn = self.activation_fn
        self.output = activated(fn, keep * T.dot(self.inpt, self.w) + self.b)
        self.output_dropout = activated(fn, T.dot(self.inpt_dropout, self.w) + self.b)
        self.y_out = T.argmax(self.output, axis=1)

    def accuracy(self, y: Variable) -> Variable:
        """Fraction of the mini-batch whose largest output is the label's."""
        return T.mean(T.eq(y, self.y_out))


class SoftmaxLayer(FullyConnectedLayer):
    """The last layer: softmax(x w + b), with weights and biases that start at zero.

    Arguments, dropout and the two paths are those of FullyConnectedLayer.
    """

    kind = "softmax"

    def __init__(self, n_in: int, n_out: int, p_dropout: float = 0.0) -> None:
        super().__init__(n_in, n_out, softmax, p_dropout)

    def _draw(self, normal: Normal) -> tuple[Any, Any]:
        return np.zeros((self.n_in, self.n_out)), np.zeros(self.n_out)

    def cost(self, net: Any) -> Variable:
        """Mean negative log-likelihood of the labels `net.y`, on the training path."""
        log_likelihood = T.log(self.output_dropout)
        return -T.mean(log_likelihood[T.arange(net.y.shape[0]), net.y])
