"""What a random expression is made of: floats.

SMOOTH steps have gradients that finite differences confirm; those of KINKED ones jump somewhere,
and noise keeps operands away from there; values of JUMPING ones jump, so they don't take operands
that roundings of float32 have moved. `random_integer_steps` has what is not float.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from helpers.random_graphs import RandomGraph, Step, joined

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import Variable
from tinygrad_mnist.ops.pool import POOL2D

THRESHOLD = 0.37109  # no expression below has just this value, so no comparison ties
Made = tuple[Variable, tuple[int, ...]] | None


def unary(*functions: Callable[[Variable], Variable], exact: bool = False) -> Step:
    def step(graph: RandomGraph) -> Made:
        x = graph.take(exact=exact)
        return x and (graph.choice(functions)(x.v), x.shape)

    return step


def binary(*functions: Callable[[Variable, Variable], Variable], exact: bool = False) -> Step:
    def step(graph: RandomGraph) -> Made:
        x = graph.take(exact=exact)
        if x is None:
            return None
        y = graph.partner(x, exact=exact)
        if graph.integer(0, 1):
            x, y = y, x
        return graph.choice(functions)(x.v, y.v), joined(x, y)

    return step


def reduction(*functions: Callable[..., Variable], noise: float = 0.0) -> Step:
    def step(graph: RandomGraph) -> Made:
        x = graph.take()
        if x is None:
            return None
        axes = tuple(a for a in range(len(x.shape)) if graph.integer(0, 1))
        keep = bool(graph.integer(0, 1))
        shape = np.sum(np.zeros(x.shape), axis=axes, keepdims=keep).shape
        v = x.v + noise * graph.noise(x.shape, x.v.dtype) if noise else x.v
        return graph.choice(functions)(v, axis=axes, keepdims=keep), shape

    return step


def deviation(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: np.prod(item.shape) > 1)
    return x and (T.std(x.v + graph.noise(x.shape, x.v.dtype)), ())


# --- products ---------------------------------------------------------------------------------


def product(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: item.shape)
    y = x and graph.take(
        like=lambda item: item.shape and x.shape[-1] == item.shape[-2 if len(item.shape) > 1 else 0]
    )
    if x is None or y is None:
        return None
    return T.dot(x.v, y.v), np.dot(np.zeros(x.shape), np.zeros(y.shape)).shape


def product_of_batches(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: len(item.shape) == 3)
    if x is None:
        return None
    y = graph.take(like=lambda item: len(item.shape) == 3 and item.shape[0] == x.shape[0])
    if y is None or x.shape[2] != y.shape[1]:
        y = x
        return T.batched_dot(x.v, y.v.dimshuffle(0, 2, 1)), (*x.shape[:2], y.shape[1])
    return T.batched_dot(x.v, y.v), (*x.shape[:2], y.shape[2])


def contraction(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: item.shape)
    if x is None:
        return None
    n = graph.integer(1, len(x.shape))
    y = graph.take(like=lambda item: item.shape[:n] == x.shape[-n:])
    return y and (T.tensordot(x.v, y.v, axes=n), (*x.shape[:-n], *y.shape[n:]))


def outer_product(graph: RandomGraph) -> Made:
    x, y = (graph.take(like=lambda item: len(item.shape) == 1) for _ in range(2))
    return x and y and (T.outer(x.v, y.v), (*x.shape, *y.shape))


# --- shapes -----------------------------------------------------------------------------------


def reshaped(graph: RandomGraph) -> Made:
    x = graph.take()
    if x is None:
        return None
    sides: list[int] = [int(np.prod(x.shape))]
    for _ in range(graph.integer(0, 3)):
        n = sides.pop()
        side = graph.choice([side for side in range(1, n + 1) if n % side == 0])
        sides += [side, n // side]
    return x.v.reshape(tuple(sides)), tuple(sides)


def transposed(graph: RandomGraph) -> Made:
    x = graph.take()
    if x is None:
        return None
    pattern: list[Any] = [int(a) for a in np.argsort(graph.noise((len(x.shape),)))]
    if len(pattern) < 3:
        pattern.insert(graph.integer(0, len(pattern)), "x")
    return x.v.dimshuffle(*pattern), tuple(1 if p == "x" else x.shape[p] for p in pattern)


def repeated(graph: RandomGraph) -> Made:
    x = graph.take()
    if x is None:
        return None
    empty = np.zeros(x.shape)
    axis = graph.integer(-1, len(x.shape) - 1)
    words = [
        (T.alloc(x.v, 2, *x.shape), (2, *x.shape)),
        (T.tile(x.v, (2, 1)), np.tile(empty, (2, 1)).shape),
        (T.repeat(x.v, 2, None if axis < 0 else axis), np.repeat(empty, 2, axis).shape)
        if axis >= 0 or len(x.shape) == 1
        else (T.ones_like(x.v) * graph.choice([0.0, 1.0, 0.5, -2.0]), x.shape),
    ]
    made: Made = graph.choice(words)
    return made


def concatenated(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: item.shape)
    y = x and graph.take("fiu", like=lambda item: item.shape == x.shape)
    if x is None:
        return None
    other = x.v[..., ::-1] if y is None else y.v % 7 if y.v.dtype[0] in "iu" else y.v
    axis = graph.integer(-len(x.shape), len(x.shape) - 1)
    parts = [np.zeros(x.shape)] * 2
    if graph.integer(0, 1):
        return T.stack([other, x.v], axis=axis), np.stack(parts, axis=axis).shape
    return T.concatenate([x.v, other], axis=axis), np.concatenate(parts, axis=axis).shape


def split(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: item.shape and item.shape[0] > 1)
    if x is None:
        return None
    cut = graph.integer(1, x.shape[0] - 1)
    parts = T.split(x.v, [cut, x.shape[0] - cut], axis=0)
    which = graph.integer(0, 1)
    return parts[which], ([cut, x.shape[0] - cut][which], *x.shape[1:])


# --- indexing ---------------------------------------------------------------------------------


def random_slice(graph: RandomGraph, n: int) -> slice:
    """A slice that selects at least one of n elements."""
    key = slice(
        graph.choice([None, 0, 1, -2]),
        graph.choice([None, n, -1, 2]),
        graph.choice([None, 1, 2, -1]),
    )
    return key if range(*key.indices(n)) else slice(None)


def random_key(graph: RandomGraph, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Slices, numbers, None and integer arrays that broadcast, on any axes."""
    arrays = bool(graph.integer(0, 1))
    full = graph.choice([(3,), (2, 2)])
    key: list[Any] = []
    for n in shape[: graph.integer(1, len(shape))]:
        kind = graph.integer(0, 5)
        if kind == 0:
            key.append(graph.integer(-n, n - 1))
        elif kind <= 2 and arrays:
            key.append(graph.integers(-n, n - 1, full))
        else:
            key.append(random_slice(graph, n))
    if not graph.integer(0, 4):
        key.append(Ellipsis)
    if not graph.integer(0, 4):
        key.insert(graph.integer(0, len(key)), None)
    return tuple(key)


