"""Kernels of several functions, compiled together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.functions import prepare

V, LONG = np.ones(3), np.ones(5)


def functions() -> list[Any]:
    x = T.dvector("x")
    return [theano.function([x], y) for y in (T.exp(x), T.tanh(x), x[x > 0])]


def test_nothing_is_planned_where_nothing_compiles(device: str) -> None:
    made = functions()
    prepare([(f, [V]) for f in made])
    assert [f.plans for f in made] == [[], [], []]


def test_each_backend_compiles_all_of_its_plans_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    of_backend = {}
    for device in ("cpu", "reference"):
        with making_functions_for(device):
            of_backend[device] = functions()
    made: list[Any] = [f for of_one in of_backend.values() for f in of_one]
    prepared: list[tuple[str, list[Any]]] = []
    for backend in {type(f.backend): f.backend for f in made}.values():
        name = backend.name
        monkeypatch.setattr(backend, "compiles", True)
        monkeypatch.setattr(
            backend, "prepare", lambda plans, name=name: prepared.append((name, plans))
        )
    prepare([(f, [values]) for values in (V, LONG) for f in made])
    expected = [
        (of_one[0].backend.name, [f.plan_for(values) for values in (V, LONG) for f in of_one[:2]])
        for of_one in of_backend.values()
    ]
    assert [(name, list(map(str, plans))) for name, plans in prepared] == [
        (name, list(map(str, plans))) for name, plans in expected
    ]
