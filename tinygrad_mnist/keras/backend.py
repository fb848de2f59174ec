"""`keras.backend`: devices, settings, and values of variables.

from tinygrad_mnist.keras import backend as K
K.tensorflow_backend._get_available_gpus()
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_mnist.backends.devices import DeviceInfo, usable_devices
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras.layers.naming import reset_names
from tinygrad_mnist.keras.layers.signal import Array
from tinygrad_mnist.keras.models.extractor import FeatureExtractor

_EPSILON = 1e-7


class LocalDevice:
    """A device, printed as TensorFlow prints it.

    name: '/device:CPU:0'. device_type: 'CPU' or 'GPU'. memory_limit: its memory in bytes, 0 if
    unknown. physical_device_desc: what it is; of a GPU also its compute capability.
    """

    def __init__(self, device: DeviceInfo) -> None:
        self.name = f"/device:{device.kind}:{device.number}"
        self.device_type = device.kind
        self.memory_limit = device.memory
        self.physical_device_desc = device.description

    def __repr__(self) -> str:
        return (
            f'name: "{self.name}"\ndevice_type: "{self.device_type}"\nmemory_limit:'
            f' {self.memory_limit}\nphysical_device_desc: "{self.physical_device_desc}"\n'
        )


def list_local_devices() -> list[LocalDevice]:
    """The processor, and the GPUs if this package can use one.

    `tinygrad-mnist devices` says what is missing where a GPU can't be used.
    """
    return [LocalDevice(device) for device in usable_devices()]


def _get_available_gpus() -> list[str]:
    """The names of the GPUs that can be used, such as '/device:GPU:0'."""
    return [device.name for device in list_local_devices() if device.device_type == "GPU"]


#: Keras 2 has `_get_available_gpus` in this module.
tensorflow_backend = sys.modules[__name__]


def backend() -> str:
    """The name of what computes."""
    return "tinygrad_mnist"


def image_data_format() -> str:
    """'channels_last': images are (height, width, channels) to users."""
    return "channels_last"


def set_image_data_format(data_format: str) -> None:
    """Accepts 'channels_last', the only one; ArgumentError for others."""
    if data_format != "channels_last":
        raise ArgumentError(f"data_format is {shown(data_format)}; it can be 'channels_last'")


def floatx() -> str:
    """The dtype of parameters and inputs, `config.floatX`."""
    return config.floatX


def set_floatx(value: str) -> None:
    """Sets `config.floatX`: 'float32' or 'float64'."""
    config.floatX = value


def epsilon() -> float:
    """The distance from 0 and 1 to which losses clip probabilities."""
    return _EPSILON


def clear_session(free_memory: bool = True) -> None:
    """Names of layers are numbered from the beginning again. Models stay as they are."""
    reset_names()


def get_value(x: Any) -> Any:
    """The value of a shared variable or an expression; numbers and arrays are their own."""
    if isinstance(x, SharedVariable):
        return x.get_value()
    return x.eval() if isinstance(x, Variable) else x


def function(inputs: Any, outputs: Any) -> Callable[[Any], list[Array]]:
    """A function of a list of one batch, which gives a list of what layers of a model make of it.

    inputs: [model.input]; outputs: [layer.output, ...].
    """
    extractor = FeatureExtractor(inputs, list(outputs))

    def compute(batches: Any) -> list[Array]:
        batch = batches[0] if isinstance(batches, list | tuple) else batches
        found: list[Array] = extractor.predict(batch)
        return found

    return compute


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The shape of a layer's input or output, with None for the batch, or of an array."""
    return tuple(x.shape)


def set_value(x: Any, value: Any) -> None:
    """Sets a shared variable, such as `model.optimizer.learning_rate`."""
    if not isinstance(x, SharedVariable):
        raise GraphTypeError(f"{shown(x)} is no shared variable, so its value can't be set")
    x.set_value(np.asarray(value, dtype=x.dtype))


__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "function",
    "get_value",
    "image_data_format",
    "int_shape",
    "list_local_devices",
    "set_floatx",
    "set_image_data_format",
    "set_value",
    "tensorflow_backend",
]
