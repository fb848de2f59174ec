"""Writes ties.json: Keras's first losses for the models of helpers/keras_ties.py.

In an environment of its own:

    pip install keras tensorflow
    PYTHONPATH=tests KERAS_BACKEND=tensorflow python tests/keras/golden/make_ties.py
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
from helpers import keras_ties as cases
from helpers.keras_layers import glorot


def losses(layers, rule, options):
    made = [getattr(keras.layers, name)(**given) for name, given in layers]
    model = keras.Sequential([keras.Input(shape=cases.IMAGES), *made])
    model.set_weights(glorot([w.shape for w in model.weights]))
    optimizer = getattr(keras.optimizers, rule)(**options)
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    steps = zip(*cases.training_data(), strict=True)
    return [float(f"{float(model.train_on_batch(x, y)):.8g}") for x, y in steps]


def main():
    golden = {
        name: [losses(layers, *rule) for rule in cases.RULES]
        for name, layers in cases.MODELS.items()
    }
    path = Path(__file__).with_name("ties.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
