"""In place: joins, updates of a part of a shared variable, and the copies that are not made."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(4)
M = _rng.normal(size=(4, 5))
Y = _rng.normal(size=(2, 5))
Pair = tuple[theano.Variable, NDArray[Any]]


def kernels(function: theano.Function) -> list[str]:
    """The kernels of a function's plan; a group of reductions as its members."""
    named: list[str] = []
    for call in function.plan.calls:
        grouped = call.kernel == "grouped_reduce"
        named += ["reduce"] * len(call.outputs) if grouped else [call.kernel]
    return named


def test_makers_of_parts_write_them_in_place() -> None:
    x, y, b = T.dmatrix("x"), T.dmatrix("y"), T.dvector("b")
    joined = T.concatenate([T.tanh(T.dot(x, y) + b), T.exp(x), T.sum(x, axis=0, keepdims=True)])
    function = theano.function([x, y, b], joined)
    square, bias = _rng.normal(size=(5, 5)), _rng.normal(size=5)
    sums = M @ square + bias
    expected = np.concatenate([np.tanh(sums), np.exp(M), M.sum(0, keepdims=True)])
    # Each is a sum of six terms at most, or a function of one, which is no steeper.
    largest = np.concatenate(
        [np.abs(M) @ np.abs(square) + np.abs(bias), np.exp(M), np.abs(M).sum(0, keepdims=True)]
    )
    error = np.abs(function(M, square, bias) - expected)
    assert np.all(error <= 16 * np.finfo("float64").eps * largest)
    assert sorted(kernels(function)) == ["elementwise", "gemm", "reduce"]
    assert function.plan.arena_bytes == 0


def test_a_part_that_is_a_result_or_read_elsewhere_is_copied() -> None:
    x = T.dmatrix("x")
    part = T.exp(x)
    function = theano.function([x], [part, T.concatenate([part, x]), T.sum(T.sqr(part))])
    for result, exact in zip(
        function(M),
        (np.exp(M), np.concatenate([np.exp(M), M]), (np.exp(M) ** 2).sum()),
        strict=True,
    ):
        np.testing.assert_allclose(result, exact, rtol=1e-14)
    assert len(kernels(function)) == 4


def test_the_gradient_of_slices_is_a_join() -> None:
    """Four gates of one product: each gradient is written into its columns."""
    x = T.dmatrix("x")
    gates = [x[:, 5 * k : 5 * k + 5] for k in range(4)]
    cost = T.sum(T.tanh(gates[0]) + T.exp(gates[1]) + T.sqr(gates[2]) + gates[3] ** 3)
    function = theano.function([x], T.grad(cost, x))
    values = _rng.normal(size=(3, 20))
    a, b, c, d = np.split(values, 4, axis=1)
    expected = np.hstack([1 - np.tanh(a) ** 2, np.exp(b), 2 * c, 3 * d**2])
    np.testing.assert_allclose(function(values), expected, rtol=1e-13)
    assert function.plan.rewrites["add_disjoint_parts"] == 3
    assert len(kernels(function)) == 4


@pytest.mark.parametrize(
    ("key", "calls"),
    [(np.s_[3:], 2), (np.s_[:3], 2), (np.s_[3:7], 3), (np.s_[6:2:-1], 3), (np.s_[2:7:2], 2)],
)
def test_the_gradient_of_a_slice_writes_nothing_twice(key: Any, calls: int) -> None:
    """The strips beside it are cleared; only between the elements of a slice with steps all is."""
    x = T.dvector("x")
    function = theano.function([x], T.grad(T.sum(T.exp(x[key])), x))
    values = _rng.normal(size=9)
    expected = np.zeros(9)
    expected[key] = np.exp(values[key])
    np.testing.assert_allclose(function(values), expected, rtol=1e-14)
    assert len(kernels(function)) == calls
    written = sum(view.layout.size for call in function.plan.calls for view in call.outputs)
    assert written == 9 + (len(values[key]) if key == np.s_[2:7:2] else 0)


def update_of(
    values: NDArray[Any], make: Callable[..., theano.Variable], *arguments: Any, read: bool = False
) -> tuple[NDArray[Any], Any, theano.Function]:
    """The value of a shared variable after one call of an update, what the call returned (the sum
    of the old value, where `read`), and the function."""
    w = theano.shared(values, "w")
    inputs = [T.as_tensor_variable(a).type for a in arguments]
    symbols = [T.tensor(t.dtype, [False] * t.ndim, f"a{k}") for k, t in enumerate(inputs)]
    outputs = T.sum(w) if read else None
    function = theano.function(symbols, outputs, updates=[(w, make(w, *symbols))])
    result = function(*arguments)
    return w.get_value(), result, function


