"""Neighbourhoods of pixels as rows of a matrix, and the images that such rows add up to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.contracts.core.sizes import n_elements
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.graph.layout import StaticSlice
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.types import TensorType, tensor_type
from tinygrad_mnist.graph.variables import HostValues, Node, Op, Variable
from tinygrad_mnist.ops.elementwise import add
from tinygrad_mnist.ops.shape import dimshuffle, static_broadcast, static_reshape
from tinygrad_mnist.ops.slices import assemble, static_slice
from tinygrad_mnist.ops.windows import framed, free, sum_of_windows, windows

MODES = ("valid", "ignore_borders", "half", "full", "wrap_centered")


class Neighbourhoods(NamedTuple):
    """The neighbourhoods along one axis: n pixels, `number` windows of `size`, `step` apart, the
    first of which begins `padding` before the image."""

    n: int
    size: int
    step: int
    padding: int
    number: int

    @property
    def span(self) -> int:
        """Elements from the first window's first to the last one's last."""
        return (self.number - 1) * self.step + self.size


def neighbourhoods_along(n: int, size: int, step: int, mode: str) -> Neighbourhoods:
    """The neighbourhoods of an axis of n pixels. Raises ShapeError where none or no whole number of
    them fits."""
    what = f"neighbourhoods of {size} with step {step}"
    if size < 1 or step < 1:
        raise ShapeError(f"{what}: both have to be at least 1")
    if mode == "wrap_centered":
        if size % 2 == 0 or size > n:
            raise ShapeError(f"{what}: with mode 'wrap_centered' the size is odd and at most {n}")
        return Neighbourhoods(n, size, min(step, n), size // 2, -(-n // step))
    padding = {"half": size // 2, "full": size - 1}.get(mode, 0)
    left = n + 2 * padding - size
    if left < 0:
        raise ShapeError(f"{what} don't fit an axis of {n} with padding {padding}")
    if left % step and mode != "ignore_borders":
        raise ShapeError(
            f"{what} don't cover an axis of {n} with padding {padding}: {left % step} are left; "
            "mode 'ignore_borders' leaves them out"
        )
    return Neighbourhoods(n, size, min(step, left + 1), padding, left // step + 1)


def _both_axes(
    node: Node, x: TensorType, scalars: Sequence[Variable], host: HostValues
) -> tuple[Neighbourhoods, Neighbourhoods]:
    sizes = [host.by_value(v) for v in scalars]
    rows, columns = (
        neighbourhoods_along(x.static_shape[2 + k], sizes[k], sizes[2 + k], node.params["mode"])
        for k in (0, 1)
    )
    return rows, columns


# --- wrapped around -------------------------------------------------------------------------------


def _ends(n: int, p: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(from, to) of the p elements before an axis of n and of those behind it: where they are in
    the axis, and where in the axis with both."""
    return (n - p, 0), (0, n + p)


def _wrapped(x: Variable, axis: int, p: int) -> Variable:
    """`x` with its last p elements along an axis before it, and its first p behind it."""
    shape = x.type.static_shape
    n = shape[axis]
    if p == 0:
        return x
    longer = (*shape[:axis], n + 2 * p, *shape[axis + 1 :])
    parts = [(x, StaticSlice.whole(longer).along(axis, p, n))]
    for source, target in _ends(n, p):
        taken = StaticSlice.whole(shape).along(axis, source, p)
        region = StaticSlice.whole(longer).along(axis, target, p)
        parts.append((static_slice(x, taken, free(x.ndim)), region))
    return assemble(None, parts, longer, free(x.ndim))


def _unwrapped(g: Variable, axis: int, p: int) -> Variable:
    """The adjoint of `_wrapped`. The two ends don't overlap: 2 p is less than the axis."""
    longer = g.type.static_shape
    n = longer[axis] - 2 * p
    inside = framed(g, {axis: (p, n)})
    if p == 0:
        return inside
    shape = inside.type.static_shape
    parts = []
    for target, source in _ends(n, p):
        end = static_slice(g, StaticSlice.whole(longer).along(axis, source, p), free(g.ndim))
        region = StaticSlice.whole(shape).along(axis, target, p)
        parts.append((add(static_slice(inside, region, free(g.ndim)), end), region))
    return assemble(inside, parts, shape, free(g.ndim))


# --- the two ops ----------------------------------------------------------------------------------


def _neibs_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [tensor_type(types[0].dtype, free(2))]


def _neibs_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    x = inputs[0]
    rows, columns = _both_axes(node, x.type, node.inputs[1:], host)
    if node.params["mode"] == "wrap_centered":
        x = _wrapped(_wrapped(x, 2, rows.padding), 3, columns.padding)
        x = framed(x, {2: (0, rows.span), 3: (0, columns.span)})
    else:
        x = framed(x, {2: (-rows.padding, rows.span), 3: (-columns.padding, columns.span)})
    x = windows(x, 2, rows.number, rows.size, rows.step)
    x = windows(x, 4, columns.number, columns.size, columns.step)
    x = dimshuffle(x, 0, 1, 2, 4, 3, 5)
    shape = x.type.static_shape
    return [static_reshape(x, (n_elements(shape[:4]), n_elements(shape[4:])), free(2))]


def _neibs_vjp(node: Node, g: Variable) -> list[Variable | None]:
    x, *scalars = node.inputs
    return [IMAGES_OF(g, x, *scalars, **node.params), *(None for _ in scalars)]


# images (N, C, H, W), four integer scalars: height and width of a neighbourhood, and the steps ->
# a row for each neighbourhood of each channel; params mode
NEIGHBOURHOODS = register_op(
    Op("images2neibs", _neibs_infer, None, vjp=_neibs_vjp, specialise=_neibs_specialise)
)


def _images_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    g, like = types[:2]
    return [TensorType(g.dtype, like.broadcastable, like.shape)]


def _images_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    g, like = inputs[:2]
    rows, columns = _both_axes(node, like.type, node.inputs[2:], host)
    shape = like.type.static_shape
    counts, sizes = (rows.number, columns.number), (rows.size, columns.size)
    wanted = (n_elements((*shape[:2], *counts)), n_elements(sizes))
    if g.type.static_shape != wanted:
        raise ShapeError(
            f"images of shape {shape} have {wanted[0]} neighbourhoods of {wanted[1]} pixels, not "
            f"{g.type.static_shape}"
        )
    v = static_reshape(g, (*shape[:2], *counts, *sizes), free(6))
    v = dimshuffle(v, 0, 1, 2, 4, 3, 5)
    v = sum_of_windows(v, 4, columns.span, columns.step)
    v = sum_of_windows(v, 2, rows.span, rows.step)
    if node.params["mode"] == "wrap_centered":
        v = framed(v, {2: (0, rows.n + 2 * rows.padding), 3: (0, columns.n + 2 * columns.padding)})
        v = _unwrapped(_unwrapped(v, 3, columns.padding), 2, rows.padding)
    else:
        v = framed(v, {2: (rows.padding, rows.n), 3: (columns.padding, columns.n)})
    return [static_broadcast(v, shape, like.broadcastable)]


def _images_vjp(node: Node, h: Variable) -> list[Variable | None]:
    scalars = node.inputs[2:]
    return [NEIGHBOURHOODS(h, *scalars, **node.params), None, *(None for _ in scalars)]


# rows, images that are there for their shape, the four scalars -> the adjoint of NEIGHBOURHOODS:
# images whose pixels are the sums of what the rows have for them
IMAGES_OF = register_op(
    Op("neibs2images_of", _images_infer, None, vjp=_images_vjp, specialise=_images_specialise)
)
