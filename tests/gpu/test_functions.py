"""Functions on a GPU as a user calls them: where values are, from call to call.

Small enough for the simulator; a real GPU runs the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.gpu import BACKEND
from helpers.interrupts import output_after_interrupt

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import config
from tinygrad_mnist.errors import IndexOutOfRangeError
from tinygrad_mnist.functions import swept
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

pytestmark = [pytest.mark.sim, pytest.mark.gpu]

BATCH, WIDTH = 2, 3
Values = np.ndarray[Any, Any]


class Stepper:
    """w shrinks by a part of a mini-batch at every step, and steps are counted."""

    def __init__(self, device: str, rows: int = 6, dtype: str = "float64") -> None:
        config.device = device
        rng = np.random.default_rng(rows)
        self.data = theano.shared(rng.normal(size=(rows, WIDTH)).astype(dtype), "data")
        self.w = theano.shared(rng.normal(size=(BATCH, WIDTH)).astype(dtype), "w")
        self.count = theano.shared(np.int64(0), "count")
        self.step = self.function()

    def function(self) -> theano.Function:
        """A step on the present device; it returns the mini-batch times w."""
        i = T.lscalar("i")
        batch = self.data[i * BATCH : (i + 1) * BATCH]
        updates = [(self.w, self.w - batch * 0.25), (self.count, self.count + 1)]
        return theano.function([i], [batch * self.w, self.count], updates=updates)

    @property
    def state(self) -> tuple[Values, int]:
        return self.w.get_value(), int(self.count.get_value())


def expect_same(a: Stepper, b: Stepper) -> None:
    """Additions and products of two numbers are rounded once, and the same everywhere."""
    for x, y in zip(a.state, b.state, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sweep_is_many_calls(dtype: str) -> None:
    """Of every length: alone, and recorded in groups; a recording serves more than one sweep."""
    one, other = Stepper(BACKEND, dtype=dtype), Stepper(BACKEND, dtype=dtype)
    cpu = Stepper("cpu", dtype=dtype)
    for steps in (range(2), [2, 0, 1], [k % 3 for k in range(19)], [1], range(3)):
        called = [one.step(int(k)) for k in steps]
        products, counts = other.step.sweep(steps)
        exact, _ = cpu.step.sweep(steps)
        np.testing.assert_array_equal(products, [c[0] for c in called])
        np.testing.assert_array_equal(products, exact)
        np.testing.assert_array_equal(counts, [c[1] for c in called])
        expect_same(one, other)
        expect_same(one, cpu)


def test_values_read_and_set_between_calls() -> None:
    gpu, cpu = Stepper(BACKEND), Stepper("cpu")
    rng = np.random.default_rng(1)
    for k in range(3):
        for stepper in (gpu, cpu):
            stepper.step(k)
        expect_same(gpu, cpu)
        before = gpu.w.get_value()
        w, data = rng.normal(size=(BATCH, WIDTH)), rng.normal(size=(6, WIDTH))
        for stepper in (gpu, cpu):
            stepper.w.set_value(w)
            stepper.data.set_value(data)
        np.testing.assert_array_equal(gpu.w.get_value(), w)
        assert not np.array_equal(before, w)  # a value that was read is a copy
        for stepper in (gpu, cpu):
            stepper.step.sweep([0, 2, 1])
        expect_same(gpu, cpu)


def test_arguments_are_read_and_results_are_fresh() -> None:
    config.device = BACKEND
    x, w = T.dmatrix("x"), theano.shared(np.ones((2, 2)))
    add = theano.function([x], x + w, updates=[(w, w * 2)])
    value = np.arange(4.0).reshape(2, 2)
    first, second = add(value), add(value.T)
    np.testing.assert_array_equal(first, value + 1)
    np.testing.assert_array_equal(second, value.T + 2)
    value[...] = -1
    np.testing.assert_array_equal(first, [[1, 2], [3, 4]])


def test_variables_that_change_their_size() -> None:
    """Each size has a plan of its own; going back to one finds it again."""
    gpu, cpu = Stepper(BACKEND), Stepper("cpu")
    rng = np.random.default_rng(2)
    for rows in (6, 10, 4, 6):
        data, w = rng.normal(size=(rows, 5)), rng.normal(size=(BATCH, 5))
        for stepper in (gpu, cpu):
            stepper.data.set_value(data)
            stepper.w.set_value(w)
            stepper.step.sweep(range(rows // BATCH))
        expect_same(gpu, cpu)
        assert gpu.state[0].shape == (BATCH, 5)


def test_several_plans_of_one_function() -> None:
    """A last mini-batch that is not full; temporaries of both lie in one arena."""
    x = np.random.default_rng(3).normal(size=(10, WIDTH))
    results = {}
    for device in (BACKEND, "cpu"):
        config.device = device
        data, i = theano.shared(x), T.lscalar("i")
        batch = data[i * 4 : (i + 1) * 4]
        total = theano.shared(np.float64(0))
        function = theano.function([i], [batch * 2 + 1, total], updates=[(total, total + i)])
        order = [2, 0, 2, 1, 0, 2]
        results[device] = [array for k in order for array in function(k)] + [total.get_value()]
        assert len(function.plans) == 2
    for mine, exact in zip(results[BACKEND], results["cpu"], strict=True):
        np.testing.assert_array_equal(mine, exact)


def test_processor_and_gpu_take_turns() -> None:
    """Functions of both devices update the same variables; each sees what the other wrote."""
    mixed, cpu = Stepper("cpu"), Stepper("cpu")
    config.device = BACKEND
    on_gpu = mixed.function()
    for number, k in enumerate([0, 1, 1, 2, 0, 2, 1]):
        (on_gpu if number % 3 else mixed.step)(k)
        cpu.step(k)
        if number in (1, 4):
            expect_same(mixed, cpu)
    on_gpu.sweep([0, 1])
    mixed.step.sweep([2, 0])
    cpu.step.sweep([0, 1, 2, 0])
    expect_same(mixed, cpu)


def test_functions_share_variables_on_the_gpu() -> None:
    """One writes, one reads, one replaces: nothing is copied to the host, and no value is stale."""
    gpu, cpu = Stepper(BACKEND), Stepper("cpu")
    for stepper, device in ((gpu, BACKEND), (cpu, "cpu")):
        config.device = device
        read = theano.function([], stepper.w * 2)
        clear = theano.function([], updates=[(stepper.w, T.zeros_like(stepper.w) + stepper.count)])
        stepper.step(0)
        before = read()
        clear()
        stepper.seen = [before, read(), stepper.step(1)[0], read()]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(gpu.seen, cpu.seen)  # type: ignore[attr-defined]


# --- errors on the way ----------------------------------------------------------------------------


class Picker:
    """total grows by chosen values; an index out of range fails its step."""

    def __init__(self, device: str) -> None:
        config.device = device
        self.values = theano.shared(np.arange(5.0))
        self.total, self.count = theano.shared(np.zeros(2)), theano.shared(np.int64(0))
        index = T.lvector("index")
        picked = self.values[index]
        updates = [(self.total, self.total + picked), (self.count, self.count + 1)]
        self.step = theano.function([index], picked, updates=updates)

    def expect(self, total: list[float], count: int) -> None:
        np.testing.assert_array_equal(self.total.get_value(), total)
        assert self.count.get_value() == count


def test_a_sweep_stops_at_a_failed_check() -> None:
    """Also in the middle of steps that were recorded together; those after it change nothing."""
    picker = Picker(BACKEND)
    good = [[k % 5, (k + 1) % 5] for k in range(21)]
    for at in (3, 17):
        index = [*good[:at], [0, 9], *good[at:]]
        picker.total.set_value(np.zeros(2))
        picker.count.set_value(np.int64(0))
        with pytest.raises(IndexOutOfRangeError, match=f"^step {at} of the sweep") as error:
            picker.step.sweep(index)
        done = swept(error.value)
        assert done is not None
        assert done.steps == at
        np.testing.assert_array_equal(done.outputs, np.array(good[:at], float))
        picker.expect(list(np.sum(good[:at], axis=0)), at)
    picker.step.sweep(good)
    picker.expect(list(np.sum(good[:17], axis=0) + np.sum(good, axis=0)), 17 + 21)


# Sweeps until SIGINT comes, and says what it finds then.
INTERRUPTED = """
import sys
import numpy as np
import tinygrad_mnist as theano
from tinygrad_mnist.functions import swept
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

