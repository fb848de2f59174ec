"""Writes layers.json: Keras's outputs and first losses for the layers of helpers/keras_layers.py.

In an environment of its own:

    pip install keras jax scipy
    PYTHONPATH=tests KERAS_BACKEND=jax python tests/keras/golden/make_layers.py
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
from helpers import keras_layers as cases


def model(shape, layers):
    made = [getattr(keras.layers, name)(**options) for name, options in layers]
    found = keras.Sequential([keras.Input(shape=shape), *made])
    found.build((None, *shape))
    found.set_weights(cases.values([w.shape for w in found.weights]))
    return found


def numbers(array):
    rounded = [float(f"{v:.7g}") for v in np.asarray(array).ravel()]
    return {"shape": np.shape(array), "values": rounded}


def losses(layers, rule, options):
    made = model(cases.IMAGES, layers)
    made.set_weights(cases.glorot([w.shape for w in made.weights]))
    optimizer = getattr(keras.optimizers, rule)(**options)
    made.compile(optimizer, loss="sparse_categorical_crossentropy")
    steps = zip(*cases.training_data(), strict=True)
    return [float(made.train_on_batch(x, y)) for x, y in steps]


def main():
    found = {"outputs": [], "training": [], "losses": []}
    for shape, layers in cases.CASES:
        found["outputs"].append(numbers(model(shape, layers)(cases.batch(shape)[:1])))
    for shape, layers in cases.TRAINING:
        made = model(shape, layers)
        y = made(cases.batch(shape), training=True)
        weights = [numbers(w) for w in made.get_weights()]
        found["training"].append({"output": numbers(y), "weights": weights})
    for layers in cases.TRAINED:
        found["losses"].append([losses(layers, *rule) for rule in cases.RULES])
    path = Path(__file__).with_name("layers.json")
    path.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
