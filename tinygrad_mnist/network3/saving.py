"""Networks in files: the parameters and how the layers are made, without code.

A file is in the safetensors format, so other programs can read the parameters by their names.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import integer, several, shown
from tinygrad_mnist.limits import limits
from tinygrad_mnist.network3.layers import ConvPoolLayer, FullyConnectedLayer, Made, SoftmaxLayer
from tinygrad_mnist.saving import Saved
from tinygrad_mnist.training.activations import ACTIVATIONS
from tinygrad_mnist.training.layers import params_of, title

Arrays = dict[str, NDArray[Any]]
FORMAT = "network3"
VERSION = 1
# What the names of a checkpoint's other arrays begin with: the parameters of the best epoch, the
# measurements, other shared variables.
BEST, HISTORY, STATE = "best.", "history.", "state."
_RESERVED = (BEST, HISTORY, STATE, "__metadata__")
_BOOK = {cls.__name__: cls for cls in (ConvPoolLayer, FullyConnectedLayer, SoftmaxLayer)}

# --- writing ------------------------------------------------------------------------------------


def described(layers: Sequence[Any], mini_batch_size: int) -> dict[str, Any]:
    """The architecture of a network as JSON data.

    Raises TypeError, naming the layer, where a layer doesn't say how it is made.
    """
    names = param_names(layers)
    own = _OwnNames()
    rows = []
    for number, layer in enumerate(layers):
        row = {**own.marked("class", type(layer), _BOOK), **_arguments(number, layer, own)}
        rows.append({**row, "params": [names[param] for param in params_of(layer)]})
    return {
        "format": FORMAT,
        "version": VERSION,
        "floatX": config.floatX,
        "mini_batch_size": mini_batch_size,
        "layers": rows,
    }


class _OwnNames:
    """The functions and classes of a network that aren't this package's; a loader needs each by its
    name."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def marked(self, key: str, value: Any, known: Mapping[str, Any]) -> dict[str, Any]:
        """A function or class as JSON data. Raises TypeError for a second one of the same name."""
        name = value.__name__
        if value in known.values():
            return {key: name}
        if self._found.setdefault(name, value) is not value:
            raise TypeError(
                f"the network can't be saved: two different objects have the name {name}"
            )
        return {key: name, "own": True}


def _arguments(number: int, layer: Any, own: _OwnNames) -> dict[str, Any]:
    where = title(number, layer)
    given, named = _made(where, layer)
    row: dict[str, Any] = {
        "arguments": {name: _as_json(f"{where}: {name}", v, own) for name, v in named.items()}
    }
    if given:
        row["positional"] = [
            _as_json(f"{where}: argument {n}", value, own) for n, value in enumerate(given)
        ]
    return row


def _made(where: str, layer: Any) -> Made:
    """The arguments of the layer's constructor, by position and by name. Raises TypeError."""
    if callable(getattr(layer, "settings", None)):
        named = layer.settings()
        if not isinstance(named, Mapping) or not all(isinstance(name, str) for name in named):
            raise TypeError(f"{where}: its settings() returned {shown(named)}; it must be a dict")
        return (), dict(named)
    if callable(getattr(layer, "made_with", None)):
        made: Made = layer.made_with()
        return made
    if _takes_nothing(type(layer)):
        return (), {}
    raise TypeError(
        f"{where} can't be saved: it has no method settings(), which gives the arguments of its"
        " constructor by name"
    )


def _takes_nothing(cls: type) -> bool:
    try:
        return not inspect.signature(cls).parameters
    except (TypeError, ValueError):  # of a class whose constructor is in C
        return False