def indexed(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: item.shape)
    if x is None:
        return None
    key = random_key(graph, x.shape)
    return x.v[key], np.zeros(x.shape)[key].shape


def indexed_by_data(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: item.shape)
    index = graph.take("iu", exact=True, like=lambda item: len(item.shape) == 1)
    if x is None or index is None:
        return None
    axis = graph.integer(0, len(x.shape) - 1)
    rows = T.cast(index.v, "int64") % x.shape[axis] - graph.choice([0, x.shape[axis]])
    before: tuple[Any, ...] = tuple(random_slice(graph, n) for n in x.shape[:axis])
    dummy = np.zeros(index.shape, np.int64)
    return x.v[(*before, rows)], np.zeros(x.shape)[(*before, dummy)].shape


def rewritten(graph: RandomGraph) -> Made:
    """set_subtensor or inc_subtensor, of a number or of an expression."""
    x = graph.take(like=lambda item: item.shape)
    if x is None:
        return None
    key = random_key(graph, x.shape)
    part = np.zeros(x.shape)[key].shape
    y = graph.take(like=lambda item: item.shape == part and item.v.dtype == x.v.dtype)
    write = graph.choice([T.set_subtensor, T.inc_subtensor])
    return write(x.v[key], graph.choice([0.5, -1.0]) if y is None else y.v), x.shape


# --- layers -----------------------------------------------------------------------------------


def softmax(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: len(item.shape) == 2)
    if x is None:
        return None
    s = graph.choice([T.nnet.softmax, T.nnet.log_softmax])(T.tanh(x.v))
    return s, x.shape


