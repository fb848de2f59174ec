"""Metrics: ties, shapes, means over batches, names."""

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.keras import metrics

# Rows with ties: of all, of the two greatest, of the two least, of none.
PRED = np.array([[1.0, 1, 1], [0, 2, 2], [0, 0, 5], [1, 3, 2]])
LABELS = np.array([0, 2, 2, 0])


def test_of_the_likeliest_classes_the_first_counts() -> None:
    expected = [1, 0, 1, 0]
    for y in (LABELS, LABELS[:, None], LABELS.astype("float32")):
        found = metrics.sparse_categorical_accuracy(y, PRED).eval()
        np.testing.assert_array_equal(found, expected)
    found = metrics.categorical_accuracy(np.eye(3)[LABELS], PRED).eval()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("k", "expected"), [(1, [1, 1, 1, 0]), (2, [1, 1, 1, 0]), (3, [1] * 4)])
def test_ties_with_the_kth_are_among_the_k(k: int, expected: list[int]) -> None:
    sparse = metrics.sparse_top_k_categorical_accuracy(LABELS, PRED, k)
    dense = metrics.top_k_categorical_accuracy(np.eye(3)[LABELS], PRED, k)
    np.testing.assert_array_equal(sparse.eval(), expected)
    np.testing.assert_array_equal(dense.eval(), expected)


def test_classes_of_every_position() -> None:
    pred = np.random.default_rng(0).normal(size=(2, 3, 4))
    labels = np.random.default_rng(1).integers(0, 4, size=(2, 3))
    expected = pred.argmax(axis=-1) == labels
    np.testing.assert_array_equal(
        metrics.sparse_categorical_accuracy(labels, pred).eval(), expected
    )
    for k in (1, 2, 4):
        own = np.take_along_axis(pred, labels[..., None], -1)
        np.testing.assert_array_equal(
            metrics.sparse_top_k_categorical_accuracy(labels, pred, k).eval(),
            (pred > own).sum(axis=-1) < k,
        )
    values = metrics.SparseCategoricalAccuracy().values(labels, pred).eval()
    np.testing.assert_allclose(values, expected.mean(axis=1))


@pytest.mark.parametrize("y_shape", [(4,), (4, 1)])
@pytest.mark.parametrize("pred_shape", [(4,), (4, 1)])
def test_binary(y_shape: tuple[int, ...], pred_shape: tuple[int, ...]) -> None:
    y, p = np.array([0, 1, 1, 0]), np.array([0.5, 0.6, 0.2, 0.9])
    metric = metrics.BinaryAccuracy()
    assert metric(y.reshape(y_shape), p.reshape(pred_shape)).eval() == 0.5
    assert metrics.BinaryAccuracy(threshold=0.1)(y, p).eval() == 0.5
    assert metrics.BinaryAccuracy(threshold=0.95)(y, p).eval() == 0.5


def test_weights_and_batches() -> None:
    """The values of batches add up to the metric of all samples."""
    metric = metrics.get("sparse_categorical_accuracy")
    parts = [metric.values(LABELS[i : i + 3], PRED[i : i + 3]).eval() for i in (0, 3)]
    assert np.concatenate(parts).mean() == metric(LABELS, PRED).eval() == 0.5
    assert metric(LABELS, PRED, np.array([1.0, 2, 3, 4])).eval() == pytest.approx(4 / 10)


@pytest.mark.parametrize("name", ["accuracy", "acc", "Accuracy"])
@pytest.mark.parametrize(
    ("true", "pred", "kind"),
    [
        ((None,), (None, 10), metrics.SparseCategoricalAccuracy),
        ((None, 1), (None, 10), metrics.SparseCategoricalAccuracy),
        ((None, 10), (None, 10), metrics.CategoricalAccuracy),
        ((None, 1), (None, 1), metrics.BinaryAccuracy),
        ((None,), (None, 1), metrics.BinaryAccuracy),
    ],
)
def test_accuracy_by_shapes(name: str, true: Any, pred: Any, kind: type) -> None:
    metric = metrics.for_shapes(name, true, pred)
    assert type(metric) is kind
    assert metric.name == name


def test_by_name() -> None:
    assert isinstance(metrics.get("BinaryAccuracy"), metrics.BinaryAccuracy)
    assert metrics.get("mse").name == "mse"
    assert metrics.get("mse")(np.zeros((2, 2)), np.full((2, 2), 3.0)).eval() == 9
    assert metrics.for_shapes("mae", (None,), (None, 1)).name == "mae"
    made = {"class_name": "TopKCategoricalAccuracy", "config": {"k": 2}}
    assert metrics.get(made).arguments == {"k": 2}
    config = metrics.get(made).get_config()
    assert metrics.TopKCategoricalAccuracy.from_config(config).get_config() == config
    assert metrics.get(metrics.Accuracy).name == "accuracy"

    def largest(y_true: Any, y_pred: Any) -> Any:
        return T.max(y_pred, axis=1)

    assert metrics.get(largest).name == "largest"
    assert metrics.get(largest)(LABELS, PRED).eval() == (1 + 2 + 5 + 3) / 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.get("acuracy"), "there is no metric 'acuracy'; it can be accuracy"),
        (lambda: metrics.get(None), "None is no metric"),
        (lambda: metrics.TopKCategoricalAccuracy(k=0), "k is 0"),
        (lambda: metrics.BinaryAccuracy(threshold="half"), "threshold is 'half'"),
        (lambda: metrics.categorical_accuracy(LABELS, PRED), "use sparse_categorical_accuracy"),
        (lambda: metrics.sparse_categorical_accuracy(LABELS, LABELS), "a column per class"),
        (lambda: metrics.accuracy(LABELS, np.ones((2, 2, 2))), "the axes don't fit"),
    ],
)
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
