"""Many steps in one call: what is stacked, where it splits, what is left of an ended one."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from helpers.interrupts import output_after_interrupt

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import In, Out
from tinygrad_mnist.errors import GraphTypeError, IndexOutOfRangeError, ShapeError
from tinygrad_mnist.functions import sweep, swept


def test_a_sweep_is_many_calls(device: str) -> None:
    data, i = theano.shared(np.arange(12.0)), T.lscalar("i")

    def build() -> tuple[theano.Function, Any]:
        w = theano.shared(np.float64(1))
        batch = data[i * 5 : (i + 1) * 5]
        return theano.function([i], [T.sum(batch) * w, w], updates=[(w, w + T.max(batch) + i)]), w

    (one, w), (other, v) = build(), build()
    for steps in (range(2), [1, 0, 1], np.array([0, 0]), range(3), (2, 0, 2)):
        expected = [one(int(step)) for step in steps]
        totals, weights = other.sweep(steps)
        np.testing.assert_allclose(totals, [e[0] for e in expected])
        np.testing.assert_allclose(weights, [e[1] for e in expected])
        assert w.get_value() == v.get_value()


def test_a_sweep_splits_where_a_length_changes(device: str) -> None:
    """Batches of 4 out of 10: the last one has 2, in the middle of the sweep and at its end."""
    data, i = theano.shared(np.arange(10.0)), T.lscalar("i")
    batch = data[i * 4 : (i + 1) * 4]
    function = theano.function([i], [T.sum(batch), batch.shape[0]])
    totals, lengths = function.sweep([0, 1, 2, 2, 1, 2])
    np.testing.assert_array_equal(totals, [6, 22, 17, 17, 22, 17])
    np.testing.assert_array_equal(lengths, [4, 4, 2, 2, 4, 2])
    assert len(function.plans) == 2
    np.testing.assert_array_equal(function.sweep([5, 0])[0], [0, 6])  # an empty batch


def test_a_long_sweep(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is cut into several native calls."""
    monkeypatch.setattr(sweep, "MAX_SEGMENT", 100)
    i, n = T.lscalar("i"), theano.shared(np.int64(0))
    function = theano.function([i], [i, n], updates=[(n, n + 1)])
    numbers, counts = function.sweep(range(205, 0, -1))
    np.testing.assert_array_equal(numbers, np.arange(205, 0, -1))
    np.testing.assert_array_equal(counts, np.arange(205))


def test_values_per_step_have_one_axis_more(device: str) -> None:
    """Scalars, vectors and matrices per step, beside values that stay the same."""
    rate, x, m, k, c = T.dscalar(), T.dvector(), T.dmatrix(), T.iscalar(), T.dvector()
    w = theano.shared(np.zeros(3))
    update = (w, w - rate * (T.dot(x, m) + k * c))
    function = theano.function([rate, x, m, k, c], [T.sum(w), x], updates=[update])
    rng = np.random.default_rng(0)
    rates = [0.5, 0.25, 1, 0.125]
    xs, ms = rng.normal(size=(4, 2)), rng.normal(size=(4, 2, 3))
    fixed = np.array([1.0, 2.0, 3.0])
    totals, echo = function.sweep(rates, xs, ms[:, ::-1], [3, -1, 0, 2], fixed)
    np.testing.assert_array_equal(echo, xs)
    expected, value = [], np.zeros(3)
    for j in range(4):
        expected.append(value.sum())
        value = value - rates[j] * (xs[j] @ ms[j, ::-1] + [3, -1, 0, 2][j] * fixed)
    np.testing.assert_allclose(totals, expected, rtol=1e-12)
    np.testing.assert_allclose(w.get_value(), value, rtol=1e-12)


def test_values_per_step_are_checked_as_in_a_call(device: str) -> None:
    x, i, m = T.fvector("x"), T.iscalar("i"), T.row("m", "float32")
    function = theano.function([x, i, m], T.sum(x) * i * T.sum(m))
    xs, ms = np.ones((2, 3), "float32"), np.ones((2, 1, 2), "float32")
    np.testing.assert_array_equal(function.sweep(xs, [1, 2], ms), [6, 12])
    np.testing.assert_array_equal(function.sweep([[1, 2], [3, 4]], [1, 2], ms), [6, 28])
    for values, message in [
        ((xs.astype("float64"), [1, 2], ms), r"input 0 \(x\) is float32; .* lose precision"),
        ((xs, [0.5, 1], ms), r"input 1 \(i\) is int32; the value is float64"),
        ((xs, [1, 2**31], ms), r"input 1 \(i\) is int32, which can't hold"),
        ((xs, [1, 2], ms.reshape(2, 2, 1)), r"input 2 \(m\) broadcasts along axis 0"),
        ((xs[0], 1, [[1, 2], [3]]), r"input 2 \(m\) is .* equally long"),
        ((np.ones((2, 2, 2), "float32"), [1, 2], ms), r"input 0 \(x\) has 1 dimensions"),
    ]:
        with pytest.raises((GraphTypeError, ShapeError), match=message):
            function.sweep(*values)


