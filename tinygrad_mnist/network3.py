"""Convolutional networks as in chapter 6 of Nielsen's book, on this package's engine.

The names and arguments are those of the book's network3, so a program written for it runs with
`from tinygrad_mnist import network3` in place of `import network3`:

    training_data, validation_data, test_data = load_data_shared()
    net = Network([FullyConnectedLayer(n_in=784, n_out=100), SoftmaxLayer(n_in=100, n_out=10)], 10)
    net.SGD(training_data, 60, 10, 0.1, validation_data, test_data)

A layer is any object with `params`, `set_inpt(inpt, inpt_dropout, mini_batch_size)` and, after that
call, `output` and `output_dropout`; the last one also needs `cost(net)`, `accuracy(y)` and `y_out`.
An activation function is a callable on symbolic variables, a name such as "relu" (see
`training.activations`), or None for `linear`.

Source: M. Nielsen, Neural Networks and Deep Learning (2015), chapter 6.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.autodiff import grad
from tinygrad_mnist.config import config
from tinygrad_mnist.datasets import BOOK_PLACE, Splits, as_path, load_data
from tinygrad_mnist.functions import Function, function, prepare, swept
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.sharedvalue import shared
from tinygrad_mnist.tensor import tanh
from tinygrad_mnist.tensor.nnet import conv2d, sigmoid, softmax
from tinygrad_mnist.tensor.signal import pool
from tinygrad_mnist.training import (
    History,
    Reporter,
    check_data,
    check_gpu,
    check_last_layer,
    check_layers,
    check_seed,
    check_settings,
    chunks,
    float_pairs,
    on_gpu,
    pooled_shape,
    positive_integer,
    positive_integers,
    probability,
)
from tinygrad_mnist.training.activations import Activation, ReLU, activated, activation, linear
from tinygrad_mnist.training.dropout import dropout_layer
from tinygrad_mnist.training.labels import LayerLabels
from tinygrad_mnist.training.nonfinite import check_costs
from tinygrad_mnist.training.schedule import as_rate

__all__ = [
    "GPU",
    "Activation",
    "ConvPoolLayer",
    "Data",
    "FullyConnectedLayer",
    "History",
    "Network",
    "ReLU",
    "SoftmaxLayer",
    "dropout_layer",
    "linear",
    "load_data_shared",
    "share_data",
    "sigmoid",
    "size",
    "tanh",
]

Data = tuple[SharedVariable, Variable]
Normal = Callable[..., Any]

#: Whether to train on a GPU; False uses `config.device`. It is read when data, layers and functions
#: are made. True is an error there if no GPU can be used.
GPU = False

_LINE_EVERY = 1000  # mini-batches


def load_data_shared(filename: str | os.PathLike[str] | None = None) -> list[Data]:
    """MNIST as shared variables: [(x, y), (x, y), (x, y)] to train, to validate, to test.

    x is a shared matrix (n, 784) of floatX, pixel = byte / 256; y an int32 vector (n,),
    cast from a shared vector of floatX.

    Without a name, or with the book's `"../data/mnist.pkl.gz"`, the data are searched for in the
    places that `tinygrad_mnist.datasets.locate` lists, and downloaded if they are in none. Another
    name (a pickle, an .npz, or a folder of IDX files) is the only place tried; "digits" means
    generated digits.

    Raises DatasetNotFoundError or DatasetError, naming the places or the file.
    """
    check_gpu(GPU)
    search = filename is None or os.fspath(as_path(filename)) == BOOK_PLACE
    return share_data(load_data(None if search else filename))


def share_data(splits: Splits | Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> list[Data]:
    """Pairs of arrays, images (n, pixels) and labels (n,), as load_data_shared gives them.

    Raises TypeError or ValueError, naming the part and the image, for masked arrays, pixels that
    are NaN or infinite, and labels that are NaN, fractional or not exact in floatX.
    """
    check_gpu(GPU)
    pairs = []
    for images, labels in float_pairs(splits):
        x, y = shared(images, borrow=True), shared(labels, borrow=True)
        pairs.append((x, T.cast(y, "int32")))
    return pairs


def size(data: Data) -> int:
    """Number of images in one of the pairs of load_data_shared."""
    return int(data[0].get_value(borrow=True).shape[0])


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

    def _make_params(self) -> None:
        check_gpu(GPU)
        w, b = self._draw(np.random.normal)
        self.w = shared(np.asarray(w, dtype=config.floatX), name="w")
        self.b = shared(np.asarray(b, dtype=config.floatX), name="b")
        self.params = [self.w, self.b]

    def _draw(self, normal: Normal) -> tuple[Any, Any]:
        raise NotImplementedError

    def initialize(self, rng: np.random.RandomState) -> None:
        """Give w and b new initial values, drawn from `rng` by the rule of the constructor."""
        for param, value in zip(self.params, self._draw(rng.normal), strict=True):
            param.set_value(np.asarray(value, dtype=param.dtype))


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

    def cost(self, net: Network) -> Variable:
        """Mean negative log-likelihood of the labels `net.y`, on the training path."""
        log_likelihood = T.log(self.output_dropout)
        return -T.mean(log_likelihood[T.arange(net.y.shape[0]), net.y])


class Network:
    """Layers, connected one after the other, and their training.

    Parameters without a name get one by their layer: `conv1.w`, `fc2.b`, `softmax.w`.

    layers: first to last, the last one with a `cost`, such as SoftmaxLayer.
    mini_batch_size: number of images in every batch, in training and in evaluation.
    seed: None keeps the weights that the layers drew from `numpy.random` when they
        were made. A number gives them the weights that they would have drawn in this
        order right after `numpy.random.seed(seed)`; the global generator is unchanged.

    Raises ValueError when a layer does not fit the one before it or the mini-batch size.
    """

    train_mb: Function
    validate_mb_accuracy: Function
    test_mb_accuracy: Function
    test_mb_predictions: Function
    history: History

    def __init__(
        self, layers: Sequence[Any], mini_batch_size: int, seed: int | None = None
    ) -> None:
        check_gpu(GPU)
        self.mini_batch_size = positive_integer("mini_batch_size", mini_batch_size)
        check_layers(layers, self.mini_batch_size)
        self.layers = list(layers)
        if seed is not None:
            self._initialize(check_seed(seed))
        self.params = [param for layer in self.layers for param in layer.params]
        self.x = T.matrix("x")
        self.y = T.ivector("y")
        self._labels = LayerLabels(self.layers)
        inpt, inpt_dropout = self.x, self.x
        for number, layer in enumerate(self.layers):
            with self._labels.inside(number):
                layer.set_inpt(inpt, inpt_dropout, self.mini_batch_size)
            inpt, inpt_dropout = layer.output, layer.output_dropout
        self.output, self.output_dropout = inpt, inpt_dropout

    def _initialize(self, seed: int) -> None:
        rng = np.random.RandomState(seed)
        for number, layer in enumerate(self.layers):
            if not hasattr(layer, "initialize"):
                raise TypeError(
                    f"seed= needs a method initialize(rng), which layer {number}"
                    f" ({type(layer).__name__}) doesn't have"
                )
            layer.initialize(rng)

    def SGD(  # noqa: N802
        self,
        training_data: Data,
        epochs: int,
        mini_batch_size: int,
        eta: float | Variable,
        validation_data: Data,
        test_data: Data | None,
        lmbda: float | Variable = 0.0,
        *,
        progress: bool | None = None,
        quiet: bool = False,
        allow_nonfinite: bool = False,
    ) -> History:
        """Train by stochastic gradient descent on mini-batches, in the data's order.

        training_data, validation_data, test_data: pairs of `load_data_shared`. Batches
            are whole: images after the last whole one are not used. test_data may be None;
            else it is evaluated when the validation accuracy is the best so far.
        epochs: passes over the training data, at least 1.
        mini_batch_size: that of the network.
        eta: learning rate, a number or a scalar (shared) variable.
        lmbda: strength of L2 regularisation; the cost has the term
            0.5 * lmbda * (sum of squared weights) / (number of training batches).
        progress: draw a bar on standard error; None: when that is a terminal.
        quiet: print nothing on standard output.
        allow_nonfinite: go on after a cost that is NaN or infinite. Otherwise training stops
            when the sweep of up to 100 steps that it is in has ended.

        Returns the History, also `self.history`. After a KeyboardInterrupt every parameter has its
        value after the last whole step, and `self.history` has the measurements until then.

        Raises TypeError or ValueError before the first step when a setting or the data don't fit;
        the message names the setting, or the part of the data and the image. NonFiniteCostError
        for a cost that is NaN or infinite names the step, the learning rate and the first layer
        with a parameter that is not finite.
        """
        check_last_layer(self.layers[-1])
        check_settings(epochs, mini_batch_size, self.mini_batch_size, eta, lmbda)
        self._check_data("training_data", training_data)
        self._check_data("validation_data", validation_data)
        if test_data is not None:
            self._check_data("test_data", test_data)
        self.history = History()
        start = time.perf_counter()
        self.train_mb = self.training_function(training_data, eta, lmbda)
        self.validate_mb_accuracy = self._accuracy_function(validation_data, "validate_mb_accuracy")
        accuracies = [self.validate_mb_accuracy]
        if test_data is not None:
            self.test_mb_accuracy = self._accuracy_function(test_data, "test_mb_accuracy")
            self.test_mb_predictions = self._prediction_function(test_data)
            accuracies.append(self.test_mb_accuracy)
        prepare((f, [0]) for f in (self.train_mb, *accuracies))
        training, validation, test = (
            0 if data is None else size(data) // self.mini_batch_size
            for data in (training_data, validation_data, test_data)
        )
        check = partial(check_costs, batches=training, eta=eta, layers=self.layers)
        self._check_costs = None if allow_nonfinite else check
        try:
            with Reporter(epochs * training, self.mini_batch_size, progress, quiet) as report:
                self._run_epochs(epochs, training, validation, test, report)
        finally:
            self.history.seconds = time.perf_counter() - start
        return self.history

    def _check_data(self, name: str, data: Any) -> None:
        n_in = getattr(self.layers[0], "n_in", None)
        n_out = getattr(self.layers[-1], "n_out", None)
        check_data(name, data, self.mini_batch_size, n_in, n_out)

    def _batch(self, values: Variable, i: Variable) -> Variable:
        return values[i * self.mini_batch_size : (i + 1) * self.mini_batch_size]

    def training_function(
        self, data: Data, eta: float | Variable, lmbda: float | Variable
    ) -> Function:
        """train_mb(i): one step on mini-batch i; returns the cost before it."""
        batches = size(data) // self.mini_batch_size
        eta, lmbda = as_rate(eta), as_rate(lmbda)
        last = len(self.layers) - 1
        with self._labels.inside(last):
            cost = self.layers[last].cost(self)
        if isinstance(lmbda, Variable) or lmbda != 0:
            cost = cost + 0.5 * lmbda * sum(self._squares()) / batches
        gradients = dict(zip(self.params, grad(cost, self.params), strict=True))
        updates = []
        for number, layer in enumerate(self.layers):
            with self._labels.beside(number):
                updates += [(param, param - eta * gradients[param]) for param in layer.params]
        i = T.lscalar("i")
        givens = {self.x: self._batch(data[0], i), self.y: self._batch(data[1], i)}
        with on_gpu(GPU):
            return function([i], cost, updates=updates, givens=givens, name="train_mb")

    def _squares(self) -> Iterator[Variable]:
        for number, layer in enumerate(self.layers):
            if hasattr(layer, "w"):
                with self._labels.inside(number):
                    squares = (layer.w**2).sum()
                yield squares

    def _accuracy_function(self, data: Data, name: str) -> Function:
        """f(i): fraction of right answers on mini-batch i."""
        i = T.lscalar("i")
        givens = {self.x: self._batch(data[0], i), self.y: self._batch(data[1], i)}
        last = len(self.layers) - 1
        with self._labels.inside(last):
            accuracy = self.layers[last].accuracy(self.y)
        with on_gpu(GPU):
            return function([i], accuracy, givens=givens, name=name)

    def _prediction_function(self, data: Data) -> Function:
        """f(i): the classes, int64 (mini_batch_size,), given to the images of mini-batch i."""
        i = T.lscalar("i")
        givens = {self.x: self._batch(data[0], i)}
        with on_gpu(GPU):
            return function([i], self.layers[-1].y_out, givens=givens, name="test_mb_predictions")

    def _run_epochs(
        self, epochs: int, training: int, validation: int, test: int, report: Reporter
    ) -> None:
        """Train and evaluate; the counts are those of the mini-batches."""
        history = self.history
        for epoch in range(epochs):
            report.status(f"Epoch {epoch}")
            self._run_epoch(epoch * training, training, report)
            report.status(f"Epoch {epoch}: validation")
            accuracy = _mean(self.validate_mb_accuracy, validation)
            report.line(f"Epoch {epoch}: validation accuracy {accuracy:.2%}")
            if not history.record_validation(accuracy, (epoch + 1) * training - 1):
                continue
            report.line("This is the best validation accuracy to date.")
            if test:
                history.record_test(_mean(self.test_mb_accuracy, test))
                report.line(f"The corresponding test accuracy is {history.test_accuracy:.2%}")
        report.line("Finished training network.")
        report.line(
            f"Best validation accuracy of {history.best_validation_accuracy:.2%}"
            f" obtained at iteration {history.best_iteration}"
        )
        if test:
            report.line(f"Corresponding test accuracy of {history.test_accuracy:.2%}")

    def _run_epoch(self, first: int, batches: int, report: Reporter) -> None:
        """One pass over the training data, whose first step has the number `first`."""
        for begin, end in chunks(first, first + batches):
            if begin % _LINE_EVERY == 0:
                report.line(f"Training mini-batch number {begin}")
            try:
                costs = self.train_mb.sweep(range(begin - first, end - first))
            except BaseException as error:
                if (done := swept(error)) is not None:
                    self.history.record_costs(done.outputs)
                raise
            self.history.record_costs(costs)
            if self._check_costs is not None:
                self._check_costs(costs, begin)
            report.advance(end - begin, float(costs[-1]))


def _mean(accuracy: Function, batches: int) -> float:
    """Mean of an accuracy function over the mini-batches."""
    return float(np.mean(accuracy.sweep(range(batches))))
