"""Monotone steps between a convolution and a max-pool, without gradients: they move behind the
pool, and every result is that of the graph as it is written, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import conv2d, elu, hard_sigmoid, relu, selu, sigmoid, softplus
from tinygrad_mnist.tensor.nnet.bn import batch_normalization_test
from tinygrad_mnist.tensor.signal import pool

AnyArray = NDArray[Any]
Variable = theano.Variable
Step = Callable[..., Variable]
N_FILTERS = 6


def inputs(dtype: str) -> list[Variable]:
    """x, w, b, and the scale, shift, mean and variance of the filters."""
    vectors = [T.TensorType(dtype, (False,))(name) for name in "bgsmv"]
    return [T.tensor4("x", dtype), T.tensor4("w", dtype), *vectors]


def per_channel(v: Variable) -> Variable:
    return v.dimshuffle("x", 0, "x", "x")


def normalised(z: Variable, g: Variable, s: Variable, m: Variable, v: Variable) -> Variable:
    return batch_normalization_test(z, g, s, m, v, axes="spatial", epsilon=1e-3)


def with_root(z: Variable, g: Variable, s: Variable, m: Variable, v: Variable) -> Variable:
    scale = per_channel(g * (1 / T.sqrt(v + 1e-3)))
    return (z - per_channel(m)) * scale + per_channel(s)


def divided(z: Variable, g: Variable, s: Variable, m: Variable, v: Variable) -> Variable:
    return (z - per_channel(m)) / per_channel(g) + per_channel(s)


FUNCTIONS: dict[str, Callable[[Variable], Variable]] = {
    "none": lambda z: z,
    "relu": relu,
    "zero first": lambda z: T.maximum(0, z),
    "leaky": lambda z: relu(z, 0.1),
    "leaky, the larger": lambda z: T.maximum(0.2 * z, z),
    "leaky, chosen": lambda z: T.switch(z > 0, z, 0.01 * z),
    "leaky, chosen below": lambda z: T.switch(z < 0, 0.01 * z, z),
    "zero below": lambda z: T.switch(z < 0, 0, z),
    "clipped": lambda z: T.clip(z, 0, 6),
    "below 1": lambda z: T.minimum(z, 1),
    "hard sigmoid": hard_sigmoid,
    "tanh": T.tanh,
    "scaled tanh": lambda z: 1.7159 * T.tanh(2 / 3 * z),
    "elu": elu,
    "elu 0.3": lambda z: elu(z, 0.3),
    "selu": selu,
    "exp": T.exp,
    "arctan": T.arctan,
    "rounded": T.floor,
    "negative": lambda z: -z,
    "2 - tanh": lambda z: 2 - T.tanh(z),
    "negative, halved": lambda z: z / -2,
}
NEED_THE_BACKEND = {"tanh", "scaled tanh", "elu", "elu 0.3", "selu", "exp", "arctan", "2 - tanh"}
SCALINGS: dict[str, Step] = {
    "batch_normalization_test": normalised,
    "root": with_root,
    "divided": divided,
}


def function_of(device: str, variables: Sequence[Variable], outputs: Any) -> Any:
    with making_functions_for(device):
        return theano.function(list(variables), outputs, on_unused_input="ignore")


def kernels(function: Any) -> set[str]:
    return {call.kernel for call in function.plan.calls}


def maxima(dense: AnyArray, window: tuple[int, int]) -> AnyArray:
    """The maximum of each whole window; NaN where there is one."""
    (h, w), (n, c) = window, dense.shape[:2]
    rows, columns = dense.shape[2] // h, dense.shape[3] // w
    blocks = dense[:, :, : rows * h, : columns * w].reshape(n, c, rows, h, columns, w)
    return np.asarray(np.max(blocks, axis=(3, 5)))


def assert_moves(
    device: str,
    dense: Variable,
    variables: Sequence[Variable],
    *cases: Sequence[AnyArray],
    window: tuple[int, int] = (2, 2),
) -> None:
    """The pool of `dense` is one convolution, and equals the pool of what is computed densely."""
    function = function_of(device, variables, pool.pool_2d(dense, window, ignore_border=True))
    written = function_of(device, variables, dense)
    for values in cases:
        np.testing.assert_array_equal(function(*values), maxima(written(*values), window))
    used = kernels(function)
    assert not used & {"conv2d", "pool2d"}
    assert used & {"conv2d_pool", "conv2d_bias_pool"}


def drawn(seed: int, dtype: str = "float32", size: tuple[int, int] = (9, 11)) -> list[AnyArray]:
    """Values of `inputs`, with a black border, and scales of both signs and 0."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(3, 2, *size)), rng.normal(size=(N_FILTERS, 2, 3, 3))
    x[:, :, :4] = 0
    b, s, m = rng.normal(size=(3, N_FILTERS))
    g = np.array([1.5, -0.7, 0.0, -0.0, -1e-20, 3e4])
    v = rng.random(N_FILTERS)
    return [a.astype(dtype) for a in (x, w, b, g, s, m, v)]


