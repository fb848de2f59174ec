"""`Saver`: the methods of a model that write and read files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.values import choice, flag
from tinygrad_mnist.keras.objects import described, restored
from tinygrad_mnist.keras.saving import arrays
from tinygrad_mnist.onnx import export
from tinygrad_mnist.saving import Saved, load_arrays, save_arrays

FORMAT = "tinygrad_mnist.keras"
VERSION = 1
OWN = "; custom_objects={name: object} gives classes and functions of your own"
Path = str | os.PathLike[str]


class Saver:
    """Saving and loading, as Keras has them; any name of a file does. A subclass is a `Model`.

    A file is written whole or not at all. Errors name it: OSError, FileExistsError where it is
    there and `overwrite` is false; SavedFileError for one that can't be read or doesn't fit.
    """

    def save(self, filepath: Path, overwrite: bool = True, include_optimizer: bool = True) -> None:
        """Writes the layers, the weights and, if the model is compiled, the arguments of `compile`
        and the optimizer's state: what `keras.models.load_model` needs to go on as if nothing had
        been between. include_optimizer: with what `compile` has set."""
        model = self._built("can't be saved")
        is_compiled = flag(include_optimizer, "include_optimizer") and model.compiled
        if is_compiled:
            model.optimizer.build(model.trainable_weights)
        weights = arrays.weight_entries(model)
        state = arrays.optimizer_entries(model) if is_compiled else {}
        description = {
            "format": FORMAT,
            "version": VERSION,
            "model": _described(model),
            "weights": list(weights),
            "compile": _compile_arguments(model) if is_compiled else None,
        }
        found = arrays.values(weights, arrays.random_entries(model), state)
        save_arrays(filepath, found, description, flag(overwrite, "overwrite"))

    def save_weights(self, filepath: Path, overwrite: bool = True) -> None:
        """Writes the weights alone: arrays with names such as `conv2d/kernel`."""
        entries = arrays.weight_entries(self._built("has no weights to save"))
        description = {"format": FORMAT, "version": VERSION, "weights": list(entries)}
        save_arrays(filepath, arrays.values(entries), description, flag(overwrite, "overwrite"))

    def load_weights(self, filepath: Path) -> None:
        """Sets the weights to those of a file that `save_weights` or `save` has written, or another
        program with the same names. Floats are converted to floatX. If one doesn't fit, no weight
        has changed."""
        model = self._built("has no weights to load")
        saved = load_arrays(filepath)
        order: Sequence[str] = ()
        found = dict(saved.arrays)
        if saved.description is not None:
            order = check_description(saved)["weights"]
            found = {name: found[name] for name in order if name in found}
        with naming(saved.path):
            arrays.assign(arrays.weight_entries(model), found, order)

    def to_json(self, **options: Any) -> str:
        """The layers as JSON, for `keras.models.model_from_json`. options: those of
        `json.dumps`."""
        import json

        return json.dumps(_described(self), **options)

    def export(
        self, filepath: Path, format: str = "onnx", opset: int | None = None, verbose: Any = None
    ) -> None:
        """Writes the model's inference to an ONNX file: inputs `input` in Keras's shape, of any
        number of samples, outputs `output`. opset and errors are those of
        `tinygrad_mnist.onnx.export`, which needs the extra `onnx`. verbose has no effect."""
        choice(format, ("onnx",), "format")
        model = self._built("can't be exported")
        shape = model.input_shape
        x = TensorType(config.floatX, (False,) * len(shape), (None, *shape[1:]))("input")
        y = model(x)
        export(filepath, [x], y, opset, {x: "input", y: "output"}, {x: (None, *shape[1:])})

    def _built(self, why: str) -> Any:
        model: Any = self
        model.check_built(why)
        return model


def restore(model: Any, saved: Saved, custom_objects: Mapping[str, Any], compile: bool) -> None:
    """Gives a model of the saved layers all else that a file of `save` has."""
    description = check_description(saved)
    order, options = description["weights"], description.get("compile")
    own = (arrays.OPTIMIZER, arrays.RANDOM)
    weights = {n: a for n, a in saved.arrays.items() if n in order or not n.startswith(own)}
    with naming(saved.path):
        arrays.assign(arrays.weight_entries(model), weights, order)
        streams = arrays.random_entries(model)
        arrays.assign(streams, {n: a for n, a in saved.arrays.items() if n in streams})
        if not compile or options is None:
            return
        with naming("compile", OWN):
            model.compile(**restored(options, custom_objects))
        model.optimizer.build(model.trainable_weights)
        state = arrays.optimizer_entries(model)
        arrays.assign(state, {n: a for n, a in saved.arrays.items() if n in state})


# What the layers and optimizers of a wrong description raise.
_DESCRIBED_WRONG = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


class naming:  # noqa: N801
    """A context whose errors about what a file has name the file."""

    def __init__(self, path: str, hint: str = "") -> None:
        self._path = path
        self._hint = hint

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, RecursionError):
            raise SavedFileError(f"{self._path}: its description is nested too deeply") from None
        if isinstance(error, MemoryError):
            raise SavedFileError(
                f"{self._path}: what it describes doesn't fit into memory"
            ) from None
        if isinstance(error, _DESCRIBED_WRONG):
            text, line, origin = str(error).partition("\n")
            hint = "" if "custom_objects" in text else self._hint
            raise SavedFileError(f"{self._path}: {text}{hint}{line}{origin}") from error


def check_description(saved: Saved) -> dict[str, Any]:
    """The description of a file that `save` or `save_weights` has written. Raises SavedFileError
    for that of another."""
    found = saved.description
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise SavedFileError(
            f"{saved.path} has arrays, but it says nothing of a model; model.load_weights can read "
            "weights alone"
        )
    if found.get("version") != VERSION:
        raise SavedFileError(
            f"{saved.path} has version {found.get('version')!r} of the format; this release reads "
            f"version {VERSION}"
        )
    names = found.get("weights")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SavedFileError(f"{saved.path}: the description has no list of the weights' names")
    return found


def _described(model: Any) -> dict[str, Any]:
    return {"class_name": type(model).__name__, "config": model.get_config()}


def _compile_arguments(model: Any) -> dict[str, Any]:
    """What `compile` was given, with the optimizer as it is now."""
    return described({**model.compile_arguments, "optimizer": model.optimizer})  # type: ignore[no-any-return]
