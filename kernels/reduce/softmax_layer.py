"""softmax_layer: logits, softmax, cross-entropy and the gradients of a classifier's last layer.

Shapes: x (n, k), w (k, c), b (1, c), labels and g (n,), extras (n, k) -> dx (n, k), dlogits (n, c),
loss (n,), and probabilities (n, c) if the call has that output; any strides.

Algorithm: a block has one row of x. It reads w once, into shared memory, in rows of an odd number
of elements, so that neighbouring rows begin in different banks. A logit has up to 256 lanes: lane l
adds the terms l, l + lanes, ... in order, a tree adds the lanes, and the bias comes last. A thread
per class subtracts the greatest logit and adds the exponentials in the order of the classes, as in
`softmax.py`. Then a thread per element of dx multiplies the gradients of the logits with a row of
w, in the order of the classes. All loads start before the first sum.

Versions: four kernels, which larger layers still take: product, softmax with the cost, gradient of
the logits, product. At a small batch their launches, which wait for each other, take longer than
the work.

Launch: a block of max(k, c * lanes) threads per row; at most 1024, since `fits` of the contract
bounds k, and 48 KB of shared memory. Reference: contracts/reduce/softmax_layer.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Call, Function, Launch, Launches, factory, grid_1d
from ..core.device import TYPES, cuda, device, exp, log, shared_array
from ..core.index import block_index, thread_index
from ..core.integers import ceil_div, power_of_two, round_up
from ..core.lanes import tree
from ..core.sums import adder
from .softmax import label_of

MOST_THREADS = 1024  # of a block
FEW = 4  # terms of a lane if there are enough threads
VECTOR = 4  # elements that the compiler may read together


class Element(NamedTuple):
    """A class of a row, on the device. hit: whether it is the row's label. g: the gradient of the
    row's loss."""

    row: Any
    column: Any
    hit: Any
    g: Any


@factory("softmax_layer")
def softmax_layer(call: Call) -> Launches:
    """One launch."""
    (n, k), c = call.inputs[0].shape, call.inputs[1].shape[1]
    most = 1 << (MOST_THREADS // c).bit_length() - 1
    lanes = min(power_of_two(ceil_div(k, FEW)), most)
    shape = grid_1d(n, max(k, c * lanes))
    return Launches((Launch(_layer(call, k, c, lanes), shape, resident=1),))


def _layer(call: Call, k: int, c: int, lanes: int) -> Function:
    """The body: logits, then what the first c threads make of them, then dx."""
    kind = TYPES[call.inputs[0].dtype]
    add_terms, finish_class = _lane_sum(call, k, c, lanes), _finish_class(call)
    add_lanes, label = tree(adder(call.inputs[0].dtype), lanes, c), label_of(call, 3, c)
    fetch, settle = call.fetches[0], call.settles[0]
    at_bias, at_g, zero = call.at[2], call.at[4], kind(0)
    pitch = c | 1
    # Whole vectors, by which the compiler reads the classes of a row; see `shared_array`.
    n_weights, n_sums, n_classes = (round_up(n, VECTOR) for n in (k * pitch, lanes * c, c))

    def body(p: Any) -> None:
        weights = shared_array(n_weights, kind)
        sums = shared_array(n_sums, kind)
        powers = shared_array(n_classes, kind)
        slopes = shared_array(n_classes, kind)
        t, row = thread_index(), block_index()
        lane, column = divmod(t, c)
        i = row * k + min(t, k - 1)
        fetched = fetch(i, p)
        bias, g = p[2][at_bias(column)], p[4][at_g(row)]
        wanted = label(row, p)
        if lane < lanes:
            sums[t] = add_terms(row, lane, column, weights, p)
        add_lanes(sums, lane, column)
        if lane == 0:
            sums[t] = kind(sums[t] + bias)
        cuda.syncthreads()
        shifted = zero
        if lane == 0:
            greatest = sums[0]
            for j in range(1, c):
                value = sums[j]
                greatest = value if value > greatest else greatest
            shifted = kind(sums[t] - greatest)
            powers[t] = kind(exp(shifted))
        cuda.syncthreads()
        if lane == 0:
            total = zero
            for j in range(c):
                total = kind(total + powers[j])
            element = Element(row, column, wanted == column, g)
            slopes[t] = finish_class(element, shifted, powers[t], total, p)
        cuda.syncthreads()
        if t < k:
            total = zero
            begin = t * pitch
            for j in range(c):
                total += slopes[j] * weights[begin + j]
            settle(total, fetched, i, p)

    return body


def _lane_sum(call: Call, k: int, c: int, lanes: int) -> Function:
    """`add(row, lane, column, weights, p)`: a lane's terms of a logit. Stores those of w that it
    has read in `weights`."""
    kind = TYPES[call.inputs[0].dtype]
    at_x, at_w = call.at[:2]
    steps, all_busy = ceil_div(k, lanes), k % lanes == 0
    zero, pitch = kind(0), c | 1

    @device
    def add(row: Any, lane: Any, column: Any, weights: Any, p: Any) -> Any:
        x = cuda.local.array(steps, kind)
        w = cuda.local.array(steps, kind)
        for s in range(steps):
            term = min(lane + s * lanes, k - 1)
            x[s] = p[0][at_x(row * k + term)]
            w[s] = p[1][at_w(term * c + column)]
        total = zero
        for s in range(steps):
            term = lane + s * lanes
            if all_busy or term < k:
                weights[term * pitch + column] = w[s]
                total += x[s] * w[s]
        return total

    return add


def _finish_class(call: Call) -> Function:
    """`finish(element, shifted, power, total, p)`: stores the results of an `Element`, and returns
    its gradient. The row's loss is stored where the class is its label.

    shifted: the logit minus the greatest of the row. power, total: its exponential, and the sum of
    all.
    """
    c = call.outputs[1].shape[1]
    kind = TYPES[call.inputs[0].dtype]
    zero, one = kind(0), kind(1)
    store_gradient, store_loss = call.stores[1:3]
    store_probability = call.stores[3] if len(call.outputs) == 4 else None

    @device
    def finish(element: Any, shifted: Any, power: Any, total: Any, p: Any) -> Any:
        i = element.row * c + element.column
        probability = kind(power / total)
        gradient = kind(kind(probability - (one if element.hit else zero)) * element.g)
        store_gradient(gradient, i, p)
        if element.hit:
            store_loss(kind(kind(log(total)) - shifted), element.row, p)
        if store_probability is not None:
            store_probability(probability, i, p)
        return gradient

    return finish
