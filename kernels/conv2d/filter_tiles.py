"""The cut of conv2d_grad_filter into tiles of dw and pieces of the positions.

A piece is in shared memory as x, [image][channel][row][column], and behind it g, unpooled:
[image][filter][line][position].
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..core.hardware import MAX_GRID_Y, MULTIPROCESSORS, REGISTERS, SCHEDULERS, SHARED_BYTES, WARP
from ..core.integers import ceil_div, even_share, round_up
from ..core.sums import longest_run
from .geometry import Convolution
from .grad_limits import LATENCY, QUAD, STAGED_BYTES, SUMS, THREADS, WAIT, WINNERS

BLOCKS = (MULTIPROCESSORS, 2 * MULTIPROCESSORS, 4 * MULTIPROCESSORS)
SECOND_KERNEL = 4000  # cycles
BYTES_PER_CYCLE = 1500  # of partial sums, written and read again
PARTIAL_BYTES = 64 << 20


class FilterTiles(NamedTuple):
    """A cut of dw into tiles, and of the positions into pieces.

    filters: of a thread. groups: of `filters` filters each, in a tile. rows: of filters, (c, kh),
    in a tile. split: threads that divide the lines of a piece. images, lines: a piece has `lines`
    lines of each of `images` images, with `windows` windows in all. ranges: blocks that divide the
    pieces, `pieces_per_block` each.
    """

    filters: int
    groups: int
    rows: int
    split: int
    images: int
    lines: int
    bands: int
    pieces: int
    pieces_per_block: int
    ranges: int
    row_tiles: int
    group_tiles: int
    channels: int
    image_rows: int
    image_pitch: int
    line_pitch: int
    kernel_width: int
    windows: int

    @property
    def units(self) -> int:
        """Threads of a tile with sums of different elements."""
        return self.rows * self.groups

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.units * self.split

    @property
    def tiles(self) -> int:
        """Tiles of dw."""
        return self.row_tiles * self.group_tiles

    @property
    def gradients(self) -> int:
        """Where g begins in shared memory, after x."""
        return self.images * self.channels * self.image_rows * self.image_pitch

    @property
    def outputs(self) -> int:
        """Sums of a tile."""
        return self.units * self.filters * self.kernel_width

    @property
    def shared(self) -> int:
        """Elements of shared memory: x and g, and at the end the sums of all threads."""
        g = self.images * self.groups * self.filters * self.lines * self.line_pitch
        return max(self.gradients + g + 2 * QUAD, self.threads * self.filters * self.kernel_width)


def filter_tiles(conv: Convolution) -> FilterTiles | None:
    """The fastest cut by the model; None if a line, a filter or a pool is too large."""
    large = conv.kernel[1] > SUMS // 4 or conv.stride[1] > QUAD or conv.positions > WINNERS
    if conv.is_empty or large:
        return None
    found = [
        c
        for c in candidates(conv)
        if c.shared * conv.itemsize <= STAGED_BYTES and c.tiles <= MAX_GRID_Y
    ]
    return min(found, key=lambda c: _cost(conv, c), default=None)


def candidates(conv: Convolution) -> Iterator[FilterTiles]:
    """Candidates; some need more shared memory than there is."""
    rows, width = conv.channels * conv.kernel[0], conv.kernel[1]
    for filters in range(1, min(conv.filters, SUMS * 4 // (conv.itemsize * width)) + 1):
        all_groups = ceil_div(conv.filters, filters)
        for groups in sorted({even_share(all_groups, most) for most in (1, 2, 4, 8)}):
            shares = {even_share(conv.channels, most) for most in (1, 2, 4, 8, 16, 32)}
            tall = {conv.kernel[0] * share for share in shares}
            for tile_rows in sorted({even_share(rows, 256 // groups), *tall}):
                if tile_rows * groups <= 256:
                    yield from _pieces(conv, filters, groups, tile_rows)


def _pieces(conv: Convolution, filters: int, groups: int, rows: int) -> Iterator[FilterTiles]:
    """Cuts of the positions for a tile. A thread adds no more than a run (sums.py)."""
    kernel_h, width = conv.kernel
    row_tiles = ceil_div(conv.channels * kernel_h, rows)
    whole = rows % kernel_h == 0
    touched = rows // kernel_h if whole else (rows + kernel_h - 2) // kernel_h + 1
    channels = min(conv.channels, touched)
    group_tiles = ceil_div(ceil_div(conv.filters, filters), groups)
    image_pitch = round_up((conv.used[1] - 1) * conv.stride[1] + width, QUAD)
    line_pitch = round_up(conv.used[1], QUAD)
    budget = STAGED_BYTES // conv.itemsize - 2 * QUAD
    longest = longest_run(conv.images * conv.used[0] * conv.used[1])

    def elements(lines: int) -> int:
        image_rows = (lines - 1) * conv.stride[0] + kernel_h
        return channels * image_rows * image_pitch + groups * filters * lines * line_pitch

    lines = conv.used[0]
    while lines > conv.pool[0] and elements(lines) > budget:
        lines = even_share(conv.pooled[0], lines // conv.pool[0] - 1) * conv.pool[0]
    if elements(lines) > budget:
        return
    bands = ceil_div(conv.used[0], lines)
    fitting = budget // elements(lines) if bands == 1 else 1
    tiles = row_tiles * group_tiles
    for most in sorted({1, 2, 4, fitting}):
        images = even_share(conv.images, min(most, fitting))
        pieces = ceil_div(conv.images, images) * bands
        work = images * lines
        splits = {even_share(work, max(1, most // (rows * groups))) for most in THREADS}
        shares = {1, *(min(pieces, max(1, blocks // tiles)) for blocks in BLOCKS)}
        for split, ranges in [(a, b) for a in sorted(splits) for b in sorted(shares)]:
            most_pieces = longest // (ceil_div(work, split) * conv.used[1])  # of a thread
            if most_pieces == 0:
                continue
            per_block = min(ceil_div(pieces, ranges), most_pieces)
            partial = ceil_div(pieces, per_block) * conv.weight_bytes
            if per_block < pieces and partial > PARTIAL_BYTES:
                continue
            yield FilterTiles(
                filters,
                groups,
                rows,
                split,
                images,
                lines,
                bands,
                pieces,
                per_block,
                ceil_div(pieces, per_block),
                row_tiles,
                group_tiles,
                channels,
                (lines - 1) * conv.stride[0] + kernel_h,
                image_pitch,
                line_pitch,
                width,
                images * groups * filters * (lines // conv.pool[0]) * conv.pooled[1],
            )


def _cost(conv: Convolution, c: FilterTiles) -> float:
    """Approximate cycles on a large GPU: instructions on four schedulers, accesses to shared
    memory, waits for memory, a second kernel."""
    window = ceil_div((QUAD - 1) * conv.stride[1] + conv.kernel[1], QUAD)
    instructions = QUAD * c.filters * conv.kernel[1] + c.filters + window + 6
    splits = ceil_div(WARP, c.units)  # of a warp, which read different addresses
    x_rows = ceil_div(min(WARP, c.rows) * splits, 8)
    g_rows = ceil_div(min(c.groups, ceil_div(WARP, c.rows)) * splits, 8)
    wide = min(4, x_rows) * window + min(4, g_rows) * c.filters
    quads = ceil_div(c.images * c.lines, c.split) * ceil_div(conv.used[1], QUAD)
    staging = (20 * c.gradients + (25 + 6 * conv.positions) * c.windows) / c.threads + 40
    piece = quads * max(instructions, SCHEDULERS * wide) + staging
    end = 3 * c.outputs * c.split / c.threads + c.filters * conv.kernel[1] + 150
    warps = ceil_div(c.threads, WARP)
    issue = warps * (piece * c.pieces_per_block + end) / SCHEDULERS
    waves = ceil_div(c.tiles * c.ranges, MULTIPROCESSORS)
    alone = (LATENCY + quads * (instructions + WAIT) + staging) * c.pieces_per_block + 2 * end
    time = max(waves * issue, alone * ceil_div(waves, resident(conv, c)))
    if c.ranges > 1:
        partial = c.ranges * conv.weight_bytes
        time += SECOND_KERNEL + partial / BYTES_PER_CYCLE
    return time


def resident(conv: Convolution, c: FilterTiles) -> int:
    """Blocks that run at once on a multiprocessor."""
    registers = c.threads * (2 * c.filters * conv.kernel[1] + 48)
    return max(1, min(8, SHARED_BYTES // (c.shared * conv.itemsize), REGISTERS // registers))
