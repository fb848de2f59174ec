"""Every call of a plan knows the user's lines that it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from helpers.graphs import ALL_KERNELS
from helpers.random_graphs import RandomGraph
from helpers.random_steps import DIFFERENTIABLE
from helpers.scripts import FILE, calls_by_lines, named_lines, run_script
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.compile.pipeline import compile_plan
from tinygrad_mnist.errors import IndexOutOfRangeError

CONVOLUTION = """
data = theano.shared(floats(40, 1, 12, 12), 'data')
labels = T.cast(theano.shared(np.arange(40) % 10, 'labels'), 'int32')  # labels
w = theano.shared(floats(4, 1, 3, 3), 'w')
b = theano.shared(floats(4), 'b')
v = theano.shared(floats(100, 10), 'v')
c = theano.shared(floats(10), 'c')
x, y, i = T.tensor4('x'), T.ivector('y'), T.lscalar('i')
maps = conv2d(x, w)  # conv
pooled = pool.pool_2d(maps, (2, 2), ignore_border=True)  # pool
row = b.dimshuffle('x', 0, 'x', 'x')  # view
biased = pooled + row  # bias
hidden = T.tanh(biased)  # tanh
flat = hidden.reshape((10, 100))  # reshape
product = T.dot(flat, v)  # dot
scores = product + c  # scores
p = T.nnet.softmax(scores)  # softmax
logs = T.log(p)  # log
chosen = logs[T.arange(10), y]  # choose
cost = -T.mean(chosen)  # mean
squares = T.sum(w ** 2)  # squares
total = cost + 0.01 * squares  # total
g = T.grad(total, [w, b, v, c])  # grad
w_new = w - 0.1 * g[0]  # w
b_new = b - 0.1 * g[1]  # b
v_new = v - 0.1 * g[2]  # v
c_new = c - 0.1 * g[3]  # c
updates = [(w, w_new), (b, b_new), (v, v_new), (c, c_new)]
here = slice(i * 10, (i + 1) * 10)
given = {x: data[here], y: labels[here]}  # given
f = theano.function([i], total, updates=updates, givens=given)  # function
f(0)
"""
LOSS = "softmax, log, choose"
PLANS = {
    "a convolutional net": (
        CONVOLUTION,
        [
            "conv2d_pool: conv, pool, bias, tanh",
            "gemm: dot, scores",
            "elementwise: labels",
            f"check_range: {LOSS}, grad softmax, grad log, grad choose",
            f"softmax_xent: {LOSS}, grad softmax, grad log",
            "softmax_xent_grad: grad softmax, grad log, grad choose",
            "gemm: grad tanh, grad dot",
            "gemm: v, grad dot",
            "grouped_reduce: squares, b, c, grad bias, grad scores",
            f"reduce: {LOSS}, mean, total",
            "conv2d_pool_grad_filter: w, grad conv, grad pool, grad squares",
        ],
    ),
    "rows of a table": (
        """
table = theano.shared(floats(50, 6), 'table')  # table
i = T.ivector('i')  # index
rows = table[i]  # rows
part = rows[:, 1:4]  # part
power = T.exp(part)  # exp
cost = T.sum(power)  # sum
g = T.grad(cost, table)
new = table - 0.1 * g  # update
f = theano.function([i], cost, updates=[(table, new)])  # function
f(np.array([1, 2, 3], 'int32'))
""",
        [
            "check_range: rows, update, grad rows",
            "gather: rows",
            "elementwise: exp",
            "reduce: sum",
            "elementwise: update, grad rows, grad part",
            "elementwise: update, grad rows, grad part",
            "elementwise: update, grad rows, grad part",
            "scatter_add: update, grad rows",
        ],
    ),
    "reductions": (
        """
x = T.fmatrix('x')
largest = T.max(x, axis=1)  # max
squared = T.sqr(x)  # sqr
total = T.sum(squared, axis=0)  # sum
spread = T.var(x)  # var
where = T.argmax(x, axis=1)  # argmax
mean = T.mean(x, axis=1, keepdims=True)  # mean
centred = x - mean  # centre
f = theano.function([x], [largest, total, spread, where, centred])  # function
f(floats(5, 6))
""",
        [
            "argmax: argmax",
            "grouped_reduce: max, sqr, sum, var, mean",
            "reduce: var",
            "elementwise: centre",
        ],
    ),
    "batch normalisation": (
        """
