"""Dimensions of length 0: no image, no row, no column, on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import IndexOutOfRangeError, ShapeError
from tinygrad_mnist.tensor.nnet import conv2d, softmax
from tinygrad_mnist.tensor.signal import pool


def empty(*shape: int, dtype: str = "float32") -> np.ndarray[Any, Any]:
    return np.empty(shape, dtype)


class ConvNet:
    """Convolution, pool, ReLU and softmax for images of 8 x 8, with its gradients."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        shapes = ((3, 1, 3, 3), (3,), (27, 5), (5,))
        self.params = [theano.shared(rng.normal(size=s).astype("float32")) for s in shapes]
        w, b, v, c = self.params
        self.x, self.y = T.fmatrix("x"), T.ivector("y")
        n = self.x.shape[0]
        maps = pool.pool_2d(conv2d(self.x.reshape((n, 1, 8, 8)), w), (2, 2), ignore_border=True)
        hidden = T.maximum(0.0, maps + b.dimshuffle("x", 0, "x", "x")).reshape((n, 27))
        self.p = softmax(T.dot(hidden, v) + c)
        likelihood = T.log(self.p)[T.arange(self.y.shape[0]), self.y]
        self.costs = {"mean": -T.mean(likelihood), "sum": -T.sum(likelihood)}


@pytest.mark.parametrize("kind", ["mean", "sum"])
def test_a_batch_of_no_images(device: str, kind: str) -> None:
    """The mean cost of nothing is NaN, the sum 0, as in NumPy; gradients are sums of nothing, and
    leave the weights as they are."""
    net = ConvNet()
    cost = net.costs[kind]
    grads = T.grad(cost, net.params)
    right = T.mean(T.eq(T.argmax(net.p, axis=1), net.y))
    updates = [(w, w - 0.1 * g) for w, g in zip(net.params, grads, strict=True)]
    step = theano.function([net.x, net.y], [net.p, cost, right, *grads], updates=updates)
    before = [w.get_value() for w in net.params]
    p, value, accuracy, *zeros = step(empty(0, 64), empty(0, dtype="int32"))
    assert p.shape == (0, 5)
    assert np.isnan(value) if kind == "mean" else value == 0
    assert np.isnan(accuracy)
    for w, old, zero in zip(net.params, before, zeros, strict=True):
        np.testing.assert_array_equal(zero, np.zeros_like(old))
        np.testing.assert_array_equal(w.get_value(), old)
    images = np.random.default_rng(1).random((4, 64)).astype("float32")
    assert np.isfinite(step(images, np.arange(4, dtype="int32"))[1])
    assert not np.array_equal(net.params[0].get_value(), before[0])


def test_an_empty_batch_at_the_end_of_the_data(device: str) -> None:
    data, i = theano.shared(np.arange(6.0).reshape(3, 2)), T.lscalar("i")
    batch = data[i * 3 : (i + 1) * 3]
    function = theano.function([i], [T.sum(batch), T.mean(batch, axis=1), batch.shape[0]])
    total, rows, n = function(1)
    assert (total, rows.shape, n) == (0, (0,), 0)
    assert function(0)[0] == 15