theano.config.device = sys.argv[1]
n = theano.shared(np.int64(0))
a, b = theano.shared(np.zeros(2)), theano.shared(np.ones(3))
step = theano.function([], n, updates=[(n, n + 1), (a, a + 1), (b, b + 2)])
step.sweep(n_steps=20)
print("ready", flush=True)
try:
    step.sweep(n_steps=1_000_000)
except KeyboardInterrupt as error:
    done = swept(error)
    steps = done.steps + 20
    whole = n.get_value() == steps and (a.get_value() == steps).all()
    outputs = (done.outputs == np.arange(20, steps)).all() and len(done.outputs) == done.steps
    print(0 < done.steps < 1_000_000, bool(whole), (b.get_value() == 1 + 2 * steps).all(), outputs)
print(step.sweep(n_steps=3).tolist() == [float(n.get_value()) - 3 + k for k in range(3)])
"""


def test_ctrl_c_ends_a_sweep_after_a_whole_step() -> None:
    output = output_after_interrupt(INTERRUPTED, BACKEND)
    assert output == "True True True True\nTrue\n"


def test_integers_are_those_of_the_cpu() -> None:
    """Draws between bounds of all sizes, products and unsigned integers."""
    low, high = T.lvector("low"), T.lscalar("high")
    m, u = T.imatrix("m"), T.vector("u", "uint32")
    draws = RandomStreams(3).random_integers((4, 3), low, high)
    outputs = [
        draws,
        T.dot(m, m.T),
        T.dot(m, u),
        u * u + 1,
        T.cast(u, "float32"),
        (-u) // 3,
        u.sum(),
    ]
    inputs = [low, high, m, u]
    values = (
        np.array([-(2**63), 0, 2**63 - 9]), np.int64(2**63 - 1),
        np.arange(6, dtype="int32").reshape(2, 3) * 2**28, np.array([2**32 - 1, 0, 7], "uint32"),
    )  # fmt: skip
    results = []
    for device in ("cpu", BACKEND):
        config.device = device
        results.append(theano.function(inputs, outputs, no_default_updates=True)(*values))
    for cpu, gpu in zip(*results, strict=True):
        assert cpu.dtype == gpu.dtype
        np.testing.assert_array_equal(cpu, gpu)


def test_an_argument_that_makes_no_distribution_changes_nothing() -> None:
    config.device = BACKEND
    p = T.fscalar("p")
    functions = [theano.function([p], RandomStreams(1).binomial((8,), p=p)) for _ in range(2)]
    assert functions[0](0.5).tolist() == functions[1](0.5).tolist()
    with pytest.raises(ValueError, match=r"p is not between 0 and 1(?s:.*)test_functions\.py"):
        functions[0](1.5)
    assert functions[0](0.5).tolist() == functions[1](0.5).tolist()
