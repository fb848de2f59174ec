"""Products of integers: the dtype and the values are NumPy's, wrapped around."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.types import BOOL, INTEGERS

DTYPES = (BOOL, *INTEGERS)
PRODUCTS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, Any]]] = {
    "dot": (T.dot, np.dot, ((3, 4), (4, 2))),
    "vectors": (T.dot, np.dot, ((5,), (5,))),
    "matrix and vector": (lambda a, b: a @ b, np.dot, ((3, 4), (4,))),
    "vector and matrix": (lambda a, b: a.dot(b), np.dot, ((3,), (3, 4))),
    "transposed": (lambda a, b: T.dot(b.T, a.T), lambda a, b: b.T @ a.T, ((3, 4), (4, 2))),
    "tensors": (T.dot, np.dot, ((2, 3, 4), (2, 4, 3))),
    "nothing": (T.dot, np.dot, ((3, 0), (0, 2))),
    "tensordot": (
        lambda a, b: T.tensordot(a, b, [[2, 0], [0, 1]]),
        lambda a, b: np.tensordot(a, b, [[2, 0], [0, 1]]),
        ((2, 3, 4), (4, 2, 5)),
    ),
    "batched_dot": (T.batched_dot, np.matmul, ((2, 3, 4), (2, 4, 5))),
    "outer": (T.outer, np.outer, ((3,), (4,))),
}


def values(dtype: str, shape: tuple[int, ...], seed: int) -> Any:
    """Integers from the whole range of a dtype; about a third of bools is true."""
    rng = np.random.default_rng(seed)
    if dtype == BOOL:
        return rng.random(shape) < 0.3
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_pair_of_dtypes(device: str, name: str) -> None:
    product, expected, shapes = PRODUCTS[name]
    pairs = [(a, b) for a in DTYPES for b in DTYPES]
    arrays = [{d: values(d, shape, i) for d in DTYPES} for i, shape in enumerate(shapes)]
    inputs = [
        {d: T.tensor(d, (False,) * len(shape), f"{d} {i}") for d in DTYPES}
        for i, shape in enumerate(shapes)
    ]
    outputs = [product(inputs[0][a], inputs[1][b]) for a, b in pairs]
    leaves = [v for side in inputs for v in side.values()]
    flat = [v for side in arrays for v in side.values()]
    results = evaluate(device, leaves, outputs, *flat)
    for (a, b), output, result in zip(pairs, outputs, results, strict=True):
        with np.errstate(over="ignore"):
            exact = np.asarray(expected(arrays[0][a], arrays[1][b]))
        assert output.dtype == result.dtype == exact.dtype, (a, b)
        np.testing.assert_array_equal(result, exact, err_msg=f"{a} and {b}")


def test_beyond_what_a_float_holds(device: str) -> None:
    i, k = T.ivector("i"), T.lmatrix("k")
    assert evaluate(device, [i], T.dot(i, [1, 0]), np.int32([2**24 + 1, 0])) == 2**24 + 1
    exact = 100003**2 + 100019**2 + 9
    assert evaluate(device, [k], T.dot(k, k.T), np.array([[100003, 100019, 3]]))[0, 0] == exact
    assert T.dot(i, 2).dtype == T.dot(i, [2]).dtype.replace("64", "32") == "int32"


@pytest.mark.parametrize("name", ["dot", "tensordot", "batched_dot"])
def test_a_large_product_needs_little_more_than_its_operands(name: str) -> None:
    """And not the memory of all terms: those of 1000 x 1000 by 1000 x 1000 would take 8 GB."""
    n = 1000
    a = values("int64", (n, n), 1)
    x = T.lmatrix("x")
    with making_functions_for("cpu"):
        whole = x.dimshuffle("x", 0, 1) if name == "batched_dot" else x
        arguments = (whole, whole, 1) if name == "tensordot" else (whole, whole)
        function = theano.function([x], getattr(T, name)(*arguments))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = function(a).reshape(n, n)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # KiB; the arrays have 8 MB each
    rows = [0, 1, 500, 999]
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(result[rows], a[rows] @ a)


def test_integer_results_pass_zero_and_stop_nothing_else(device: str) -> None:
    w, i = T.dmatrix("w"), T.imatrix("i")
    cost = T.sum(T.dot(w, i) * T.cast(T.dot(i, i), "float64"))
    a = np.arange(4, dtype="int32").reshape(2, 2)
    by_w, by_i = evaluate(device, [w, i], T.grad(cost, [w, i]), np.ones((2, 2)), a)
    np.testing.assert_array_equal(by_w, (a @ a) @ a.T)
    np.testing.assert_array_equal(by_i, np.ones((2, 2)) @ (a @ a))
    zero = T.grad(T.cast(T.dot(T.cast(w, "int64"), i).sum(), "float64"), w)
    np.testing.assert_array_equal(
        evaluate(device, [w, i], zero, np.ones((2, 2)), a, on_unused_input="ignore"), 0 * a
    )
