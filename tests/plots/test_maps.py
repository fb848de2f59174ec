"""Pictures of filters and feature maps: which numbers are drawn, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import keras, network3, plots
from tinygrad_mnist.errors import ArgumentError, GraphError, GraphTypeError, ShapeError

RNG = np.random.default_rng(0)
ONE = RNG.normal(size=(3, 2, 1, 5))  # height, width, channels, filters
SEVERAL = RNG.normal(size=(3, 3, 4, 6))


def tiles(figure: Any, height: int, width: int, columns: int) -> np.ndarray:
    """What is drawn, cut at the gaps."""
    whole = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    gap = max(1, round(0.08 * max(height, width)))
    rows = (len(whole) + gap) // (height + gap)
    return np.array(
        [
            whole[r * (height + gap) :, c * (width + gap) :][:height, :width]
            for r in range(rows)
            for c in range(columns)
        ]
    )


def test_filters_of_one_channel() -> None:
    figure = plots.plot_filters(ONE)
    np.testing.assert_array_equal(tiles(figure, 3, 2, 5), np.moveaxis(ONE[:, :, 0], 2, 0))
    image = figure.axes[0].images[0]
    assert image.get_clim() == (-abs(ONE).max(), abs(ONE).max())
    assert [text.get_text() for text in figure.texts] == ["5 filters"]


def test_filters_of_several_channels_are_rows() -> None:
    figure = plots.plot_filters(SEVERAL)
    found = tiles(figure, 3, 3, 4).reshape(6, 4, 3, 3)
    np.testing.assert_array_equal(found, SEVERAL.transpose(3, 2, 0, 1))
    assert figure.texts[0].get_text() == "6 filters with 4 channels"
    assert figure.axes[0].get_xlabel() == "channel"


def test_more_filters_than_are_drawn() -> None:
    figure = plots.plot_filters(np.ones((2, 2, 40, 30)))
    assert figure.texts[0].get_text() == "16 of 30 filters with 32 of 40 channels"
    assert plots.plot_filters(ONE, n=2).texts[0].get_text() == "2 of 5 filters"
    assert plots.plot_filters(ONE[..., :1]).texts[0].get_text() == "1 filter"


def test_filters_as_theano_keeps_them() -> None:
    figure = plots.plot_filters(ONE.transpose(3, 2, 0, 1), channels_first=True)
    np.testing.assert_array_equal(tiles(figure, 3, 2, 5), np.moveaxis(ONE[:, :, 0], 2, 0))


@pytest.fixture(scope="module")
def model() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((8, 9, 1)),
            keras.layers.ZeroPadding2D(1),
            keras.layers.Conv2D(3, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(4, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )


@pytest.fixture(scope="module")
def network() -> network3.Network:
    return network3.Network(
        [
            network3.ConvPoolLayer((3, 1, 5, 5), (4, 1, 28, 28)),
            network3.ConvPoolLayer((2, 3, 5, 5), (4, 3, 12, 12)),
            network3.SoftmaxLayer(2 * 16, 10),
        ],
        4,
        seed=1,
    )


def test_filters_of_layers_and_models(model: Any, network: Any) -> None:
    first, second = model.layers[1], model.layers[3]
    kernel = first.get_weights()[0]
    for source in (model, first):
        found = tiles(plots.plot_filters(source), 3, 3, 3)
        np.testing.assert_array_equal(found, kernel[:, :, 0].transpose(2, 0, 1))
    found = tiles(plots.plot_filters(second), 3, 3, 3).reshape(4, 3, 3, 3)
    np.testing.assert_array_equal(found, second.get_weights()[0].transpose(3, 2, 0, 1))
    for source in (network, network.layers[0]):
        found = tiles(plots.plot_filters(source), 5, 5, 3)
        np.testing.assert_array_equal(found, network.layers[0].w.get_value()[:, 0])


@pytest.mark.parametrize("what", ["dense", "softmax", "padding", "vector", "text"])
def test_what_has_no_filters(what: str, model: Any, network: Any) -> None:
    sources = {
        "dense": model.layers[5],
        "padding": model.layers[0],
        "softmax": network.layers[2],
        "vector": np.ones(3),
        "text": "conv",
    }
    with pytest.raises(GraphError):
        plots.plot_filters(sources[what])


def test_maps_as_arrays() -> None:
    maps = RNG.normal(size=(6, 5, 7))
    expected = np.moveaxis(maps, 2, 0)
    for given, first in (
        (maps, False),
        (maps[None], False),
        (expected, True),
        (expected[None], True),
    ):
        figure = plots.plot_feature_maps(given, channels_first=first)
        np.testing.assert_array_equal(tiles(figure, 6, 5, 7), expected)
    assert plots.plot_feature_maps(maps, n=3).texts[0].get_text() == "3 of 7 maps"


@pytest.mark.parametrize("number", [0, 1, 2, 3, -3])
def test_maps_of_a_models_layer(model: Any, number: int) -> None:
    image = RNG.random((8, 9, 1)).astype(np.float32)
    layers = model.layers[: number + 1] if number >= 0 else model.layers[: number + 7]
    expected = keras.Sequential([keras.Input((8, 9, 1)), *layers]).predict(image[None], verbose=0)
    figure = plots.plot_feature_maps(model, image, number)
    height, width, count = expected.shape[1:]
    found = tiles(figure, height, width, count)
    np.testing.assert_allclose(found, np.moveaxis(expected[0], 2, 0), rtol=1e-5, atol=1e-6)
    assert figure.texts[0].get_text().endswith(f"of layer {number % 6}")


@pytest.mark.parametrize("shape", [(784,), (28, 28), (28, 28, 1)])
@pytest.mark.parametrize("number", [0, 1])
def test_maps_of_a_networks_layer(network: Any, shape: tuple[int, ...], number: int) -> None:
    image = RNG.random(784).astype(np.float32)
    batch = np.tile(image, (4, 1))
    expected = network.layers[number].output.eval({network.x: batch})[0]
    figure = plots.plot_feature_maps(network, image.reshape(shape), number)
    np.testing.assert_allclose(tiles(figure, *expected.shape[1:], len(expected)), expected)


def test_wrong_arguments(model: Any, network: Any) -> None:
    image = np.zeros((8, 9, 1), np.float32)
    with pytest.raises(GraphTypeError, match="needs the image"):
        plots.plot_feature_maps(model)
    with pytest.raises(ArgumentError, match="layer is 9; there are 6 layers"):
        plots.plot_feature_maps(model, image, 9)
    with pytest.raises(ShapeError, match=r"Dense has the shape \(1, 2\)"):
        plots.plot_feature_maps(model, image, 5)
    with pytest.raises(ShapeError, match=r"SoftmaxLayer has the shape \(1, 10\)"):
        plots.plot_feature_maps(network, np.zeros(784), 2)
    with pytest.raises(ShapeError, match=r"maps has the shape \(3,\)"):
        plots.plot_feature_maps(np.zeros(3))
    with pytest.raises(ShapeError, match=r"\(4, 100\) can't be reshaped"):
        plots.plot_feature_maps(network, np.zeros(100), 0)


@pytest.mark.parametrize("count", [1, 3, 20, 64])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (26, 26), (4, 12)])
def test_nothing_is_cut_off(count: int, size: tuple[int, int]) -> None:
    figure = plots.plot_feature_maps(RNG.normal(size=(*size, count)) * 1e-4)
    figure.draw_without_rendering()
    for artist in (*figure.axes, *figure.texts):
        box = artist.get_tightbbox()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
