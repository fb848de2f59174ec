"""The cut of a forward convolution into blocks, threads, and stages of channels.

It is the best of about a thousand candidates by a model of cycles on an H100: instructions,
accesses to shared memory, latencies. The choice depends on shapes alone, so sums are formed in the
same order on every device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..core.hardware import (
    MULTIPROCESSORS,
    REGISTERS,
    RESIDENT_THREADS,
    SCHEDULERS,
    SHARED_BYTES,
    STATIC_BYTES,
    WARP,
)
from ..core.integers import ceil_div
from .geometry import Convolution, Pair

LATENCY = 700  # cycles from global memory to a thread behind a barrier
SHARED_LATENCY = 30
L2_BYTES_PER_CYCLE = 3000  # of the whole chip
L1_BYTES_PER_CYCLE = 64  # of a multiprocessor
MAX_THREADS = 512
MAX_ACCUMULATORS = 64  # 4-byte registers of a thread
# The most products of a thread that are unrolled: of one channel, with all its pixels in registers,
# or of one row of the filters.
MAX_PATCH = 400
MAX_ROW = 352


class Tiling(NamedTuple):
    """The work of a thread and of a block, in a call of `conv`.

    filters, windows (rows, columns): of a thread, which computes all these windows for all these
    filters; its windows are a tile. tiles (rows, columns): of a block, in each of `images` images.
    groups: of filters, in a block. splits: threads that divide the channels of a position, each
    with channels / splits consecutive ones. channels: in shared memory at a time.
    """

    conv: Convolution
    filters: int
    windows: Pair
    tiles: Pair
    images: int
    groups: int
    splits: int
    channels: int

    @property
    def threads(self) -> int:
        return self.tiles[0] * self.tiles[1] * self.images * self.groups * self.splits

    @property
    def block_filters(self) -> int:
        return self.filters * self.groups

    @property
    def block_windows(self) -> Pair:
        """Of one image."""
        return self.tiles[0] * self.windows[0], self.tiles[1] * self.windows[1]

    @property
    def positions(self) -> Pair:
        """Rows and columns of the convolution that a thread computes."""
        return self.windows[0] * self.conv.pool[0], self.windows[1] * self.conv.pool[1]

    @property
    def region(self) -> Pair:
        """Rows and columns of an image that a block reads, padding included."""
        conv, windows = self.conv, self.block_windows
        rows, columns = (
            (windows[k] * conv.pool[k] - 1) * conv.stride[k] + conv.kernel[k] for k in (0, 1)
        )
        return rows, columns

    @property
    def has_patch(self) -> bool:
        """Whether a thread has the patch of a channel in registers: it loads every pixel once."""
        conv, (rows, columns) = self.conv, self.positions
        n_pixels = ((rows - 1) * conv.stride[0] + conv.kernel[0]) * self.row_width
        products = conv.taps * rows * columns * self.filters
        return products <= MAX_PATCH and n_pixels * conv.words <= MAX_ACCUMULATORS

    @property
    def has_rows(self) -> bool:
        """Whether a thread has the pixels of a row of a filter in registers."""
        (rows, columns), width = self.positions, self.conv.kernel[1]
        return width * rows * columns * self.filters <= MAX_ROW and width <= 11

    @property
    def row_width(self) -> int:
        """Pixels of a row that a thread needs for a row of a filter."""
        columns = self.positions[1]
        return (columns - 1) * self.conv.stride[1] + self.conv.kernel[1]

    @property
    def regions(self) -> Pair:
        """Blocks that divide an image, along its axes."""
        rows, columns = (ceil_div(self.conv.pooled[k], self.block_windows[k]) for k in (0, 1))
        return rows, columns

    @property
    def filter_blocks(self) -> int:
        """Blocks that divide the filters."""
        return ceil_div(self.conv.filters, self.block_filters)

    @property
    def blocks(self) -> int:
        """Blocks of the launch."""
        rows, columns = self.regions
        images = ceil_div(self.conv.images, self.images)
        return rows * columns * images * self.filter_blocks

    @property
    def outputs(self) -> int:
        """Elements that a block computes, including those outside of the output."""
        rows, columns = self.block_windows
        return self.images * self.block_filters * rows * columns

    @property
    def stage_elements(self) -> int:
        """Elements of shared memory for one channel, approximately."""
        rows, columns = self.region
        return self.images * rows * (columns + 4) + self.conv.taps * (self.block_filters + 3)

    @property
    def result_elements(self) -> int:
        """Elements of shared memory for the results of threads."""
        if self.splits > 1:
            rows, columns = self.positions
            return self.threads * rows * columns * self.filters
        return self.outputs * (2 if self.conv.winners else 1)


def _instructions(tiling: Tiling) -> tuple[int, int, int]:
    """For a thread and channel: instructions, cycles of shared memory for its warp, and how often
    it waits for shared memory."""
    conv = tiling.conv
    rows, columns = tiling.positions
    f, words = tiling.filters, conv.words
    vector = 4 if f * words % 4 == 0 else 2 if f * words % 2 == 0 else 1
    products = conv.taps * rows * columns * f * (2 if words == 2 else 1)
    weights = conv.taps * f * words
    step = columns * conv.stride[1]
    pixel_vector = 4 if step % 4 == 0 else 2 if step % 2 == 0 else 1
    if tiling.has_patch:
        height = (rows - 1) * conv.stride[0] + conv.kernel[0]
        pixels, loops = height * tiling.row_width * words, 1
    elif tiling.has_rows:
        pixels, loops = conv.kernel[0] * rows * tiling.row_width * words, conv.kernel[0]
    else:
        pixels, loops = conv.taps * rows * columns * words, conv.taps
        pixel_vector = 1
    instructions = products + weights // vector + pixels // pixel_vector + 8 * loops
    return instructions, weights + pixels, loops


def cycles(tiling: Tiling) -> float:
    """The approximate cycles of the call with this tiling."""
    conv = tiling.conv
    blocks, threads = tiling.blocks, tiling.threads
    warps = ceil_div(threads, WARP)
    share = ceil_div(conv.channels, tiling.splits)
    rows, columns = tiling.positions
    accumulators = rows * columns * tiling.filters * conv.words
    registers = 40 + accumulators + (rows * tiling.row_width + tiling.filters) * conv.words
    elements = tiling.channels * tiling.stage_elements
    nbytes = max(elements, tiling.result_elements) * 4 * conv.words + 1024
    resident = min(
        RESIDENT_THREADS // (WARP * warps),
        REGISTERS // (WARP * warps * min(registers, 255)),
        SHARED_BYTES // nbytes,
        32,
    )
    if resident == 0:
        return float("inf")
    per_channel, shared_cycles, waits = _instructions(tiling)
    region_rows, region_columns = tiling.region
    pixels = tiling.images * conv.channels * region_rows * region_columns
    staged = pixels + conv.channels * conv.taps * tiling.block_filters
    stages = ceil_div(conv.channels, tiling.channels)
    exchange = accumulators if tiling.splits > 1 else 0
    results = ceil_div(tiling.outputs, threads)
    finish = results * (40 + (conv.positions * (tiling.splits + 4) if exchange else 0))
    instructions = share * per_channel + 14 * ceil_div(staged, threads) + 2 * exchange + finish
    own = ceil_div(warps, SCHEDULERS) * instructions + share * waits * SHARED_LATENCY
    latency = LATENCY * (stages + 1)
    n = ceil_div(blocks, MULTIPROCESSORS)  # of one multiprocessor
    issue = ceil_div(n * warps, SCHEDULERS) * instructions
    shared = n * warps * (share * shared_cycles + 2 * exchange)
    waves = ceil_div(n, resident)
    fetched = staged * 4 * conv.words
    moved = max(blocks * fetched / L2_BYTES_PER_CYCLE, n * fetched / L1_BYTES_PER_CYCLE)
    busy = max(issue, shared, waves * own + n * latency / resident - latency)
    return latency + (moved + busy if waves == 1 else max(moved, busy))


def _blocks_of_tiles(rows: int, columns: int) -> Iterator[Pair]:
    """Rows and columns of tiles that a block may have."""
    for row_parts in (1, 2, 3, 4, 8, 16, 64):
        for column_parts in (1, 2, 4, 16):
            if row_parts <= rows and column_parts <= columns:
                pair = ceil_div(rows, row_parts), ceil_div(columns, column_parts)
                if pair[0] * pair[1] <= MAX_THREADS:
                    yield pair
                    break  # whole rows where they fit


def _channel_stages(tiling: Tiling, elements: int) -> Tiling | None:
    """The tiling with as many channels at a time as fit in `elements` of shared memory, or None."""
    conv = tiling.conv
    most = min(conv.channels, elements // tiling.stage_elements)
    if most == 0 or tiling.result_elements > elements:
        return None
    for channels in range(most - most % tiling.splits, 0, -tiling.splits):
        if conv.channels % channels == 0 and (tiling.splits > 1 or 2 * channels > most):
            return tiling._replace(channels=channels)
    if tiling.splits > 1:
        return None  # all threads of a position have the same number of channels
    stages = ceil_div(conv.channels, most)
    return tiling._replace(channels=ceil_div(conv.channels, stages))


def _candidates(conv: Convolution) -> Iterator[Tiling]:
    height, width = conv.pooled
    splits = [s for s in range(1, min(conv.channels, 32) + 1) if conv.channels % s == 0]
    for filters in (1, 2, 4, 5, 8):
        for windows in ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2)):
            accumulators = conv.positions * windows[0] * windows[1] * filters * conv.words
            if accumulators > MAX_ACCUMULATORS and filters * windows[0] * windows[1] > 1:
                continue
            if (filters > conv.filters or windows[0] > height or windows[1] > width) and (
                filters * windows[0] * windows[1] > 1
            ):
                continue
            grid = ceil_div(height, windows[0]), ceil_div(width, windows[1])
            n_groups = ceil_div(conv.filters, filters)
            for tiles in _blocks_of_tiles(*grid):
                for images in (1, 2, 4, 8) if tiles == grid else (1,):
                    for groups in {ceil_div(n_groups, k) for k in (1, 2, 3, 4, 5, 8, 10, 20)}:
                        for n in splits:
                            tiling = Tiling(conv, filters, windows, tiles, images, groups, n, 1)
                            if tiling.threads <= MAX_THREADS and images <= conv.images:
                                yield tiling


def choose(conv: Convolution) -> Tiling | None:
    """The tiling of a call; None if even the smallest doesn't fit in shared memory."""
    best: tuple[float, Tiling] | None = None
    for candidate in _candidates(conv):
        blocks = candidate.blocks
        budget = STATIC_BYTES if blocks <= 2 * MULTIPROCESSORS else STATIC_BYTES * 2 // 3
        tiling = _channel_stages(candidate, (budget - 1024) // (4 * conv.words))
        if tiling is not None:
            cost = cycles(tiling)
            if best is None or cost < best[0]:
                best = cost, tiling
    return None if best is None or best[0] == float("inf") else best[1]
