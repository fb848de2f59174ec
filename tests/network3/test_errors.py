"""What is refused before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays, small_fc

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import network3
from tinygrad_mnist.backends import backend
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import DeviceError
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    SoftmaxLayer,
    load_data_shared,
    share_data,
)


def bad_label(which: int, value: int) -> list[Any]:
    pairs = arrays((40, 8, 8))
    pairs[which][1][3] = value
    return share_data(pairs)


@pytest.mark.parametrize("value", [-1, 5])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_labels_out_of_range_are_named(which: int, value: int) -> None:
    name = ("training_data", "validation_data", "test_data")[which]
    data = bad_label(which, value)
    net = small_fc()
    before = [param.get_value() for param in net.params]
    with pytest.raises(ValueError, match=rf"{name}: label {value} at index 3 is not in 0\.\.4"):
        net.SGD(data[0], 1, 4, 0.5, data[1], data[2])
    for param, value_before in zip(net.params, before, strict=True):
        np.testing.assert_array_equal(param.get_value(), value_before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1, not 0"),
        ({"epochs": 2.0}, TypeError, r"epochs must be an integer, not 2\.0"),
        ({"epochs": True}, TypeError, "epochs must be an integer, not True"),
        ({"mini_batch_size": 5}, ValueError, "is 5 in SGD, but the network was made for 4"),
        ({"mini_batch_size": "4"}, TypeError, "mini_batch_size must be an integer, not '4'"),
        ({"eta": "0.1"}, TypeError, r"eta must be a number, not '0\.1'"),
        ({"eta": float("nan")}, ValueError, "eta must be finite, not nan"),
        ({"lmbda": None}, TypeError, "lmbda must be a number, not None"),
    ],
)
def test_settings_are_checked(change: dict[str, Any], error: type[Exception], message: str) -> None:
    data = share_data(arrays((40, 8, 8)))
    settings = {
        "training_data": data[0],
        "epochs": 1,
        "mini_batch_size": 4,
        "eta": 0.5,
        "validation_data": data[1],
        "test_data": data[2],
        "lmbda": 0.1,
    }
    with pytest.raises(error, match=message):
        small_fc().SGD(**{**settings, **change})


def test_a_symbolic_rate_must_be_a_scalar() -> None:
    data = share_data(arrays((40, 8, 8)))
    with pytest.raises(TypeError, match="eta must be a scalar; the variable has 1 dimensions"):
        small_fc().SGD(data[0], 1, 4, T.vector("rates"), data[1], data[2])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (arrays((40, 3, 8)), r"validation_data: mini_batch_size 4 is larger than the data \(3"),
        (arrays((40, 8, 8), 11), "training_data: an image has 11 pixels, .* first layer takes 12"),
        (
            [(arrays((40,))[0][0], np.zeros(39)), *arrays((8, 8))],
            "training_data: 40 images, but 39 labels",
        ),
    ],
)
def test_data_that_do_not_fit(pairs: list[Any], message: str) -> None:
    data = share_data(pairs)
    with pytest.raises(ValueError, match=message):
        small_fc().SGD(data[0], 1, 4, 0.5, data[1], data[2])


def test_data_that_are_not_shared() -> None:
    plain = arrays((40, 8, 8))
    data = share_data(plain)
    x, _ = data[1]
    for pair, message in (
        (plain[1], "validation_data: x must be a shared matrix, not ndarray"),
        ((x, plain[1][1]), "validation_data: y must be a symbolic int32 vector, not ndarray"),
        ((x, x), "y must be a symbolic int32 vector, not a float32 variable of 2 dimensions"),
        (x, r"validation_data must be a pair \(x, y\) of shared variables"),
    ):
        with pytest.raises(TypeError, match=message):
            small_fc().SGD(data[0], 1, 4, 0.5, pair, data[2])


def test_data_of_another_floatx_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatX", "float64")
    (data,) = network3.share_data([(np.zeros((4, 4)), np.zeros(4))])
    monkeypatch.setattr(config, "floatX", "float32")
    net = network3.Network([network3.SoftmaxLayer(n_in=4, n_out=2)], 2)
    with pytest.raises(TypeError, match="training_data: x is float64, but floatX is float32"):
        net.SGD(data, 1, 2, 0.1, data, data)


def test_layers_that_do_not_fit() -> None:
    conv = ConvPoolLayer((2, 1, 3, 3), (4, 1, 8, 8))
    with pytest.raises(ValueError, match=r"layer 1 \(SoftmaxLayer\) takes 17 .* before gives 18"):
        Network([conv, SoftmaxLayer(17, 3)], 4)
    with pytest.raises(ValueError, match=r"layer 0 \(ConvPoolLayer\) has image_shape .* is 5"):
        Network([conv, SoftmaxLayer(18, 3)], 5)
    with pytest.raises(ValueError, match="at least one layer"):
        Network([], 5)
    with pytest.raises(ValueError, match=r"takes 2 input maps, .* has 1"):
        ConvPoolLayer((2, 2, 3, 3), (4, 1, 8, 8))
    with pytest.raises(ValueError, match="4 x 4 leave nothing after filters of 5 x 5"):
        ConvPoolLayer((2, 1, 5, 5), (4, 1, 4, 4))
    with pytest.raises(ValueError, match=r"fewer weights than a block \(2, 2\)"):
        ConvPoolLayer((3, 1, 1, 1), (4, 1, 4, 4))
    with pytest.raises(TypeError, match=r"n_out must be an integer, not 10\.5"):
        SoftmaxLayer(3, 10.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"poolsize": 2}, "poolsize must be 2 integers, not 2"),
        ({"image_shape": (10, 28, 28)}, r"image_shape must be 4 integers, not \(10, 28, 28\)"),
        ({"filter_shape": (20, 1, 5, 0.5)}, "filter_shape must be an integer, not 0.5"),
    ],
)
def test_a_shape_that_is_none_is_named(options: dict[str, Any], message: str) -> None:
    settings = {"filter_shape": (20, 1, 5, 5), "image_shape": (10, 1, 28, 28)} | options
    with pytest.raises(TypeError, match=message):
        network3.ConvPoolLayer(**settings)


def no_gpu(name: str) -> None:
    raise DeviceError(f"no {name} here")


def test_gpu_is_refused_wherever_something_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [FullyConnectedLayer(12, 7), SoftmaxLayer(7, 5)]
    net, plain = Network(layers, 4), arrays((40, 8, 8))
    data = share_data(plain)
    monkeypatch.setattr(network3, "GPU", True)
    monkeypatch.setattr("tinygrad_mnist.backends.BACKENDS", {"cpu": backend("cpu")})
    monkeypatch.setattr("tinygrad_mnist.backends.cuda.cuda_backend", no_gpu)
    for make in (
        load_data_shared,
        lambda: share_data(plain),
        lambda: FullyConnectedLayer(12, 7),
        lambda: ConvPoolLayer((2, 1, 3, 3), (4, 1, 8, 8)),
        lambda: Network(layers, 4),
        lambda: net.SGD(data[0], 1, 4, 0.5, data[1], data[2]),
    ):
        with pytest.raises(DeviceError, match=r"^no cuda here$"):
            make()
    assert config.device == "cpu"