def changed(change: Callable[[NDArray[Any]], Any]) -> NDArray[Any]:
    values = M.copy()
    change(values)
    return values


def test_rows_of_a_large_variable_are_updated_in_place(device: str) -> None:
    """Nothing of the size of the variable is allocated, read or written."""
    large = np.zeros((100_000, 8), "float32")
    rows, picks = np.ones((3, 8), "float32"), np.array([5, -1, 5])
    value, _, function = update_of(
        large, lambda w, i, g: T.inc_subtensor(w[i], -0.5 * g), picks, rows
    )
    np.testing.assert_array_equal(value[[5, -1]], [[-1.0] * 8, [-0.5] * 8])
    assert np.count_nonzero(value) == 16
    assert function.plan.arena_bytes <= 3 * 8 * 4 + 64
    assert "scatter_add" in kernels(function)


IN_PLACE: list[tuple[str, Callable[..., Any], Callable[[Any], Any], int]] = [
    (
        "set a slice",
        lambda w: T.set_subtensor(w[1:3], Y),
        lambda w: w.__setitem__(np.s_[1:3], Y),
        1,
    ),
    (
        "inc a slice",
        lambda w: T.inc_subtensor(w[:, 1::2], 2.0),
        lambda w: w.__setitem__(np.s_[:, 1::2], w[:, 1::2] + 2),
        1,
    ),
    (
        "set by vectors",
        lambda w: T.set_subtensor(w[[0, 0], [1, 2]], [5.0, 6.0]),
        lambda w: w.__setitem__(([0, 0], [1, 2]), [5, 6]),
        1,
    ),
    (
        "columns by a vector",
        lambda w: T.inc_subtensor(w[:, [4, 0]], 1.0),
        lambda w: np.add.at(w, np.s_[:, [4, 0]], 1),
        1,
    ),
    (
        "one after the other",
        lambda w: T.inc_subtensor(T.set_subtensor(w[1], 0.0)[[1, 1, 2]], 1.0),
        lambda w: (w.__setitem__(1, 0), np.add.at(w, [1, 1, 2], 1)),
        2,
    ),
    (
        "a row from another row",
        lambda w: T.set_subtensor(w[0], w[2] * 2),
        lambda w: w.__setitem__(0, w[2] * 2),
        1,
    ),
    (
        "a row of the old value, picked",
        lambda w: T.set_subtensor(w[:2], w[[3, 2]]),
        lambda w: w.__setitem__(np.s_[:2], w[[3, 2]]),
        2,
    ),
    (
        "halves",
        lambda w: T.concatenate([w[:2] * 2, w[2:] + 1]),
        lambda w: w.__setitem__(np.s_[:], np.concatenate([w[:2] * 2, w[2:] + 1])),
        2,
    ),
    (
        "a sum over all into a part",
        lambda w: T.set_subtensor(w[1], T.sum(w, axis=0)),
        lambda w: w.__setitem__(1, w.sum(axis=0)),
        2,
    ),
    (
        "of a product",
        lambda w: T.set_subtensor(T.dot(w, np.eye(5))[0], 1.0),
        lambda w: w.__setitem__(0, 1),
        3,
    ),
]


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize(
    ("make", "change", "calls"), [c[1:] for c in IN_PLACE], ids=[c[0] for c in IN_PLACE]
)
def test_updates_in_place(
    device: str, make: Callable[..., Any], change: Callable[[Any], Any], calls: int, read: bool
) -> None:
    value, total, function = update_of(M, make, read=read)
    np.testing.assert_allclose(value, changed(change), rtol=1e-14)
    if read:
        np.testing.assert_allclose(total, M.sum(), rtol=1e-12)
    if device == "cpu":
        assert len(kernels(function)) == calls + read
        whole = [b for b in function.plan.buffers if b.kind == "temporary" and b.size >= M.size]
        assert len(whole) == (make is IN_PLACE[-1][1])


def test_what_overlaps_goes_through_a_copy(device: str) -> None:
    cases: list[tuple[Callable[..., Any], Callable[[Any], Any]]] = [
        (
            lambda w: T.set_subtensor(w[1:], w[:-1]),
            lambda w: w.__setitem__(np.s_[1:], w[:-1].copy()),
        ),
        (
            lambda w: T.set_subtensor(w[[0, 1, 2]], w[1:]),
            lambda w: w.__setitem__(np.s_[:3], w[1:].copy()),
        ),
        (
            lambda w: T.concatenate([w[2:], w[:2]]),
            lambda w: w.__setitem__(np.s_[:], np.roll(w, 2, axis=0)),
        ),
        (
            lambda w: T.inc_subtensor(T.inc_subtensor(w[0], 1.0)[1], w[0]),
            lambda w: (w.__setitem__(1, w[1] + w[0]), w.__setitem__(0, w[0] + 1)),
        ),
    ]
    for make, change in cases:
        value, _, _ = update_of(M, make)
        np.testing.assert_allclose(value, changed(change), rtol=1e-14)


