"""conv2d, conv2d_pool, conv2d_bias_pool: convolution, a max-pool or none, and epilogue.

Shapes: x (N, C, H, W), w (O, C, KH, KW) -> y (N, O, OH, OW), or behind a pool y (N, O, PH, PW) [,
winners uint8 (N, O, PH, PW, nbytes)]; bias (O,), added before the pool; float32 or float64, any
strides.
Algorithm: a direct convolution. Tiles of positions and filters are in registers, pixels and weights
in shared memory (forward.py). With a pool a thread has all positions of its windows, and forms
maxima and winners before the epilogue; the convolution is never stored. Windows of more than
MAX_POSITIONS positions, and filters too large for shared memory, are computed one element of y a
thread (direct.py). Not used: transforms such as Winograd's, which round equal patches to unequal
sums, so that ties of a pool were lost.

Launch: one kernel; blocks and threads are chosen by a count of cycles (tiling.py). Reference:
contracts/conv2d/conv2d.py.
"""

from __future__ import annotations

from ..core.call import Call, Launches, factory
from .direct import direct
from .forward import tiled
from .geometry import forward_convolution
from .tiling import choose

MAX_POSITIONS = 16


@factory("conv2d")
@factory("conv2d_pool")
@factory("conv2d_bias_pool")
def conv2d(call: Call) -> Launches:
    """One kernel."""
    conv = forward_convolution(call)
    tiling = choose(conv) if conv.size and conv.x.size and conv.positions <= MAX_POSITIONS else None
    return Launches((direct(call, conv) if tiling is None else tiled(call, tiling),))
