"""Digits of matplotlib's fonts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_mnist.datasets import draw_digits
from tinygrad_mnist.keras.datasets import font_digits


def test_images_look_like_mnists() -> None:
    pytest.importorskip("matplotlib")
    images, labels = font_digits.create_digits_from_local_fonts(130)
    assert images.shape == (130, 784)
    assert images.dtype == np.float32
    assert labels.tolist() == [i % 10 for i in range(130)]
    assert np.array_equal(images[120:], images[:10])  # the fonts begin again
    assert len({image.tobytes() for image in images}) == 120
    grid = images.reshape(-1, 28, 28)
    assert grid.min() == 0
    assert (images.max(axis=1) > 0.9).all()
    for image in grid:
        rows = np.flatnonzero(image.any(axis=1))
        assert 19 <= rows[-1] - rows[0] + 1 <= 20
        weights = image / image.sum()
        centre = [(weights.sum(axis=1 - axis) * (np.arange(28) + 0.5)).sum() for axis in (0, 1)]
        assert np.abs(np.array(centre) - 14).max() <= 0.6
    assert not grid[:, 0].any()
    assert not grid[:, :, 0].any()


def test_they_are_recognised_as_digits() -> None:
    """By the generated digit that is most like them: much more often than one time in ten."""
    pytest.importorskip("matplotlib")
    drawn, known = draw_digits(3000, seed=0)
    images, labels = font_digits.create_digits_from_local_fonts(120)
    rows = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, drawn.reshape(-1, 784))]
    nearest = (rows[0] @ rows[1].T).argmax(axis=1)
    assert (known[nearest] == labels).mean() > 0.6


def test_pictures() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    images, labels = font_digits.create_digits_from_local_fonts(12)
    predicted = labels.copy()
    predicted[7] = 3
    figure = font_digits.display_digits(images, predicted, list(labels), "some digits", 12)
    (axes,) = figure.axes
    assert axes.get_title() == "some digits"
    ticks = axes.get_xticklabels()
    assert [t.get_text() for t in ticks] == [str(p) for p in predicted]
    assert [t.get_color() == "red" for t in ticks] == [i == 7 for i in range(12)]
    first, second = font_digits.display_top_unrecognized(
        images, np.eye(10)[predicted], labels, 5, 2
    )
    assert "10 sample validation digits out of 12" in first.axes[0].get_title()
    assert [t.get_text() for t in first.axes[0].get_xticklabels()] == ["3", "0", "1", "2", "3"]
    assert second.axes[0].get_title() == ""
    for made in (figure, first, second):
        matplotlib.pyplot.close(made)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(font_digits, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tinygrad_mnist\[plot\]'"):
        font_digits.create_digits_from_local_fonts(3)
    with pytest.raises(ModuleNotFoundError, match="matplotlib"):
        font_digits.display_digits(np.zeros((1, 784)), [1], [1], "", 1)
