"""Initializers and regularizers: distributions, seeds, names, errors."""

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.keras import initializers, regularizers
from tinygrad_mnist.keras.initializers import compute_fans

RANDOM = [
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "GlorotUniform",
    "GlorotNormal",
    "HeUniform",
    "HeNormal",
    "LecunUniform",
    "LecunNormal",
    "Orthogonal",
]


@pytest.mark.parametrize("name", RANDOM)
def test_seeds(name: str) -> None:
    cls = getattr(initializers, name)
    seeded = cls(seed=7)
    first = seeded((3, 3, 4, 8))
    np.testing.assert_array_equal(seeded((3, 3, 4, 8)), first)
    np.testing.assert_array_equal(cls(seed=7)((3, 3, 4, 8)), first)
    assert (cls(seed=8)((3, 3, 4, 8)) != first).any()
    free = cls()
    assert (free((3, 3, 4, 8)) != free((3, 3, 4, 8))).any()
    drawn = []
    for _ in range(2):
        np.random.seed(3)  # noqa: NPY002
        drawn.append(free((3, 4)))
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("dtype", [None, "float32", "float64", np.float64])
def test_dtypes(name: str, dtype: Any) -> None:
    values = getattr(initializers, name)(seed=1)((3, 4), dtype)
    assert values.dtype == (theano.config.floatX if dtype is None else np.dtype(dtype))


@pytest.mark.parametrize(
    ("scale", "mode", "variance"),
    [
        (1.0, "fan_in", 1 / 36),
        (2.0, "fan_in", 2 / 36),
        (1.0, "fan_out", 1 / 1800),
        (1.0, "fan_avg", 1 / 918),
    ],
)
@pytest.mark.parametrize(
    "distribution", ["normal", "truncated_normal", "untruncated_normal", "uniform"]
)
def test_variances(scale: float, mode: str, variance: float, distribution: str) -> None:
    make = initializers.VarianceScaling(scale, mode, distribution, seed=5)
    values = make((3, 3, 4, 200), "float64")
    assert values.var() == pytest.approx(variance, rel=0.06)
    assert abs(values.mean()) < 5 * np.sqrt(variance / values.size)


def test_plain_distributions() -> None:
    normal = initializers.RandomNormal(1.0, 2.0, seed=1)((100, 100))
    assert normal.mean() == pytest.approx(1, abs=0.1)
    assert normal.std() == pytest.approx(2, rel=0.03)
    cut = initializers.TruncatedNormal(1.0, 2.0, seed=1)((100, 100))
    assert (np.abs(cut - 1) <= 4).all()
    assert cut.std() == pytest.approx(2 * 0.8796, rel=0.03)
    uniform = initializers.RandomUniform(-1, 3, seed=1)((100, 100))
    assert uniform.min() == pytest.approx(-1, abs=0.01)
    assert uniform.max() == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (3, 3, 2, 5), (1, 1, 2, 9)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = initializers.Orthogonal(gain=2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
    rows, columns = matrix.shape
    product = matrix @ matrix.T if rows < columns else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(min(rows, columns)), atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((784, 100), (784, 100)),
        ((3, 3, 1, 32), (9, 288)),
        ((5, 5, 32, 64), (800, 1600)),
    ],
)
def test_fans(shape: tuple[int, ...], fans: tuple[int, int]) -> None:
    assert compute_fans(shape) == fans


def test_constants() -> None:
    assert (initializers.Zeros()((2, 3)) == 0).all()
    assert (initializers.Ones()((2, 3)) == 1).all()
    assert (initializers.Constant(0.25)((2, 3)) == 0.25).all()
    np.testing.assert_array_equal(initializers.Constant([1, 2])((2,)), [1, 2])


@pytest.mark.parametrize("spelling", ["he_normal", "HeNormal", "he_Normal", "henormal"])
def test_by_name(spelling: str) -> None:
    assert isinstance(initializers.get(spelling), initializers.HeNormal)


def test_other_identifiers() -> None:
    made = {"class_name": "RandomNormal", "config": {"stddev": 0.5, "seed": 3}}
    found = initializers.get(made)
    assert isinstance(found, initializers.RandomNormal)
    assert found.get_config() == {"mean": 0.0, "stddev": 0.5, "seed": 3}
    assert initializers.get(found) is found
    assert initializers.get(np.zeros) is np.zeros
    for name, cls in (("zero", "Zeros"), ("one", "Ones"), ("uniform", "RandomUniform")):
        assert isinstance(initializers.get(name), getattr(initializers, cls))


@pytest.mark.parametrize("name", [*RANDOM, "Zeros", "Ones", "Constant"])
def test_made_again_of_the_config(name: str) -> None:
    cls = getattr(initializers, name)
    made = cls(seed=4) if name in RANDOM else cls()
    again = cls.from_config(made.get_config())
    np.testing.assert_array_equal(again((3, 4)), made((3, 4)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.get("glorot"), "there is no initializer 'glorot'; it can be zeros"),
        (lambda: initializers.get(3), "3 is no initializer"),
        (lambda: initializers.HeNormal(seed="a"), "seed is 'a'"),
        (lambda: initializers.HeNormal(seed=-1), "seed is -1"),
        (lambda: initializers.RandomNormal(stddev=-1), "stddev is -1"),
        (lambda: initializers.RandomUniform(1, 0), "minval is 1"),
        (lambda: initializers.VarianceScaling(scale=0), "scale is 0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "mode is 'fan'; it can be 'fan_in'"),
        (lambda: initializers.VarianceScaling(distribution="cauchy"), "distribution is 'cauchy'"),
        (lambda: initializers.Orthogonal()((3,)), "at least two axes"),
        (lambda: initializers.Constant([1, 2])((3,)), r"shape \(2,\), not \(3,\)"),
        (lambda: initializers.Constant("a"), "the value of Constant is 'a'"),
        (lambda: initializers.Zeros()((-1,)), "a length is -1"),
        (lambda: initializers.Zeros()(3), "shape is 3"),
        (lambda: regularizers.get("l3"), "there is no regularizer 'l3'; it can be l1, l2, l1_l2"),
        (lambda: regularizers.L2(-1), "l2 is -1"),
        (lambda: regularizers.L1(float("nan")), "l1 is nan"),
        (lambda: regularizers.l1_l2(l1="a"), "l1 is 'a'"),
    ],
)
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("identifier", "l1", "l2"),
    [
        ("l1", 0.01, 0),
        ("L2", 0, 0.01),
        ("l1_l2", 0, 0),
        (regularizers.l2(0.5), 0, 0.5),
        (regularizers.l1_l2(l1=0.5, l2=0.25), 0.5, 0.25),
        ({"class_name": "L1", "config": {"l1": 2.0}}, 2.0, 0),
        (lambda w: 3 * T.sum(T.sqr(w)), 0, 3),
    ],
)
def test_penalties(identifier: Any, l1: float, l2: float, dtype: str) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4)).astype(dtype)
    w = theano.shared(values)
    regularizer = regularizers.get(identifier)
    assert regularizer is not None
    penalty = regularizer(w)
    assert penalty.dtype == dtype
    expected = l1 * np.abs(values).sum() + l2 * (values**2).sum()
    assert float(penalty.eval()) == pytest.approx(float(expected), rel=1e-5)


def test_no_regularizer() -> None:
    assert regularizers.get(None) is None