def test_the_number_of_steps(device: str) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    function = theano.function([x, y], x * y)
    np.testing.assert_array_equal(function.sweep(2, 3, n_steps=2), [6, 6])
    np.testing.assert_array_equal(function.sweep([2, 3], 3, n_steps=2), [6, 9])
    for values, n_steps, message in [
        ((2, 3), None, "it got none"),
        (([2, 3], [3]), None, r"it got \[1, 2\]"),
        (([2, 3], 3), 3, r"it got \[2, 3\]"),
        ((2, 3), -1, r"it got \[-1\]"),
    ]:
        with pytest.raises(GraphTypeError, match="sweep needs values per step, .*; " + message):
            function.sweep(*values, n_steps=n_steps)


def test_a_function_without_inputs(device: str) -> None:
    w = theano.shared(np.int64(1))
    function = theano.function([], w, updates=[(w, w * 3)])
    assert function.sweep(n_steps=4).tolist() == [1, 3, 9, 27]
    assert w.get_value() == 81


def test_inputs_by_name_and_with_defaults(device: str) -> None:
    x, rate, state = T.dscalar("x"), T.dscalar("rate"), T.dscalar("state")
    inputs = [x, In(rate, value=0.5), In(state, value=0, update=state + x * rate)]
    function = theano.function(inputs, state)
    assert function.sweep([1, 2, 3]).tolist() == [0, 0.5, 1.5]
    assert function["state"] == 3
    assert function.sweep(x=[1, 2], rate=[2, 3], state=10).tolist() == [10, 12]
    assert function["state"] == 18
    with pytest.raises(GraphTypeError, match=r"needs a value for input 0 \(x\)"):
        function.sweep(rate=[1])


@pytest.mark.parametrize("outputs", ["list", "one", "dict", "none"])
def test_every_form_of_outputs(device: str, outputs: str) -> None:
    x = T.dvector("x")
    total, double = T.sum(x), x * 2
    wanted = {"list": [total, double], "one": total, "dict": {"a": total}, "none": None}[outputs]
    function = theano.function([x], wanted, on_unused_input="ignore")
    value = np.arange(6.0).reshape(3, 2)
    result = function.sweep(value)
    if outputs == "list":
        np.testing.assert_array_equal(result[1], value * 2)
    totals = {"list": lambda: result[0], "one": lambda: result, "dict": lambda: result["a"]}
    if outputs == "none":
        assert result is None
    else:
        np.testing.assert_array_equal(totals[outputs](), value.sum(1))


@pytest.mark.parametrize("steps", [range(0), [], np.zeros(0, np.int64)])
def test_no_steps(device: str, steps: Any) -> None:
    i, w = T.lscalar("i"), theano.shared(1.0)
    function = theano.function([i], [i * w, T.ones((2, 3)) * i], updates=[(w, w + i)])
    scalars, matrices = function.sweep(steps)
    assert scalars.shape == (0,)
    assert len(matrices) == 0
    assert w.get_value() == 1


def test_borrowed_outputs_and_values_of_the_function(device: str) -> None:
    """Stacks are fresh even where a call would borrow; arguments may be shared storage."""
    w, x = theano.shared(np.arange(4.0).reshape(2, 2)), T.dvector("x")
    function = theano.function([x], Out(x * 2, borrow=True), updates=[(w, w + x)])
    first = function.sweep(w.get_value(borrow=True))
    np.testing.assert_array_equal(first, [[0, 2], [4, 6]])
    np.testing.assert_array_equal(w.get_value(), [[2, 5], [4, 7]])
    second = function.sweep(np.ones((2, 2)))
    np.testing.assert_array_equal(first, [[0, 2], [4, 6]])
    np.testing.assert_array_equal(second, np.full((2, 2), 2))


# --- what can't be swept --------------------------------------------------------------------------


