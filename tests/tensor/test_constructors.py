"""Constructors of inputs: every kind with every prefix, one or several at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

KINDS: dict[str, tuple[bool, ...]] = {
    "scalar": (),
    "vector": (False,),
    "matrix": (False, False),
    "row": (True, False),
    "col": (False, True),
    "tensor3": (False,) * 3,
    "tensor4": (False,) * 4,
    "tensor5": (False,) * 5,
    "tensor6": (False,) * 6,
    "tensor7": (False,) * 7,
}
PLURALS = {kind: "matrices" if kind == "matrix" else f"{kind}s" for kind in KINDS}
DTYPES = {
    "": "floatX",
    "b": "int8",
    "w": "int16",
    "i": "int32",
    "l": "int64",
    "f": "float32",
    "d": "float64",
}


@pytest.mark.parametrize("float_x", ["float32", "float64"])
@pytest.mark.parametrize("prefix", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_constructor(kind: str, prefix: str, float_x: str) -> None:
    theano.config.floatX = float_x
    make = getattr(T, prefix + kind)
    dtype = float_x if prefix == "" else DTYPES[prefix]
    v = make("v")
    assert (str(v), v.dtype, v.broadcastable) == ("v", dtype, KINDS[kind])
    assert make().name is None
    assert make(name="w").name == "w"
    assert make.__name__ == prefix + kind
    assert make.__doc__


@pytest.mark.parametrize("prefix", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_plural(kind: str, prefix: str) -> None:
    make = getattr(T, prefix + PLURALS[kind])
    dtype = theano.config.floatX if prefix == "" else DTYPES[prefix]
    named, unnamed = make("x", "yz"), make(np.int64(3))
    assert [v.name for v in named] == ["x", "yz"]
    assert [v.name for v in make("xyz")] == ["x", "y", "z"]
    assert [v.name for v in make(["x", "yz"])] == ["x", "yz"]
    assert [v.name for v in unnamed] == [None] * 3
    assert {(v.dtype, v.broadcastable) for v in named + unnamed} == {(dtype, KINDS[kind])}
    assert make.__name__ == prefix + PLURALS[kind]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "bool", "float64", "floatX"])
def test_any_dtype(dtype: str) -> None:
    expected = theano.config.floatX if dtype == "floatX" else dtype
    assert T.matrix("m", dtype).dtype == T.matrix("m", dtype=dtype).dtype == expected
    assert T.vectors("a", "b", dtype=dtype)[1].dtype == expected
    v = T.tensor(dtype, (False, True, False), "t")
    assert (v.dtype, v.broadcastable, v.name) == (expected, (False, True, False), "t")


@pytest.mark.parametrize("dtype", ["float16", "complex64", "uint64", "nonsense"])
@pytest.mark.parametrize("make", [T.vector, T.tensor3, lambda _, dtype: T.tensor(dtype, ())])
def test_unknown_dtype(make: Callable[..., Any], dtype: str) -> None:
    with pytest.raises(TypeError, match=f"no dtype '{dtype}'"):
        make("v", dtype)


@pytest.mark.parametrize("names", [(), (0,), (-1,), (2, "x"), ("x", None), (2.0,)])
def test_names_of_plurals(names: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="matrices takes names, or one positive number"):
        T.dmatrices(*names)
