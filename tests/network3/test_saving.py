"""Networks in files: what comes back, and what a file must have."""

# ruff: noqa: NPY002 (NumPy's global generator must be left alone)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    linear,
    share_data,
    tanh,
)
from tinygrad_mnist.saving import load_arrays, save_arrays


def swish(z: Any) -> Any:
    return z * T.nnet.sigmoid(z)


class Scaled(FullyConnectedLayer):
    """A layer of one's own with an argument of its own."""

    def __init__(self, n_in: int, n_out: int, scale: float = 2.0) -> None:
        super().__init__(n_in, n_out, linear)
        self.scale = scale

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        super().set_inpt(self.scale * inpt, self.scale * inpt_dropout, mini_batch_size)


NETS = {
    "fc": lambda: [FullyConnectedLayer(64, 7, tanh, p_dropout=0.25), SoftmaxLayer(7, 5, 0.5)],
    "conv": lambda: [
        ConvPoolLayer((3, 1, 3, 3), (4, 1, 8, 8), (1, 2), ReLU),
        ConvPoolLayer((2, 3, 3, 2), (4, 3, 6, 3), activation_fn="elu"),
        SoftmaxLayer(4, 5),
    ],
    "own": lambda: [Scaled(64, 9, 3.5), FullyConnectedLayer(9, 7, swish), SoftmaxLayer(7, 5)],
}
OWN = {"Scaled": Scaled, "swish": swish}


def saved(path: Path, change: Any = None) -> Path:
    """A file of a network; change: is given its arrays and description."""
    Network(NETS["conv"](), 4, seed=1).save(path)
    if change is not None:
        _, found, description = load_arrays(path)
        description = json.loads(json.dumps(description))
        change(found, description)
        save_arrays(path, found, description)
    return path


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("floats", ["float32", "float64"])
def test_what_is_loaded_is_what_was_saved(
    name: str, floats: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "floatX", floats)
    net = Network(NETS[name](), 4, seed=1)
    data = share_data(arrays((16, 8, 8), pixels=64))
    net.SGD(data[0], 1, 4, 0.1, data[1], data[2], quiet=True)
    net.save(tmp_path / "net")
    np.random.seed(3)
    again = Network.load(str(tmp_path / "net"), OWN)
    assert np.random.random() == np.random.RandomState(3).random_sample()
    assert repr(again) == repr(net)
    for a, b in zip(again.params, net.params, strict=True):
        assert a.name == b.name
        assert a.dtype == floats
        np.testing.assert_array_equal(a.get_value(), b.get_value())
    images = data[1][0].get_value()
    np.testing.assert_array_equal(
        again.predict(images, probabilities=True), net.predict(images, probabilities=True)
    )
    for one in (net, again):
        one.SGD(data[0], 1, 4, 0.1, data[1], data[2], quiet=True)
    if name != "fc":  # whose dropout goes on with other masks; a checkpoint has their state
        np.testing.assert_array_equal(again.history.costs, net.history.costs)


