"""What programs hang on variables and ask of them."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812


def test_attributes_of_the_programs_own() -> None:
    x, w = T.dmatrix("x"), theano.shared(1.0)
    y = x * w
    for v in (x, w, y, T.constant(1)):
        v._keras_shape = (None, 3)
        v.tag.role = "weight"
        assert v._keras_shape == (None, 3)
        assert v.tag.role == "weight"
        assert not hasattr(v.tag, "other")
        assert not hasattr(v, "other")
    function = theano.function([x], y)
    function.role = "train"
    function.trust_input = True
    assert function(np.ones((1, 1))) == 1


def test_the_node_of_a_result() -> None:
    x = T.dmatrix("x")
    y = T.exp(x)
    assert x.owner is None
    assert x.get_parents() == []
    assert y.owner is not None
    assert (list(y.owner.inputs), list(y.owner.outputs)) == ([x], [y])
    assert str(y.owner.op) == "exp"
    assert y.get_parents() == [y.owner]
    y.owner.tag.seen = True
    assert y.owner.tag.seen


def test_classes_of_variables_and_ops() -> None:
    x, w = T.dmatrix("x"), theano.shared(1.0)
    assert isinstance(x, T.TensorVariable)
    assert isinstance(x * 2, T.TensorVariable)
    assert isinstance(w, T.TensorSharedVariable)
    assert not isinstance(x, T.TensorSharedVariable)
    assert isinstance(T.constant(1), T.TensorConstant)
    assert isinstance(T.exp(x).owner.op, T.Elemwise)
    assert not isinstance(T.dot(x, x).owner.op, T.Elemwise)
    assert not isinstance(x, T.Elemwise)


def test_clones() -> None:
    x, w = T.fmatrix("x"), theano.shared(np.ones(2), "w")
    y = x.clone()
    assert (y is x, y.type, y.name) == (False, x.type, "x")
    v = w.clone()
    v.zero()
    assert (w.get_value().sum(), v.get_value().sum(), v.name) == (2, 0, "w")
    assert T.constant([1, 2]).clone().data.tolist() == [1, 2]


def test_default_updates_are_set_and_removed(device: str) -> None:
    w = theano.shared(1.0)
    assert w.default_update is None
    w.default_update = w + 1
    assert (theano.function([], w)(), w.get_value()) == (1, 2)
    del w.default_update
    assert (theano.function([], w)(), w.get_value()) == (2, 2)
    w.default_update = T.dvector()
    with pytest.raises(TypeError, match="the default update of"):
        theano.function([], w)


def test_methods_of_real_variables(device: str) -> None:
    x = T.dmatrix("x")
    value = np.arange(6.0).reshape(2, 3)
    outputs = [x.size, x.imag, x.conj(), x.real, x.copy(name="c"), x[()], x.transfer("cpu")]
    results = theano.function([x], outputs)(value)
    assert results[0] == 6
    np.testing.assert_array_equal(results[1], np.zeros((2, 3)))
    for result in results[2:]:
        np.testing.assert_array_equal(result, value)
    assert x.copy(name="c").name == "c"


def test_an_integer_constant_is_an_index() -> None:
    assert [10, 20, 30][T.constant(1)] == 20
    assert list(range(T.constant(3))) == [0, 1, 2]
    with pytest.raises(TypeError, match="no number"):
        range(T.constant(1.5))  # type: ignore[call-overload]
