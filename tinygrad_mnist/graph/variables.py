"""Nodes and variables: the graph itself.

A `Node` is an op applied to variables; its results are variables that point back to it. Nothing
here changes after it is made, so a graph can be shared, rewritten by copying, and walked freely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tinygrad_mnist.graph.access import Hold
from tinygrad_mnist.graph.operators import Operators
from tinygrad_mnist.graph.source import Source, user_source
from tinygrad_mnist.graph.types import INTEGERS, TensorType, static_type

if TYPE_CHECKING:
    from tinygrad_mnist.graph.op import Op

Array = np.ndarray[Any, np.dtype[Any]]


class Variable(Operators):
    """A value in a graph: an input (no node), or result number `index` of `node`.

    type: dtype and dimensions.
    name: the user's name for it, or None.
    source: the user's line that made it, or None.
    """

    __slots__ = ("index", "name", "node", "source", "type")

    def __init__(
        self,
        type: TensorType,
        node: Node | None = None,
        index: int = 0,
        name: str | None = None,
        source: Source | None = None,
    ) -> None:
        self.type = type
        self.node = node
        self.index = index
        self.name = name
        self.source = source

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.ndim

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        return self.type.broadcastable

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        if self.node is not None:
            suffix = f".{self.index}" if len(self.node.outputs) > 1 else ""
            return f"{self.node.op.name}{suffix}"
        return f"<{self.type}>"

    def __repr__(self) -> str:
        return str(self)


class Input(Variable):
    """A variable that the user hands a value for: `T.matrix('x')`."""

    __slots__ = ()

    def __init__(self, type: TensorType, name: str | None = None) -> None:
        super().__init__(type, None, 0, name, user_source())


class Constant(Variable):
    """A variable whose value is part of the graph.

    weak: True for a Python number: it takes the dtype of what it meets.
    """

    __slots__ = ("value", "weak")

    def __init__(self, value: Array, weak: bool = False, name: str | None = None) -> None:
        array = np.array(value, dtype=value.dtype.newbyteorder("="))
        array.flags.writeable = False
        broadcastable = tuple(n == 1 for n in array.shape)
        super().__init__(static_type(array.dtype.name, array.shape, broadcastable), name=name)
        self.value = array
        self.weak = weak

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        if self.value.ndim == 0:
            return str(self.value[()])  # a float32 in its own few digits
        return f"<constant {self.type}>"


class DeviceCopy(Protocol):
    """A shared variable's value in the memory of a device.

    is_newer: whether the device has changed it since it was last the same as the host's.
    """

    is_newer: bool

    def fetch(self, array: Array) -> None:
        """Copies the value to an array of the host."""


CACHE_LINE = 64  # bytes


def aligned_copy(value: Array, dtype: str) -> Array:
    """A C-contiguous copy that begins where a cache line does.

    NumPy's begin 16 bytes behind one, so every other vector of a row would lie across two lines,
    which costs the product of a layer 10 to 20 %.
    """
    nbytes = value.size * np.dtype(dtype).itemsize
    memory = np.empty(nbytes + CACHE_LINE, np.uint8)
    begin = -memory.__array_interface__["data"][0] % CACHE_LINE
    array: Array = memory[begin : begin + nbytes].view(dtype).reshape(value.shape)
    array[...] = value
    return array


class SharedVariable(Variable):
    """A variable that keeps a value from call to call; functions read it and update it.

    The value lives in one C-contiguous array that no other shared variable aliases. Where a device
    has worked with it, there is a copy in the device's memory; whichever was changed last counts,
    and it is moved when the other side asks for it.

    version: a number that grows whenever the host may have changed the value. device_copy: the
    engine's.
    """

    __slots__ = ("_storage", "default_update", "device_copy", "version")

    def __init__(self, value: Array, type: TensorType, name: str | None = None) -> None:
        super().__init__(type, None, 0, name, user_source())
        self._storage = value
        self.default_update: Variable | None = None
        self.device_copy: DeviceCopy | None = None
        self.version = 0

    def __getstate__(self) -> Any:
        """The host's value: a copy on a device is not part of what is pickled or copied."""
        with Hold(reads=[self]):
            self.bring_home()
            state: Any = super().__getstate__()
        return state[0], {**state[1], "device_copy": None}

    @property
    def storage(self) -> Array:
        """The array itself, for the engine to read; users take `get_value()`."""
        if self.device_copy is not None:
            self.bring_home()
        return self._storage

    @property
    def storage_to_write(self) -> Array:
        """The array itself, for the engine to read and change."""
        if self.device_copy is not None:
            self.bring_home()
            self.version += 1
        return self._storage

    @property
    def host_array(self) -> Array:
        """The array as it is, even where a device has a newer value; its shape is always right."""
        return self._storage

    def bring_home(self) -> None:
        """Makes the host's array the same as a newer value on a device."""
        copy = self.device_copy
        if copy is not None and copy.is_newer:
            copy.fetch(self._storage)
            copy.is_newer = False

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Array:
        """The present value; a copy, unless `borrow` is true.

        While a function in another thread updates the variable, a copy waits for the end of its
        step, or sweep. A borrowed array is the storage itself: it changes when a function updates
        the variable on the CPU. Where a GPU does, it shows the value of the moment when it was
        borrowed, at least, and what is written to it may be lost.
        """
        if borrow and self.device_copy is None:
            return self._storage
        with Hold(reads=[self]):
            return self.storage if borrow else self.storage.copy()

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Puts in a new value of the same dtype and number of dimensions; its shape may differ.

        It is copied even with `borrow`, since shared variables never alias anything.

        While a function in another thread uses the variable, this waits for the end of its step,
        or sweep.

        Floats are rounded to the variable's dtype. Raises TypeError where floats would become
        integers, integers don't fit, or the number of dimensions differs.
        """
        label = f"the shared variable {self.name!r}" if self.name else "the shared variable"
        if isinstance(new_value, Variable):
            raise TypeError(f"{label} takes values; {new_value} is symbolic")
        array = np.asarray(new_value)
        if array.ndim != self.ndim:
            raise TypeError(f"{label} has {self.ndim} dimensions; the new value has {array.ndim}")
        if array.dtype.kind in "iu" and self.dtype in INTEGERS:
            info = np.iinfo(self.dtype)
            if array.size and not (info.min <= array.min() and array.max() <= info.max):
                raise TypeError(f"{label} is {self.dtype}, which can't hold the new value")
        elif array.dtype != self.dtype and not np.can_cast(array.dtype, self.dtype, "same_kind"):
            raise TypeError(f"{label} is {self.dtype}; the new value is {array.dtype}")
        for axis, fixed in enumerate(self.type.broadcastable):
            if fixed and array.shape[axis] != 1:
                raise TypeError(
                    f"{label} broadcasts along axis {axis}, so its length there stays 1; "
                    f"the new value's shape is {array.shape}"
                )
        with Hold(writes=[self]):
            if array.shape == self._storage.shape:
                self._storage[...] = array
            else:
                self._storage = aligned_copy(array, self.dtype)
            self.version += 1
            if self.device_copy is not None:
                self.device_copy.is_newer = False

    def __str__(self) -> str:
        return self.name if self.name is not None else f"<shared {self.type}>"


class Node:
    """An op applied to inputs, with its static parameters; `outputs` are its results."""

    __slots__ = ("inputs", "op", "outputs", "params", "source")

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Variable],
        params: Mapping[str, Any],
        types: Sequence[TensorType],
        source: Source | None,
    ) -> None:
        self.op = op
        self.inputs = tuple(inputs)
        self.params: Mapping[str, Any] = MappingProxyType(dict(params))
        self.source = source
        self.outputs = tuple(Variable(t, self, i, None, source) for i, t in enumerate(types))

    def __repr__(self) -> str:
        return f"{self.op.name}({', '.join(map(str, self.inputs))})"
