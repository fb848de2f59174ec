"""`function`: arguments, givens, updates, plans, threads."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import (
    GraphTypeError,
    MissingInputError,
    ShapeError,
    UnusedInputError,
)
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

A = np.arange(6.0).reshape(2, 3)
HERE = r"(?s:.*)made at .*test_function.py:\d+"


def line_of(function: Any, offset: int) -> str:
    """The file and line `offset` lines below the first of a test, as errors name it."""
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno + offset}"


# --- what comes back ------------------------------------------------------------------------------


def test_one_output_a_list_or_none(device: str) -> None:
    x = T.dmatrix("x")
    np.testing.assert_array_equal(theano.function([x], x + 1)(A), A + 1)
    results = theano.function([x], [x + 1])(A)
    assert isinstance(results, list)
    np.testing.assert_array_equal(results[0], A + 1)
    assert theano.function([x], on_unused_input="ignore")(A) is None
    assert theano.function([x], [], on_unused_input="ignore")(A) == []
    total = theano.function([x], T.sum(x))(A)
    assert isinstance(total, np.ndarray)
    assert total.shape == ()


def test_outputs_that_are_inputs_constants_or_twice_the_same(device: str) -> None:
    x = T.dmatrix("x")
    y = x * 2
    results = theano.function([x], [x, y, y, T.as_tensor_variable([1.0, 2.0]), x.T])(A)
    for result, expected in zip(results, (A, 2 * A, 2 * A, [1, 2], A.T), strict=True):
        np.testing.assert_array_equal(result, expected)
    results[0][...] = 7
    results[1][...] = 8
    np.testing.assert_array_equal(results[2], 2 * A)
    assert A[0, 1] == 1


def test_results_of_one_call_survive_the_next(device: str) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], x + 1)
    first = function(A)
    function(A * 100)
    np.testing.assert_array_equal(first, A + 1)


# --- arguments ------------------------------------------------------------------------------------


def test_by_position_and_by_name(device: str) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    function = theano.function([x, y], x - 2 * y)
    assert function(3, 1) == function(x=3, y=1) == function(3, y=1) == function(y=1, x=3) == 1


def test_any_layout_and_byte_order(device: str) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], x * 2)
    wide = np.arange(24.0).reshape(4, 6)
    for value in (wide[::2, ::-1], wide.T, np.asfortranarray(wide), wide.astype(">f8")):
        np.testing.assert_array_equal(function(value), value * 2)
    read_only = wide.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(function(read_only), wide * 2)
    np.testing.assert_array_equal(function([[1, 2], [3, 4]]), [[2, 4], [6, 8]])


ACCEPTED: list[tuple[str, Any, Any]] = [
    ("float32", np.float32([1, 2]), np.float32([1, 2])),
    ("float32", [1.5, 2.1], np.float32([1.5, 2.1])),
    ("float32", [1, 2], np.float32([1, 2])),
    ("float32", np.int8([1, 2]), np.float32([1, 2])),
    ("float64", np.float32([1.5]), np.array([1.5])),
    ("int32", [1, -2], np.int32([1, -2])),
    ("int32", np.array([1, 2**31 - 1]), np.int32([1, 2**31 - 1])),
    ("int8", np.uint8([127]), np.int8([127])),
    ("int64", np.array([True]), np.array([1])),
    ("bool", [True, False], np.array([True, False])),
]


@pytest.mark.parametrize(("dtype", "value", "expected"), ACCEPTED)
def test_values_that_lose_nothing_are_converted(
    device: str, dtype: str, value: Any, expected: Any
) -> None:
    x = T.vector("x", dtype)
    result = theano.function([x], x)(value)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


REFUSED: list[tuple[str, Any, str]] = [
    ("float32", np.array([0.1]), "float32; the value is float64, which would lose precision"),
    ("float32", np.array([2**24 + 1]), "float32, which can't hold the values of the int64"),
    ("int32", np.array([0.5]), "int32; the value is float64"),
    ("int32", [0.5], "int32; the value is float64"),
    ("int8", np.array([128]), "int8, which can't hold the values"),
    ("uint8", [-1], "uint8, which can't hold the values"),
    ("bool", [0, 1], "bool; the value is int64"),
    ("float64", np.array([1j]), "float64; the value is complex128"),
    ("float64", ["a"], "float64; the value is <U1"),
    ("float64", [None], "float64; the value is object"),
]


@pytest.mark.parametrize(("dtype", "value", "message"), REFUSED)
def test_values_that_lose_something_are_refused(
    device: str, dtype: str, value: Any, message: str
) -> None:
    x = T.vector("weights", dtype)
    function = theano.function([x], x, name="step")
    with pytest.raises(GraphTypeError, match=r"input 0 \(weights\) of step is " + message) as error:
        function(value)
    assert f"made at {line_of(test_values_that_lose_something_are_refused, 4)}" in str(error.value)


def test_downcasts_when_asked_for(device: str) -> None:
    x = T.fvector("x")
    function = theano.function([x], x, allow_input_downcast=True)
    np.testing.assert_array_equal(function(np.array([0.1])), np.float32([0.1]))
    strict = theano.function([x], x, allow_input_downcast=False)
    with pytest.raises(GraphTypeError, match="would lose precision"):
        strict([0.1])


def test_python_floats_for_scalars(device: str) -> None:
    x = T.fscalar("x")
    assert theano.function([x], x)(0.1) == np.float32(0.1)
    with pytest.raises(GraphTypeError, match="would lose precision"):
        theano.function([x], x)(np.float64(0.1))


def test_wrong_number_of_dimensions(device: str) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], x)
    message = r"input 0 \(x\) has 2 dimensions \(float64 matrix\); the value has 1, shape \(3,\)"
    with pytest.raises(GraphTypeError, match=message + HERE):
        function(np.zeros(3))


def test_a_broadcastable_dimension_takes_length_1_only(device: str) -> None:
    x = T.row("x", "float64")
    function = theano.function([x], x * 2)
    np.testing.assert_array_equal(function(A[:1]), 2 * A[:1])
    with pytest.raises(ShapeError, match=r"broadcasts along axis 0.*\(2, 3\)" + HERE):
        function(A)


def test_a_symbolic_value(device: str) -> None:
    x = T.dmatrix("x")
    with pytest.raises(GraphTypeError, match="got a symbolic variable"):
        theano.function([x], x)(x)


def test_missing_extra_and_unknown_arguments(device: str) -> None:
    x, y, z = T.dscalar("x"), T.dscalar("y"), T.dscalar()
    function = theano.function([x, y, z], x + y + z, name="total")
    for arguments, named, message in [
        ((), {}, r"total needs a value for input 0 \(x\) of total, .*, input 2 of total"),
        ((1, 2), {}, "total needs a value for input 2 of total"),
        ((1,), {"y": 2}, "total needs a value for input 2"),
        ((1, 2, 3, 4), {}, "total takes 3 values, not 4"),
        ((1, 2, 3), {"x": 1}, "total has no input 'x' left to set"),
        ((1, 2), {"w": 1}, "total has no input 'w' left to set"),
    ]:
        with pytest.raises(GraphTypeError, match=message):
            function(*arguments, **named)
    assert function(1, 2, 3) == 6


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, np.int64(2**40)])
def test_an_integer_that_does_not_fit(device: str, value: Any) -> None:
    i = T.iscalar("i")
    with pytest.raises(GraphTypeError, match=r"input 0 \(i\) is int32.*fit|can't hold"):
        theano.function([i], i + 1)(value)


# --- inputs, givens, updates when a function is made ----------------------------------------------


def test_an_unused_input(device: str) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    with pytest.raises(UnusedInputError, match="depends on the input y" + HERE):
        theano.function([x, y], x)
    assert theano.function([x, y], x, on_unused_input="ignore")(1, 2) == 1
    with pytest.warns(UserWarning, match="depends on the input y"):
        theano.function([x, y], x, on_unused_input="warn")
    with pytest.raises(GraphTypeError, match="on_unused_input is 'no'"):
        theano.function([x], x, on_unused_input="no")


def test_a_missing_input() -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    with pytest.raises(MissingInputError, match="depend on y, which is neither" + HERE):
        theano.function([x], x * y)


def test_inputs_that_are_none() -> None:
    x = T.dscalar("x")
    for wrong in (x + 1, theano.shared(1.0), 3.0):
        with pytest.raises(GraphTypeError, match="can't be an input of a function"):
            theano.function([wrong], x)  # type: ignore[list-item]
    with pytest.raises(GraphTypeError, match="twice among the inputs"):
        theano.function([x, x], x)


def test_givens_as_dict_and_as_pairs(device: str) -> None:
    x, y, i = T.dvector("x"), T.dvector("y"), T.lscalar("i")
    data = theano.shared(np.arange(10.0))
    batch = data[i * 2 : (i + 1) * 2]
    cost = T.sum(x * y)
    for givens in ({x: batch, y: batch + 1}, [(x, batch), (y, batch + 1)]):
        function = theano.function([i], cost, givens=givens)
        assert function(2) == 4 * 5 + 5 * 6


def test_givens_reach_updates_and_intermediate_expressions(device: str) -> None:
    x, w = T.dvector("x"), theano.shared(np.zeros(3))
    hidden = T.exp(x)
    function = theano.function(
        [x], T.sum(hidden), updates=[(w, w + hidden)], givens={hidden: x * 2}
    )
    assert function(np.arange(3.0)) == 6
    np.testing.assert_array_equal(w.get_value(), [0, 2, 4])


def test_a_given_shared_variable(device: str) -> None:
    w, x = theano.shared(np.ones(3)), T.dvector("x")
    assert theano.function([x], T.sum(w * 2), givens={w: x})(np.arange(3.0)) == 6


def test_givens_that_do_not_fit() -> None:
    x, y = T.fvector("x"), T.dvector("y")
    with pytest.raises(GraphTypeError, match="what is given for x is float64; it needs float32"):
        theano.function([y], x, givens={x: y})
    with pytest.raises(GraphTypeError, match="what is given for x has 2 dimensions; it needs 1"):
        theano.function([], x, givens={x: T.matrix()})
    with pytest.raises(GraphTypeError, match="'x' among the givens is no variable"):
        theano.function([x], x, givens={"x": y})


def test_updates_that_do_not_fit() -> None:
    w, x = theano.shared(np.float32([1, 2]), "w"), T.dvector("x")
    with pytest.raises(
        GraphTypeError, match=r"the update of w is float64; it needs float32: use"
    ) as e:
        theano.function([x], [], updates=[(w, w - 0.1 * x)])
    assert "T.cast(..., 'float32')" in str(e.value)
    assert f"made at {line_of(test_updates_that_do_not_fit, 5)}" in str(e.value)
    with pytest.raises(GraphTypeError, match="the update of w has 0 dimensions; it needs 1"):
        theano.function([], [], updates=[(w, T.sum(w))])
    with pytest.raises(GraphTypeError, match="x can't be updated; only shared variables can"):
        theano.function([x], [], updates=[(x, x)])
    with pytest.raises(GraphTypeError, match="w is updated twice"):
        theano.function([], [], updates=[(w, w), (w, w)])


def test_narrower_updates_are_converted(device: str) -> None:
    w, n = theano.shared(np.zeros(2)), theano.shared(np.int64(0))
    x, i = T.fvector("x"), T.iscalar("i")
    updates = {w: x * 2, n: i}
    theano.function([x, i], [], updates=updates)(np.float32([1, 2]), 3)
    np.testing.assert_array_equal(w.get_value(), [2, 4])
    assert w.get_value().dtype == "float64"
    assert n.get_value() == 3


# --- default updates ------------------------------------------------------------------------------


def counter() -> Any:
    c = theano.shared(np.int64(0), name="counter")
    c.default_update = c + 1
    return c


def test_a_default_update_happens_where_its_variable_is_used(device: str) -> None:
    c, other = counter(), counter()
    function = theano.function([], c * 10)
    assert [int(function()) for _ in range(3)] == [0, 10, 20]
    assert other.get_value() == 0


def test_default_updates_can_be_refused_or_replaced(device: str) -> None:
    c, d = counter(), counter()
    theano.function([], c + d, no_default_updates=True)()
    assert (c.get_value(), d.get_value()) == (0, 0)
    theano.function([], c + d, no_default_updates=[c])()
    assert (c.get_value(), d.get_value()) == (0, 1)
    theano.function([], c + d, updates=[(c, c + 5)])()
    assert (c.get_value(), d.get_value()) == (5, 2)


def test_default_updates_of_what_updates_use(device: str) -> None:
    c, w = counter(), theano.shared(np.int64(0))
    theano.function([], [], updates=[(w, w + c)])()
    assert c.get_value() == 1
    d = counter()
    e = theano.shared(np.int64(7))
    e.default_update = e + d
    theano.function([], e)()
    assert (e.get_value(), d.get_value()) == (7, 1)


def test_streams_move_on_with_every_function_that_draws(device: str) -> None:
    stream = RandomStreams(3)
    u = stream.uniform((4,))
    one, two = theano.function([], u), theano.function([], u)
    assert len(np.unique([one(), two(), one()])) == 12


# --- plans ----------------------------------------------------------------------------------------


def test_plans_are_kept_up_to_a_limit(device: str) -> None:
    theano.config.plan_cache_size = 3
    x = T.dvector("x")
    function = theano.function([x], x * 2)
    for n in (1, 2, 3, 1, 4):
        function(np.zeros(n))
    lengths = [plan.buffers[plan.outputs[0]].shape[0] for plan in function.plans]
    assert lengths == [4, 1, 3]
    assert function.plan is function.plans[0]


def test_there_is_no_plan_before_the_first_call() -> None:
    function = theano.function([], T.as_tensor_variable(1.0))
    with pytest.raises(ValueError, match="no plan before its first call"):
        _ = function.plan
    assert function.plans == []


def test_an_error_keeps_a_function_usable(device: str) -> None:
    x, y = T.dvector("x"), T.dvector("y")
    function = theano.function([x, y], x + y)
    with pytest.raises(ValueError, match="differ"):
        function(np.zeros(3), np.zeros(4))
    np.testing.assert_array_equal(function(np.ones(3), np.ones(3)), [2, 2, 2])


def test_a_function_keeps_its_device() -> None:
    x = T.dvector("x")
    theano.config.device = "reference"
    function = theano.function([x], x)
    theano.config.device = "cpu"
    assert function.device == "reference"
    assert theano.function([x], x).device == "cpu"
    function(np.zeros(2))
    assert "reference" in str(function.plan)
    assert repr(function) == "<function (x) on reference>"


# --- threads --------------------------------------------------------------------------------------


def test_two_threads_call_one_function(device: str) -> None:
    x, i = T.dmatrix("x"), T.lscalar("i")
    total, n = theano.shared(np.zeros((3, 3))), theano.shared(np.int64(0))
    function = theano.function([x, i], T.dot(x, x)[i] * 2, updates=[(total, total + x), (n, n + 1)])
    failures: list[str] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for step in range(50):
            value = rng.normal(size=(3, 3))
            result = function(value, step % 3)
            if not np.allclose(result, 2 * (value @ value)[step % 3]):
                failures.append(f"thread {seed}, step {step}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert n.get_value() == 100
    expected = sum(
        rng.normal(size=(3, 3)) for rng in map(np.random.default_rng, range(2)) for _ in range(50)
    )
    np.testing.assert_allclose(total.get_value(), expected, rtol=1e-12, atol=1e-12)


def test_two_threads_run_different_shapes(device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], T.sum(x**2))
    results: dict[int, list[float]] = {}

    def work(n: int) -> None:
        results[n] = [float(function(np.full(n, 2.0))) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(n,)) for n in (3, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {3: [12.0] * 50, 1000: [4000.0] * 50}


# --- eval and sweeps ------------------------------------------------------------------------------


def test_eval(device: str) -> None:
    x, w = T.dvector("x"), theano.shared(2.0)
    np.testing.assert_array_equal((x * w).eval({x: [1, 2]}), [2, 4])
    assert (w + 1).eval() == 3


def test_a_sweep_is_many_calls(device: str) -> None:
    data, i = theano.shared(np.arange(12.0)), T.lscalar("i")

    def build() -> tuple[theano.Function, Any]:
        w = theano.shared(np.float64(1))
        batch = data[i * 5 : (i + 1) * 5]
        return theano.function([i], [T.sum(batch) * w, w], updates=[(w, w + T.max(batch) + i)]), w

    (one, w), (other, v) = build(), build()
    for steps in (range(2), [1, 0, 1], np.array([0, 0]), range(3)):
        expected = [one(int(step)) for step in steps]
        totals, weights = other.sweep(steps)
        np.testing.assert_allclose(totals, [e[0] for e in expected])
        np.testing.assert_allclose(weights, [e[1] for e in expected])
        assert w.get_value() == v.get_value()


def test_a_borrowed_value_as_input_is_read_before_it_is_overwritten(device: str) -> None:
    w = theano.shared(np.arange(6.0).reshape(2, 3), "w")
    x = T.dmatrix("x")
    b = theano.shared(0.0)
    step = theano.function([x], T.sum(x * w), updates=[(w, w * 2), (b, T.sum(x))])
    assert step(w.get_value(borrow=True)) == 55.0
    np.testing.assert_array_equal(w.get_value(), 2 * np.arange(6.0).reshape(2, 3))
    assert b.get_value() == 15.0


def test_two_functions_that_update_one_variable_take_turns() -> None:
    w = theano.shared(np.zeros(100_000), "w")
    by_one, by_two = (theano.function([], updates=[(w, w + n)]) for n in (1.0, 2.0))
    threads = [
        threading.Thread(target=lambda f=f: [f() for _ in range(200)]) for f in (by_one, by_two)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(w.get_value(), 600.0)


@pytest.mark.parametrize("wrong", [3.0, np.ones(2)])
def test_grad_takes_symbolic_variables(wrong: Any) -> None:
    x = T.dscalar("x")
    with pytest.raises(GraphTypeError, match="grad takes symbolic variables, not a"):
        T.grad(wrong, x)
    with pytest.raises(GraphTypeError, match="grad takes symbolic variables, not a"):
        T.grad(x, [wrong])


def test_inputs_are_a_list() -> None:
    x = T.dscalar("x")
    with pytest.raises(GraphTypeError, match="the inputs of a function are a list"):
        theano.function(x, x)
