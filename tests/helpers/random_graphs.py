"""Random expressions whose values stay moderate, for comparing one way to compute with another."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import Variable

THRESHOLD = 0.37109  # no expression below has just this value, so no comparison ties
MAX_SIZE = 400


class Item(NamedTuple):
    """An expression and the shape that it will have."""

    v: Variable
    shape: tuple[int, ...]


class RandomGraph:
    """Inputs, their values, and a pool of expressions of them.

    smooth: only operations whose gradients do not jump where two values tie.
    """

    def __init__(self, random: Random, n_steps: int, smooth: bool) -> None:
        self._random = random
        self._steps = SMOOTH if smooth else SMOOTH + JUMPING
        rng = np.random.default_rng(random.randrange(2**32))
        shapes: list[tuple[tuple[int, ...], tuple[bool, ...]]] = [
            ((3, 4), (False, False)),
            ((4, 3), (False, False)),
            ((1, 4), (True, False)),
            ((3, 1), (False, True)),
            ((4,), (False,)),
            ((), ()),
            ((2, 3, 4), (False,) * 3),
        ]
        self.inputs: list[Variable] = []
        self.values: list[NDArray[np.float64]] = []
        self.pool: list[Item] = []
        for number, (shape, broadcastable) in enumerate(shapes):
            self.inputs.append(T.tensor("float64", broadcastable, f"x{number}"))
            self.values.append(np.asarray(rng.normal(size=shape)))
            self.pool.append(Item(self.inputs[-1], shape))
        for _ in range(n_steps):
            item = self._random.choice(self._steps)(self)
            if item is not None and int(np.prod(item.shape)) <= MAX_SIZE:
                self.pool.append(item)

    def pick(self) -> Item:
        """An expression, rather a late one."""
        return self.pool[-1 - min(int(self._random.expovariate(0.3)), len(self.pool) - 1)]

    def partner(self, item: Item) -> Item:
        """An expression that broadcasts with `item`."""
        return self._random.choice([other for other in self.pool if fits(item, other)])

    def outputs(self) -> list[Variable]:
        """The last expression and some others."""
        return [self.pool[-1].v, *(self.pick().v for _ in range(self._random.randrange(3)))]

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def choice(self, items: Any) -> Any:
        return self._random.choice(items)


def padded(item: Item, ndim: int) -> list[tuple[int, bool]]:
    """Length and stretchability of each axis, aligned on the right."""
    left = [(1, True)] * (ndim - len(item.shape))
    return [*left, *zip(item.shape, item.v.broadcastable, strict=True)]


def fits(a: Item, b: Item) -> bool:
    ndim = max(len(a.shape), len(b.shape))
    axes = zip(padded(a, ndim), padded(b, ndim), strict=True)
    return all(n == m or f or g for (n, f), (m, g) in axes)


def joined(a: Item, b: Item) -> tuple[int, ...]:
    ndim = max(len(a.shape), len(b.shape))
    axes = zip(padded(a, ndim), padded(b, ndim), strict=True)
    return tuple(m if f else n for (n, f), (m, _) in axes)


def unary(*functions: Callable[[Variable], Variable]) -> Callable[[RandomGraph], Item]:
    def step(graph: RandomGraph) -> Item:
        x = graph.pick()
        return Item(graph.choice(functions)(x.v), x.shape)

    return step


def binary(*functions: Callable[[Variable, Variable], Variable]) -> Callable[[RandomGraph], Item]:
    def step(graph: RandomGraph) -> Item:
        x = graph.pick()
        y = graph.partner(x)
        if graph.integer(0, 1):
            x, y = y, x
        return Item(graph.choice(functions)(x.v, y.v), joined(x, y))

    return step


def reduction(*functions: Callable[..., Variable]) -> Callable[[RandomGraph], Item]:
    def step(graph: RandomGraph) -> Item:
        x = graph.pick()
        ndim = len(x.shape)
        axes = tuple(a for a in range(ndim) if graph.integer(0, 1))
        keep = bool(graph.integer(0, 1))
        lengths = [(n, a in axes) for a, n in enumerate(x.shape)]
        shape = tuple(1 if r else n for n, r in lengths if keep or not r)
        return Item(graph.choice(functions)(x.v, axis=axes, keepdims=keep), shape)

    return step


def product(graph: RandomGraph) -> Item | None:
    x = graph.pick()
    partners = [
        y for y in graph.pool if len(x.shape) == len(y.shape) == 2 and x.shape[1] == y.shape[0]
    ]
    if not partners:
        return None
    y = graph.choice(partners)
    return Item(T.dot(x.v, y.v), (x.shape[0], y.shape[1]))


def reshaped(graph: RandomGraph) -> Item:
    x = graph.pick()
    size = int(np.prod(x.shape))
    first = graph.choice([n for n in range(1, size + 1) if size % n == 0])
    shape = graph.choice([(size,), (first, size // first), (1, size), (size, 1)])
    return Item(x.v.reshape(shape), shape)


def transposed(graph: RandomGraph) -> Item:
    x = graph.pick()
    axes = list(range(len(x.shape)))
    for i in reversed(range(len(axes))):
        j = graph.integer(0, i)
        axes[i], axes[j] = axes[j], axes[i]
    pattern: list[Any] = axes.copy()
    if len(axes) < 3:
        pattern.insert(graph.integer(0, len(axes)), "x")
    shape = tuple(1 if p == "x" else x.shape[p] for p in pattern)
    return Item(x.v.dimshuffle(*pattern), shape)


def sliced(graph: RandomGraph) -> Item | None:
    x = graph.pick()
    if not x.shape or 0 in x.shape:
        return None
    index: list[Any] = []
    shape: list[int] = []
    for n in x.shape:
        if not graph.integer(0, 3):
            index.append(graph.integer(-n, n - 1))
            continue
        key = slice(
            graph.choice([None, 0, 1, -2]),
            graph.choice([None, n, -1, 2]),
            graph.choice([None, 1, 2, -1]),
        )
        count = len(range(*key.indices(n)))
        index.append(key if count else slice(None))
        shape.append(count or n)
    return Item(x.v[tuple(index)], tuple(shape))


def picked(graph: RandomGraph) -> Item | None:
    x = graph.pick()
    if not x.shape or 0 in x.shape:
        return None
    axis = graph.integer(0, len(x.shape) - 1)
    places = [graph.integer(-x.shape[axis], x.shape[axis] - 1) for _ in range(3)]
    key = (*(slice(None),) * axis, places)
    return Item(x.v[key], (*x.shape[:axis], 3, *x.shape[axis + 1 :]))


def concatenated(graph: RandomGraph) -> Item | None:
    x, y = graph.pick(), graph.pick()
    ndim = len(x.shape)
    if ndim == 0 or len(y.shape) != ndim:
        return None
    differing = [d for d in range(ndim) if x.shape[d] != y.shape[d]]
    if len(differing) > 1:
        return None
    axis = differing[0] if differing else graph.integer(0, ndim - 1)
    both = [x, y] if graph.integer(0, 1) else [y, x, y]
    shape = list(x.shape)
    shape[axis] = sum(item.shape[axis] for item in both)
    return Item(T.concatenate([item.v for item in both], axis=axis), tuple(shape))


def stacked(graph: RandomGraph) -> Item:
    x = graph.pick()
    axis = graph.integer(0, len(x.shape))
    parts = [x.v, T.tanh(x.v)]
    return Item(T.stack(parts, axis=axis), (*x.shape[:axis], 2, *x.shape[axis:]))


def written(graph: RandomGraph) -> Item | None:
    """A slice or some rows replaced or added to, by a number or by other rows of the same."""
    x = graph.pick()
    if not x.shape or 0 in x.shape:
        return None
    n = x.shape[0]
    key: Any = slice(graph.integer(0, n - 1), None, graph.choice([1, 2]))
    if graph.integer(0, 1):
        key = [graph.integer(-n, n - 1) for _ in range(2)]
    word = graph.choice([T.set_subtensor, T.inc_subtensor])
    value = graph.choice([0.5, T.tanh(x.v[key])])
    return Item(word(x.v[key], value), x.shape)


def filled(graph: RandomGraph) -> Item:
    x = graph.pick()
    number = graph.choice([0.0, 1.0, 0.5, -2.0])
    return Item(T.ones_like(x.v) * number, x.shape)


def repeated(graph: RandomGraph) -> Item:
    x = graph.pick()
    return Item(T.alloc(x.v, 2, *x.shape), (2, *x.shape))


def softmax(graph: RandomGraph) -> Item | None:
    x = graph.pick()
    if len(x.shape) != 2 or 0 in x.shape:
        return None
    s = T.nnet.softmax(T.tanh(x.v))
    return Item(T.log(s) if graph.integer(0, 1) else s, x.shape)


def cross_entropy(graph: RandomGraph) -> Item | None:
    x = graph.pick()
    if len(x.shape) != 2 or 0 in x.shape:
        return None
    labels = [graph.integer(-x.shape[1], x.shape[1] - 1) for _ in range(x.shape[0])]
    scores = T.log(T.nnet.softmax(T.tanh(x.v)))
    return Item(-scores[T.arange(x.shape[0]), labels], x.shape[:1])


def chosen(x: Variable, y: Variable) -> Variable:
    return T.switch(T.gt(T.tanh(x), THRESHOLD), x, y)


def chosen_by_logic(x: Variable, y: Variable) -> Variable:
    inside = (T.tanh(x) > THRESHOLD) & (T.tanh(y) < 1 - THRESHOLD) | ~(y > -THRESHOLD)
    return T.switch(inside ^ T.isnan(y), x, y)


SMOOTH: tuple[Callable[[RandomGraph], Item | None], ...] = (
    unary(T.tanh, T.nnet.sigmoid, lambda x: T.nnet.softplus(T.tanh(x)), lambda x: -x),
    unary(lambda x: T.exp(T.tanh(x)), lambda x: T.log(T.sqr(x) + 1), lambda x: T.sqrt(x * x + 1)),
    unary(lambda x: x * 1, lambda x: x + 0, lambda x: 0 - x, lambda x: x / 1, lambda x: T.neg(-x)),
    unary(lambda x: 1 / (1 + T.exp(-T.tanh(x))), lambda x: T.log(1 + T.exp(T.tanh(x)))),
    unary(lambda x: T.log(1 - T.nnet.sigmoid(T.tanh(x))), lambda x: T.log(T.nnet.sigmoid(x))),
    unary(lambda x: T.tanh(x) ** 2, lambda x: (T.sqr(x) + 1) ** -1, lambda x: (x * x + 1) ** 0.5),
    binary(T.add, T.sub, lambda x, y: T.tanh(x) * y),
    binary(T.add, T.sub, lambda x, y: x * T.nnet.sigmoid(y), lambda x, y: x / (T.sqr(y) + 1)),
    binary(chosen, chosen_by_logic),
    reduction(T.sum, T.mean),
    product,
    reshaped,
    transposed,
    sliced,
    picked,
    concatenated,
    stacked,
    written,
    filled,
    repeated,
    softmax,
    cross_entropy,
)
JUMPING: tuple[Callable[[RandomGraph], Item | None], ...] = (
    binary(T.maximum, T.minimum),
    unary(lambda x: T.clip(x, -0.25, 1.5), lambda x: x.copy() % 0.71),
    unary(abs, T.nnet.relu, lambda x: T.maximum(x, 0.5)),
    reduction(T.max, T.min),
    unary(lambda x: T.cast(T.cast(x, "float32") > THRESHOLD, "float64")),
)
