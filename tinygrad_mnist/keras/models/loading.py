"""`keras.models.load_model` and `model_from_json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.graph.values import flag
from tinygrad_mnist.keras.layers.layer import weights_within
from tinygrad_mnist.keras.layers.serialization import deserialize
from tinygrad_mnist.keras.models.model import Model
from tinygrad_mnist.keras.models.sequential import Sequential
from tinygrad_mnist.keras.saving.saver import OWN, Path, check_description, naming, restore
from tinygrad_mnist.saving import load_arrays

_MODELS = {"Sequential": Sequential}


def save_model(model: Any, filepath: Path, overwrite: bool = True) -> None:
    """`model.save(filepath, overwrite)`."""
    model.save(filepath, overwrite)


def load_model(
    filepath: Path,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model that `model.save` wrote to a file. Its training goes on bit for bit.

    custom_objects: the user's own layers, losses, metrics and functions by name. compile: whether
    it is compiled, if it was. safe_mode: has no effect; no code comes from a file.

    Raises SavedFileError, which names the file and says what it is, where it can't be read, isn't
    one by `model.save`, or names something that isn't known.
    """
    saved = load_arrays(filepath)
    description = check_description(saved)
    if "model" not in description:
        raise SavedFileError(f"{saved.path} has weights alone; model.load_weights reads them")
    custom = dict(custom_objects or {})
    available = sum(array.size for array in saved.arrays.values())
    with naming(saved.path, OWN), weights_within(available):
        model = _model_of(description["model"], custom)
    restore(model, saved, custom, flag(compile, "compile"))
    return model


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A model of the layers that `model.to_json` gives, with new weights. Raises ValueError and
    TypeError for other text, and for a class that isn't known."""
    import json

    try:
        config = json.loads(json_string)
    except RecursionError:
        raise SavedFileError("the JSON of a model is nested too deeply") from None
    return _model_of(config, dict(custom_objects or {}))


def _model_of(config: Any, custom_objects: Mapping[str, Any]) -> Model:
    model = deserialize(config, {**_MODELS, **custom_objects})
    if not isinstance(model, Model):
        raise SavedFileError(f"it describes {model!r}, a layer, and not a model")
    return model
