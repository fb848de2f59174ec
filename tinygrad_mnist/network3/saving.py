"""Networks in files: the parameters and how the layers are made, without code.

A file is in the safetensors format, so other programs can read the parameters by their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.network3.layers import ConvPoolLayer, FullyConnectedLayer, SoftmaxLayer
from tinygrad_mnist.saving import Saved
from tinygrad_mnist.training.activations import ACTIVATIONS
from tinygrad_mnist.training.layers import params_of, title

Arrays = dict[str, NDArray[Any]]
FORMAT = "network3"
VERSION = 1
# What code that trusts a description raises where that is wrong.
_WRONG = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError)
_BOOK = {cls.__name__: cls for cls in (ConvPoolLayer, FullyConnectedLayer, SoftmaxLayer)}


def described(layers: Sequence[Any], mini_batch_size: int) -> dict[str, Any]:
    """The architecture of a network as JSON data.

    Raises TypeError, naming the layer, where a layer doesn't say how it is made.
    """
    names = param_names(layers)
    rows = []
    for number, layer in enumerate(layers):
        rows.append(
            {
                "class": type(layer).__name__,
                "arguments": _arguments(number, layer),
                "params": [names[param] for param in params_of(layer)],
            }
        )
    return {
        "format": FORMAT,
        "version": VERSION,
        "floatX": config.floatX,
        "mini_batch_size": mini_batch_size,
        "layers": rows,
    }


def _arguments(number: int, layer: Any) -> dict[str, Any]:
    where = title(number, layer)
    if not callable(getattr(layer, "settings", None)):
        raise TypeError(
            f"{where} can't be saved: it has no method settings(), which gives the arguments of"
            " its constructor by name"
        )
    return {name: _as_json(f"{where}: {name}", v) for name, v in layer.settings().items()}


def _as_json(what: str, value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_as_json(what, item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    name = getattr(value, "__name__", "<lambda>")
    if callable(value) and name != "<lambda>":
        return {"function": name}
    raise TypeError(f"{what} is {value!r}, which can't be saved; a function with a name can be")


def param_names(layers: Sequence[Any]) -> dict[SharedVariable, str]:
    """Each parameter's name in a file: its own, if no other parameter has it."""
    params = [param for layer in layers for param in params_of(layer)]
    names = [param.name or "" for param in params]
    if len(set(names)) < len(names) or "" in names:
        names = [f"param{number}" for number in range(len(params))]
    return dict(zip(params, names, strict=True))


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
        return [_layer(saved.path, row, custom_objects) for row in description["layers"]]
    except SavedFileError:
        raise
    except (*_WRONG, MemoryError) as error:
        raise SavedFileError(f"{saved.path}: its layers can't be made: {error}") from error
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _layer(path: str, row: Mapping[str, Any], custom_objects: Mapping[str, Any]) -> Any:
    known = {**_BOOK, **custom_objects}
    name = row["class"]
    if name not in known:
        raise SavedFileError(
            f"{path} has a layer of class {name}; load(path, custom_objects={{{name!r}: {name}}})"
            " says what that is"
        )
    arguments = {
        key: _value(path, value, custom_objects) for key, value in row["arguments"].items()
    }
    return known[name](**arguments)


def _value(path: str, value: Any, custom_objects: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return tuple(_value(path, item, custom_objects) for item in value)
    if not isinstance(value, dict):
        return value
    name = value["function"]
    found = custom_objects.get(name, ACTIVATIONS.get(name.lower()))
    if found is None:
        raise SavedFileError(
            f"{path} has a function {name}; load(path, custom_objects={{{name!r}: {name}}}) says"
            " what that is"
        )
    return found


def fill(saved: Saved, layers: Sequence[Any], prefix: str = "") -> None:
    """Gives the layers' parameters the file's values. prefix: of the arrays' names.

    Raises SavedFileError for a file that lacks one, has it in another shape, or in a dtype that
    floatX doesn't hold.
    """
    rows = saved.description["layers"]
    for number, (layer, row) in enumerate(zip(layers, rows, strict=True)):
        params, names = params_of(layer), row.get("params")
        if not isinstance(names, list) or [type(name) for name in names] != [str] * len(params):
            raise SavedFileError(
                f"{saved.path} doesn't name its parameters of {title(number, layer)}, {names}"
            )
        for param, name in zip(params, names, strict=True):
            fill_one(saved, param, prefix + name)


def fill_one(saved: Saved, variable: SharedVariable, name: str) -> None:
    """Gives a shared variable the value of an array. Raises SavedFileError."""
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
    variable.set_value(array.astype(variable.dtype))
