"""Drawings in DOT: valid, complete, and written to files."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

STATEMENT = re.compile(r"  (\w+)(?: -> (\w+))?(?: \[(.*)\])?;")
ATTRIBUTE = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass
class Drawing:
    """Nodes by id and edges, both with their attributes."""

    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    edges: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def labels(self) -> dict[str, str]:
        return {name: attributes["label"] for name, attributes in self.nodes.items()}


def parse_dot(text: str) -> Drawing:
    """Reads DOT as the package writes it: one statement a line, every value in quotes."""
    first, *lines, last = text.splitlines()
    assert (first, last) == ("digraph {", "}")
    drawing = Drawing()
    for line in lines:
        statement = STATEMENT.fullmatch(line)
        assert statement, line
        name, target, inside = statement.groups(default="")
        pairs = ATTRIBUTE.findall(inside)
        assert ", ".join(f'{key}="{value}"' for key, value in pairs) == inside
        attributes = {
            key: re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value)
            for key, value in pairs
        }
        if target:
            assert {name, target} <= set(drawing.nodes), "an edge joins undefined nodes"
            drawing.edges.append((name, target, attributes))
        elif name not in ("node", "edge"):
            assert name not in drawing.nodes, "defined twice"
            drawing.nodes[name] = attributes
    return drawing


def layer() -> tuple[Any, Any]:
    x, w = T.fmatrix("x"), theano.shared(np.ones((3, 4), "float32"), "w")
    return x, T.tanh(T.dot(x, w) + 1)


def step() -> theano.Function:
    x, output = layer()
    w = output.node.inputs[0].node.inputs[0].node.inputs[1]
    i = T.lscalar("i")
    data = theano.shared(np.ones((6, 3), "float32"), "data")
    given = {x: data[i * 2 : (i + 1) * 2]}
    return theano.function([i], output, updates=[(w, w * 2)], givens=given, name="step")


def test_a_graph() -> None:
    _, output = layer()
    drawing = parse_dot(theano.printing.dot(output))
    labels = sorted(drawing.labels().values())
    assert labels == [
        "1.0\nfloat32 scalar",
        "add\nfloat32 matrix",
        "dimshuffle{x,x}\nfloat32(1, 1)",
        "dot\nfloat32 matrix",
        "tanh\nfloat32 matrix",
        "w\nfloat32 matrix",
        "x\nfloat32 matrix",
    ]
    names = {label.split("\n")[0]: name for name, label in drawing.labels().items()}
    assert (names["x"], names["dot"], {"label": "0"}) in drawing.edges
    assert (names["w"], names["dot"], {"label": "1"}) in drawing.edges
    assert (names["add"], names["tanh"], {}) in drawing.edges
    assert len(drawing.edges) == 6
    tooltip = drawing.nodes[names["dot"]]["tooltip"]
    assert tooltip.startswith(f"{__file__}:")


def test_a_shared_expression_is_drawn_once() -> None:
    x = T.dscalar("x")
    drawing = parse_dot(theano.printing.dot([T.exp(x) * T.exp(x), x]))
    assert len(drawing.nodes) == 4
    y = T.exp(x)
    drawing = parse_dot(theano.printing.dot([y * y, y]))
    assert len(drawing.nodes) == 3
    assert len(drawing.edges) == 3


def test_a_plan(device: str) -> None:
    function = step()
    assert theano.printing.dot(function) == theano.printing.dot(function.expressions)
    function(0)
    text = theano.printing.dot(function)
    assert text == theano.printing.dot(function.plan)
    drawing = parse_dot(text)
    labels = drawing.labels()
    kernels = [label for name, label in labels.items() if name.startswith("k")]
    assert [k.split("\n")[0] for k in kernels] == [
        f"{number} {call.kernel}" for number, call in enumerate(function.plan.calls)
    ]
    assert all(k.endswith(" B") for k in kernels)
    buffers = [label.split("\n")[0] for name, label in labels.items() if name.startswith("b")]
    assert buffers.count("w") == 2  # before and after the update
    assert buffers.count("data") == 1
    old, new = (name for name, label in labels.items() if label.startswith("w\n"))
    assert drawing.nodes[new]["tooltip"] == "shared, written"
    assert not [edge for edge in drawing.edges if edge[0] == new or edge[1] == old]
    assert {"label": "data+s0:2x3"} in [attributes for *_, attributes in drawing.edges]


def test_a_buffer_written_in_parts_keeps_its_first_part() -> None:
    x = T.dmatrix("x")
    function = theano.function([x], T.grad(T.sum(T.sqr(x[1:])), x))
    function(np.ones((3, 2)))
    drawing = parse_dot(theano.printing.dot(function))
    zeros, whole = (name for name, label in drawing.labels().items() if label.startswith("out0\n"))
    assert (zeros, whole, {"style": "dotted"}) in drawing.edges


NASTY = ['say "hi"', "back\\slash", "two\nlines", "\\", '"', "a -> b; }", "\\N", "naïve ∂x", ""]


@pytest.mark.parametrize("name", NASTY)
def test_names_are_escaped(name: str) -> None:
    x = T.dscalar(name)
    drawing = parse_dot(theano.printing.dot(T.exp(x)))
    assert sorted(drawing.labels().values()) == sorted(
        [f"{name}\nfloat64 scalar" if name else "float64 scalar", "exp\nfloat64 scalar"]
    )
    w = theano.shared(np.ones(2), name)
    function = theano.function([], w * 2)
    function()
    plan = parse_dot(theano.printing.dot(function))
    assert [label for label in plan.labels().values() if label.endswith("\nfloat64 2")]


def test_long_lines_are_cut() -> None:
    x = T.dmatrix("x")
    for number in range(20):
        x = T.tanh(x) + number
    function = theano.function([next(iter(leaves_of(x)))], x)
    function(np.ones((2, 2)))
    labels = parse_dot(theano.printing.dot(function)).labels().values()
    lines = [line for label in labels for line in label.split("\n")]
    assert max(map(len, lines)) <= 70
    assert any(line.endswith("...") for line in lines)


def leaves_of(x: Any) -> list[Any]:
    while x.node is not None:
        x = x.node.inputs[0]
    return [x]


def test_what_is_no_graph_is_an_error() -> None:
    with pytest.raises(TypeError, match="dot prints variables, lists of them, and functions"):
        theano.printing.dot("x")


# --- files ---------------------------------------------------------------------------------------


def test_dot_files_need_no_graphviz(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _, output = layer()
    for name, how in [("a.dot", {}), ("b.gv", {}), ("c", {"format": "dot"})]:
        theano.printing.pydotprint(output, tmp_path / name, **how)
        assert (tmp_path / name).read_text() == theano.printing.dot(output)
        assert capsys.readouterr().out == f"The output file is available at {tmp_path / name}\n"


def test_options_of_theano(tmp_path: Path) -> None:
    y = T.dvector("x") * 2
    plain, looks = tmp_path / "plain.dot", tmp_path / "looks.dot"
    theano.printing.pydotprint([y], plain)
    theano.printing.pydotprint([y], looks, var_with_name_simple=True, with_ids=True)
    assert looks.read_text() == plain.read_text()
    with pytest.raises(TypeError, match="pydotprint has no option 'return_image'"):
        theano.printing.pydotprint([y], plain, return_image=True)


def test_missing_graphviz_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _, output = layer()
    with pytest.raises(RuntimeError, match=r"(?s)as svg needs Graphviz.*apt install graphviz"):
        theano.printing.pydotprint(output, tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()


def stand_in(folder: Path, script: str) -> None:
    """A command `dot` that runs a shell script."""
    command = folder / "dot"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(command.stat().st_mode | stat.S_IEXEC)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_graphviz_gets_the_text_and_the_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(tmp_path, 'echo "$1"; /bin/cat')
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _, output = layer()
    text = theano.printing.dot(output)
    theano.printing.pydotprint(output, "a.svg", print_output_file=False)
    assert (tmp_path / "a.svg").read_text() == f"-Tsvg\n{text}"
    assert capsys.readouterr().out == ""
    theano.printing.pydotprint(output)
    assert (tmp_path / "pydotprint.png").read_text() == f"-Tpng\n{text}"
    theano.printing.pydotprint(output, "b.out", format="pdf")
    assert (tmp_path / "b.out").read_text().startswith("-Tpdf\n")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_an_error_of_graphviz_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "echo 'Format: \"xyz\" not recognized' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r'can\'t write .*a.xyz: Format: "xyz" not recognized'):
        theano.printing.pydotprint(layer()[1], tmp_path / "a.xyz")