def test_other_programs_see_the_parameters(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    net = Network(NETS["fc"](), 4, seed=1)
    net.save(tmp_path / "net.safetensors")
    found = safetensors.load_file(tmp_path / "net.safetensors")
    assert sorted(found) == ["fc1.b", "fc1.w", "softmax.b", "softmax.w"]
    np.testing.assert_array_equal(found["fc1.w"], net.params[0].get_value())


def test_parameters_that_share_a_name(tmp_path: Path) -> None:
    net = Network(NETS["fc"](), 4, seed=1)
    for param in net.params:
        param.name = "w"
    net.save(tmp_path / "net")
    for a, b in zip(Network.load(tmp_path / "net").params, net.params, strict=True):
        np.testing.assert_array_equal(a.get_value(), b.get_value())


def test_what_cannot_be_saved_is_named(tmp_path: Path) -> None:
    class Bare:
        def __init__(self, n: int = 1) -> None:
            pass

        def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
            self.output = inpt

    path = tmp_path / "net"
    with pytest.raises(TypeError, match=r"layer 0 \(Bare\) can't be saved: it has no method setti"):
        Network([Bare(), SoftmaxLayer(4, 3)], 4).save(path)
    layer = FullyConnectedLayer(4, 3, lambda z: z)
    with pytest.raises(TypeError, match=r"layer 0 \(FullyConnectedLayer\): activation_fn is"):
        Network([layer, SoftmaxLayer(3, 3)], 4).save(path)
    assert not path.exists()


@pytest.mark.parametrize("missing", OWN)
def test_what_is_not_known_is_asked_for(missing: str, tmp_path: Path) -> None:
    Network(NETS["own"](), 4).save(tmp_path / "net")
    known = {name: value for name, value in OWN.items() if name != missing}
    with pytest.raises(SavedFileError, match=rf"custom_objects={{'{missing}': {missing}}}"):
        Network.load(tmp_path / "net", known)


def _rename(arrays: Any, description: Any) -> None:
    arrays["x"] = arrays.pop("conv2.w")


def _reshape(arrays: Any, description: Any) -> None:
    arrays["conv2.w"] = arrays["conv2.w"][:1]


def _widen(arrays: Any, description: Any) -> None:
    arrays["conv2.w"] = arrays["conv2.w"].astype("float64")


def _as_text(arrays: Any, description: Any) -> None:
    arrays["conv2.w"] = arrays["conv2.w"].astype("complex64")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_rename, "has no array conv2.w"),
        (_reshape, r"conv2.w is \(1, 3, 3, 2\), the network's is \(2, 3, 3, 2\)"),
        (_widen, "conv2.w is float64, which float32 doesn't hold; set config.floatX before"),
        (_as_text, "conv2.w is complex64"),
        (lambda a, d: d.update(version=7), "is of version 7 of this format"),
        (lambda a, d: d.update(format="other"), "has no network of network3"),
        (lambda a, d: d.update(mini_batch_size=0), "its layers make no network: mini_batch_size"),
        (lambda a, d: d.update(mini_batch_size=5), "its layers make no network: layer 0"),
        (lambda a, d: d.pop("mini_batch_size"), "its layers make no network"),
        (lambda a, d: d.pop("layers"), "its layers can't be made"),
        (lambda a, d: d.update(layers=5), "its layers can't be made"),
        (lambda a, d: d.update(layers=[]), "its layers make no network: layers is empty"),
        (lambda a, d: d["layers"].pop(1), "its layers make no network: layer 1"),
        (lambda a, d: d["layers"][0].pop("class"), "its layers can't be made"),
        (lambda a, d: d["layers"][0].update({"class": []}), "its layers can't be made"),
        (lambda a, d: d["layers"][0].update(arguments=[1]), "its layers can't be made"),
        (lambda a, d: d["layers"][0].update(arguments={"x": 1}), "its layers can't be made"),
        (lambda a, d: d["layers"][2].update(arguments={"n_in": 10**9, "n_out": 10**9}), "layers"),
        (lambda a, d: d["layers"][2].update(arguments={"n_in": 10**40, "n_out": 1}), "layers"),
        (lambda a, d: d["layers"][0].update(params=["conv1.w"]), "doesn't name its parameters"),
        (lambda a, d: d["layers"][0].update(params=3), "doesn't name its parameters"),
        (lambda a, d: d["layers"][0].update(params=[[], {}]), "doesn't name its parameters"),
    ],
)
def test_files_that_do_not_fit(change: Any, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "net", change)
    with pytest.raises(SavedFileError, match=message) as caught:
        Network.load(path)
    assert str(path) in str(caught.value)


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    path = tmp_path / "net"
    with pytest.raises(FileNotFoundError, match=str(path)):
        Network.load(path)
    path.write_bytes(b"")
    with pytest.raises(SavedFileError, match="is empty"):
        Network.load(path)
    save_arrays(path, {"a": np.zeros(3)})
    with pytest.raises(SavedFileError, match="has no network of network3"):
        Network.load(path)
    saved(path)
    with pytest.raises(SavedFileError, match=r"has no array best\.conv1\.w"):
        Network.load(path, best=True)


