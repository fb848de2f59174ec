"""Losses: finite for any logits, in every form of a prediction; weights, axes, names, errors."""

from typing import Any

import numpy as np
import pytest
from helpers.backends import DEVICES, making_functions_for

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.keras import losses

SIZES = [1e-30, 1e-3, 1.0, 10.0, 88.0, 104.0, 1e3, 1e30]
LABELS = np.array([0, 1, 2, 2])


def written_softmax(z: Any) -> Any:
    e = T.exp(z)
    return e / T.sum(e, axis=-1, keepdims=True)


# Classes of losses with what makes predictions of logits, and labels.
STABLE: list[tuple[str, Any, Any]] = [
    (name, make, labels)
    for name, labels in (
        ("SparseCategoricalCrossentropy", LABELS),
        ("SparseCategoricalCrossentropy", LABELS[:, None]),
        ("CategoricalCrossentropy", np.eye(3)[LABELS]),
    )
    for make in (T.nnet.softmax, written_softmax, None)
]
STABLE += [
    ("BinaryCrossentropy", make, np.eye(3)[LABELS])
    for make in (T.nnet.sigmoid, lambda z: 1 / (1 + T.exp(-z)), None)
]


def logits(size: float) -> Any:
    signs = np.array([[-1, 1, 0], [1, -1, 1], [0.5, 1, -1], [1, 1, 1]])
    return size * signs


def exact(name: str, z: Any, labels: Any) -> Any:
    """In long double, from differences of logits."""
    z = z.astype("longdouble")
    if name == "BinaryCrossentropy":
        return (np.logaddexp(0, z) - labels * z).mean(axis=1)
    greatest = z.max(axis=1, keepdims=True)
    logs = z - greatest - np.log(np.exp(z - greatest).sum(axis=1, keepdims=True))
    return -logs[np.arange(4), LABELS]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("i", range(len(STABLE)))
def test_values_and_gradients_are_finite_and_right(i: int, dtype: str, device: str) -> None:
    name, make, labels = STABLE[i]
    z = T.matrix("z", dtype)
    loss = getattr(losses, name)(from_logits=make is None, reduction=None)
    values = loss(labels, z if make is None else make(z))
    with making_functions_for(device):
        f = theano.function([z], [values, T.grad(T.sum(values), z)])
    for size in SIZES:
        given = logits(size).astype(dtype)
        found, slope = f(given)
        assert np.isfinite(slope).all()
        unit = np.finfo(dtype).eps
        # The logarithm of `T.nnet.softmax` is exact to a unit of 1 (docs/stability.md).
        np.testing.assert_allclose(found, exact(name, given, labels), rtol=8 * unit, atol=4 * unit)


@pytest.mark.parametrize(
    "y_pred", ["zeros", "ones", "one_hot", "negative", "huge", "small", "tiny"]
)
@pytest.mark.parametrize("name", ["Sparse", "Categorical", "Binary"])
def test_numbers_that_are_no_probabilities(name: str, y_pred: str) -> None:
    made = {
        "zeros": np.zeros((4, 3)),
        "ones": np.ones((4, 3)),
        "one_hot": np.eye(3)[[1, 1, 1, 1]],
        "negative": -np.ones((4, 3)),
        "huge": np.full((4, 3), 1e37),
        "small": np.full((4, 3), 1e-29),
        "tiny": np.full((4, 3), 1e-44),
    }[y_pred].astype("float32")
    p = T.fmatrix("p")
    loss, labels = {
        "Sparse": (losses.SparseCategoricalCrossentropy(), LABELS),
        "Categorical": (losses.CategoricalCrossentropy(), np.eye(3)[LABELS]),
        "Binary": (losses.BinaryCrossentropy(), np.eye(3)[LABELS]),
    }[name]
    cost = loss(labels, p)
    value, slope = theano.function([p], [cost, T.grad(cost, p)])(made)
    assert np.isfinite(value)
    assert value <= -np.log(1e-7) * 1.0001
    assert np.isfinite(slope).all()


