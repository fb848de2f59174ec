"""The time to differentiate and compile grows in step with the graph: four times the graph takes
about four times as long, and graphs of 20,000 ops are no special case."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
from tinygrad_mnist import tensor as T  # noqa: N812

Make = Callable[[Any, int], Any]
LENGTH = 4  # of the input, where the graph doesn't say


def _chain(step: Callable[[Any], Any]) -> Make:
    def make(x: Any, n: int) -> Any:
        for _ in range(n):
            x = step(x)
        return x

    return make


def _total(term: Callable[[Any, int], Any]) -> Make:
    def make(x: Any, n: int) -> Any:
        total = term(x, 0)
        for i in range(1, n):
            total = total + term(x, i)
        return total

    return make


# name -> the graph, and the smaller of the two numbers of steps that are compared
GRAPHS: dict[str, tuple[Make, int]] = {
    "tanh": (_chain(T.tanh), 300),
    "times a number": (_chain(lambda y: y * 1.0001), 500),
    "mixed": (_chain(lambda y: (T.tanh(y) + 0.5) * T.switch(y > 0, y, 0.1 * y)), 40),
    "reductions": (_chain(lambda y: y - y.mean()), 60),
    "softmax": (_chain(lambda y: T.nnet.softmax(y.dimshuffle("x", 0))[0] * 2), 40),
    "reversals": (_chain(lambda y: T.tanh(y)[::-1]), 60),
    "wide sum": (_total(lambda x, i: T.tanh(x * float(i))), 100),
    "sum of elements": (_total(lambda x, i: x[i] ** 2), 150),
    "join": (lambda x, n: T.concatenate([x[i : i + 1] * float(i) for i in range(n)]), 150),
    "ever shorter": (_chain(lambda y: T.tanh(y)[:-1]), 80),
    "an element of a chain": (lambda x, n: _chain(T.tanh)(x, n)[1], 300),
}


def _seconds(make: Make, n: int) -> float:
    """Seconds of this process to build, differentiate, compile and run a graph once."""
    begin = process_time()
    x = T.dvector("x")
    cost = T.sum(make(x, n))
    function = theano.function([x], T.grad(cost, x))
    value = np.linspace(0.1, 0.5, max(n + 1, LENGTH) if _needs_length(make) else LENGTH)
    assert function(value).shape == value.shape
    return process_time() - begin


def _needs_length(make: Make) -> bool:
    return make in [GRAPHS[name][0] for name in ("sum of elements", "join", "ever shorter")]


@pytest.mark.parametrize("name", GRAPHS)
def test_time_grows_in_step(name: str) -> None:
    """Of few measurements the shortest: other work on the machine makes some longer."""
    make, n = GRAPHS[name]
    small = large = np.inf
    for _ in range(3):
        small, large = min(small, _seconds(make, n)), min(large, _seconds(make, 4 * n))
        if large < 8 * small + 0.1:
            return
    pytest.fail(f"{n} steps take {small:.3f} s, {4 * n} steps {large:.3f} s")


def test_chain_of_20_000() -> None:
    begin = process_time()
    x = T.dvector("x")
    cost = _chain(lambda y: y * 1.0001)(x, 20_000).sum()
    gradient = T.grad(cost, x)
    value = theano.function([x], gradient)(np.ones(3))
    assert process_time() - begin < 60  # 4 seconds on an idle machine
    np.testing.assert_allclose(value, 1.0001**20_000, rtol=1e-9)
