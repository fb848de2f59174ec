"""The Keras model that an argument names, and data in the form that it takes."""

from __future__ import annotations

import inspect
import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.cli.arguments import UsageError
from tinygrad_mnist.errors import GraphError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras import Sequential, layers, losses, models
from tinygrad_mnist.tutorials import TUTORIALS, tutorial_net

SIDE = 28
MODEL_HELP = (
    "a saved model; FILE.py:NAME, a Sequential in a Python file or a function that returns one; or"
    f" the name of a tutorial's model: {', '.join(TUTORIALS)}"
)
Floats = NDArray[np.floating[Any]]


def model_of(text: str) -> Sequential:
    """The model that `text` names, as MODEL_HELP says. Raises UsageError, in one line."""
    file, colon, name = text.rpartition(":")
    if colon and (file.endswith(".py") or Path(file).is_file()):
        return _from_program(Path(file), name)
    if text.endswith(".py"):
        _, found = _run(Path(text))
        raise UsageError(f"{text}: name the model too, such as {text}:{(found or ['NAME'])[0]}")
    if Path(text).is_file():
        return _saved(text)
    if text in TUTORIALS:
        return tutorial_net(text)
    if colon or Path(text).suffix or "/" in text:
        raise UsageError(f"{text}: no such file")
    raise UsageError(f"{text}: no such file, and no model of that name ({', '.join(TUTORIALS)})")


def _saved(path: str) -> Sequential:
    try:
        model = models.load_model(path)
    except (ValueError, TypeError, OSError) as error:  # each names the file
        raise UsageError(_one_line(str(error))) from error
    if not isinstance(model, Sequential):
        raise UsageError(f"{path} has {shown(model)}, no Sequential")
    return model


# --- programs -------------------------------------------------------------------------------------


def _from_program(file: Path, name: str) -> Sequential:
    namespace, found = _run(file)
    if name not in namespace:
        known = f"; it has {', '.join(found)}" if found else " and no model"
        raise UsageError(f"{file}: there is no {name!r} in it{known}")
    value = namespace[name]
    if callable(value) and not isinstance(value, Sequential):
        needed = _needed_arguments(value)
        if needed:
            raise UsageError(f"{file}:{name} needs the arguments {', '.join(needed)}")
        with _errors_of(file):
            value = value()
    if not isinstance(value, Sequential):
        other = type(value).__module__.partition(".")[0] in ("keras", "tensorflow", "tf_keras")
        hint = "; import keras from tinygrad_mnist" if other else ""
        raise UsageError(f"{file}:{name} is {shown(value)}, no Sequential{hint}")
    return value


def _run(file: Path) -> tuple[dict[str, Any], list[str]]:
    """What a program defines, and the names that can be models. Programs beside it can be
    imported, as if Python ran it; its `__name__` is that of its file."""
    if not file.is_file():
        raise UsageError(f"{file}: no such file")
    module = types.ModuleType(file.stem)
    module.__file__ = str(file)
    sys.path.insert(0, str(file.resolve().parent))
    with _errors_of(file):
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    space = module.__dict__
    found = [name for name, value in space.items() if isinstance(value, Sequential)]
    found += [
        name
        for name, value in space.items()
        if inspect.isfunction(value) and value.__globals__ is space
    ]
    return space, found


@contextmanager
def _errors_of(file: Path) -> Iterator[None]:
    """Makes what a program raises a UsageError that names its line."""
    try:
        yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename == str(file):
                line = frame.lineno
        raise UsageError(
            _one_line(f"{file}:{line}: {type(error).__name__}: {getattr(error, 'msg', error)}")
        ) from error


def _needed_arguments(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in variable]


def _one_line(text: str) -> str:
    return " ".join(text.split())


# --- data -----------------------------------------------------------------------------------------


def inputs_for(model: Sequential, name: str, images: NDArray[np.uint8]) -> Floats:
    """Images, uint8 (n, 28, 28), as the model takes them: pixels from 0 to 1 in its shape. A model
    that has no shape gets (784,) if its first layer is a Dense, or else (28, 28, 1).

    Raises UsageError where its shape is another.
    """
    if not model.built:
        starts_dense = bool(model.layers) and isinstance(model.layers[0], layers.Dense)
        shape = (SIDE * SIDE,) if starts_dense else (SIDE, SIDE, 1)
        with as_usage(name):
            model.build((None, *shape))
    assert model.input_shape is not None
    wanted = tuple(int(n or 0) for n in model.input_shape[1:])
    if tuple(n for n in wanted if n != 1) not in ((SIDE, SIDE), (SIDE * SIDE,)):
        size = ", ".join(map(str, wanted))
        raise UsageError(f"{name} takes inputs of shape ({size}); the images have {SIDE}x{SIDE}")
    return images.reshape(len(images), *wanted).astype(np.float32) / np.float32(255)


def check_classes(model: Sequential, name: str, labels: NDArray[Any]) -> int:
    """The number of classes of a model whose inputs are known. Raises UsageError where its outputs
    are no classes, or too few for the labels."""
    shape = model.output_shape or ()
    if len(shape) != 2:
        raise UsageError(f"{name} has outputs of shape {shape}, not one number per class")
    classes = int(shape[1] or 0)
    if len(labels) and classes <= labels.max():
        raise UsageError(f"{name} has {classes} outputs; there are labels up to {labels.max()}")
    return classes


def targets_for(model: Sequential, labels: NDArray[Any], classes: int) -> NDArray[Any]:
    """Labels as the model's loss takes them: integers, or a row with a 1 per sample."""
    loss = losses.get(model.loss)
    if "sparse" in str(getattr(loss, "name", loss)):
        return labels.astype(np.int64)
    return np.asarray(labels[:, None] == np.arange(classes), np.float32)


@contextmanager
def as_usage(name: str) -> Iterator[None]:
    """Makes the errors of a model that doesn't fit its data a UsageError in one line."""
    try:
        yield
    except GraphError as error:
        raise UsageError(_one_line(f"{name}: {error}")) from error


def ends_in_softmax(model: Sequential) -> bool:
    """Whether the outputs are probabilities, as far as the last layer shows."""
    if not model.layers:
        return False
    last = model.layers[-1]
    return isinstance(last, layers.Softmax) or last.get_config().get("activation") == "softmax"
