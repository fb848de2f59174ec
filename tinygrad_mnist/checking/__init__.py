"""Kernels against NumPy in float64, with a user's shapes, strides and dtypes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tinygrad_mnist import backends
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.checking.bounds import exact_call, largest_errors
from tinygrad_mnist.checking.layouts import LAYOUTS
from tinygrad_mnist.checking.measure import ROUNDINGS, Error, error_of
from tinygrad_mnist.checking.one_call import OneCall, poisoned
from tinygrad_mnist.checking.problems import (
    BUILDERS,
    Problem,
    Request,
    Shape,
    build,
    dtypes_of,
    variants,
)
from tinygrad_mnist.config import device_of
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Array, ArraySpec
from tinygrad_mnist.errors import MissingKernelError

KERNELS = tuple(BUILDERS)


class CallCheck(NamedTuple):
    """A call, compared. errors: of each output. faults: what the kernel does wrong, seen on `ptx`
    alone; see docs/ptx.md."""

    errors: tuple[Error, ...]
    faults: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the outputs are as exact as they have to be, and nothing else is wrong."""
        return not self.faults and all(error.passes for error in self.errors)


class KernelCheck(NamedTuple):
    """One output of one call, compared. shapes: of the inputs. output: its number. faults: those of
    the call, with its first output."""

    request: Request
    shapes: tuple[Shape, ...]
    output: int
    error: Error
    faults: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the output is as exact as it has to be, and the call has no faults."""
        return self.error.passes and not self.faults

    def __str__(self) -> str:
        r = self.request
        name = f"{r.kernel} {r.op}" if r.op else r.kernel
        e = self.error
        return (
            f"{name} output {self.output}, {r.dtype}, {r.layout}, of {shapes_text(self.shapes)}: "
            f"{e.ulp:.1f} ulp, {e.norm:.1e} of at most {e.bound:.1e}"
            f"{'' if math.isnan(e.used) else f', {e.used:.1%} of the bound of an element'}"
            f"{'' if self.error.passes else ': WRONG'}{''.join(f'; {f}' for f in self.faults)}"
        )


def shapes_text(shapes: Sequence[Shape]) -> str:
    """Shapes as plans print them, such as "10x784 784x100"; "()" of a single number."""
    return " ".join("x".join(map(str, s)) or "()" for s in shapes)


def kernels_of(device: str) -> list[str]:
    """The kernels that can be checked on a device. Raises DeviceError where it can't be used."""
    present = backends.backend(device).kernels
    return [kernel for kernel in KERNELS if kernel in present]


def check_kernel(kernel: str, *, device: str = "cpu", **options: Any) -> list[KernelCheck]:
    """Runs a kernel on `device` and compares its outputs with those of NumPy in float64.

    kernel: its name, such as "conv2d". options: the fields of `problems.Request`: shape, filters,
    dtype, layout (contiguous, transposed, channels-last, gaps, reversed), stride, padding, flip,
    pool, axis, op, seed. Without `op`, `elementwise`, `reduce` and `average_pool2d` are checked
    with each of their operations.

    Returns one record per output. Raises ValueError for shapes or options that the kernel can't
    have, DeviceError where the device can't be used, MissingKernelError where it lacks the kernel.
    """
    if kernel in KERNELS and kernel not in kernels_of(device):
        raise MissingKernelError(f"the device {device!r} has no kernel {kernel!r}")
    request = Request(kernel, **options)
    request = replace(request, dtype=request.dtype or dtypes_of(kernel)[0])
    if request.layout not in LAYOUTS:
        raise ValueError(f"layout is one of {', '.join(LAYOUTS)}, not {request.layout!r}")
    return [check for r in variants(request) for check in _check(r, device)]


def check_call(
    kernel: str,
    inputs: Sequence[Array],
    outputs: Sequence[ArraySpec | Array],
    params: Mapping[str, Any] | None = None,
    device: str = "ptx",
) -> CallCheck:
    """Runs a kernel on arrays and compares its outputs with those of its contract in float64.

    inputs: arrays with any strides. outputs: specs, or arrays whose places and strides the results
    get, which may be inputs. params: those of the contract. On `ptx` it is checked for races,
    accesses outside of operands and the like, too.

    Raises ValueError for a kernel that isn't known, MissingKernelError for one that the device
    lacks, DeviceError where the device can't be used.
    """
    if kernel not in CONTRACTS:
        raise ValueError(f"there is no kernel {kernel!r}; there are {', '.join(CONTRACTS)}")
    if kernel not in backends.backend(device).kernels:
        raise MissingKernelError(f"the device {device!r} has no kernel {kernel!r}")
    call = OneCall(kernel, inputs, outputs, params)
    wanted = [ArraySpec(a.dtype.name, a.shape) for a in call.arrays[len(inputs) :]]
    exact = exact_call(kernel, params or {}, inputs, wanted).exact
    results, faults = _run(call, device)
    errors = [error_of(r, e, ROUNDINGS) for r, e in zip(results, exact, strict=True)]
    return CallCheck(tuple(errors), faults)


def check_all(device: str = "cpu", seed: int = 0) -> Iterator[KernelCheck]:
    """The checks of every kernel that the device has, with its default shapes, in two dtypes and
    every layout, one after the other. Raises DeviceError where the device can't be used."""
    for kernel in kernels_of(device):
        for dtype in dtypes_of(kernel):
            for layout in LAYOUTS:
                yield from check_kernel(
                    kernel, device=device, dtype=dtype, layout=layout, seed=seed
                )


def _check(request: Request, device: str) -> Iterator[KernelCheck]:
    problem = build(request)
    results, faults = _run(_call(problem, request), device)
    shapes = tuple(x.shape for x in problem.inputs)
    if not results:  # a kernel that checks its input: it has passed where it raises nothing
        yield KernelCheck(request, shapes, 0, Error(0.0, 0.0, 0.0, 0), faults)
    call = exact_call(request.kernel, problem.params, problem.inputs, problem.outputs)
    largest = largest_errors(call) if device_of(device) == "cpu" else [None] * len(results)
    for number, (result, exact) in enumerate(zip(results, call.exact, strict=True)):
        error = error_of(result, exact, _roundings(problem, request), largest[number])
        yield KernelCheck(request, shapes, number, error, () if number else faults)


def _roundings(problem: Problem, request: Request) -> float:
    """The bound of the error. Every factor of a product adds one rounding, of either sign."""
    factors: int = problem.inputs[0].size if request.op == "prod" else 0
    return max(ROUNDINGS, 2 * math.sqrt(factors))


def _run(call: OneCall, device: str) -> tuple[list[Array], tuple[str, ...]]:
    """The outputs, and the faults that the machine of `ptx` has seen."""
    if device_of(device) != "ptx":
        return call.run(device), ()
    observer = Observer()
    results = call.run(backends.gpu_backends().ptx_backend(observer))
    return results, tuple(map(str, observer.faults))


def _call(problem: Problem, request: Request) -> OneCall:
    relaid = LAYOUTS[request.layout]
    inputs = [relaid(x) if x.ndim else x for x in problem.inputs]
    outputs = [relaid(poisoned(o)) for o in problem.outputs]
    if problem.in_place is not None:
        outputs[0] = inputs[problem.in_place]
    return OneCall(request.kernel, inputs, outputs, problem.params)


__all__ = [
    "KERNELS",
    "LAYOUTS",
    "CallCheck",
    "KernelCheck",
    "Request",
    "check_all",
    "check_call",
    "check_kernel",
    "kernels_of",
]
