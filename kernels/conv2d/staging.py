"""Copies of operands to shared memory, for the forward convolution and both gradients.

A stage copies two parts of operands: pixels and weights, or one of them and windows of g. A part is
a box of the operand's elements. Strides, padding, flips, edges and pools are handled here, once per
element; the inner loops have one layout. A thread starts all loads of a round before its first
store waits for one.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from ..core.call import Function, Operand
from ..core.device import TYPES, cuda, device, load16, loads_started, store16, uint32, uint64
from ..core.index import at, u32, unravel, wrapped
from ..core.integers import ceil_div
from .geometry import Convolution, Pair
from .pooling import window_reader


class Box(NamedTuple):
    """Elements of an array of four axes.

    * lengths: along each axis.
    * origin: `origin(where)` is the index of the first element along each axis, modulo 2**32;
      `where` is what the kernel gives to the stage.
    * along: how many of the last axes the threads are laid along first. An element has a number i
      along these and a number j along the others. With 4, j is always 0, and few threads are idle.
      With fewer, the index of an element is the sum of one that depends on i and one that depends
      on j; a thread computes few of both.
    * whole: how many of the last axes are as long as the operand's, so that no element is outside
      of it along them. Fewer than `along`: threads behind the box leave it along the first axis
      that they are laid along, which is tested.
    """

    lengths: tuple[int, int, int, int]
    origin: Function
    along: int = 4
    whole: int = 0

    @property
    def inner(self) -> tuple[int, ...]:
        """The axes that threads are laid along first."""
        return self.lengths[4 - self.along :]

    @property
    def outer(self) -> tuple[int, ...]:
        """The other axes."""
        return self.lengths[: 4 - self.along]

    def coordinates(self) -> Function:
        """`coordinates(j, i)`: the index of an element along each axis."""
        inner, outer = unravel(*self.inner[1:]), unravel(*self.outer[1:])
        if self.along == 4:
            return device(lambda j, i: inner(i))
        return device(lambda j, i: outer(j) + inner(i))


class Part(NamedTuple):
    """Part of an operand in a stage.

    box: its elements. registers: for one of them. load: `load(p, where, e, values, masks, k)` loads
    the element e = (j, i) of the box to the local arrays, as their element k. place: `place(e)` is
    where it goes, or e if `put` computes that; all threads compute it, so that it can share
    arithmetic with the load.
    put: `put(memory, to, values, masks, k)` stores it there. lanes: values of an element.
    """

    box: Box
    registers: int
    load: Function
    place: Function
    put: Function
    lanes: int = 1


def stager(dtype_name: str, threads: int, rooms: Pair, first: Part, second: Part) -> Function:
    """`stage(p, memory, where, t)`: copies both parts; returns whether all elements of the first
    one that thread t copies are finite. rooms: registers for values that are loaded and not stored,
    if that is all in one round, and if there are several. Only the second part may have several
    lanes, or be windows of g.
    """
    assert first.lanes == 1, "only an element's first lane is tested"
    dtype, parts = TYPES[dtype_name], (first, second)
    shares = [_share(part.box, threads) for part in parts]

    def elements_of_round(rounds: int) -> list[int]:
        return [min(s.counts) * ceil_div(max(s.counts), rounds) for s in shares]

    def registers(rounds: int) -> int:
        both = zip(parts, elements_of_round(rounds), strict=True)
        return sum(part.registers * n for part, n in both)

    rounds, most = 1, max(max(s.counts) for s in shares)
    while registers(rounds) > rooms[rounds > 1] and rounds < most:
        rounds += 1
    n_first, n_second = elements_of_round(rounds)
    load_first, put_first = _batch(first, shares[0], rounds)
    load_second, put_second = _batch(second, shares[1], rounds)
    size_first, size_second = n_first * first.lanes, n_second * second.lanes

    def stage(p: Any, memory: Any, where: Any, t: Any) -> Any:
        a = cuda.local.array(size_first, dtype)
        b = cuda.local.array(size_second, dtype)
        masks = cuda.local.array(n_second, uint32)
        finite = True
        for r in range(rounds):
            load_first(p, where, a, masks, t, r)
            load_second(p, where, b, masks, t, r)
            loads_started()
            finite = put_first(memory, a, masks, t, r) and finite
            put_second(memory, b, masks, t, r)
        return finite

    return device(stage)


class Share(NamedTuple):
    """The elements of a box that a thread copies: counts[0] of them along the axes that threads are
    laid along, counts[1] along the others. element: `element(t, a, b)` is (j, i) of thread t's
    element (a, b), and whether the box has it."""

    counts: Pair
    element: Function


def _share(box: Box, threads: int) -> Share:
    """How the threads divide a box."""
    n_inner, n_outer = prod(box.inner), prod(box.outer)
    if box.along == 4:

        def numbered(t: Any, a: Any, b: Any) -> Any:
            i = t + a * threads
            return (u32(0), i), i < n_inner

        return Share((ceil_div(n_inner, threads), 1), device(numbered))
    along = min(n_inner, threads)
    across = threads // along
    is_full = threads % along == 0

    def element(t: Any, a: Any, b: Any) -> Any:
        i, j = t % along + a * along, t // along + b * across
        return (j, i), (i < n_inner) & (j < n_outer) & (is_full or t < along * across)

    return Share((ceil_div(n_inner, along), ceil_div(n_outer, across)), device(element))


def _batch(part: Part, share: Share, rounds: int) -> tuple[Function, Function]:
    """`load(p, where, values, masks, t, r)` and `put(memory, values, masks, t, r)`: copies of
    thread t's elements of round r. `put` returns whether they are finite."""
    load_one, place, put_one, lanes = part.load, part.place, part.put, part.lanes
    (n_a, n_b), element = share
    # Rounds divide the longer of a thread's axes. One of a single element is copied in the first.
    step_a, step_b = (ceil_div(n_a, rounds), 0) if n_a >= n_b else (0, ceil_div(n_b, rounds))
    n_a, n_b = step_a or n_a, step_b or n_b

    def load(p: Any, where: Any, values: Any, masks: Any, t: Any, r: Any) -> None:
        for a in range(n_a):
            for b in range(n_b):
                e, _ = element(t, a + r * step_a, b + r * step_b)
                load_one(p, where, e, values, masks, a * n_b + b)

    def put(memory: Any, values: Any, masks: Any, t: Any, r: Any) -> Any:
        finite = True
        for a in range(n_a):
            for b in range(n_b):
                k = a * n_b + b
                e, exists = element(t, a + r * step_a, b + r * step_b)
                to = place(e)
                if exists:
                    put_one(memory, to, values, masks, k)
                    difference = values[uint64(k * lanes)] - values[uint64(k * lanes)]
                    finite = finite and difference == difference  # inf - inf is NaN
        return finite

    return device(load), device(put)


