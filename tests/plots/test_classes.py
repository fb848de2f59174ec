"""Pictures of classified images and of confusion matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import plots
from tinygrad_mnist.errors import ArgumentError, GraphError, GraphTypeError, ShapeError
from tinygrad_mnist.plots import figures

same_color = pytest.importorskip("matplotlib.colors", reason="needs matplotlib").same_color
RNG = np.random.default_rng(0)
IMAGES = RNG.random((5, 6, 4))
PREDICTED, TRUE = [1, 2, 3, 4, 0], [1, 7, 3, 9, 0]


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def drawn(figure: Any) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in figure.axes[0].images]


def test_wrong_answers_are_red_framed_and_have_the_true_class() -> None:
    figure = plots.plot_digits(IMAGES, PREDICTED, TRUE)
    assert texts(figure) == ["1", "2\nnot 7", "3", "4\nnot 9", "0"]
    ax = figure.axes[0]
    is_red = [same_color(text.get_color(), figures.WRONG) for text in ax.texts]
    is_framed = [same_color(line.get_color(), figures.WRONG) for line in ax.lines]
    assert is_red == is_framed == [False, True, False, True, False]
    np.testing.assert_array_equal(drawn(figure), IMAGES)


def test_only_wrong_ones() -> None:
    figure = plots.plot_digits(IMAGES, PREDICTED, TRUE, only_wrong=True)
    assert texts(figure) == ["2\nnot 7", "4\nnot 9"]
    np.testing.assert_array_equal(drawn(figure), IMAGES[[1, 3]])


@pytest.mark.parametrize(
    ("predictions", "labels", "expected"),
    [
        (None, TRUE, ["1", "7", "3", "9", "0"]),
        (PREDICTED, None, ["1", "2", "3", "4", "0"]),
        (None, None, [""] * 5),
        (np.eye(10)[PREDICTED], np.eye(10)[TRUE], ["1", "2\nnot 7", "3", "4\nnot 9", "0"]),
        (np.array(PREDICTED)[:, None], np.array(TRUE, float), ["1", "2\nnot 7", "3"]),
    ],
)
def test_classes_probabilities_and_one_hot_rows(
    predictions: Any, labels: Any, expected: list[str]
) -> None:
    assert texts(plots.plot_digits(IMAGES, predictions, labels))[: len(expected)] == expected


def test_names_in_place_of_numbers() -> None:
    figure = plots.plot_digits(IMAGES, PREDICTED, TRUE, names=["a", "b", "c", "d", "e"])
    assert texts(figure) == ["b", "c\nnot 7", "d", "e\nnot 9", "a"]


@pytest.mark.parametrize(
    "images",
    [IMAGES, IMAGES[..., None], np.float32(IMAGES), (IMAGES * 255).astype(np.uint8), IMAGES - 0.5],
)
def test_images_of_every_form(images: np.ndarray) -> None:
    assert [image.shape for image in drawn(plots.plot_digits(images))] == [(6, 4)] * 5


def test_flat_and_coloured_images() -> None:
    assert drawn(plots.plot_digits(np.zeros((2, 784))))[0].shape == (28, 28)
    assert drawn(plots.plot_digits(np.zeros((2, 6, 6, 3))))[0].shape == (6, 6, 3)


@pytest.mark.parametrize("count", [1, 2, 9, 24, 60])
@pytest.mark.parametrize("names", [None, ["a", "T-shirt/top, with a long name"]])
def test_nothing_overlaps_or_is_cut_off(count: int, names: list[str] | None) -> None:
    images, classes = np.zeros((count, 28, 28)), np.arange(count) % 2
    figure = plots.plot_digits(images, classes, 1 - classes, n=100, names=names)
    figure.draw_without_rendering()
    boxes = [
        artist.get_window_extent() for artist in (*figure.axes[0].images, *figure.axes[0].texts)
    ]
    assert len(boxes) == 2 * count
    x = np.array([[box.x0, box.x1, box.y0, box.y1] for box in boxes])
    assert (x[:, ::2] >= 0).all()
    assert (x[:, 1] <= figure.bbox.x1).all()
    assert (x[:, 3] <= figure.bbox.y1).all()
    a, b = x[:, None], x[None]
    overlap = (a[..., 0] < b[..., 1]) & (b[..., 0] < a[..., 1])
    overlap &= (a[..., 2] < b[..., 3]) & (b[..., 2] < a[..., 3])
    assert overlap.sum() == len(boxes)  # each with itself


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((np.zeros((0, 4, 4)),), ArgumentError, "no images"),
        ((np.zeros((2, 5)),), ShapeError, r"shape \(2, 5\)"),
        ((np.zeros((2, 5, 5, 2)),), ShapeError, r"shape \(2, 5, 5, 2\)"),
        ((np.array([["a"]]),), GraphTypeError, "dtype"),
        ((IMAGES, [1, 2]), ShapeError, "2 predictions for 5 images"),
        ((IMAGES, None, [1, 2]), ShapeError, "2 labels for 5 images"),
        ((IMAGES, [0.5] * 5), GraphTypeError, "predictions has the dtype float64"),
        ((IMAGES, [-1] * 5), ArgumentError, "predictions has the class -1"),
        ((IMAGES, np.zeros((5, 2, 2))), ShapeError, "predictions has the shape"),
    ],
)
def test_wrong_arguments(arguments: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        plots.plot_digits(*arguments)


def test_only_wrong_needs_both() -> None:
    with pytest.raises(GraphTypeError, match="predictions and labels"):
        plots.plot_digits(IMAGES, PREDICTED, only_wrong=True)
    with pytest.raises(ArgumentError, match="no images"):
        plots.plot_digits(IMAGES, TRUE, TRUE, only_wrong=True)


# --- confusion matrices ---------------------------------------------------------------------------


def test_a_confusion_matrix_counts_pairs() -> None:
    true, predicted = RNG.integers(0, 5, 300), RNG.integers(0, 7, 300)
    counts = plots.confusion_matrix(true, np.eye(7)[predicted])
    expected = np.zeros((7, 7), int)
    np.add.at(expected, (true, predicted), 1)
    np.testing.assert_array_equal(counts, expected)
    assert plots.confusion_matrix([0], [0], classes=3).shape == (3, 3)


def test_the_counts_are_written() -> None:
    figure = plots.plot_confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2], names=["a", "b", "c", "d"])
    ax = figure.axes[0]
    assert {(text.get_position(), text.get_text()) for text in ax.texts} == {
        ((0, 0), "1"),
        ((1, 0), "1"),
        ((1, 1), "1"),
        ((2, 2), "1"),
    }
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c", "d"]
    assert ax.get_title() == "75.00% right, 1 of 4 wrong"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    errors = ax.images[0].get_array()
    assert np.ma.getmaskarray(errors).tolist() == np.eye(4, dtype=bool).tolist()


@pytest.mark.parametrize("classes", [1, 2, 10, 26, 62])
def test_any_number_of_classes(classes: int) -> None:
    labels = np.arange(classes)
    figure = plots.plot_confusion_matrix(labels, labels)
    figure.draw_without_rendering()
    assert figure.axes[0].get_title() == f"100.00% right, 0 of {classes} wrong"
    assert len(figure.axes[0].texts) == (classes if classes < 26 else 0)


@pytest.mark.parametrize(
    ("true", "predicted"), [([0, 1], [0]), ([], []), ([0, -1], [0, 1]), ([0.5], [0])]
)
def test_wrong_labels(true: Any, predicted: Any) -> None:
    with pytest.raises(GraphError):
        plots.plot_confusion_matrix(true, predicted)
