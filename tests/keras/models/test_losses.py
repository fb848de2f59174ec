"""The first losses of the tutorials' models, as Keras has them: golden/layers.json."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import keras_layers as cases

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import keras

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "layers.json").read_text())


@pytest.mark.parametrize("rule", range(len(cases.RULES)))
@pytest.mark.parametrize("i", range(len(cases.TRAINED)))
def test_first_losses(i: int, rule: int) -> None:
    model = keras.Sequential([keras.Input(shape=cases.IMAGES)])
    for name, options in cases.TRAINED[i]:
        model.add(getattr(keras.layers, name)(**options))
    model.set_weights(cases.glorot([w.shape for w in model.get_weights()]))
    x, y = T.tensor4("x", dtype="float32"), T.lvector("y")
    step = model.forward(x, True)
    cost = keras.losses.sparse_categorical_crossentropy(y, step.output).mean()
    cost = sum(step.penalties, cost)
    kind, options = cases.RULES[rule]
    optimizer = getattr(keras.optimizers, kind)(**options)
    updates = [*optimizer.updates(cost, model.trainable_weights), *step.updates]
    train = theano.function([x, y], cost, updates=updates)
    images, labels = cases.training_data()
    found = [float(train(model.held_input(a), b)) for a, b in zip(images, labels, strict=True)]
    expected = GOLDEN["losses"][i][rule]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert len(set(expected)) == cases.STEPS
