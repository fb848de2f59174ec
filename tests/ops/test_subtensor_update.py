"""Keys of every kind against NumPy: reading, set_subtensor, inc_subtensor, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(4)
M = _rng.normal(size=(4, 5))
A = _rng.normal(size=(3, 4, 5))
ROW = _rng.normal(size=5)
PICKS = np.array([2, 0, 3, 2, -1], "int32")


def written(function: Callable[..., None]) -> Callable[..., Any]:
    """What NumPy leaves in a copy of the first argument after `function` has written into it."""

    def result(x: Any, *others: Any) -> Any:
        copy = x.copy()
        function(copy, *others)
        return copy

    return result


def put(x: Any, key: Any, y: Any) -> None:
    x[key] = y


CASES = [
    Case(
        f"set {name}",
        lambda x, y, key=key: T.set_subtensor(x[key], y),
        written(lambda x, y, key=key: put(x, key, y)),
        (M, y),
        stretched=(1,),
    )
    for name, key, y in [
        ("rows", slice(1, 3), ROW),
        ("columns", (slice(None), slice(None, None, -2)), _rng.normal(size=(4, 3))),
        ("an element", (2, 3), np.asarray(0.5)),
        ("everything", slice(None), ROW),
        ("everything by dots", Ellipsis, M + 1),
        ("nothing", slice(3, 1), ROW),
        ("a row of 1 to rows", slice(0, 2), ROW[None]),
        ("picked rows", PICKS, _rng.normal(size=(5, 5))),
        ("picked rows to one", PICKS, ROW),
        ("picked columns", (slice(None), [4, 0, 4]), _rng.normal(size=(4, 3))),
        ("picked elements", ([0, 0, 3], [1, 1, 2]), np.array([1.0, 2.0, 3.0])),
        ("a grid", ([[0], [2]], [1, 3, -1]), _rng.normal(size=(2, 3))),
        ("picked rows of a slice", ([1, 1, 0], slice(1, 4)), _rng.normal(size=(3, 3))),
        ("a new axis", (None, 1), ROW[None]),
    ]
]
CASES += [
    Case(
        f"inc {name}",
        lambda x, y, key=key: T.inc_subtensor(x[key], y),
        written(lambda x, y, key=key: np.add.at(x, key, y)),
        (M, y),
        stretched=(1,),
    )
    for name, key, y in [
        ("rows", slice(1, 3), ROW),
        ("columns backwards", (slice(None), slice(None, None, -2)), _rng.normal(size=(4, 3))),
        ("an element", (-1, 3), np.asarray(0.5)),
        ("everything", Ellipsis, ROW),
        ("rows picked twice", PICKS, _rng.normal(size=(5, 5))),
        ("rows picked twice by one", PICKS, ROW),
        ("elements picked twice", ([0, 0, 3], [1, 1, 2]), np.array([1.0, 2.0, 3.0])),
        ("a grid", ([[0], [2]], [1, 3, 1]), _rng.normal(size=(2, 3))),
        ("a slice between", ([1, 1, 0], slice(3, None)), np.asarray(2.0)),
    ]
]
CASES += [
    Case(
        "one after the other",
        lambda x, y: T.inc_subtensor(T.set_subtensor(x[1], y)[:, 2:], y[:3])[::-1],
        lambda x, y: written(lambda z: (put(z, 1, y), np.add.at(z, np.s_[:, 2:], y[:3])))(x)[::-1],
        (M, ROW),
    ),
    Case(
        "what is written is read before",
        lambda x: T.set_subtensor(x[0], T.sum(x, axis=0)),
        written(lambda x: put(x, 0, x.sum(axis=0))),
        (M,),
    ),
    Case(
        "a tape of what is overwritten",
        lambda x, y: T.set_subtensor((x * 2)[1:3], T.exp(x[1:3]) * y),
        lambda x, y: written(lambda z: put(z, np.s_[1:3], np.exp(x[1:3]) * y))(x * 2),
        (M, ROW),
    ),
    Case(
        "integers",
        lambda x: T.inc_subtensor(x[[0, 0, 1]], 100),
        written(lambda x: np.add.at(x, [0, 0, 1], 100)),
        (PICKS,),
        dtype="int32",
        gradient=False,
    ),
    Case(
        "take",
        lambda x, i: T.take(x, i, axis=1) * x.take(i, axis=-2),
        lambda x, i: x.take(i, axis=1) ** 2,
        (A, PICKS),
    ),
    Case("take of all", lambda x, i: T.take(x, i), lambda x, i: x.take(i), (A, PICKS)),
]


test_value, test_gradient = make_tests(CASES)


def random_key(random: Random, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Slices, indices, index arrays that fit each other, new axes, dots."""
    common = random.choice([(), (3,), (2, 3)])
    key: list[Any] = []
    for n in shape:
        kind = random.choice(["slice", "slice", "index", "array", "array"])
        if kind == "slice":
            bounds = [random.choice([None, random.randint(-n - 1, n + 1)]) for _ in range(2)]
            key.append(slice(*bounds, random.choice([None, 1, 2, -1, -2])))
        elif kind == "index":
            key.append(random.randrange(-n, n))
        else:
            cut = common[random.randint(0, len(common)) :]
            sides = [1 if random.random() < 0.2 else m for m in cut]
            picks = [random.randrange(-n, n) for _ in range(int(np.prod(sides)))]
            key.append(np.array(picks, random.choice(["int8", "int64"])).reshape(sides))
    for _ in range(random.choice([0, 0, 1])):
        key.insert(random.randint(0, len(key)), None)
    if random.random() < 0.4:
        at = random.randint(0, len(key))
        if all(isinstance(item, slice) and item == slice(None) for item in key[at : at + 1]):
            del key[at : at + 1]
        key.insert(at, Ellipsis)
    return tuple(key)