def test_bounds_that_updates_change(device: str) -> None:
    data, n = theano.shared(np.arange(9.0)), theano.shared(np.int64(1), "n")
    i = T.lscalar("i")
    function = theano.function([i], T.sum(data[i : i + n]), updates=[(n, n + 1)])
    assert [float(function(0)) for _ in range(3)] == [0, 1, 3]
    with pytest.raises(GraphTypeError, match="depends on n, which the function updates") as error:
        function.sweep(range(3))
    assert "test_sweep.py" in str(error.value)
    assert n.get_value() == 4


def test_updates_that_change_a_shape(device: str) -> None:
    w, i = theano.shared(np.zeros(2), "w"), T.lscalar("i")
    function = theano.function([i], updates=[(w, T.alloc(1.0, i))])
    with pytest.raises(GraphTypeError, match="the update of w changes its shape"):
        function.sweep([3])


def test_outputs_that_can_not_be_stacked(device: str) -> None:
    data, i = theano.shared(np.arange(10.0)), T.lscalar("i")
    w = theano.shared(0.0)
    function = theano.function([i], data[i * 4 : (i + 1) * 4], updates=[(w, w + 1)])
    message = r"step 2 of the sweep: it has an output of shape \(2,\), earlier steps of \(4,\)"
    with pytest.raises(ShapeError, match=message) as error:
        function.sweep(range(3))
    done = swept(error.value)
    assert done is not None
    assert done.steps == 2
    np.testing.assert_array_equal(done.outputs, np.arange(8.0).reshape(2, 4))
    assert w.get_value() == 2


# --- errors on the way ----------------------------------------------------------------------------


def indexed_sum() -> tuple[theano.Function, Any]:
    """Adds up values[index[i]]; an index out of range fails its step."""
    values, index = theano.shared(np.arange(5.0)), T.lvector("index")
    total = theano.shared(0.0)
    picked = T.sum(values[index])
    return theano.function([index], [picked, total], updates=[(total, total + picked)]), total


def test_an_error_keeps_what_was_done(device: str) -> None:
    function, total = indexed_sum()
    index = np.array([[0, 1], [2, 3], [4, 4], [1, 5], [0, 0]])
    with pytest.raises(IndexOutOfRangeError, match=r"^step 3 of the sweep: out of range") as error:
        function.sweep(index)
    done = swept(error.value)
    assert done is not None
    assert done.steps == 3
    np.testing.assert_array_equal(done.outputs[0], [1, 5, 8])
    np.testing.assert_array_equal(done.outputs[1], [0, 1, 6])
    assert total.get_value() == 14
    with pytest.raises(IndexOutOfRangeError, match=r"^step 0 of the sweep") as error:
        function.sweep(index[3:])
    done = swept(error.value)
    assert done is not None
    assert (done.steps, len(done.outputs[0])) == (0, 0)
    assert total.get_value() == 14


def test_an_error_of_the_host(device: str) -> None:
    """An index out of range that the host computes, as a row of a matrix is."""
    data, i = theano.shared(np.arange(6.0).reshape(3, 2)), T.lscalar("i")
    w = theano.shared(0.0)
    function = theano.function([i], T.sum(data[i]), updates=[(w, w + 1)])
    with pytest.raises(IndexOutOfRangeError, match=r"^step 2 of the sweep: .*index 3") as error:
        function.sweep([0, 2, 3, 1])
    done = swept(error.value)
    assert done is not None
    assert done.outputs.tolist() == [1, 9]
    assert w.get_value() == 2
    with pytest.raises(IndexOutOfRangeError, match="index 3"):
        function.sweep([3])


def test_a_failed_sweep_keeps_the_state_of_its_last_step(device: str) -> None:
    state, index = T.dscalar("state"), T.lvector("index")
    values = theano.shared(np.arange(3.0))
    total = T.sum(values[index])
    function = theano.function([index, In(state, value=0, update=state + total)], state)
    with pytest.raises(IndexOutOfRangeError):
        function.sweep([[1], [2], [3]], state=10)
    assert function["state"] == 13
    with pytest.raises(IndexOutOfRangeError):
        function.sweep([[3]], state=10)
    assert function["state"] == 13


def test_other_exceptions_tell_nothing() -> None:
    assert swept(ValueError("no sweep")) is None
    function, _ = indexed_sum()
    with pytest.raises(GraphTypeError) as error:
        function.sweep("abc")
    assert swept(error.value) is None


# --- interrupts -----------------------------------------------------------------------------------

