"""`tf`: the part of TensorFlow's names that texts about MNIST use, on this package's engine.

    from tinygrad_mnist import tf

`tf.keras`, `tf.nn`, `tf.data`, `tf.io`, `tf.config`, `tf.random`, and functions of arrays. This is
not TensorFlow: what is missing raises an AttributeError that says so.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, Literal

from tinygrad_mnist import keras
from tinygrad_mnist._version import __version__ as _version
from tinygrad_mnist.keras.tensors import DTYPES, Tensor
from tinygrad_mnist.tf import (
    config,
    data,
    device_lib,
    errors,
    functions,
    io,
    nn,
    random,
    test,
    train,
)
from tinygrad_mnist.tf.absent import finder
from tinygrad_mnist.tf.config import device
from tinygrad_mnist.tf.data.structure import TensorSpec
from tinygrad_mnist.tf.functions import *  # noqa: F403
from tinygrad_mnist.tf.io import decode_raw, read_file
from tinygrad_mnist.tf.nn import sigmoid, tanh

#: What the namespace is; texts print it.
__version__ = f"tinygrad_mnist {_version} (not TensorFlow)"

float16, float32, float64 = DTYPES["float16"], DTYPES["float32"], DTYPES["float64"]
int8, int16, int32, int64 = DTYPES["int8"], DTYPES["int16"], DTYPES["int32"], DTYPES["int64"]
uint8, uint16, uint32 = DTYPES["uint8"], DTYPES["uint16"], DTYPES["uint32"]
uint64, bool, string = DTYPES["uint64"], DTYPES["bool"], DTYPES["string"]
DType = type(float32)


def executing_eagerly() -> Literal[True]:
    """True: an operation has its value at once."""
    return True


def enable_eager_execution(*options: Any, **named: Any) -> None:
    """Does nothing: it is always so."""


def enable_v2_behavior() -> None:
    """Does nothing: it is always so."""


set_random_seed = random.set_seed
#: TensorFlow has these parts of Keras by shorter names, too.
optimizers, losses, metrics = keras.optimizers, keras.losses, keras.metrics
initializers = keras.initializers
#: Functions of arrays are in `tf` and in `tf.math`.
math = functions
#: TensorFlow 1's names within version 2 are the same here.
compat = SimpleNamespace(v1=sys.modules[__name__], v2=sys.modules[__name__])

__all__ = [
    *functions.__all__,
    "DType",
    "Tensor",
    "TensorSpec",
    "bool",
    "compat",
    "config",
    "data",
    "decode_raw",
    "device",
    "device_lib",
    "enable_eager_execution",
    "enable_v2_behavior",
    "errors",
    "executing_eagerly",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "initializers",
    "io",
    "keras",
    "losses",
    "math",
    "metrics",
    "nn",
    "optimizers",
    "random",
    "read_file",
    "set_random_seed",
    "sigmoid",
    "string",
    "tanh",
    "test",
    "train",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]


# `import tinygrad_mnist.tf.keras.layers` means the same modules.
for _name, _module in list(sys.modules.items()):
    if f"{_name}.".startswith(f"{keras.__name__}."):
        sys.modules[_name.replace(keras.__name__, f"{__name__}.keras", 1)] = _module

_PARTS = {
    "config": config,
    "data": data,
    "io": io,
    "keras": keras,
    "math": math,
    "nn": nn,
    "random": random,
    "test": test,
    "train": train,
}


def _within(name: str) -> list[str]:
    """The parts that have a name."""
    return [f"tf.{part}.{name}" for part, module in _PARTS.items() if name in module.__all__]


for _part, _module in _PARTS.items():
    if _module is not keras:  # which isn't TensorFlow's alone
        vars(_module)["__getattr__"] = finder(f"tf.{_part}", _module.__all__, _within)
__getattr__ = finder("tf", __all__, _within)
