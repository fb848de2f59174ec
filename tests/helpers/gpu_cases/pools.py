"""pool2d, average_pool2d and their gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from helpers.gpu_cases.case import AnyArray, Case, Problem
from helpers.layouts import normal, relaid
from helpers.pools import Pair, pooled_size

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.windows import mask_bytes, max_pool
from tinygrad_mnist.contracts.pool2d.average_pool2d import INSIDE, PADDED, SUM


@dataclass(frozen=True)
class Pool:
    """A pool's geometry. incomplete: whether windows that extend over the edge count."""

    shape: tuple[int, int, int, int]
    window: Pair
    stride: Pair
    padding: Pair = (0, 0)
    incomplete: bool = False

    @property
    def params(self) -> dict[str, Pair]:
        return {"window": self.window, "stride": self.stride, "padding": self.padding}

    @property
    def pooled(self) -> tuple[int, int, int, int]:
        image = (self.shape[2], self.shape[3])
        size = pooled_size(image, self.window, self.stride, self.padding, not self.incomplete)
        return (*self.shape[:2], *size)

    @property
    def mask(self) -> tuple[int, ...]:
        return (*self.pooled, mask_bytes(self.window))


def images(pool: Pool, rng: np.random.Generator, dtype: str, kind: str) -> AnyArray:
    """Pixels: `whole` ones tie, `special` ones have NaN and infinities among them."""
    x = normal(rng, pool.shape, dtype, kind != "normal")
    if kind == "special":
        x[rng.random(x.shape) < 0.2] = np.nan
        x[rng.random(x.shape) < 0.2] = -np.inf
    return x


def maximum(pool: Pool, dtype: str, kind: str, strided: bool, mask: bool, first: bool = False):
    """first: whether the mask has the first winner of each window alone."""
    params = {**pool.params, "first": 1} if first else pool.params

    def make(rng: np.random.Generator) -> Problem:
        x = images(pool, rng, dtype, kind)
        specs = [ArraySpec(dtype, pool.pooled), ArraySpec("uint8", pool.mask)][: 1 + mask]
        if strided:
            return [relaid(x, rng)], [relaid(poisoned(spec), rng) for spec in specs], params
        return [x], specs, params

    return make


def by_winners(pool: Pool, dtype: str, kind: str, strided: bool, transposed: bool):
    """The gradient (of g), or its transpose (of x)."""

    def make(rng: np.random.Generator) -> Problem:
        ties = normal(rng, pool.shape, "float32", True)
        winners = max_pool(ties, pool.pooled[2:], pool.window, pool.stride, pool.padding)[1]
        shape, result = (pool.shape, pool.pooled) if transposed else (pool.pooled, pool.shape)
        inputs = [normal(rng, shape, dtype, kind != "normal"), winners]
        if kind == "special":  # what doesn't win adds nothing
            inputs[0][rng.random(shape) < 0.2] = np.inf
        spec = ArraySpec(dtype, result)
        if strided:
            inputs = [relaid(array, rng) for array in inputs]
            return inputs, [relaid(poisoned(spec), rng)], pool.params
        return inputs, [spec], pool.params

    return make


def mean(pool: Pool, dtype: str, count: int, strided: bool, gradient: bool):
    def make(rng: np.random.Generator) -> Problem:
        shape, result = (pool.pooled, pool.shape) if gradient else (pool.shape, pool.pooled)
        x, spec = normal(rng, shape, dtype), ArraySpec(dtype, result)
        params = {**pool.params, "count": count}
        if strided:
            return [relaid(x, rng)], [relaid(poisoned(spec), rng)], params
        return [x], [spec], params

    return make


SMALL = {
    "halves": Pool((2, 2, 4, 6), (2, 2), (2, 2)),
    "incomplete": Pool((1, 2, 5, 3), (2, 2), (2, 2), incomplete=True),
    "overlapping": Pool((1, 2, 5, 6), (3, 3), (1, 2), (1, 1)),
    "padded": Pool((1, 1, 4, 5), (3, 2), (2, 1), (3, 2), incomplete=True),
    "gaps": Pool((1, 1, 7, 7), (2, 1), (3, 4)),
    "wide": Pool((1, 1, 3, 14), (2, 9), (1, 2), (1, 3)),
    "no-images": Pool((0, 2, 4, 4), (2, 2), (2, 2)),
    "no-windows": Pool((1, 1, 2, 4), (3, 2), (2, 2)),
}
LARGE = {
    "conv1-10": Pool((10, 20, 24, 24), (2, 2), (2, 2)),
    "conv2-10000": Pool((10_000, 40, 8, 8), (2, 2), (2, 2)),
    "overlapping-large": Pool((64, 32, 57, 61), (3, 3), (2, 2), (1, 1)),
    "huge-window": Pool((2, 3, 50, 60), (31, 40), (3, 2), (7, 9)),
}
KINDS = {"halves": "normal", "padded": "special", "wide": "special"}
COUNTS = (SUM, PADDED, INSIDE)


def cases(name: str, pool: Pool, dtype: str, strided: bool, **options) -> list[Case]:
    """A pool in all its kernels."""
    kind = KINDS.get(name, "whole")
    label = f"{name}-{dtype}" if dtype != "float32" else name
    count = COUNTS[len(name) % 3]
    makes = {
        "pool2d": maximum(pool, dtype, kind, strided, True),
        "pool2d_grad": by_winners(pool, dtype, kind, strided, False),
        "pool2d_gather": by_winners(pool, dtype, kind, strided, True),
        "average_pool2d": mean(pool, dtype, count, strided, False),
        "average_pool2d_grad": mean(pool, dtype, count, strided, True),
    }
    doubles = dtype == "float64"
    return [Case(label, k, make, doubles=doubles, **options) for k, make in makes.items()]


CASES = [
    *(
        c
        for name, pool in SMALL.items()
        for c in cases(name, pool, "float32", name == "wide", modes=("sim", "gpu"))
    ),
    *cases("overlapping", SMALL["overlapping"], "float64", True),
    Case("no-mask", "pool2d", maximum(SMALL["incomplete"], "float32", "special", True, False)),
    *(
        Case(
            f"first-{kind}-{name}",
            "pool2d",
            maximum(pool, "float32", kind, name == "wide", True, first=True),
            modes=("sim", "compile", "gpu")
            if (name, kind) == ("wide", "whole")
            else ("sim", "gpu"),
        )
        for name, pool in SMALL.items()
        for kind in ("whole", "special")
    ),
    *(
        Case(
            f"{count}-{name}",
            kernel,
            mean(SMALL[name], "float32", count, False, gradient),
            modes=("sim", "gpu"),
        )
        for count in COUNTS
        for name in ("halves", "padded")
        for kernel, gradient in (("average_pool2d", False), ("average_pool2d_grad", True))
    ),
    *(
        c
        for name, pool in LARGE.items()
        for c in cases(name, pool, "float32", False, modes=("compile", "gpu"), registers=128)
    ),
]
