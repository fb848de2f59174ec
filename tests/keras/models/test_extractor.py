"""`keras.Model(inputs, outputs)`: what layers inside a model give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import keras, tf


def net() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.layers.Conv2D(3, 3, activation="relu", input_shape=(8, 8, 2), name="conv"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(name="flat"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.Sequential([keras.layers.Dense(4, activation="softmax")]),
        ]
    )


X = np.random.default_rng(0).random((70, 8, 8, 2)).astype("float32")


def test_outputs_of_all_layers_are_those_of_the_layers() -> None:
    model = net()
    model.compile("adam", "sparse_categorical_crossentropy")
    extractor = keras.Model(inputs=model.inputs, outputs=[layer.output for layer in model.layers])
    for _ in range(2):  # also after the weights have changed
        values: Any = X
        for layer, found in zip(model.layers, extractor.predict(X, verbose=0), strict=True):
            values = layer(values)
            assert layer.output.shape == (None, *found.shape[1:]) == layer.output_shape
            np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-6)
        model.fit(X, np.arange(70) % 4, verbose=0)
    assert isinstance(extractor, keras.Model)
    assert isinstance(model, keras.Model)
    assert extractor.count_params() == model.count_params()


def test_forms_of_outputs() -> None:
    model = net()
    conv = model.get_layer("conv").output
    alone = keras.Model(model.input, conv)(X[:3])
    assert isinstance(alone, tf.Tensor)
    assert alone.shape == (3, 6, 6, 3)
    named = keras.models.Model(inputs=model.input, outputs={"c": conv, "y": model.output})(X[:3])
    np.testing.assert_array_equal(named["c"], alone)
    assert named["y"].shape == (3, 4)
    function = keras.backend.function([model.layers[0].input], [conv, model.layers[3].output])
    first, flat = function([X[:3]])
    np.testing.assert_array_equal(first, alone)
    assert flat.shape == (3, 27)
    assert keras.backend.int_shape(conv) == (None, 6, 6, 3)


def test_wrong_inputs_and_outputs() -> None:
    model, other = net(), net()
    with pytest.raises(TypeError, match=r"it takes inputs=model\.input and outputs=layer\.output"):
        keras.Model(X, X)
    with pytest.raises(TypeError, match=r"inputs=model\.input"):
        keras.Model()
    with pytest.raises(ValueError, match="inputs has 2 entries"):
        keras.Model([model.input, other.input], model.output)
    with pytest.raises(ValueError, match="doesn't come from"):
        keras.Model(model.input, other.output)
    with pytest.raises(AttributeError, match=r"layer 'dense.*' \(Dense\) has no output"):
        _ = keras.layers.Dense(3).output
    with pytest.raises(AttributeError, match=r"FeatureExtractor\.fit isn't here"):
        keras.Model(model.input, model.output).fit(X)
    with pytest.raises(ValueError, match="x has no samples"):
        keras.Model(model.input, model.output).predict(X[:0])
    with pytest.raises(ValueError, match="takes \\(None, 8, 8, 2\\)"):
        keras.Model(model.input, model.output).predict(X[:, :4])


def test_a_layer_stays_in_its_first_model_and_a_failed_build_leaves_no_trace() -> None:
    model = net()
    keras.Sequential(model.layers[:2])
    assert keras.Model(model.input, model.layers[0].output).predict(X[:2]).shape == (2, 6, 6, 3)
    flat = keras.layers.Flatten()
    unbuilt = keras.Sequential([flat, keras.layers.MaxPooling2D()])
    with pytest.raises(ValueError, match="images"):
        unbuilt.build((None, 3, 3, 1))
    with pytest.raises(AttributeError, match="has no output"):
        _ = flat.output
    later = keras.Sequential([flat])
    later.build((None, 2, 2))
    assert flat.output.shape == (None, 4)


def test_a_layer_of_an_output_is_an_error() -> None:
    with pytest.raises(TypeError, match="models are stacks of layers here"):
        keras.layers.Dense(3)(net().output)