DEVICES = ("fused", "cpu")


def devices(*names: str) -> tuple[str, ...]:
    """Those that move these functions."""
    return ("cpu",) if NEED_THE_BACKEND.intersection(names) else DEVICES


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str, dtype: str) -> None:
    variables = inputs(dtype)
    x, w, b = variables[:3]
    y = FUNCTIONS[name](conv2d(x, w) + per_channel(b))
    for device in devices(name):
        assert_moves(device, y, variables, drawn(1, dtype))


@pytest.mark.parametrize("bias", ["one number", "constant", "none"])
@pytest.mark.parametrize("name", ["relu", "leaky", "tanh", "negative"])
def test_other_biases(name: str, bias: str) -> None:
    variables = inputs("float32")
    x, w, b = variables[:3]
    y = FUNCTIONS[name](conv2d(x, w) + {"one number": b[0], "constant": 0.3, "none": 0}[bias])
    for device in devices(name):
        assert_moves(device, y, variables, drawn(1))


@pytest.mark.parametrize("after", ["none", "relu", "elu", "negative"])
@pytest.mark.parametrize("before", ["none", "relu", "leaky", "below 1", "negative", "tanh"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_scales_of_any_sign(scaling: str, before: str, after: str) -> None:
    dtype = "float64" if after == "relu" else "float32"
    variables = inputs(dtype)
    x, w, b, *parameters = variables
    z = FUNCTIONS[before](conv2d(x, w) + per_channel(b))
    y = FUNCTIONS[after](SCALINGS[scaling](z, *parameters))
    values = drawn(2, dtype)
    if scaling == "divided":
        values[3][values[3] == 0] = 2, -3
    for device in devices(before, after):
        assert_moves(device, y, variables, values)


SPECIAL = [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("where", ["pixels", "a weight", "a bias"])
@pytest.mark.parametrize("before", ["none", "relu", "leaky", "below 1", "negative", "tanh"])
@pytest.mark.parametrize("after", ["none", "relu", "negative"])
def test_special_numbers(after: str, before: str, where: str) -> None:
    """0 times infinity is NaN, and so is the maximum of its window."""
    variables = inputs("float32")
    x, w, b, *parameters = variables
    y = FUNCTIONS[after](normalised(FUNCTIONS[before](conv2d(x, w) + per_channel(b)), *parameters))
    cases = []
    for value in SPECIAL:
        values = drawn(3)
        if where == "pixels":
            values[0][0, 0, 4, 4] = values[0][1, 1, 7, 3] = value
        elif where == "a weight":
            values[1][:, 0, 1, 2] = value
        else:
            values[2][:] = value
        cases.append(values)
    for device in devices(before):
        assert_moves(device, y, variables, *cases)


@pytest.mark.parametrize("number", [3, 4, 5, 6])
def test_parameters_that_are_nan(number: int) -> None:
    variables = inputs("float32")
    x, w, b, *parameters = variables
    y = relu(normalised(relu(conv2d(x, w) + per_channel(b)), *parameters))
    values = drawn(4)
    values[number][1:4] = np.nan
    assert_moves("cpu", y, variables, values)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("number", [3, 4, 5, 6])
def test_parameters_that_are_infinite(number: int, sign: int) -> None:
    """With finite sums that no mean equals."""
    variables = inputs("float32")
    x, w, b, *parameters = variables
    y = relu(normalised(conv2d(x, w) + per_channel(b), *parameters))
    values = drawn(5)
    values[number][:] = sign * np.inf
    assert_moves("cpu", y, variables, values)


@pytest.mark.parametrize("scale", [1.5, -0.5, 0.0, -0.0])
def test_ties_and_zeros(scale: float) -> None:
    """Small integers: many positions tie, and many sums are 0."""
    variables = inputs("float32")
    x, w, b, *parameters = variables
    rng = np.random.default_rng(6)
    values = [rng.integers(-1, 2, a.shape).astype("float32") for a in drawn(6)]
    values[3][:], values[6][:] = scale, 1
    for step in (normalised, with_root):
        for dense in (conv2d(x, w), conv2d(x, w) + per_channel(b)):
            for device in DEVICES:
                assert_moves(device, step(dense, *parameters), variables, values)


@pytest.mark.parametrize("first", ["none", "tanh"])
def test_two_scales(first: str) -> None:
    """Either may be 0, and either negative."""
    variables = inputs("float32")
    x, w, _, g, s, m, v = variables
    z = relu(normalised(FUNCTIONS[first](conv2d(x, w)), g, s, m, v))
    y = 1 - normalised(z, s, m, g, v)
    cases = []
    for value in (0.5, *SPECIAL):
        for second in (0, 0.7, -0.3):
            values = drawn(12)
            values[0][0, 0, 4, 4] = values[0][1, 1, 7, 3] = value
            values[4][:] = second
            cases.append(values)
    assert_moves("cpu", y, variables, *cases)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.sampled_from([*sorted(FUNCTIONS.keys() - {"rounded"}), "normalised"]), max_size=5
    ),
    size=st.tuples(st.integers(5, 13), st.integers(5, 13)),
    window=st.tuples(st.integers(1, 3), st.integers(2, 3)),
    biased=st.booleans(),
    special=st.sampled_from([None, *SPECIAL]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_chain(
    steps: list[str],
    size: tuple[int, int],
    window: tuple[int, int],
    biased: bool,
    special: float | None,
    seed: int,
) -> None:
    """With one scale it moves. With more it need not, if none of the ends of a window is known to
    be finite; what is computed is the same."""
    variables = inputs("float32")
    x, w, b, *parameters = variables
    dense = conv2d(x, w, border_mode="half")
    dense = dense + per_channel(b) if biased else dense
    for step in steps:
        is_scaling = step == "normalised"
        dense = normalised(dense, *parameters) if is_scaling else FUNCTIONS[step](dense)
    values = drawn(seed, size=size)
    values[3] = np.random.default_rng(seed).choice(np.float32([-2, -0.3, 0, 1, 5]), N_FILTERS)
    if special is not None:
        values[0][0, 0, 2, 3] = special
    function = function_of("cpu", variables, pool.pool_2d(dense, window, ignore_border=True))
    wanted = maxima(function_of("cpu", variables, dense)(*values), window)
    np.testing.assert_array_equal(function(*values), wanted)
    if steps.count("normalised") <= 1:
        assert not kernels(function) & {"conv2d", "pool2d"}


# --- pools --------------------------------------------------------------------------------------

POOLS: dict[str, tuple[dict[str, Any], bool]] = {
    "whole windows, border counted": ({"ws": (2, 2), "ignore_border": False}, True),
    "stride given": ({"ws": (2, 3), "stride": (2, 3), "ignore_border": True}, True),
    "one window": ({"ws": (8, 12), "ignore_border": True}, True),
    "one window, clipped": ({"ws": (20, 20), "ignore_border": False}, True),
    "one window, stride 1": ({"ws": (8, 12), "stride": (1, 1), "ignore_border": True}, True),
    "a rest is left out": ({"ws": (3, 5), "ignore_border": True}, True),
    "a rest counts": ({"ws": (3, 5), "ignore_border": False}, False),
    "overlapping": ({"ws": (3, 3), "stride": (2, 2), "ignore_border": True}, False),
    "apart": ({"ws": (2, 2), "stride": (3, 3), "ignore_border": True}, False),
    "padded": ({"ws": (2, 2), "pad": (1, 1), "ignore_border": True}, False),
    "mean": ({"ws": (2, 2), "ignore_border": True, "mode": "average_inc_pad"}, False),
    "sum": ({"ws": (2, 2), "ignore_border": True, "mode": "sum"}, False),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", POOLS)
def test_pools(name: str, training: bool) -> None:
    """Only blocks side by side move; the oracle computes the graph as it is written. Integers, so
    that all sums are exact."""
    options, moves = POOLS[name]
    variables = inputs("float32")
    x, w, b, g = variables[:4]
    z = relu(conv2d(x, w) + per_channel(b))
    y = pool.pool_2d(z if training else z * per_channel(g), **options)
    outputs = [y, *T.grad(T.sum(y * y), [x, w, b])] if training else [y]
    rng = np.random.default_rng(7)
    values = [rng.integers(-2, 3, a.shape).astype("float32") for a in drawn(7, size=(10, 14))]
    wanted = function_of("reference", variables, outputs)(*values)
    for device in DEVICES:
        function = function_of(device, variables, outputs)
        for result, exact in zip(function(*values), wanted, strict=True):
            np.testing.assert_array_equal(result, exact)
        used = kernels(function)
        assert ("conv2d_bias_pool" in used) == moves
        assert bool(used & {"conv2d", "pool2d", "average_pool2d"}) != moves


# --- what stays ---------------------------------------------------------------------------------

Stays = Callable[[Variable, Sequence[Variable]], Variable]
STAYS: dict[str, Stays] = {
    "sigmoid": lambda z, p: sigmoid(z),
    "softplus": lambda z, p: softplus(z),
    "0 for NaN": lambda z, p: T.switch(z > 0, z, 0),
    "NaN for -inf": lambda z, p: z * (z > 0),
    "square": lambda z, p: T.sqr(z),
    "falling and rising": lambda z, p: z - 2 * T.tanh(z),
    "a negative slope": lambda z, p: relu(z, -0.1),
    "log": lambda z, p: T.log(z),
    "reciprocal": lambda z, p: 1 / z,
    "its own mean": lambda z, p: (z - z.mean((0, 2, 3), keepdims=True)) * per_channel(p[0]),
    "its own range": lambda z, p: z * T.max(z, axis=(2, 3), keepdims=True),
    "a scale per image": lambda z, p: z * T.sum(p[0]) * T.arange(3).dimshuffle(0, "x", "x", "x"),
    "a shift per position": lambda z, p: z + T.arange(9.0).dimshuffle("x", "x", "x", 0),
    "two convolutions": lambda z, p: z + T.roll(z, 1, axis=2),
}


@pytest.mark.parametrize("name", STAYS)
def test_what_is_not_monotone_stays(name: str) -> None:
    variables = inputs("float32")
    x, w, b, *parameters = variables
    dense = STAYS[name](conv2d(x, w) + per_channel(b), parameters)
    function = function_of("cpu", variables, pool.pool_2d(dense, (2, 2), ignore_border=True))
    values = drawn(8)
    wanted = maxima(function_of("cpu", variables, dense)(*values), (2, 2))
    np.testing.assert_array_equal(function(*values), wanted)
    assert kernels(function) >= {"conv2d", "pool2d"}


def test_a_shift_per_image_moves() -> None:
    variables = inputs("float32")
    x, w = variables[:2]
    y = T.tanh(conv2d(x, w) + T.sum(x, axis=(1, 2, 3)).dimshuffle(0, "x", "x", "x"))
    assert_moves("cpu", y, variables, drawn(9))


@pytest.mark.parametrize("name", ["tanh", "leaky", "elu", "none"])
def test_stays_where_a_gradient_asks_who_wins(name: str) -> None:
    """The functions round, and batch normalisation does: more positions tie behind them."""
    variables = inputs("float32")
    x, w, b, *parameters = variables
    y = FUNCTIONS[name](normalised(conv2d(x, w) + per_channel(b), *parameters))
    y = pool.pool_2d(y, (2, 2), ignore_border=True)
    function = function_of("cpu", variables, [y, *T.grad(T.sum(y * y), [x, w, b])])
    function(*drawn(10))
    assert kernels(function) >= {"conv2d", "pool2d", "pool2d_grad"}


@pytest.mark.parametrize("read", ["the convolution", "the normalised", "the result"])
def test_stays_where_the_dense_values_are_wanted(read: str) -> None:
    variables = inputs("float32")
    x, w, b, *parameters = variables
    z = conv2d(x, w) + per_channel(b)
    n = normalised(z, *parameters)
    a = T.tanh(n)
    wanted = {"the convolution": z, "the normalised": n, "the result": a}[read]
    function = function_of(
        "cpu", variables, [pool.pool_2d(a, (2, 2), ignore_border=True), T.sum(wanted), a]
    )
    result, _, dense = function(*drawn(11))
    np.testing.assert_array_equal(result, maxima(dense, (2, 2)))
    assert "pool2d" in kernels(function)