x = T.fmatrix('x')
gamma, beta = theano.shared(floats(6), 'gamma'), theano.shared(floats(6), 'beta')
w = theano.shared(floats(6, 6), 'w')
h = T.dot(x, w)  # dot
z, mean, inverse = bn.batch_normalization_train(h, gamma, beta)  # normalise
y = T.nnet.sigmoid(z)  # sigmoid
cost = T.sum(y ** 2)  # cost
g = T.grad(cost, [w, gamma])  # grad
w_new = w - g[0]  # w
gamma_new = gamma - g[1]  # gamma
f = theano.function([x], cost, updates=[(w, w_new), (gamma, gamma_new)])  # function
f(floats(8, 6))
""",
        [
            "gemm: dot",
            "batch_norm: normalise, sigmoid",
            "reduce: cost",
            "elementwise: grad sigmoid, grad cost",
            "batch_norm_grad: grad normalise",
            "gemm: w, grad dot",
            "elementwise: gamma",
        ],
    ),
    "dropout": (
        """
streams = RandomStreams(3)  # streams
x = T.fmatrix('x')
w = theano.shared(floats(6, 3), 'w')
mask = streams.binomial(size=(4, 6), p=0.5)  # mask
factor = T.cast(mask, 'float32')  # cast
kept = x * factor  # drop
product = T.dot(kept, w)  # dot
cost = T.mean(T.tanh(product))  # cost
g = T.grad(cost, w)
f = theano.function([x], cost, updates=[(w, w - g)])  # function
f(floats(4, 6))
""",
        [
            "elementwise: mask, cast, drop",
            "gemm: dot, cost",
            "reduce: cost",
            "elementwise: grad cost",
            "gemm: function, grad dot",
            "elementwise: streams",
        ],
    ),
    "joins": (
        """
x, y = T.fmatrix('x'), T.fmatrix('y')
a = T.exp(x)  # a
b = T.tanh(y)  # b
joined = T.concatenate([a, b], axis=1)  # join
total = T.sum(joined, axis=0)  # sum
written = T.set_subtensor(a[:, 1:3], 7.)  # set
f = theano.function([x, y], [joined, total, written])  # function
f(floats(4, 6), floats(4, 6))
""",
        [
            "elementwise: a",
            "elementwise: b, join",
            "elementwise: join",
            "reduce: sum",
            "elementwise: set",
        ],
    ),
    "a loop": (
        """
x, w = T.fvector('x'), theano.shared(floats(5, 5), 'w')
h = x
for step in range(3):
    product = T.dot(h, w)  # dot
    h = T.tanh(product)  # tanh
cost = T.sum(h)  # sum
g = T.grad(cost, w)
f = theano.function([x], cost, updates=[(w, w - 0.1 * g)])  # function
f(floats(5))
""",
        [
            *["gemm: dot, tanh"] * 3,
            "reduce: sum",
            "elementwise: grad tanh",
            "gemm: grad dot, grad tanh",
            "gemm: grad dot",
            "gemm: grad dot, grad tanh",
            "gemm: grad dot",
            "gemm: function, grad dot",
        ],
    ),
    "moments and a swap": (
        """
