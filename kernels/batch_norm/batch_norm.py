"""batch_norm: normalises the values of each channel, then scales and shifts them.

Shapes: x (A, C, B), gamma, beta (C), epsilon (), extras (A, C, B) -> y (A, C, B), mean, invstd,
variance (C); any strides. Algorithm: a block computes the mean of its values. It reads them again,
now from the cache, and adds up the differences from the mean and their squares. So there is no
cancellation, even if the mean is large compared with the deviation. The sum of the differences,
which without rounding would be 0, corrects mean and variance. Parts of a channel are combined
around the mean of the first part. Launch: one, if a block can hold a channel. Otherwise one for the
parts, one that combines them, and an elementwise one for y. Lanes and parts: see channels.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, Launches, factory, grid_1d
from ..core.device import TYPES, cuda, device, shared_array, sqrt, uint32, uint64
from ..core.each import strided_grid
from ..core.lanes import THREADS, lane_total
from ..core.sums import adder
from .channels import (
    Layout,
    bounds_of,
    launches,
    layout_of_parts,
    pair_adder,
    places,
    position,
    summed,
)

Y, MEAN, INVSTD, VARIANCE = range(4)  # outputs
MEANS, RESTS, SQUARES = range(3)  # of parts, in the workspace, and behind them, per channel:
CENTRE, SCALE, SHIFT = range(3)  # y = (x - centre) * scale + shift


@factory("batch_norm")
def batch_norm(call: Call) -> Launches:
    """One launch, or three."""
    stages = _parts, _combination, _normalisation
    return launches(call, _whole, stages, lambda parts: 3 * (parts + 1))


def _around_mean(call: Call, layout: Layout) -> Function:
    """`around(begin, lane, column, t, part, shared, p)`.

    For the part of a column: its mean, the sum of the differences from it, and the sum of their
    squares. begin: number of the channel's value 0. shared: three arrays of this function alone.
    """
    dtype, cut, at = TYPES[layout.dtype], layout.cut, call.at[0]
    _, offset = places(call.inputs[0])
    zero = dtype(0)

    def value(begin: Any, r: Any, p: Any) -> Any:
        return p[0][uint64(at(uint32(begin + offset(r))))]

    value = device(value)

    def moments(place: Any, r: Any, p: Any) -> Any:
        difference = dtype(value(place[0], r, p) - place[1])
        return difference, dtype(difference * difference)

    of_values = lane_total(cut, value, adder(layout.dtype), zero, dtype)
    of_moments = lane_total(cut, device(moments), pair_adder(layout.dtype), (zero, zero))
    total, bounds = summed(layout), bounds_of(cut)

    def around(begin: Any, lane: Any, column: Any, t: Any, part: Any, shared: Any, p: Any) -> Any:
        first, end = bounds(part)
        r = uint32(first + lane)
        whole = total(shared[0], t, lane, column, of_values(begin, r, first, end, p))
        mean = dtype(whole / dtype(uint32(end - first)))
        pair = of_moments((begin, mean), r, first, end, p)
        rest = total(shared[1], t, lane, column, pair[0])
        return mean, rest, total(shared[2], t, lane, column, pair[1])

    return device(around)


def _conclusion(call: Call, layout: Layout) -> Function:
    """`conclude(c, stores, mean, off, variance, p)`: scale and shift of channel c.

    y is (x - centre) * scale + shift, and the mean is centre + off. stores: whether this thread
    stores the statistics. A variance below 0 is a rounding error, and taken as 0.
    """
    dtype, at_epsilon = TYPES[layout.dtype], call.at[3]
    at_gamma, at_beta = call.at[1:3]
    store_mean, store_invstd, store_variance = call.stores[MEAN:]
    zero, one = dtype(0), dtype(1)

    def conclude(c: Any, stores: Any, mean: Any, off: Any, variance: Any, p: Any) -> Any:
        variance = zero if variance < zero else variance
        epsilon = p[3][uint64(at_epsilon(uint32(0)))]
        invstd = dtype(one / dtype(sqrt(dtype(variance + epsilon))))
        if stores:
            store_mean(mean, c, p)
            store_invstd(invstd, c, p)
            store_variance(variance, c, p)
        scale = dtype(invstd * p[1][uint64(at_gamma(c))])
        return scale, dtype(p[2][uint64(at_beta(c))] - dtype(off * scale))

    return device(conclude)


def _whole(call: Call, layout: Layout) -> Launch:
    """Statistics and y, where a block holds whole channels."""
    dtype, cut = TYPES[layout.dtype], layout.cut
    begin_of, offset = places(call.inputs[0])
    at, finish, where, around = (
        call.at[0],
        call.finishes[0],
        position(layout),
        _around_mean(call, layout),
    )
    conclude = _conclusion(call, layout)
    channels, lanes, length, n = cut.results, cut.lanes, cut.length, layout.shared
    count, zero = dtype(cut.length), dtype(0)

    def body(p: Any) -> None:
        sums = shared_array(n, dtype)
        rests = shared_array(n, dtype)
        squares = shared_array(n, dtype)
        t = uint32(cuda.threadIdx.x)
        lane, column, part, channel = where(t, uint32(cuda.blockIdx.x))
        c = channel if channel < uint32(channels) else uint32(channels - 1)
        begin = begin_of(c)
        mean, rest, square = around(begin, lane, column, t, part, (sums, rests, squares), p)
        off = dtype(rest / count)
        off = off if off - off == zero else zero  # NaN if the mean is infinite
        variance = dtype(dtype(square / count) - dtype(off * off))
        stores = lane == uint32(0) and channel < uint32(channels)
        scale, shift = conclude(c, stores, dtype(mean + off), off, variance, p)
        if channel < uint32(channels):
            while lane < uint32(length):
                i = uint32(begin + offset(lane))
                centred = dtype(p[0][uint64(at(i))] - mean)
                finish(dtype(dtype(centred * scale) + shift), i, p)
                lane = uint32(lane + uint32(lanes))

    return Launch(body, grid_1d(layout.blocks, layout.size))


def _parts(call: Call, layout: Layout, workspace: int) -> Launch:
    """Mean of every part, and the sums around it: three arrays (parts, C) in the workspace."""
    dtype, cut = TYPES[layout.dtype], layout.cut
    begin_of, _ = places(call.inputs[0])
    where, around = position(layout), _around_mean(call, layout)
    channels, n = cut.results, layout.shared
    step = cut.parts * channels

    def body(p: Any) -> None:
        sums = shared_array(n, dtype)
        rests = shared_array(n, dtype)
        squares = shared_array(n, dtype)
        t = uint32(cuda.threadIdx.x)
        lane, column, part, channel = where(t, uint32(cuda.blockIdx.x))
        c = channel if channel < uint32(channels) else uint32(channels - 1)
        mean, rest, square = around(begin_of(c), lane, column, t, part, (sums, rests, squares), p)
        if lane == uint32(0) and channel < uint32(channels):
            place = uint32(uint32(part * uint32(channels)) + c)
            p[workspace][uint64(place)] = mean
            p[workspace][uint64(uint32(place + uint32(RESTS * step)))] = rest
            p[workspace][uint64(uint32(place + uint32(SQUARES * step)))] = square

    return Launch(body, grid_1d(layout.blocks, layout.size))


def _combination(call: Call, whole: Layout, workspace: int) -> Launch:
    """Combines parts to statistics, and to centre, scale and shift of each channel."""
    layout = layout_of_parts(whole)
    dtype, cut = TYPES[layout.dtype], layout.cut
    channels, parts = cut.results, cut.length
    deviation, squared = _part_terms(whole, workspace)
    zero, count = dtype(0), dtype(whole.cut.length)
    pair = pair_adder(layout.dtype)
    of_deviations = lane_total(cut, deviation, pair, (zero, zero))
    of_squares = lane_total(cut, squared, adder(layout.dtype), zero)
    total, where, conclude = summed(layout), position(layout), _conclusion(call, layout)
    n, kept = layout.shared, 3 * parts * channels

    def body(p: Any) -> None:
        offs = shared_array(n, dtype)
        means = shared_array(n, dtype)
        squares = shared_array(n, dtype)
        t = uint32(cuda.threadIdx.x)
        lane, column, _, channel = where(t, uint32(cuda.blockIdx.x))
        c = channel if channel < uint32(channels) else uint32(channels - 1)
        first, end = uint32(0), uint32(parts)
        centre = p[workspace][uint64(c)]
        both = of_deviations((c, centre), lane, first, end, p)
        off = dtype(total(offs, t, lane, column, both[0]) / count)
        plain = dtype(total(means, t, lane, column, both[1]))
        mean = dtype(centre + off) if off - off == zero else plain
        square = of_squares((c, centre, off), lane, first, end, p)
        variance = dtype(total(squares, t, lane, column, square) / count)
        stores = lane == uint32(0) and channel < uint32(channels)
        scale, shift = conclude(c, stores, mean, off, variance, p)
        if stores:
            place = uint32(c + uint32(kept))
            p[workspace][uint64(place)] = centre
            p[workspace][uint64(uint32(place + uint32(SCALE * channels)))] = scale
            p[workspace][uint64(uint32(place + uint32(SHIFT * channels)))] = shift

    return Launch(body, grid_1d(layout.blocks, layout.size))


def _part_terms(whole: Layout, workspace: int) -> tuple[Function, Function]:
    """Terms of a channel's sums over parts.

    `deviation((c, centre), part, p)`: the part's sum of differences from `centre`, and its share of
    the mean. The mean is that sum of shares if infinities make the sum of differences NaN.
    `squared((c, centre, off), part, p)`: the part's sum of squared differences from centre + off.
    """
    dtype, cut = TYPES[whole.dtype], whole.cut
    channels, parts, chunk, length = cut.results, cut.parts, cut.chunk, cut.length
    step, last = parts * channels, length - (parts - 1) * chunk
    zero, whole_count, last_count = dtype(0), dtype(chunk), dtype(last)
    whole_share, last_share = dtype(chunk / length), dtype(last / length)

    def read(c: Any, part: Any, p: Any) -> Any:
        place = uint32(uint32(part * uint32(channels)) + c)
        n = last_count if part == uint32(parts - 1) else whole_count
        rest = p[workspace][uint64(uint32(place + uint32(RESTS * step)))]
        # It is NaN if the mean is infinite.
        return place, n, p[workspace][uint64(place)], rest if rest - rest == zero else zero

    read = device(read)

    def deviation(place: Any, part: Any, p: Any) -> Any:
        _, n, mean, rest = read(place[0], part, p)
        share = last_share if part == uint32(parts - 1) else whole_share
        return dtype(dtype(n * dtype(mean - place[1])) + rest), dtype(mean * share)

    def squared(place: Any, part: Any, p: Any) -> Any:
        number, n, mean, rest = read(place[0], part, p)
        square = p[workspace][uint64(uint32(number + uint32(SQUARES * step)))]
        own = dtype(rest / n)
        far = dtype(dtype(dtype(mean - place[1]) + own) - place[2])
        return dtype(dtype(square - dtype(rest * own)) + dtype(n * dtype(far * far)))

    return device(deviation), device(squared)


def _normalisation(call: Call, layout: Layout, workspace: int) -> Launch:
    """y, element by element."""
    dtype, cut = TYPES[layout.dtype], layout.cut
    n, (_, channels, b) = call.outputs[Y].size, call.inputs[0].shape
    at, finish = call.at[0], call.finishes[0]
    kept = 3 * cut.parts * channels
    grid = strided_grid(n, THREADS)
    step = grid.grid[0] * THREADS

    def body(p: Any) -> None:
        i = cuda.grid(1)
        while i < n:
            element = uint32(i)
            c = uint32(uint32(element // uint32(b)) % uint32(channels))
            place = uint32(c + uint32(kept))
            centre = p[workspace][uint64(place)]
            scale = p[workspace][uint64(uint32(place + uint32(SCALE * channels)))]
            shift = p[workspace][uint64(uint32(place + uint32(SHIFT * channels)))]
            centred = dtype(p[0][uint64(at(element))] - centre)
            finish(dtype(dtype(centred * scale) + shift), element, p)
            i += step

    return Launch(body, grid)
