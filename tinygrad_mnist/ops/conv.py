"""Two-dimensional convolution and its two gradients.

Images are (batch, channels, height, width), filters (filters, channels, height, width). With
`flip` 1 the filter is flipped in both axes, which is convolution proper and Theano's default; with
0 it is cross-correlation. `epilogue` is the identity until the fusion rules put bias, activation
or an update there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.base import Params
from tinygrad_mnist.contracts.tape import Tape
from tinygrad_mnist.errors import GraphTypeError, ShapeError
from tinygrad_mnist.graph.host import HostValues
from tinygrad_mnist.graph.op import Op, as_variable, register_op
from tinygrad_mnist.graph.operators import word
from tinygrad_mnist.graph.types import FLOATS, TensorType, upcast
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import cast
from tinygrad_mnist.ops.shape import integer_pair

Pair = tuple[int, int]
Border = str | Pair


def padding_of(border: Border, filter_size: Pair) -> Pair:
    """Zeros added on each side: none for 'valid', all that overlap for 'full', half for 'half'."""
    if border == "valid":
        return (0, 0)
    if border == "full":
        return (filter_size[0] - 1, filter_size[1] - 1)
    if border == "half":
        return (filter_size[0] // 2, filter_size[1] // 2)
    assert not isinstance(border, str)
    return border


def _check_declared(params: Params, types: Sequence[TensorType]) -> None:
    """Compares the shapes that the user declared with those that came."""
    for what, declared, actual in zip(("image", "filter"), params["declared"], types, strict=True):
        if declared is None:
            continue
        for n, m in zip(declared, actual.shape, strict=True):
            if None not in (n, m) and n != m:
                raise ShapeError(f"the {what}_shape is {declared}, the array's is {actual.shape}")


def output_size(size: Pair, filter_size: Pair, padding: Pair, stride: Pair) -> Pair:
    """Height and width of a convolution's result; ShapeError where the filter doesn't fit."""
    if min(filter_size) < 1:
        raise ShapeError(f"a filter of {filter_size} has no elements")
    result = tuple(
        (n + 2 * p - k) // s + 1
        for n, k, p, s in zip(size, filter_size, padding, stride, strict=True)
    )
    if min(result) < 1:
        raise ShapeError(
            f"a filter of {filter_size} doesn't fit images of {size} with padding {padding}"
        )
    return result[0], result[1]


def _pair_known(lengths: Sequence[int | None]) -> Pair | None:
    first, second = lengths
    return None if first is None or second is None else (first, second)


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, w = types[:2]
    _check_declared(params, (x, w))
    if None not in (x.shape[1], w.shape[1]) and x.shape[1] != w.shape[1]:
        raise ShapeError(
            f"images of shape {x.shape} have {x.shape[1]} channels, "
            f"filters of shape {w.shape} have {w.shape[1]}"
        )
    size, filter_size = _pair_known(x.shape[2:]), _pair_known(w.shape[2:])
    spatial: tuple[int | None, int | None] = (None, None)
    if size and filter_size:
        padding = padding_of(params["padding"], filter_size)
        spatial = output_size(size, filter_size, padding, params["stride"])
    broadcastable = (x.broadcastable[0], w.broadcastable[0], False, False)
    return [TensorType(x.dtype, broadcastable, (x.shape[0], w.shape[0], *spatial))]


def _specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    x, w = inputs
    return [CONV2D(x, w, **_static_params(node, w.type.static_shape))]


def _static_params(node: Node, filter_shape: tuple[int, ...]) -> dict[str, Any]:
    params = dict(node.params)
    params["padding"] = padding_of(params["padding"], (filter_shape[2], filter_shape[3]))
    return params


def _vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    (x, w), g = node.inputs, cotangents[0]
    assert g is not None
    params = {k: v for k, v in node.params.items() if k != "declared"}
    return [_GRAD_INPUT_OF(w, g, x, **params), _GRAD_FILTER_OF(x, g, w, **params)]


CONV2D = register_op(
    Op(
        "conv2d",
        _infer,
        CONTRACTS["conv2d"].reference,
        vjp=_vjp,
        specialise=_specialise,
        contract="conv2d",
    )
)


# --- gradients --------------------------------------------------------------------------------
# The symbolic forms take the array whose gradient they compute as a third input, for its shape
# alone; specialised, that shape is a parameter.


def _shape_like_third(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [types[2]]


def static_shape_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    """The type of a gradient whose shape is a parameter."""
    return [TensorType(types[1].dtype, params["broadcastable"], params["shape"])]


def _grad_input_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> list[Variable]:
    w, g, x = inputs
    params = _static_params(node, w.type.static_shape)
    return [
        CONV2D_GRAD_INPUT(w, g, **params, shape=x.type.static_shape, broadcastable=x.broadcastable)
    ]


def _grad_filter_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> list[Variable]:
    x, g, w = inputs
    params = _static_params(node, w.type.static_shape)
    return [
        CONV2D_GRAD_FILTER(x, g, **params, shape=w.type.static_shape, broadcastable=w.broadcastable)
    ]


def _grad_input_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    (w, g, _), h = node.inputs, cotangents[0]
    assert h is not None
    params = dict(node.params)
    return [
        _GRAD_FILTER_OF(h, g, w, **params),
        CONV2D(h, w, **params, declared=(None, None)),
        None,
    ]


def _grad_filter_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    (x, g, _), h = node.inputs, cotangents[0]
    assert h is not None
    params = dict(node.params)
    return [
        _GRAD_INPUT_OF(h, g, x, **params),
        CONV2D(x, h, **params, declared=(None, None)),
        None,
    ]


_GRAD_INPUT_OF = register_op(
    Op(
        "conv2d_grad_input_of",
        _shape_like_third,
        None,
        vjp=_grad_input_vjp,
        specialise=_grad_input_specialise,
    )
)
_GRAD_FILTER_OF = register_op(
    Op(
        "conv2d_grad_filter_of",
        _shape_like_third,
        None,
        vjp=_grad_filter_vjp,
        specialise=_grad_filter_specialise,
    )
)
# w (O, C, KH, KW), g (N, O, OH, OW) -> gradient of the images, (N, C, H, W)
CONV2D_GRAD_INPUT = register_op(
    Op(
        "conv2d_grad_input",
        static_shape_infer,
        CONTRACTS["conv2d_grad_input"].reference,
        contract="conv2d_grad_input",
    )
)
# x (N, C, H, W), g (N, O, OH, OW) -> gradient of the filters, (O, C, KH, KW)
CONV2D_GRAD_FILTER = register_op(
    Op(
        "conv2d_grad_filter",
        static_shape_infer,
        CONTRACTS["conv2d_grad_filter"].reference,
        contract="conv2d_grad_filter",
    )
)


def _declared_shape(shape: Any, what: str) -> tuple[int | None, ...] | None:
    if shape is None:
        return None
    lengths = tuple(None if n is None else int(n) for n in shape)
    if len(lengths) != 4:
        raise GraphTypeError(f"{what} is {shape}; it has four numbers")
    return lengths


def _border(border_mode: Any) -> Border:
    if isinstance(border_mode, str):
        if border_mode not in ("valid", "full", "half"):
            raise GraphTypeError(
                f"border_mode is {border_mode!r}; it can be 'valid', 'full', 'half', an int, "
                "or a pair of ints"
            )
        return border_mode
    return integer_pair(border_mode, "border_mode", 0)


@word
def conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: tuple[int, int] = (1, 1),
    filter_flip: bool = True,
    image_shape: Any = None,
) -> Variable:
    """Convolves images (batch, channels, height, width) with filters (filters, channels, h, w).

    input_shape (older name: image_shape) and filter_shape: the shapes, or None, checked when the
    function runs. border_mode: 'valid', 'full', 'half', an int or a pair of paddings. subsample:
    the strides. filter_flip: flip the filters, as convolution proper does.

    Returns (batch, filters, height, width) in the inputs' dtype. Raises GraphTypeError for
    operands that have not four dimensions, ShapeError where shapes don't fit.
    """
    x, w = as_variable(input), as_variable(filters)
    if x.ndim != 4 or w.ndim != 4:
        raise GraphTypeError(f"conv2d takes two 4-d tensors, not {x.type} and {w.type}")
    if image_shape is not None and input_shape is not None:
        raise GraphTypeError("conv2d got input_shape and image_shape, which are one thing")
    strides = integer_pair(subsample, "subsample", 1)
    dtype = upcast(x.dtype, w.dtype)
    dtype = dtype if dtype in FLOATS else config.floatX
    declared = (
        _declared_shape(image_shape if input_shape is None else input_shape, "input_shape"),
        _declared_shape(filter_shape, "filter_shape"),
    )
    return CONV2D(
        cast(x, dtype),
        cast(w, dtype),
        stride=strides,
        padding=_border(border_mode),
        flip=int(bool(filter_flip)),
        declared=declared,
        epilogue=Tape.identity(dtype),
    )
