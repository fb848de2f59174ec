"""softmax, log_softmax, softmax_xent, softmax_xent_grad: over the rows of a matrix.

Shapes: x, probabilities, gradients and extras (n, c); labels, losses and their gradients (n,); any
strides; labels of any integer dtype, negative ones from the end.

Algorithm: the greatest element of a row is subtracted before the exponentials are added up. Up to
SHORT columns, a thread has one element, and a block as many whole rows as fit. Every thread reads
all values of its row in shared memory, so there are only two barriers. Longer rows are divided
among the lanes of a block, as in lanes.py, and read three times, after the first time from the
caches. The gradient is elementwise.

Versions: a label that was loaded behind the barriers made the loss wait for memory once more; it is
loaded with the row now.

Launch: up to 256 threads a block. Reference: contracts/reduce/softmax.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, Launches, factory, grid_1d
from ..core.device import TYPES, cuda, device, exp, int64, log, np, shared_array
from ..core.each import each_strided
from ..core.index import block_index, thread_index, u32
from ..core.integers import blocks_for, ceil_div, power_of_two
from ..core.lanes import FEW, THREADS, Split, lane_total, tree

SHORT = 32  # the most columns of rows with a thread per element


@factory("softmax")
def softmax(call: Call) -> Launches:
    """One launch."""
    store, dtype = call.stores[0], TYPES[call.inputs[0].dtype]

    def finish(shifted: Any, total: Any, row: Any, hit: Any, i: Any, p: Any) -> None:
        store(dtype(dtype(exp(shifted)) / total), i, p)

    return _rows(call, device(finish), _no_label)


@factory("log_softmax")
def log_softmax(call: Call) -> Launches:
    """One launch."""
    store, dtype = call.stores[0], TYPES[call.inputs[0].dtype]

    def finish(shifted: Any, total: Any, row: Any, hit: Any, i: Any, p: Any) -> None:
        store(dtype(shifted - dtype(log(total))), i, p)

    return _rows(call, device(finish), _no_label)


@factory("softmax_xent")
def softmax_xent(call: Call) -> Launches:
    """One launch; the thread of the label's element stores the loss too."""
    store_loss, store = call.stores
    dtype, label = TYPES[call.inputs[0].dtype], label_of(call, 1, call.inputs[0].shape[1])

    def finish(shifted: Any, total: Any, row: Any, hit: Any, i: Any, p: Any) -> None:
        store(dtype(dtype(exp(shifted)) / total), i, p)
        if hit:
            store_loss(dtype(dtype(log(total)) - shifted), row, p)

    return _rows(call, device(finish), label)


@factory("softmax_xent_grad")
def softmax_xent_grad(call: Call) -> Launches:
    """One launch."""
    n, columns = call.outputs[0].size, call.outputs[0].shape[1]
    if n == 0:
        return Launches(())
    dtype, finish = TYPES[call.inputs[0].dtype], call.finishes[0]
    label = label_of(call, 1, columns)
    at_probability, _, at_g = call.at[:3]
    zero, one = dtype(0), dtype(1)

    def element(i: Any, p: Any) -> None:
        row, column = divmod(i, columns)
        hit = one if label(row, p) == column else zero
        difference = dtype(p[0][at_probability(i)] - hit)
        finish(dtype(difference * p[2][at_g(row)]), i, p)

    return Launches((each_strided(n, element),))


def label_of(call: Call, number: int, columns: int) -> Function:
    """`label(row, p)`: the column that input `number` names."""
    at = call.at[number]

    def label(row: Any, p: Any) -> Any:
        value = int64(p[number][at(row)])
        return u32(value + columns) if value < 0 else u32(value)

    return device(label)


@device
def _no_label(row: Any, p: Any) -> Any:
    """In place of a label: a number that no column has."""
    return u32(0xFFFFFFFF)


