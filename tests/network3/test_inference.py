"""predict and evaluate: any number of images, against NumPy; what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays

from tinygrad_mnist.config import config
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    share_data,
)
from tinygrad_mnist.sharedvalue import shared

MINI_BATCH = 4
PIXELS, CLASSES = 12, 5


def trained(p_dropout: float = 0.0) -> Network:
    layers = [FullyConnectedLayer(PIXELS, 7, p_dropout=p_dropout), SoftmaxLayer(7, CLASSES)]
    net = Network(layers, MINI_BATCH, seed=3)
    data = share_data(arrays((40, 8, 8)))
    net.SGD(data[0], 2, MINI_BATCH, 0.5, data[1], data[2], quiet=True)
    return net


def expected(net: Network, images: Any) -> Any:
    """The probabilities, in float64."""
    first, last = net.layers
    w, b, v, c = (p.get_value().astype(float) for p in (first.w, first.b, last.w, last.b))
    hidden = 1 / (1 + np.exp(-((1 - first.p_dropout) * images @ w + b)))
    logits = hidden @ v + c
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 9, 41])
@pytest.mark.parametrize("p_dropout", [0.0, 0.4])
def test_any_number_of_images(n: int, p_dropout: float) -> None:
    net = trained(p_dropout)
    images = np.random.default_rng(n).random((n, PIXELS))
    probabilities = net.predict(images, probabilities=True)
    assert probabilities.dtype == config.floatX
    np.testing.assert_allclose(probabilities, expected(net, images), rtol=1e-5, atol=1e-7)
    answers = net.predict(images)
    assert answers.dtype == np.int64
    np.testing.assert_array_equal(answers, probabilities.argmax(axis=1))


@pytest.mark.parametrize(
    ("shape", "answered"),
    [
        ((6, 12), (6,)),
        ((6, 3, 4), (6,)),
        ((6, 1, 3, 4), (6,)),
        ((1, 12), (1,)),
        ((1, 3, 4), (1,)),
        ((12,), ()),
        ((3, 4), ()),
        ((3, 4, 1), ()),
        ((12, 12), (12,)),
        ((0, 12), (0,)),
        ((0, 3, 4), (0,)),
    ],
)
def test_shapes_of_images(shape: tuple[int, ...], answered: tuple[int, ...]) -> None:
    net = trained()
    images = np.random.default_rng(0).random(shape)
    flat = images.reshape(-1, PIXELS)
    for given in (images, images.astype("float32"), shared(images.astype(config.floatX))):
        answers = net.predict(given)
        assert np.shape(answers) == answered
        np.testing.assert_array_equal(np.ravel(answers), net.predict(flat))
        assert net.predict(given, probabilities=True).shape == (*answered, CLASSES)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((3, 11)), ValueError, r"images of shape \(3, 11\): the first layer takes 12"),
        (np.zeros(11), ValueError, "the first layer takes 12 pixels"),
        (np.full((2, 12), np.nan), ValueError, "image 0 has a pixel that is nan"),
        (np.full((2, 12), 255, np.uint8), ValueError, r"images are uint8, up to 255.*divide by 25"),
        (None, TypeError, "images is None"),
        (0.5, TypeError, "images is 0.5; it must be an array of images"),
        (np.zeros((2, 12), complex), TypeError, "it must be an array of images"),
        ("image.png", TypeError, "images is 'image.png'"),
    ],
)
def test_what_are_no_images(images: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        trained().predict(images)


@pytest.mark.parametrize("n", [1, 4, 6, 23])
@pytest.mark.parametrize("is_shared", [False, True])
def test_an_evaluation_counts_every_image(n: int, is_shared: bool) -> None:
    net = trained()
    rng = np.random.default_rng(n)
    images, labels = rng.random((n, PIXELS)), rng.integers(0, CLASSES, n)
    data = share_data([(images, labels)])[0] if is_shared else (images, labels)
    found = net.evaluate(data)
    probabilities = expected(net, images)
    answers = probabilities.argmax(axis=1)
    assert found.accuracy == pytest.approx(np.mean(answers == labels))
    cost = -np.mean(np.log(probabilities[np.arange(n), labels]))
    assert found.cost == pytest.approx(cost, rel=1e-5)
    np.testing.assert_array_equal(found.wrong, np.flatnonzero(answers != labels))
    np.testing.assert_array_equal(found.predictions, answers)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.confusion.shape == (CLASSES, CLASSES)
    assert found.confusion.sum() == n
    for label, answer in zip(labels, answers, strict=True):
        assert found.confusion[label, answer] >= 1
    assert re.fullmatch(
        rf"Evaluation\(accuracy [\d.]+%, cost [\d.]+, {len(found.wrong)} wrong of {n}\)",
        repr(found),
    )


def test_the_cost_of_an_answer_without_probability_is_finite() -> None:
    net = Network([SoftmaxLayer(2, 2)], 1)
    net.layers[0].w.set_value(np.array([[500, -500], [0, 0]], config.floatX))
    found = net.evaluate((np.array([[1.0, 0.0]]), [1]))
    assert found.cost == pytest.approx(1000)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((np.zeros((3, 12)), [0, 1]), ValueError, "3 images, but 2 labels"),
        ((np.zeros((3, 12)), [0, 1, 5]), ValueError, r"label 5 at index 2 is not in 0\.\.4"),
        ((np.zeros((3, 12)), [0, 1, 0.5]), ValueError, "label 0.5 at index 2 is not an integer"),
        ((np.zeros((3, 12)), [[0], [1], [0]]), TypeError, r"of shape \(3, 1\)"),
        ((np.zeros((3, 12)), list("abc")), TypeError, "labels"),
        ((np.zeros((0, 12)), []), ValueError, "no images to evaluate"),
        (np.zeros((3, 12)), TypeError, "must be a pair of images and labels"),
    ],
)
def test_data_that_cannot_be_evaluated(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        trained().evaluate(data)


def test_a_convolutional_net_answers_images_of_either_form() -> None:
    layers = [ConvPoolLayer((3, 2, 3, 3), (4, 2, 8, 8), activation_fn=ReLU), SoftmaxLayer(27, 3)]
    net = Network(layers, 4, seed=1)
    images = np.random.default_rng(1).random((5, 2, 8, 8))
    whole = net.predict(images, probabilities=True)
    np.testing.assert_array_equal(whole, net.predict(images.reshape(5, -1), probabilities=True))
    np.testing.assert_array_equal(whole[0], net.predict(images[0], probabilities=True))


def test_a_last_layer_without_answers_is_named() -> None:
    class Bare(FullyConnectedLayer):
        def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
            super().set_inpt(inpt, inpt_dropout, mini_batch_size)
            del self.y_out

    net = Network([Bare(PIXELS, 3)], 4)
    images = np.zeros((2, PIXELS))
    with pytest.raises(TypeError, match="predict needs `y_out` of the last layer, which a Bare"):
        net.predict(images)
    assert net.predict(images, probabilities=True).shape == (2, 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.tolist(),
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a.astype("float16"),
        lambda a: a.astype("longdouble"),
        lambda a: a.astype(">f4"),
        lambda a: a > 0.5,
    ],
)
def test_kinds_of_arrays(change: Any) -> None:
    net = trained()
    images = change(np.random.default_rng(1).random((6, PIXELS)))
    expected_answers = net.predict(np.array(images, dtype=config.floatX))
    np.testing.assert_array_equal(net.predict(images), expected_answers)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 13)), "the first layer takes 12 pixels"),
        (np.full((1, 12), 1e300), "image 0 has a pixel that is inf"),
    ],
)
def test_images_that_floatx_or_the_network_do_not_hold(images: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trained().predict(images)


@pytest.mark.parametrize("label", [-1, 7])
def test_labels_of_a_layer_without_a_number_of_classes(label: int) -> None:
    net = Network([FullyConnectedLayer(PIXELS, CLASSES)], MINI_BATCH)
    del net.layers[0].n_out
    labels = np.array([0, label, 2])
    if label < 0:
        with pytest.raises(ValueError, match="the label -1 is no number of a class"):
            net.evaluate((np.zeros((3, PIXELS)), labels))
    else:
        assert net.evaluate((np.zeros((3, PIXELS)), labels)).confusion.shape == (8, 8)
