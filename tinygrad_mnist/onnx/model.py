"""ONNX's own file format, made of a graph; the only module that uses the package onnx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tinygrad_mnist._version import __version__
from tinygrad_mnist.errors import ExportError
from tinygrad_mnist.onnx.graph import Graph

OLDEST_OPSET = 18  # since it, operators take the axes of reductions as an input
_MAX_BYTES = (1 << 31) - 1  # of a file in the format of Protocol Buffers


class Port(NamedTuple):
    """An input or output of a model: per axis a length, a name for it, or None."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


def serialised(
    graph: Graph, inputs: Sequence[Port], outputs: Sequence[Port], opset: int | None, name: str
) -> bytes:
    """The bytes of a model, which ONNX's checker has accepted.

    opset: the version of the operators, by default the oldest that serves. Raises ImportError
    without the package onnx, ExportError for an opset that is too old or unknown, and for a model
    of 2 GiB or more.
    """
    onnx = _package()
    helper = onnx.helper
    newest = onnx.defs.onnx_opset_version()
    chosen = OLDEST_OPSET if opset is None else opset
    if not OLDEST_OPSET <= chosen <= newest:
        raise ExportError(f"opset is {opset}; it is {OLDEST_OPSET} to {newest}")
    if sum(array.nbytes for array in graph.arrays.values()) > _MAX_BYTES:
        raise ExportError("the model has 2 GiB or more, which is too much for a file of ONNX")
    nodes = [
        helper.make_node(c.operator, c.inputs, c.outputs, c.outputs[0], **_attributes(onnx, c))
        for c in graph.calls
    ]
    arrays = [onnx.numpy_helper.from_array(a, n) for n, a in graph.arrays.items()]
    ports = [[_port(onnx, port) for port in side] for side in (inputs, outputs)]
    opsets = [helper.make_opsetid("", chosen)]
    model = helper.make_model(
        helper.make_graph(nodes, name, *ports, arrays),
        opset_imports=opsets,
        # The oldest that serves, so that older programs can read the file.
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="tinygrad_mnist",
        producer_version=__version__,
    )
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, data_prop=True)
    for port, known in zip(model.graph.output, inferred.graph.output, strict=True):
        port.CopyFrom(known)  # a length that is the batch's has its name
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _package() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            f"the export to ONNX needs the package onnx ({error}): "
            "pip install 'tinygrad_mnist[onnx]'"
        ) from None
    return onnx


def _attributes(onnx: Any, call: Any) -> Mapping[str, Any]:
    attributes = dict(call.attributes)
    if call.operator == "Cast":
        attributes["to"] = _element_type(onnx, attributes["to"])
    return attributes


def _element_type(onnx: Any, dtype: str) -> Any:
    names = {"float32": "FLOAT", "float64": "DOUBLE"}
    return getattr(onnx.TensorProto, names.get(dtype, dtype.upper()))


def _port(onnx: Any, port: Port) -> Any:
    kind = _element_type(onnx, port.dtype)
    return onnx.helper.make_tensor_value_info(port.name, kind, port.shape)
