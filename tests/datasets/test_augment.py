"""augment against SciPy, and what a program relies on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from tinygrad_mnist import network3, shared
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.philox import uniform
from tinygrad_mnist.datasets import augment, augmented, expand_augmented
from tinygrad_mnist.datasets.distortions import Distortions

ALL: dict[str, Any] = {
    "rotation": 20,
    "translation": 3,
    "skew": 0.2,
    "scale": 0.2,
    "elastic": (34, 4),
}
AMOUNTS = st.fixed_dictionaries(
    {
        "rotation": st.sampled_from([0, 15, 360]),
        "translation": st.sampled_from([0, 2.5]),
        "skew": st.sampled_from([0, 0.3]),
        "scale": st.sampled_from([0, 0.3]),
        "elastic": st.sampled_from([None, (0, 4), (34, 4), (3, 0), (8, 1.3), (500, 40)]),
    }
)


def pictures(*shape: int, dtype: str = "float32") -> NDArray[Any]:
    """Random pixels."""
    values = np.random.default_rng(math.prod(shape)).random(shape)
    return (values * 255).astype(dtype) if dtype == "uint8" else values.astype(dtype)


def by_scipy(image: NDArray[Any], number: int, seed: int, amounts: dict[str, Any]) -> NDArray[Any]:
    """One image, distorted by SciPy with the kernel's random numbers."""
    shape = np.array(image.shape)
    draws = uniform("float32", np.arange(8 + 2 * image.size), number, seed).astype(float)
    signed = 2 * draws - 1
    angle = math.radians(amounts["rotation"]) * signed[0]
    move = amounts["translation"] * signed[1:3]
    # Coordinates are (down, right).
    scaling = np.diag(1 + amounts["scale"] * signed[4:6])
    skewing = np.array([[1, 0], [-amounts["skew"] * signed[3], 1]])
    rotating = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    matrix = np.linalg.inv(rotating @ skewing @ scaling)
    centre = (shape - 1) / 2
    at = np.indices(image.shape).astype(float) - (centre + move)[:, None, None]
    source = np.tensordot(matrix, at, 1) + centre[:, None, None]
    if amounts["elastic"] is not None:
        alpha, sigma = amounts["elastic"]
        for axis, field in enumerate(signed[8:].reshape(2, *image.shape)):
            smooth = ndimage.gaussian_filter(field, sigma, mode="constant") if sigma else field
            source[axis] += alpha * smooth
    return ndimage.map_coordinates(image, source, order=1, mode="grid-constant", cval=0.0)


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), AMOUNTS, st.integers(0, 2**63 - 1))
def test_scipy_computes_the_same(
    height: int, width: int, amounts: dict[str, Any], seed: int
) -> None:
    x = pictures(3, height, width, dtype="float64")
    result = augment(x, seed=seed, first=5, **amounts)
    for i in range(3):
        np.testing.assert_allclose(result[i], by_scipy(x[i], 5 + i, seed, amounts), atol=5e-4)


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ({"rotation": (90, 90)}, lambda x: np.rot90(x, axes=(1, 2))),
        ({"rotation": (180, 180)}, lambda x: x[:, ::-1, ::-1]),
        ({"rotation": (360, 360)}, lambda x: x),
        ({"translation": (1, 1)}, lambda x: np.pad(x, ((0, 0), (1, 0), (1, 0)))[:, :-1, :-1]),
        ({"translation": (50, 60)}, np.zeros_like),
        ({"scale": (1e-9, 1e-9)}, lambda x: np.pad(x[:, 4:5, 4:5], ((0, 0), (4, 4), (4, 4)))),
    ],
)
def test_what_can_be_said_in_advance(amounts: dict[str, Any], expected: Any) -> None:
    x = pictures(4, 9, 9)
    np.testing.assert_allclose(augment(x, **amounts), expected(x), atol=1e-5)


def test_skew_leans_to_the_right() -> None:
    x = np.zeros((1, 9, 9), np.float32)
    x[0, :, 4] = 1
    assert augment(x, skew=(1, 1))[0].argmax(1).tolist() == [8, 7, 6, 5, 4, 3, 2, 1, 0]


