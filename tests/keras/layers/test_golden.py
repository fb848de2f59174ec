"""The same weights give what Keras computes: golden/layers.json, of helpers/keras_layers.py."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import keras_layers as cases

from tinygrad_mnist import keras

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "layers.json").read_text())


def named(entries: list[Any]) -> list[Any]:
    return [
        pytest.param(i, id=f"{i}-{'-'.join(name for name, _ in layers)}")
        for i, (_, layers) in enumerate(entries)
    ]


def made(shape: tuple[int, ...], layers: cases.Layers) -> keras.Sequential:
    model = keras.Sequential([keras.Input(shape=shape)])
    for name, options in layers:
        model.add(getattr(keras.layers, name)(**options))
    model.set_weights(cases.values([w.shape for w in model.get_weights()]))
    return model


def compare(result: Any, expected: dict[str, Any]) -> None:
    assert list(result.shape) == expected["shape"]
    np.testing.assert_allclose(result.ravel(), expected["values"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("i", named(cases.CASES))
def test_outputs(i: int) -> None:
    shape, layers = cases.CASES[i]
    model = made(shape, layers)
    result = model(cases.batch(shape)[:1])
    compare(result, GOLDEN["outputs"][i])
    assert model.output_shape == (None, *result.shape[1:])
    again = keras.Sequential.from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(cases.batch(shape)[:1]), result)


@pytest.mark.parametrize("i", named(cases.TRAINING))
def test_training(i: int) -> None:
    shape, layers = cases.TRAINING[i]
    model = made(shape, layers)
    compare(model(cases.batch(shape), training=True), GOLDEN["training"][i]["output"])
    for value, expected in zip(model.get_weights(), GOLDEN["training"][i]["weights"], strict=True):
        compare(value, expected)
