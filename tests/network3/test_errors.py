"""What is refused before anything is computed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays, small_fc
from helpers.wrong_inputs import raised_on_purpose

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import network3
from tinygrad_mnist.backends import backend
from tinygrad_mnist.backends.cuda.backend import is_usable
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
from tinygrad_mnist.sharedvalue import shared
from tinygrad_mnist.training import check_gpu


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


NAMES = ["linear", "sigmoid", "tanh", "relu", "softplus", "softmax", "elu", "selu", "hard_sigmoid"]


@pytest.mark.parametrize("name", [*NAMES, "ReLU", "Sigmoid", None])
def test_activations_by_name(name: str | None) -> None:
    layers = [FullyConnectedLayer(12, 7, activation_fn=name), SoftmaxLayer(7, 5)]
    net = Network(layers, 4, seed=1)
    value = net.layers[0].output.eval({net.x: np.ones((4, 12), config.floatX)})
    functions: dict[str, Any] = {"relu": network3.ReLU, "linear": network3.linear}
    lower = (name or "linear").lower()
    expected = functions.get(lower) or getattr(T, lower, None) or getattr(T.nnet, lower)
    same = FullyConnectedLayer(12, 7, activation_fn=expected)
    other = Network([same, SoftmaxLayer(7, 5)], 4, seed=1)
    np.testing.assert_array_equal(
        value, same.output.eval({other.x: np.ones((4, 12), config.floatX)})
    )
    conv = ConvPoolLayer((2, 1, 3, 3), (4, 1, 8, 8), activation_fn=name)
    assert conv.activation_fn is layers[0].activation_fn


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("reluu", ValueError, "activation_fn is 'reluu'; it can be 'linear', 'sigmoid', "),
        (5, TypeError, "activation_fn is 5; it must be a function, a name or None"),
        (T.scalar("z"), TypeError, "activation_fn is the symbolic `z`"),
        (lambda z: None, TypeError, "gives None for a variable with 2 dimensions"),
        (lambda z: z.sum(), TypeError, "for a variable with 2 dimensions; it must give"),
    ],
)
def test_what_is_no_activation(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Network([FullyConnectedLayer(12, 7, given), SoftmaxLayer(7, 5)], 4)


@pytest.mark.parametrize("wrong", [None, 5, "abc", {}, object(), 1.5])
def test_what_is_no_list_of_layers(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"layers is .*; it must be a list of layers"):
        Network(wrong, 10)
    with pytest.raises(TypeError, match=r"layer 1 is .*; a layer is an object with params"):
        Network([FullyConnectedLayer(4, 3), wrong], 10)
    with pytest.raises(TypeError, match=r"layer 0 is <class .*; a layer is an object"):
        Network([FullyConnectedLayer], 10)


def test_a_last_layer_without_cost() -> None:
    data = share_data(arrays((40, 8, 8)))
    net = Network([FullyConnectedLayer(12, 7)], 4)
    with pytest.raises(TypeError, match="last layer, a FullyConnectedLayer, has no method `cost`"):
        net.SGD(data[0], 1, 4, 0.5, data[1], data[2])


WRONG = [None, "abc", {}, 1.5, -1, object(), [], [1], T.scalar(), np.ma.masked]
CALLS: dict[str, Any] = {
    "n_in": lambda v: FullyConnectedLayer(v, 3),
    "n_out": lambda v: SoftmaxLayer(3, v),
    "p_dropout": lambda v: FullyConnectedLayer(3, 3, p_dropout=v),
    "filter_shape": lambda v: ConvPoolLayer(v, (4, 1, 8, 8)),
    "image_shape": lambda v: ConvPoolLayer((2, 1, 3, 3), v),
    "poolsize": lambda v: ConvPoolLayer((2, 1, 3, 3), (4, 1, 8, 8), v),
    "mini_batch_size": lambda v: Network([SoftmaxLayer(3, 3)], v),
    "seed": lambda v: Network([SoftmaxLayer(3, 3)], 2, seed=v if v is not None else ""),
    "data": lambda v: share_data(5 if isinstance(v, list) else v),
    "network3.GPU": lambda v: check_gpu(v if v is not None else "yes"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "wrong", WRONG, ids=[f"{type(v).__name__}{i}" for i, v in enumerate(WRONG)]
)
def test_wrong_arguments_are_named(name: str, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=name) as caught:
        CALLS[name](wrong)
    assert raised_on_purpose(caught.value)


@pytest.mark.parametrize(
    ("pixel", "label", "message"),
    [
        (np.nan, 1.0, "image 3 has a pixel that is nan"),
        (-np.inf, 1.0, "image 3 has a pixel that is -inf"),
        (0.5, np.nan, "label nan at index 3 is not an integer"),
        (0.5, 1.5, "label 1.5 at index 3 is not an integer"),
        (0.5, 5.0, "label 5 at index 3 is not in 0..4"),
        (0.5, 2.0**33, "at index 3 is not in 0..4"),
    ],
)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_wrong_data_are_refused_with_the_image(
    which: int, pixel: float, label: float, message: str
) -> None:
    pairs = arrays((40, 8, 8))
    data = share_data(pairs)
    images, labels = (np.array(a, config.floatX) for a in pairs[which])
    images[3, 2], labels[3] = pixel, label
    data[which] = (shared(images), T.cast(shared(labels), "int32"))
    net = small_fc()
    before = [param.get_value() for param in net.params]
    name = ("training_data", "validation_data", "test_data")[which]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        net.SGD(data[0], 1, 4, 0.5, data[1], data[2])
    assert str(caught.value).startswith(f"{name}: ")
    for param, old in zip(net.params, before, strict=True):
        np.testing.assert_array_equal(param.get_value(), old)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.full((3, 2), np.nan), np.zeros(3), "image 0 has a pixel that is nan"),
        (np.zeros((3, 2)), [0, 0, 0.5], "label 0.5 at index 2 is not an integer"),
        (np.zeros((3, 2)), np.array([0, 2**24 + 1, 0]), "label 16777217 at index 1 is too large"),
        (np.zeros((3, 2)), ["a", "b", "c"], "labels is"),
        (np.ma.zeros((3, 2)), np.zeros(3), "images is a masked array"),
        (np.zeros((3, 2)), np.ma.zeros(3), "labels is a masked array"),
    ],
)
def test_share_data_refuses(images: Any, labels: Any, message: str) -> None:
    fine = (np.zeros((3, 2)), np.zeros(3))
    with pytest.raises((TypeError, ValueError), match=f"part 1 of the data: .*{message}"):
        share_data([fine, (images, labels)])


def test_the_gpu_flag_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    if is_usable("cuda"):
        pytest.skip("a GPU can be used here")
    monkeypatch.setattr(network3, "GPU", True)
    with pytest.raises(DeviceError) as by_flag:
        SoftmaxLayer(3, 2)
    with pytest.raises(DeviceError) as by_setting:
        config.device = "gpu"
    for error in (by_flag, by_setting):
        text = str(error.value)
        assert text.startswith("no GPU can be used: ")
        assert "set network3.GPU = False, config.device = 'cpu'" in text
        assert "`tinygrad-mnist devices` shows" in text
        assert "\n" not in text
