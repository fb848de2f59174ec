"""Which operands of a kernel are its own, and which belong to its epilogue."""

from __future__ import annotations

from .base import Params

_OWN = {
    "elementwise": 0,
    "batch_norm": 4,
    "gemm": 2,
    "conv2d": 2,
    "conv2d_grad_input": 2,
    "conv2d_grad_filter": 2,
    "conv2d_pool": 2,
    "conv2d_pool_grad_input": 3,
    "conv2d_pool_grad_filter": 3,
    "softmax_xent_grad": 3,
}


def own_operands(kernel: str, params: Params) -> int | None:
    """How many inputs come before those of the tape that makes the result; None: has no such tape.

    An output may be written over an input from there on, element for element.
    """
    if kernel == "reduce":
        return int(params["n_prologue"])
    return _OWN.get(kernel)
