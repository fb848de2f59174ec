"""Types as programs use them: called to make inputs, compared, asked for their dimensions."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.types import static_type


@pytest.mark.parametrize(
    "flags", [(), (False,), (True, False), [False, True], (0, 1), np.array([True])]
)
@pytest.mark.parametrize("dtype", ["float32", "int8", "bool", "floatX", np.dtype("float64")])
def test_a_type_makes_inputs(dtype: Any, flags: Any) -> None:
    made = T.TensorType(dtype, flags)
    x = made("x")
    expected = theano.config.floatX if dtype == "floatX" else np.dtype(dtype).name
    pattern = tuple(bool(b) for b in flags)
    assert (x.name, x.dtype, x.broadcastable, x.ndim) == ("x", expected, pattern, len(pattern))
    assert (made.dtype, made.broadcastable, made.ndim) == (expected, pattern, len(pattern))
    assert made().name is None
    assert made.make_variable("y").name == "y"
    assert x.type == made
    assert isinstance(x.type, T.TensorType)
    assert x.type("z") is not x
    assert made.numpy_dtype == np.dtype(expected)


def test_arguments_by_name_and_the_name_of_a_type() -> None:
    by_name = T.TensorType(dtype="float32", broadcastable=(False,), name="mine")
    assert by_name.name == T.TensorType("float32", (False,), "mine").name == "mine"
    assert by_name == T.fvector
    assert repr(by_name("x")) == "x"


@pytest.mark.parametrize(
    "arguments",
    [("float16", ()), ("float32", 3), ("float32", "ab"), ("float32", (2,)),
     ("float32", None), ("float32", (), 3), ("float32", (None,))],
)  # fmt: skip
def test_what_is_no_type(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        T.TensorType(*arguments)


def test_equality_is_of_dtype_and_broadcastable_dimensions() -> None:
    x, y = T.dmatrix(), T.dmatrix()
    assert x.type == y.type == (x + y).type == T.dmatrix == T.dot(x, y).type
    assert hash(x.type) == hash((x * 2).type) == hash(T.dmatrix)
    assert len({T.fmatrix, T.dmatrix, T.drow, T.dcol, T.dvector, x.type}) == 5
    assert x.shape.type == T.lvector == T.as_tensor_variable([1, 2, 3]).type
    assert static_type("float64", (2, 3), (False, False)) == T.dmatrix
    assert theano.shared(np.ones((2, 2))).type == T.dmatrix
    assert T.dmatrix != "float64 matrix"


def test_an_input_of_the_type_of_something_known_may_have_any_length() -> None:
    x = T.constant(np.ones(3)).type("x")
    assert x.type.shape == (None,)
    assert theano.function([x], x.sum())(np.ones(5)) == 5


def test_values_of_a_type() -> None:
    value = T.fmatrix.filter([[1.0, 0.1]])
    assert (value.dtype, value.tolist()) == ("float32", np.float32([[1, 0.1]]).tolist())
    for wrong in ([1.0], np.ones((2, 2)), "a", T.fmatrix()):
        with pytest.raises(TypeError, match="float32 matrix"):
            T.fmatrix.filter(wrong)
    assert T.fmatrix.filter(np.ones((1, 2)), allow_downcast=True).dtype == "float32"
    with pytest.raises(TypeError, match="is strict"):
        T.fmatrix.filter([[1.0]], strict=True)
    with pytest.raises(TypeError, match="its length there stays 1"):
        T.frow.filter(np.ones((2, 2), "float32"))
    assert T.fmatrix.is_valid_value(np.ones((2, 2), "float32"))
    assert not T.fmatrix.is_valid_value(np.ones((2, 2)))


def test_constructors_with_a_prefix_are_types() -> None:
    assert isinstance(T.fmatrix, T.TensorType)
    assert (T.fmatrix.dtype, T.fmatrix.ndim) == ("float32", 2)
    assert T.icol.clone(dtype="int8") == T.bcol
    assert T.icol.clone(broadcastable=(False,)) == T.ivector


def test_how_a_type_is_shown() -> None:
    assert repr(T.fmatrix("x").type) == "TensorType(float32, matrix)"
    assert [repr(t) for t in (T.drow, T.icol, T.lscalar)] == [
        "TensorType(float64, row)",
        "TensorType(int32, col)",
        "TensorType(int64, scalar)",
    ]
    assert repr(T.ftensor4) == "TensorType(float32, 4D)"
    assert repr(T.TensorType("int8", (True, False, True))).endswith("(int8, (True, False, True))")
    for t in (T.dscalar, T.frow, T.itensor3):
        assert t("x").type is t


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_copies(again: Any) -> None:
    for t in (T.fmatrix, T.constant([1, 2]).type):
        assert again(t) == t
        assert again(t).shape == t.shape
