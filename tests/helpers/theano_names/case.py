"""Cases of Theano's names: calls that are compared with NumPy, and facts about all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from helpers.backends import making_functions_for
from helpers.expressions import STEP, AnyArray
from helpers.native import assert_near

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.names import theano_module
from tinygrad_mnist.names.table import table

GRADIENT_TOLERANCE = 1e-7
Fact = Callable[[str], None]
FACTS: dict[str, Fact] = {}  # by the names that they are about


@dataclass(frozen=True)
class Call:
    """A call of one of Theano's functions, and the same in NumPy.

    name: the function's, after `theano.`: `tensor.exp`.
    expected: what it computes of the values, one array or a tuple of them.
    values: arrays for the symbolic inputs; floats are tried in each float dtype.
    form: the call, of the function and the inputs; None is `function(*inputs)`.
    dtype: of the result; None is the float dtype for floats, NumPy's for all else.
    gradient: whether to compare the gradient with finite differences.
    tolerance: relative, of the value; None is that of `assert_near`.
    """

    name: str
    expected: Callable[..., Any]
    values: tuple[Any, ...] = ()
    form: Callable[..., Any] | None = None
    dtype: str | None = None
    gradient: bool = True
    tolerance: float | None = None

    def __str__(self) -> str:
        return self.name

    def arguments(self, dtype: str) -> list[AnyArray]:
        """The values, floats as `dtype`."""
        arrays = [np.asarray(v) for v in self.values]
        return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]

    def outputs(self, inputs: Sequence[theano.Variable]) -> Any:
        function = resolve(self.name)
        return self.form(function, *inputs) if self.form else function(*inputs)

    def results(self, arguments: Sequence[AnyArray]) -> list[AnyArray]:
        """What NumPy computes."""
        with np.errstate(all="ignore"):
            return [np.asarray(r) for r in _several(self.expected(*arguments))]


def fact(names: str) -> Callable[[Fact], Fact]:
    """Registers a test about names, of a device."""

    def register(test: Fact) -> Fact:
        assert names not in FACTS
        FACTS[names] = test
        return test

    return register


def resolve(name: str) -> Any:
    """What a name after `theano.` is here: `resolve("tensor.exp")`."""
    module, _, last = f"theano.{name}".rpartition(".")
    return getattr(theano_module(module), last)


def present() -> list[tuple[str, str]]:
    """(module, name) of all names in the table that are here."""
    return [
        (module, name)
        for module, names in table().names.items()
        for name in names
        if hasattr(theano_module(module), name)
    ]


def check(call: Call, device: str, dtype: str) -> None:
    """The call's value, dtype and form are NumPy's; in float64 its gradient is that of finite
    differences, too."""
    theano.config.floatX = dtype
    arguments = call.arguments(dtype)
    exact = call.arguments("float64")
    inputs = [T.tensor(a.dtype.name, (False,) * a.ndim, f"x{i}") for i, a in enumerate(arguments)]
    outputs = call.outputs(inputs)
    assert isinstance(outputs, tuple | list) == isinstance(call.expected(*exact), tuple)
    variables = _several(outputs)
    expected = call.results(exact)
    floats = [i for i, a in enumerate(exact) if a.dtype.kind == "f"]
    real = any(e.dtype.kind == "f" for e in expected)
    compares = call.gradient and dtype == "float64" and floats and real
    slopes, directional = _slopes(call, inputs, variables, exact, floats) if compares else ([], 0)
    with making_functions_for(device):
        function = theano.function(inputs, [*variables, *slopes], on_unused_input="ignore")
    results = function(*arguments)
    for result, value in zip(results[: len(variables)], expected, strict=True):
        assert result.dtype == (call.dtype or (dtype if value.dtype.kind == "f" else value.dtype))
        assert_near(result, value, call.tolerance)
    if compares:
        (slope,) = results[len(variables) :]
        np.testing.assert_allclose(slope, directional, rtol=GRADIENT_TOLERANCE, atol=1e-7)


def _slopes(
    call: Call,
    inputs: Sequence[theano.Variable],
    outputs: Sequence[theano.Variable],
    arguments: Sequence[AnyArray],
    floats: Sequence[int],
) -> tuple[list[theano.Variable], float]:
    """The derivative of a weighted sum of the outputs along a random direction: by `grad`, and by
    finite differences."""
    rng = np.random.default_rng(5)
    expected = call.results(arguments)
    weights = [rng.uniform(0.5, 1.5, e.shape) for e in expected]
    directions = {i: rng.normal(size=arguments[i].shape) for i in floats}
    cost = sum(
        T.sum(o * w)
        for o, w, e in zip(outputs, weights, expected, strict=True)
        if e.dtype.kind == "f"
    )
    gradients = theano.gradient.grad(
        cost, [inputs[i] for i in floats], disconnected_inputs="ignore"
    )
    slope = T.sum([T.sum(g * d) for g, d in zip(gradients, directions.values(), strict=True)])

    def moved(step: float) -> float:
        at = [a + step * directions[i] if i in floats else a for i, a in enumerate(arguments)]
        results = call.results(at)
        return sum(
            float(np.sum(r * w))
            for r, w in zip(results, weights, strict=True)
            if r.dtype.kind == "f"
        )

    return [slope], (moved(STEP) - moved(-STEP)) / (2 * STEP)


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple | list) else [value]
