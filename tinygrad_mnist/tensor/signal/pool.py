"""Theano's `tensor.signal.pool`."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.pool import max_pool


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
    """Pools windows of the last two axes by their maximum.

    ws (older: ds): window size. stride (older: st): default the window. pad (older: padding):
    zeros-free padding, which never wins. ignore_border: leave out windows that are not whole;
    False by default, as in Theano. mode: 'max'.
    """
    window = either(ws, ds, "ws and ds", None)
    if window is None:
        raise GraphTypeError("pool_2d needs ws (older name: ds), the size of a window")
    if mode != "max":
        raise GraphTypeError(f"pool_2d has mode 'max' only so far, not {mode!r}")
    return max_pool(
        input,
        window,
        bool(ignore_border),
        either(stride, st, "stride and st", None),
        either(pad, padding, "pad and padding", (0, 0)),
    )


__all__ = ["pool_2d"]
