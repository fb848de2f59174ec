"""Types, variables, nodes, and walks over graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.graph.op import OPS, as_variable, constant, register_op
from tinygrad_mnist.graph.source import Origin, at
from tinygrad_mnist.graph.traversal import leaves, substitute, toposort
from tinygrad_mnist.graph.types import (
    DTYPES,
    check_dtype,
    smallest_integer,
    static_type,
    tensor_type,
    upcast,
)
from tinygrad_mnist.graph.variables import Constant, Op

# --- types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtypes", "result"),
    [
        (("int32", "float32"), "float64"),
        (("int16", "float32"), "float32"),
        (("uint8", "float32"), "float32"),
        (("uint8", "int8"), "int16"),
        (("bool", "int8"), "int8"),
        (("bool", "bool"), "bool"),
        (("int64", "int8", "float32"), "float64"),
    ],
)
def test_upcast(dtypes: tuple[str, ...], result: str) -> None:
    assert upcast(*dtypes) == upcast(*reversed(dtypes)) == result


def test_dtypes() -> None:
    assert {check_dtype(np.dtype(name)) for name in DTYPES} == set(DTYPES)
    assert check_dtype(float) == "float64"
    for wrong in ("uint64", "float16", "complex64", "nonsense", object):
        with pytest.raises(TypeError, match="there is no dtype"):
            check_dtype(wrong)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(127, "int8"), (-128, "int8"), (128, "int16"), (2**31, "int64"), (-(2**31), "int32")],
)
def test_smallest_integer(value: int, dtype: str) -> None:
    assert smallest_integer(value) == dtype


def test_an_integer_that_fits_nowhere() -> None:
    with pytest.raises(OverflowError, match="does not fit in int64"):
        T.scalar() + 2**63


def test_static_and_symbolic_types() -> None:
    symbolic = tensor_type("float32", (True, False))
    assert symbolic.shape == (1, None)
    assert not symbolic.is_static
    with pytest.raises(TypeError, match="is not known before a function is called"):
        _ = symbolic.static_shape
    static = static_type("float32", (1, 3), (True, False))
    assert static.static_shape == (1, 3)
    assert static == symbolic
    assert static.shape != symbolic.shape
    assert static.with_dtype("int8").is_discrete


# --- variables ------------------------------------------------------------------------------------


def test_python_numbers_are_weak_constants() -> None:
    for value, dtype in ((3, "int8"), (3.0, "float64"), (1000, "int16")):
        v = as_variable(value)
        assert isinstance(v, Constant)
        assert (v.weak, v.dtype) == (True, dtype)
    for strong in (np.float32(3), np.int64(3), True, [1, 2], np.ones(2)):
        v = as_variable(strong)
        assert isinstance(v, Constant)
        assert not v.weak


def test_constants_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        constant([1.0, 2.0]).value[0] = 3


def test_a_constant_dimension_of_length_1_broadcasts() -> None:
    assert as_variable(np.ones((1, 3))).broadcastable == (True, False)


def test_nodes_know_the_line_that_made_them() -> None:
    x = T.dvector("x")
    y = T.exp(x)
    line = test_nodes_know_the_line_that_made_them.__code__.co_firstlineno + 2
    assert y.node is not None
    assert y.node.origins == y.origins == (Origin(__file__, line),)
    assert x.source == Origin(__file__, line - 1)
    assert at(y.source) == f"\n  made at {__file__}:{line}"
    assert at(None) == ""


@pytest.mark.parametrize("module", ["__main__", "notebook", None])
def test_code_without_a_file_has_lines(module: str | None) -> None:
    scope: dict[str, Any] = {"T": T} if module is None else {"T": T, "__name__": module}
    exec(compile("\nx = T.dvector('x')\ny = T.exp(x)", "<typed in>", "exec"), scope)
    assert str(scope["y"].source) == "<typed in>:3"


def test_a_gradient_of_a_gradient_is_marked_once() -> None:
    x = T.dvector("x")
    y = T.sum(x**3)
    first = T.grad(y, x)
    second = T.grad(T.sum(first**2), x)
    (origin, *_) = y.origins
    assert origin._replace(gradient=True) in first.origins
    assert len(set(second.origins)) == len(second.origins)
    assert all(o.gradient for o in second.origins)


def test_nodes_cannot_be_changed() -> None:
    y = T.sum(T.dmatrix("x"), axis=0)
    assert y.node is not None
    with pytest.raises(TypeError, match="does not support item assignment"):
        y.node.inputs[0].node.params["axes"] = (1,)  # type: ignore[index, union-attr]


def test_an_error_while_a_node_is_made_names_op_and_line() -> None:
    x = constant(np.ones((2, 3)))
    line = test_an_error_while_a_node_is_made_names_op_and_line.__code__.co_firstlineno + 4
    with pytest.raises(ShapeError, match="dot: the product of") as error:
        T.dot(x, x)
    assert str(error.value).endswith(f"made at {__file__}:{line}")


def test_two_ops_of_one_name() -> None:
    with pytest.raises(ValueError, match="the op 'add' is registered twice"):
        register_op(Op("add", OPS["add"].infer, None))


# --- walks ----------------------------------------------------------------------------------------


def test_toposort_has_each_node_once_after_its_inputs() -> None:
    x = T.dvector("x")
    y = T.exp(x)
    outputs = [y * y + T.tanh(y), y]
    order = toposort(outputs)
    assert [node.op.name for node in order] == ["exp", "mul", "tanh", "add"]
    seen: set[Any] = set()
    for node in order:
        assert all(v.node is None or v.node in seen for v in node.inputs)
        seen.add(node)


def test_leaves_in_order_of_use() -> None:
    x, y, z = T.dvector("x"), T.dvector("y"), T.dvector("z")
    assert leaves([y * x, T.exp(y), z]) == [y, x, z]


def test_substitute_keeps_names_lines_and_what_it_does_not_touch() -> None:
    x, y, z = T.dvector("x"), T.dvector("y"), T.dvector("z")
    kept, changed = T.exp(y), T.tanh(x)
    changed.name = "hidden"
    (result,) = substitute([kept + changed], {x: z})
    assert result.node is not None
    first, second = result.node.inputs
    assert first is kept
    assert second is not changed
    assert second.name == "hidden"
    assert second.node is not None
    assert second.node.inputs == (z,)
    assert second.node.origins == changed.origins
    assert leaves([result]) == [y, z]


def test_substitute_an_output_and_an_expression() -> None:
    x, y = T.dvector("x"), T.dvector("y")
    hidden = T.exp(x)
    total = T.sum(hidden)
    assert substitute([x, hidden], {x: y, hidden: x})[1] is x
    (result,) = substitute([total], {hidden: y})
    assert leaves([result]) == [y]
    assert substitute([total], {}) == [total]


def test_replacements_are_not_replaced_again() -> None:
    x, y = T.dvector("x"), T.dvector("y")
    (result,) = substitute([x - y], {x: y, y: x})
    assert result.node is not None
    assert result.node.inputs == (y, x)
