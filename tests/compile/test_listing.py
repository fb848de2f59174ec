"""Plans as text: calls with what they cost, and the totals."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.graphs import ALL_KERNELS
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.compile.listing import counted, scaled, short_names, show_origins, show_values
from tinygrad_mnist.compile.pipeline import compile_plan
from tinygrad_mnist.compile.plan import COLUMNS, Plan
from tinygrad_mnist.graph.source import Origin

X, Y, R, I = T.dmatrix("x"), T.dmatrix("y"), T.row("r", "float64"), T.lvector("i")  # noqa: E741
SHAPES = {X: (30, 40), Y: (40, 50), R: (1, 40), I: (7,)}


def plan_of(*outputs: Any, fuse: bool = True) -> Plan:
    return compile_plan(list(outputs), {}, SHAPES, {}, "fused", ALL_KERNELS, fuse).plan


@pytest.mark.parametrize(
    ("expression", "nbytes"),
    [
        (T.exp(X), 2 * 30 * 40 * 8),
        (X * X, 2 * 30 * 40 * 8),  # read once
        (X + R, (2 * 30 * 40 + 40) * 8),  # the row as it lies in memory
        (X + 1, 2 * 30 * 40 * 8),
        (T.dot(X, Y), (30 * 40 + 40 * 50 + 30 * 50) * 8),
        (T.dot(X, X.T), (30 * 40 + 30 * 30) * 8),  # both operands are the same elements
        (T.sum(X, axis=0), (30 * 40 + 40) * 8),
        (T.cast(X, "float32"), 30 * 40 * 12),
        (X[:10] * X[10:20], 3 * 10 * 40 * 8),
        (X[:, :1] + X[:, :1], 2 * 30 * 8),
    ],
    ids=str,
)
def test_bytes_read_and_written(expression: Any, nbytes: int) -> None:
    plan = plan_of(expression)
    assert [call.nbytes for call in plan.calls] == [nbytes]
    assert plan.nbytes == nbytes


def test_picked_rows_are_read_alone() -> None:
    check, gather = plan_of(X[I]).calls
    assert check.nbytes == 7 * 8
    assert gather.nbytes == (2 * 7 * 40 + 7) * 8


def test_what_is_updated_in_place_is_read_and_written(device: str) -> None:
    w = theano.shared(np.zeros((20, 5)), "w")
    step = theano.function([], [], updates=[(w, w * 2)])
    step()
    calls = [call for call in step.plan.calls if call.outputs]
    assert [call.nbytes for call in calls] == [2 * 20 * 5 * 8] * len(calls)
    assert step.plan.shared_bytes == 20 * 5 * 8


def test_a_plan_says_what_runs(device: str) -> None:
    x, i = T.dmatrix("x"), T.lscalar("i")
    function = theano.function([x, i], T.exp(x[i]) * 2)
    function([[1.0, 2.0], [3.0, 4.0]], 1)
    first, head, *lines = str(function.plan).splitlines()
    n = len(function.plan.calls)
    calls, (total, *legend) = lines[:n], lines[n:]
    assert first == f"plan for {function.device}: {n} call{'s' * (n > 1)}"
    assert head.split() == ["#", "FLOP", "bytes", "call"]
    assert [call.split()[0] for call in calls] == [str(number) for number in range(n)]
    assert " elementwise(x+s0:2)" in calls[0]
    assert "tape: exp(i0)" in calls[0]
    line = test_a_plan_says_what_runs.__code__.co_firstlineno + 2
    assert all(call.endswith(f"  from {Path(__file__).name}:{line}") for call in calls)
    assert total.endswith("; shared 0 B in 0 variables; 1 slot")
    assert legend == [
        "dtype: float64 where none is shown",
        "slot s0: index [i] in 2, computed before each run",
    ]


def test_costs_and_totals() -> None:
    text = str(plan_of(T.dot(X, Y) * 2)).splitlines()
    assert text[2:] == [
        "  0    122 k   37.6 k  out0:30x50 = gemm(x:30x40, y:40x50)  epilogue: i0 * 2"
        f"  from test_listing.py:{test_costs_and_totals.__code__.co_firstlineno + 1}",
        "total: 122 kFLOP; 37.6 kB read and written; arena 0 B for 0 temporaries; "
        "shared 0 B in 0 variables; 0 slots",
        "dtype: float64 where none is shown",
    ]


def test_dtypes_strides_offsets_axes_and_casts_are_shown() -> None:
    f = T.fmatrix("f")
    texts = {
        "cast(f)": (T.cast(f, "float64"), "out0:4x6 float64 = elementwise{cast}(f:4x6)"),
        "copy": (f, "f:4x6 = elementwise{copy}(f:4x6)"),
        "transpose": (f.T * 2, "(f:6x4 strides 1x6)"),
        "row": (f[1] * 2, "(f+6:6)"),
        "columns": (f[:, 2:4] * 2, "(f+2:4x2 strides 6x1)"),
        "reversed": (f[0, ::-1] * 2, "(f+5:6 strides -1)"),
        "sum": (T.sum(f, axis=1), "= reduce{sum over 1}("),
        "argmax": (T.argmax(f, axis=1), "= argmax{axis 1}("),
        "cumsum": (T.cumsum(f, axis=0), "= cumsum{axis 0}("),
        "truth": (T.gt(f, 0), "out0:4x6 bool = "),
    }
    for name, (expression, text) in texts.items():
        plan = compile_plan([expression], {}, {f: (4, 6)}, {}, "fused", ALL_KERNELS, True).plan
        assert text in str(plan), f"{name}:\n{plan}"


def test_constants_and_slots_are_explained() -> None:
    x, i = T.dmatrix("x"), T.lscalar("i")
    values = x[i * 2 : i * 2 + 3, 0] + [3.0, 4.0, 5.0] + x[-1, i]
    function = theano.function([x, i], [values, x[:, 0] + np.arange(9.0), x[i:, ::2] * 1])
    function(np.ones((9, 9)), 1)
    constants = [b.name for b in function.plan.buffers if b.value is not None]
    text = str(function.plan)
    assert text.splitlines()[-6:] == [
        "dtype: float64 where none is shown",
        "slot s0: start of [int64(i * 2) : int64(int64(i * 2) + 3)] in 9, computed before each run",
        "slot s1: index [i] in 9, computed before each run",
        "slot s2: start of [i :] in 9, computed before each run",
        f"constant {constants[0]}: 3.0, 4.0, 5.0",
        f"constant {constants[1]}: 9 values from 0.0 to 8.0",
    ]
    assert "(x+s0:3 strides 9, c" in text


def test_a_slot_of_much_arithmetic_names_the_line_of_the_host_program() -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    start = i
    for number in range(40):
        start = start + (start - start) * number
    function = theano.function([x, i], x[start : start + 2] * 2)
    function(np.ones(9), 3)
    (slot,) = [line for line in str(function.plan).splitlines() if line.startswith("slot s0")]
    name = re.search(r"\[(t\d+) of host", slot)
    assert name is not None
    assert f"    {name[1]} = " in function.plan.host.text
    assert len(slot) < 150


def test_files_of_one_name_are_told_apart() -> None:
    names = short_names({"/a/model.py", "/b/model.py", "/a/train.py"})
    assert [names[f"/{folder}/model.py"] for folder in "ab"] == ["/a/model.py", "/b/model.py"]
    layer = Origin("/a/train.py", 3, layer="fc1 (network3 layer 0)")
    text = show_origins((layer, Origin("/b/model.py", 5, gradient=True)), names)
    assert text == "fc1 (network3 layer 0), train.py:3; gradient of /b/model.py:5"
    no_line = Origin("", 0, gradient=True, layer="fc1 (network3 layer 0)")  # all in the package
    assert str(no_line) == "gradient of fc1 (network3 layer 0)"


def test_lines_fit_a_wide_terminal() -> None:
    x = X
    for number in range(12):
        x = T.tanh(x + number) * T.exp(x)
    text = str(plan_of(x, T.dot(x, Y)))
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert len(text.splitlines()) > 5
    golden = Path(__file__).parent / "golden" / "conv2_relu_step.txt"
    assert max(map(len, golden.read_text().splitlines())) <= COLUMNS


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 "),
        (7, "7 "),
        (999, "999 "),
        (1000, "1.00 k"),
        (9994, "9.99 k"),
        (9996, "10.0 k"),
        (99_960, "100 k"),
        (999_600, "1.00 M"),
        (92_876_543, "92.9 M"),
        (1.5e9, "1.50 G"),
        (2e12, "2 T"),
    ],
)
def test_three_digits(value: float, text: str) -> None:
    assert scaled(value) == text


@given(
    st.sampled_from([9.995, 99.95, 999.5, 1.0, 10.0, 100.0]),
    st.integers(1, 3),
    st.sampled_from([-1e-6, -1e-15, 0.0, 1e-15, 1e-6]),
)
def test_three_digits_at_every_edge(edge: float, power: int, off: float) -> None:
    value = edge * 1000.0**power * (1 + off)
    number, prefix = scaled(value).split(" ")
    assert len(number.replace(".", "")) == 3 or prefix == "T"
    unit = 1000.0 ** ("", "k", "M", "G", "T").index(prefix)
    assert abs(float(number) * unit - value) <= 0.0051 * value


@pytest.mark.parametrize("n", range(10))
def test_a_few_values_are_written_out(n: int) -> None:
    values = np.arange(n) * 2
    if n <= 6:
        assert show_values(values) == (", ".join(map(str, values.tolist())) or "no elements")
    else:
        assert show_values(values) == f"{n} values from 0 to {2 * n - 2}"


def test_plurals() -> None:
    assert [counted(n, "temporary") for n in (0, 1, 2)] == [
        "0 temporaries",
        "1 temporary",
        "2 temporaries",
    ]
    assert counted(1, "slot") == "1 slot"
    assert counted(3, "slot") == "3 slots"