# Sweeps until SIGINT comes; every step takes `ms` milliseconds or so. Says what it finds then.
INTERRUPTED = """
import sys, time
import numpy as np
import tinygrad_mnist as theano, tinygrad_mnist.tensor as T
from tinygrad_mnist.functions import sweep, swept

theano.config.device = sys.argv[1]
n = int(sys.argv[2])
x = theano.shared(np.full((n, n), 1e-3))
a, b = theano.shared(np.float64(0)), theano.shared(np.zeros((n, n)))
product = T.dot(T.dot(x, x), x)
step = theano.function([], a, updates=[(a, a + 1), (b, b + product - T.dot(x, x) + 1)])
step()
print("ready", flush=True)
try:
    step.sweep(n_steps=10_000_000 // n)
except KeyboardInterrupt as error:
    done = swept(error)
    whole = float(a.get_value()) == done.steps + 1
    steps = b.get_value() / (x.get_value() @ x.get_value() @ x.get_value()
                             - x.get_value() @ x.get_value() + 1)
    same = np.allclose(steps, done.steps + 1)
    outputs = done.outputs.tolist() == list(range(1, done.steps + 1))
    print("interrupted", done.steps > 0, whole, same, outputs, flush=True)
following = step.sweep(n_steps=3)
print(following.tolist() == [float(a.get_value()) - 3 + k for k in range(3)], flush=True)
"""


@pytest.mark.parametrize(("name", "size"), [("cpu", 20), ("cpu", 400), ("reference", 20)])
def test_ctrl_c_ends_a_sweep_after_a_whole_step(name: str, size: int) -> None:
    """All variables agree on the number of steps, and the outputs of these steps are there."""
    output = output_after_interrupt(INTERRUPTED, name, str(size))
    assert output == "interrupted True True True True\nTrue\n"


# Steps whose plans take turns, so that much of the sweep is spent in Python.
INTERRUPTED_BETWEEN = """
import sys
import numpy as np
import tinygrad_mnist as theano, tinygrad_mnist.tensor as T
from tinygrad_mnist.functions import swept

theano.config.device = sys.argv[1]
data, i, n = theano.shared(np.arange(10.0)), T.lscalar("i"), theano.shared(np.int64(0))
function = theano.function([i], [T.sum(data[:i]), n], updates=[(n, n + 1)])
function.sweep([3, 4])
n.set_value(0)
print("ready", flush=True)
try:
    function.sweep(np.tile([3, 4], 500_000))
except KeyboardInterrupt as error:
    done = swept(error)
    totals, numbers = done.outputs
    print(0 < done.steps < 1_000_000, n.get_value() == done.steps == len(numbers),
          (numbers == np.arange(done.steps)).all(),
          (totals == np.tile([3, 6], 500_000)[: done.steps]).all())
"""


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_an_interrupt_between_segments(name: str) -> None:
    assert output_after_interrupt(INTERRUPTED_BETWEEN, name) == "True True True True\n"


# --- a running sweep, as another thread sees it ---------------------------------------------------


def test_a_sweep_can_be_watched(device: str) -> None:
    i, w = T.lscalar("i"), theano.shared(0.0)
    function = theano.function([i], [w, i * 2], updates=[(w, w + i)])
    given: list[sweep.LiveSweep] = []

    def watch(live: sweep.LiveSweep) -> None:
        given.append(live)
        assert live.steps == 0
        assert [len(output) for output in live.outputs] == [0, 0]

    sums, doubled = function.sweep(range(5), watch=watch)
    (live,) = given
    assert live.steps == 5
    np.testing.assert_array_equal(live.outputs[0], sums)
    np.testing.assert_array_equal(live.outputs[1], doubled)
    assert np.shares_memory(live.outputs[0], sums)


def test_a_watched_sweep_grows_step_by_step() -> None:
    """On the CPU the count and the outputs are there while the native call runs."""
    i, x = T.lscalar("i"), theano.shared(np.full((100, 100), 1e-3))
    function = theano.function([i], [i, T.sum(T.dot(T.dot(x, x), x))])
    function(0)
    seen: list[int] = []
    consistent: list[bool] = []
    ended = threading.Event()

    def look(live: sweep.LiveSweep) -> None:
        while not ended.wait(0.001):
            numbers = live.outputs[0]
            seen.append(len(numbers))
            consistent.append(numbers.tolist() == list(range(len(numbers))))

    threads: list[threading.Thread] = []

    def watch(live: sweep.LiveSweep) -> None:
        threads.append(threading.Thread(target=look, args=(live,)))
        threads[0].start()

    function.sweep(range(3000), watch=watch)
    ended.set()
    threads[0].join()
    assert seen == sorted(seen)
    assert any(0 < count < 3000 for count in seen)
    assert all(consistent)
