"""Runs one kernel of the native module on NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist import _native
from tinygrad_mnist.backends.cpu import instruction_set
from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import CONTRACTS, ArraySpec
from tinygrad_mnist.contracts.core.tape import Instruction, Tape

AnyArray = NDArray[Any]

TARGETS = _native.targets()


class Run(NamedTuple):
    """What a kernel was run on."""

    kernel: str
    target: str
    dtypes: frozenset[str]
    shapes: tuple[tuple[int, ...], ...]
    strided_input: bool
    strided_output: bool


RUNS: list[Run] = []  # those of the test that runs


def view_of(number: int, array: AnyArray) -> tuple[Any, ...]:
    """The view that shows the whole of `array` in bound buffer `number`."""
    item = array.dtype.itemsize
    strides = [s // item for s in array.strides]
    assert all(s % item == 0 for s in array.strides)
    return (number, array.dtype.name, list(array.shape), strides, 0, [])


def tape_of(tape: Tape) -> tuple[Any, ...]:
    """The tape as the native module takes it."""
    code = [(i.op, list(i.args), i.immediate, i.key) for i in tape.instructions]
    return (tape.dtype, tape.n_inputs, code, list(tape.outputs))


def unary(op: str, dtype: str = "float32") -> Tape:
    """The tape of one operation of one input."""
    return Tape(dtype, 1, (Instruction(op, (0,)),), (1,))


def binary(op: str, dtype: str = "float32") -> Tape:
    """The tape of one operation of two inputs."""
    return Tape(dtype, 2, (Instruction(op, (0, 1)),), (2,))


@contextmanager
def settings(target: str | None = None, threads: int | None = None) -> Iterator[None]:
    """Another SIMD target and number of threads for a while."""
    before = _native.threads()
    with instruction_set(target):
        try:
            if threads is not None and threads != before:
                _native.set_threads(threads)
            yield
        finally:
            if _native.threads() != before:
                _native.set_threads(before)


def call_spec(
    name: str, inputs: Sequence[AnyArray], outputs: Sequence[AnyArray], params: Mapping[str, Any]
) -> tuple[Any, ...]:
    """A call whose operand k is bound to address k, inputs first."""
    contract = CONTRACTS[name]
    n_in = len(inputs)
    return (
        name,
        [view_of(k, array) for k, array in enumerate(inputs)],
        [view_of(n_in + k, array) for k, array in enumerate(outputs)],
        contract.flat_ints(params),
        [tape_of(tape) for _, tape in contract.named_tapes(params)],
    )


def addresses_of(arrays: Sequence[AnyArray]) -> list[int]:
    """Where the first element of each array lies."""
    return [array.__array_interface__["data"][0] for array in arrays]


def run_kernel(
    name: str,
    inputs: Sequence[AnyArray],
    outputs: Sequence[ArraySpec | AnyArray],
    params: Mapping[str, Any] | None = None,
    target: str | None = None,
    threads: int | None = None,
) -> list[AnyArray]:
    """The kernel's outputs for `inputs`, which may be views with any strides.

    outputs: specs, for which poisoned arrays are made; or arrays to write to, which may be views,
    or inputs.
    Raises IndexError where a checking kernel fails.
    """
    results = [poisoned(o) if isinstance(o, ArraySpec) else o for o in outputs]
    arrays = [*inputs, *results]
    with settings(target, threads):
        run = Run(
            name,
            _native.target(),
            frozenset(array.dtype.name for array in arrays),
            tuple(array.shape for array in arrays),
            not all(array.flags.c_contiguous for array in inputs),
            not all(array.flags.c_contiguous for array in results),
        )
        RUNS.append(run)
        program = _native.Program(
            [("bind", k) for k in range(len(arrays))],
            [call_spec(name, inputs, results, params or {})],
            [()],
            0,
        )
        failed = program.run(addresses_of(arrays), [])
    if failed:
        raise IndexError(f"call {failed - 1} failed its check")
    return results


def expect(
    name: str,
    inputs: Sequence[AnyArray],
    outputs: Sequence[ArraySpec],
    params: Mapping[str, Any] | None = None,
) -> list[AnyArray]:
    """The contract's answer, computed in float64 for float inputs."""
    exact = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs]
    with np.errstate(invalid="ignore"):  # inf - inf and 0 * inf are NaN on every backend
        return CONTRACTS[name].reference(params or {}, exact, outputs)


def assert_near(result: AnyArray, exact: AnyArray, tolerance: float | None = None) -> None:
    """|result - exact| / |exact| in norm, NaN and infinities in the same places.

    tolerance: by default 32 roundings of the result's dtype.
    """
    assert result.shape == exact.shape
    if result.dtype.kind != "f":
        np.testing.assert_array_equal(result, exact)
        return
    if tolerance is None:
        tolerance = 32 * float(np.finfo(result.dtype).eps)
    with np.errstate(over="ignore"):
        rounded = exact.astype(result.dtype)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(result[~finite], rounded[~finite])
    wanted = exact[finite]
    scale = float(np.max(np.abs(wanted), initial=0)) or 1.0  # squares must not overflow
    error = np.linalg.norm(result[finite] / scale - wanted / scale)
    smallest = float(np.finfo(result.dtype).tiny)
    assert error <= tolerance * np.linalg.norm(wanted / scale) + smallest / scale
