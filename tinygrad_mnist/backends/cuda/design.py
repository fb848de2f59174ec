"""A plan's calls designed for a GPU: everything about a kernel but its machine code.

A `Design` is plain data, and says all that the code depends on, so equal designs share their code,
within a process and, by their digest, on disk.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from tinygrad_mnist.backends.base import bound_buffers
from tinygrad_mnist.backends.cuda.operands import Operand, Pointer, operand, pointer
from tinygrad_mnist.backends.cuda.source import call_source
from tinygrad_mnist.compile.depends import is_guarded
from tinygrad_mnist.compile.plan import INPUT, OUTPUT, KernelCall, Plan, View
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts import CONTRACTS

# A compute capability, such as (9, 0).
Capability = tuple[int, int]


@dataclass(frozen=True)
class Design:
    """A kernel call for which machine code can be made.

    operands: inputs, then outputs. params: the contract's integers. source: the call's module (see
    `source.py`). guarded: whether it does nothing after a failed check (see `depends.is_guarded`).
    note: what a failed check leaves: 1 + its number in the plan; 0 of other calls. capability: of
    the GPU that it is for; kernels use instructions that older ones lack.
    """

    kernel: str
    operands: tuple[Operand, ...]
    n_inputs: int
    params: tuple[tuple[str, Any], ...]
    source: str
    guarded: bool
    note: int
    allow_tf32: bool
    capability: Capability

    @property
    def digest(self) -> str:
        """The same for equal designs in every process."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class DesignedCall:
    """A design and the buffers that it works on."""

    design: Design
    pointers: tuple[Pointer, ...]
    call: KernelCall


def step_columns(plan: Plan) -> dict[int, int]:
    """The column of the step table for each buffer that may have an axis of steps. The columns of
    inputs and outputs follow those of the slots; each holds the element offset at which the array
    of a step begins."""
    stackable = [b for b in bound_buffers(plan) if plan.buffers[b].kind in (INPUT, OUTPUT)]
    return {b: plan.host.n_slots + k for k, b in enumerate(stackable)}


def table_width(plan: Plan) -> int:
    """Columns of the step table, one at least."""
    return max(1, plan.host.n_slots + len(step_columns(plan)))


def design_plan(plan: Plan, capability: Capability) -> list[DesignedCall]:
    """All calls of a plan, for GPUs of one compute capability; TooLargeError where an array is too
    large for their kernels."""
    stacked, width = step_columns(plan), table_width(plan)
    designed = []
    after_check = False
    for number, call in enumerate(plan.calls):
        designed.append(_design(plan, call, stacked, width, after_check, number, capability))
        after_check = after_check or CONTRACTS[call.kernel].checks
    return designed


def _design(
    plan: Plan,
    call: KernelCall,
    stacked: dict[int, int],
    width: int,
    after_check: bool,
    number: int,
    capability: Capability,
) -> DesignedCall:
    views = [*call.inputs, *call.outputs]
    pointers = tuple(pointer(v, stacked) for v in views)
    operands = tuple(
        _operand(plan, view, start, stacked) for view, start in zip(views, pointers, strict=True)
    )
    contract = CONTRACTS[call.kernel]
    design = Design(
        call.kernel,
        operands,
        len(call.inputs),
        tuple(contract.int_params(call.params).items()),
        call_source(call, operands, pointers, width),
        after_check and is_guarded(plan.buffers, call),
        number + 1 if contract.checks else 0,
        config.allow_tf32 and contract.allows_tf32,
        capability,
    )
    return DesignedCall(design, pointers, call)


def _operand(plan: Plan, view: View, start: Pointer, stacked: dict[int, int]) -> Operand:
    buffer = plan.buffers[view.buffer]
    n_stacked = buffer.size if view.buffer in stacked else 0
    return operand(view, start, buffer.offset, n_stacked)  # a temporary's offset is in the arena
