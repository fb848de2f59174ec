"""Kernels against NumPy in float64, with a user's shapes, strides and dtypes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist import backends
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
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Array, ArraySpec
from tinygrad_mnist.errors import MissingKernelError

KERNELS = tuple(BUILDERS)


class KernelCheck(NamedTuple):
    """One output of one call, compared. shapes: of the inputs. output: its number."""

    request: Request
    shapes: tuple[Shape, ...]
    output: int
    error: Error

    @property
    def passes(self) -> bool:
        """Whether the output is as exact as it has to be."""
        return self.error.passes

    def __str__(self) -> str:
        r = self.request
        name = f"{r.kernel} {r.op}" if r.op else r.kernel
        e = self.error
        return (
            f"{name} output {self.output}, {r.dtype}, {r.layout}, of {shapes_text(self.shapes)}: "
            f"{e.ulp:.1f} ulp, {e.norm:.1e} of at most {e.bound:.1e}"
            f"{'' if self.passes else ': WRONG'}"
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
    results = _run(problem, request, device)
    shapes = tuple(x.shape for x in problem.inputs)
    if not results:  # a kernel that checks its input: it has passed where it raises nothing
        yield KernelCheck(request, shapes, 0, Error(0.0, 0.0, 0.0, 0))
    for number, (result, exact) in enumerate(zip(results, _exact(problem, request), strict=True)):
        error = error_of(result, exact, _roundings(problem, request))
        yield KernelCheck(request, shapes, number, error)


def _roundings(problem: Problem, request: Request) -> float:
    """The bound of the error. Every factor of a product adds one rounding, of either sign."""
    factors: int = problem.inputs[0].size if request.op == "prod" else 0
    return max(ROUNDINGS, 2 * math.sqrt(factors))


def _run(problem: Problem, request: Request, device: str) -> list[Array]:
    relaid = LAYOUTS[request.layout]
    inputs = [relaid(x) if x.ndim else x for x in problem.inputs]
    outputs = [relaid(poisoned(o)) for o in problem.outputs]
    if problem.in_place is not None:
        outputs[0] = inputs[problem.in_place]
    return OneCall(request.kernel, inputs, outputs, problem.params).run(device)


def _exact(problem: Problem, request: Request) -> list[Array]:
    """What the contract computes in float64."""
    if np.dtype(request.dtype).kind != "f":
        wide, params = problem.inputs, problem.params
    else:
        wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in problem.inputs]
        params = build(replace(request, dtype="float64")).params
    outputs = [
        ArraySpec("float64", o.shape) if np.dtype(o.dtype).kind == "f" else o
        for o in problem.outputs
    ]
    with np.errstate(all="ignore"):  # inf - inf and 0 * inf are NaN on every backend
        return CONTRACTS[request.kernel].reference(params, wide, outputs)


__all__ = [
    "KERNELS",
    "LAYOUTS",
    "KernelCheck",
    "Request",
    "check_all",
    "check_kernel",
    "kernels_of",
]
