"""distort: the C++ kernel against its contract, and the same bits everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.arrays import seeds, strided
from helpers.native import TARGETS, AnyArray, expect, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.datasets.distortions import Distortions

DTYPES = ("uint8", "float32", "float64")
SOME = Distortions(20, 3, 0.3, 0.3, (30, 3), 0.0)

sizes = st.tuples(st.integers(0, 4), st.integers(1, 40), st.integers(1, 40))
distortions = st.builds(
    Distortions,
    rotation=st.sampled_from([0, 10, 360]),
    translation=st.sampled_from([0, 2.5, 100]),
    skew=st.sampled_from([0, 0.3]),
    scale=st.sampled_from([0, 0.5, (0.2, 0.3)]),
    elastic=st.sampled_from([None, (20, 0), (34, 4), (5, 0.7), (100, 50)]),
    fill=st.sampled_from([0, 7]),
)


def images(shape: tuple[int, ...], dtype: str, seed: int = 0) -> AnyArray:
    """Random pixels, from 0 to 255 or to 1."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape)
    return pixels.astype(dtype) if dtype == "uint8" else (pixels / 256).astype(dtype)


def operands(x: AnyArray, amounts: Distortions) -> list[AnyArray]:
    """The kernel's inputs."""
    return [x, amounts.amounts(), amounts.weights(max(x.shape[1:]))]


@pytest.mark.covers("distort", dtypes=DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60)
@given(sizes, st.sampled_from(DTYPES), distortions, seeds)
def test_the_contract(
    target: str, shape: tuple[int, int, int], dtype: str, amounts: Distortions, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    inputs = [strided(rng, a) for a in operands(images(shape, dtype, seed), amounts)]
    params = {"seed": seed, "first": seed // 3}
    spec = ArraySpec(dtype, shape)
    (result,) = run_kernel("distort", inputs, [strided(rng, poisoned(spec))], params, target)
    (exact,) = expect("distort", inputs, [spec], params)
    if dtype == "uint8":  # a value near a half may be rounded the other way
        assert np.abs(result.astype(int) - exact).max(initial=0) <= 1
        assert np.count_nonzero(result != exact) <= 5 + result.size // 100
    else:
        np.testing.assert_allclose(result, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("amounts", [SOME, Distortions(rotation=20, scale=0.1)])
def test_the_same_bits_everywhere(dtype: str, amounts: Distortions) -> None:
    x = images((300, 17, 23), dtype)
    params = {"seed": 2**62 + 5, "first": 2**40}
    runs: list[dict[str, Any]] = [{"target": t, "threads": n} for t in TARGETS for n in (1, 2, 5)]
    results = [
        run_kernel("distort", operands(x, amounts), [poisoned_like(x)], params, **run)[0]
        for run in runs
    ]
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def poisoned_like(x: AnyArray) -> AnyArray:
    """An output for images like these."""
    return poisoned(ArraySpec(x.dtype.name, x.shape))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({0: np.zeros((2, 3, 4), "int64")}, "must be uint8, float32 or float64"),
        ({0: np.zeros((2, 3), "float32")}, "must have 3 dimensions"),
        ({1: np.zeros(9)}, r"input 1 \(amounts\) must have size 10"),
        ({2: np.zeros(3)}, r"input 2 \(weights\) must be float32"),
    ],
)
def test_wrong_operands(replaced: dict[int, AnyArray], message: str) -> None:
    inputs = operands(images((2, 3, 4), "float32"), SOME)
    for number, array in replaced.items():
        inputs[number] = array
    with pytest.raises(ValueError, match=message):
        run_kernel("distort", inputs, [poisoned_like(inputs[0])], {"seed": 0, "first": 0})


def test_images_that_32_bits_do_not_address() -> None:
    wide = np.broadcast_to(np.zeros(1, np.float32), (1, 1, 2**30))
    out = np.zeros(1, np.float32)
    result = np.lib.stride_tricks.as_strided(out, wide.shape, (0, 0, 0))
    inputs = [wide, SOME.amounts(), SOME.weights(4)]
    with pytest.raises(ValueError, match="images that are too large"):
        run_kernel("distort", inputs, [result], {"seed": 0, "first": 0})
