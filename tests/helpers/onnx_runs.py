"""Graphs exported to ONNX, and run by others: onnxruntime, or ONNX's own evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tinygrad_mnist import Variable
from tinygrad_mnist.onnx import export

WHY = "needs the extra onnx"
onnx: Any = pytest.importorskip("onnx", reason=WHY)
reference: Any = pytest.importorskip("onnx.reference", reason=WHY)
onnxruntime: Any = pytest.importorskip("onnxruntime", reason=WHY)

AnyArray = NDArray[Any]


def run(path: Path, values: Sequence[AnyArray]) -> list[AnyArray]:
    """The outputs of a model for values of its inputs.

    onnxruntime has no kernels of float64 for some operators, such as Conv; then ONNX's evaluator
    runs the model.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    model = onnx.load(path)
    named = dict(zip((i.name for i in model.graph.input), map(np.asarray, values), strict=True))
    try:
        session = onnxruntime.InferenceSession(path, options)
    except Exception as error:
        if "NOT_IMPLEMENTED" not in str(error):
            raise
        computed: list[AnyArray] = reference.ReferenceEvaluator(model).run(None, named)
        return computed
    outputs: list[AnyArray] = session.run(None, named)
    return outputs


def exported(
    path: Path,
    inputs: Sequence[Variable],
    outputs: Sequence[Variable] | Variable,
    values: Sequence[AnyArray],
    known: bool = False,
    **options: Any,
) -> list[AnyArray]:
    """The outputs of a graph for values of its inputs, computed by an exported model. known: export
    with the lengths of the values."""
    if known:
        shapes = (np.shape(value) for value in values)
        lengths = {v: [n or None for n in s] for v, s in zip(inputs, shapes, strict=True)}
        options["lengths"] = lengths
    export(path, inputs, outputs, **options)
    return run(path, values)


def operators(path: Path) -> list[str]:
    """The operators of a model, in order."""
    return [node.op_type for node in onnx.load(path).graph.node]


def initializers(path: Path) -> Mapping[str, AnyArray]:
    """The constant arrays of a model by name."""
    graph = onnx.load(path).graph
    return {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}


def check_near(got: AnyArray, wanted: AnyArray, tolerance: float = 1e-5) -> None:
    """Both have the same dtype and shape, and elements that are near, relative to themselves or to
    the largest finite one."""
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted)
        return
    finite = np.abs(wanted[np.isfinite(wanted)])
    scale = max(1.0, finite.max(initial=0.0))
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * scale)
