"""conv2d_grad_input, conv2d_pool_grad_input: the gradient of a convolution's input.

Shapes: w (O, C, KH, KW), g (N, O, OH, OW), extras (N, C, H, W) -> epilogue(dx, extras); behind a
pool g is (N, O, PH, PW), and winners (N, O, PH, PW, bytes) follow it. Any strides.

Algorithm: every element of dx adds up, in the order (o, kh, kw), what the positions give that see
it. Behind a pool a zero gradient adds nothing. Launch: a thread per element of dx.
"""

from __future__ import annotations

from typing import Any

from .call import Call, Launch, Launches, blocks, factory
from .conv_grad import Sizes, locator, sizes, unpooled
from .device import TYPES, cuda, uint32, uint64

THREADS = 128


@factory("conv2d_grad_input")
def conv2d_grad_input(call: Call) -> Launches:
    """One kernel."""
    return grad_input(call)


@factory("conv2d_pool_grad_input")
def conv2d_pool_grad_input(call: Call) -> Launches:
    """One kernel."""
    return grad_input(call)


def grad_input(call: Call) -> Launches:
    """Either contract: winners or not."""
    w, g = call.inputs[:2]
    s = sizes(call, call.outputs[0], w, g)
    return gather(call, s)


def gather(call: Call, s: Sizes) -> Launches:
    """The kernel of a thread per element of dx."""
    at_w = locator(call.inputs[0])
    gradient = unpooled(s, call.inputs[1], call.inputs[2] if s.pooled else None, 1)
    finish = call.finishes[0]
    zero = TYPES[s.dtype](0)
    n = call.outputs[0].size
    n_channels, (height, width) = s.c, s.image
    n_filters, (n_rows, n_columns) = s.o, s.kernel
    (stride_h, stride_w), (pad_h, pad_w) = s.stride, s.padding
    (used_h, used_w), pooled, flip = s.used, s.pooled, s.flip

    def body(p: Any) -> None:
        i = uint32(cuda.grid(1))
        if i < n:
            w = uint32(i % uint32(width))
            h = uint32(uint32(i // uint32(width)) % uint32(height))
            plane = uint32(i // uint32(height * width))
            c, image = uint32(plane % uint32(n_channels)), uint32(plane // uint32(n_channels))
            total = zero
            for o in range(n_filters):
                for kh in range(n_rows):
                    # Below zero wraps to more than any position.
                    row = uint32(h + uint32(pad_h)) - uint32(n_rows - 1 - kh if flip else kh)
                    oh = uint32(uint32(row) // uint32(stride_h))
                    if oh < used_h and uint32(oh * uint32(stride_h)) == uint32(row):
                        for kw in range(n_columns):
                            tap = uint32(n_columns - 1 - kw if flip else kw)
                            column = uint32(uint32(w + uint32(pad_w)) - tap)
                            ow = uint32(column // uint32(stride_w))
                            if ow < used_w and uint32(ow * uint32(stride_w)) == column:
                                value = gradient(p, image, o, oh, ow)
                                if not pooled or value != zero:
                                    total += p[0][uint64(at_w(o, c, kh, kw))] * value
            finish(total, i, p)

    threads = min(THREADS, max(1, n))
    return Launches((Launch(body, (blocks(n, threads), 1, 1), (threads, 1, 1)),))
