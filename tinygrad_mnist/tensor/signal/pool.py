"""Theano's `tensor.signal.pool`."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import choice, flag, integer
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.average_pool import average_pool, sum_pool
from tinygrad_mnist.ops.pool import keep_maxima, max_pool

MODES = ("max", "sum", "average_inc_pad", "average_exc_pad")


def either(newer: Any, older: Any, names: str, default: Any) -> Any:
    """The value of an argument with two names; GraphTypeError if both are given."""
    if newer is not None and older is not None:
        raise GraphTypeError(f"{names} are one argument; give one of them")
    if newer is not None:
        return newer
    return default if older is None else older


def pool_2d(
    input: Any,
    ws: Any = None,
    ignore_border: bool | None = None,
    stride: Any = None,
    pad: Any = None,
    mode: str = "max",
    ds: Any = None,
    st: Any = None,
    padding: Any = None,
) -> Variable:
    """Pools windows of the last two axes; earlier axes are kept.

    ws (older: ds): the window, an int or (rows, columns). stride (older: st): default the window.
    pad (older: padding): on each side; it goes with ignore_border=True and is less than the window.
    ignore_border: leave out windows that are not whole; False by default, as in Theano.

    mode: 'max', where every position that equals the maximum gets the whole gradient, and padding
    never wins; 'sum'; 'average_inc_pad', where padding counts as zeros; 'average_exc_pad', the mean
    over a window's pixels inside the image.

    With ignore_border an axis of n (padding included) becomes (n - ws) // stride + 1 long. Without
    it there is a window at every stride that begins inside the image; if windows overlap, the first
    one that reaches the image's end is the last. Raises GraphTypeError, ShapeError where no window
    fits.
    """
    window = either(ws, ds, "ws and ds", None)
    if window is None:
        raise GraphTypeError("pool_2d needs ws (older name: ds), the size of a window")
    choice(mode, MODES, "the mode of pool_2d")
    whole = ignore_border is not None and flag(ignore_border, "ignore_border")
    step = either(stride, st, "stride and st", None)
    pads = either(pad, padding, "pad and padding", (0, 0))
    if mode == "max":
        return max_pool(input, window, whole, step, pads)
    if mode == "sum":
        return sum_pool(input, window, whole, step, pads)
    count_padding = mode == "average_inc_pad"
    return average_pool(input, window, whole, step, pads, count_padding)


def max_pool_2d_same_size(input: Any, patch_size: Any) -> Variable:
    """The input with all elements set to zero except the maxima of its patches.

    Patches of `patch_size` are side by side over the last two axes; elements outside whole patches
    are set to zero. All maxima that tie are kept. Raises GraphTypeError, ShapeError.
    """
    return keep_maxima(input, patch_size)


class Pool:
    """`Pool(ignore_border, mode)(x, ws, stride, pad)` is
    `pool_2d(x, ws, ignore_border, stride, pad, mode)`. ndim: only 2. openmp has no effect."""

    def __init__(
        self,
        ignore_border: bool = False,
        mode: str = "max",
        ndim: int = 2,
        openmp: bool | None = None,
    ) -> None:
        if integer(ndim, "ndim of Pool") != 2:
            raise ArgumentError(f"ndim of Pool is {ndim}; only 2 is supported")
        self.ignore_border = flag(ignore_border, "ignore_border")
        self.mode = choice(mode, MODES, "the mode of Pool")

    def __call__(self, x: Any, ws: Any, stride: Any = None, pad: Any = None) -> Variable:
        return pool_2d(x, ws, self.ignore_border, stride, pad, self.mode)


__all__ = ["Pool", "max_pool_2d_same_size", "pool_2d"]
