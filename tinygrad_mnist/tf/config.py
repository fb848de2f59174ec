"""`tf.config`: the devices that this package can use."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, NamedTuple

from tinygrad_mnist.backends.devices import usable_devices
from tinygrad_mnist.config import change_flags
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import shown


class PhysicalDevice(NamedTuple):
    """A device, name: '/physical_device:CPU:0', device_type: 'CPU' or 'GPU'."""

    name: str
    device_type: str


class LogicalDevice(NamedTuple):
    """A device, name: '/device:CPU:0', device_type: 'CPU' or 'GPU'."""

    name: str
    device_type: str


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The processor, and the GPUs if this package can use one.

    device_type: 'CPU' or 'GPU' for these alone. `tinygrad-mnist devices` says what is missing where
    a GPU can't be used.
    """
    return [
        PhysicalDevice(f"/physical_device:{d.kind}:{d.number}", d.kind)
        for d in usable_devices()
        if _wanted(d.kind, device_type)
    ]


def list_logical_devices(device_type: str | None = None) -> list[LogicalDevice]:
    """The same, by the names by which programs call them."""
    return [
        LogicalDevice(f"/device:{d.kind}:{d.number}", d.kind)
        for d in usable_devices()
        if _wanted(d.kind, device_type)
    ]


def get_visible_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The same as `list_physical_devices`."""
    return list_physical_devices(device_type)


def device(device_name: str) -> change_flags:
    """A context whose models compute on a device: '/CPU:0', '/device:GPU:0', 'gpu'.

    Raises ArgumentError for what names neither the processor nor the first GPU, and DeviceError,
    which says what is missing, on entering it where no GPU can be used.
    """
    found = re.fullmatch(r"/?(?:.*[/:])?(cpu|gpu)(?::0)?", str(device_name).lower())
    if found is None:
        raise ArgumentError(f"device_name is {shown(device_name)}; it can be '/CPU:0' or '/GPU:0'")
    return change_flags(device="cpu" if found[1] == "cpu" else "cuda")


def _set_memory_growth(device: PhysicalDevice, enable: bool) -> None:
    """Does nothing: memory of a GPU is taken when it is needed, always."""


def _wanted(kind: str, device_type: Any) -> bool:
    if device_type is not None and device_type not in ("CPU", "GPU", "TPU"):
        raise ArgumentError(f"device_type is {shown(device_type)}; it can be 'CPU', 'GPU' or None")
    return device_type in (None, kind)


#: Older names of the same.
experimental = SimpleNamespace(
    list_physical_devices=list_physical_devices,
    list_logical_devices=list_logical_devices,
    get_visible_devices=get_visible_devices,
    set_memory_growth=_set_memory_growth,
)

__all__ = [
    "LogicalDevice",
    "PhysicalDevice",
    "experimental",
    "get_visible_devices",
    "list_logical_devices",
    "list_physical_devices",
]
