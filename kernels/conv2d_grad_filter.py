"""conv2d_grad_filter, conv2d_pool_grad_filter: the gradient of a convolution's filters.

Shapes: x (N, C, H, W), g (N, O, OH, OW), extras (O, C, KH, KW) -> epilogue(dw, extras); behind a
pool g is (N, O, PH, PW), and winners (N, O, PH, PW, bytes) follow it. Any strides.

Algorithm: a block adds up one element of dw. Its threads share the positions of all images, and a
tree adds what they have. Behind a pool a zero gradient adds nothing. Launch: a block per element.
"""

from __future__ import annotations

from typing import Any

from .call import Call, Launch, Launches, factory
from .conv_grad import Sizes, locator, sizes, unpooled
from .device import TYPES, cuda, uint32, uint64

THREADS = 128
LEAST = 8  # positions that a thread is worth


@factory("conv2d_grad_filter")
def conv2d_grad_filter(call: Call) -> Launches:
    """One kernel."""
    return grad_filter(call)


@factory("conv2d_pool_grad_filter")
def conv2d_pool_grad_filter(call: Call) -> Launches:
    """One kernel."""
    return grad_filter(call)


def grad_filter(call: Call) -> Launches:
    """Either contract: winners or not."""
    x, g = call.inputs[:2]
    s = sizes(call, x, call.outputs[0], g)
    return by_element(call, s)


def by_element(call: Call, s: Sizes) -> Launches:
    """The kernel of a block per element of dw."""
    at_x = locator(call.inputs[0])
    gradient = unpooled(s, call.inputs[1], call.inputs[2] if s.pooled else None, 1)
    finish = call.finishes[0]
    dtype = TYPES[s.dtype]
    zero = dtype(0)
    n_channels, (height, width) = s.c, s.image
    n_rows, n_columns = s.kernel
    (stride_h, stride_w), (pad_h, pad_w) = s.stride, s.padding
    (used_h, used_w), pooled, flip = s.used, s.pooled, s.flip
    n_positions = s.n * used_h * used_w
    threads = 1
    while threads < THREADS and threads * LEAST <= n_positions // 2:
        threads *= 2
    steps = threads.bit_length() - 1

    def body(p: Any) -> None:
        i, t = uint32(cuda.blockIdx.x), uint32(cuda.threadIdx.x)
        kw = uint32(i % uint32(n_columns))
        kh = uint32(uint32(i // uint32(n_columns)) % uint32(n_rows))
        filters = uint32(i // uint32(n_rows * n_columns))
        c, o = uint32(filters % uint32(n_channels)), uint32(filters // uint32(n_channels))
        tap_h = uint32(uint32(n_rows - 1) - kh) if flip else kh
        tap_w = uint32(uint32(n_columns - 1) - kw) if flip else kw
        total = zero
        k = t
        while k < n_positions:
            ow = uint32(k % uint32(used_w))
            oh = uint32(uint32(k // uint32(used_w)) % uint32(used_h))
            image = uint32(k // uint32(used_h * used_w))
            # Rows and columns before the image wrap to more than its size.
            h = uint32(uint32(oh * uint32(stride_h)) + tap_h - uint32(pad_h))
            w = uint32(uint32(ow * uint32(stride_w)) + tap_w - uint32(pad_w))
            value = gradient(p, image, o, oh, ow)
            if not pooled or value != zero:
                inside = h < height and w < width
                total += value * (p[0][uint64(at_x(image, c, h, w))] if inside else zero)
            k = uint32(k + uint32(threads))
        sums = cuda.shared.array(threads, dtype)
        sums[uint64(t)] = total
        cuda.syncthreads()
        for step in range(steps):
            half = uint32(threads >> (step + 1))
            if t < half:
                sums[uint64(t)] += sums[uint64(t + half)]
            cuda.syncthreads()
        if t == 0:
            finish(sums[uint64(0)], i, p)

    n = call.outputs[0].size
    return Launches((Launch(body, (n, 1, 1), (threads, 1, 1)),) if n else ())
