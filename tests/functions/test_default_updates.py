"""Default updates: when they happen, and how they are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams


def counter() -> Any:
    c = theano.shared(np.int64(0), name="counter")
    c.default_update = c + 1
    return c


def test_a_default_update_happens_where_its_variable_is_used(device: str) -> None:
    c, other = counter(), counter()
    function = theano.function([], c * 10)
    assert [int(function()) for _ in range(3)] == [0, 10, 20]
    assert other.get_value() == 0


def test_default_updates_can_be_refused_or_replaced(device: str) -> None:
    c, d = counter(), counter()
    theano.function([], c + d, no_default_updates=True)()
    assert (c.get_value(), d.get_value()) == (0, 0)
    theano.function([], c + d, no_default_updates=[c])()
    assert (c.get_value(), d.get_value()) == (0, 1)
    with pytest.raises(TypeError, match="no_default_updates is a bool or a list of shared"):
        theano.function([], c + d, no_default_updates=c)  # type: ignore[arg-type]
    theano.function([], c + d, updates=[(c, c + 5)])()
    assert (c.get_value(), d.get_value()) == (5, 2)


def test_default_updates_of_what_updates_use(device: str) -> None:
    c, w = counter(), theano.shared(np.int64(0))
    theano.function([], [], updates=[(w, w + c)])()
    assert c.get_value() == 1
    d = counter()
    e = theano.shared(np.int64(7))
    e.default_update = e + d
    theano.function([], e)()
    assert (e.get_value(), d.get_value()) == (7, 1)


def test_streams_move_on_with_every_function_that_draws(device: str) -> None:
    stream = RandomStreams(3)
    u = stream.uniform((4,))
    one, two = theano.function([], u), theano.function([], u)
    assert len(np.unique([one(), two(), one()])) == 12
