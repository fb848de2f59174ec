"""The namespace `tf`: what it has, and what it says of what it hasn't."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import backends, keras, tf
from tinygrad_mnist.backends import devices
from tinygrad_mnist.backends.cuda import availability
from tinygrad_mnist.backends.cuda.api import Device


def test_parts() -> None:
    assert tf.keras is keras
    assert "not TensorFlow" in tf.__version__
    assert tf.executing_eagerly() is True
    tf.enable_eager_execution()
    tf.compat.v1.enable_eager_execution()
    assert tf.compat.v1.data.experimental.AUTOTUNE == tf.data.AUTOTUNE == -1
    assert tf.math.reduce_mean is tf.reduce_mean
    assert tf.float32 == np.float32
    for name in tf.__all__:
        assert getattr(tf, name) is not None


ABSENT = [
    (tf, "Session", "tf has no 'Session': tinygrad_mnist.tf is not TensorFlow"),
    (tf, "relu", "near are tf.nn.relu"),
    (tf, "reduce_maen", "near are tf.reduce_mean"),
    (tf, "quantization", "it has "),
    (tf.nn, "conv2d", "tf.nn has no 'conv2d': tinygrad_mnist.tf is not TensorFlow"),
    (tf.data, "TFRecordDataset", "tf.data.FixedLengthRecordDataset"),
    (tf.io, "decode_rwa", "tf.io.decode_raw"),
    (tf.config, "list_gpus", "is not TensorFlow"),
    (tf.random, "norml", "tf.random.normal"),
    (tf.math, "reduce_maen", "tf.math.reduce_mean"),
]


@pytest.mark.parametrize(("module", "name", "message"), ABSENT)
def test_absent_names(module: Any, name: str, message: str) -> None:
    assert not hasattr(module, name)
    with pytest.raises(AttributeError, match=message):
        getattr(module, name)


ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "tanh"),
    *("softplus", "softsign", "softmax", "log_softmax"),
)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_of_variables_and_arrays_agree(name: str, dtype: str) -> None:
    activation = getattr(tf.nn, name)
    assert keras.activations.get(activation) is getattr(keras.activations, name)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(dtype)
    v = T.matrix(dtype=dtype)
    expected = theano.function([v], activation(v))(x)
    found = activation(x)
    assert isinstance(found, np.ndarray)
    assert found.dtype == dtype
    assert np.array_equal(found, expected)
    assert np.array_equal(activation(x.tolist()), activation(x.astype(np.float32)))


def test_options_of_activations() -> None:
    x, v = np.array([-1.0, 2.0]), T.dvector()
    for made in (
        tf.nn.leaky_relu(x, alpha=0.5),
        tf.nn.leaky_relu(x, 0.5),
        tf.nn.leaky_relu(v, alpha=0.5).eval({v: x}),
        tf.nn.leaky_relu(v, 0.5).eval({v: x}),
    ):
        assert np.array_equal(made, [-0.5, 2.0])
    assert np.allclose(tf.nn.softmax(np.eye(2), axis=0).sum(axis=0), 1)
    assert np.allclose(tf.nn.softmax(np.eye(2), 0, name="p").sum(axis=0), 1)


def test_a_layer_takes_them() -> None:
    x = np.random.default_rng(0).random((4, 6), np.float32)
    layers = [
        [tf.keras.layers.Dense(5, activation=a), tf.keras.layers.Dense(3, activation=b)]
        for a, b in ((tf.nn.relu, tf.nn.softmax), ("relu", "softmax"))
    ]
    models = [tf.keras.Sequential([tf.keras.layers.Input(shape=(6,)), *each]) for each in layers]
    models[1].set_weights(models[0].get_weights())
    v = T.fmatrix()
    first, second = (theano.function([v], m.forward(v, False).output)(x) for m in models)
    assert np.array_equal(first, second)


SYMBOLIC: list[tuple[Any, Any]] = [
    (lambda v: tf.cast(v, tf.int32), lambda x: x.astype(np.int32)),
    (lambda v: tf.reshape(v, [3, 2]), lambda x: x.reshape(3, 2)),
    (lambda v: tf.reduce_mean(v, axis=1), lambda x: x.mean(axis=1)),
    (lambda v: tf.reduce_sum(v, axis=[0, 1]), np.sum),
    (lambda v: tf.reduce_max(v, keepdims=True), lambda x: x.max(keepdims=True)),
    (lambda v: tf.argmax(v, axis=1), lambda x: x.argmax(axis=1)),
    (lambda v: tf.one_hot(tf.argmax(v, axis=1), 3), lambda x: np.eye(3)[x.argmax(axis=1)]),
    (lambda v: tf.maximum(v, 2.0) + tf.square(v), lambda x: np.maximum(x, 2) + x * x),
    (lambda v: tf.concat([v, v], 0), lambda x: np.concatenate([x, x])),
    (lambda v: tf.stack([v, v]), lambda x: np.stack([x, x])),
    (lambda v: tf.transpose(v), np.transpose),
    (lambda v: tf.matmul(v, tf.transpose(v)), lambda x: x @ x.T),
    (lambda v: tf.expand_dims(v, 0), lambda x: x[None]),
    (lambda v: tf.where(v > 2, v, -v), lambda x: np.where(x > 2, x, -x)),
    (lambda v: tf.clip_by_value(v, 1.0, 3.0), lambda x: np.clip(x, 1, 3)),
    (lambda v: tf.tile(v, [1, 2]), lambda x: np.tile(x, (1, 2))),
    (lambda v: tf.divide(v, 2.0) - tf.exp(v), lambda x: x / 2 - np.exp(x)),
    (lambda v: tf.logical_not(tf.less(v, 3.0)), lambda x: ~(x < 3)),
    (lambda v: tf.gather(v, [1, 0]), lambda x: x[[1, 0]]),
]


@pytest.mark.parametrize("case", range(len(SYMBOLIC)))
def test_functions_of_variables(case: int) -> None:
    make, numpy = SYMBOLIC[case]
    x = np.arange(6, dtype=np.float64).reshape(2, 3)
    v = T.dmatrix()
    expected = numpy(x)
    for found in (make(v).eval({v: x}), np.asarray(make(tf.constant(x)))):
        assert found.shape == np.shape(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_a_function_without_variables_says_so() -> None:
    with pytest.raises(TypeError, match="is a function of arrays, not of symbolic variables"):
        tf.io.decode_raw(T.dmatrix(), tf.uint8)


def gpu(number: int) -> Device:
    return Device(number, "Some GPU", (9, 0), 80 << 30, 132, 1.9e9, 2.6e9, 5120, 2)


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("is_missing", [False, True])
def test_devices_are_those_that_can_be_used(
    count: int, is_missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that the driver lists isn't one where the package can't use it."""
    missing = (availability.Missing("driver", "it is too old", ""),) if is_missing else ()
    monkeypatch.setattr(availability, "missing", lambda: missing)
    monkeypatch.setattr(availability, "gpus", lambda: [gpu(i) for i in range(count)])
    names = [] if is_missing else [f"/device:GPU:{i}" for i in range(count)]
    backend = keras.backend
    assert backend.tensorflow_backend._get_available_gpus() == names
    assert [d.name for d in tf.device_lib.list_local_devices()] == ["/device:CPU:0", *names]
    assert [d.name for d in tf.config.list_logical_devices("GPU")] == names
    assert len(tf.config.list_physical_devices()) == 1 + len(names)
    assert len(tf.config.experimental.list_physical_devices("GPU")) == len(names)
    assert tf.config.list_physical_devices("TPU") == []
    assert tf.test.is_gpu_available() == bool(names)
    assert tf.test.gpu_device_name() == ("/device:GPU:0" if names else "")
    if names:
        text = repr(backend.list_local_devices()[1])
        assert 'name: "/device:GPU:0"\ndevice_type: "GPU"' in text
        assert "name: Some GPU, compute capability: 9.0" in text