def test_one_plan_of_fused_kernels() -> None:
    """The loss of a softmax takes the kernels that T.nnet.categorical_crossentropy takes."""
    z, y = T.fmatrix("z"), T.lvector("y")
    kernels = []
    for loss in (
        losses.SparseCategoricalCrossentropy()(y, T.nnet.softmax(z)),
        losses.SparseCategoricalCrossentropy(from_logits=True)(y, z),
        T.mean(T.nnet.categorical_crossentropy(T.nnet.softmax(z), y)),
    ):
        f = theano.function([z, y], [loss, T.grad(loss, z)])
        f(np.zeros((4, 3), "float32"), LABELS)
        kernels.append([call.kernel for call in f.plan.calls])
    assert kernels[0] == kernels[1] == kernels[2]
    assert "softmax_xent" in kernels[0]


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
def test_labels_of_every_dtype(dtype: str, shape: tuple[int, ...]) -> None:
    z, y = T.dmatrix("z"), T.TensorType(dtype, (False,) * len(shape))("y")
    values, labels = logits(2.0), np.array([0, 1, 1, 0])
    loss = losses.SparseCategoricalCrossentropy(reduction=None)(y, T.nnet.softmax(z))
    found = theano.function([z, y], loss)(values, labels.reshape(shape).astype(dtype))
    shares = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, -np.log(shares[np.arange(4), labels]), rtol=1e-12)


@pytest.mark.parametrize("axis", [-1, 1, 2, -2])
@pytest.mark.parametrize("make", ["softmax", "logits", "plain"])
def test_classes_along_any_axis(axis: int, make: str) -> None:
    z = np.random.default_rng(0).normal(size=(4, 3, 3)) * 3
    e = np.exp(z)
    shares = e / e.sum(axis=axis, keepdims=True)
    labels = np.random.default_rng(1).integers(0, 3, size=(4, 3))
    hot = np.moveaxis(np.eye(3)[labels], -1, axis)
    expected = -np.sum(hot * np.log(shares), axis=axis)
    pred = {"softmax": T.nnet.softmax(z, axis=axis), "logits": z, "plain": shares}[make]
    options: dict[str, Any] = {"from_logits": make == "logits", "axis": axis}
    dense = losses.categorical_crossentropy(hot, pred, **options)
    sparse = losses.sparse_categorical_crossentropy(labels, pred, **options)
    np.testing.assert_allclose(dense.eval(), expected, rtol=1e-9)
    np.testing.assert_allclose(sparse.eval(), expected, rtol=1e-9)


def test_softmaxes_behind_views_stay_stable() -> None:
    z = T.tensor3("z", "float32")
    labels = np.array([[0, 1], [2, 2]])
    for pred in (T.nnet.softmax(z), T.nnet.softmax(z)[:, ::-1][:, ::-1]):
        cost = losses.SparseCategoricalCrossentropy()(labels, pred)
        value, slope = theano.function([z], [cost, T.grad(cost, z)])(
            np.full((2, 2, 3), [1e3, 0, -1e3], "float32")
        )
        assert value == pytest.approx((0 + 1e3 + 2e3 + 2e3) / 4)
        assert np.abs(slope).max() == pytest.approx(1 / 4)


@pytest.mark.parametrize("weights_shape", [(4,), (4, 1)])
@pytest.mark.parametrize("y_shape", [(4,), (4, 1)])
def test_columns_beside_vectors(y_shape: tuple[int, ...], weights_shape: tuple[int, ...]) -> None:
    """A model with one output gives (n, 1), labels and weights often are (n,)."""
    y, p = np.array([0.0, 1.0, 1.0, 0.0]), np.array([[0.1], [0.2], [0.6], [0.7]])
    weights = np.array([1.0, 2.0, 0.0, 1.0])
    squares = (y - p[:, 0]) ** 2
    loss = losses.get("mse")
    found = loss(y.reshape(y_shape), p, weights.reshape(weights_shape))
    assert found.eval() == pytest.approx((squares * weights).sum() / 4)
    entropies = -np.log(np.where(y == 1, p[:, 0], 1 - p[:, 0]))
    found = losses.get("binary_crossentropy")(y.reshape(y_shape), p)
    assert found.eval() == pytest.approx(entropies.mean())


