"""The oracle: each call by its contract's NumPy function. Slow, and easy to believe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.backends.base import Arena, Program, bound_buffers, range_error
from tinygrad_mnist.compile.plan import CONSTANT, TEMPORARY, Plan, View
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.base import Array
from tinygrad_mnist.errors import IndexOutOfRangeError


class ReferenceProgram:
    """A plan over NumPy arrays."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._bound = bound_buffers(plan)

    def run(self, arrays: Sequence[Array], slots: Sequence[int]) -> None:
        memory: dict[int, Array] = dict(zip(self._bound, arrays, strict=True))
        for number, buffer in enumerate(self._plan.buffers):
            if buffer.kind == CONSTANT:
                assert buffer.value is not None
                memory[number] = buffer.value
            elif buffer.kind == TEMPORARY:
                memory[number] = np.empty(buffer.shape, dtype=buffer.dtype)
        for call in self._plan.calls:
            inputs = [_array(memory, v, slots) for v in call.inputs]
            if call.kernel == "check_range":
                (index,) = inputs
                inside = (call.params["low"] <= index) & (index < call.params["high"])
                if not inside.all():
                    raise range_error(call)
                continue
            contract = CONTRACTS[call.kernel]
            with np.errstate(all="ignore"):
                results = contract.reference(call.params, inputs, [v.spec for v in call.outputs])
            for view, result in zip(call.outputs, results, strict=True):
                _array(memory, view, slots)[...] = result

    def sweep(
        self, arrays: Sequence[Array], stacked: Sequence[bool], slots: Array
    ) -> tuple[int, IndexOutOfRangeError | None]:
        """Runs the plan once per row of `slots`; see `Program`."""
        for step, row in enumerate(slots.tolist()):
            current = [
                a[step : step + 1].reshape(a.shape[1:]) if s else a
                for a, s in zip(arrays, stacked, strict=True)
            ]
            try:
                self.run(current, row)
            except IndexOutOfRangeError as error:
                return step, error
        return len(slots), None


def _array(memory: dict[int, Array], view: View, slots: Sequence[int]) -> Array:
    """The elements of a view as a NumPy array over the buffer's memory."""
    layout = view.layout
    flat = memory[view.buffer].reshape(-1)
    offset = layout.offset + sum(slots[slot] * step for slot, step in layout.slots)
    if layout.size == 0:
        return np.empty(layout.shape, dtype=view.dtype)
    strides = tuple(s * flat.itemsize for s in layout.strides)
    result: Any = np.lib.stride_tricks.as_strided(
        flat[offset:], layout.shape, strides, writeable=flat.flags.writeable
    )
    return result  # type: ignore[no-any-return]


class NoArena:
    """Temporaries are arrays of their own, made anew in every run."""

    nbytes = 0


class ReferenceBackend:
    """NumPy, and the base vocabulary only: the graph as it is, no fusion."""

    name = "reference"
    fuses = False

    @property
    def kernels(self) -> frozenset[str]:
        return frozenset(name for name, contract in CONTRACTS.items() if contract.base)

    def arena(self) -> Arena:
        return NoArena()

    def program(self, plan: Plan, arena: Any) -> Program:
        return ReferenceProgram(plan)
