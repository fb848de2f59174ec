"""Functions that are cut: values, plans, updates, threads, forks and errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import Out
from tinygrad_mnist.compile.segmented import SegmentedPlan
from tinygrad_mnist.compile.specialise import ValuesNeededError
from tinygrad_mnist.errors import GraphTypeError, IndexOutOfRangeError, ShapeError
from tinygrad_mnist.functions import prepare
from tinygrad_mnist.profiling import SegmentedProfile
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

X = np.random.default_rng(0).normal(size=(4, 3))
V = np.array([3.0, -1, 2, -5, 4])


# --- integers -------------------------------------------------------------------------------------

LENGTHS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "element": (lambda x, s: T.zeros((s[0], s[1])) + x[0], lambda x, s: np.zeros(s[:2]) + x[0]),
    "argmax": (lambda x, s: x[: T.argmax(x)], lambda x, s: x[: x.argmax()]),
    "from argmin": (lambda x, s: x[T.argmin(x) :: -1], lambda x, s: x[x.argmin() :: -1]),
    "arithmetic": (
        lambda x, s: x[T.argmax(s) : T.argmax(s) + 2],
        lambda x, s: x[s.argmax() : s.argmax() + 2],
    ),
    "sum": (lambda x, s: x[: T.sum(s) - 2], lambda x, s: x[: s.sum() - 2]),
    "cast": (
        lambda x, s: T.ones(T.cast(T.max(x), "int32")),
        lambda x, s: np.ones(int(x.max())),
    ),
    "of a comparison": (
        lambda x, s: x[T.cast(T.gt(x[0], 1), "int8") :],
        lambda x, s: x[int(x[0] > 1) :],
    ),
    "switch": (lambda x, s: x[: T.switch(x[1] > 0, 1, 3)], lambda x, s: x[: 1 if x[1] > 0 else 3]),
    "power": (lambda x, s: T.zeros(s[0] ** 2), lambda x, s: np.zeros(s[0] ** 2)),
    "reshape": (
        lambda x, s: T.tile(x, 2).reshape((s[0], -1)),
        lambda x, s: np.tile(x, 2).reshape(s[0], -1),
    ),
    "shape vector": (
        lambda x, s: T.tile(x, 2).reshape(s[:2], ndim=2),
        lambda x, s: np.tile(x, 2).reshape(s[:2]),
    ),
    "arange": (lambda x, s: T.arange(s[0], T.sum(s)), lambda x, s: np.arange(s[0], s.sum())),
    "split": (lambda x, s: T.split(x, s, n_splits=3)[1], lambda x, s: x[s[0] : s[0] + s[1]]),
    "repeat": (lambda x, s: T.repeat(x, T.max(s)), lambda x, s: np.repeat(x, s.max())),
    "eye": (lambda x, s: T.eye(s[0], T.max(s), s[2]), lambda x, s: np.eye(s[0], s.max(), s[2])),
    "a length of a length": (
        lambda x, s: T.zeros(T.sum(T.ones(T.sum(s), dtype="int64"))),
        lambda x, s: np.zeros(s.sum()),
    ),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_computed_integer(name: str, device: str) -> None:
    expression, expected = LENGTHS[name]
    x, s = T.dvector("x"), T.lvector("s")
    function = theano.function([x, s], expression(x, s), on_unused_input="ignore")
    lengths = np.array([1, 2, 2]) if name == "split" else np.array([2, 5, 1])
    for _ in range(2):
        np.testing.assert_array_equal(function(V, lengths), expected(V, lengths))


def test_a_plan_serves_every_start(device: str) -> None:
    x, y = T.dvector("x"), T.dvector("y")
    start = T.argmax(y)
    function = theano.function([x, y], x[start : start + 2])
    for i in range(4):
        np.testing.assert_array_equal(function(V, np.eye(4)[i]), V[i : i + 2])
    assert len(function.plans) == 2


def test_a_wrong_length_is_an_error_with_its_line(device: str) -> None:
    s, w = T.lvector("s"), theano.shared(0.0)
    function = theano.function([s], T.zeros(s[0]), updates=[(w, w + 1)])
    with pytest.raises(ShapeError, match=r"(?s)can't be negative.*test_segments.py"):
        function([-1])
    assert w.get_value() == 0
    with pytest.raises(IndexOutOfRangeError, match=r"(?s)out of range.*test_segments.py"):
        function(np.zeros(0, "int64"))


# --- masks ----------------------------------------------------------------------------------------

MASKS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "whole": (lambda x, m, r, c: x[m], lambda x, m, r, c: x[m]),
    "rows": (lambda x, m, r, c: x[r], lambda x, m, r, c: x[r]),
    "rows and a slice": (lambda x, m, r, c: x[r, 1:], lambda x, m, r, c: x[r, 1:]),
    "rows and all": (lambda x, m, r, c: x[r, :], lambda x, m, r, c: x[r, :]),
    "columns": (lambda x, m, r, c: x[:, c], lambda x, m, r, c: x[:, c]),
    "columns and dots": (lambda x, m, r, c: x[..., c], lambda x, m, r, c: x[..., c]),
    "new axis": (lambda x, m, r, c: x[None, r, None], lambda x, m, r, c: x[None, r, None]),
    "row and index": (lambda x, m, r, c: x[r, 1], lambda x, m, r, c: x[r, 1]),
    "mask and array": (
        lambda x, m, r, c: x[r, T.zeros_like(T.nonzero(r)[0])],
        lambda x, m, r, c: x[r, np.zeros_like(np.nonzero(r)[0])],
    ),
    "constant": (
        lambda x, m, r, c: x[[True, False, True, True]],
        lambda x, m, r, c: x[[True, False, True, True]],
    ),
    "computed": (lambda x, m, r, c: x[x > 0], lambda x, m, r, c: x[x > 0]),
    "of a mask": (
        lambda x, m, r, c: x[m][x[m] > 0],
        lambda x, m, r, c: x[m][x[m] > 0],
    ),
}
GIVEN = {
    "some": (X > 0.3, X[:, 0] > 0, X[0] > 0),
    "all": (np.ones((4, 3), bool), np.ones(4, bool), np.ones(3, bool)),
    "none": (np.zeros((4, 3), bool), np.zeros(4, bool), np.zeros(3, bool)),
    "one": (X.max() == X, np.arange(4) == 2, np.arange(3) == 1),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("given", GIVEN)
def test_a_mask(name: str, given: str, device: str) -> None:
    """Values, gradients and both ways to write, against NumPy."""
    expression, expected = MASKS[name]
    x = T.dmatrix("x")
    masks = [T.tensor("bool", (False,) * m.ndim) for m in GIVEN[given]]
    chosen = expression(x, *masks)
    outputs = [chosen, T.grad(T.sum(T.exp(chosen)), x)]
    if name != "of a mask":  # which is an index of an index
        outputs += [T.set_subtensor(chosen, 7), T.inc_subtensor(chosen, 2 * chosen)]
    function = theano.function([x, *masks], outputs, on_unused_input="ignore")
    value, gradient, *written = function(X, *GIVEN[given])
    right = expected(X, *GIVEN[given])
    np.testing.assert_array_equal(value, right)
    assert value.shape == right.shape
    numbers = expected(np.arange(12).reshape(4, 3), *GIVEN[given])
    if name == "computed":
        numbers = np.arange(12).reshape(4, 3)[X > 0]
    if name == "of a mask":
        mask = GIVEN[given][0]
        numbers = np.arange(12).reshape(4, 3)[mask][X[mask] > 0]
    slopes = np.zeros(12)
    np.add.at(slopes, numbers.ravel(), np.exp(X.ravel()[numbers.ravel()]))
    np.testing.assert_allclose(gradient, slopes.reshape(4, 3), rtol=1e-12)
    if written:
        is_set, is_added = X.ravel().copy(), X.ravel().copy()
        is_set[numbers.ravel()] = 7
        is_added[numbers.ravel()] *= 3
        np.testing.assert_array_equal(written[0], is_set.reshape(4, 3))
        np.testing.assert_allclose(written[1], is_added.reshape(4, 3), rtol=1e-15)


@pytest.mark.parametrize("shape", [(4, 2), (3, 3), (0, 3), (5, 3)])
def test_a_mask_of_another_shape(shape: tuple[int, int], device: str) -> None:
    x, m, w = T.dmatrix("x"), T.tensor("bool", (False, False), "m"), theano.shared(0.0)
    function = theano.function([x, m], x[m], updates=[(w, w + 1)])
    message = rf"(?s)a mask of shape \({shape[0]}, {shape[1]}\).*test_segments.py"
    with pytest.raises(IndexOutOfRangeError, match=message):
        function(X, np.ones(shape, bool))
    assert w.get_value() == 0


def test_a_plan_per_number_of_elements(device: str) -> None:
    """Twenty masks with five different counts, and one plan for each count."""
    rng = np.random.default_rng(1)
    x, m = T.dvector("x"), T.tensor("bool", (False,), "m")
    function = theano.function([x, m], [T.sum(x[m]), x[m] * 2])
    counts = [0, 1, 2, 3, 5]
    for count in counts * 4:
        mask = rng.permutation(5) < count
        total, twice = function(V, mask)
        np.testing.assert_allclose(total, V[mask].sum())
        np.testing.assert_array_equal(twice, V[mask] * 2)
    assert len(function.plans) == len(counts)


def test_indices_of_elements(device: str) -> None:
    x = T.dmatrix("x")
    expressions = [
        *T.nonzero(x > 0),
        T.nonzero(x > 0, return_matrix=True),
        T.flatnonzero(x > 0),
        T.nonzero_values(T.maximum(x, 0)),
        T.compress([1, 0, 1], x, axis=1),
        T.compress(x[0] > 0, x, axis=1),
        T.extra_ops.unique(T.sgn(x)),
        *T.extra_ops.Unique(True, True, True)(T.sgn(x)),
        T.extra_ops.Unique(return_counts=True)(T.sgn(x))[1],
    ]
    expected = [
        *np.nonzero(X > 0),
        np.array(np.nonzero(X > 0)),
        np.flatnonzero(X > 0),
        X[X > 0],
        X[:, ::2],
        X[:, X[0] > 0],
        np.unique(np.sign(X)),
        *np.unique(np.sign(X), True, True, True),
        np.unique(np.sign(X), return_counts=True)[1],
    ]
    for result, right in zip(theano.function([x], expressions)(X), expected, strict=True):
        np.testing.assert_array_equal(result, right.reshape(result.shape))


@pytest.mark.parametrize("name", ["nonzero", "flatnonzero"])
def test_a_scalar_has_no_indices(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} takes an array with axes"):
        getattr(T, name)(T.dscalar())


@pytest.mark.parametrize("repeats", [[0, 2, 1, 3], [0, 0, 0, 0], [1, 1, 1, 1], [2]])
@pytest.mark.parametrize("is_symbolic", [True, False])
def test_repeats_of_each_element(repeats: list[int], is_symbolic: bool, device: str) -> None:
    x, r = T.dmatrix("x"), T.lvector("r")
    repeated = T.repeat(x, r if is_symbolic else repeats, axis=0)
    function = theano.function(
        [x, r], [repeated, T.grad(T.sum(repeated * repeated), x)], on_unused_input="ignore"
    )
    value, gradient = function(X, repeats)
    np.testing.assert_array_equal(value, np.repeat(X, repeats, 0))
    np.testing.assert_allclose(gradient, 2 * X * np.broadcast_to(repeats, 4)[:, None])


def test_wrong_repeats(device: str) -> None:
    x, r = T.dmatrix("x"), T.lvector("r")
    function = theano.function([x, r], T.repeat(x, r, axis=0))
    for wrong in ([1, 2], [1, 1, -1, 1]):
        with pytest.raises(ValueError, match=r"(?s)repeated_indices.*test_segments.py"):
            function(X, wrong)


@pytest.mark.parametrize(
    "bounds", [(1, 2, 0.25), (0, 1, 0.3), (2, -1, -0.5), (1, 0, 1), (-3, 2, 2)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_range_of_computed_floats(
    bounds: tuple[float, float, float], dtype: str, device: str
) -> None:
    a, b, c = (T.scalar(name, dtype) for name in "abc")
    numbers = T.arange(a, b, c)
    result, *slopes = theano.function([a, b, c], [numbers, *T.grad(T.sum(T.sqr(numbers)), [a, c])])(
        *bounds
    )
    expected = np.arange(*(np.dtype(dtype).type(v).item() for v in bounds)).astype(dtype)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == dtype
    steps = np.arange(len(expected))
    np.testing.assert_allclose(slopes, [2 * expected.sum(), (2 * expected * steps).sum()], 1e-5)


# --- what is passed on ----------------------------------------------------------------------------


def test_what_is_costly_is_computed_once(device: str) -> None:
    x = T.dmatrix("x")
    hidden = T.tanh(T.dot(x, x.T))
    function = theano.function([x], T.sum(T.exp(hidden)[hidden > 0]))
    expected = np.tanh(X @ X.T)
    np.testing.assert_allclose(function(X), np.exp(expected)[expected > 0].sum())
    first, second = function.plan.plans
    assert [call.kernel for call in first.calls].count("gemm") == 1
    assert [call.kernel for call in second.calls].count("gemm") == 0


def test_stable_forms_reach_across_a_cut(device: str) -> None:
    """log(softmax) is made stable before the graph is cut between the two."""
    x = T.dmatrix("x")
    p = T.nnet.softmax(x)
    function = theano.function([x], [T.log(p)[p < 0.5], T.grad(T.mean(T.log(p)[p < 0.5]), x)])
    value, gradient = function([[0.0, 2000, 1000]])
    np.testing.assert_array_equal(value, [-2000, -1000])
    np.testing.assert_allclose(gradient, [[0.5, -1, 0.5]])


def test_draws_are_the_same_in_every_segment(device: str) -> None:
    def build() -> tuple[Any, Any]:
        u = RandomStreams(3).uniform((20,), dtype="float64")
        return u, theano.function([], [u, u[u > 0.5]])

    _, function = build()
    u, _ = build()
    plain = theano.function([], u)
    for _ in range(3):
        whole, chosen = function()
        np.testing.assert_array_equal(chosen, whole[whole > 0.5])
        np.testing.assert_array_equal(whole, plain())


# --- updates, outputs, states ---------------------------------------------------------------------


def test_updates_that_depend_on_masks(device: str) -> None:
    x, m = T.dmatrix("x"), T.tensor("bool", (False,), "m")
    w = theano.shared(np.zeros((4, 3)), "w")
    n, kept = theano.shared(np.int64(0)), theano.shared(np.zeros((0, 3)))
    updates = [(w, T.inc_subtensor(w[m], x[m])), (n, n + T.sum(m)), (kept, x[m])]
    function = theano.function([x, m], w.sum(), updates=updates)
    expected, count = np.zeros((4, 3)), 0
    for mask in GIVEN.values():
        np.testing.assert_allclose(function(X, mask[1]), expected.sum())
        expected[mask[1]] += X[mask[1]]
        count += mask[1].sum()
        np.testing.assert_allclose(w.get_value(), expected)
        np.testing.assert_array_equal(kept.get_value(), X[mask[1]])
        assert n.get_value() == count


def test_a_shared_variable_as_mask_and_length(device: str) -> None:
    m, s = theano.shared(np.array([True, False, True, False, True])), theano.shared(np.array([2]))
    x = T.dvector("x")
    function = theano.function([x], [x[m], T.zeros(s[0])], updates=[(m, T.invert(m)), (s, s + 1)])
    for mask, n in (([0, 2, 4], 2), ([1, 3], 3)):
        chosen, zeros = function(V)
        np.testing.assert_array_equal(chosen, V[mask])
        assert zeros.shape == (n,)


def test_inputs_that_keep_a_value_and_borrowed_outputs(device: str) -> None:
    x, total = T.dvector("x"), T.dscalar("total")
    chosen = x[x > 0]
    state = theano.In(total, value=0.0, update=total + T.sum(chosen))
    function = theano.function([x, state], {"all": total, "chosen": Out(chosen, borrow=True)})
    first = function(V)
    second = function(V)
    assert second["all"] == 9 == V[V > 0].sum()
    assert second["chosen"] is first["chosen"]
    assert function["total"] == 18
    with pytest.raises(GraphTypeError):
        function("no vector", 3.0)
    assert function["total"] == 18


def test_a_copy_and_freed_plans(device: str) -> None:
    x, w = T.dvector("x"), theano.shared(1.0)
    function = theano.function([x], x[x > 0] * w, updates=[(w, w + 1)])
    copy = function.copy(delete_updates=True)
    np.testing.assert_array_equal(function(V), V[V > 0])
    np.testing.assert_array_equal(copy(V), 2 * V[V > 0])
    function.free()
    assert function.plans == []
    np.testing.assert_array_equal(function(V), 2 * V[V > 0])


# --- plans ----------------------------------------------------------------------------------------


def test_the_plan_shows_all_segments(device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], x[T.sqrt(abs(x)) > 1])
    with pytest.raises(ValueError, match="no plan before its first call"):
        function.plan  # noqa: B018
    function(V)
    plan = function.plan
    assert isinstance(plan, SegmentedPlan)
    assert len(plan.plans) == len(function.plans) == 2
    text = str(plan)
    assert text.count("total: ") == 2
    assert "segment 1 of 2: plan for" in text
    assert "segment 2 of 2: plan for" in text
    assert "from test_segments.py:" in text
    assert len(plan.calls) == sum(len(p.calls) for p in plan.plans)
    assert plan.flops == sum(p.flops for p in plan.plans)
    assert plan.nbytes == sum(p.nbytes for p in plan.plans)
    assert plan.arena_bytes == max(p.arena_bytes for p in plan.plans)


def test_what_debug_prints(capfd: pytest.CaptureFixture[str]) -> None:
    x = T.dvector("x")
    function = theano.function([x], x[x * 2 > 1], name="choose")
    theano.config.debug = 4
    function(V)
    text = capfd.readouterr().err
    assert "plan of choose, segment 1: " in text
    assert "plan of choose, segment 2: " in text
    assert text.count("test_segments.py") >= 2


def test_a_function_without_cuts_stays_one_plan(device: str) -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    function = theano.function([x, i], x[i : i + 2])
    function(V, 1)
    assert not isinstance(function.plan, SegmentedPlan)
    assert function._cache.segments is None


# --- threads and forks ----------------------------------------------------------------------------


def test_threads_take_turns(device: str) -> None:
    """A step sees whole steps only, also between its segments."""
    w, x = theano.shared(np.zeros(5)), T.dvector("x")
    grow = theano.function([x], T.sum(w[w >= T.min(w)]), updates=[(w, w + T.sum(x[x > 0]))])
    with ThreadPoolExecutor(4) as pool:
        sums = list(pool.map(lambda _: float(grow(V)), range(40)))
    assert sorted(sums) == [45.0 * k for k in range(40)]
    np.testing.assert_array_equal(w.get_value(), np.full(5, 360.0))


def test_a_forked_child_goes_on(device: str) -> None:
    x, w = T.dvector("x"), theano.shared(0.0)
    function = theano.function([x], x[x > w], updates=[(w, w + 1)])
    function(V)
    child = os.fork()
    if child == 0:
        os._exit(0 if function(V).tolist() == [3, 2, 4] and w.get_value() == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(function(V), [3, 2, 4])


def test_host_ops_cannot_change_their_arguments(device: str) -> None:
    x: NDArray[Any] = V.copy()
    s = theano.shared(x)
    theano.function([], s[s > 0])()
    np.testing.assert_array_equal(s.get_value(), V)
    s.set_value(x * 2)  # its array is writeable as before
    np.testing.assert_array_equal(s.get_value(), 2 * V)


def test_profiles_and_drawings_have_all_segments(device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], T.sum(x[x * 2 > 1]), name="choose")
    profile = function.profile(V, repeats=3)
    assert isinstance(profile, SegmentedProfile)
    assert [p.name for p in profile.segments] == ["choose, segment 1", "choose, segment 2"]
    assert [p.steps for p in profile.segments] == [3, 3]
    assert profile.step_seconds > 0
    text = str(profile)
    assert text.count("the lines of the program that the calls come from:") == 2
    assert "not timed call by call" not in text
    assert "a whole call of choose" in text
    drawing = theano.printing.dot(function)
    assert drawing.count("subgraph cluster_") == 2
    assert drawing == theano.printing.dot(function.plan)
    assert drawing.count("{") == drawing.count("}")


def test_no_plan_ahead_of_values() -> None:
    x = T.dvector("x")
    function = theano.function([x], x[x > 0])
    with pytest.raises(ValuesNeededError):
        function.plan_for(V)
    prepare([(function, [V])])
    np.testing.assert_array_equal(function(V), V[V > 0])
