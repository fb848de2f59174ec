"""Shared variables: leaves of a graph that keep a value from call to call."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.graph.access import ReadWriteLock
from tinygrad_mnist.graph.source import user_origins
from tinygrad_mnist.graph.storage import DeviceCopy, aligned_copy, storable
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Variable


class SharedVariable(Variable):
    """A variable that keeps a value from call to call; functions read it and update it.

    The value is in one C-contiguous array that no other shared variable aliases. Once a device has
    used it, there is also a copy in the device's memory. The one that changed last is valid; it is
    copied when the other side needs it.

    strict, allow_downcast: which values `set_value` takes; see `shared`. version: a number that
    grows whenever the host may have changed the value. device_copy: set by the backend.
    """

    __slots__ = ("_default_update", "_storage", "device_copy", "version")

    strict: bool = False
    allow_downcast: bool | None = None

    def __init__(self, value: Array, type: TensorType, name: str | None = None) -> None:
        super().__init__(type, None, 0, name, user_origins())
        self._storage = value
        self._default_update: Variable | None = None
        self.device_copy: DeviceCopy | None = None
        self.version = 0

    @property
    def default_update(self) -> Any:
        """The new value that functions give it which neither update it nor refuse to; or None.
        `del` removes it."""
        return self._default_update

    @default_update.setter
    def default_update(self, value: Any) -> None:
        self._default_update = value

    @default_update.deleter
    def default_update(self) -> None:
        self._default_update = None

    @property
    def storage(self) -> Array:
        """The array itself, for the engine to read; users take `get_value()`."""
        if self.device_copy is not None:
            self.sync_to_host()
        return self._storage

    @property
    def storage_to_write(self) -> Array:
        """The array itself, for the engine to read and change."""
        if self.device_copy is not None:
            self.sync_to_host()
            self.version += 1
        return self._storage

    @property
    def host_array(self) -> Array:
        """The array as it is, even if a device has a newer value; its shape is always right."""
        return self._storage

    def sync_to_host(self) -> None:
        """Copies the value to the host's array if the device's is newer."""
        copy = self.device_copy
        if copy is not None and copy.is_newer:
            copy.fetch(self._storage)
            copy.is_newer = False

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Array:
        """The present value; a copy, unless `borrow` is true.

        While a function in another thread updates the variable, copying waits for the end of its
        step, or sweep. A borrowed array is the storage itself: it changes when a function updates
        the variable on the CPU. If a GPU updates it, the array keeps the value it had when it was
        borrowed, or has a newer one, and values written to it may be lost.
        """
        if borrow and self.device_copy is None:
            return self._storage
        with ReadWriteLock(reads=[self]):
            return self.storage if borrow else self.storage.copy()

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Sets a new value of the same dtype and number of dimensions; its shape may differ.

        It is copied even with `borrow`, since shared variables never alias other arrays.

        While a function in another thread uses the variable, this waits for the end of its step,
        or sweep.

        Raises TypeError for another number of dimensions and where an array's values would lose
        precision; Python's floats are rounded. `allow_downcast=True` of `shared` lets any value in.
        """
        label = f"the shared variable {self.name!r}" if self.name else "the shared variable"
        if isinstance(new_value, Variable):
            raise TypeError(f"{label} takes values; {new_value} is symbolic")
        array = storable(new_value, self.type, label, self.strict, self.allow_downcast)
        with ReadWriteLock(writes=[self]):
            if array.shape == self._storage.shape:
                self._storage[...] = array
            else:
                self._storage = aligned_copy(array, self.dtype)
            self.version += 1
            if self.device_copy is not None:
                self.device_copy.is_newer = False

    def zero(self, borrow: bool = False) -> None:
        """Sets all elements to 0."""
        self.set_value(np.zeros_like(self._storage))

    def clone(self) -> SharedVariable:
        """Another shared variable of the same type, with a copy of the value."""
        copy = SharedVariable(aligned_copy(self.get_value(), self.dtype), self.type, self.name)
        copy.strict, copy.allow_downcast = self.strict, self.allow_downcast
        return copy

    def __str__(self) -> str:
        return self.name if self.name is not None else f"<shared {self.type}>"
