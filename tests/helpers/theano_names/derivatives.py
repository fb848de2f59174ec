"""Facts about the module of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate
from helpers.theano_names.case import fact

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import gradient

_rng = np.random.default_rng(8)
V, W, U = (_rng.normal(size=3) for _ in range(3))


def parts() -> tuple[Any, Any]:
    return T.dvector("x"), T.dvector("w")


@fact("grad gradient.grad tensor.grad")
def gradients(device: str) -> None:
    x, w = parts()
    cost = T.sum(x * w**2)
    gx, gw = theano.grad(cost, [x, w])
    np.testing.assert_allclose(evaluate(device, [x, w], gx, V, W), W**2)
    np.testing.assert_allclose(evaluate(device, [x, w], gw, V, W), 2 * V * W)
    assert isinstance(T.grad(cost, (x, w)), tuple)
    weighted = x * w
    pulled = gradient.grad(None, w, None, "raise", True, {weighted: T.constant(U)}, "zero", "raise")
    np.testing.assert_allclose(evaluate(device, [x], pulled, V), U * V)
    held = gradient.grad(
        T.sum(weighted**2), w, consider_constant=[weighted], disconnected_inputs="ignore"
    )
    np.testing.assert_array_equal(
        evaluate(device, [x, w], held, V, W, on_unused_input="ignore"), np.zeros(3)
    )
    other = T.dvector()
    assert (
        gradient.grad(cost, other, disconnected_inputs="ignore", return_disconnected="None") is None
    )


@fact("gradient.DisconnectedInputError")
def disconnected_inputs(device: str) -> None:
    x, w = parts()
    with pytest.raises(gradient.DisconnectedInputError):
        theano.grad(x.sum(), w)
    assert issubclass(gradient.DisconnectedInputError, ValueError)


@fact("gradient.DisconnectedType gradient.disconnected_type")
def the_type_of_disconnected_gradients(device: str) -> None:
    x, w = parts()
    g = theano.grad(x.sum(), w, disconnected_inputs="ignore", return_disconnected="Disconnected")
    assert isinstance(g.type, gradient.DisconnectedType)
    assert isinstance(gradient.disconnected_type().type, gradient.DisconnectedType)


@fact("gradient.NullTypeGradError gradient.grad_undefined gradient.grad_not_implemented")
def undefined_gradients(device: str) -> None:
    x, _ = parts()
    for make in (gradient.grad_undefined, gradient.grad_not_implemented):
        y = T.exp(x)
        missing = make(T.exp, 0, x, comment="no reason")
        with pytest.raises(gradient.NullTypeGradError, match="no reason"):
            theano.grad(None, x, known_grads={y: missing})


@fact("Lop gradient.Lop tensor.Lop")
def products_from_the_left(device: str) -> None:
    x, w = parts()
    product = theano.Lop(x**2 * w, [x, w], T.constant(U), None, "raise")
    values = evaluate(device, [x, w], product, V, W)
    np.testing.assert_allclose(values, [2 * V * W * U, V**2 * U])


@fact("Rop gradient.Rop tensor.Rop")
def products_from_the_right(device: str) -> None:
    x, w = parts()
    product = theano.Rop(f=x**2 * w, wrt=[x, w], eval_points=[T.constant(U), T.constant(V)])
    np.testing.assert_allclose(evaluate(device, [x, w], product, V, W), 2 * V * W * U + V**3)


@fact("gradient.jacobian tensor.jacobian")
def jacobians(device: str) -> None:
    x, w = parts()
    jx, jw = gradient.jacobian(expression=x**2 * w, wrt=[x, w], consider_constant=None)
    np.testing.assert_allclose(evaluate(device, [x, w], jx, V, W), np.diag(2 * V * W))
    np.testing.assert_allclose(
        evaluate(device, [x, w], jw, V, W, on_unused_input="ignore"), np.diag(V**2)
    )


@fact("gradient.hessian tensor.hessian")
def hessians(device: str) -> None:
    x, _ = parts()
    second = gradient.hessian(cost=T.sum(x) ** 2 + T.sum(x**3), wrt=x, disconnected_inputs="raise")
    expected = np.diag(6 * V) + 2
    np.testing.assert_allclose(evaluate(device, [x], second, V), expected)


@fact("gradient.verify_grad gradient.GradientError tensor.verify_grad")
def gradients_are_verified(device: str) -> None:
    rng = np.random.default_rng(0)
    gradient.verify_grad(lambda x, w: T.exp(x) * w, [V, W], n_tests=1, rng=rng, eps=1e-7)
    with pytest.raises(gradient.GradientError):
        gradient.verify_grad(lambda x: gradient.grad_scale(x, 2), [V], rng=rng)


@fact("gradient.numeric_grad tensor.numeric_grad")
def numeric_gradients(device: str) -> None:
    numeric = gradient.numeric_grad(lambda x: np.sum(x**2), [V], eps=1e-7, out_type="float64")
    np.testing.assert_allclose(numeric.gf[0], 2 * V, rtol=1e-5)
    absolute, relative = numeric.abs_rel_err(np.array(1.0), np.array(1.1))
    np.testing.assert_allclose([absolute, relative], [0.1, 0.1 / 2.1])


@fact("subgraph_grad gradient.subgraph_grad")
def gradients_part_by_part(device: str) -> None:
    x, w = parts()
    hidden = x * w
    cost = T.sum(hidden**2)
    of_none, of_hidden = theano.subgraph_grad([], [hidden], cost=cost)
    assert of_none == []
    start = dict(zip([hidden], of_hidden, strict=True))
    (gw,), (gx,) = theano.subgraph_grad(wrt=[w], end=[x], start=start, details=False)
    np.testing.assert_allclose(evaluate(device, [x, w], gw, V, W), 2 * V**2 * W)
    np.testing.assert_allclose(evaluate(device, [x, w], gx, V, W), 2 * V * W**2)


@fact(
    "gradient.consider_constant tensor.consider_constant gradient.disconnected_grad "
    "gradient.zero_grad gradient.grad_clip gradient.grad_scale"
)
def changed_gradients(device: str) -> None:
    x, _ = parts()
    cases: list[tuple[Any, tuple[float, ...], Any]] = [
        (gradient.consider_constant, (), 0 * V),
        (gradient.zero_grad, (), 0 * V),
        (gradient.disconnected_grad, (), 0 * V),
        (gradient.grad_clip, (-0.5, 0.5), np.clip(3 * V**2, -0.5, 0.5)),
        (gradient.grad_scale, (-2.0,), -6 * V**2),
    ]
    for function, arguments, slope in cases:
        y = function(x, *arguments)
        g = theano.grad(T.sum(y * T.constant(3 * V**2)), x, disconnected_inputs="ignore")
        value, result = evaluate(device, [x], [y, g], V, on_unused_input="ignore")
        np.testing.assert_array_equal(value, V)
        np.testing.assert_allclose(result, slope)
    with pytest.raises(gradient.DisconnectedInputError):
        theano.grad(gradient.disconnected_grad(x).sum(), x)