SHAPES = [(0, 3), (3, 0), (0, 0)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of means of nothing
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_reductions_of_nothing(device: str, axis: int | None, shape: tuple[int, int]) -> None:
    x = T.fmatrix("x")
    names = ("sum", "prod", "mean", "var", "std")
    function = theano.function([x], [getattr(T, name)(x, axis=axis) for name in names])
    for name, result in zip(names, function(empty(*shape)), strict=True):
        expected = getattr(np, name)(empty(*shape), axis=axis)
        assert result.shape == np.shape(expected)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_extremes_of_nothing(device: str, name: str) -> None:
    """No rows have no extremes, which is fine; a row without elements is an error."""
    x = T.fmatrix("x")
    function = theano.function([x], getattr(T, name)(x, axis=1))
    assert function(empty(0, 3)).shape == (0,)
    with pytest.raises(ShapeError, match=r"of no elements: shape \(3, 0\)"):
        function(empty(3, 0))
    np.testing.assert_array_equal(function(np.float32([[5, 5]])), getattr(np, name)([[5, 5]], 1))


@pytest.mark.parametrize(
    ("first", "second"),
    [((0, 3), (3, 4)), ((2, 0), (0, 4)), ((2, 3), (3, 0)), ((0, 0), (0, 0)), ((0,), (0,))],
)
def test_products(device: str, first: tuple[int, ...], second: tuple[int, ...]) -> None:
    a, b = (T.tensor("float32", [False] * len(s)) for s in (first, second))
    product = T.dot(a, b)
    function = theano.function([a, b], [product, T.exp(product), *T.grad(T.sum(product), [a, b])])
    value, exponential, da, db = function(empty(*first), empty(*second))
    expected = empty(*first) @ empty(*second)
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(exponential, np.exp(expected))
    assert (da.shape, db.shape) == (first, second)
    assert not da.any()
    assert not db.any()


@pytest.mark.parametrize("shape", SHAPES)
def test_softmax_and_elementwise(device: str, shape: tuple[int, int]) -> None:
    x, row = T.fmatrix("x"), T.row("row", "float32")
    p = softmax(x)
    cost = T.sum(p**2) + T.sum(T.log(p)) + T.sum(x * row)
    outputs = [p, T.log(p), x * row + 1, T.switch(T.gt(x, 0), x, -x), *T.grad(cost, [x, row])]
    *same, by_row = theano.function([x, row], outputs)(empty(*shape), np.ones((1, shape[1]), "f4"))
    assert [r.shape for r in same] == [shape] * 5
    np.testing.assert_array_equal(by_row, np.zeros((1, shape[1])))


@pytest.mark.parametrize("shape", SHAPES)
def test_indexing_and_views(device: str, shape: tuple[int, int]) -> None:
    x, i = T.fmatrix("x"), T.lvector("i")
    views = [x.T, x[1:], x[:, ::-1], x.flatten(), T.zeros_like(x), x[0:0], x.dimshuffle(1, "x", 0)]
    picked = [x[i], x[i, i], T.grad(T.sum(x[i] ** 2), x)]
    value = empty(*shape)
    results = theano.function([x, i], [*views, *picked])(value, empty(0, dtype="int64"))
    none = empty(0, dtype="int64")
    expected = [value.T, value[1:], value[:, ::-1], value.ravel(), np.zeros(shape), value[:0]]
    expected += [value.T[:, None], value[none], value[none, none], np.zeros(shape)]
    assert [r.shape for r in results] == [e.shape for e in expected]
    assert not any(r.any() for r in results)


def test_an_index_into_nothing(device: str) -> None:
    x, i = T.fmatrix("x"), T.lvector("i")
    function = theano.function([x, i], x[i])
    with pytest.raises(IndexOutOfRangeError, match="points into a length of 0"):
        function(empty(0, 4), np.zeros(1, np.int64))


@pytest.mark.parametrize(
    ("images", "filters"),
    [
        ((0, 2, 4, 4), (3, 2, 2, 2)),
        ((1, 0, 4, 4), (3, 0, 2, 2)),
        ((1, 2, 4, 4), (0, 2, 2, 2)),
        ((0, 0, 5, 4), (0, 0, 3, 1)),
    ],
)
def test_convolutions(
    device: str, images: tuple[int, int, int, int], filters: tuple[int, int, int, int]
) -> None:
    x, w = T.tensor4(dtype="float32"), T.tensor4(dtype="float32")
    maps = conv2d(x, w)
    pooled = pool.pool_2d(maps, (2, 2), ignore_border=True)
    outputs = [maps, pooled, *T.grad(T.sum(T.exp(pooled)), [x, w])]
    values = theano.function([x, w], outputs)(empty(*images), empty(*filters))
    rows, columns = images[2] - filters[2] + 1, images[3] - filters[3] + 1
    many = (images[0], filters[0])
    shapes = [(*many, rows, columns), (*many, rows // 2, columns // 2), images, filters]
    assert [v.shape for v in values] == shapes
    assert not any(v.any() for v in values)


def test_filters_without_taps(device: str) -> None:
    x, w = T.tensor4(dtype="float32"), T.tensor4(dtype="float32")
    function = theano.function([x, w], conv2d(x, w))
    with pytest.raises(ShapeError, match=r"a filter of \(0, 2\) has no elements"):
        function(empty(1, 2, 4, 4), empty(3, 2, 0, 2))


def test_pools_that_leave_nothing(device: str) -> None:
    x = T.tensor4(dtype="float32")
    function = theano.function([x], pool.pool_2d(x, (2, 2), ignore_border=True))
    for shape in ((0, 2, 4, 4), (2, 0, 4, 4)):
        assert function(empty(*shape)).shape == (*shape[:2], 2, 2)
    for shape in ((2, 2, 0, 4), (2, 2, 1, 1)):
        with pytest.raises(ShapeError, match=r"a pool of \(2, 2\) leaves nothing"):
            function(empty(*shape))
