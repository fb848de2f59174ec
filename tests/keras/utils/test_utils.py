"""Labels as one-hot rows, seeds, and rows of length 1."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_mnist.keras import backend, utils
from tinygrad_mnist.keras.layers import Dense
from tinygrad_mnist.keras.optimizers import SGD
from tinygrad_mnist.keras.utils import to_categorical


@given(
    labels=hnp.arrays(
        st.sampled_from(["uint8", "int64", "float32", "int16"]),
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
        elements=st.integers(0, 6),
    )
)
def test_rows(labels: Any) -> None:
    rows = to_categorical(labels, 7)
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    assert rows.shape == (*shape, 7)
    assert rows.dtype == np.float32
    assert np.array_equal(rows.argmax(axis=-1).ravel(), labels.ravel())
    assert np.array_equal(rows.sum(axis=-1), np.ones(shape))
    assert to_categorical(labels).shape[-1] == labels.max() + 1


def test_call_forms() -> None:
    expected = np.eye(3)[[2, 0]]
    for rows in (
        to_categorical([2, 0]),
        to_categorical(y=[2, 0], num_classes=3),
        to_categorical(x=[2, 0], num_classes=3),
        to_categorical(np.array([[2], [0]]), 3, "float64"),
        to_categorical([2, 0], num_classes=3, dtype="uint8"),
        utils.np_utils.to_categorical([2, 0], 3),
    ):
        assert np.array_equal(rows, expected)
    assert to_categorical([1], 2, dtype="bool").dtype == bool
    assert to_categorical([], 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 3, 1], 3, r"label 3 at 1 is not in 0\.\.2"),
        ([0, -1], None, r"label -1 at 1 is not from 0 on"),
        ([[0, 1], [1, 9]], 5, r"label 9 at \(1, 1\) is not in 0\.\.4"),
        (7, 5, r"label 7 is not in 0\.\.4"),
        ([0.5], 3, r"label 0\.5 at 0 is no integer"),
        ([1.0, np.nan], 3, "label nan at 1 is no integer"),
        ([1.0, np.inf], 3, "label inf at 1 is no integer"),
        (["3"], 5, "must be integers|labels"),
        ([1], 0, "num_classes"),
        ([], None, "num_classes is needed"),
    ],
)
def test_wrong_labels(labels: Any, classes: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        to_categorical(labels, classes)


def test_seeds() -> None:
    utils.set_random_seed(5)
    first = [random.random(), np.random.rand()]  # noqa: NPY002
    utils.set_random_seed(5)
    assert first == [random.random(), np.random.rand()]  # noqa: NPY002
    for wrong in (-1, 2**32, 1.5):
        with pytest.raises((TypeError, ValueError), match="seed"):
            utils.set_random_seed(wrong)


def test_normalize() -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    assert np.allclose(utils.normalize(x), [[0.6, 0.8], [0, 0]])
    assert np.allclose(utils.normalize(x, axis=0, order=1), [[1, 1], [0, 0]])
    assert np.allclose(utils.normalize([3.0, 4.0]), [0.6, 0.8])


def test_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend.image_data_format() == "channels_last"
    backend.set_image_data_format("channels_last")
    with pytest.raises(ValueError, match="channels_first"):
        backend.set_image_data_format("channels_first")
    assert backend.epsilon() == 1e-7
    assert backend.backend() == "tinygrad_mnist"
    monkeypatch.setattr(backend.config, "floatX", "float32")
    backend.set_floatx("float64")
    assert backend.floatx() == "float64"
    backend.set_floatx("float32")
    backend.clear_session()
    assert [Dense(1).name, Dense(1).name] == ["dense", "dense_1"]
    backend.clear_session()
    assert Dense(1).name == "dense"


def test_values_of_the_backend() -> None:
    optimizer = SGD(0.5)
    backend.set_value(optimizer.learning_rate, 0.25)
    assert backend.get_value(optimizer.learning_rate) == 0.25
    assert backend.get_value(optimizer.learning_rate * 2) == 0.5
    assert backend.get_value(3) == 3
    with pytest.raises(TypeError, match="no shared variable"):
        backend.set_value(3, 4)
