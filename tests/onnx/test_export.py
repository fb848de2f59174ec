"""Whole networks, and what `export` says of its arguments."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.lines import line_of
from helpers.onnx_runs import check_near, exported, initializers, onnx, operators, run

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ExportError, GraphTypeError, MissingInputError, ShapeError
from tinygrad_mnist.models import RECIPES, book_net
from tinygrad_mnist.onnx import export, export_network

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("floatx", ["float32", "float64"])
@pytest.mark.parametrize("name", RECIPES)
def test_the_networks_of_the_book(tmp_path: Path, name: str, floatx: str) -> None:
    with theano.config.change_flags(floatX=floatx):
        net: Any = book_net(name, 4, seed=1).network
        for param in net.layers[-1].params:  # they start at 0
            param.set_value(RNG.normal(size=param.get_value().shape).astype(floatx))
        x = RNG.random((4, 784)).astype(floatx)
        wanted = theano.function([net.x], net.output)(x)
        export_network(net, tmp_path / "net.onnx")
        (got,) = run(tmp_path / "net.onnx", [x])
    check_near(got, wanted)
    arrays = initializers(tmp_path / "net.onnx")
    np.testing.assert_array_equal(arrays["softmax.w"], net.params[-2].get_value())
    if "conv1.w.flipped" in arrays:  # the filters of a true convolution
        w = net.params[0].get_value()
        np.testing.assert_array_equal(arrays["conv1.w.flipped"], w[:, :, ::-1, ::-1])
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert [i.name for i in graph.input] == ["x"]
    assert [o.name for o in graph.output] == ["probabilities"]
    shape = graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in shape] == [4, 784]


def test_a_network_is_written_with_few_operators(tmp_path: Path) -> None:
    """Fixed shapes are constants, and what does nothing is left out."""
    export_network(book_net("conv1", 4).network, tmp_path / "net.onnx")
    expected = "Reshape Conv MaxPool Add Sigmoid Reshape MatMul Add Sigmoid Reshape MatMul Add"
    assert operators(tmp_path / "net.onnx") == [*expected.split(), "Softmax", "Identity"]


def dense() -> tuple[Any, Any, Any]:
    x = T.matrix("x")
    w = theano.shared(RNG.normal(size=(3, 2)).astype(x.dtype), "w")
    return x, w, T.nnet.softmax(T.dot(x, w))


@pytest.mark.parametrize("n", [1, 5])
def test_any_number_of_rows(tmp_path: Path, n: int) -> None:
    x, _, y = dense()
    values = RNG.random((n, 3)).astype(x.dtype)
    (got,) = exported(tmp_path / "x", [x], y, [values])
    check_near(got, y.eval({x: values}))
    graph = onnx.load(tmp_path / "x").graph
    for port in (graph.input[0], graph.output[0]):
        assert port.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_shared_variables_are_frozen(tmp_path: Path) -> None:
    x, w, y = dense()
    values = np.ones((1, 3), x.dtype)
    before = y.eval({x: values})
    export(tmp_path / "x", [x], y)
    w.set_value(w.get_value() * 2)
    (got,) = run(tmp_path / "x", [values])
    check_near(got, before)


def test_a_shared_variable_as_an_input(tmp_path: Path) -> None:
    x, w, y = dense()
    values = [np.ones((1, 3), x.dtype), RNG.random((3, 2)).astype(x.dtype)]
    (got,) = exported(tmp_path / "x", [x, w], y, values)
    w.set_value(values[1])
    check_near(got, y.eval({x: values[0]}))


def test_a_part_of_a_graph(tmp_path: Path) -> None:
    """An expression can be an input."""
    x, _, y = dense()
    (got,) = exported(tmp_path / "x", [y], -y, [np.ones((2, 2), x.dtype)])
    check_near(got, -np.ones((2, 2), x.dtype))


def test_several_outputs_inputs_and_names(tmp_path: Path) -> None:
    x, y = T.vector("x"), T.vector()
    names = {x: "first", x + 1: "unused"}
    total = x + y
    export(tmp_path / "x", [x, y], [total, x, T.constant(3.0)], names={**names, total: "sum"})
    graph = onnx.load(tmp_path / "x").graph
    assert [i.name for i in graph.input] == ["first", "input"]
    assert [o.name for o in graph.output] == ["sum", "x", "output"]
    values = [RNG.random(3).astype(x.dtype), RNG.random(3).astype(x.dtype)]
    got = run(tmp_path / "x", values)
    check_near(got[0], values[0] + values[1])
    np.testing.assert_array_equal(got[1], values[0])
    assert got[2] == 3


def test_flatten_needs_no_shape_at_run_time(tmp_path: Path) -> None:
    x = T.tensor4("x")
    (got,) = exported(tmp_path / "x", [x], T.flatten(x, 2), [np.ones((2, 3, 4, 5), x.dtype)])
    assert got.shape == (2, 60)
    assert operators(tmp_path / "x") == ["Reshape", "Identity"]


def test_cross_entropies_stay_finite(tmp_path: Path) -> None:
    """The stable forms are exported, not what the program wrote."""
    x = T.matrix("x")
    values = np.array([[1000.0, 0.0, -1000.0]], x.dtype)
    (got,) = exported(tmp_path / "x", [x], T.log(T.nnet.softmax(x)), [values])
    np.testing.assert_array_equal(got, [[0, -1000, -2000]])
    assert "LogSoftmax" in operators(tmp_path / "x")


@pytest.mark.parametrize("opset", [18, 20, 22])
def test_opsets(tmp_path: Path, opset: int) -> None:
    x, _, y = dense()
    values = RNG.random((2, 3)).astype(x.dtype)
    (got,) = exported(tmp_path / "x", [x], y, [values], opset=opset)
    check_near(got, y.eval({x: values}))
    assert onnx.load(tmp_path / "x").opset_import[0].version == opset


# --- errors ---------------------------------------------------------------------------------------


def test_an_op_without_a_counterpart_is_named_with_its_line(tmp_path: Path) -> None:
    def expression(x: Any) -> Any:
        return T.nnet.softmax(T.nlinalg.matrix_inverse(x))

    x = T.matrix("x")
    y = expression(x)
    with pytest.raises(ExportError, match="op matrix_inverse can't be exported") as caught:
        export(tmp_path / "x", [x], y)
    assert str(caught.value).endswith(f"made at {line_of(expression, 1)}")
    assert not os.listdir(tmp_path)


def test_random_numbers_are_refused(tmp_path: Path) -> None:
    x = T.matrix("x")
    with pytest.raises(ExportError, match="op uniform can't be exported"):
        export(tmp_path / "x", [x], x * T.shared_randomstreams.RandomStreams(1).uniform((3, 3)))


def test_wrong_arguments(tmp_path: Path) -> None:
    x, _, y = dense()
    path = tmp_path / "x"
    with pytest.raises(MissingInputError, match="the outputs depend on x, which is not among"):
        export(path, [], y)
    with pytest.raises(GraphTypeError, match="inputs must be variables"):
        export(path, [3], y)  # type: ignore[list-item]
    with pytest.raises(GraphTypeError, match="an output is needed"):
        export(path, [x], [])
    with pytest.raises(ExportError, match="two inputs or outputs have the name 'x'"):
        export(path, [x], y, names={y: "x"})
    with pytest.raises(ExportError, match="opset is 5; it is 18 to"):
        export(path, [x], y, opset=5)
    for lengths in ((3,), (None, 0), (None, -1), (None, "a")):
        with pytest.raises(ShapeError, match="don't fit x"):
            export(path, [x], y, lengths={x: lengths})  # type: ignore[dict-item]
    with pytest.raises(FileNotFoundError, match="missing/x"):
        export(tmp_path / "missing" / "x", [x], y)
    assert not os.listdir(tmp_path)


def test_shapes_that_do_not_fit_are_found_by_lengths(tmp_path: Path) -> None:
    x, _, y = dense()
    with pytest.raises(ShapeError, match="dot"):
        export(tmp_path / "x", [x], y, lengths={x: (None, 4)})


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, _, y = dense()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad_mnist\[onnx\]'"):
        export(tmp_path / "x", [x], y)
