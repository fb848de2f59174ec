"""The cut of conv2d_grad_input into tiles of dx.

A thread computes `pixels` adjacent pixels of a row of dx in `channels` channels. Rows of g are in
shared memory unpooled, and spaced by the stride. So for any padding and flip the pixels from column
w on need columns w to w + pixels + KW - 2 of g.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..core.hardware import MAX_GRID_Y, MULTIPROCESSORS, REGISTERS, SCHEDULERS, SHARED_BYTES, WARP
from ..core.integers import ceil_div, even_share, round_up
from .geometry import Convolution
from .grad_limits import LATENCY, QUAD, STAGED_BYTES, SUMS, THREADS, WAIT, WINNERS

WIDE = 16  # the most pixels of a row that one thread computes
SEGMENT = 8  # pixels of a thread if rows are longer


class InputTiles(NamedTuple):
    """A cut of dx into tiles.

    pixels, channels: of a thread. segments: of `pixels` pixels each, in a row. groups: of
    `channels` channels each, in a block. images, rows: of a block. split: threads that divide the
    filters. filters: in shared memory at a time. window_rows: the most rows of windows that the
    block's rows need. border: zeros before a row of g; if it is negative, so many elements are left
    out. pitch: elements of a row of g.
    """

    pixels: int
    channels: int
    segments: int
    groups: int
    images: int
    rows: int
    split: int
    filters: int
    window_rows: int
    border: int
    pitch: int
    bands: int
    image_groups: int
    channel_tiles: int
    kernel_width: int
    row_weights: int
    weights: int
    gradient_rows: int
    windows: int
    steps: int

    @property
    def members(self) -> int:
        """Threads that differ in image or channels alone; they are adjacent in a warp."""
        return self.images * self.groups

    @property
    def units(self) -> int:
        """Threads of a block with sums of different elements."""
        return self.members * self.segments * self.rows

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.units * self.split

    @property
    def image_pitch(self) -> int:
        """Elements of g of an image; four more than needed, so that images use different banks."""
        return self.filters * self.gradient_rows * self.pitch + QUAD

    @property
    def plane(self) -> int:
        """Elements of results of a thread's image and channel; odd, to avoid bank conflicts."""
        return self.rows * self.segments * self.pixels | 1

    @property
    def gradients(self) -> int:
        """Where g begins in shared memory, after the weights."""
        return self.weights

    @property
    def shared(self) -> int:
        """Elements of shared memory: weights and g, and at the end all sums of one channel."""
        staged = self.weights + self.images * self.image_pitch + 2 * QUAD
        return max(staged, self.members * self.plane * self.split)


def input_tiles(conv: Convolution) -> InputTiles | None:
    """The fastest cut by the model; None if a filter, a row or a pool is too large."""
    too_large = conv.kernel[1] > WIDE or conv.positions > WINNERS
    if conv.is_empty or conv.w.size == 0 or too_large:
        return None
    found = [
        c
        for c in candidates(conv)
        if c.shared * conv.itemsize <= STAGED_BYTES and c.channel_tiles <= MAX_GRID_Y
    ]
    best = min(found, key=lambda c: _cost(conv, c), default=None)
    return best and _spaced(conv, best)


def _spaced(conv: Convolution, c: InputTiles) -> InputTiles:
    """The same cut with rows of g an odd number of quads apart, so that rows that threads read
    together are in different banks; where that leaves room for as many blocks."""
    spaced = c._replace(pitch=c.pitch | QUAD)
    fits = spaced.shared * conv.itemsize <= STAGED_BYTES
    return spaced if fits and resident(conv, spaced) == resident(conv, c) else c


def candidates(conv: Convolution) -> Iterator[InputTiles]:
    """Candidates; some need more shared memory than there is."""
    width = conv.image[1]
    pixels = round_up(width, QUAD) if width <= WIDE else SEGMENT
    segments = ceil_div(width, pixels)
    most = SUMS // 2 if conv.dtype == "float64" else SUMS
    channels = [c for c in (1, 2, 3, 4) if c <= conv.channels and (c == 1 or c * pixels <= most)]
    heights = sorted({even_share(conv.image[0], r) for r in (4, 8, 16, 32)})
    for each, rows in [(a, b) for a in channels for b in heights]:
        all_groups = ceil_div(conv.channels, each)
        for groups in sorted({even_share(all_groups, g) for g in (1, 2, 4, 8)}):
            for images in sorted({even_share(conv.images, n) for n in (1, 2, 3, 4, 6, 8)}):
                units = images * groups * segments * rows
                if units <= max(THREADS):
                    yield from _splits(conv, pixels, each, groups, images, rows)