def _as_json(what: str, value: Any, own: _OwnNames) -> Any:
    if isinstance(value, tuple | list):
        return [_as_json(what, item, own) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    name = getattr(value, "__name__", "<lambda>")
    if callable(value) and name != "<lambda>":
        return own.marked("function", value, ACTIVATIONS)
    raise TypeError(f"{what} is {shown(value)}, which can't be saved; a function with a name can")


def param_names(layers: Sequence[Any]) -> dict[SharedVariable, str]:
    """Each parameter's name in a file: its own, if no other array may have it. Layers that share a
    parameter give it one name."""
    params = list(dict.fromkeys(param for layer in layers for param in params_of(layer)))
    names = [str(param.name or "") for param in params]
    are_plain = all(name.isprintable() and not name.startswith(_RESERVED) for name in names)
    if len(set(names)) < len(names) or "" in names or not are_plain:
        names = [f"param{number}" for number in range(len(params))]
    return dict(zip(params, names, strict=True))


# --- reading ------------------------------------------------------------------------------------


def layers_of(saved: Saved, custom_objects: Mapping[str, Any]) -> list[Any]:
    """The layers of a description, with new initial values; NumPy's generator is left as it was.

    Raises SavedFileError for what is no description of a network, or has names that aren't known.
    """
    description = saved.description
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise SavedFileError(f"{saved.path} has no network of network3")
    if description.get("version") != VERSION:
        raise SavedFileError(
            f"{saved.path} is of version {description.get('version')} of this format; this package"
            f" reads version {VERSION}"
        )
    state = np.random.get_state()  # noqa: NPY002
    try:
        _check_weights(saved, description["layers"])
        layers = [_layer(saved, row, custom_objects) for row in description["layers"]]
        _share_params(layers, description["layers"])
    except SavedFileError:
        raise
    except Exception as error:  # what the constructors of a hostile file's layers raise
        raise SavedFileError(f"{saved.path}: its layers can't be made: {error}") from error
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return layers


def _layer(saved: Saved, row: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> Any:
    make = _known(saved.path, "a layer of class", row["class"], row, custom_objects, _BOOK)
    given = [_value(saved.path, value, custom_objects) for value in row.get("positional", ())]
    named = {n: _value(saved.path, v, custom_objects) for n, v in row["arguments"].items()}
    return make(*given, **named)


def _check_weights(saved: Saved, rows: Sequence[Mapping[str, Any]]) -> None:
    """Whether the file has as many numbers as each layer of the book has weights, and all of them
    are within the limit: a wrong description must not take all memory."""
    held = sum(array.size for array in saved.arrays.values())
    total = 0
    for row in rows:
        if row.get("own") or row["class"] not in _BOOK:
            continue
        weights = _weights(row["arguments"])
        if weights > held:
            raise SavedFileError(f"{saved.path}: its layers have more weights than the file")
        total += weights * np.dtype(config.floatX).itemsize
    if total > limits.model_bytes:
        raise SavedFileError(
            f"{saved.path}: its layers have weights of {total:,} bytes; the limit `model_bytes` is"
            f" {limits.model_bytes:,}"
        )


def _weights(arguments: Mapping[str, Any]) -> int:
    """The number of weights of a layer of the book; its constructor checks the lengths."""
    if "filter_shape" in arguments:
        lengths = arguments["filter_shape"]
    else:
        lengths = [arguments["n_in"], arguments["n_out"]]
    return math.prod(max(integer(n, "a length"), 0) for n in several(lengths, "filter_shape"))


def _known(
    path: str,
    what: str,
    name: str,
    row: Mapping[str, Any],
    custom_objects: Mapping[str, Any],
    known: Mapping[str, Any],
) -> Any:
    """The class or function of a name. Raises SavedFileError."""
    found = custom_objects.get(name) if row.get("own") else known.get(name, known.get(name.lower()))
    if found is None:
        raise SavedFileError(
            f"{path} has {what} {name}; load(path, custom_objects={{{name!r}: {name}}}) says what"
            " that is"
        )
    return found


def _value(path: str, value: Any, custom_objects: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return tuple(_value(path, item, custom_objects) for item in value)
    if not isinstance(value, dict):
        return value
    return _known(path, "a function", value["function"], value, custom_objects, ACTIVATIONS)


def _share_params(layers: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Gives layers one parameter where the saved ones shared it. Layers that make theirs when they
    are connected have none yet."""
    first: dict[str, SharedVariable] = {}
    for layer, row in zip(layers, rows, strict=True):
        names = row.get("params")
        for param, name in zip(
            params_of(layer), names if type(names) is list else (), strict=False
        ):
            shared = first.setdefault(str(name), param)
            if shared is not param:
                layer.params = [shared if p is param else p for p in params_of(layer)]
                for key, value in vars(layer).items():
                    if value is param:
                        setattr(layer, key, shared)


def fill(saved: Saved, layers: Sequence[Any], prefix: str = "") -> None:
    """Gives the layers' parameters the file's values. Raises SavedFileError as `values_for` does,
    and then changes nothing."""
    for param, value in values_for(saved, layers, prefix).items():
        param.set_value(value)


def values_for(
    saved: Saved, layers: Sequence[Any], prefix: str = ""
) -> dict[SharedVariable, NDArray[Any]]:
    """The file's values of the layers' parameters. prefix: of the arrays' names.

    Raises SavedFileError for a file that lacks one, has it in another shape, or in a dtype that
    floatX doesn't hold.
    """
    rows = saved.description["layers"]
    values = {}
    for number, (layer, row) in enumerate(zip(layers, rows, strict=True)):
        params, names = params_of(layer), row.get("params")
        if not isinstance(names, list) or [type(name) for name in names] != [str] * len(params):
            raise SavedFileError(
                f"{saved.path} doesn't name its parameters of {title(number, layer)}, {names}"
            )
        for param, name in zip(params, names, strict=True):
            values[param] = value_for(saved, param, prefix + name)
    return values


def value_for(saved: Saved, variable: SharedVariable, name: str) -> NDArray[Any]:
    """A shared variable's value, which is an array of the file. Raises SavedFileError."""
    if name not in saved.arrays:
        raise SavedFileError(f"{saved.path} has no array {name}")
    array = saved.arrays[name]
    shape = variable.host_array.shape
    if array.shape != shape:
        raise SavedFileError(f"{saved.path}: {name} is {array.shape}, the network's is {shape}")
    if not np.can_cast(array.dtype, variable.dtype, "safe"):
        raise SavedFileError(
            f"{saved.path}: {name} is {array.dtype}, which {variable.dtype} doesn't hold; set"
            " config.floatX before the network is loaded"
        )
    return array.astype(variable.dtype)
