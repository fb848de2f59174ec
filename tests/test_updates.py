"""`OrderedUpdates`: a dict of updates, which are joined without contradictions."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_mnist as theano
from tinygrad_mnist.updates import OrderedUpdates


def variables() -> tuple[Any, Any, Any]:
    a, b, c = (theano.shared(float(n), name) for n, name in enumerate("abc"))
    return a, b, c


def test_it_is_a_dict_in_order() -> None:
    a, b, c = variables()
    updates = OrderedUpdates([(b, a), (a, b)])
    updates[c] = a + b
    assert list(updates) == [b, a, c]
    assert isinstance(updates, dict)
    updates[b] = c  # a single one may be replaced
    assert updates[b] is c
    function = theano.function([], a + b, updates=updates)
    assert function() == 1
    assert [v.get_value() for v in (a, b, c)] == [1, 2, 1]


def test_joining() -> None:
    a, b, c = variables()
    first, second = OrderedUpdates({a: b}), OrderedUpdates({c: b, a: b})
    joined = first + second
    assert type(joined) is OrderedUpdates
    assert list(joined) == [a, c]
    assert list(first) == [a]
    assert list(first + {b: c}) == [a, b]
    assert list(first.__radd__([(b, c)])) == [b, a]
    assert list({b: c} + first) == [b, a]  # type: ignore[operator]
    first.update()
    first.update([(c, b)])
    assert list(first) == [a, c]


def test_contradictions_and_wrong_keys() -> None:
    a, b, c = variables()
    updates = OrderedUpdates({a: b})
    for join in (updates.update, updates.__add__, updates.__radd__):
        with pytest.raises(KeyError, match="Collision"):
            join({a: c})
    assert updates == {a: b}
    wrong: Any = "a"
    with pytest.raises(TypeError, match="'a' can't be updated; only shared variables can"):
        updates[wrong] = b
    with pytest.raises(TypeError):
        OrderedUpdates({wrong: b})
    with pytest.raises(TypeError, match="not names"):
        updates.update(a=b)