def _splits(
    conv: Convolution, pixels: int, channels: int, groups: int, images: int, rows: int
) -> Iterator[InputTiles]:
    """Cuts along the filters."""
    kernel_h, width = conv.kernel
    segments = ceil_div(conv.image[1], pixels)
    bands = ceil_div(conv.image[0], rows)
    reach = (rows + kernel_h - 2) // conv.stride[0] + 1  # rows of positions
    window_rows = min(conv.pooled[0], (reach + conv.pool[0] - 2) // conv.pool[0] + 1)
    window_rows = conv.pooled[0] if bands == 1 else window_rows
    border = width - 1 - conv.padding[1]
    columns = (segments - 1) * pixels + round_up(pixels + width - 1, QUAD)
    units = images * groups * segments * rows
    row_weights = round_up(width * channels, QUAD)
    for most in THREADS:
        split = even_share(conv.filters, max(1, most // units))
        for steps in (1, 2, 4, 8):
            filters = min(round_up(conv.filters, split), steps * split)
            yield InputTiles(
                pixels,
                channels,
                segments,
                groups,
                images,
                rows,
                split,
                filters,
                window_rows,
                border,
                columns,
                bands,
                ceil_div(conv.images, images),
                ceil_div(ceil_div(conv.channels, channels), groups),
                width,
                row_weights,
                filters * kernel_h * groups * row_weights,
                window_rows * conv.pool[0],
                images * filters * window_rows * conv.pooled[1],
                ceil_div(conv.filters, filters),
            )


def alive(conv: Convolution, c: InputTiles) -> list[bool]:
    """Which of the columns of g that a thread needs can have a position."""
    found = [False] * (c.pixels + c.kernel_width - 1)
    for begin in range(0, c.segments * c.pixels, c.pixels):
        for j in range(len(found)):
            column = begin + j - c.border
            inside = 0 <= column <= (conv.used[1] - 1) * conv.stride[1]
            found[j] = found[j] or (inside and column % conv.stride[1] == 0)
    return found


def _cost(conv: Convolution, c: InputTiles) -> float:
    """Approximate cycles on a large GPU: instructions on four schedulers, accesses to shared
    memory, waits for memory."""
    seen = alive(conv, c)
    columns = sum(sum(seen[q : q + c.kernel_width]) for q in range(c.pixels))
    quads = ceil_div(sum(seen), QUAD)
    instructions = columns * c.channels + quads + c.row_weights // QUAD + 14
    wide = quads * min(4, ceil_div(min(WARP, c.images * c.segments * c.rows), 8))
    wide += c.row_weights // QUAD
    # Rows of a filter that a warp's rows of dx need, on average.
    warp_rows = min(c.rows, ceil_div(WARP, c.members * c.segments))
    height, stride = conv.kernel[0], conv.stride[0]
    met = conv.used[0] * height * stride / conv.image[0]
    met = min(height, (met / stride if warp_rows == 1 else met) + (warp_rows - 1) / 2)
    rounds = c.filters // c.split
    inner = rounds * (met * max(instructions, SCHEDULERS * wide) + 15)
    staged = 30 * c.weights + (25 + 6 * conv.positions) * c.windows
    piece = inner + staged / c.threads + 40
    outputs = c.members * c.plane
    end = c.channels * (3 * outputs * c.split / c.threads + c.pixels + 60) + 100
    warps = ceil_div(c.threads, WARP)
    issue = warps * (piece * c.steps + end) / SCHEDULERS
    blocks = c.image_groups * c.bands * c.channel_tiles
    waves = ceil_div(blocks, MULTIPROCESSORS)
    alone = (LATENCY + rounds * height * (instructions + WAIT) + staged / c.threads) * c.steps
    return max(waves * issue, (alone + 2 * end) * ceil_div(waves, resident(conv, c)))


def resident(conv: Convolution, c: InputTiles) -> int:
    """Blocks that run at once on a multiprocessor."""
    registers = c.threads * (c.pixels * c.channels + 64)
    return max(1, min(8, SHARED_BYTES // (c.shared * conv.itemsize), REGISTERS // registers))
