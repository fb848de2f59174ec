"""Functions of neural networks but convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.theano_names.case import Call

_rng = np.random.default_rng(3)
X = _rng.normal(size=(3, 5)) * 2
BIAS = _rng.normal(size=5)
SCALAR = _rng.normal(size=())
PROBABILITIES = _rng.uniform(0.1, 0.9, (3, 5))
TARGETS = _rng.uniform(0.1, 0.9, (3, 5))
LABELS = np.array([4, 0, 2], "int32")
ACTUAL, PREDICTED = np.array([2, 0, 2, 2, 0, 1]), np.array([0, 0, 2, 2, 0, 2])
MEAN, SPREAD = _rng.normal(size=5), _rng.uniform(0.5, 2, 5)
SCALE, SHIFT = _rng.normal(size=5), _rng.normal(size=5)
IMAGES = _rng.normal(size=(2, 3, 4, 2))
CHANNELS = [_rng.uniform(0.5, 2, 3) for _ in range(4)]
FEATURES = (
    _rng.normal(size=(3, 4)),
    _rng.normal(size=(4, 3)),
    _rng.normal(size=3),
    _rng.normal(size=(3, 4, 2)),
    _rng.normal(size=(3, 2)),
)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


def ultra_fast_sigmoid(x: Any) -> Any:
    size = np.abs(x) / 2
    line = 0.935409070603099 + 0.0458812946797165 * (size - 1.7)
    tanh = np.where(size < 1.7, 1.5 * size / (1 + size), np.where(size < 3, line, 0.99505475368673))
    return (np.sign(x) * tanh + 1) / 2


def softmax(x: Any) -> Any:
    power = np.exp(x - x.max(-1, keepdims=True))
    return power / power.sum(-1, keepdims=True)


def negative_log(p: Any, y: Any) -> Any:
    return -np.log(p[np.arange(len(y)), y])


def of_softmax(x: Any, y: Any) -> tuple[Any, Any]:
    return negative_log(softmax(x), y), softmax(x)


def with_maxima(x: Any, y: Any) -> tuple[Any, ...]:
    p = softmax(x)
    return negative_log(p, y), p, p.max(1), p.argmax(1)


def binary_crossentropy(output: Any, target: Any) -> Any:
    return -target * np.log(output) - (1 - target) * np.log(1 - output)


def elu(x: Any, alpha: float) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def h_softmax(x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
    within = softmax(np.einsum("nf,cfo->nco", x, w2) + b2)
    return (softmax(x @ w1 + b1)[:, :, None] * within).reshape(3, -1)[:, :5]


def normalised(x: Any, axes: tuple[int, ...], epsilon: float) -> tuple[Any, Any, Any]:
    mean, variance = x.mean(axes), x.var(axes)
    shape = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    invstd = 1 / np.sqrt(variance + epsilon)
    return (x - mean.reshape(shape)) * invstd.reshape(shape), mean, invstd


def trained(x: Any, scale: Any, shift: Any) -> tuple[Any, ...]:
    y, mean, invstd = normalised(x, (0,), 1e-4)
    return y * scale + shift, mean, invstd


def trained_spatially(x: Any, scale: Any, shift: Any, mean: Any, var: Any) -> tuple[Any, ...]:
    y, now, invstd = normalised(x, (0, 2, 3), 1e-2)
    by_channel = (1, 3, 1, 1)
    spread = x.var((0, 2, 3), ddof=1)
    y = y * scale.reshape(by_channel) + shift.reshape(by_channel)
    return y, now, invstd, 0.7 * mean + 0.3 * now, 0.7 * var + 0.3 * spread


ACTIVATIONS = [
    Call("tensor.nnet.sigmoid", sigmoid, (X,)),
    Call("tensor.nnet.softplus", softplus, (X,)),
    Call("tensor.nnet.hard_sigmoid", lambda x: np.clip(0.2 * x + 0.5, 0, 1), (X,)),
    Call("tensor.nnet.ultra_fast_sigmoid", ultra_fast_sigmoid, (X * 2,)),
    Call("tensor.nnet.softsign", lambda x: x / (1 + np.abs(x)), (X,)),
    Call("tensor.nnet.relu", lambda x: np.maximum(x, 0), (X,)),
    Call(
        "tensor.nnet.relu",
        lambda x: np.where(x > 0, x, 0.1 * x),
        (X,),
        lambda f, x: f(x, alpha=0.1),
    ),
    Call("tensor.nnet.elu", lambda x: elu(x, 1), (X,)),
    Call("tensor.nnet.elu", lambda x: elu(x, 0.5), (X,), lambda f, x: f(x, alpha=0.5)),
    Call("tensor.nnet.selu", lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772), (X,)),
    Call("tensor.nnet.softmax", softmax, (X,)),
    Call("tensor.nnet.softmax_op", softmax, (X,)),
    Call("tensor.nnet.softmax_graph", softmax, (X,)),
    Call("tensor.nnet.softmax_with_bias", lambda x, b: softmax(x + b), (X, BIAS)),
    Call("tensor.nnet.logsoftmax", lambda x: np.log(softmax(x)), (X,)),
    Call("tensor.nnet.logsoftmax_op", lambda x: np.log(softmax(x)), (X,)),
    Call("tensor.nnet.h_softmax", h_softmax, FEATURES, lambda f, x, *w: f(x, 3, 5, 3, 2, *w)),
    Call(
        "tensor.nnet.h_softmax",
        lambda *v: h_softmax(*v)[np.arange(3), [4, 0, 2]],
        FEATURES,
        lambda f, x, *w: f(x, 3, 5, 3, 2, *w, target=LABELS),
    ),
]

COSTS = [
    Call(
        "tensor.nnet.binary_crossentropy",
        binary_crossentropy,
        (PROBABILITIES, TARGETS),
        lambda f, p, t: f(output=p, target=t),
    ),
    Call(
        "tensor.nnet.sigmoid_binary_crossentropy",
        lambda x, t: binary_crossentropy(sigmoid(x), t),
        (X, TARGETS),
        lambda f, x, t: f(output=x, target=t),
    ),
    Call(
        "tensor.nnet.categorical_crossentropy",
        negative_log,
        (PROBABILITIES, LABELS),
        lambda f, p, y: f(coding_dist=p, true_dist=y),
    ),
    Call(
        "tensor.nnet.categorical_crossentropy",
        lambda p, t: -(t * np.log(p)).sum(1),
        (PROBABILITIES, TARGETS),
    ),
    Call("tensor.nnet.crossentropy_categorical_1hot", negative_log, (PROBABILITIES, LABELS)),
    Call(
        "tensor.nnet.crossentropy_softmax_1hot",
        of_softmax,
        (X, LABELS),
        lambda f, x, y: f(x, y_idx=y),
    ),
    Call(
        "tensor.nnet.crossentropy_softmax_1hot_with_bias",
        lambda x, b, y: of_softmax(x + b, y),
        (X, BIAS, LABELS),
        lambda f, x, b, y: f(x, b, y_idx=y),
    ),
    Call(
        "tensor.nnet.crossentropy_softmax_argmax_1hot_with_bias",
        lambda x, b, y: (*of_softmax(x + b, y), (x + b).argmax(1).astype("int32")),
        (X, BIAS, LABELS),
    ),
    Call(
        "tensor.nnet.crossentropy_softmax_max_and_argmax_1hot",
        with_maxima,
        (X, LABELS),
        lambda f, x, y: f(x, y_idx=y),
    ),
    Call(
        "tensor.nnet.crossentropy_softmax_max_and_argmax_1hot_with_bias",
        lambda x, b, y: with_maxima(x + b, y),
        (X, BIAS, LABELS),
    ),
    Call(
        "tensor.nnet.confusion_matrix",
        lambda actual, predicted: (np.array([[2, 0, 0], [0, 0, 1], [1, 0, 2]]), np.arange(3)),
        (ACTUAL, PREDICTED),
        lambda f, a, p: f(actual=a, pred=p),
        dtype="int64",
    ),
]

ROWS = [
    Call(
        "tensor.nnet.prepend_scalar_to_each_row",
        lambda v, m: np.hstack([np.full((3, 1), v), m]),
        (SCALAR, X),
    ),
    Call("tensor.nnet.prepend_1_to_each_row", lambda m: np.hstack([np.ones((3, 1)), m]), (X,)),
    Call("tensor.nnet.prepend_0_to_each_row", lambda m: np.hstack([np.zeros((3, 1)), m]), (X,)),
]

NORMALISATIONS = [
    Call(
        "tensor.nnet.batch_normalization",
        lambda x, g, b, m, s: (x - m) * g / s + b,
        (X, SCALE, SHIFT, MEAN, SPREAD),
        lambda f, x, g, b, m, s: f(inputs=x, gamma=g, beta=b, mean=m, std=s, mode="high_mem"),
    ),
    Call(
        "tensor.nnet.batch_normalization_test",
        lambda x, g, b, m, v: (x - m) * g / np.sqrt(v + 1e-4) + b,
        (X, SCALE, SHIFT, MEAN, SPREAD),
    ),
    Call(
        "tensor.nnet.batch_normalization_test",
        lambda x, g, b, m, v: (
            (x - m.reshape(1, 3, 1, 1)) * (g / np.sqrt(v + 0.1)).reshape(1, 3, 1, 1)
            + b.reshape(1, 3, 1, 1)
        ),
        (IMAGES, *CHANNELS),
        lambda f, x, g, b, m, v: f(
            inputs=x, gamma=g, beta=b, mean=m, var=v, axes="spatial", epsilon=0.1
        ),
    ),
    Call("tensor.nnet.batch_normalization_train", trained, (X, SCALE, SHIFT)),
    Call(
        "tensor.nnet.batch_normalization_train",
        trained_spatially,
        (IMAGES, *CHANNELS),
        lambda f, *v: f(*v[:3], "spatial", 1e-2, 0.3, running_mean=v[3], running_var=v[4]),
    ),
]

CALLS = [*ACTIVATIONS, *COSTS, *ROWS, *NORMALISATIONS]
