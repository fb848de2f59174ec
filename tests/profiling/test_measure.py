"""`fn.profile` and `measure_roofline`: what was run, and that it was run."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import IndexOutOfRangeError
from tinygrad_mnist.profiling import measure_roofline, recording


def counting() -> tuple[theano.Function, theano.SharedVariable]:
    """fn(i): a row of data times w; adds 1 to a counter."""
    data = theano.shared(np.ones((8, 6)), "data")
    w = theano.shared(np.ones((6, 3)), "w")
    count = theano.shared(np.zeros(1), "count")
    i = T.lscalar("i")
    rows = data[i * 2 : (i + 1) * 2]
    return theano.function([i], T.dot(rows, w), updates=[(count, count + 1)], name="row"), count


def test_a_call_is_profiled(device: str) -> None:
    function, count = counting()
    profile = function.profile(1, repeats=4)
    assert profile.name == "row"
    assert profile.plan is function.plan
    assert profile.steps == 4
    assert [c.kernel for c in profile.calls] == [c.kernel for c in function.plan.calls]
    assert min(c.seconds for c in profile.calls) > 0
    assert profile.backend == function.device
    assert profile.roofline is None
    assert profile.step_seconds is not None
    assert profile.step_seconds > 0
    assert profile.kernel_share > 0
    assert count.get_value().tolist() == [1 + 2 * 4]  # updates are carried out


def test_a_sweep_is_profiled(device: str) -> None:
    function, count = counting()
    profile = function.profile(range(4), repeats=2, sweep=True)
    assert profile.steps == 8
    assert profile.timings.calls.shape == (8, len(function.plan.calls))
    assert (np.diff(profile.timings.begins) > 0).all()
    assert count.get_value().tolist() == [4 + 2 * 2 * 4]


def test_results_are_those_of_runs_that_are_not_timed(device: str) -> None:
    function, _ = counting()
    plain = [function(2), function.sweep(range(3))]
    with recording() as records:
        timed = [function(2), function.sweep(range(3))]
    for a, b in zip(timed, plain, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [len(r.timings.begins) for r in records] == [1, 3]
    assert {r.name for r in records} == {"row"}
    function(2)
    assert len(records) == 2


def test_errors_of_timed_runs(device: str) -> None:
    x, i = T.dmatrix("x"), T.lvector("i")
    function = theano.function([x, i], x[i])
    with recording(), pytest.raises(IndexOutOfRangeError, match="out of range"):
        function(np.ones((3, 2)), [0, 3])
    with recording() as records:
        np.testing.assert_array_equal(function(np.ones((3, 2)), [0, 2]), np.ones((2, 2)))
    assert len(records) == 1


def test_steps_of_several_plans_are_refused() -> None:
    data = theano.shared(np.ones((7, 6)), "data")
    i = T.lscalar("i")
    function = theano.function([i], T.sum(data[i * 2 : (i + 1) * 2]), name="row")
    with pytest.raises(ValueError, match="row runs several plans"):
        function.profile(range(4), sweep=True)
    with pytest.raises(ValueError, match="repeats is 0"):
        function.profile(0, repeats=0)


def test_the_roofline_of_this_machine() -> None:
    theano.config.threads = 1
    roofline = measure_roofline(dtypes=("float32", "float64"))
    assert roofline is not None
    assert roofline.threads == 1
    assert roofline.peaks["float32"] > roofline.peaks["float64"] > 1e9
    sizes, rates = zip(*roofline.bandwidths, strict=True)
    assert sizes[0] == 16 << 10
    assert sizes[-1] == 64 << 20
    assert list(rates) == sorted(rates, reverse=True)
    theano.config.device = "reference"
    assert measure_roofline() is None
