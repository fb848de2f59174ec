"""`Print`, which shows values of a running function, and graphs under Theano's other names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.printing.text import Print, min_informative_str, pprint


def test_values_are_printed_when_they_are_computed(
    device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    x = T.dvector("x")
    shown = Print("x is", attrs=("__str__", "shape", "sum"))(x)
    f = theano.function([x], T.sum(shown**2))
    assert capsys.readouterr().out == ""
    for values in ([1.0, 2.0], [3.0]):
        assert f(values) == np.sum(np.square(values))
        array = np.array(values)
        assert capsys.readouterr().out.splitlines() == [
            f"x is __str__ = {array}",
            f"x is shape = {array.shape}",
            f"x is sum = {array.sum()}",
        ]


def test_gradients_and_updates(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    w = theano.shared(np.array([1.0, 2.0]), "w")
    i = T.lscalar("i")
    cost = T.sum(Print("w")(w)[i:] ** 2)
    step = theano.function([i], cost, updates=[(w, w - 0.5 * T.grad(cost, w))])
    assert step(0) == 5
    assert capsys.readouterr().out == "w __str__ = [1. 2.]\n"
    np.testing.assert_array_equal(w.get_value(), [0, 0])
    assert step(1) == 0
    assert capsys.readouterr().out == "w __str__ = [0. 0.]\n"


def test_a_function_in_place_of_printing(device: str) -> None:
    seen: list[Any] = []
    x = T.dscalar("x")
    printer = Print("name", global_fn=lambda op, array: seen.append((op.message, float(array))))
    f = theano.function([x], [printer(x * 2), printer(x * 2), printer(T.constant(1.5))])
    assert seen == []
    assert f(3) == [6, 6, 1.5]
    assert sorted(set(seen)) == [("name", 1.5), ("name", 6.0)]


def test_graphs_as_text() -> None:
    x = T.dvector("x")
    y = T.exp(x) + 1
    assert pprint(y) == theano.pp(y)
    text = theano.printing.debugprint(y, file="str")
    assert text is not None
    assert min_informative_str(y) == text
    assert min_informative_str(y, 1) == "\t" + text.replace("\n", "\n\t")
