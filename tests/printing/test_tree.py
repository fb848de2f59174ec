"""`debugprint`, and what variables are called."""

from __future__ import annotations

import io

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812


def test_a_tree_with_what_is_shared_expanded_once() -> None:
    x, w = T.dmatrix("x"), theano.shared([[1.0]], "w")
    z = T.dot(x, w)
    assert theano.debugprint(T.exp(z) + z, file="str") == "\n".join(
        [
            "add [A]",
            " |exp [B]",
            " | |dot [C]",
            " | | |x [D]",
            " | | |w [E]",
            " |dot [C] ...",
        ]
    )


def test_types_names_and_constants() -> None:
    x = T.fvector("x")
    y = 2 * x
    y.name = "double"
    assert theano.debugprint([y, y], file="str", print_type=True) == "\n".join(
        [
            "mul 'double' [A] <float32 vector>",
            " |dimshuffle{x} [B] <float32(1)>",
            " | |2.0 [C] <float32 scalar>",
            " |x [D] <float32 vector>",
            "mul 'double' [A] <float32 vector> ...",
        ]
    )


def test_depth_stops_the_walk() -> None:
    x = T.dmatrix("x")
    y = T.tanh(T.sum(x, axis=0)) * 2
    lines = ["mul [A]", " |tanh [B] ...", " |dimshuffle{x} [C] ..."]
    assert theano.debugprint(y, 1, file="str") == "\n".join(lines)
    assert theano.debugprint(y, depth=0, file="str") == "mul [A] ..."


def test_identifiers() -> None:
    x = T.dvector("x")
    y = T.exp(x) + x
    shapes = {"CHAR": "[{}]", "int": "[{}]", "id": "[id {}]"}
    names = {"CHAR": "ABC", "int": "012", "id": [id(v) for v in (y, y.node.inputs[0], x)]}
    for ids, shape in shapes.items():
        a, b, c = (shape.format(name) for name in names[ids])
        lines = [f"add {a}", f" |exp {b}", f" | |x {c}", f" |x {c}"]
        assert theano.debugprint(y, file="str", ids=ids) == "\n".join(lines)
    assert theano.debugprint(y, file="str", ids="") == "add\n |exp\n | |x\n |x"
    with pytest.raises(TypeError, match="ids of debugprint"):
        theano.debugprint(y, ids="hex")


def test_names_stop_the_walk() -> None:
    x = T.dvector("x")
    named = T.exp(x)
    named.name = "e"
    text = theano.debugprint(named * 2, file="str", stop_on_name=True)
    assert text is not None
    assert text.splitlines()[1] == " |exp 'e' [B] ..."
    assert "|x" not in text.replace("dimshuffle{x}", "")


def test_parameters_that_tell_what_an_op_does() -> None:
    x = T.dmatrix("x")
    for expression, first in [
        (T.sum(x, axis=0, keepdims=True), "sum{0}"),
        (x.max(), "dimshuffle{}"),
        (x.T, "dimshuffle{1,0}"),
        (T.cast(x, "int32"), "cast{int32}"),
        (T.argmax(x, axis=1, keepdims=True), "argmax{1}"),
    ]:
        text = theano.debugprint(expression, file="str")
        assert text is not None
        assert text.splitlines()[0] == f"{first} [A]"


def test_what_is_no_graph_is_named() -> None:
    with pytest.raises(TypeError, match=r"debugprint prints variables, .*; 3 is none"):
        theano.debugprint(3)
    with pytest.raises(TypeError, match=r"file object or returns 'str', not 'graph\.txt'"):
        theano.debugprint(T.dscalar("x"), file="graph.txt")


def test_a_function_shows_outputs_then_updates() -> None:
    x, w = T.dscalar("x"), theano.shared(1.0, "w")
    function = theano.function([x], x * 2, updates=[(w, w + x)])
    lines = theano.printing.debugprint(function, file="str")
    assert lines is not None
    assert [line for line in lines.splitlines() if not line.startswith(" ")] == [
        "mul [A]",
        "add [D]",
    ]


def test_printed_to_standard_output_or_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    x = T.dscalar("x")
    assert theano.debugprint(-x) is None
    file = io.StringIO()
    theano.debugprint(-x, file=file)
    assert capsys.readouterr().out == file.getvalue() == "neg [A]\n |x [B]\n"


def test_letters_go_on_after_z() -> None:
    x = T.dscalar("x")
    for _ in range(30):
        x = -x
    text = theano.debugprint(x, file="str")
    assert text is not None
    assert text.splitlines()[25].endswith("neg [Z]")
    assert text.splitlines()[26].endswith("neg [AA]")
    assert text.splitlines()[30].endswith("|x [AE]")


def test_words_for_variables() -> None:
    x = T.dmatrix("x")
    assert str(x) == repr(x) == "x"
    assert str(T.exp(x)) == "exp"
    assert str(T.dmatrix()) == "<float64 matrix>"
    assert str(T.as_tensor_variable(3)) == "3"
    assert str(T.as_tensor_variable(np.float32(0.1))) == "0.1"
    assert str(T.as_tensor_variable([1.0, 2.0])) == "<constant float64(2)>"
    assert str(T.row("r", "float32").type) == "float32(1, ?)"
    assert str(T.tensor4("t", "int8").type) == "int8 tensor4"
    assert repr(T.exp(x).node) == "exp(x)"
