"""Expressions against NumPy: values on a backend, gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from helpers.backends import making_functions_for
from helpers.native import assert_near
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T

AnyArray = NDArray[Any]
Expression = Callable[..., theano.Variable]
STEP = 1e-5  # of the differences; their error is about STEP ** 2
GRADIENT_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Case:
    """One expression, with what it should compute.

    name: of the test. expression: of symbolic inputs. expected: the same in plain NumPy. values:
    arrays for the inputs; floats are tried in each float dtype. stretched: numbers of the inputs
    whose 1-long dimensions broadcast. dtype: of the result; None is that of the floats.
    gradient: whether to compare gradients with finite differences.
    """

    name: str
    expression: Expression
    expected: Callable[..., Any]
    values: tuple[AnyArray, ...]
    stretched: tuple[int, ...] = ()
    dtype: str | None = None
    gradient: bool = True
    tolerance: float | None = None

    def __str__(self) -> str:
        return self.name

    def arguments(self, dtype: str) -> list[AnyArray]:
        """The values, floats as `dtype`."""
        return [v.astype(dtype) if v.dtype.kind == "f" else v for v in self.values]

    def inputs(self, dtype: str) -> list[theano.Variable]:
        """Symbolic inputs for the values."""
        return [
            T.tensor(a.dtype.name, [n == 1 and i in self.stretched for n in a.shape], f"x{i}")
            for i, a in enumerate(self.arguments(dtype))
        ]


def check_forward(case: Case, device: str, dtype: str) -> None:
    """The expression's value on a backend is what NumPy computes in float64."""
    inputs, arguments = case.inputs(dtype), case.arguments(dtype)
    with making_functions_for(device):
        function = theano.function(inputs, case.expression(*inputs), on_unused_input="ignore")
    result = function(*arguments)
    exact = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arguments]
    with np.errstate(all="ignore"):
        expected = np.asarray(case.expected(*exact))
    assert result.dtype == (case.dtype or dtype)
    assert_near(result, expected, case.tolerance)


def check_gradient(case: Case, device: str) -> None:
    """The expression's gradient agrees with central differences in float64."""
    arguments = case.arguments("float64")
    with making_functions_for(device):
        verify_gradient(case.expression, arguments, case.inputs("float64"))


def verify_gradient(
    expression: Expression, arguments: Sequence[AnyArray], inputs: Sequence[theano.Variable]
) -> None:
    """Compares the gradient of a random projection of `expression` with finite differences.

    The functions are made on the present device. Every float input is differentiated.
    """
    result = expression(*inputs)
    evaluate = theano.function(inputs, result, on_unused_input="ignore")
    weights = np.random.default_rng(5).uniform(0.5, 1.5, evaluate(*arguments).shape)
    cost = T.sum(result * weights)
    numbers = [i for i, v in enumerate(inputs) if v.dtype == "float64"]
    gradients = theano.function(
        inputs, T.grad(cost, [inputs[i] for i in numbers]), on_unused_input="ignore"
    )(*arguments)

    def projected(values: Sequence[AnyArray]) -> float:
        return float(np.sum(evaluate(*values) * weights))

    for number, gradient in zip(numbers, gradients, strict=True):
        expected = differences(projected, arguments, number)
        assert gradient.shape == expected.shape
        np.testing.assert_allclose(
            gradient, expected, rtol=GRADIENT_TOLERANCE, atol=GRADIENT_TOLERANCE
        )


def differences(
    cost: Callable[[Sequence[AnyArray]], float], arguments: Sequence[AnyArray], number: int
) -> AnyArray:
    """Central differences of `cost` for each element of one argument."""
    result = np.empty(arguments[number].shape)
    for index in np.ndindex(result.shape):
        costs = []
        for step in (STEP, -STEP):
            moved = [np.array(a) for a in arguments]
            moved[number][index] += step
            costs.append(cost(moved))
        result[index] = (costs[0] - costs[1]) / (2 * STEP)
    return result


def evaluate(
    device: str, inputs: Sequence[theano.Variable], outputs: Any, *values: Any, **options: Any
) -> Any:
    """`outputs` for `values`, computed by a function made for `device`."""
    with making_functions_for(device):
        return theano.function(list(inputs), outputs, **options)(*values)
