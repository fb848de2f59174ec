"""Theano's `tensor.signal.pool`."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.average_pool import average_pool, sum_pool
from tinygrad_mnist.ops.pool import keep_maxima, max_pool

MODES = ("max", "sum", "average_inc_pad", "average_exc_pad")


def either(newer: Any, older: Any, names: str, default: Any) -> Any:
    """The value of an argument that has two names; both at once are an error."""
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

    mode: 'max', whose gradient goes whole to every position that equals the maximum, and where
    padding never wins; 'sum'; 'average_inc_pad', where padding counts as zeros; 'average_exc_pad',
    where the mean is over the pixels that a window has inside the image.

    An axis of n (padding included) becomes (n - ws) // stride + 1 long with ignore_border. Without
    it windows go on while they begin inside the image, but, where they overlap, end with the first
    one that reaches its end. Raises GraphTypeError, ShapeError where no window fits.
    """
    window = either(ws, ds, "ws and ds", None)
    if window is None:
        raise GraphTypeError("pool_2d needs ws (older name: ds), the size of a window")
    if mode not in MODES:
        raise GraphTypeError(f"pool_2d has the modes {', '.join(MODES)}, not {mode!r}")
    step = either(stride, st, "stride and st", None)
    pads = either(pad, padding, "pad and padding", (0, 0))
    if mode == "max":
        return max_pool(input, window, bool(ignore_border), step, pads)
    if mode == "sum":
        return sum_pool(input, window, bool(ignore_border), step, pads)
    count_padding = mode == "average_inc_pad"
    return average_pool(input, window, bool(ignore_border), step, pads, count_padding)


def max_pool_2d_same_size(input: Any, patch_size: Any) -> Variable:
    """The input with all but the maxima of its patches made zero, in the same shape.

    Patches of `patch_size` lie side by side over the last two axes; what doesn't fill one is zero.
    All maxima that tie are kept. Raises GraphTypeError, ShapeError.
    """
    return keep_maxima(input, patch_size)


__all__ = ["max_pool_2d_same_size", "pool_2d"]