@settings(max_examples=30)
@given(
    st.sampled_from(["uint8", "float16", "float32", "float64", ">f4"]),
    st.sampled_from([(0, 784), (1, 784), (3, 28, 28), (2, 5, 9, 1), (4, 1), (2, 0, 3), (2, 3, 0)]),
    st.sampled_from([None, (0, 3)]),
)
def test_nothing_to_change_is_an_exact_copy(dtype: str, shape: Any, elastic: Any) -> None:
    x = pictures(*shape, dtype=dtype)
    if x.dtype.kind == "f" and x.size:
        x.reshape(-1)[:2] = [-0.0, np.nan][: min(2, x.size)]
    result = augment(x, elastic=elastic)
    assert result.dtype == x.dtype.newbyteorder("=")
    assert result.tobytes() == x.astype(result.dtype).tobytes()
    assert not np.shares_memory(result, x)


@settings(max_examples=40)
@given(
    st.sampled_from(["uint8", "float16", "float32", "float64"]),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 2**64),
)
def test_batches_and_threads_change_nothing(dtype: str, n: int, cut: int, seed: int) -> None:
    x = pictures(n, 12, 7, dtype=dtype)
    cut, seed = min(cut, n), min(seed, 2**63 - 1)
    whole = augment(x, seed=seed, **ALL)
    parts = [augment(x[:cut], seed=seed, **ALL), augment(x[cut:], seed=seed, first=cut, **ALL)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    if n > 1:
        assert (augment(x, seed=seed ^ 1, **ALL) != whole).any()


def test_the_last_numbers() -> None:
    assert augment(pictures(2, 784), first=2**63 - 2, seed=2**63 - 1, **ALL).shape == (2, 784)


def test_one_thread_or_several(monkeypatch: pytest.MonkeyPatch) -> None:
    x = pictures(2000, 784)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(config, "threads", threads)
        results.append(augment(x, **ALL))
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


def test_images_of_one_batch_are_distorted_differently() -> None:
    x = np.repeat(pictures(1, 784), 20, axis=0)
    for name, amount in ALL.items():
        assert len({row.tobytes() for row in augment(x, **{name: amount})}) == 20, name


def test_any_layout_of_the_array() -> None:
    x = pictures(6, 784)
    expected = augment(x, **ALL)
    packed = np.zeros(6, dtype=[("label", "u1"), ("image", "f4", 784)])  # not aligned
    packed["image"] = x
    views = [np.asfortranarray(x), x.astype(">f4"), packed["image"], x[:, ::-1].copy()[:, ::-1]]
    for view in views:
        np.testing.assert_array_equal(augment(view, **ALL), expected)
    for shape in ((6, 28, 28), (6, 28, 28, 1)):
        result = augment(x.reshape(shape), **ALL)
        assert result.shape == shape
        np.testing.assert_array_equal(result.reshape(6, 784), expected)


@pytest.mark.parametrize(
    "elastic",
    [(34, 1e-300), (34, 1e9), (1e300, 4), (-34, 4), (34, 0), (1e-320, 4), (34, 1e308 / 8)],
)
@pytest.mark.parametrize("shape", [(3, 1, 1), (2, 1, 50), (2, 50, 1), (2, 28, 28)])
def test_extreme_amounts_stay_within_the_pixels(elastic: Any, shape: Any) -> None:
    amounts = {**ALL, "elastic": elastic, "skew": 1e300, "translation": 1e300}
    for kinds in ({"elastic": elastic}, amounts, {"rotation": 1e30}, {"scale": (1e-300, 1e300)}):
        result = augment(pictures(*shape), fill=0.25, **kinds)
        assert ((result >= 0) & (result <= 1)).all()


def test_a_huge_sigma_moves_next_to_nothing() -> None:
    x = pictures(2, 28, 28)
    np.testing.assert_allclose(augment(x, elastic=(34, 1e9)), x, atol=1e-4)


def test_sums_of_a_gaussian_meet_where_they_change() -> None:
    below, above = (Distortions(elastic=(1, s)).weights(28) for s in (249_999.0, 250_001.0))
    np.testing.assert_allclose(below, above, rtol=1e-4)


def test_rounding_and_fill_of_bytes() -> None:
    x = np.full((2, 9, 9), 255, np.uint8)
    result = augment(x, translation=(0.5, 0.5), fill=100)
    assert result[0, 4, 4] == 255
    assert result[0, 0, 4] == 178  # 177.5, to the even neighbour
    assert result[0, 0, 0] == 139  # a quarter of 255, and 100


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": np.zeros((2, 784), int)}, TypeError, "images are int64"),
        ({"images": [[object()]]}, TypeError, "images is"),
        ({"images": np.zeros((2, 783))}, ValueError, r"images have shape \(2, 783\)"),
        ({"images": np.zeros((2, 28, 28, 3))}, ValueError, "images have shape"),
        ({"images": np.zeros(784)}, ValueError, "images have shape"),
        ({"images": np.ma.masked_array(np.zeros((2, 784)))}, TypeError, "masked"),
        ({"rotation": "10"}, TypeError, "rotation is '10'"),
        ({"rotation": -1}, ValueError, "rotation is -1"),
        ({"translation": math.nan}, ValueError, "translation is nan"),
        ({"translation": (1, 2, 3)}, TypeError, r"translation is \(1, 2, 3\)"),
        ({"skew": (2, 1)}, ValueError, "the lowest comes first"),
        ({"scale": 1}, ValueError, "scale is 1; sizes must stay above 0"),
        ({"scale": (0, 2)}, ValueError, "sizes must stay above 0"),
        ({"elastic": 34}, TypeError, r"elastic is 34; it must be a pair \(alpha, sigma\)"),
        ({"elastic": (34, -1)}, ValueError, "sigma must not be below 0"),
        ({"elastic": (math.inf, 4)}, ValueError, "elastic is inf"),
        ({"fill": math.nan}, ValueError, "fill is nan"),
        ({"images": np.zeros((2, 784), np.uint8), "fill": 256}, ValueError, "fill is 256"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": 2**63}, ValueError, "seed is"),
        ({"first": 1.5}, TypeError, "first is 1.5"),
        ({"first": 2**63 - 1}, ValueError, "first is 9223372036854775807; numbers of images"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        augment(**{"images": np.zeros((2, 784)), **arguments})


def test_augmented_arrays_differ_from_epoch_to_epoch() -> None:
    x, y = pictures(5, 784), np.arange(5)
    at_epoch = augmented((x, y), seed=4, **ALL)
    for epoch in (0, 1, 7, 0):
        images, labels = at_epoch(epoch)
        assert labels is y
        np.testing.assert_array_equal(images, augment(x, seed=4, first=5 * epoch, **ALL))
    np.testing.assert_array_equal(at_epoch(None)[0], x)
    with pytest.raises(ValueError, match="epoch is -1"):
        at_epoch(-1)


def test_augmented_shared_data_train_a_network() -> None:
    x, y = pictures(20, 784), np.arange(20) % 10
    data = network3.share_data([(x, y)] * 3)
    net = network3.Network([network3.SoftmaxLayer(784, 10)], 10, seed=0)
    at_epoch = augmented(data[0], **ALL)
    for epoch in range(2):
        training = at_epoch(epoch)
        assert training[0] is data[0][0]
        np.testing.assert_array_equal(training[0].get_value(), augment(x, first=20 * epoch, **ALL))
        net.SGD(training, 1, 10, 0.1, data[1], data[2], quiet=True)
    np.testing.assert_array_equal(at_epoch(None)[0].get_value(), x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"data": np.zeros((2, 784))}, TypeError, "data is"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"rotation": -1}, ValueError, "rotation is -1"),
        ({"data": (shared(np.zeros((2, 3))), 0)}, ValueError, "images have shape"),
        ({"rotate": 1}, TypeError, "rotate"),
    ],
)
def test_wrong_arguments_of_augmented(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        augmented(**{"data": (np.zeros((2, 784)), np.zeros(2)), **arguments})


def test_expansion_by_distortions() -> None:
    pixels = (pictures(7, 784, dtype="uint8") / 256).astype("float32")
    pair = (pixels, np.arange(7))
    images, labels = expand_augmented(pair, 24, seed=3, **ALL)
    assert (images.shape, images.dtype, labels.dtype) == ((24, 784), np.float32, np.int64)
    assert np.bincount(labels).tolist() == [4, 4, 4, 3, 3, 3, 3]
    distorted = augment(pixels, seed=3, first=14, **ALL)
    found = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    for label in range(7):
        rounded = np.clip(np.rint(distorted[label] * 256), 0, 255).astype("float32") / 256
        assert found[pixels[label].tobytes()] == found[rounded.tobytes()] == label
    for count in (0, 6):
        with pytest.raises(ValueError, match="count is"):
            expand_augmented(pair, count, **ALL)
