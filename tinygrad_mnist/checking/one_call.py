"""A plan of one kernel call over given arrays, on any backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_mnist import backends
from tinygrad_mnist.compile.host import HostProgram
from tinygrad_mnist.compile.plan import SHARED, Buffer, KernelCall, Plan, View
from tinygrad_mnist.contracts.core.base import Array, ArraySpec
from tinygrad_mnist.graph.layout import Layout
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.types import tensor_type


class OneCall:
    """A plan of one call. Arrays that share memory share a buffer, as an update in place does.

    inputs: arrays with any strides. outputs: a spec, for which an array is made; or an array whose
    place and strides the result gets, which may be an input. params: those of the contract.
    """

    def __init__(
        self,
        kernel: str,
        inputs: Sequence[Array],
        outputs: Sequence[ArraySpec | Array],
        params: Mapping[str, Any] | None = None,
    ) -> None:
        results = [poisoned(o) if isinstance(o, ArraySpec) else o for o in outputs]
        self.arrays = [*inputs, *results]
        self.n_inputs = len(inputs)
        self._bases: list[Array] = []
        self.variables: list[SharedVariable] = []
        views = [self._view(array) for array in self.arrays]
        call = KernelCall(
            kernel, tuple(views[: len(inputs)]), tuple(views[len(inputs) :]), dict(params or {})
        )
        buffers = tuple(
            Buffer(SHARED, v.dtype, v.host_array.shape, f"s{k}", leaf=v)
            for k, v in enumerate(self.variables)
        )
        host = HostProgram((), lambda: ((), ()), (), 0, "")
        self.plan = Plan("cuda", buffers, (call,), ((),), (), 0, host)

    def _view(self, array: Array) -> View:
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        number = next((k for k, b in enumerate(self._bases) if b is base), None)
        if number is None:
            number = len(self._bases)
            self._bases.append(base)
            flat = _flat(base)
            kind = tensor_type(flat.dtype.name, (False,))
            self.variables.append(SharedVariable(flat.copy(), kind, f"s{number}"))
        item = array.itemsize
        start = _address(array) - _lowest(base)
        strides = tuple(s // item for s in array.strides)
        return View(number, array.dtype.name, Layout(array.shape, strides, start // item))

    def run(self, device: str | backends.Backend) -> list[Array]:
        """The outputs on a device or backend; the arrays that the call was made of are not changed.

        Raises DeviceError where the device can't be used, IndexOutOfRangeError where the kernel's
        check fails.
        """
        engine = backends.backend(device) if isinstance(device, str) else device
        program = engine.program(self.plan, engine.arena())
        if engine.keeps_shared:
            program.run(self.variables, [])
            flat = [v.get_value() for v in self.variables]
        else:
            flat = [v.host_array.copy() for v in self.variables]
            program.run(flat, [])
        views = self.plan.calls[0].outputs
        return [_part(flat[view.buffer], view.layout) for view in views]


def poisoned(spec: ArraySpec) -> Array:
    """An array of NaN, or of 0xAB bytes where the dtype has no NaN: what a kernel doesn't write
    shows."""
    array = np.empty(spec.shape, spec.dtype)
    if array.dtype.kind == "f":
        array.fill(np.nan)
    else:
        array.reshape(-1).view(np.uint8)[...] = 1 if spec.dtype == "bool" else 0xAB
    return array


def _part(flat: Array, layout: Layout) -> Array:
    strides = [s * flat.itemsize for s in layout.strides]
    part = flat[layout.offset :]
    return np.lib.stride_tricks.as_strided(part, layout.shape, strides).copy()


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _lowest(array: Array) -> int:
    return int(np.lib.array_utils.byte_bounds(array)[0]) if array.size else _address(array)


def _flat(base: Array) -> Array:
    """The elements of an array that owns its memory, in the order of addresses; it has no gaps."""
    return base.ravel(order="K")