def test_the_processor() -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    assert cpu == ("/physical_device:CPU:0", "CPU")
    assert devices.usable_devices()[0].description == devices.processor() != ""
    with pytest.raises(ValueError, match="device_type is 'gpu'"):
        tf.config.list_physical_devices("gpu")


def test_random_numbers() -> None:
    def drawn() -> list[Any]:
        integers = tf.random.uniform([4], 0, 9, tf.int32)
        return [tf.random.uniform([3]), tf.random.normal((2, 2)), integers]

    tf.random.set_seed(1)
    first = drawn()
    tf.set_random_seed(1)
    second = drawn()
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b)
    assert [x.dtype.name for x in first] == ["float32", "float32", "int32"]
    assert np.array_equal(tf.random.normal([3], seed=4), tf.random.normal([3], seed=4))


@pytest.mark.parametrize("name", ["/CPU:0", "/device:CPU:0", "cpu", "/job:localhost/device:CPU:0"])
def test_device_of_models(name: str) -> None:
    with theano.config.change_flags(device="reference"):
        with tf.device(name):
            assert theano.config.device == "cpu"
        assert theano.config.device == "reference"


def test_a_gpu_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = availability.Missing("driver", "it was taken away", "")
    monkeypatch.setattr(availability, "missing", lambda: (missing,))
    monkeypatch.delitem(backends.BACKENDS, "cuda", raising=False)
    with pytest.raises(theano.errors.DeviceError, match="taken away"), tf.device("/GPU:0"):
        pass
    for wrong in ("/TPU:0", "/GPU:1", None):
        with pytest.raises(ValueError, match="'/CPU:0' or '/GPU:0'"):
            tf.device(wrong)  # type: ignore[arg-type]


def test_optimizers_of_tensorflow_1_and_parts_of_keras() -> None:
    assert tf.losses is keras.losses
    assert tf.optimizers is keras.optimizers
    train = tf.compat.v1.train
    made = [
        train.GradientDescentOptimizer(0.5),
        train.MomentumOptimizer(0.5, 0.9, use_nesterov=True),
        train.AdamOptimizer(0.5, use_locking=True),
        train.RMSPropOptimizer(0.5, decay=0.8),
        train.AdagradOptimizer(0.5),
        train.AdadeltaOptimizer(0.5),
    ]
    assert [float(optimizer.learning_rate.get_value()) for optimizer in made] == [0.5] * 6
    assert made[3].rho == 0.8
