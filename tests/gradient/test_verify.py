"""`verify_grad` accepts right gradients and refuses wrong ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import gradient
from tinygrad_mnist.errors import GraphTypeError

RNG = np.random.RandomState


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", ["reference", "cpu"])
def test_right_gradients(device: str, dtype: str) -> None:
    a, b = (RNG(1).rand(*shape).astype(dtype) for shape in ((3, 2), (2,)))
    with making_functions_for(device):
        T.verify_grad(lambda x, y: T.tanh(T.dot(x, y)), [a, b], rng=RNG(2))
        T.verify_grad(T.exp, [a], rng=np.random.default_rng(2))
        T.verify_grad(T.exp, (a,), n_tests=3, rng=RNG(2), cast_to_output_type=True)
        T.verify_grad(lambda x: T.sum(x) ** 2, [a], rng=RNG(2), mode="FAST_RUN")
        T.verify_grad(lambda x: x * 0, [np.zeros((0, 2), dtype)], rng=RNG(2))
        T.verify_grad(lambda x: x[0] * x, [np.float64(2) * np.ones(1)], rng=RNG(2))


def scaled_wrongly(x: Any) -> Any:
    return gradient.grad_scale(x, 1.1) ** 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wrong_gradients(dtype: str) -> None:
    values = np.array([[0.0, 3.0], [1.0, 2.0]], dtype)
    with pytest.raises(gradient.GradientError) as caught:
        T.verify_grad(scaled_wrongly, [values], rng=RNG(2))
    error = caught.value
    assert (error.arg, error.shape) == (0, (2, 2))
    assert error.val1 == pytest.approx(1.1 * error.val2, rel=1e-2)
    assert "the gradient of argument 0 at (" in str(error)
    assert T.verify_grad.E_grad is gradient.GradientError
    T.verify_grad(scaled_wrongly, [values], rng=RNG(2), rel_tol=0.2)
    T.verify_grad(scaled_wrongly, [values], rng=RNG(2), abs_tol=2.0)


def test_a_wrong_gradient_of_the_second_argument() -> None:
    a, b = RNG(1).rand(3), RNG(2).rand(3)
    with pytest.raises(gradient.GradientError) as caught:
        T.verify_grad(lambda x, y: x * gradient.zero_grad(y), [a, b], rng=RNG(3))
    assert caught.value.arg == 1
    assert caught.value.val1 == 0


def test_a_gradient_that_is_nan() -> None:
    with pytest.raises(gradient.GradientError):
        T.verify_grad(T.log, [-np.ones(2)], rng=RNG(3))


def test_wrong_arguments() -> None:
    values = [np.ones(2)]
    for rng in (None, 3):
        with pytest.raises(TypeError, match=r"it must be a numpy\.random\.RandomState"):
            T.verify_grad(T.exp, values, rng=rng)
    with pytest.raises(TypeError, match="input 0 has dtype int64"):
        T.verify_grad(T.exp, [np.array([1, 2])], rng=RNG(1))
    with pytest.raises(GraphTypeError, match="pt is"):
        T.verify_grad(T.exp, 3.0, rng=RNG(1))
    with pytest.raises(NotImplementedError, match="one variable"):
        T.verify_grad(lambda x: [x, x], values, rng=RNG(1))


def test_numeric_grad_of_a_python_function() -> None:
    def cost(x: Any, y: Any = 0.0) -> Any:
        return float(np.sum(x**2) + 3 * np.sum(y))

    one = gradient.numeric_grad(cost, np.array([1.0, -2.0]))
    np.testing.assert_allclose(one.gf, [2, -4], rtol=1e-5)
    several = gradient.numeric_grad(cost, [np.array([1.0]), np.float32([[2, 3]])])
    assert [g.shape for g in several.gf] == [(1,), (1, 2)]
    assert {g.dtype.name for g in several.gf} == {"float64"}
    np.testing.assert_allclose(several.gf[1], [[3, 3]], rtol=1e-2)
    assert several.max_err([np.array([2.0]), np.array([[3.0, 7.0]])], 1e-4, 1e-4)[:2] == (1, 1)
    with pytest.raises(ValueError, match="gradients of shapes"):
        several.max_err([np.array([2.0])], 1e-4, 1e-4)


def test_of_a_function_of_the_package() -> None:
    x = T.dvector("x")
    f = theano.function([x], T.sum(T.exp(x)))
    values = np.array([0.5, 1.0])
    np.testing.assert_allclose(gradient.numeric_grad(f, values).gf, np.exp(values), rtol=1e-5)
