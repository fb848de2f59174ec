"""images2neibs and neibs2images: values against loops, derivatives, geometries, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import AnyArray, Case, evaluate, make_tests
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet.neighbours import Images2Neibs, images2neibs, neibs2images

Pair = tuple[int, int]
X = np.random.default_rng(12).normal(size=(2, 2, 6, 5))


def neighbourhoods(
    x: AnyArray, size: Pair, step: Pair | None = None, mode: str = "valid"
) -> AnyArray:
    """Window by window, as the definition says."""
    step = step or size
    if mode == "wrap_centered":
        starts = [range(0, n, s) for n, s in zip(x.shape[2:], step, strict=True)]
        x = np.pad(x, ((0, 0), (0, 0), *((k // 2, k // 2) for k in size)), mode="wrap")
    else:
        pads = [{"half": k // 2, "full": k - 1}.get(mode, 0) for k in size]
        x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in pads)))
        lengths = zip(x.shape[2:], size, step, strict=True)
        starts = [range(0, n - k + 1, s) for n, k, s in lengths]
    rows = [
        image[r : r + size[0], c : c + size[1]].ravel()
        for image in x.reshape(-1, *x.shape[2:])
        for r in starts[0]
        for c in starts[1]
    ]
    return np.array(rows, x.dtype).reshape(-1, size[0] * size[1])


GEOMETRIES: list[tuple[Pair, Pair | None, str]] = [
    ((2, 5), None, "valid"),
    ((3, 1), None, "valid"),
    ((2, 3), (1, 2), "valid"),
    ((3, 2), (1, 1), "valid"),
    ((1, 1), (5, 4), "valid"),
    ((2, 2), None, "ignore_borders"),
    ((4, 3), (1, 3), "ignore_borders"),
    ((2, 1), (3, 2), "ignore_borders"),
    ((3, 3), (1, 2), "half"),
    ((2, 4), (3, 1), "half"),
    ((3, 2), (1, 1), "full"),
    ((2, 3), (3, 6), "full"),
    ((3, 5), (1, 1), "wrap_centered"),
    ((5, 1), (2, 3), "wrap_centered"),
    ((3, 3), (4, 2**62), "wrap_centered"),
    ((6, 3), (2**62, 2), "valid"),
]
CASES = [
    Case(
        f"{size}, step {step}, {mode}",
        lambda x, how=(size, step, mode): images2neibs(x, *how),
        lambda x, how=(size, step, mode): neighbourhoods(x, *how),
        (X[:1] if size == (3, 2) else X,),
    )
    for size, step, mode in GEOMETRIES
]
CASES += [
    Case(
        f"second derivative, {size}, step {step}, {mode}",
        lambda x, how=(size, step, mode): T.grad(T.sum(images2neibs(x, *how) ** 2), x),
        lambda x, how=(size, step, mode): 2 * x * _times_seen(x.shape, *how),
        (X[:1],),
    )
    for size, step, mode in GEOMETRIES[2::3]
]
CASES += [
    Case(
        "neibs2images",
        lambda v: neibs2images(v, (2, 5), X.shape),
        lambda v: _back(v, (3, 1), (2, 5)),
        (neighbourhoods(X, (2, 5)),),
    ),
    Case(
        "neibs2images without borders",
        lambda v: neibs2images(v, (4, 2), X.shape, "ignore_borders"),
        lambda v: np.pad(_back(v, (1, 2), (4, 2)), ((0, 0), (0, 0), (0, 2), (0, 1))),
        (neighbourhoods(X, (4, 2), None, "ignore_borders"),),
    ),
]


def _times_seen(shape: tuple[int, ...], *how: Any) -> AnyArray:
    """In how many neighbourhoods each pixel is."""
    numbers = np.arange(1, np.prod(shape) + 1).reshape(shape)
    seen = np.bincount(neighbourhoods(numbers, *how).ravel(), minlength=numbers.size + 1)
    return seen[1:].reshape(shape)


def _back(v: AnyArray, grid: Pair, size: Pair) -> AnyArray:
    """Images from neighbourhoods side by side."""
    images = v.reshape(2, 2, *grid, *size).transpose(0, 1, 2, 4, 3, 5)
    return images.reshape(2, 2, grid[0] * size[0], grid[1] * size[1])


test_value, test_gradient = make_tests(CASES)


@given(
    st.tuples(*[st.integers(1, 7)] * 2),
    st.tuples(*[st.integers(1, 5)] * 2),
    st.tuples(*[st.integers(1, 5)] * 2),
    st.sampled_from(["valid", "ignore_borders", "half", "full", "wrap_centered"]),
    st.integers(0, 2),
)
def test_any_geometry(size: Pair, window: Pair, step: Pair, mode: str, batch: int) -> None:
    rng = np.random.default_rng(sum(size))
    values = rng.integers(-9, 10, size=(batch, 2, *size)).astype("float64")
    x, g = T.dtensor4("x"), T.dmatrix("g")
    y = images2neibs(x, window, step, mode)
    if not all(_fits(n, k, s, mode) for n, k, s in zip(size, window, step, strict=True)):
        with pytest.raises(ValueError, match="neighbourhoods of"):
            theano.function([x], y)(values)
        return
    result = theano.function([x], y)(values)
    np.testing.assert_array_equal(result, neighbourhoods(values, window, step, mode))
    weights = rng.integers(-9, 10, size=result.shape).astype("float64")
    (dx,) = theano.function([x, g], T.grad(T.sum(y * g), [x]))(values, weights)
    assert dx.shape == values.shape
    assert (dx * values).sum() == (result * weights).sum()


def _fits(n: int, size: int, step: int, mode: str) -> bool:
    if mode == "wrap_centered":
        return size % 2 == 1 and size <= n
    left = n + 2 * {"half": size // 2, "full": size - 1}.get(mode, 0) - size
    return left >= 0 and (left % step == 0 or mode == "ignore_borders")


def test_symbolic_sizes_and_other_dtypes(device: str) -> None:
    x = T.tensor4("x", "int8")
    values = (X * 10).astype("int8")
    i, j = T.lscalars("i", "j")
    result = evaluate(
        device, [x, i, j], images2neibs(x, (i, 2), (1, j), "ignore_borders"), values, 3, 1
    )
    assert result.dtype == np.int8
    np.testing.assert_array_equal(result, neighbourhoods(values, (3, 2), (1, 1), "ignore_borders"))
    shape = T.as_tensor_variable((2, 5))
    result = evaluate(device, [x], Images2Neibs("valid")(x, shape), values)
    np.testing.assert_array_equal(result, neighbourhoods(values, (2, 5)))
    y = neibs2images(images2neibs(x, (3, 5)), (3, 5), x.shape)
    np.testing.assert_array_equal(evaluate(device, [x], y, values), values)


def test_the_mean_of_neighbourhoods_is_a_pool(device: str) -> None:
    x = T.dtensor4("x")
    means = T.mean(images2neibs(x, (3, 5)), axis=1).reshape((2, 2, 2, 1))
    expected = X.reshape(2, 2, 2, 3, 5).mean(axis=(3, 4))[..., None]
    np.testing.assert_allclose(evaluate(device, [x], means, X), expected, rtol=1e-12)


ERRORS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: images2neibs(x, (4, 5)), r"(?s)don't cover an axis of 6 .*: 2 are left.*test_neigh"),
    (lambda x: images2neibs(x, (7, 1)), "don't fit an axis of 6"),
    (lambda x: images2neibs(x, (2, 0)), "both have to be at least 1"),
    (lambda x: images2neibs(x, (2, 1), mode="wrap_centered"), "the size is odd and at most 6"),
    (lambda x: images2neibs(x, (3, 7), mode="wrap_centered"), "the size is odd and at most 5"),
    (lambda x: images2neibs(x, (2, 5), mode="same"), "the mode of images2neibs is 'same'"),
    (lambda x: images2neibs(x, (2, 5, 1)), "neib_shape is .*; it is a height and a width"),
    (lambda x: neibs2images(x[0, 0], (2, 5), (2, 2, 6, 5)), "have 12 neighbourhoods of 10 pixels"),
    (lambda x: neibs2images(x[0, 0], (2, 5), (2, 6, 5)), "original_shape is .* four lengths"),
    (
        lambda x: neibs2images(x[0, 0], (2, 5), X.shape, "half"),
        "the mode of neibs2images is 'half'",
    ),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors(make: Callable[[Any], Any], message: str) -> None:
    x = T.dtensor4("x")
    with pytest.raises(ValueError, match=message):
        theano.function([x], make(x))(X)


def test_operands_without_the_right_dimensions() -> None:
    with pytest.raises(TypeError, match="ten4 has to have four dimensions"):
        images2neibs(T.matrix(), (1, 1))
    with pytest.raises(TypeError, match="neibs has to be a matrix"):
        neibs2images(T.tensor4(), (1, 1), (1, 1, 1, 1))