def test_reductions() -> None:
    y, p, w = np.zeros((2, 2)), np.array([[1.0, 1.0], [2.0, 2.0]]), np.array([1.0, 3.0])
    expected: dict[Any, Any] = {
        "sum_over_batch_size": 13 / 2,
        "mean": 13 / 2,
        "sum": 13,
        "none": [1, 12],
        None: [1, 12],
        "mean_with_sample_weight": 13 / 4,
    }
    for reduction, value in expected.items():
        found = losses.MeanSquaredError(reduction=reduction)(y, p, w)
        np.testing.assert_allclose(found.eval(), value)


def test_class_weights() -> None:
    weight = {0: 2.0, 2: 0.5}
    expected = [2.0, 1.0, 0.5, 0.5]
    for y in (LABELS, LABELS[:, None], np.eye(3)[LABELS], LABELS.astype("float32")):
        np.testing.assert_array_equal(losses.class_weights(y, weight), expected)


def test_by_name() -> None:
    for name in ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"):
        assert isinstance(losses.get(name), losses.SparseCategoricalCrossentropy)
    made = losses.get({"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}})
    assert made.arguments["from_logits"] is True  # type: ignore[attr-defined]
    assert losses.get(made) is made
    assert isinstance(losses.get(losses.MeanAbsoluteError), losses.MeanAbsoluteError)
    assert isinstance(losses.get("MAE"), losses.MeanAbsoluteError)


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "BinaryCrossentropy"])
def test_made_again_of_the_config(name: str) -> None:
    cls = getattr(losses, name)
    made = cls(from_logits=True, label_smoothing=0.25, reduction="sum", name="mine")
    assert cls.from_config(made.get_config()).get_config() == made.get_config()
    assert losses.get({"class_name": name, "config": made.get_config()}).reduction == "sum"
    mean = losses.MeanSquaredError(reduction="sum")
    assert losses.MeanSquaredError.from_config(mean.get_config()).reduction == "sum"


def test_a_function_is_a_loss() -> None:
    def own(y_true: Any, y_pred: Any) -> Any:
        return T.sum(abs(y_true - y_pred), axis=1)

    loss = losses.get(own)
    assert loss.name == "own"
    assert loss(np.zeros((2, 2)), np.ones((2, 2))).eval() == 2


WRONG: list[tuple[Any, str]] = [
    (lambda: losses.get("categorical_crossentropi"), "there is no loss .* it can be categorical_"),
    (lambda: losses.get(3), "3 is no loss; it can be"),
    (lambda: losses.get({"config": {}}), "class_name"),
    (lambda: losses.CategoricalCrossentropy(label_smoothing=2), "label_smoothing is 2"),
    (lambda: losses.CategoricalCrossentropy(from_logits="no"), "from_logits is 'no'"),
    (lambda: losses.CategoricalCrossentropy(axis=0.5), "axis is 0.5"),
    (lambda: losses.MeanSquaredError("average"), "reduction is 'average'; it can be"),
    (lambda: losses.get("categorical_crossentropy")(LABELS, np.ones((4, 3))), "use sparse_"),
    (lambda: losses.get("mse")(np.ones(3), np.ones((4, 3, 2))), "the axes don't fit"),
    (lambda: losses.get("mse")(np.ones(3), 1.0), "y_pred is a scalar"),
    (
        lambda: losses.get("sparse_categorical_crossentropy")(np.ones((4, 3, 2)), np.ones((4, 3))),
        "a class per sample",
    ),
    (lambda: losses.get("mse")(np.ones(3), np.ones(3), np.ones((3, 2, 2))), "sample_weight is"),
    (lambda: losses.class_weights(LABELS, [1, 2]), "it is a dict"),
    (lambda: losses.class_weights(LABELS, {0: -1}), "a class's weight is -1"),
    (lambda: losses.class_weights(LABELS, {"zero": 1}), "a class in class_weight is 'zero'"),
    (lambda: losses.class_weights(np.ones((2, 2, 2)), {0: 1}), "a class per sample"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_labels_out_of_range() -> None:
    labels, pred = np.array([0, 3]), np.ones((2, 3))
    loss = losses.SparseCategoricalCrossentropy()(labels, T.as_tensor_variable(pred))
    with pytest.raises(IndexError, match="3"):
        loss.eval()
    with pytest.raises(IndexError, match="3"):
        losses.SparseCategoricalCrossentropy()(labels, pred)
