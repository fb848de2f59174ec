"""Every op: cases of the tests of ops, exported and run by another program."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate
from helpers.onnx_runs import check_near, exported
from helpers.op_cases import cases_of_ops

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ExportError
from tinygrad_mnist.graph.traversal import toposort

PER_OP = 3  # cases
WITH_PARAMETERS = ("conv", "pool", "index")  # ops whose parameters make the difference


def chosen() -> dict[str, Case]:
    """Cases in which each op comes several times, and more of those with parameters."""
    count: Counter[str] = Counter()
    found = {}
    for number, (name, case) in enumerate(cases_of_ops(differentiable=False).items()):
        y: Any = T.as_tensor_variable(case.expression(*case.inputs("float32")))
        ops = {node.op.name for node in toposort([y])}
        if any(count[op] < PER_OP for op in ops) or (
            name.startswith(WITH_PARAMETERS) and not number % 4
        ):
            count.update(ops)
            found[name] = case
    return found


CASES = list(chosen().items())
# onnxruntime's optimiser removes an Expand to no elements.
OPEN = {"set nothing"}
# Ops without a counterpart, or with one only for some arguments.
REFUSED = {
    "average_pool2d_grad_of",
    "conv2d_grad_filter_of",
    "conv2d_grad_input_of",  # of padded images, whose size isn't seen
    "images2neibs",
    "neibs2images_of",
    "pool2d",  # the winners
    "pow",  # negative powers of integers
    "recurrence",
    "repeated_indices",
    "require",
}
# With windows beyond the border, and with paddings that depend on the filters.
NEED_LENGTHS = {"average_pool2d", "conv2d", "conv2d_grad_input_of", "conv2d_of", "pool2d"}


def check(case: Case, dtype: str, known: bool, path: Path) -> str | None:
    """An exported case gives what the engine computes; or the op is returned that ONNX lacks."""
    inputs, values = case.inputs(dtype), case.arguments(dtype)
    y: Any = T.as_tensor_variable(case.expression(*inputs))
    (wanted,) = evaluate("cpu", inputs, [y], *values, on_unused_input="ignore")
    try:
        (got,) = exported(path, inputs, y, values, known)
    except ExportError as error:
        return str(error).split()[2]
    check_near(np.asarray(got), wanted)
    return None


@pytest.mark.parametrize("number", range(len(CASES)), ids=[name for name, _ in CASES])
def test_an_op(tmp_path: Path, number: int) -> None:
    """Every other case is exported with lengths that are known, every fifth in float64 too."""
    runs = [("float32", bool(number % 2))] + [("float64", True)] * (number % 5 == 0)
    case = CASES[number][1]
    runs = [(dtype, known and case.name not in OPEN) for dtype, known in runs]
    for dtype, known in runs:
        refused = check(case, dtype, known, tmp_path / "op.onnx")
        if refused in NEED_LENGTHS and not known:
            refused = check(case, dtype, True, tmp_path / "op.onnx")
        assert refused is None or refused in REFUSED
