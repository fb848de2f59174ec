"""Sequential models, exported and run by another program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.onnx_runs import check_near, onnx, operators, run

from tinygrad_mnist import keras

layers = keras.layers
RNG = np.random.default_rng(0)


def strided() -> list[Any]:
    """The codelab's: strides in place of pools, batch normalisation, dropout."""
    found: list[Any] = [layers.Reshape((28, 28, 1), input_shape=(784,))]
    for filters, size, stride in ((6, 3, 1), (12, 6, 2), (16, 6, 2)):
        found += [
            layers.Conv2D(filters, size, stride, padding="same", use_bias=False),
            layers.BatchNormalization(scale=False, center=True),
            layers.Activation("relu"),
        ]
    return [
        *found,
        layers.Flatten(),
        layers.Dense(20, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ]


def blocks() -> list[Any]:
    """The deep net's: pairs of convolutions, pooled."""
    found: list[Any] = [layers.Input((28, 28, 1))]
    for filters in (4, 8, 8):
        found += [
            layers.Conv2D(filters, (3, 3), padding="same", activation="relu"),
            layers.Conv2D(filters, (3, 3), padding="same", activation="relu"),
            layers.MaxPooling2D(2, strides=2),
            layers.Dropout(0.25),
        ]
    return [*found, layers.Flatten(), layers.Dense(16, "relu"), layers.Dense(10, "softmax")]


MODELS: dict[str, Callable[[], list[Any]]] = {
    "softmax": lambda: [layers.Input((784,)), layers.Dense(10, activation="softmax")],
    "fashion": lambda: [
        layers.Flatten(input_shape=(28, 28)),
        layers.Dense(16, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ],
    "conv": lambda: [
        layers.Conv2D(8, (3, 3), activation="relu", input_shape=(28, 28, 1)),
        layers.MaxPooling2D(2, 2),
        layers.Conv2D(8, (3, 3), activation="relu"),
        layers.MaxPooling2D(2, 2),
        layers.Flatten(),
        layers.Dense(10),
    ],
    "strided": strided,
    "blocks": blocks,
    "pools": lambda: [
        layers.Input((9, 8, 3)),
        layers.ZeroPadding2D(((1, 0), (2, 1))),
        layers.AveragePooling2D(3, 2, padding="same"),
        layers.MaxPooling2D(2, 2, padding="same"),
        layers.GlobalAveragePooling2D(),
        layers.LeakyReLU(),
        layers.Softmax(),
    ],
    "images": lambda: [
        layers.Input((6, 5, 2)),
        layers.Conv2D(4, 3, padding="same", dilation_rate=2, activation="elu"),
        layers.BatchNormalization(),
    ],
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model(tmp_path: Path, name: str) -> None:
    model: Any = keras.Sequential(MODELS[name]())
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([RNG.random(w.shape) + 0.5 for w in layer.get_weights()])
    model.export(tmp_path / "model.onnx")
    for n in (1, 3):
        x = RNG.random((n, *model.input_shape[1:])).astype("float32")
        (got,) = run(tmp_path / "model.onnx", [x])
        check_near(got, model.predict(x, verbose=0))
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert ([i.name for i in graph.input], [o.name for o in graph.output]) == (
        ["input"],
        ["output"],
    )
    shape = graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value or d.dim_param for d in shape] == ["batch", *model.input_shape[1:]]
    assert "ScatterElements" not in operators(tmp_path / "model.onnx")


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 2, 3, (2, 4)])
@pytest.mark.parametrize("kind", ["MaxPooling2D", "AveragePooling2D"])
def test_same_padding_is_uneven(tmp_path: Path, kind: str, window: Any, stride: int) -> None:
    """Pools and convolutions whose padding behind an image differs from that before it."""
    found: list[Any] = [layers.Input((8, 7, 2))]
    found.append(getattr(layers, kind)(window, stride, padding="same"))
    found.append(layers.Conv2D(2, window, stride, padding="same"))
    model: Any = keras.Sequential(found)
    x = RNG.normal(size=(2, 8, 7, 2)).astype("float32")
    model.export(tmp_path / "model.onnx")
    (got,) = run(tmp_path / "model.onnx", [x])
    check_near(got, model.predict(x, verbose=0))


def test_only_onnx(tmp_path: Path) -> None:
    model: Any = keras.Sequential(MODELS["softmax"]())
    with pytest.raises(ValueError, match="format is 'tf_saved_model'"):
        model.export(tmp_path / "x", format="tf_saved_model")
