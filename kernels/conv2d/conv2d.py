"""conv2d: convolution and epilogue.

Shapes: x (N, C, H, W), w (O, C, KH, KW) -> y (N, O, OH, OW), float32 or float64, any strides.
Algorithm: a direct convolution; tiles of positions and filters in registers, pixels and weights in
shared memory (conv_forward.py), or one position a thread where not even one tile's filter fits
there (conv_direct.py). Launch: chosen by a count of cycles (conv_tiling.py).
"""

from __future__ import annotations

from ..core.call import Call, Launches, factory
from .direct import direct
from .forward import tiled
from .geometry import convolution
from .tiling import choose


@factory("conv2d")
def conv2d(call: Call) -> Launches:
    """One kernel."""
    conv = convolution(call)
    tiling = choose(conv) if conv.size and conv.x.size else None
    return Launches((direct(call, conv) if tiling is None else tiled(call, conv, tiling),))
