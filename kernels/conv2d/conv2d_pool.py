"""conv2d_pool: convolution, max-pool with winners, epilogue; the convolution is never stored.

Shapes: x (N, C, H, W), w (O, C, KH, KW) -> y (N, O, PH, PW) [, winners uint8 (N, O, PH, PW,
nbytes)], float32 or float64, any strides. Algorithm: as conv2d; a thread has all positions of its
windows, and forms maxima and winners before the epilogue. Windows of more than MAX_POSITIONS
positions, and filters too large for shared memory, are computed one window a thread
(conv_direct.py). Launch: chosen by a count of cycles (conv_tiling.py).
"""

from __future__ import annotations

from ..core.call import Call, Launches, factory
from .direct import direct
from .forward import tiled
from .geometry import convolution
from .tiling import choose

MAX_POSITIONS = 16


@factory("conv2d_pool")
def conv2d_pool(call: Call) -> Launches:
    """One kernel."""
    conv = convolution(call)
    tiling = choose(conv) if conv.size and conv.x.size and conv.positions <= MAX_POSITIONS else None
    return Launches((direct(call, conv) if tiling is None else tiled(call, conv, tiling),))