x = T.fmatrix('x')
w, m = theano.shared(floats(6, 4), 'w'), theano.shared(floats(6, 4), 'm')
a, b = theano.shared(floats(3), 'a'), theano.shared(floats(3), 'b')
product = T.dot(x, w)  # dot
cost = T.sum(T.sqr(product))  # cost
g = T.grad(cost, w)
m_new = 0.9 * m + 0.1 * g  # moment
w_new = w - 0.1 * m_new  # w
updates = [(w, w_new), (m, m_new), (a, b), (b, a)]
f = theano.function([x], cost, updates=updates)  # function
f(floats(7, 6))
""",
        [
            "gemm: dot",
            "reduce: cost",
            "elementwise: grad cost",
            "gemm: moment, grad dot",
            "elementwise: w",
            *["elementwise: function"] * 3,
        ],
    ),
}
# A GPU's plans are ordered by what waits for what, and have fewer calls that wait for each other.
_LAYER = f"dot, scores, {LOSS}, grad tanh, grad dot, grad softmax, grad log, grad choose"
GPU_PLANS = {
    "a convolutional net": [
        "conv2d_pool: conv, pool, bias, tanh",
        "elementwise: labels",
        "reduce: squares",
        f"check_range: {_LAYER}",
        f"softmax_layer: {_LAYER}",
        "conv2d_pool_grad_filter: w, grad conv, grad pool, grad squares",
        "gemm: v, grad dot",
        f"grouped_reduce: {LOSS}, mean, total, b, c, grad bias, grad scores",
    ],
    "rows of a table": [
        "check_range: rows, update, grad rows",
        "elementwise: update, grad rows, grad part",
        "gather: rows",
        "elementwise: update, grad rows, grad part",
        "elementwise: exp",
        "reduce: sum",
        "elementwise: update, grad rows, grad part",
        "scatter_add: update, grad rows",
    ],
    "reductions": [
        "argmax: argmax",
        "grouped_reduce: var, mean",
        "grouped_reduce: max, sqr, sum, var",
        "elementwise: centre",
    ],
    "dropout": [
        "elementwise: mask, cast, drop",
        "gemm: dot, cost",
        "elementwise: streams",
        "reduce: cost",
        "elementwise: grad cost",
        "gemm: function, grad dot",
    ],
    "moments and a swap": [
        "gemm: dot",
        "elementwise: function",
        "reduce: cost",
        "elementwise: grad cost",
        "elementwise: function",
        "gemm: moment, grad dot",
        "elementwise: function",
        "elementwise: w",
    ],
}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", PLANS)
def test_the_lines_of_each_call(name: str, device: str) -> None:
    text, expected = PLANS[name]
    plan = run_script(text, device)["f"].plan
    assert plan.backend == device
    if device == "cuda":
        expected = GPU_PLANS.get(name, expected)
    assert calls_by_lines(plan, text) == expected


FORMULAS = """
x, y = T.fmatrix('x'), T.ivector('y')
w, b = theano.shared(floats(6, 4), 'w'), theano.shared(floats(4), 'b')
z = T.dot(x, w) + b  # scores
e = T.exp(z)  # exp
p = e / T.sum(e, axis=1, keepdims=True)  # softmax
chosen = T.log(p)[T.arange(y.shape[0]), y]  # log
cost = -T.mean(chosen)  # mean
q = 1 / (1 + T.exp(-z))  # sigmoid
other = T.sum(q * q)  # other
g = T.grad(cost + other, [w, b])  # sum
w_new = w - 0.1 * g[0]  # w
b_new = b - 0.1 * g[1]  # b
f = theano.function([x, y], [cost, other], updates=[(w, w_new), (b, b_new)])  # function
f(floats(7, 6), np.zeros(7, 'int32'))
"""


@pytest.mark.parametrize("device", ["cpu", "cuda", "reference"])
def test_formulas_written_by_hand(device: str) -> None:
    """Whatever they are rewritten to: the lines of a formula stay with what computes it."""
    plan = run_script(FORMULAS, device)["f"].plan
    calls = [
        (c.split(": ")[0], c.split(": ")[1].split(", ")) for c in calls_by_lines(plan, FORMULAS)
    ]
    plain = {line for _, lines in calls for line in lines if not line.startswith("grad ")}
    assert plain >= {"scores", "softmax", "log", "mean", "sigmoid", "other", "w", "b"}
    assert not plain & {"function", "sum"}
    gradients = {line for _, lines in calls for line in lines} - plain
    assert gradients >= {"grad scores", "grad log", "grad sigmoid", "grad softmax"}
    assert ["scores"] in [lines[:1] for kernel, lines in calls if kernel == "gemm"]
    assert ["w", "grad scores"] in [lines for kernel, lines in calls if kernel == "gemm"] or (
        device == "reference"
    )


NETWORK = """
def activation(z):
    return T.tanh(z)  # tanh

