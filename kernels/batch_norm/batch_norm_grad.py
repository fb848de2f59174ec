"""batch_norm_grad: the gradient of batch_norm's y for x, gamma and beta.

Shapes: x, g (A, C, B), gamma, mean, invstd (C) -> dx (A, C, B), dgamma, dbeta (C); any strides.
Algorithm: with xhat = (x - mean) * invstd, a channel has dbeta = sum(g) and dgamma = sum(g * xhat),
computed in one pass. A second pass computes dx = gamma * invstd * (g - dbeta / m - xhat * dgamma /
m). Launch: one, if a block can hold a channel. Otherwise one for the sums of parts, one that
combines them, and an elementwise one for dx. Lanes and parts: see channels.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, Launches, factory, grid_1d
from ..core.device import TYPES, cuda, device, shared_array, uint32, uint64
from ..core.each import strided_grid
from ..core.lanes import THREADS, lane_total
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
    """`sums(c, begin, lane, column, t, part, shared, p)`: of g and of g * xhat in a part.

    begin: number of channel c's value 0. shared: two arrays of this function alone.
    """
    dtype, cut = TYPES[layout.dtype], layout.cut
    _, offset = places(call.inputs[X])
    at_x, at_g, _, at_mean, at_invstd = call.at[:5]
    zero = dtype(0)

    def products(place: Any, r: Any, p: Any) -> Any:
        i = uint32(place[0] + offset(r))
        g = p[G][uint64(at_g(i))]
        xhat = dtype(dtype(p[X][uint64(at_x(i))] - place[1]) * place[2])
        return g, dtype(g * xhat)

    add_up = lane_total(cut, device(products), pair_adder(layout.dtype), (zero, zero))
    total, bounds = summed(layout), bounds_of(cut)

    def sums(
        c: Any, begin: Any, lane: Any, column: Any, t: Any, part: Any, shared: Any, p: Any
    ) -> Any:
        first, end = bounds(part)
        place = begin, p[MEAN][uint64(at_mean(c))], p[INVSTD][uint64(at_invstd(c))]
        pair = add_up(place, uint32(first + lane), first, end, p)
        of_g = total(shared[0], t, lane, column, pair[0])
        return of_g, total(shared[1], t, lane, column, pair[1])

    return device(sums)


def _conclusion(call: Call, dtype: Any, values: int) -> Function:
    """`conclude(c, stores, of_g, of_products, p)`: scale, shift and slope of channel c.

    stores: whether this thread stores the sums. values: number of values of a channel.
    """
    at_gamma, at_invstd = call.at[GAMMA], call.at[INVSTD]
    store_gamma, store_beta = call.stores[DGAMMA], call.stores[DBETA]
    count = dtype(max(values, 1))

    def conclude(c: Any, stores: Any, of_g: Any, of_products: Any, p: Any) -> Any:
        if stores:
            store_gamma(of_products, c, p)
            store_beta(of_g, c, p)
        invstd = p[INVSTD][uint64(at_invstd(c))]
        scale = dtype(p[GAMMA][uint64(at_gamma(c))] * invstd)
        return scale, dtype(of_g / count), dtype(invstd * dtype(of_products / count))

    return device(conclude)


def _projected(call: Call) -> Function:
    """`project(i, scale, shift, slope, mean, p)`: stores element i of dx."""
    dtype, store = TYPES[call.inputs[X].dtype], call.stores[DX]
    at_x, at_g = call.at[X], call.at[G]

    def project(i: Any, scale: Any, shift: Any, slope: Any, mean: Any, p: Any) -> None:
        g, x = p[G][uint64(at_g(i))], p[X][uint64(at_x(i))]
        along = dtype(dtype(x - mean) * slope)
        store(dtype(scale * dtype(dtype(g - shift) - along)), i, p)

    return device(project)


def _whole(call: Call, layout: Layout) -> Launch:
    """Sums and dx, where a block holds whole channels."""
    dtype, cut = TYPES[layout.dtype], layout.cut
    begin_of, offset = places(call.inputs[X])
    sums, where, project = _sums(call, layout), position(layout), _projected(call)
    conclude, at_mean = _conclusion(call, dtype, cut.length), call.at[MEAN]
    channels, lanes, length, n = cut.results, cut.lanes, cut.length, layout.shared

    def body(p: Any) -> None:
        of_g = shared_array(n, dtype)
        of_products = shared_array(n, dtype)
        t = uint32(cuda.threadIdx.x)
        lane, column, part, channel = where(t, uint32(cuda.blockIdx.x))
        c = channel if channel < uint32(channels) else uint32(channels - 1)
        begin = begin_of(c)
        dbeta, dgamma = sums(c, begin, lane, column, t, part, (of_g, of_products), p)
        stores = lane == uint32(0) and channel < uint32(channels)
        scale, shift, slope = conclude(c, stores, dbeta, dgamma, p)
        mean = p[MEAN][uint64(at_mean(c))]
        if channel < uint32(channels):
            while lane < uint32(length):
                project(uint32(begin + offset(lane)), scale, shift, slope, mean, p)
                lane = uint32(lane + uint32(lanes))

    return Launch(body, grid_1d(layout.blocks, layout.size))


def _parts(call: Call, layout: Layout, workspace: int) -> Launch:
    """The two sums of every part: two arrays (parts, C) in the workspace."""
    dtype, cut = TYPES[layout.dtype], layout.cut
    begin_of, _ = places(call.inputs[X])
    sums, where = _sums(call, layout), position(layout)
    channels, n = cut.results, layout.shared
    step = cut.parts * channels

    def body(p: Any) -> None:
        of_g = shared_array(n, dtype)
        of_products = shared_array(n, dtype)
        t = uint32(cuda.threadIdx.x)
        lane, column, part, channel = where(t, uint32(cuda.blockIdx.x))
        c = channel if channel < uint32(channels) else uint32(channels - 1)
        shared = of_g, of_products
        dbeta, dgamma = sums(c, begin_of(c), lane, column, t, part, shared, p)
        if lane == uint32(0) and channel < uint32(channels):
            place = uint32(uint32(part * uint32(channels)) + c)
            p[workspace][uint64(place)] = dbeta
            p[workspace][uint64(uint32(place + uint32(OF_PRODUCTS * step)))] = dgamma

    return Launch(body, grid_1d(layout.blocks, layout.size))


def _combination(call: Call, whole: Layout, workspace: int) -> Launch:
    """Combines parts to the sums of channels, and to scale, shift and slope of each."""
    layout = layout_of_parts(whole)
    dtype, cut = TYPES[layout.dtype], layout.cut
    channels, parts = cut.results, cut.length
    step, zero = parts * channels, dtype(0)

    def part_sums(c: Any, part: Any, p: Any) -> Any:
        place = uint32(uint32(part * uint32(channels)) + c)
        of_products = p[workspace][uint64(uint32(place + uint32(OF_PRODUCTS * step)))]
        return p[workspace][uint64(place)], of_products

    add_up = lane_total(cut, device(part_sums), pair_adder(layout.dtype), (zero, zero))
    total, where = summed(layout), position(layout)
    conclude, n = _conclusion(call, dtype, whole.cut.length), layout.shared

    def body(p: Any) -> None:
        of_g = shared_array(n, dtype)
        of_products = shared_array(n, dtype)
        t = uint32(cuda.threadIdx.x)
        lane, column, _, channel = where(t, uint32(cuda.blockIdx.x))
        c = channel if channel < uint32(channels) else uint32(channels - 1)
        pair = add_up(c, lane, uint32(0), uint32(parts), p)
        dbeta = total(of_g, t, lane, column, pair[0])
        dgamma = total(of_products, t, lane, column, pair[1])
        stores = lane == uint32(0) and channel < uint32(channels)
        scale, shift, slope = conclude(c, stores, dbeta, dgamma, p)
        if stores:
            place = uint32(c + uint32(2 * step))
            p[workspace][uint64(place)] = scale
            p[workspace][uint64(uint32(place + uint32(SHIFT * channels)))] = shift
            p[workspace][uint64(uint32(place + uint32(SLOPE * channels)))] = slope

    return Launch(body, grid_1d(layout.blocks, layout.size))


def _projection(call: Call, layout: Layout, workspace: int) -> Launch:
    """dx, element by element."""
    n, (_, channels, b) = call.outputs[DX].size, call.inputs[X].shape
    project, at_mean = _projected(call), call.at[MEAN]
    kept = 2 * layout.cut.parts * channels
    grid = strided_grid(n, THREADS)
    step = grid.grid[0] * THREADS

    def body(p: Any) -> None:
        i = cuda.grid(1)
        while i < n:
            element = uint32(i)
            c = uint32(uint32(element // uint32(b)) % uint32(channels))
            place = uint32(c + uint32(kept))
            scale = p[workspace][uint64(place)]
            shift = p[workspace][uint64(uint32(place + uint32(SHIFT * channels)))]
            slope = p[workspace][uint64(uint32(place + uint32(SLOPE * channels)))]
            project(element, scale, shift, slope, p[MEAN][uint64(at_mean(c))], p)
            i += step

    return Launch(body, grid)
