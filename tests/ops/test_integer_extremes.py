"""Integers at the ends of their ranges, and constants that float64 doesn't hold: exact, or wrapped
as NumPy does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist.tensor as T  # noqa: N812

DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
Binary = Callable[[Any, Any], Any]


def ends(dtype: str) -> Any:
    info = np.iinfo(dtype)
    inner = [-1, 0, 1] if info.min < 0 else [0, 1, 2]
    return np.array([info.min, info.min + 1, *inner, info.max - 1, info.max], dtype)


ELEMENTWISE: dict[str, tuple[Binary, Binary]] = {
    "add": (lambda x, y: x + y, np.add),
    "sub": (lambda x, y: x - y, np.subtract),
    "mul": (lambda x, y: x * y, np.multiply),
    "maximum": (T.maximum, np.maximum),
    "minimum": (T.minimum, np.minimum),
    "lt": (T.lt, np.less),
    "le": (T.le, np.less_equal),
    "eq": (T.eq, np.equal),
    "and": (T.bitwise_and, np.bitwise_and),
    "xor": (T.bitwise_xor, np.bitwise_xor),
    "abs": (lambda x, y: abs(x), lambda x, y: np.abs(x)),
    "neg": (lambda x, y: -x, lambda x, y: -x),
    "sqr": (lambda x, y: T.sqr(x), lambda x, y: x * x),
    "sgn": (lambda x, y: T.sgn(x), lambda x, y: np.sign(x)),
    "invert": (lambda x, y: T.invert(x), lambda x, y: ~x),
    "float64": (lambda x, y: T.cast(x, "float64"), lambda x, y: x.astype("float64")),
    "float32": (lambda x, y: T.cast(x, "float32"), lambda x, y: x.astype("float32")),
    "int8": (lambda x, y: T.cast(x, "int8"), lambda x, y: x.astype("int8")),
    "switch": (lambda x, y: T.switch(x > y, x, y), lambda x, y: np.where(x > y, x, y)),
}
REDUCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sum": (T.sum, np.sum),
    "prod": (T.prod, np.prod),
    "max": (T.max, np.max),
    "min": (T.min, np.min),
    "argmax": (T.argmax, np.argmax),
    "argmin": (T.argmin, np.argmin),
    "sort": (T.sort, np.sort),
    "argsort": (T.argsort, lambda x: np.argsort(x, kind="stable")),
    "cumsum": (T.cumsum, np.cumsum),
    "any": (T.any, np.any),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_elementwise(device: str, dtype: str) -> None:
    x, y = T.vector("x", dtype), T.vector("y", dtype)
    a, b = (v.ravel() for v in np.meshgrid(ends(dtype), ends(dtype)))
    outputs = [symbolic(x, y) for symbolic, _ in ELEMENTWISE.values()]
    results = evaluate(device, [x, y], outputs, a, b)
    with np.errstate(over="ignore"):
        for result, (name, (_, exact)) in zip(results, ELEMENTWISE.items(), strict=True):
            np.testing.assert_array_equal(result, exact(a, b), name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_division(device: str, dtype: str) -> None:
    """By what isn't 0; the least number by -1 wraps around."""
    x, y = T.vector("x", dtype), T.vector("y", dtype)
    a, b = (v.ravel() for v in np.meshgrid(ends(dtype), ends(dtype)))
    a, b = a[b != 0], b[b != 0]
    quotient, rest, ratio = evaluate(device, [x, y], [x // y, x % y, T.true_div(x, y)], a, b)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(quotient, a // b)
    np.testing.assert_array_equal(rest, a % b)
    np.testing.assert_allclose(ratio, a / b, rtol=1e-6 if ratio.dtype == "float32" else 1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(device: str, name: str, dtype: str) -> None:
    x = T.vector("x", dtype)
    symbolic, exact = REDUCTIONS[name]
    values = np.random.default_rng(1).permutation(np.tile(ends(dtype), 5))
    with np.errstate(over="ignore"):
        expected = exact(values)
    np.testing.assert_array_equal(evaluate(device, [x], symbolic(x), values), expected)


@pytest.mark.parametrize(
    "number",
    [2**53, 2**53 + 1, 2**62 + 1, 2**63 - 1, -(2**53) - 1, -(2**63), -(2**63) + 1],
)
def test_constants_beyond_float64(device: str, number: int) -> None:
    """No step on the way of a constant into a kernel goes through a float."""
    x = T.lvector("x")
    values = np.array([0, 1, -1, number], "int64")
    wide = np.int64(number)
    forms: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
        (lambda v: v + number, lambda v: v + wide),
        (lambda v: number - v, lambda v: wide - v),
        (lambda v: v * number, lambda v: v * wide),
        (lambda v: T.maximum(v, number), lambda v: np.maximum(v, wide)),
        (lambda v: T.eq(v, number), lambda v: v == wide),
        (lambda v: T.switch(T.eq(v, 1), number, v), lambda v: np.where(v == 1, wide, v)),
        (lambda v: T.zeros_like(v) + number, lambda v: np.full(4, wide)),
        (lambda v: T.alloc(T.constant(number), 4), lambda v: np.full(4, wide)),
        (lambda v: T.set_subtensor(v[1:2], number), lambda v: np.array([0, wide, -1, wide])),
        (lambda v: T.bitwise_and(v, number), lambda v: v & wide),
        (lambda v: T.sum(v * 0 + number), lambda v: np.sum(v * 0 + wide)),
        (lambda v: v + T.constant(number) - T.constant(number) + number, lambda v: v + wide),
    ]
    results = evaluate(device, [x], [symbolic(x) for symbolic, _ in forms], values)
    with np.errstate(over="ignore"):
        for k, (result, (_, exact)) in enumerate(zip(results, forms, strict=True)):
            np.testing.assert_array_equal(result, exact(values), f"form {k}")