@pytest.mark.parametrize("seed", range(40))
def test_random_keys(device: str, seed: int) -> None:
    random = Random(seed)
    rng = np.random.default_rng(seed)
    key = random_key(random, A.shape)
    picked = A[key]
    y_values = np.asarray(rng.normal(size=picked.shape))
    weights, picked_weights = rng.normal(size=A.shape), rng.normal(size=picked.shape)
    x, y = T.tensor3("x", "float64"), T.tensor("float64", [False] * picked.ndim, "y")
    part = x[key]
    incremented, overwritten = T.inc_subtensor(part, y), T.set_subtensor(part, y)
    outputs = [part, incremented, overwritten]
    costs = [T.sum(part * picked_weights), T.sum(incremented * weights)]
    outputs += [T.grad(costs[0], x), *T.grad(costs[1], [x, y])]
    outputs += T.grad(T.sum(overwritten * weights), [x, y])
    results = evaluate(device, [x, y], outputs, A, y_values)

    last = np.full(A.shape, -1)  # which element of y is the last one put there
    last[key] = np.arange(picked.size).reshape(picked.shape)
    stays = last[key] == np.arange(picked.size).reshape(picked.shape)
    expected = [
        picked,
        written(lambda z: np.add.at(z, key, y_values))(A),
        written(lambda z: put(z, key, y_values))(A),
        written(lambda z: np.add.at(z, key, picked_weights))(np.zeros(A.shape)),
        weights,
        weights[key],
        np.where(last < 0, weights, 0),
        np.where(stays, weights[key], 0),
    ]
    for number, (result, exact) in enumerate(zip(results, expected, strict=True)):
        np.testing.assert_allclose(result, exact, rtol=1e-12, err_msg=f"{number}: {key}")


def test_an_index_that_is_computed(device: str) -> None:
    """Indices need not be known to the host."""
    x = T.dmatrix("x")
    best = T.argmax(x, axis=1)
    outputs = [
        x[T.argmax(x[:, 0])],
        x[:, T.argmin(x[0])],
        x[T.arange(x.shape[0]), best],
        T.set_subtensor(x[T.argmax(x[:, 0]), 2:], 0),
        T.grad(T.sum(x[T.argmax(x[:, 0])] ** 2), x),
    ]
    row, part, greatest, cleared, gradient = evaluate(device, [x], outputs, M)
    top = M[:, 0].argmax()
    np.testing.assert_array_equal(row, M[top])
    np.testing.assert_array_equal(part, M[:, M[0].argmin()])
    np.testing.assert_array_equal(greatest, M.max(axis=1))
    np.testing.assert_array_equal(cleared, written(lambda z: put(z, (top, slice(2, None)), 0))(M))
    np.testing.assert_allclose(gradient[top], 2 * M[top])
    assert np.count_nonzero(gradient) == 5


