"""batch_norm_grad: the gradient of batch_norm's y for x, gamma and beta.

Shapes: x, g (A, C, B), gamma, mean, invstd (C) -> dx (A, C, B), dgamma, dbeta (C); any strides.

Algorithm: with xhat = (x - mean) * invstd, a channel has dbeta = sum(g) and dgamma = sum(g * xhat),
computed in one pass. A second pass computes dx = gamma * invstd * (g - dbeta / m - xhat * dgamma /
m). Lanes and parts: see channels.py.

Launch: one, if a block can hold a channel. Otherwise one for the sums of parts, one that combines
them, and an elementwise one for dx. Reference: contracts/batch_norm/batch_norm.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, Launches, factory
from ..core.device import TYPES, device, shared_array
from ..core.each import each_strided
from ..core.index import u32
from ..core.lanes import bounds_of, lane_total
from .channels import (
    Layout,
    launches,
    layout_of_parts,
    pair_adder,
    places,
    summed,
    thread_of,
)

X, G, GAMMA, MEAN, INVSTD = range(5)  # inputs
DX, DGAMMA, DBETA = range(3)  # outputs
OF_G, OF_PRODUCTS = range(2)  # sums of parts in the workspace; behind them, per channel:
SCALE, SHIFT, SLOPE = range(3)  # dx = scale * (g - shift - (x - mean) * slope)


@factory("batch_norm_grad")
def batch_norm_grad(call: Call) -> Launches:
    """One launch, or three."""
    stages = _parts, _combination, _projection
    return launches(call, _whole, stages, lambda parts: 2 * parts + 3)


def _sums(call: Call, layout: Layout) -> Function:
    """`sums(begin, here, shared, p)`: of g and of g * xhat in a part.

    begin: number of the channel's value 0. here: a `Thread`. shared: two arrays of this function
    alone.
    """
    dtype, cut = TYPES[layout.dtype], layout.cut
    _, offset = places(call.inputs[X])
    at_x, at_g, _, at_mean, at_invstd = call.at[:5]
    zero = dtype(0)

    def products(place: Any, r: Any, p: Any) -> Any:
        i = place[0] + offset(r)
        g = p[G][at_g(i)]
        xhat = dtype(dtype(p[X][at_x(i)] - place[1]) * place[2])
        return g, dtype(g * xhat)

    add_up = lane_total(cut, device(products), pair_adder(layout.dtype), (zero, zero))
    total, bounds = summed(layout), bounds_of(cut)

    def sums(begin: Any, here: Any, shared: Any, p: Any) -> Any:
        first, end = bounds(here.part)
        place = begin, p[MEAN][at_mean(here.c)], p[INVSTD][at_invstd(here.c)]
        pair = add_up(place, first + here.lane, first, end, p)
        of_g = total(shared[0], here, pair[0])
        return of_g, total(shared[1], here, pair[1])

    return device(sums)


def _conclusion(call: Call, dtype: Any, values: int) -> Function:
    """`conclude(here, of_g, of_products, p)`: scale, shift and slope of a `Thread`'s channel, whose
    sums it stores. values: number of values of a channel.
    """
    at_gamma, at_invstd = call.at[GAMMA], call.at[INVSTD]
    store_gamma, store_beta = call.stores[DGAMMA], call.stores[DBETA]
    channels, count = call.inputs[X].shape[1], dtype(max(values, 1))

    def conclude(here: Any, of_g: Any, of_products: Any, p: Any) -> Any:
        c = here.c
        if here.lane == 0 and here.channel < channels:
            store_gamma(of_products, c, p)
            store_beta(of_g, c, p)
        invstd = p[INVSTD][at_invstd(c)]
        scale = dtype(p[GAMMA][at_gamma(c)] * invstd)
        return scale, dtype(of_g / count), dtype(invstd * dtype(of_products / count))

    return device(conclude)


def _projected(call: Call) -> Function:
    """`project(i, scale, shift, slope, mean, p)`: stores element i of dx."""
    dtype, store = TYPES[call.inputs[X].dtype], call.stores[DX]
    at_x, at_g = call.at[X], call.at[G]

    def project(i: Any, scale: Any, shift: Any, slope: Any, mean: Any, p: Any) -> None:
        g, x = p[G][at_g(i)], p[X][at_x(i)]
        along = dtype(dtype(x - mean) * slope)
        store(dtype(scale * dtype(dtype(g - shift) - along)), i, p)

    return device(project)


def _whole(call: Call, layout: Layout) -> Launch:
    """Sums and dx, where a block holds whole channels."""
    dtype, cut = TYPES[layout.dtype], layout.cut
    begin_of, offset = places(call.inputs[X])
    sums, thread, project = _sums(call, layout), thread_of(layout), _projected(call)
    conclude, at_mean = _conclusion(call, dtype, cut.length), call.at[MEAN]
    channels, lanes, length, n = cut.results, cut.lanes, cut.length, layout.block.shared

    def body(p: Any) -> None:
        of_g = shared_array(n, dtype)
        of_products = shared_array(n, dtype)
        here = thread()
        begin = begin_of(here.c)
        dbeta, dgamma = sums(begin, here, (of_g, of_products), p)
        scale, shift, slope = conclude(here, dbeta, dgamma, p)
        mean = p[MEAN][at_mean(here.c)]
        if here.channel < channels:
            lane = here.lane
            while lane < length:
                project(begin + offset(lane), scale, shift, slope, mean, p)
                lane = lane + lanes

    return Launch(body, layout.block.grid)


def _parts(call: Call, layout: Layout, workspace: int) -> Launch:
    """The two sums of every part: two arrays (parts, C) in the workspace."""
    dtype, cut = TYPES[layout.dtype], layout.cut
    begin_of, _ = places(call.inputs[X])
    sums, thread = _sums(call, layout), thread_of(layout)
    channels, n = cut.results, layout.block.shared
    step = cut.parts * channels

    def body(p: Any) -> None:
        of_g = shared_array(n, dtype)
        of_products = shared_array(n, dtype)
        here = thread()
        dbeta, dgamma = sums(begin_of(here.c), here, (of_g, of_products), p)
        if here.lane == 0 and here.channel < channels:
            place = here.part * channels + here.c
            p[workspace][place] = dbeta
            p[workspace][place + OF_PRODUCTS * step] = dgamma

    return Launch(body, layout.block.grid)


def _combination(call: Call, whole: Layout, workspace: int) -> Launch:
    """Combines parts to the sums of channels, and to scale, shift and slope of each."""
    layout = layout_of_parts(whole)
    dtype, cut = TYPES[layout.dtype], layout.cut
    channels, parts = cut.results, cut.length
    step, zero = parts * channels, dtype(0)

    def part_sums(c: Any, part: Any, p: Any) -> Any:
        place = part * channels + c
        of_products = p[workspace][place + OF_PRODUCTS * step]
        return p[workspace][place], of_products

    add_up = lane_total(cut, device(part_sums), pair_adder(layout.dtype), (zero, zero))
    total, thread = summed(layout), thread_of(layout)
    conclude, n = _conclusion(call, dtype, whole.cut.length), layout.block.shared

    def body(p: Any) -> None:
        of_g = shared_array(n, dtype)
        of_products = shared_array(n, dtype)
        here = thread()
        pair = add_up(here.c, here.lane, u32(0), u32(parts), p)
        dbeta, dgamma = total(of_g, here, pair[0]), total(of_products, here, pair[1])
        scale, shift, slope = conclude(here, dbeta, dgamma, p)
        if here.lane == 0 and here.channel < channels:
            place = here.c + 2 * step
            p[workspace][place] = scale
            p[workspace][place + SHIFT * channels] = shift
            p[workspace][place + SLOPE * channels] = slope

    return Launch(body, layout.block.grid)


def _projection(call: Call, layout: Layout, workspace: int) -> Launch:
    """dx, element by element."""
    n, (_, channels, b) = call.outputs[DX].size, call.inputs[X].shape
    project, at_mean = _projected(call), call.at[MEAN]
    kept = 2 * layout.cut.parts * channels

    def element(i: Any, p: Any) -> None:
        c = i // b % channels
        scale = p[workspace][kept + c]
        shift = p[workspace][kept + c + SHIFT * channels]
        slope = p[workspace][kept + c + SLOPE * channels]
        project(i, scale, shift, slope, p[MEAN][at_mean(c)], p)

    return each_strided(n, element)
