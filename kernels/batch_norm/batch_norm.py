"""batch_norm: normalises the values of each channel, then scales and shifts them.

Shapes: x (A, C, B), gamma, beta (C), epsilon (), extras (A, C, B) -> y (A, C, B), mean, invstd,
variance (C); any strides.

Algorithm: a block computes the mean of its values. It reads them again, now from the cache, and
adds up the differences from the mean and their squares. So there is no cancellation, even if the
mean is large compared with the deviation. The sum of the differences, which without rounding would
be 0, corrects mean and variance. Parts of a channel are combined around the mean of the first part.
Lanes and parts: see channels.py.

Launch: one, if a block can hold a channel. Otherwise one for the parts, one that combines them, and
an elementwise one for y. Reference: contracts/batch_norm/batch_norm.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, Launches, factory
from ..core.device import TYPES, device, shared_array, sqrt
from ..core.each import each_strided
from ..core.index import u32
from ..core.lanes import bounds_of, lane_total
from ..core.sums import adder
from .channels import (
    Layout,
    launches,
    layout_of_parts,
    pair_adder,
    places,
    summed,
    thread_of,
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
    """`around(begin, here, shared, p)`.

    For the part of a column: its mean, the sum of the differences from it, and the sum of their
    squares. begin: number of the channel's value 0. here: a `Thread`. shared: three arrays of this
    function alone.
    """
    dtype, cut, at = TYPES[layout.dtype], layout.cut, call.at[0]
    _, offset = places(call.inputs[0])
    zero = dtype(0)

    def value(begin: Any, r: Any, p: Any) -> Any:
        return p[0][at(begin + offset(r))]

    value = device(value)

    def moments(place: Any, r: Any, p: Any) -> Any:
        difference = dtype(value(place[0], r, p) - place[1])
        return difference, dtype(difference * difference)

    of_values = lane_total(cut, value, adder(layout.dtype), zero, dtype)
    of_moments = lane_total(cut, device(moments), pair_adder(layout.dtype), (zero, zero))
    total, bounds = summed(layout), bounds_of(cut)

    def around(begin: Any, here: Any, shared: Any, p: Any) -> Any:
        first, end = bounds(here.part)
        r = first + here.lane
        whole = total(shared[0], here, of_values(begin, r, first, end, p))
        mean = dtype(whole / dtype(end - first))
        pair = of_moments((begin, mean), r, first, end, p)
        rest = total(shared[1], here, pair[0])
        return mean, rest, total(shared[2], here, pair[1])

    return device(around)


def _conclusion(call: Call, layout: Layout) -> Function:
    """`conclude(here, mean, off, variance, p)`: scale and shift of a `Thread`'s channel, whose
    statistics it stores.

    y is (x - centre) * scale + shift, and the mean is centre + off. A variance below 0 is a
    rounding error, and taken as 0.
    """
    dtype, at_epsilon = TYPES[layout.dtype], call.at[3]
    at_gamma, at_beta = call.at[1:3]
    store_mean, store_invstd, store_variance = call.stores[MEAN:]
    channels, zero, one = layout.cut.results, dtype(0), dtype(1)

    def conclude(here: Any, mean: Any, off: Any, variance: Any, p: Any) -> Any:
        c = here.c
        variance = zero if variance < zero else variance
        epsilon = p[3][at_epsilon(u32(0))]
        invstd = dtype(one / dtype(sqrt(dtype(variance + epsilon))))
        if here.lane == 0 and here.channel < channels:
            store_mean(mean, c, p)
            store_invstd(invstd, c, p)
            store_variance(variance, c, p)
        scale = dtype(invstd * p[1][at_gamma(c)])
        return scale, dtype(p[2][at_beta(c)] - dtype(off * scale))

    return device(conclude)


def _whole(call: Call, layout: Layout) -> Launch:
    """Statistics and y, where a block holds whole channels."""
    dtype, cut = TYPES[layout.dtype], layout.cut
    begin_of, offset = places(call.inputs[0])
    thread, around, conclude = (
        thread_of(layout),
        _around_mean(call, layout),
        _conclusion(call, layout),
    )
    at, finish = call.at[0], call.finishes[0]
    channels, lanes, length, n = cut.results, cut.lanes, cut.length, layout.block.shared
    count, zero = dtype(cut.length), dtype(0)

    def body(p: Any) -> None:
        sums = shared_array(n, dtype)
        rests = shared_array(n, dtype)
        squares = shared_array(n, dtype)
        here = thread()
        begin = begin_of(here.c)
        mean, rest, square = around(begin, here, (sums, rests, squares), p)
        off = dtype(rest / count)
        off = off if off - off == zero else zero  # NaN if the mean is infinite
        variance = dtype(dtype(square / count) - dtype(off * off))
        scale, shift = conclude(here, dtype(mean + off), off, variance, p)
        if here.channel < channels:
            lane = here.lane
            while lane < length:
                i = begin + offset(lane)
                centred = dtype(p[0][at(i)] - mean)
                finish(dtype(dtype(centred * scale) + shift), i, p)
                lane = lane + lanes

    return Launch(body, layout.block.grid)


def _parts(call: Call, layout: Layout, workspace: int) -> Launch:
    """Mean of every part, and the sums around it: three arrays (parts, C) in the workspace."""
    dtype, cut = TYPES[layout.dtype], layout.cut
    begin_of, _ = places(call.inputs[0])
    thread, around = thread_of(layout), _around_mean(call, layout)
    channels, n = cut.results, layout.block.shared
    step = cut.parts * channels

    def body(p: Any) -> None:
        sums = shared_array(n, dtype)
        rests = shared_array(n, dtype)
        squares = shared_array(n, dtype)
        here = thread()
        mean, rest, square = around(begin_of(here.c), here, (sums, rests, squares), p)
        if here.lane == 0 and here.channel < channels:
            place = here.part * channels + here.c
            p[workspace][place] = mean
            p[workspace][place + RESTS * step] = rest
            p[workspace][place + SQUARES * step] = square

    return Launch(body, layout.block.grid)


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
    total, thread, conclude = summed(layout), thread_of(layout), _conclusion(call, layout)
    n, kept = layout.block.shared, 3 * parts * channels

    def body(p: Any) -> None:
        offs = shared_array(n, dtype)
        means = shared_array(n, dtype)
        squares = shared_array(n, dtype)
        here = thread()
        c, lane, first, end = here.c, here.lane, u32(0), u32(parts)
        centre = p[workspace][c]
        both = of_deviations((c, centre), lane, first, end, p)
        off = dtype(total(offs, here, both[0]) / count)
        plain = dtype(total(means, here, both[1]))
        mean = dtype(centre + off) if off - off == zero else plain
        square = of_squares((c, centre, off), lane, first, end, p)
        variance = dtype(total(squares, here, square) / count)
        scale, shift = conclude(here, mean, off, variance, p)
        if here.lane == 0 and here.channel < channels:
            place = c + kept
            p[workspace][place] = centre
            p[workspace][place + SCALE * channels] = scale
            p[workspace][place + SHIFT * channels] = shift

    return Launch(body, layout.block.grid)


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
        place = part * channels + c
        n = last_count if part == parts - 1 else whole_count
        rest = p[workspace][place + RESTS * step]
        # It is NaN if the mean is infinite.
        return place, n, p[workspace][place], rest if rest - rest == zero else zero

    read = device(read)

    def deviation(place: Any, part: Any, p: Any) -> Any:
        _, n, mean, rest = read(place[0], part, p)
        share = last_share if part == parts - 1 else whole_share
        return dtype(dtype(n * dtype(mean - place[1])) + rest), dtype(mean * share)

    def squared(place: Any, part: Any, p: Any) -> Any:
        number, n, mean, rest = read(place[0], part, p)
        square = p[workspace][number + SQUARES * step]
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

    def element(i: Any, p: Any) -> None:
        place = kept + i // b % channels
        centre = p[workspace][place]
        scale = p[workspace][place + SCALE * channels]
        shift = p[workspace][place + SHIFT * channels]
        centred = dtype(p[0][at(i)] - centre)
        finish(dtype(dtype(centred * scale) + shift), i, p)

    return each_strided(n, element)