def cross_entropy(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: len(item.shape) == 2)
    if x is None:
        return None
    rows, classes = x.shape
    p = T.nnet.softmax(T.tanh(x.v))
    labels = graph.integers(-classes, classes - 1, (rows,))
    kind = graph.integer(0, 2)
    if kind == 0:
        return T.nnet.categorical_crossentropy(p, labels % classes), (rows,)
    if kind == 1:
        y = graph.partner(x)
        if y.shape == x.shape:
            return T.nnet.categorical_crossentropy(p, T.nnet.sigmoid(y.v)), (rows,)
    return -T.log(p)[T.arange(rows), labels], (rows,)


def binary_cross_entropy(graph: RandomGraph) -> Made:
    x = graph.take()
    if x is None:
        return None
    y = graph.partner(x)
    target = T.nnet.sigmoid(y.v)
    if graph.integer(0, 1):
        return T.nnet.sigmoid_binary_crossentropy(x.v, target), joined(x, y)
    p = T.nnet.sigmoid(T.tanh(x.v))
    return T.nnet.binary_crossentropy(p, target), joined(x, y)


def convolution(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: len(item.shape) == 4)
    if x is None:
        return None
    n, channels, *image = x.shape
    w = graph.take(like=lambda item: len(item.shape) == 4 and item.shape[1] == channels)
    if w is None or w is x or any(k > side for k, side in zip(w.shape[2:], image, strict=True)):
        shape = (graph.integer(1, 3), channels, *(graph.integer(1, min(3, i)) for i in image))
        filters: Variable = T.tanh(x.v.sum()) * graph.noise(shape, x.v.dtype)
    else:
        filters, shape = T.tanh(w.v), w.shape
    mode = graph.choice(["valid", "full", "half", (1, 0)])
    stride = graph.choice([(1, 1), (1, 1), (2, 1), (2, 2)])
    pads = {
        "valid": (0, 0),
        "full": [k - 1 for k in shape[2:]],
        "half": [k // 2 for k in shape[2:]],
    }
    size = [
        (side + 2 * pad - k) // step + 1
        for side, pad, k, step in zip(image, pads.get(mode, mode), shape[2:], stride, strict=True)
    ]
    v = T.nnet.conv2d(
        x.v, filters, border_mode=mode, subsample=stride, filter_flip=bool(graph.integer(0, 1))
    )
    return v * 0.5, (n, shape[0], *size)


def pooling(*modes: str, noise: float = 0.0) -> Step:
    def step(graph: RandomGraph) -> Made:
        x = graph.take(like=lambda item: len(item.shape) >= 2)
        if x is None:
            return None
        window = [graph.integer(1, min(3, side)) for side in x.shape[-2:]]
        stride = graph.choice([window, (1, 1), (2, 1)])
        pad = [graph.integer(0, k - 1) for k in window]
        v = x.v + noise * graph.noise(x.shape, x.v.dtype) if noise else x.v
        sides = zip(x.shape[-2:], pad, window, stride, strict=True)
        size = [(n + 2 * p - k) // s + 1 for n, p, k, s in sides]
        pooled = T.signal.pool.pool_2d(
            v, window, ignore_border=True, stride=stride, pad=pad, mode=graph.choice(modes)
        )
        return pooled, (*x.shape[:-2], *size)

    return step


def theano_pool(x: Variable) -> Variable:
    return T.signal.pool.pool_2d(x, (2, 2), ignore_border=True)


def keras_pool(x: Variable) -> Variable:
    """The first of equal maxima gets the gradient."""
    geometry = {"window": (2, 2), "stride": (2, 2), "padding": (0, 0), "ignore_border": True}
    y: Variable = POOL2D(x, **geometry, winners=True, first=1)
    return y


def activated_pool(graph: RandomGraph) -> Made:
    """A layer as in the book: convolution, pool, bias, activation."""
    made = convolution(graph)
    if made is None or min(made[1][2:]) < 2:
        return None
    y, (n, filters, *image) = made
    pooled = graph.choice([theano_pool, keras_pool])(y + graph.noise(made[1], y.dtype))
    b = graph.noise((filters,), y.dtype)
    activation = graph.choice([T.nnet.sigmoid, T.nnet.relu, T.tanh])
    return activation(pooled + b[:, None, None]), (n, filters, image[0] // 2, image[1] // 2)


# --- jumps ------------------------------------------------------------------------------------


def chosen(x: Variable, y: Variable) -> Variable:
    return T.switch(T.gt(T.tanh(x), THRESHOLD), x, y)


def chosen_by_logic(x: Variable, y: Variable) -> Variable:
    inside = (T.tanh(x) > THRESHOLD) & (T.tanh(y) < 1 - THRESHOLD) | ~(y > -THRESHOLD)
    return T.switch(inside ^ T.isnan(y), x, y)


def chosen_by_nan(x: Variable, y: Variable) -> Variable:
    return T.switch(T.isnan(T.log(x - THRESHOLD)) | T.isinf(y), x * 0.5, y)


def steps_of_a_staircase(x: Variable) -> list[Variable]:
    """Functions that jump, none of them at a small fraction."""
    moved = x * 1.37 + THRESHOLD
    return [
        T.floor(moved),
        T.ceil(moved),
        T.trunc(moved),
        T.round(moved),
        moved % 0.71,
        T.sgn(moved),
    ]


SMOOTH: tuple[Step, ...] = (
    unary(T.tanh, T.nnet.sigmoid, lambda x: T.nnet.softplus(T.tanh(x)), lambda x: -x),
    unary(lambda x: T.exp(T.tanh(x)), lambda x: T.log(T.sqr(x) + 1), lambda x: T.sqrt(x * x + 1)),
    unary(lambda x: x * 1, lambda x: x + 0, lambda x: 0 - x, lambda x: x / 1, lambda x: T.neg(-x)),
    unary(lambda x: 1 / (1 + T.exp(-T.tanh(x))), lambda x: T.log(1 + T.exp(T.tanh(x)))),
    unary(lambda x: T.log(1 - T.nnet.sigmoid(T.tanh(x))), lambda x: T.log(T.nnet.sigmoid(x))),
    unary(lambda x: T.tanh(x) ** 2, lambda x: (T.sqr(x) + 1) ** -1, lambda x: (x * x + 1) ** 0.5),
    unary(lambda x: T.log1p(T.sqr(x)), lambda x: T.pow(1.3, T.tanh(x)), lambda x: x.copy()),
    binary(T.add, T.sub, lambda x, y: T.tanh(x) * y),
    binary(T.add, T.sub, lambda x, y: x * T.nnet.sigmoid(y), lambda x, y: x / (T.sqr(y) + 1)),
    reduction(T.sum, T.mean, T.var),
    reduction(lambda x, **axes: T.prod(1 + 0.01 * T.tanh(x), **axes)),
    deviation,
    product,
    product_of_batches,
    contraction,
    outer_product,
    reshaped,
    transposed,
    repeated,
    concatenated,
    split,
    indexed,
    indexed,
    indexed_by_data,
    rewritten,
    rewritten,
    softmax,
    cross_entropy,
    binary_cross_entropy,
    convolution,
    convolution,
    pooling("sum", "average_inc_pad", "average_exc_pad"),
)
KINKED: tuple[Step, ...] = (
    binary(lambda x, y: T.maximum(x, y + THRESHOLD), lambda x, y: T.minimum(x + THRESHOLD, y)),
    unary(lambda x: T.clip(x + THRESHOLD, -0.25, 1.5), lambda x: abs(x + THRESHOLD)),
    unary(lambda x: T.nnet.relu(x + THRESHOLD), lambda x: T.nnet.relu(x - THRESHOLD, 0.1)),
    unary(lambda x: T.nnet.hard_sigmoid(x + THRESHOLD), lambda x: T.maximum(x + THRESHOLD, 0.5)),
    unary(lambda x: T.nnet.ultra_fast_sigmoid(x + THRESHOLD)),
    reduction(T.max, T.min, noise=0.9),
    pooling("max", noise=0.9),
    pooling("max", noise=0.9),
    activated_pool,
    activated_pool,
)
JUMPING: tuple[Step, ...] = (
    binary(chosen, chosen_by_logic, chosen_by_nan, exact=True),
    unary(*(lambda x, k=k: steps_of_a_staircase(x)[k] for k in range(6)), exact=True),
    unary(lambda x: T.cast(T.cast(x, "float32") > THRESHOLD, "float64"), exact=True),
)
DIFFERENTIABLE = SMOOTH + KINKED
