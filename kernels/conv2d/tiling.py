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
    """The work of a thread and of a block.

    filters, windows (rows, columns): of a thread, which computes all these windows for all these
    filters; its windows are a tile. tiles (rows, columns): of a block, in each of `images` images.
    groups: of filters, in a block. splits: threads that divide the channels of a position, each
    with channels / splits consecutive ones. channels: in shared memory at a time.
    """

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


def thread_positions(conv: Convolution, tiling: Tiling) -> Pair:
    """Rows and columns of the convolution that a thread computes."""
    return tiling.windows[0] * conv.pool[0], tiling.windows[1] * conv.pool[1]


def region(conv: Convolution, tiling: Tiling) -> Pair:
    """Rows and columns of an image that a block reads, padding included."""
    rows, columns = (
        (tiling.block_windows[k] * conv.pool[k] - 1) * conv.stride[k] + conv.kernel[k]
        for k in (0, 1)
    )
    return rows, columns


def has_patch(conv: Convolution, tiling: Tiling) -> bool:
    """Whether a thread has the patch of a channel in registers, and so loads every pixel once."""
    rows, columns = thread_positions(conv, tiling)
    n_pixels = ((rows - 1) * conv.stride[0] + conv.kernel[0]) * row_width(conv, tiling)
    products = conv.taps * rows * columns * tiling.filters
    return products <= MAX_PATCH and n_pixels * conv.words <= MAX_ACCUMULATORS


def has_rows(conv: Convolution, tiling: Tiling) -> bool:
    """Whether a thread has the pixels of a row of a filter in registers."""
    rows, columns = thread_positions(conv, tiling)
    return conv.kernel[1] * rows * columns * tiling.filters <= MAX_ROW and conv.kernel[1] <= 11


def row_width(conv: Convolution, tiling: Tiling) -> int:
    """Pixels of a row that a thread needs for a row of a filter."""
    columns = thread_positions(conv, tiling)[1]
    return (columns - 1) * conv.stride[1] + conv.kernel[1]


def n_regions(conv: Convolution, tiling: Tiling) -> Pair:
    """Blocks that divide an image, along its axes."""
    rows, columns = (ceil_div(conv.pooled[k], tiling.block_windows[k]) for k in (0, 1))
    return rows, columns


def n_filter_blocks(conv: Convolution, tiling: Tiling) -> int:
    """Blocks that divide the filters."""
    return ceil_div(conv.filters, tiling.block_filters)


def n_blocks(conv: Convolution, tiling: Tiling) -> int:
    """Blocks of the launch."""
    rows, columns = n_regions(conv, tiling)
    images = ceil_div(conv.images, tiling.images)
    return rows * columns * images * n_filter_blocks(conv, tiling)


def outputs_of_block(conv: Convolution, tiling: Tiling) -> int:
    """Elements that a block computes, including those outside of the output."""
    rows, columns = tiling.block_windows
    return tiling.images * tiling.block_filters * rows * columns


def _stage_elements(conv: Convolution, tiling: Tiling) -> int:
    """Elements of shared memory for one channel, approximately."""
    rows, columns = region(conv, tiling)
    return tiling.images * rows * (columns + 4) + conv.taps * (tiling.block_filters + 3)


def result_elements(conv: Convolution, tiling: Tiling) -> int:
    """Elements of shared memory for the results of threads."""
    if tiling.splits > 1:
        rows, columns = thread_positions(conv, tiling)
        return tiling.threads * rows * columns * tiling.filters
    return outputs_of_block(conv, tiling) * (2 if conv.has_winners else 1)


def _instructions(conv: Convolution, tiling: Tiling) -> tuple[int, int, int]:
    """For a thread and channel: instructions, cycles of shared memory for its warp, and how often
    it waits for shared memory."""
    rows, columns = thread_positions(conv, tiling)
    f, words = tiling.filters, conv.words
    vector = 4 if f * words % 4 == 0 else 2 if f * words % 2 == 0 else 1
    products = conv.taps * rows * columns * f * (2 if words == 2 else 1)
    weights = conv.taps * f * words
    step = columns * conv.stride[1]
    pixel_vector = 4 if step % 4 == 0 else 2 if step % 2 == 0 else 1
    if has_patch(conv, tiling):
        height = (rows - 1) * conv.stride[0] + conv.kernel[0]
        pixels, loops = height * row_width(conv, tiling) * words, 1
    elif has_rows(conv, tiling):
        pixels, loops = conv.kernel[0] * rows * row_width(conv, tiling) * words, conv.kernel[0]
    else:
        pixels, loops = conv.taps * rows * columns * words, conv.taps
        pixel_vector = 1
    instructions = products + weights // vector + pixels // pixel_vector + 8 * loops
    return instructions, weights + pixels, loops


def cycles(conv: Convolution, tiling: Tiling) -> float:
    """The approximate cycles of the call with this tiling."""
    blocks, threads = n_blocks(conv, tiling), tiling.threads
    warps = ceil_div(threads, WARP)
    share = ceil_div(conv.channels, tiling.splits)
    rows, columns = thread_positions(conv, tiling)
    accumulators = rows * columns * tiling.filters * conv.words
    registers = 40 + accumulators + (rows * row_width(conv, tiling) + tiling.filters) * conv.words
    elements = tiling.channels * _stage_elements(conv, tiling)
    nbytes = max(elements, result_elements(conv, tiling)) * 4 * conv.words + 1024
    resident = min(
        RESIDENT_THREADS // (WARP * warps),
        REGISTERS // (WARP * warps * min(registers, 255)),
        SHARED_BYTES // nbytes,
        32,
    )
    if resident == 0:
        return float("inf")
    per_channel, shared_cycles, waits = _instructions(conv, tiling)
    region_rows, region_columns = region(conv, tiling)
    pixels = tiling.images * conv.channels * region_rows * region_columns
    staged = pixels + conv.channels * conv.taps * tiling.block_filters
    stages = ceil_div(conv.channels, tiling.channels)
    exchange = accumulators if tiling.splits > 1 else 0
    results = ceil_div(outputs_of_block(conv, tiling), threads)
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


def _channel_stages(conv: Convolution, tiling: Tiling, elements: int) -> Tiling | None:
    """The tiling with as many channels at a time as fit in `elements` of shared memory, or None."""
    most = min(conv.channels, elements // _stage_elements(conv, tiling))
    if most == 0 or result_elements(conv, tiling) > elements:
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
                            tiling = Tiling(filters, windows, tiles, images, groups, n, 1)
                            if tiling.threads <= MAX_THREADS and images <= conv.images:
                                yield tiling


def choose(conv: Convolution) -> Tiling | None:
    """The tiling of a call; None if even the smallest doesn't fit in shared memory."""
    best: tuple[float, Tiling] | None = None
    for candidate in _candidates(conv):
        blocks = n_blocks(conv, candidate)
        budget = STATIC_BYTES if blocks <= 2 * MULTIPROCESSORS else STATIC_BYTES * 2 // 3
        tiling = _channel_stages(conv, candidate, (budget - 1024) // (4 * conv.words))
        if tiling is not None:
            cost = cycles(conv, tiling)
            if best is None or cost < best[0]:
                best = cost, tiling
    return None if best is None or best[0] == float("inf") else best[1]
