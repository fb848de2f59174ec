"""Random convolutions: shapes, operands and parameters for the tests of the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from helpers.layouts import normal, relaid
from helpers.native import AnyArray
from hypothesis import strategies as st

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.conv2d.conv2d import conv_size
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.contracts.core.windows import mask_bytes, max_pool


@dataclass(frozen=True)
class Case:
    """One convolution; `pool` is None where there is none."""

    n: int
    c: int
    image: tuple[int, int]
    o: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    flip: int = 0
    pool: tuple[int, int] | None = None
    dtype: str = "float32"

    @property
    def x(self) -> ArraySpec:
        return ArraySpec(self.dtype, (self.n, self.c, *self.image))

    @property
    def w(self) -> ArraySpec:
        return ArraySpec(self.dtype, (self.o, self.c, *self.kernel))

    @property
    def size(self) -> tuple[int, int]:
        return conv_size(self.image, self.kernel, self.stride, self.padding)

    @property
    def y(self) -> ArraySpec:
        ph, pw = self.pool or (1, 1)
        return ArraySpec(self.dtype, (self.n, self.o, self.size[0] // ph, self.size[1] // pw))

    @property
    def winners(self) -> ArraySpec:
        return ArraySpec("uint8", (*self.y.shape, mask_bytes(self.pool or (1, 1))))

    def params(self, tape: Tape | None = None) -> dict[str, Any]:
        params: dict[str, Any] = {
            "stride": self.stride,
            "padding": self.padding,
            "flip": self.flip,
            "epilogue": tape or Tape.identity(self.dtype),
        }
        return params if self.pool is None else params | {"pool": self.pool}

    def operand(
        self, rng: np.random.Generator, spec: ArraySpec, strided: bool, whole: bool = False
    ) -> AnyArray:
        values = normal(rng, spec.shape, spec.dtype, whole)
        return relaid(values, rng) if strided else values

    def random_winners(self, rng: np.random.Generator, strided: bool) -> AnyArray:
        """Winners of a pool over small integers, so that there are ties."""
        assert self.pool is not None
        dense = normal(rng, (self.n, self.o, *self.size), "float32", whole=True)
        height, width = self.y.shape[2:]
        mask = max_pool(dense, (height, width), self.pool, self.pool, (0, 0))[1]
        return relaid(mask, rng) if strided else mask


def _pair(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


def cases(pooled: bool, images: tuple[int, int] = (0, 3)) -> st.SearchStrategy[Case]:
    """Small convolutions of every kind, of so many images."""
    pool = st.one_of(st.just((2, 2)), _pair(1, 4)) if pooled else st.none()
    return st.builds(
        Case,
        n=st.integers(*images),
        c=st.integers(1, 6),
        image=_pair(1, 14),
        o=st.one_of(st.integers(1, 10), st.sampled_from([20, 25, 40])),
        kernel=_pair(1, 5),
        stride=_pair(1, 3),
        padding=_pair(0, 6),
        flip=st.integers(0, 1),
        pool=pool,
        dtype=st.sampled_from(["float32", "float64"]),
    )


# Awkward shapes for exact cases: remainders of filters, positions, windows and vectors.
AWKWARD = [
    Case(2, 1, (28, 28), 20, (5, 5)),
    Case(1, 3, (11, 13), 7, (3, 3), padding=(1, 2)),
    Case(2, 5, (9, 10), 33, (2, 4), stride=(2, 1), flip=1),
    Case(1, 130, (5, 5), 3, (1, 1)),
    Case(1, 2, (64, 67), 9, (3, 2), stride=(1, 2)),
    Case(3, 20, (12, 12), 40, (5, 5)),
    Case(2, 12, (14, 14), 24, (6, 6), stride=(2, 2), padding=(2, 2)),
    Case(1, 24, (10, 10), 7, (3, 3), stride=(2, 2), padding=(1, 1), flip=1),
    Case(3, 3, (20, 17), 13, (3, 3), padding=(1, 1)),
]
POOLS = [(2, 2), (3, 3), (1, 3), (4, 1)]
