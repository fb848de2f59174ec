"""The layout of a forward block's images and filters in shared memory.

    pixels   [image][channel][row][column]: the region that the block reads, zeros for the padding
    weights  [channel][tap][filter of the block]: weights of neighbouring filters are adjacent

It is the same for any strides, padding, flips and edges: the copies (staging.py) handle these.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ..core.axes import is_dense
from ..core.hardware import STATIC_BYTES
from ..core.integers import round_up
from .tiling import Tiling

BANKS = 32


class SharedLayout(NamedTuple):
    """The layout of shared memory, in elements.

    rows, columns: of the region. pitch, channel_pitch, image_pitch: distances of rows, channels and
    images. whole: whether a channel has the same layout as in global memory. weights: where they
    begin. filter_pitch: distance of taps. size: of pixels and weights.
    """

    rows: int
    columns: int
    pitch: int
    channel_pitch: int
    image_pitch: int
    whole: bool
    weights: int
    filter_pitch: int
    size: int


def shared_layout(tiling: Tiling) -> SharedLayout:
    """The layout with the fewest bank conflicts; of equal ones, the one that is staged fastest."""
    conv = tiling.conv
    rows, columns = tiling.region
    plain = _whole_image(tiling)
    options = [plain] if plain else []
    for pitch in range(round_up(columns, 4), columns + 12, 4):
        for extra in range(0, BANKS, 4):
            channel_pitch = rows * pitch
            image_pitch = tiling.channels * channel_pitch + extra
            options.append((pitch, channel_pitch, image_pitch))
            if tiling.images == 1:
                break
    # The narrowest one always fits: the tiling was chosen for that.
    limit = STATIC_BYTES // (4 * conv.words)
    fitting = [o for o in options if _sizes(tiling, *o)[2] <= limit]
    pitch, channel_pitch, image_pitch = min(fitting, key=lambda o: _turns(tiling, *o))
    weights, filter_pitch, size = _sizes(tiling, pitch, channel_pitch, image_pitch)
    whole = bool(plain) and (pitch, channel_pitch, image_pitch) == plain
    return SharedLayout(
        rows, columns, pitch, channel_pitch, image_pitch, whole, weights, filter_pitch, size
    )


def _sizes(
    tiling: Tiling, pitch: int, channel_pitch: int, image_pitch: int
) -> tuple[int, int, int]:
    """Where weights begin, their pitch, and the total size, for these pitches of pixels."""
    conv = tiling.conv
    # Tiles that extend over the last row of an image read the elements after it.
    behind = max(0, tiling.region[0] * pitch - channel_pitch)
    weights = round_up(tiling.images * image_pitch + behind, 4)
    filter_pitch = tiling.block_filters
    if tiling.filters % 2 == 0:
        filter_pitch = round_up(filter_pitch, 4)
    return weights, filter_pitch, weights + tiling.channels * conv.taps * filter_pitch


def _whole_image(tiling: Tiling) -> tuple[int, int, int] | None:
    """The pitches of an image in global memory, if a block may copy whole images; else None."""
    conv = tiling.conv
    height, width = conv.image
    rows, columns = tiling.region
    fits = tiling.regions == (1, 1) and rows <= height and columns <= width
    even = conv.channels % tiling.channels == 0
    if (
        not fits
        or not even
        or conv.padding != (0, 0)
        or not is_dense(conv.x.shape[1:], conv.x.strides[1:])
    ):
        return None
    if width * height > (rows + 4) * (columns + 4):
        return None  # most of it isn't needed
    return width, height * width, tiling.channels * height * width


def _turns(tiling: Tiling, pitch: int, channel: int, image: int) -> int:
    """Cycles of shared memory in which the threads of a warp read their first pixels."""
    conv = tiling.conv
    columns = tiling.windows[1] * conv.pool[1] * conv.stride[1]
    rows = tiling.windows[0] * conv.pool[0] * conv.stride[0]
    vector = min(4 if columns % 4 == 0 else 2 if columns % 2 == 0 else 1, tiling.row_width)
    share = tiling.channels // tiling.splits
    words: set[int] = set()
    for thread in range(min(32, tiling.threads)):
        rest, column = divmod(thread, tiling.tiles[1])
        rest, row = divmod(rest, tiling.tiles[0])
        rest, number = divmod(rest, tiling.images)
        split = rest // tiling.groups
        first = number * image + split * share * channel + row * rows * pitch + column * columns
        words.update(first + k for k in range(vector))
    return max(Counter(word % BANKS for word in words).values())