layers = [
    network3.ConvPoolLayer((4, 1, 5, 5), (10, 1, 12, 12), activation_fn=network3.ReLU),  # conv1
    network3.ConvPoolLayer((3, 4, 2, 2), (10, 4, 4, 4), (1, 1), activation_fn=activation),  # conv2
    network3.FullyConnectedLayer(27, 8, p_dropout=0.5),  # fc1
    network3.SoftmaxLayer(8, 4),  # softmax
]
net = network3.Network(layers, 10)  # network
data = network3.share_data([(floats(20, 144), np.arange(20) % 4)])[0]  # data
f = net.training_function(data, 0.1, 0.1)  # train
f(0)
"""


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_layers_of_network3(device: str) -> None:
    names = run_script(NETWORK, device)
    plan, lines = names["f"].plan, {name: n for n, name in named_lines(NETWORK).items()}
    conv1 = f"conv1 (network3 layer 0), {FILE}:{lines['conv1']}"
    conv2 = f"conv2 (network3 layer 1), {FILE}:{lines['conv2']}"
    softmax = f"softmax (network3 layer 3), {FILE}:{lines['softmax']}"
    made = [list(map(str, call.origins)) for call in plan.calls]
    forward = [made[k] for k, call in enumerate(plan.calls) if call.kernel == "conv2d_pool"]
    assert forward == [[conv1], [f"conv2 (network3 layer 1), {FILE}:{lines['tanh']}", conv2]]
    end = made[plan_index(plan, "softmax_xent" if device == "cpu" else "softmax_layer")]
    assert {softmax, f"gradient of {softmax}"} <= set(end)
    assert len(end) == (2 if device == "cpu" else 3)  # with the gradient of fc1
    (filters,) = [
        origins for call, origins in zip(plan.calls, made, strict=True)
        if call.outputs and plan.buffers[call.outputs[0].buffer].name == "conv1.w"
    ]  # fmt: skip
    assert filters == [f"conv1 (network3 layer 0), {FILE}:{lines['train']}", f"gradient of {conv1}"]
    assert all(call.origins for call in plan.calls)
    assert f"{lines['network']}" not in {str(o.line) for c in plan.calls for o in c.origins}
    text = str(plan)
    assert f"from conv1 (network3 layer 0), model.py:{lines['conv1']}" in text
    for name in ("conv1.w", "conv1.b", "conv2.w", "fc1.w", "fc1.b", "softmax.w"):
        assert f"{name}:" in text


def plan_index(plan: Any, kernel: str) -> int:
    return [call.kernel for call in plan.calls].index(kernel)


def test_everything_that_shows_a_plan_shows_the_lines(tmp_path: Path) -> None:
    function = run_script(CONVOLUTION, "cpu")["f"]
    lines = {name: number for number, name in named_lines(CONVOLUTION).items()}
    first = [f"{FILE}:{lines[name]}" for name in ("conv", "pool", "bias", "tanh")]
    gradient = f"gradient of {FILE}:{lines['conv']}"
    listing = " ".join(str(function.plan).split())
    assert f"from {'; '.join(f'model.py:{lines[n]}' for n in ('conv', 'pool', 'bias'))}" in listing
    assert f"gradient of model.py:{lines['conv']}; gradient of model.py:{lines['pool']}" in listing
    drawing = theano.printing.dot(function)
    assert f'tooltip="{"; ".join(first)}"' in drawing
    assert f"model.py:{lines['conv']}; model.py:{lines['pool']}" in drawing
    assert gradient in drawing
    profile = function.profile(0, repeats=1)
    assert list(map(str, profile.calls[0].call.origins)) == first
    profile.to_chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    shown = [event["args"]["line"] for event in events if event.get("cat") == "kernel"]
    assert shown[0] == "; ".join(first)
    assert any(gradient in line for line in shown)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_steps=st.integers(3, 30))
def test_every_call_of_random_plans_has_lines(seed: int, n_steps: int) -> None:
    graph = RandomGraph(Random(seed), n_steps, DIFFERENTIABLE)
    outputs = graph.cost_and_gradients()
    shapes = {v: a.shape for v, a in zip(graph.inputs, graph.values, strict=True)}
    written = {o for v in _all_variables(outputs) for o in v.origins}
    for fuse in (False, True):
        plan = compile_plan(outputs, {}, shapes, {}, "any", ALL_KERNELS, fuse).plan
        for call in plan.calls:
            assert call.origins or call.label in ("copy", "fill"), call
            assert set(call.origins) <= written


def _all_variables(outputs: list[Any]) -> set[Any]:
    found, stack = set(), list(outputs)
    while stack:
        v = stack.pop()
        if v not in found:
            found.add(v)
            stack.extend(v.node.inputs if v.node is not None else ())
    return found


def test_rules_leave_the_lines_of_the_users_graph_alone() -> None:
    x = T.dvector("x")
    first = T.exp(x)
    second = T.exp(x)
    before = first.origins, second.origins
    assert before[0] != before[1]
    function = theano.function([x], [first * 2, second * 2])
    function(np.ones(3))
    assert (first.origins, second.origins) == before
    merged = function.plan.calls[0].origins
    assert set(merged) >= {*first.origins, *second.origins}


def test_an_error_of_a_call_names_all_lines(device: str) -> None:
    x, i = T.dmatrix("x"), T.lvector("i")
    first = T.exp(x[i])
    second = T.tanh(x[i])
    function = theano.function([x, i], [first, second])
    with pytest.raises(IndexOutOfRangeError) as error:
        function(np.ones((3, 2)), [0, 3])
    line = test_an_error_of_a_call_names_all_lines.__code__.co_firstlineno + 2
    assert str(error.value).endswith(f"made at {__file__}:{line}; {__file__}:{line + 1}")


def test_the_gradient_of_a_line_is_not_named_beside_the_line(device: str) -> None:
    x, i = T.dmatrix("x"), T.lvector("i")
    rows = x[i]
    function = theano.function([x, i], T.grad(T.sum(rows**2), x))
    with pytest.raises(IndexOutOfRangeError) as error:
        function(np.ones((3, 2)), [0, 3])
    line = test_the_gradient_of_a_line_is_not_named_beside_the_line.__code__.co_firstlineno + 2
    assert str(error.value).endswith(f"made at {__file__}:{line}")
