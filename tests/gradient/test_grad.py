"""The forms of `grad`: known gradients, names, and what is disconnected or undefined."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import gradient
from tinygrad_mnist.errors import ArgumentError, DisconnectedInputError, GraphTypeError
from tinygrad_mnist.graph.variables import Op

_rng = np.random.default_rng(3)


# --- known gradients ------------------------------------------------------------------------------


def power_of_a_term() -> tuple[list[Any], list[Any], list[list[Any]], Any]:
    """A cost with its inputs, their values, and its layers of variables from the cost backwards.

    One layer has an integer vector, and an integer that is its index.
    """
    c, t, x = T.dvector("c"), T.iscalar("t"), T.dscalar("x")
    exponents = T.arange(10)
    exponent, factor = exponents[t], c[t]
    power = x**exponent
    y = factor * power
    cost = T.sqr(y)
    layers = [[cost], [y], [factor, power], [factor, x, exponent], [c, t, exponents, x]]
    return [c, t, x], [_rng.normal(size=10), 4, 1.3], layers, cost


@pytest.mark.parametrize("number", range(5))
def test_known_gradients_of_any_layer(device: str, number: int) -> None:
    inputs, values, layers, cost = power_of_a_term()
    expected = T.grad(cost, inputs, disconnected_inputs="ignore")
    layer = layers[number]
    first = T.grad(cost, layer, disconnected_inputs="ignore")
    known = OrderedDict(zip(layer, first, strict=True))
    again = T.grad(None, inputs, disconnected_inputs="ignore", known_grads=known)
    results = evaluate(device, inputs, [*expected, *again], *values)
    for one, other in zip(results[:3], results[3:], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-12)
    assert np.any(results[0] != 0)


def test_known_gradients_take_the_place_of_computed_ones(device: str) -> None:
    x = T.dvector("x")
    hidden = T.exp(x)
    cost = T.sum(hidden**2)
    wanted = T.dvector("g")
    known = {hidden: wanted}
    by_x, by_hidden = T.grad(cost, [x, hidden], known_grads=known)
    values, g = np.array([0.5, 1.0]), np.array([3.0, -2.0])
    results = evaluate(device, [x, wanted], [by_x, by_hidden], values, g)
    np.testing.assert_allclose(results[0], g * np.exp(values))
    np.testing.assert_array_equal(results[1], g)
    scaled = T.grad(cost, x, known_grads={cost: np.float64(3)})
    np.testing.assert_allclose(evaluate(device, [x], scaled, values), 6 * np.exp(2 * values))


COSTS: list[Any] = [
    lambda x, y: x,
    lambda x, y: 2 * x,
    lambda x, y: x + y,
    lambda x, y: T.sum(T.stack([x, y])),
]


@pytest.mark.parametrize("wrt", ["an input", "the cost"])
@pytest.mark.parametrize("make", COSTS)
def test_inputs_of_which_only_the_cost_was_made(device: str, make: Any, wrt: str) -> None:
    """A gradient may need no value of them, but they are inputs of a function, as in Theano."""
    x, y = T.dscalars("x", "y")
    cost = make(x, y)
    gradient = T.grad(cost, x if wrt == "an input" else cost)
    inputs = [x] if make in COSTS[:2] else [x, y]
    slope = 2 if make is COSTS[1] and wrt == "an input" else 1
    assert theano.function(inputs, gradient)(*[3.0] * len(inputs)) == slope


def test_known_gradient_of_an_integer(device: str) -> None:
    i, g = T.iscalar("i"), T.dscalar("g")
    by_i = T.grad(None, i, known_grads={i: g})
    assert evaluate(device, [g], by_i, 0.6) == 0.6
    through = T.grad(None, i, known_grads={i * 2: g})
    assert evaluate(device, [i, g], through, 3, 0.6, on_unused_input="ignore") == 0


@pytest.mark.parametrize("given", ["float32", "float64", None])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_the_dtype_of_a_known_gradient(device: str, dtype: str, given: str | None) -> None:
    """A known gradient takes the dtype of the variable; that of an integer keeps its own."""
    x = T.vector("x", dtype)
    g: Any = 1 / 3 if given is None else T.vector("g", given)
    by_x = T.grad(None, x, known_grads={x: g})
    if dtype == "int32":
        assert by_x.dtype == given or given is None
    else:
        assert by_x.dtype == dtype
        assert T.grad(None, x, known_grads={x * x: g}).dtype == dtype


def test_several_known_gradients_of_which_one_leads_to_another(device: str) -> None:
    x = T.dscalar("x")
    a = T.log(1 + T.exp(x))
    b = a**2
    by_x = T.grad(None, x, known_grads={a: T.constant(np.float64(2)), b: 3.0})
    value = 0.7
    sigmoid = 1 / (1 + np.exp(-value))
    a_value = np.log1p(np.exp(value))
    # The gradient of a is the one that is known: nothing is added to it.
    assert evaluate(device, [x], by_x, value) == pytest.approx(2 * sigmoid)
    by_a = T.grad(None, [a, b], known_grads={b: 3.0})
    assert evaluate(device, [x], by_a, value) == pytest.approx([6 * a_value, 3])


def test_a_known_gradient_that_broadcasts(device: str) -> None:
    x, row = T.dmatrix("x"), T.drow("row")
    by_x = T.grad(None, x, known_grads={T.tanh(x): row})
    values, g = _rng.normal(size=(3, 2)), _rng.normal(size=(1, 2))
    result = evaluate(device, [x, row], by_x, values, g)
    np.testing.assert_allclose(result, g * (1 - np.tanh(values) ** 2))


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (lambda x: {x: T.ivector("g")}, "the known gradient of x, which is float64 vector"),
        (lambda x: {x: T.dmatrix("g")}, "is float64 matrix; it must be a float with as many"),
        (lambda x: {3: x}, "grad takes symbolic variables, not a int"),
        (lambda x: [x], "known_grads is"),
    ],
)
def test_wrong_known_gradients(known: Any, message: str) -> None:
    x = T.dvector("x")
    with pytest.raises(GraphTypeError, match=message):
        T.grad(None, x, known_grads=known(x))


# --- names ----------------------------------------------------------------------------------------


def test_names_of_gradients() -> None:
    x, w, unnamed = T.dscalar("x"), T.dscalar("w"), T.dscalar()
    cost = x**2 * w * unnamed
    assert [g.name for g in T.grad(cost, [x, w])] == [None, None]
    cost.name = "cost"
    gradients = T.grad(cost, [x, w, unnamed])
    assert [g.name for g in gradients] == ["(dcost/dx)", "(dcost/dw)", None]
    assert T.grad(cost, x, add_names=False).name is None


def test_a_users_variable_keeps_its_name() -> None:
    x, y, g = T.dscalar("x"), T.dscalar("y"), T.dscalar("mine")
    cost = x * y
    cost.name = "cost"
    T.grad(cost, [x, y])
    hidden = x.copy()
    assert (x.name, y.name, hidden.name) == ("x", "y", None)
    nameless = T.dscalar()
    assert T.grad(cost, x, known_grads={x: nameless}) is nameless
    assert nameless.name is None
    assert T.grad(cost, x, known_grads={x: g}).name == "mine"


def test_names_leave_plans_as_they_are() -> None:
    x, w = theano.shared(np.ones(3), "x"), theano.shared(np.ones(3), "w")
    listings = []
    for name in (None, "cost"):
        cost = T.sum(T.tanh(x * w) ** 2)
        cost.name = name
        step = theano.function([], cost, updates=[(w, w - 0.1 * T.grad(cost, w))])
        step()
        listings.append(str(step.plan))
    assert listings[0] == listings[1]


# --- what is disconnected or undefined ------------------------------------------------------------


def test_return_disconnected(device: str) -> None:
    x, w = T.dvector("x"), T.dvector("w")
    cost = T.sum(x)

    def by_w(form: str) -> Any:
        return T.grad(cost, [x, w], None, "ignore", return_disconnected=form)[1]

    np.testing.assert_array_equal(evaluate(device, [w], by_w("zero"), [1.0, 2.0]), [0, 0])
    assert by_w("none") is None
    assert by_w("None") is None
    assert isinstance(by_w("Disconnected").type, gradient.DisconnectedType)
    with pytest.raises(DisconnectedInputError):
        T.grad(cost, w, return_disconnected="none")
    with pytest.raises(ArgumentError, match="return_disconnected is 'nothing'"):
        by_w("nothing")


def test_a_cost_whose_gradient_is_disconnected() -> None:
    i, j = T.iscalar("i"), T.iscalar("j")
    cost = i + j
    known = {cost: gradient.DisconnectedType()()}
    with pytest.raises(DisconnectedInputError):
        T.grad(cost, [i, j], known_grads=known)


def test_an_expression_whose_gradient_is_disconnected(device: str) -> None:
    x = T.dscalar("x")
    hidden = T.exp(x)
    known = {hidden: gradient.DisconnectedType()()}
    by_x = T.grad(hidden * x, x, known_grads=known)
    assert evaluate(device, [x], by_x, 1.5) == pytest.approx(np.exp(1.5))
    for v in (x, hidden):
        with pytest.raises(DisconnectedInputError):
            T.grad(hidden * 2, v, known_grads=known)


@pytest.mark.parametrize("kind", [gradient.grad_undefined, gradient.grad_not_implemented])
def test_undefined_gradients(kind: Any) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    hidden = T.exp(x)
    known = {hidden: kind("my_op", 1, hidden, "it has a hole")}
    cost = hidden * 2 + x + y**2
    with pytest.raises(gradient.NullTypeGradError, match="input 1 of my_op: it has a hole"):
        T.grad(cost, x, known_grads=known)
    with pytest.raises(TypeError):
        T.grad(cost, [y, x], known_grads=known)
    by_x, by_y = T.grad(cost, [x, y], known_grads=known, null_gradients="return")
    assert isinstance(by_x.type, gradient.NullType)
    assert "it has a hole" in by_x.type.why_null
    assert by_y.type.is_float
    assert T.grad(cost, y, known_grads=known).type.is_float
    with pytest.raises(ArgumentError, match="null_gradients is 'zero'"):
        T.grad(cost, y, null_gradients="zero")


def test_a_cost_whose_gradient_is_undefined() -> None:
    for x in (T.dscalar("x"), T.iscalar("x")):
        cost = T.sqr(x * 2)
        known = {cost: gradient.NullType()()}
        with pytest.raises(gradient.NullTypeGradError, match="of x: no reason was given"):
            T.grad(cost, x, known_grads=known)


def test_types_of_gradients_that_are_no_values() -> None:
    disconnected, undefined = gradient.DisconnectedType(), gradient.NullType("why")
    assert str(disconnected) == disconnected.dtype == "disconnected"
    assert str(undefined) == undefined.dtype == "undefined"
    for type in (disconnected, undefined):
        assert (type.ndim, type.shape, type.broadcastable) == (0, (), ())
        assert not type.is_float
    assert disconnected == gradient.DisconnectedType() != undefined


def test_an_op_without_a_rule_has_no_gradient() -> None:
    """Unlike a step function, which says that its gradient is zero."""
    x = T.dscalar("x")
    op = Op("rootless", lambda params, types: list(types), None)
    cost = op(x) * 2
    with pytest.raises(gradient.NullTypeGradError, match="for input 0 of rootless"):
        T.grad(cost, x)
    with pytest.raises(gradient.NullTypeGradError, match="rootless"):
        T.Rop(cost, x, T.dscalar("v"))
    assert T.grad(cost, T.dscalar("y"), disconnected_inputs="ignore").type.is_float


@pytest.mark.parametrize("axis", [0, 1])
def test_gradients_of_any_op_broadcast_where_the_variable_does(device: str, axis: int) -> None:
    """Also where the op's own rule forgets it."""

    def vjp(node: Any, g: Any) -> list[Any]:
        return [T.unbroadcast(g * 3, axis)]

    op = Op("plain", lambda params, types: list(types), lambda node, values: [values[0]], vjp=vjp)
    x = T.tensor("float64", [k == axis for k in range(2)])
    y = op(x)
    gradient = T.grad(T.sum(y * T.dmatrix("other")), x)
    assert gradient.broadcastable == x.broadcastable