def _rows(call: Call, finish: Function, label: Function) -> Launches:
    """finish(shifted, total, row, hit, i, p): stores the result of element i.

    shifted: the element minus the greatest of its row. total: the sum of their exponentials. hit:
    whether its column is label(row, p), which is loaded before the sums.
    """
    n, columns = call.inputs[0].shape
    if n == 0 or columns == 0:
        return Launches(())
    make = _short_rows if columns <= SHORT else _long_rows
    return Launches((make(call, finish, label),))


def _short_rows(call: Call, finish: Function, label: Function) -> Launch:
    n, columns = call.inputs[0].shape
    rows = min(THREADS // columns, n)
    size, elements = rows * columns, n * columns
    dtype, at = TYPES[call.inputs[0].dtype], call.at[0]
    zero = dtype(0)

    def body(p: Any) -> None:
        values = shared_array(size, dtype)
        powers = shared_array(size, dtype)
        t = thread_index()
        i = block_index() * size + t
        in_block = t // columns
        begin = in_block * columns
        row = block_index() * rows + in_block
        x, wanted = zero, u32(0)
        if i < elements:
            x, wanted = p[0][at(i)], label(row, p)
        values[t] = x
        cuda.syncthreads()
        greatest = values[begin]
        for k in range(1, columns):
            value = values[begin + k]
            greatest = value if value > greatest else greatest
        shifted = dtype(x - greatest)
        powers[t] = dtype(exp(shifted))
        cuda.syncthreads()
        total = zero
        for k in range(columns):
            total = dtype(total + powers[begin + k])
        if i < elements:
            finish(shifted, total, row, wanted == t - begin, i, p)

    return Launch(body, grid_1d(blocks_for(n, rows), size))


def _long_rows(call: Call, finish: Function, label: Function) -> Launch:
    n, columns = call.inputs[0].shape
    lanes = min(THREADS, power_of_two(ceil_div(columns, FEW)))
    rows = min(THREADS // lanes, power_of_two(n))
    pitch = rows + (rows > 1)
    dtype, at = TYPES[call.inputs[0].dtype], call.at[0]
    zero, least = dtype(0), dtype(-np.inf)

    def value(begin: Any, k: Any, p: Any) -> Any:
        return p[0][at(begin + k)]

    def power(place: Any, k: Any, p: Any) -> Any:
        return dtype(exp(dtype(p[0][at(place[0] + k)] - place[1])))

    def greater(x: Any, y: Any) -> Any:
        return x if x > y or x != x else y

    def add(x: Any, y: Any) -> Any:
        return dtype(x + y)

    cut = Split(n, columns, lanes, columns, 1)
    greater, add = device(greater), device(add)
    greatest_of_lane = lane_total(cut, device(value), greater, least)
    sum_of_lane = lane_total(cut, device(power), add, zero)
    greatest_of_row, sum_of_row = tree(greater, lanes, pitch), tree(add, lanes, pitch)
    shared = lanes * pitch

    def body(p: Any) -> None:
        maxima = shared_array(shared, dtype)
        sums = shared_array(shared, dtype)
        t = thread_index()
        lane, in_block = t % lanes, t // lanes
        tree_lane, tree_row = t // rows, t % rows
        place = lane * pitch + in_block
        row = block_index() * rows + in_block
        read = min(row, n - 1)
        begin, end = read * columns, u32(columns)
        wanted = label(read, p)
        maxima[place] = greatest_of_lane(begin, lane, u32(0), end, p)
        greatest_of_row(maxima, tree_lane, tree_row)
        cuda.syncthreads()
        greatest = maxima[in_block]
        sums[place] = sum_of_lane((begin, greatest), lane, u32(0), end, p)
        sum_of_row(sums, tree_lane, tree_row)
        cuda.syncthreads()
        total = sums[in_block]
        if row < n:
            while lane < end:
                i = begin + lane
                x = p[0][at(i)]
                finish(dtype(x - greatest), total, row, wanted == lane, i, p)
                lane = lane + lanes

    return Launch(body, grid_1d(blocks_for(n, rows), rows * lanes))
