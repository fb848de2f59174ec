"""Random expressions whose values stay moderate, for comparing one way to compute with another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import Variable

MAX_DEPTH = 8  # in words, some of which are several nodes
MAX_SIZE = 400
MAX_NDIM = 6  # kernels take 8
SINGLE_INPUTS = (("float32", (3, 4)), ("float32", (4,)), ("float32", (2, 2, 5, 6)))
INPUTS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("float64", (3, 4)),
    ("float64", (4, 3)),
    ("float64", (1, 4)),
    ("float64", (3, 1)),
    ("float64", (4,)),
    ("float64", ()),
    ("float64", (2, 3, 4)),
    ("float64", (2, 2, 6, 5)),
    ("int64", (3, 4)),
    ("int32", (4,)),
    ("uint8", (3, 4)),
    ("uint32", (3, 4)),
    ("bool", (3, 4)),
)
STRETCHED = ((1, 4), (3, 1))  # 1-long dimensions of inputs of these shapes broadcast


class Item(NamedTuple):
    """An expression, the shape that it will have, and how it came about.

    depth: words between the inputs and it, along the longest path.
    rough: something in it was computed in float32, so it may differ by roundings of that.
    """

    v: Variable
    shape: tuple[int, ...]
    depth: int = 0
    rough: bool = False


Step = Callable[["RandomGraph"], "tuple[Variable, tuple[int, ...]] | None"]
Kinds = str  # of dtypes, as NumPy abbreviates them: "f", "iu", "b"


class RandomGraph:
    """Inputs, their values, and a pool of expressions of them.

    steps: what makes a new expression (and its shape) of those in the pool, or None.
    single: whether there are float32 inputs too.
    """

    def __init__(
        self, random: Random, n_steps: int, steps: Sequence[Step], single: bool = False
    ) -> None:
        self._random = random
        self._rng = np.random.default_rng(random.randrange(2**32))
        self._taken: list[Item] = []
        self.inputs: list[Variable] = []
        self.values: list[NDArray[Any]] = []
        self.pool: list[Item] = []
        for dtype, shape in (*INPUTS, *(SINGLE_INPUTS if single else ())):
            stretched = [n == 1 and shape in STRETCHED for n in shape]
            self.inputs.append(T.tensor(dtype, stretched, f"x{len(self.inputs)}"))
            self.values.append(self._value(dtype, shape))
            self.pool.append(Item(self.inputs[-1], shape, 0, dtype == "float32"))
        self.n_inputs = len(self.inputs)
        for _ in range(3 * n_steps):  # some steps find nothing to work on
            if len(self.pool) < self.n_inputs + n_steps:
                self._add(self.choice(steps))

    def _value(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        kind = np.dtype(dtype).kind
        if kind == "f":
            return np.asarray(self._rng.normal(size=shape), dtype)
        low, high = {"b": (0, 2), "u": (0, 256), "i": (-9, 10)}[kind]
        return self._rng.integers(low, high, shape).astype(dtype)

    def _add(self, step: Step) -> None:
        self._taken = []
        made = step(self)
        if made is None or len(made[1]) > MAX_NDIM or not 0 < int(np.prod(made[1])) <= MAX_SIZE:
            return
        v, shape = made
        depth = 1 + max((item.depth for item in self._taken), default=0)
        rough = v.dtype == "float32" or any(item.rough for item in self._taken)
        self.pool.append(Item(v, shape, depth, rough))

    def take(self, kinds: Kinds = "f", exact: bool = False, like: Any = None) -> Item | None:
        """One of the pool to compute with, mostly one of the deepest, or None.

        kinds: of its dtype. exact: not a rough one. like: a predicate that it must fulfil.
        """
        items = [
            item
            for item in self.pool
            if np.dtype(item.v.dtype).kind in kinds
            and item.depth < MAX_DEPTH
            and not (exact and item.rough)
            and (like is None or like(item))
        ]
        if not items:
            return None
        deep = self._random.random() < 0.6
        item = max(reversed(items), key=lambda i: i.depth) if deep else self.choice(items)
        self._taken.append(item)
        return item

    def partner(self, item: Item, kinds: Kinds = "f", exact: bool = False) -> Item:
        """One that broadcasts with `item`, itself if there is no other."""
        return self.take(kinds, exact, lambda other: fits(item, other)) or item

    def outputs(self) -> list[Item]:
        """The last expression and some others."""
        made = self.pool[self.n_inputs :] or self.pool
        return [made[-1], *(self.choice(made) for _ in range(self.integer(0, 2)))]

    def cost_and_gradients(self) -> list[Variable]:
        """A scalar that depends on the last expression, and its gradient for every float input."""
        cost = T.sum(T.tanh(self.outputs()[0].v) * 1.5)
        floats = [x for x in self.inputs if x.dtype.startswith("float")]
        return [cost, *T.grad(cost, floats, disconnected_inputs="ignore")]

    @property
    def rough(self) -> bool:
        """Whether any expression is computed in float32."""
        return any(item.rough for item in self.pool[self.n_inputs :])

    def noise(self, shape: Sequence[int], dtype: str = "float64") -> NDArray[Any]:
        """Constants that break ties."""
        return np.asarray(self._rng.normal(size=tuple(shape)), dtype)

    def integers(self, low: int, high: int, shape: Sequence[int]) -> NDArray[np.int64]:
        return self._rng.integers(low, high, tuple(shape))

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def choice(self, items: Any) -> Any:
        return self._random.choice(items)


def padded(item: Item, ndim: int) -> list[tuple[int, bool]]:
    """Length and stretchability of each axis, aligned on the right."""
    left = [(1, True)] * (ndim - len(item.shape))
    return [*left, *zip(item.shape, item.v.broadcastable, strict=True)]


def fits(a: Item, b: Item) -> bool:
    """Whether the two broadcast."""
    ndim = max(len(a.shape), len(b.shape))
    axes = zip(padded(a, ndim), padded(b, ndim), strict=True)
    return all(n == m or f or g for (n, f), (m, g) in axes)


def joined(a: Item, b: Item) -> tuple[int, ...]:
    """The shape of what broadcasts the two."""
    ndim = max(len(a.shape), len(b.shape))
    axes = zip(padded(a, ndim), padded(b, ndim), strict=True)
    return tuple(m if f else n for (n, f), (m, _) in axes)