def elements(
    number: int, operand: Operand, box: Box, place: Function, zeros: bool, lanes: int = 1
) -> Part:
    """The elements of operand `number`, each with `lanes` - 1 neighbours.

    place: `place(j, i)` is where an element goes in shared memory. zeros: whether there are zeros
    for those outside of the operand; otherwise these are undefined, and not used. With several
    lanes there are none.
    """
    assert lanes == 1 or not zeros, "neighbours outside of the operand would not become zeros"
    (n_a, n_b, n_c, n_d), at_operand, origin = operand.shape, at(operand), box.origin
    coordinates = box.coordinates()
    zero, words = TYPES[operand.dtype](0), 2 if operand.dtype == "float64" else 1
    any_c, any_d = box.whole > 1, box.whole > 0
    move_in, move_out = _moves(lanes)

    def load(p: Any, where: Any, e: Any, values: Any, masks: Any, k: Any) -> None:
        (a0, b0, c0, d0), (a, b, c, d) = origin(where), coordinates(e[0], e[1])
        a, b, c, d = a + a0, b + b0, c + c0, d + d0
        # Rows and columns before the image wrap around to numbers above its size.
        inside = (a < n_a) & (b < n_b) & (any_c or c < n_c) & (any_d or d < n_d)
        # Loads without a condition can run concurrently.
        move_in(values, k, p[number], at_operand(a, b, c, d) if inside else u32(0))
        if zeros and not inside:
            values[uint64(k)] = zero

    def put(memory: Any, to: Any, values: Any, masks: Any, k: Any) -> None:
        move_out(memory, to, values, k)

    to = device(lambda e: place(e[0], e[1]))
    return Part(box, lanes * words, device(load), to, device(put), lanes)