def test_a_swap_of_parts(device: str) -> None:
    v, w = theano.shared(M, "v"), theano.shared(M * 2, "w")
    updates = [
        (v, T.set_subtensor(v[1:3], w[:2])),
        (w, T.inc_subtensor(w[[0, 3]], v[1:3])),
    ]
    theano.function([], updates=updates)()
    new_v, new_w = M.copy(), M * 2
    new_v[1:3] = M[:2] * 2
    new_w[[0, 3]] += M[1:3]
    np.testing.assert_allclose(v.get_value(), new_v, rtol=1e-15)
    np.testing.assert_allclose(w.get_value(), new_w, rtol=1e-15)


def test_two_arrays_that_start_as_the_same_one(device: str) -> None:
    """Only one of them may take over its memory."""
    x = T.dmatrix("x")
    power = T.exp(x)
    both = [T.inc_subtensor(power[:2], 1.0), T.set_subtensor(power[[0, 3]], 2.0)]
    function = theano.function([x], [T.sum(v, axis=1) for v in both])
    first, second = np.exp(M), np.exp(M)
    first[:2] += 1
    second[[0, 3]] = 2
    for result, exact in zip(function(M), (first, second), strict=True):
        np.testing.assert_allclose(result, exact.sum(axis=1), rtol=1e-14)


def test_slots_of_an_update_in_place(device: str) -> None:
    """A ring buffer: each step writes its own rows."""
    w, i, x = theano.shared(np.zeros((4, 5)), "w"), T.lscalar("i"), T.dmatrix("x")
    function = theano.function([i, x], updates=[(w, T.set_subtensor(w[2 * i : 2 * i + 2], x))])
    function(0, Y)
    function(1, Y * 2)
    np.testing.assert_array_equal(w.get_value(), np.concatenate([Y, 2 * Y]))
    assert len(function.plans) == 1
    assert len(function.plan.calls) == 1


def random_step(random: Random, pool: list[Pair]) -> Pair:
    """Another expression of shape (4, 5), with its value."""
    (a, x), (b, y) = random.choice(pool), random.choice(pool)
    rows = [random.randrange(-4, 4) for _ in range(2)]
    start = random.randrange(2)
    key: Any = random.choice([np.s_[start : start + 2], rows, np.s_[start : start + 3 : 2]])
    part, value = random.choice([(b[:2], y[:2]), (b[2:], y[2:]), (b[[1, 3]], y[[1, 3]])])
    kind = random.randrange(7)
    if kind == 0:
        return a * 0.5 + b, x * 0.5 + y
    if kind == 1:
        return T.concatenate([a[2:], b[:2] * 0.5]), np.concatenate([x[2:], y[:2] * 0.5])
    if kind == 2:
        return T.concatenate([a[:, 3:], b[:, :3]], axis=1), np.hstack([x[:, 3:], y[:, :3]])
    if kind == 3:
        return a - T.mean(b, axis=0), x - y.mean(axis=0)
    result = x.copy()
    if kind == 4:
        result[key] = value
        return T.set_subtensor(a[key], part), result
    np.add.at(result, key, value if kind == 5 else 0.25)
    return T.inc_subtensor(a[key], part if kind == 5 else 0.25), result


@pytest.mark.parametrize("seed", range(60))
def test_random_updates(device: str, seed: int) -> None:
    random = Random(seed)
    shared = [theano.shared(M * k, f"w{k}") for k in (1, 2)]
    pool: list[Pair] = [(w, w.get_value()) for w in shared]
    for _ in range(random.randrange(1, 9)):
        pool.append(random_step(random, pool))
    chosen = [random.choice(pool[2:]) for _ in shared]
    outputs = [random.choice(pool) for _ in range(random.randrange(3))]
    updates = [(w, new) for w, (new, _) in zip(shared, chosen, strict=True)]
    results = theano.function([], [v for v, _ in outputs], updates=updates)()
    for result, (_, exact) in zip(results, outputs, strict=True):
        np.testing.assert_allclose(result, exact, rtol=1e-12, atol=1e-14)
    for w, (_, exact) in zip(shared, chosen, strict=True):
        np.testing.assert_allclose(w.get_value(), exact, rtol=1e-12, atol=1e-14)
