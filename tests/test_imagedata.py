"""Problems of images and labels are named by the image's number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_mnist.imagedata import wrong_label, wrong_pixel


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(9000, 3), (9000, 2, 2), (9000,)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("image", [0, 4095, 4096, 8999])
def test_pixels(image: int, value: float, shape: tuple[int, ...], dtype: str) -> None:
    images = np.zeros(shape, dtype)
    assert wrong_pixel(images) is None
    images[image:] = value
    assert wrong_pixel(images) == f"image {image} has a pixel that is {value}"


def test_bytes_are_finite() -> None:
    assert wrong_pixel(np.full((3, 4), 255, "uint8")) is None
    assert wrong_pixel(np.zeros((0, 4))) is None


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([0.0, 9.0], None),
        ([0, 9], None),
        ([0.0, 2.5], "label 2.5 at index 1 is not an integer"),
        ([np.nan, 0.0], "label nan at index 0 is not an integer"),
        ([0.0, np.inf], "label inf at index 1 is not an integer"),
        ([3, -1, 12], "label -1 at index 1 is not in 0..9 (2 such labels)"),
        ([3.0, 300.0], "label 300 at index 1 is not in 0..9 (1 such label)"),
    ],
)
def test_labels(labels: list[Any], problem: str | None) -> None:
    assert wrong_label(np.array(labels), 10) == problem


def test_without_a_number_of_classes_only_fractions_are_wrong() -> None:
    assert wrong_label(np.array([-1, 300])) is None
    assert wrong_label(np.array([0.5])) == "label 0.5 at index 0 is not an integer"