def test_a_computed_index_out_of_range(device: str) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], x[T.argmin(x[0])])
    with pytest.raises(
        IndexError, match=r"(?s)an index computed from x has to lie between -4 and 3.*test_subt"
    ):
        function(M)


def test_symbolic_bounds_and_indices(device: str) -> None:
    x, y, i, j = T.dmatrix("x"), T.dvector("y"), T.lscalar("i"), T.iscalar("j")
    outputs = [
        T.inc_subtensor(x[i : i + 2], y),
        T.set_subtensor(x[j, 1:], 7.0),
        T.inc_subtensor(x[[0, 0], i : i + 2], 1.0),
        T.grad(T.sum(T.set_subtensor(x[i : i + 2], y) ** 2), y),
    ]
    function = theano.function([x, y, i, j], outputs)
    for first, second in ((1, 2), (2, -1), (0, 0)):
        results = function(M, ROW, first, second)
        exact = M.copy()
        exact[first : first + 2] += ROW
        np.testing.assert_array_equal(results[0], exact)
        np.testing.assert_array_equal(
            results[1], written(lambda z, k=second: put(z, (k, slice(1, None)), 7.0))(M)
        )
        exact = M.copy()
        exact[0, first : first + 2] += 2
        np.testing.assert_allclose(results[2], exact, rtol=1e-15)
        np.testing.assert_allclose(results[3], 4 * ROW)


@pytest.mark.parametrize("picks", [[0, 4], [-5, 0]])
def test_out_of_range_leaves_everything_as_it_was(device: str, picks: list[int]) -> None:
    w, i = theano.shared(M, "w"), T.vector("i", "int8")
    step = theano.shared(0, "step")
    updates = [(w, T.inc_subtensor(w[i, 1:], 1.0)), (step, step + 1)]
    function = theano.function([i], T.sum(w), updates=updates)
    with pytest.raises(IndexError, match="the index i has to lie between -4 and 3"):
        function(picks)
    np.testing.assert_array_equal(w.get_value(), M)
    assert step.get_value() == 0
    function([3, -4])
    assert step.get_value() == 1


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: T.set_subtensor(T.matrix("x"), 1), TypeError, "an indexed variable.*not x"),
    (lambda: T.inc_subtensor(T.exp(T.matrix())[0] + 1, 1), TypeError, "an indexed variable"),
    (lambda: T.set_subtensor(T.matrix()[0], T.matrix()), TypeError, "has 2 axes; 1 are indexed"),
    (lambda: T.set_subtensor(T.imatrix()[0], 0.5), TypeError, "float64 doesn't go into .* int32"),
    (lambda: T.set_subtensor(T.fmatrix()[0], T.dvector()), TypeError, "doesn't go into"),
    (lambda: T.inc_subtensor(T.vector("x", "int8")[0], 300), TypeError, "int16 doesn't go into"),
    (lambda: T.matrix()[T.ivector(), T.imatrix(), 0], TypeError, "3 indices for 2 dimensions"),
    (lambda: T.vector()[np.zeros((2, 2), bool)], TypeError, "2 indices for 1 dimensions"),
    (lambda: T.matrix()[[0, 1, 2], [0, 1]], ValueError, r"\(3,\), \(2,\) can't index together"),
    (lambda: T.take(T.vector(), [0], axis=1), TypeError, "axis 1 is out of range"),
]


@pytest.mark.parametrize(("make", "kind", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors_when_an_expression_is_made(
    make: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        make()


def test_a_value_that_does_not_fit(device: str) -> None:
    x, y = T.dmatrix("x"), T.dvector("y")
    for symbolic in (T.set_subtensor, T.inc_subtensor):
        function = theano.function([x, y], symbolic(x[1:3], y))
        for n in (1, 4):
            with pytest.raises(ValueError, match=r"(?s)doesn't fill \(2, 5\).*test_subtensor"):
                function(M, np.zeros(n))


def test_a_python_number_fits_every_dtype_that_holds_it() -> None:
    assert T.set_subtensor(T.vector("x", "uint8")[0], 255).dtype == "uint8"
    assert T.inc_subtensor(T.vector("x", "int8")[:2], -128).dtype == "int8"
    assert T.set_subtensor(T.fvector()[0], 1).dtype == "float32"
    assert T.set_subtensor(T.fvector()[0], 0.1).dtype == "float32"
    assert T.set_subtensor(T.dvector()[0], T.fscalar()).dtype == "float64"
