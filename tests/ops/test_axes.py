"""Axes that are moved, added, dropped, rolled, or that broadcast, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(3)
A = _rng.normal(size=(2, 3, 4))
M = _rng.normal(size=(3, 5))
V = M[0]
ROW, ONE = M[:1], _rng.normal(size=(1, 3, 1, 2, 1))
SCALAR = np.asarray(1.5)

CASES = [
    Case("squeeze", T.squeeze, np.squeeze, (ONE,), (0,)),
    Case("squeeze of what doesn't broadcast", T.squeeze, lambda x: x, (ONE,)),
    Case("swapaxes", lambda x: T.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), (A,)),
    Case("swapaxes with itself", lambda x: T.swapaxes(x, 1, 1), lambda x: x, (A,)),
    *(
        Case(
            f"moveaxis {source} {to}",
            lambda x, source=source, to=to: T.moveaxis(x, source, to),
            lambda x, source=source, to=to: np.moveaxis(x, source, to),
            (A,),
        )
        for source, to in ((0, -1), (-1, 0), (1, 1), ((0, 1), (1, 2)), ([2, 0], [0, 1]))
    ),
    Case("padleft", lambda x, y: T.shape_padleft(x, 2) * y, lambda x, y: x[None, None] * y, (V, M)),
    Case("padright", T.shape_padright, lambda x: x[..., None], (M,)),
    Case("no padding", lambda x: T.shape_padright(x, 0), lambda x: x, (M,)),
    *(
        Case(
            f"padaxis {axis}",
            lambda x, axis=axis: T.shape_padaxis(x, axis),
            lambda x, axis=axis: np.expand_dims(x, axis),
            (M,),
        )
        for axis in (0, 1, 2, -1, -2, -3)
    ),
    *(
        Case(
            f"roll {shift} over {axis}",
            lambda x, shift=shift, axis=axis: T.roll(x, shift, axis),
            lambda x, shift=shift, axis=axis: np.roll(x, shift, axis),
            (A,),
        )
        for shift in (0, 1, -1, 4, 7, -9)
        for axis in (None, 0, 1, -1)
    ),
    Case("roll of a vector", lambda x: T.roll(x, 2), lambda x: np.roll(x, 2), (V,)),
    Case("roll of a scalar", lambda x: T.roll(x, 2), lambda x: x, (SCALAR,)),
    Case("roll of a row", lambda x, y: T.roll(x, 2, 0) + y, lambda x, y: x + y, (ROW, M), (0,)),
    Case("addbroadcast", lambda x, y: T.addbroadcast(x, 0) * y, lambda x, y: x * y, (ROW, M)),
    Case(
        "addbroadcast of several",
        lambda x, y: T.addbroadcast(x, 0, -1, 2) * y,
        lambda x, y: x * y,
        (ONE, np.tile(ONE, (3, 1, 2, 1, 2))),
    ),
    Case("unbroadcast", lambda x, y: T.unbroadcast(x, 0) + y, lambda x, y: x + y, (ROW, ROW), (0,)),
    Case(
        "patternbroadcast",
        lambda x, y: T.patternbroadcast(x, (True, False)) - y,
        lambda x, y: x - y,
        (ROW, M),
    ),
    Case("Rebroadcast", lambda x, y: T.Rebroadcast((0, True))(x) * y, lambda x, y: x * y, (ROW, M)),
    Case("specify_shape", lambda x: T.specify_shape(x, (3, 5)) ** 2, lambda x: x**2, (M,)),
    Case(
        "specify_shape by another's",
        lambda x, y: T.specify_shape(x, y.shape) * y,
        lambda x, y: x * y,
        (M, M + 1),
    ),
]

test_value, test_gradient = make_tests(CASES)


def test_types() -> None:
    x, row = T.dtensor3("x"), T.drow("row")
    assert T.addbroadcast(x, 1).broadcastable == (False, True, False)
    assert T.unbroadcast(row, 0).broadcastable == (False, False)
    assert T.patternbroadcast(row, [False, True]).broadcastable == (False, True)
    assert T.addbroadcast(row, 0) is row
    assert T.squeeze(row).ndim == 1
    assert T.shape_padleft(x).broadcastable == (True, False, False, False)
    assert T.specify_shape(x, (2, T.lscalar(), 4)).type.shape == (2, None, 4)


def test_a_symbolic_shift(device: str) -> None:
    x, shift = T.dvector("x"), T.lscalar("shift")
    with making_functions_for(device):
        rolled = theano.function([x, shift], T.roll(x, shift))
    for n in range(-7, 8):
        np.testing.assert_array_equal(rolled(V, n), np.roll(V, n))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
@pytest.mark.parametrize("dtype", ["float64", "int8", "bool"])
def test_empty_arrays(device: str, shape: tuple[int, ...], dtype: str) -> None:
    x = T.tensor(dtype, [False] * len(shape), "x")
    outputs = [T.roll(x, 1), T.roll(x, -1, 0), T.shape_padaxis(x, 1), T.swapaxes(x, 0, -1)]
    values = np.zeros(shape, dtype)
    results = evaluate(device, [x], outputs, values)
    expected = [values, values, np.expand_dims(values, 1), np.swapaxes(values, 0, -1)]
    assert [r.shape for r in results] == [e.shape for e in expected]
    assert all(r.dtype == dtype for r in results)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: T.addbroadcast(x, 0), "axis 0 is to broadcast, but it is 3 long"),
        (lambda x: T.patternbroadcast(x, (False, True)), "axis 1 is to broadcast"),
        (lambda x: T.specify_shape(x, (3, 4)), r"is to be \(3, 4\), but it is \(3, 5\)"),
        (lambda x: T.specify_shape(x, (x.shape[1], 5)), r"is to be \(5, 5\)"),
    ],
)
def test_a_promise_is_checked_at_the_call(device: str, make: Any, message: str) -> None:
    x = T.dmatrix("x")
    with pytest.raises(ValueError, match=f"(?s){message}.*made at .*test_axes.py"):
        evaluate(device, [x], make(x) * 2, M)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: T.swapaxes(x, 0, 2), "axis 2 is out of range"),
        (lambda x: T.moveaxis(x, (0, 1), 0), "moveaxis from"),
        (lambda x: T.shape_padleft(x, -1), "n_ones is -1"),
        (lambda x: T.shape_padaxis(x, 3), "axis 3 is out of range"),
        (lambda x: T.roll(x, 1, 2), "axis 2 is out of range"),
        (lambda x: T.roll(x, 1.5), "shift must be an integer scalar"),
        (lambda x: T.addbroadcast(x, 2), "axis 2 is out of range"),
        (lambda x: T.patternbroadcast(x, (True,)), "broadcastable has 1 flags"),
        (lambda x: T.specify_shape(x, (3,)), "the shape has 1 lengths"),
    ],
)
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make(T.dmatrix("x"))
