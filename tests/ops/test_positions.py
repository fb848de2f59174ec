"""Elements picked by numbers, numbers of elements, counts and differences, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(5)
A = _rng.normal(size=(2, 3, 4))
M = _rng.normal(size=(3, 5))
V = M[0]
NUMBERS = _rng.integers(0, 3, (3, 5))
WILD = _rng.integers(-9, 9, (3, 5)).astype("int8")
FLAT = _rng.integers(0, 24, (4, 2))
SHAPE = (2, 3, 4)

CASES = [
    Case(
        "choose of a list",
        lambda a, x, y: T.choose(a, [x, y, x * y]),
        lambda a, x, y: np.choose(a, [x, y, x * y]),
        (NUMBERS, M, M + 1),
    ),
    Case(
        "choose of what broadcasts",
        lambda a, x, y: T.choose(a, [x, y, 2.5]),
        lambda a, x, y: np.choose(a, [x, y, 2.5]),
        (NUMBERS, V, np.asarray(0.5)),
    ),
    Case(
        "choose of an array",
        lambda a, x: T.choose(a, x) ** 2,
        lambda a, x: np.choose(a, x) ** 2,
        (NUMBERS, _rng.normal(size=(3, 3, 5))),
    ),
    Case(
        "choose of a matrix's rows",
        lambda a, x: T.choose(a, x),
        np.choose,
        (NUMBERS, M),
    ),
    Case(
        "choose by a number",
        lambda a, x: T.choose(a, x),
        lambda a, x: x[a],
        (np.asarray(1), A),
    ),
    *(
        Case(
            f"choose {mode} of {kind.__name__}",
            lambda a, x, mode=mode, kind=kind: T.choose(a, kind(x), mode=mode),
            lambda a, x, mode=mode, kind=kind: np.choose(a, [x, x + 1, x * 2], mode=mode),
            (WILD, M),
        )
        for mode in ("wrap", "clip")
        for kind in (lambda x: [x, x + 1, x * 2], lambda x: T.stack([x, x + 1, x * 2]))
    ),
    Case(
        "choose by bools",
        lambda a, x, y: T.choose(T.gt(a, 1), [x, y]),
        lambda a, x, y: np.where(a > 1, y, x),
        (NUMBERS, M, M + 1),
    ),
    *(
        Case(
            f"diff {n} over {axis}",
            lambda x, n=n, axis=axis: T.diff(x, n, axis),
            lambda x, n=n, axis=axis: np.diff(x, n, axis),
            (A,),
        )
        for n in (0, 1, 2, 5)
        for axis in (0, 1, -1)
    ),
    Case("diff", T.extra_ops.diff, np.diff, (M,)),
    *(
        Case(
            f"unravel_index {order}",
            lambda i, order=order: T.stack(T.unravel_index(i, SHAPE, order)),
            lambda i, order=order: np.stack(np.unravel_index(i, SHAPE, order)),
            (FLAT,),
            dtype="int64",
        )
        for order in ("C", "F")
    ),
    *(
        Case(
            f"ravel_multi_index {mode} {order}",
            lambda i, j, mode=mode, order=order: T.ravel_multi_index((i, j), (3, 4), mode, order),
            lambda i, j, mode=mode, order=order: np.ravel_multi_index((i, j), (3, 4), mode, order),
            (NUMBERS, WILD if mode != "raise" else NUMBERS + 1),
            dtype="int64",
        )
        for mode in ("raise", "wrap", "clip", ("raise", "clip"))
        for order in ("C", "F")
    ),
    Case(
        "numbers and back",
        lambda i: T.ravel_multi_index(T.unravel_index(i, SHAPE), SHAPE),
        lambda i: i,
        (FLAT,),
        dtype="int64",
    ),
]

test_value, test_gradient = make_tests(CASES)


def test_lengths_by_values_of_the_call(device: str) -> None:
    x, i = T.dtensor3("x"), T.lmatrix("i")
    rows, columns = T.unravel_index(i, x.shape[:2], ndim=2)
    number = T.ravel_multi_index((rows, columns), x.shape[:2])
    results = evaluate(device, [x, i], [rows, columns, number], A, FLAT % 6)
    exact = np.unravel_index(FLAT % 6, (2, 3))
    for result, expected in zip(results, [*exact, FLAT % 6], strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda i, x: T.choose(i, [x, x]), "choose: a number is out of range"),
        (lambda i, x: T.choose(i, x), "choose: a number is out of range"),
        (lambda i, x: T.choose(-i, [x, x]), "choose: a number is out of range"),
        (lambda i, x: T.unravel_index(i, (1, 2))[0], "unravel_index: a number is out of range"),
        (lambda i, x: T.ravel_multi_index((i, i), (9, 2)), "ravel_multi_index: a number is out"),
    ],
)
def test_numbers_out_of_range(device: str, make: Any, message: str) -> None:
    i, x = T.lvector("i"), T.dmatrix("x")
    with pytest.raises(ValueError, match=f"(?s){message}.*made at .*test_positions.py"):
        evaluate(device, [i, x], make(i, x), np.array([0, 7]), M[:, :2], on_unused_input="ignore")


def test_differences_of_integers_wrap(device: str) -> None:
    x = T.tensor("uint8", [False], "x")
    values = np.array([3, 1, 255, 0], "uint8")
    result = evaluate(device, [x], T.diff(x), values)
    assert result.dtype == "uint8"
    np.testing.assert_array_equal(result, np.diff(values))


@pytest.mark.parametrize("shape", [(0,), (1,), (0, 3), (3, 0)])
def test_differences_of_few_elements(device: str, shape: tuple[int, ...]) -> None:
    x = T.tensor("float64", [False] * len(shape), "x")
    for axis in range(len(shape)):
        result = evaluate(device, [x], T.diff(x, 2, axis), np.zeros(shape))
        assert result.shape == np.diff(np.zeros(shape), 2, axis).shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x, i: T.choose(x, [x]), "choose takes integers"),
        (lambda x, i: T.choose(i, []), "nothing to choose from"),
        (lambda x, i: T.choose(i, [x], mode="last"), "mode is 'last'"),
        (lambda x, i: T.choose(i, [x], out=x), "out=None only"),
        (lambda x, i: T.unravel_index(x, (2,)), "unravel_index takes integers"),
        (lambda x, i: T.unravel_index(i, ()), "dims has no lengths"),
        (lambda x, i: T.unravel_index(i, (2,), "K"), "order is 'K'"),
        (lambda x, i: T.unravel_index(i, T.lvector()), "needs ndim="),
        (lambda x, i: T.ravel_multi_index(i, (2,)), "multi_index is"),
        (lambda x, i: T.ravel_multi_index((i, i), (2,)), "multi_index has 2 arrays"),
        (lambda x, i: T.bincount(i), "bincount takes a vector"),
        (lambda x, i: T.bincount(x[0]), "bincount takes integers"),
        (lambda x, i: T.diff(x, -1), "n of diff is -1"),
        (lambda x, i: T.diff(x, axis=2), "axis 2 is out of range"),
    ],
)
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make(T.dmatrix("x"), T.lmatrix("i"))
