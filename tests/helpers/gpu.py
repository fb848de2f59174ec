"""Kernel calls on a GPU or in its simulator: as plans of one call over shared variables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from helpers.gpu_cases.case import AnyArray
from helpers.native import poisoned

from tinygrad_mnist import backends
from tinygrad_mnist.compile.host import HostProgram
from tinygrad_mnist.compile.plan import SHARED, Buffer, KernelCall, Plan, View
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.graph.layout import Layout
from tinygrad_mnist.graph.types import tensor_type
from tinygrad_mnist.graph.variables import SharedVariable

#: sim: values, in the simulator; compile: machine code, without a GPU; gpu: values, on a GPU. None
#: outside of the three, where tests/gpu starts a process for each mode.
MODE = os.environ.get("TINYGRAD_MNIST_GPU_TESTS")
BACKEND = {"sim": "cudasim", "gpu": "cuda"}.get(MODE or "", "cuda")
CAPABILITIES = ((7, 5), (8, 0), (9, 0))


class OneCall:
    """A plan of one call. Arrays that share memory share a buffer, as an update in place does."""

    def __init__(
        self,
        kernel: str,
        inputs: Sequence[AnyArray],
        outputs: Sequence[ArraySpec | AnyArray],
        params: Mapping[str, Any] | None = None,
    ) -> None:
        results = [poisoned(o) if isinstance(o, ArraySpec) else o for o in outputs]
        self.arrays = [*inputs, *results]
        self.n_inputs = len(inputs)
        self._bases: list[AnyArray] = []
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

    def _view(self, array: AnyArray) -> View:
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

    def run(self, backend: str) -> list[AnyArray]:
        """The outputs; the arrays that the call was made of are not changed."""
        engine = backends.backend(backend)
        program = engine.program(self.plan, engine.arena())
        program.run(self.variables, [])
        return [self._read(k) for k in range(self.n_inputs, len(self.arrays))]

    def _read(self, k: int) -> AnyArray:
        call = self.plan.calls[0]
        view = [*call.inputs, *call.outputs][k]
        flat = self.variables[view.buffer].get_value()
        strides = [s * flat.itemsize for s in view.layout.strides]
        part = flat[view.layout.offset :]
        return np.lib.stride_tricks.as_strided(part, view.layout.shape, strides).copy()


def _address(array: AnyArray) -> int:
    return int(array.__array_interface__["data"][0])


def _lowest(array: AnyArray) -> int:
    return int(np.lib.array_utils.byte_bounds(array)[0]) if array.size else _address(array)


def _flat(base: AnyArray) -> AnyArray:
    """The elements of an array that owns its memory, in the order of addresses; it has no gaps."""
    return base.ravel(order="K")
