"""`ifelse`: values, gradients, what is not computed, and wrong arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import DisconnectedInputError, GraphTypeError
from tinygrad_mnist.ifelse import IfElse, ifelse
from tinygrad_mnist.tensor import nlinalg
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

V = np.array([1.0, 2, 3])


@pytest.mark.parametrize("make", [T.dscalar, T.lscalar, T.bscalar, T.fscalar])
@pytest.mark.parametrize("value", [0, 1, 2, -1])
def test_the_condition_is_a_number(make: Callable[[], Any], value: int, device: str) -> None:
    c, x = make(), T.dvector("x")
    function = theano.function([c, x], ifelse(c, x * 2, x[:1]))
    np.testing.assert_array_equal(function(value, V), V * 2 if value else V[:1])
    np.testing.assert_array_equal(function(1 - bool(value), V), V[:1] if value else V * 2)


def test_a_plan_for_the_condition_and_one_for_each_branch(device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], ifelse(T.sum(x) > 0, T.exp(x), T.sqr(x)))
    for value in (V, -V, V, -V):
        expected = np.exp(value) if value[0] > 0 else value**2
        np.testing.assert_allclose(function(value), expected, rtol=1e-14)
    assert len(function.plans) == 3


WRONG: dict[str, Callable[[Any], Any]] = {
    "an index": lambda x: x[T.argmax(x) + 99],
    "a singular matrix": lambda x: T.sum(nlinalg.matrix_inverse(T.zeros_like(T.outer(x, x)))),
    "a shape": lambda x: T.sum(x.reshape((7, 7))),
    "a length": lambda x: T.sum(T.zeros(T.cast(-T.sum(x), "int64"))),
    "a mask": lambda x: T.sum(x[T.zeros((9,)) > 0]),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_branch_that_is_not_taken_does_not_run(name: str, device: str) -> None:
    c, x = T.dscalar("c"), T.dvector("x")
    wrong = T.cast(WRONG[name](x), "float64")
    for there in (True, False):
        branches = (wrong, x.sum()) if there else (x.sum(), wrong)
        y = ifelse(c > 0, *branches)
        function = theano.function([c, x], [y, T.grad(y, x)])
        for _ in range(2):
            value, gradient = function(-1 if there else 1, V)
            assert value == 6
            np.testing.assert_array_equal(gradient, np.ones(3))
            with pytest.raises((ValueError, IndexError), match=r"(?s)made at .*test_ifelse.py"):
                function(1 if there else -1, V)


SLOPES = {  # expressions whose slopes at 0 are infinite or NaN
    "log": T.log,
    "sqrt": T.sqrt,
    "quotient": lambda w: w / w,
    "power": lambda w: w**-0.5,
    "product": lambda w: T.log(w) * T.exp(1 / w),
    "dot": lambda w: T.dot(T.log(w), T.dot(T.log(w).dimshuffle(0, "x"), T.ones((1, 3)))),
    "max": lambda w: T.max(1 / w),
}


@pytest.mark.parametrize("name", SLOPES)
def test_a_nan_in_the_other_branch_never_matters(name: str, device: str) -> None:
    """The dangerous expression is in one branch, in both of two choices, and beside them."""
    c, w = T.dscalar("c"), T.dvector("w")
    bad = SLOPES[name](w)
    first = ifelse(c > 0, T.sum(bad), T.sum(w))
    second = ifelse(c > 0, T.sum(bad * 2), T.sum(w * w))
    cost = first + second + ifelse(c > 0, T.sum(bad), 0.0)
    value, gradient = theano.function([c, w], [cost, T.grad(cost, w)])(-1, np.zeros(3))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.ones(3))


def test_gradients_of_both_branches(device: str) -> None:
    c, x, w, b = T.dscalar("c"), T.dvector("x"), T.dvector("w"), T.dscalar("b")
    y = ifelse(c > 0, T.sum(T.exp(w * x)), T.sum(w + b) ** 2) * b
    function = theano.function([c, x, w, b], T.grad(y, [w, x, b]))
    of_w, of_x, of_b = function(1, V, V / 3, 2)
    e = np.exp(V * V / 3)
    np.testing.assert_allclose(of_w, 2 * e * V)
    np.testing.assert_allclose(of_x, 2 * e * V / 3)
    np.testing.assert_allclose(of_b, e.sum())
    of_w, of_x, of_b = function(0, V, V / 3, 2)
    total = (V / 3 + 2).sum()
    np.testing.assert_allclose(of_w, np.full(3, 4 * total))
    np.testing.assert_array_equal(of_x, np.zeros(3))
    np.testing.assert_allclose(of_b, total**2 + 2 * 2 * total * 3)


def test_several_known_gradients_behind_a_choice(device: str) -> None:
    """The gradient is that of a weighted sum of the values whose gradients are known."""
    c, w, g = T.dscalar("c"), T.dvector("w"), T.dvector("g")
    values = [ifelse(c > 0, T.exp(w), w * 3), w**2, ifelse(c > 1, w, -w)]
    known = dict(zip(values, (g, g + 1, g * 2), strict=True))
    function = theano.function([c, w, g], T.grad(None, w, known_grads=known))
    for chosen, first, last in ((2, np.exp(V), 1), (1, np.exp(V), -1), (0, 3, -1)):
        expected = V * first + (V + 1) * 2 * V + 2 * V * last
        np.testing.assert_allclose(function(chosen, V, V), expected)


def test_gradients_of_gradients(device: str) -> None:
    c, x = T.dscalar("c"), T.dvector("x")
    slope = T.grad(ifelse(c > 0, T.sum(x**3), T.sum(x**2)), x)
    curvature = T.grad(T.sum(T.sqr(slope)), x)
    function = theano.function([c, x], curvature)
    np.testing.assert_allclose(function(1, V), 36 * V**3)
    np.testing.assert_allclose(function(0, V), 8 * V)


def test_a_gradient_with_respect_to_what_a_branch_gives(device: str) -> None:
    c, x = T.dscalar("c"), T.dvector("x")
    h = T.tanh(x)
    y = ifelse(c > 0, h * 3, x)
    function = theano.function([c, x], T.grad(T.sum(y * y), [y, h], disconnected_inputs="ignore"))
    of_y, of_h = function(1, V)
    np.testing.assert_allclose(of_y, 6 * np.tanh(V))
    np.testing.assert_allclose(of_h, 18 * np.tanh(V))
    of_y, of_h = function(0, V)
    np.testing.assert_allclose(of_y, 2 * V)
    np.testing.assert_array_equal(of_h, np.zeros(3))


def test_a_branch_that_the_cost_reads_elsewhere_too(device: str) -> None:
    """The gradient is of what `ifelse` gives alone, not of the variable that it happens to be."""
    c, w, v = T.dscalar("c"), T.dvector("w"), T.dvector("v")
    y = ifelse(c > 0, w, v)
    cost = T.sum(y * w * w)
    outputs = [*T.grad(cost, [y, w, v]), T.grad(cost, w, consider_constant=[y])]
    function = theano.function([c, w, v], outputs)
    of_y, of_w, of_v, of_the_rest = function(1, V, V + 1)
    for result, expected in ((of_y, V**2), (of_w, 3 * V**2), (of_v, 0 * V)):
        np.testing.assert_allclose(result, expected)
    np.testing.assert_allclose(of_the_rest, 2 * V**2)
    of_y, of_w, of_v, of_the_rest = function(0, V, V + 1)
    for result, expected in ((of_y, V**2), (of_w, 2 * V * (V + 1)), (of_v, V**2)):
        np.testing.assert_allclose(result, expected)
    np.testing.assert_allclose(of_the_rest, 2 * V * (V + 1))


def test_a_variable_between_two_choices(device: str) -> None:
    """It depends on one choice, and the other one and the cost depend on it."""
    c, d, x = T.dscalar("c"), T.dscalar("d"), T.dvector("x")
    h = ifelse(c > 0, x, x * 2) * x
    cost = T.sum(ifelse(d > 0, T.sqr(h), x) * h)
    function = theano.function([c, d, x], T.grad(cost, [h, x]))
    for first, second in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        k = 1 if first else 2
        of_h, of_x = function(first, second, V)
        value = k * V**2
        np.testing.assert_allclose(of_h, 3 * value**2 if second else V)
        slope = 3 * value**2 * 2 * k * V if second else 3 * k * V**2
        np.testing.assert_allclose(of_x, slope)


def test_a_given_that_the_cost_reads_elsewhere_too(device: str) -> None:
    """A gradient is taken before the givens are applied, with `ifelse` as without it."""
    c, x, z = T.dscalar("c"), T.dvector("x"), T.dvector("z")
    for cost in (T.sum(x * x * z), T.sum(ifelse(c > 0, x, z) * x * z)):
        function = theano.function([c, z], T.grad(cost, x), givens={x: z}, on_unused_input="ignore")
        np.testing.assert_allclose(function(1, V), 2 * V**2)


def test_variables_that_count_as_constant_and_disconnected_ones() -> None:
    c, x, w = T.dscalar("c"), T.dvector("x"), T.dvector("w")
    h = x * x
    cost = T.sum(ifelse(c > 0, h * x, x))
    with pytest.raises(DisconnectedInputError):
        T.grad(cost, w)
    gradient = T.grad(cost, x, consider_constant=[h])
    np.testing.assert_array_equal(theano.function([c, x], gradient)(1, V), V * V)


def test_nested_choices(device: str) -> None:
    a, b, x = T.dscalar("a"), T.dscalar("b"), T.dvector("x")
    inner = ifelse(b > 0, x * 2, T.log(-x))
    y = ifelse(a > 0, inner + 1, ifelse(b > 0, x[x > 1.5], inner[:1]))
    function = theano.function([a, b, x], [y, T.grad(T.sum(y), x)])
    for signs, value, gradient in [
        ((1, 1), V * 2 + 1, [2, 2, 2]),
        ((0, 1), V[1:], [0, 1, 1]),
    ]:
        result, slopes = function(*signs, V)
        np.testing.assert_allclose(result, value)
        np.testing.assert_array_equal(slopes, gradient)
    result, slopes = function(0, 0, -V)
    np.testing.assert_allclose(result, [0])
    np.testing.assert_allclose(slopes, [-1, 0, 0])


def test_host_ops_beside_a_choice(device: str) -> None:
    """Their results are known before the gradient is taken through them."""
    c, a = T.dscalar("c"), T.dmatrix("a")
    det = nlinalg.det(a)
    cost = det * ifelse(c > det, T.sum(a[a > 0]), T.sum(a)) ** 2
    function = theano.function([c, a], [cost, T.grad(cost, a)])
    value = np.array([[2.0, -1], [0.5, 3]])
    inverse = np.linalg.inv(value)
    for condition, chosen in ((9, value > 0), (1, np.ones((2, 2), bool))):
        total, area = value[chosen].sum(), np.linalg.det(value)
        result, gradient = function(condition, value)
        np.testing.assert_allclose(result, area * total**2)
        expected = area * inverse.T * total**2 + area * 2 * total * chosen
        np.testing.assert_allclose(gradient, expected)


def test_branches_are_kept_up_to_a_limit() -> None:
    theano.config.plan_cache_size = 3
    c, x = T.dvector("c"), T.dvector("x")
    y = sum((ifelse(c[i] > 0, x * i, T.exp(x) * i) for i in range(4)), x)
    function = theano.function([c, x], y)
    for number in range(16):
        bits = np.array([number >> i & 1 for i in range(4)])
        expected = V + sum((V if bit else np.exp(V)) * i for i, bit in enumerate(bits))
        np.testing.assert_allclose(function(bits, V), expected)
    assert len(function.plans) == 1 + 3


@pytest.mark.parametrize("kind", [list, tuple])
def test_several_results(kind: Callable[[Any], Any], device: str) -> None:
    c, x = T.dscalar("c"), T.dvector("x")
    results = ifelse(c > 0, kind([x, T.sum(x), 1]), kind([x[:1], 0.5, x.shape[0] * 0 + 2]))
    assert isinstance(results, kind)  # type: ignore[arg-type]
    first, second, third = results
    assert (first.ndim, second.ndim, third.dtype) == (1, 0, "int64")
    function = theano.function([c, x], [first, T.grad(T.sum(first) * second, x)])
    value, gradient = function(1, V)
    np.testing.assert_array_equal(value, V)
    np.testing.assert_array_equal(gradient, np.full(3, 12))
    value, gradient = function(0, V)
    np.testing.assert_array_equal(value, V[:1])
    np.testing.assert_array_equal(gradient, [0.5, 0, 0])
    assert ifelse(c, kind([]), kind([])) == kind([])
    (one,) = ifelse(c, kind([x]), kind([x]))
    assert one.ndim == 1


def test_updates_and_a_sweep(device: str) -> None:
    """A rate that is halved when a count reaches a limit, step by step and in a sweep."""

    def build() -> tuple[theano.Function, Any, Any]:
        rate, count, x = theano.shared(1.0), theano.shared(np.int64(0)), T.dscalar("x")
        is_time = T.eq(count % 3, 2)
        updates = [(rate, ifelse(is_time, rate / 2, rate)), (count, count + 1)]
        return theano.function([x], rate * x, updates=updates), rate, count

    one, rate, count = build()
    steps = np.arange(10.0)
    expected = [one(x) for x in steps]
    np.testing.assert_allclose(expected, steps * 0.5 ** (np.arange(10) // 3))
    other, other_rate, other_count = build()
    np.testing.assert_array_equal(other.sweep(steps), expected)
    assert (rate.get_value(), count.get_value()) == (
        other_rate.get_value(),
        other_count.get_value(),
    )
    assert len(other.plans) == 3


def test_givens_random_draws_and_axes_that_broadcast(device: str) -> None:
    c, x = T.dscalar("c"), T.dvector("x")
    u = RandomStreams(7).uniform((3,), dtype="float64")
    y = ifelse(c > 0, x + u, x * 1)
    plain = theano.function([], RandomStreams(7).uniform((3,), dtype="float64"))
    function = theano.function([c], y, givens={x: theano.shared(V)})
    np.testing.assert_array_equal(function(1), V + plain())
    np.testing.assert_array_equal(function(0), V)
    np.testing.assert_array_equal(function(1), V + [plain(), plain()][1])
    row, m = T.drow("r"), T.dmatrix("m")
    z = ifelse(c > 0, row, m)
    assert z.broadcastable == (False, False)
    choose = theano.function([c, row, m], [z, *T.grad(T.sum(z * z), [row, m])])
    for value, result in zip((1, 0), (V[None], np.ones((2, 3))), strict=True):
        chosen, *slopes = choose(value, V[None], np.ones((2, 3)))
        np.testing.assert_array_equal(chosen, result)
        np.testing.assert_array_equal(slopes[1 - value], 2 * result)
        np.testing.assert_array_equal(slopes[value], 0 * slopes[value])


def test_the_op(device: str) -> None:
    c, x = T.dscalar("c"), T.dvector("x")
    one = IfElse(1)(c, x, x * 2)
    first, second = IfElse(2, name="both")(c, x, x * 2, x * 3, x * 4)
    assert first.name == "both.0"
    function = theano.function([c, x], [one, first, second])
    np.testing.assert_array_equal(function(1, V), [V, V, 2 * V])
    np.testing.assert_array_equal(function(0, V), [2 * V, 3 * V, 4 * V])
    with pytest.raises(ValueError, match="2 results takes 4 expressions, not 3"):
        IfElse(2)(c, x, x, x)


def test_numbers_and_constants() -> None:
    c, x = T.dscalar("c"), T.fscalar("x")
    assert ifelse(c, x, 0.5).dtype == ifelse(c, 1, x).dtype == "float32"
    assert ifelse(c, x, 1).dtype == "float32"
    assert ifelse(c, T.lscalar(), 1).dtype == "int64"
    assert ifelse(True, x, c) is x if x.dtype == c.dtype else True
    assert ifelse(1, x, 2.0) is x
    assert ifelse(c, x, x, name="chosen").name == "chosen"
    assert [v.name for v in ifelse(c, [x, x], [x, x], name="of")] == ["of.0", "of.1"]


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda c, x: ifelse(x, x, x), TypeError, "`x` is a float64 vector; the condition"),
        (lambda c, x: ifelse(c, x, c), TypeError, "have different types, float64 vector and"),
        (lambda c, x: ifelse(c, x, T.fvector()), TypeError, "have different types"),
        (lambda c, x: ifelse(c, T.lscalar(), 0.5), TypeError, "have different types"),
        (lambda c, x: ifelse(c, [x], x), TypeError, "a list or tuple, the other is one"),
        (lambda c, x: ifelse(c, [x], [x, x]), ValueError, "have 1 and 2 expressions"),
        (lambda c, x: ifelse(c, x, x, name=3), TypeError, "the name of an ifelse is text"),
    ],
)
def test_wrong_arguments(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        make(T.dscalar("c"), T.dvector("x"))
    assert isinstance(caught.value, GraphTypeError)


def test_a_gradient_that_waits_for_what_the_host_computes(device: str) -> None:
    """The condition of one choice is a determinant, that of the next is the first one's result."""
    a, v = T.dmatrix("a"), T.dscalar("v")
    det = T.nlinalg.det(a)
    first = ifelse(det > 0, v * 2, v)
    second = ifelse(first > 0, T.sin(first), first * 3)
    compute = theano.function([a, v], [second, T.grad(second, v)])
    for matrix, value in ((np.eye(2) * 2, 3.0), (-np.eye(3), 3.0), (np.eye(2), -1.0)):
        inner = (2 if np.linalg.det(matrix) > 0 else 1) * value
        slope = inner / value * (np.cos(inner) if inner > 0 else 3)
        right = [np.sin(inner) if inner > 0 else inner * 3, slope]
        np.testing.assert_allclose(compute(matrix, value), right, rtol=1e-12)


def test_an_inverse_that_is_chosen(device: str) -> None:
    a = T.dmatrix("a")
    chosen = ifelse(T.nlinalg.det(a) > 0, T.nlinalg.matrix_inverse(a), a)
    scaled = ifelse(chosen.sum() > 0, T.nlinalg.det(chosen) * chosen, chosen)
    compute = theano.function([a], [scaled.sum(), T.grad(scaled.sum(), a)])
    matrix = np.array([[2.0, 0.5], [0.25, 1.0]])
    value, gradient = compute(matrix)

    def at(m: Any) -> float:
        inverse = np.linalg.inv(m)
        return float((np.linalg.det(inverse) * inverse).sum())

    assert value == pytest.approx(at(matrix))
    direction = np.array([[0.3, -0.2], [0.1, 0.4]])
    slope = (at(matrix + 1e-6 * direction) - at(matrix - 1e-6 * direction)) / 2e-6
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-6)