def _moves(lanes: int) -> tuple[Function, Function]:
    """`move_in(values, k, source, i)` and `move_out(target, i, values, k)`: copies of element k,
    which is `lanes` neighbours."""
    if lanes == 1:

        def move_in(v: Any, k: Any, source: Any, i: Any) -> None:
            v[uint64(k)] = source[i]

        def move_out(target: Any, i: Any, v: Any, k: Any) -> None:
            target[i] = v[uint64(k)]

    elif lanes == 2:

        def move_in(v: Any, k: Any, source: Any, i: Any) -> None:
            v[2 * k], v[2 * k + 1] = load16(source, i)

        def move_out(target: Any, i: Any, v: Any, k: Any) -> None:
            store16(target, i, (v[2 * k], v[2 * k + 1]))

    else:

        def move_in(v: Any, k: Any, source: Any, i: Any) -> None:
            k = 4 * k
            v[k], v[k + 1], v[k + 2], v[k + 3] = load16(source, i)

        def move_out(target: Any, i: Any, v: Any, k: Any) -> None:
            k = 4 * k
            store16(target, i, (v[k], v[k + 1], v[k + 2], v[k + 3]))

    return device(move_in), device(move_out)


class Lines(NamedTuple):
    """Lines of g in shared memory, with all positions of the windows.

    begin: of the first line. lines: of a filter, `pitch` elements each. gap: elements between
    images. border: column of the first position of a line; if it is negative, positions before
    column 0 are left out. spacing: distance of positions.
    """

    begin: int
    lines: int
    pitch: int
    gap: int = 0
    border: int = 0
    spacing: int = 1


def gradients(conv: Convolution, box: Box, lines: Lines) -> Part:
    """Windows of g, axes (image, filter, row, column), unpooled to lines of positions."""
    begin, n_lines, pitch, gap, border, spacing = lines
    window, zero, origin = window_reader(conv), TYPES[conv.dtype](0), box.origin
    coordinates = box.coordinates()
    filters = box.lengths[1]
    n_images, all_filters, all_rows, all_columns = conv.y.shape
    (pool_h, pool_w), words = conv.pool, conv.words
    n_bits, apart, first_column = pool_h * pool_w, pool_w * spacing, wrapped(border)
    # Whether all positions of a line are in it.
    fits = border >= 0 and border + (all_columns * pool_w - 1) * spacing < pitch

    def load(p: Any, where: Any, e: Any, values: Any, masks: Any, k: Any) -> None:
        (n0, o0, h0, w0), (n, o, h, w) = origin(where), coordinates(e[0], e[1])
        n, o, h, w = n + n0, o + o0, h + h0, w + w0
        exists = (n < n_images) & (o < all_filters) & (h < all_rows)
        values[uint64(k)], masks[uint64(k)] = window(p, n, o, h, w, exists)

    def place(e: Any) -> Any:
        return e  # the places of a window's positions would need many registers

    def put(memory: Any, e: Any, values: Any, masks: Any, k: Any) -> None:
        value, mask = values[uint64(k)], u32(masks[uint64(k)])
        n, o, h, w = coordinates(e[0], e[1])
        column = w * apart + first_column
        to = ((n * filters + o) * n_lines + h * pool_h) * pitch + n * gap + begin + column
        for bit in range(n_bits):
            shift = bit % pool_w * spacing
            further = bit // pool_w * pitch + shift
            if fits:
                memory[uint64(to) + uint64(further)] = value if mask >> bit & 1 != 0 else zero
            elif column + shift < pitch:
                memory[to + further] = value if mask >> bit & 1 != 0 else zero

    return Part(box, words + 1, device(load), device(place), device(put))
