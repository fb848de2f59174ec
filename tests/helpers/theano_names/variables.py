"""Facts about constructors, types, classes of variables, constants, and shared variables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers.expressions import evaluate
from helpers.theano_names.case import FACTS, Fact, fact, resolve

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

DTYPES = {
    "": None,
    "b": "int8",
    "w": "int16",
    "i": "int32",
    "l": "int64",
    "f": "float32",
    "d": "float64",
}
PATTERNS: dict[str, tuple[bool, ...]] = {
    "scalar": (),
    "vector": (False,),
    "matrix": (False, False),
    "row": (True, False),
    "col": (False, True),
    **{f"tensor{n}": (False,) * n for n in range(3, 8)},
}
MATRIX = np.random.default_rng(7).normal(size=(3, 2))


def _constructor(name: str, dtype: str | None, pattern: tuple[bool, ...]) -> Fact:
    def test(device: str) -> None:
        make = resolve(name)
        for float_x in ("float32", "float64"):
            theano.config.floatX = float_x
            x = make("x")
            assert (x.name, x.dtype, x.broadcastable) == ("x", dtype or float_x, pattern)
            assert make().name is None
        if dtype is None:
            assert make("x", "int16").dtype == make(dtype="int16").dtype == "int16"
        value = np.arange(1 + bool(pattern), dtype=x.dtype)[-1].reshape((1,) * len(pattern))
        result = evaluate(device, [x], x + x, value)
        np.testing.assert_array_equal(result, value + value)
        assert result.dtype == x.dtype

    return test


def _plural(name: str, dtype: str | None, pattern: tuple[bool, ...]) -> Fact:
    def test(device: str) -> None:
        x, y = resolve(name)("x", "y")
        assert [x.name, y.name] == ["x", "y"]
        for v in (x, y, *resolve(name)(3), *resolve(name)("ab")):
            assert (v.dtype, v.broadcastable) == (dtype or theano.config.floatX, pattern)
        assert len(resolve(name)(3)) == 3
        assert isinstance(resolve(name)("one"), list)

    return test


for (_letter, _dtype), (_kind, _pattern) in itertools.product(DTYPES.items(), PATTERNS.items()):
    _name = f"tensor.{_letter}{_kind}"
    FACTS[_name] = _constructor(_name, _dtype, _pattern)
    if _letter not in ("b", "w"):
        _name = _name.replace("matrix", "matrice") + "s"
        FACTS[_name] = _plural(_name, _dtype, _pattern)


@fact("tensor.tensor tensor.TensorType")
def types_make_variables(device: str) -> None:
    row = T.TensorType("float64", (True, False))
    x, y = row("x"), T.tensor("float64", broadcastable=(True, False), name="y")
    assert x.type == y.type == row == T.TensorType(dtype="float64", broadcastable=(True, False))
    assert (x.name, y.name, row.ndim, row.dtype) == ("x", "y", 2, "float64")
    assert resolve("tensor.TensorType")("float64", (True, False), "rows").name == "rows"
    value = MATRIX[:1]
    np.testing.assert_array_equal(evaluate(device, [x, y], x + y, value, value), value * 2)


@fact("Type gof.Type tensor.Type")
def a_type_is_that_of_arrays(device: str) -> None:
    assert isinstance(T.fmatrix, theano.gof.Type)
    assert isinstance(T.scalar().type, theano.Type)
    assert theano.tensor.Type is theano.Type


@fact("Variable tensor.TensorVariable tensor.var.TensorVariable compile.Variable gof.Variable")
def variables(device: str) -> None:
    x = T.fmatrix("x")
    made = theano.gof.Variable(x.type, name="made")
    for v in (x, x + 1, made, theano.shared(1.0)):
        assert isinstance(v, theano.Variable)
        assert isinstance(v, T.TensorVariable)
    assert not isinstance(1.0, theano.Variable)
    np.testing.assert_allclose(
        evaluate(device, [made], made * 2, MATRIX.astype("float32")), MATRIX * 2, rtol=1e-6
    )


@fact("Constant tensor.Constant tensor.TensorConstant tensor.var.TensorConstant gof.Constant")
def constants(device: str) -> None:
    c = T.constant(MATRIX, name="c")
    assert isinstance(c, theano.Constant)
    assert isinstance(c, T.TensorConstant)
    assert not isinstance(T.matrix(), theano.Constant)
    assert (c.name, c.dtype) == ("c", "float64")
    np.testing.assert_array_equal(c.data, MATRIX)
    np.testing.assert_array_equal(evaluate(device, [], c.T), MATRIX.T)


@fact(
    "compile.SharedVariable tensor.sharedvar.TensorSharedVariable "
    "tensor.sharedvar.ScalarSharedVariable"
)
def shared_variables(device: str) -> None:
    s = theano.shared(MATRIX)
    for cls in (theano.compile.SharedVariable, T.sharedvar.TensorSharedVariable):
        assert isinstance(s, cls)
        assert not isinstance(T.matrix(), cls)
    assert isinstance(theano.shared(1.0), T.sharedvar.ScalarSharedVariable)
    s.set_value(MATRIX * 2, borrow=True)
    np.testing.assert_array_equal(s.get_value(borrow=True), MATRIX * 2)


@fact("shared tensor.sharedvar.tensor_constructor")
def shared_makes_variables(device: str) -> None:
    for make in (theano.shared, T.sharedvar.tensor_constructor):
        s = make(MATRIX[:1], "s", False, None, borrow=True, broadcastable=(True, False))
        assert (s.name, s.broadcastable, s.dtype) == ("s", (True, False), "float64")
        f = evaluate(device, [], s * 3)
        np.testing.assert_array_equal(f, MATRIX[:1] * 3)
        with pytest.raises(TypeError):
            s.set_value(MATRIX[0])
        with pytest.raises(TypeError):
            make(1.0, strict=True).set_value(2)
        rounded = make(np.float32(1), allow_downcast=True)
        rounded.set_value(np.float64(0.1))
        assert rounded.get_value() == np.float32(0.1)


@fact("tensor.Elemwise")
def elementwise_ops(device: str) -> None:
    x = T.matrix()
    for y, is_elementwise in ((T.exp(x), True), (T.dot(x, x), False)):
        assert y.owner is not None
        assert isinstance(y.owner.op, T.Elemwise) == is_elementwise


@fact("Apply gof.graph.Node tensor.Apply gof.Apply gof.graph.Apply")
def nodes(device: str) -> None:
    x = T.matrix()
    node = T.dot(x, x).owner
    assert isinstance(node, theano.Apply)
    assert isinstance(node, theano.gof.graph.Node)
    assert node.inputs == [x, x] or tuple(node.inputs) == (x, x)
    assert x.owner is None


@fact(
    "tensor.all_dtypes tensor.continuous_dtypes tensor.discrete_dtypes tensor.float_dtypes "
    "tensor.int_dtypes tensor.integer_dtypes tensor.uint_dtypes"
)
def dtypes(device: str) -> None:
    of_kind = {
        kind: {d for d in T.all_dtypes if np.dtype(d).kind in kind}
        for kind in ("f", "i", "u", "iu", "iub")
    }
    for names, kind in [
        (T.float_dtypes, "f"),
        (T.continuous_dtypes, "f"),
        (T.int_dtypes, "i"),
        (T.uint_dtypes, "u"),
        (T.integer_dtypes, "iu"),
        (T.discrete_dtypes, "iub"),
    ]:
        assert set(names) == of_kind[kind]
    for dtype in T.all_dtypes:
        x = T.vector(dtype=dtype)
        assert evaluate(device, [x], x, np.ones(2, dtype)).dtype == dtype


_SCALARS = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "float32",
    "float64",
]


@fact(" ".join(f"scalar.{name}" for name in (*_SCALARS, "Scalar", "get_scalar_type")))
def scalar_types(device: str) -> None:
    for name in _SCALARS:
        scalar = resolve(f"scalar.{name}")
        assert scalar.dtype == name
        assert scalar == theano.scalar.Scalar(name) == theano.scalar.get_scalar_type(dtype=name)
        x = scalar("x")
        assert evaluate(device, [x], x, np.array(1, name)) == 1


@fact(
    "scalar.all_types scalar.continuous_types scalar.discrete_types scalar.float_types "
    "scalar.int_types scalar.integer_types scalar.uint_types"
)
def lists_of_scalar_types(device: str) -> None:
    for name in ["all", "continuous", "discrete", "float", "int", "integer", "uint"]:
        listed = [scalar.dtype for scalar in resolve(f"scalar.{name}_types")]
        assert sorted(listed) == sorted(resolve(f"tensor.{name}_dtypes"))


@fact("scalar.upcast")
def common_dtypes(device: str) -> None:
    assert theano.scalar.upcast("int8", "uint8") == "int16"
    assert theano.scalar.upcast("int32", "float32", "bool") == "float64"
    assert theano.scalar.upcast("int16", "float32") == "float32"


@fact(
    "get_scalar_constant_value tensor.get_scalar_constant_value tensor.extract_constant "
    "tensor.NotScalarConstantError tensor.EmptyConstantError"
)
def values_of_constants(device: str) -> None:
    x = T.matrix("x")
    assert theano.get_scalar_constant_value(T.constant(3) + 2) == 5
    assert T.get_scalar_constant_value(T.alloc(2.0, 3, 3)) == 2
    assert T.get_scalar_constant_value(T.specify_shape(x, (3, 4)).shape[1]) == 4
    assert T.extract_constant(T.constant(7)) == 7
    assert T.extract_constant(x) is x
    for value in (x, x.sum(), T.constant([1.0, 2.0])):
        with pytest.raises(T.NotScalarConstantError):
            T.get_scalar_constant_value(value)
    with pytest.raises(T.EmptyConstantError):
        T.get_scalar_constant_value(T.constant(np.ones(0)))
    assert issubclass(T.EmptyConstantError, T.NotScalarConstantError)


@fact("tensor.get_vector_length")
def lengths_of_vectors(device: str) -> None:
    x = T.tensor3()
    assert T.get_vector_length(x.shape) == 3
    assert T.get_vector_length(T.stack([x[0, 0, 0], 1])) == 2
    assert T.get_vector_length([1, 2, 3, 4]) == 4
    with pytest.raises(ValueError, match="length"):
        T.get_vector_length(T.vector())


@fact("_asarray")
def arrays_of_a_dtype(device: str) -> None:
    theano.config.floatX = "float32"
    assert theano._asarray([1, 2], dtype="floatX").dtype == "float32"
    assert theano._asarray(MATRIX, "int8").dtype == "int8"
    assert theano._asarray(MATRIX, "float64", order="F").flags.f_contiguous