class Forwarding(FullyConnectedLayer):
    def __init__(self, *args: Any, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.factor = "another value"


class Pieces(FullyConnectedLayer):
    """Its attribute n_out isn't the argument."""

    def __init__(self, n_in: int, n_out: int, *, pieces: int = 2) -> None:
        super().__init__(n_in, n_out * pieces)


class Plain:
    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        self.output = inpt + 1


class Named(Plain):
    def __init__(self, amount: float) -> None:
        self.kept = amount

    def settings(self) -> dict[str, Any]:
        return {"amount": self.kept}


@pytest.mark.parametrize(
    ("layer", "n_out", "text"),
    [
        (lambda: Forwarding(12, 7, "relu", factor=2.0), 7, "Forwarding(12, 7, 'relu', factor=2.0)"),
        (lambda: Forwarding(n_in=12, n_out=7), 7, "Forwarding(n_in=12, n_out=7)"),
        (lambda: Pieces(12, 3, pieces=3), 9, "Pieces(12, 3, pieces=3)"),
        (lambda: Pieces(np.int64(12), 3), 6, "Pieces(np.int64(12), 3)"),
        (Plain, 12, "<Plain>"),
        (lambda: Named(0.5), 12, "<Named>"),
    ],
)
def test_layers_of_all_sorts(layer: Any, n_out: int, text: str, tmp_path: Path) -> None:
    net = Network([layer(), SoftmaxLayer(n_out, 5)], 4)
    assert repr(net).startswith(f"Network([{text}, ")
    net.save(tmp_path / "net")
    own = {cls.__name__: cls for cls in (Forwarding, Pieces, Plain, Named)}
    again = Network.load(tmp_path / "net", own)
    assert type(again.layers[0]) is type(net.layers[0])
    images = np.random.default_rng(0).random((5, 12))
    np.testing.assert_array_equal(
        again.predict(images, probabilities=True), net.predict(images, probabilities=True)
    )
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "net").read_bytes()


def test_own_objects_with_names_of_this_packages(tmp_path: Path) -> None:
    def relu(z: Any) -> Any:
        return T.maximum(0.1 * z, z)

    own = type("SoftmaxLayer", (SoftmaxLayer,), {})
    Network([FullyConnectedLayer(12, 7, relu), own(7, 5)], 4).save(tmp_path / "net")
    for known, missing in (({}, "relu"), ({"relu": relu}, "SoftmaxLayer")):
        with pytest.raises(SavedFileError, match=missing):
            Network.load(tmp_path / "net", known)
    again = Network.load(tmp_path / "net", {"relu": relu, "SoftmaxLayer": own})
    assert again.layers[0].activation_fn is relu
    assert type(again.layers[1]) is own


def test_two_objects_of_one_name_are_refused(tmp_path: Path) -> None:
    def scaled(factor: float) -> Any:
        def act(z: Any) -> Any:
            return factor * z

        return act

    layers = [FullyConnectedLayer(12, 7, scaled(1.0)), FullyConnectedLayer(7, 7, scaled(2.0))]
    with pytest.raises(TypeError, match="two different objects have the name act"):
        Network([*layers, SoftmaxLayer(7, 5)], 4).save(tmp_path / "net")


@pytest.mark.parametrize(
    "names",
    [
        ["best.fc1.w", "history.costs", "state.0", "state.1"],
        ["__metadata__", "b", "c", "d"],
        ["\ud800", "b", "c", "d"],
        ["a", "a", "b", "c"],
        ["", "b", "c", "d"],
        ["a/b", "β", "c d", "param0"],
    ],
)
def test_any_names_of_parameters(names: list[str], tmp_path: Path) -> None:
    net = Network([FullyConnectedLayer(12, 7), SoftmaxLayer(7, 5)], 4)
    for param, name in zip(net.params, names, strict=True):
        param.name = name
    data = share_data(arrays((16, 8, 8)))
    net.SGD(data[0], 1, 4, 0.1, data[1], data[2], quiet=True, checkpoint=tmp_path / "run")
    net.save(tmp_path / "net")
    for again in (
        Network.load(tmp_path / "net"),
        Network.load(tmp_path / "run"),
        Network.load(tmp_path / "run", best=True),
    ):
        for a, b in zip(again.params, net.params, strict=True):
            np.testing.assert_array_equal(a.get_value(), b.get_value())


def test_a_layer_larger_than_its_file_is_not_made(tmp_path: Path) -> None:
    def change(arrays: Any, description: Any) -> None:
        description["layers"][2]["arguments"] = {"n_in": 10**5, "n_out": 10**5}

    with pytest.raises(SavedFileError, match="its layers have more weights than the file"):
        Network.load(saved(tmp_path / "net", change))


def test_what_custom_objects_can_be(tmp_path: Path) -> None:
    Network(NETS["own"](), 4).save(tmp_path / "net")
    with pytest.raises(TypeError, match="custom_objects is "):
        Network.load(tmp_path / "net", [Scaled])  # type: ignore[arg-type]

    def fails(*given: Any, **named: Any) -> Any:
        raise RuntimeError("no")

    with pytest.raises(SavedFileError, match="its layers can't be made: no"):
        Network.load(tmp_path / "net", {**OWN, "Scaled": fails})
