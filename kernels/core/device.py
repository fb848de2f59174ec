"""The vocabulary of all kernels. Only this module, index.py and tensor_core.py import Numba's CUDA.

`cuda` is Numba's compiler, or its simulator if NUMBA_ENABLE_CUDASIM was 1 when Numba was imported.
Functions that the simulator lacks are defined twice: as device code, and in plain Python.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numba import (
    cuda,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    types,
    uint8,
    uint16,
    uint32,
    uint64,
)
from numba.cuda.core import config

from .call import Function

SIMULATED: bool = bool(config.ENABLE_CUDASIM)


# Types of an operand's elements; a bool is a byte on the device.
TYPES: dict[str, Any] = {
    "bool": uint8,
    "int8": int8,
    "int16": int16,
    "int32": int32,
    "int64": int64,
    "uint8": uint8,
    "uint16": uint16,
    "uint32": uint32,
    "float32": float32,
    "float64": float64,
}


def device(function: Function) -> Function:
    """`function` as a device function, inlined at the compiler's discretion."""
    compiled: Function = cuda.jit(device=True)(function)
    return compiled


def inlined(function: Function) -> Function:
    """A device function that is always inlined. It may take a local array that must stay in
    registers."""
    options = {} if SIMULATED else {"forceinline": True}
    compiled: Function = cuda.jit(device=True, **options)(function)
    return compiled


if SIMULATED:
    from numba.cuda.np.numpy_support import as_dtype
    from numba.cuda.simulator.kernel import _get_kernel_context

    def shared_array(n: int, dtype: Any) -> Any:
        """n elements of the block's shared memory, aligned to 16 bytes.

        A line of source has one call at most, which each thread reaches once: arrays are identified
        by the line. Elements that are not written yet are NaN, or -1.
        """
        frame = sys._getframe(1)
        context = _get_kernel_context()
        place = (frame.f_code, frame.f_lineno, *context.blockIdx)
        arrays = context.shared._allocations
        if place not in arrays:
            unset = np.full(n * as_dtype(dtype).itemsize, 0xFF, np.uint8)
            arrays.setdefault(place, unset.view(as_dtype(dtype)))
        return arrays[place]

    def shifted(p: Any, n: int) -> Any:
        """The pointer p + n."""
        return p[int(n) :]

    def load16(p: Any, i: int) -> tuple[Any, ...]:
        """16 bytes from element i on, a multiple of 4 or 2: 4 float32, or 2 float64 or int64."""
        n = 16 // p.itemsize
        i = int(i)
        assert i % n == 0, "16-byte access of an element that isn't aligned"
        return tuple(p[i : i + n])

    def store16(p: Any, i: int, values: tuple[Any, ...]) -> None:
        """A 16-byte store; see `load16`."""
        n = 16 // p.itemsize
        i = int(i)
        assert i % n == 0, "16-byte access of an element that isn't aligned"
        assert len(values) == n, "16 bytes are 4 float32 or 2 float64"
        p[i : i + n] = values

    def loads_started() -> None:
        """The compiler moves no load past this point."""

    def fused(x: Any, y: Any, z: Any) -> Any:
        """x * y + z of float32, rounded once (twice in rare halfway cases)."""
        return np.float32(np.float64(x) * np.float64(y) + np.float64(z))

    def float_bits(x: Any) -> Any:
        """The bits of a float32 as int32."""
        return np.float32(x).view(np.int32)

    def erf(x: Any) -> Any:
        """The error function."""
        return type(x)(math.erf(x))

    def erfc(x: Any) -> Any:
        """1 - erf(x), accurate for large x too."""
        return type(x)(math.erfc(x))

    def power(x: Any, y: Any) -> Any:
        """x ** y."""
        return x**y

    def divided_roughly(x: Any, y: Any) -> Any:
        """x / y of float32, within 2 units in the last place; 0 for |y| > 2**126."""
        return np.float32(x / y)

    rint: dict[str, Function] = {"float32": np.rint, "float64": np.rint}
    _operators: dict[str, Function] = {
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
    }
    rounded: dict[str, dict[str, Function]] = {"float32": _operators, "float64": _operators}

    def multiply_add(x: Any, y: Any, z: Any) -> Any:
        """x * y + z; on a device rounded once."""
        return x * y + z

    multiply_adds: dict[str, Function] = {"float32": multiply_add, "float64": multiply_add}

else:
    from llvmlite import ir
    from numba.cuda import libdevice
    from numba.cuda.extending import intrinsic

    _SHARED_MEMORY = 3  # number of its address space
    _numbers = iter(range(1 << 62))
    _LANES = {types.float32: 4, types.float64: 2, types.int64: 2}

    def _element(builder: Any, pointer: Any, index: Any) -> Any:
        return builder.gep(pointer, [index])

    def _vector_pointer(context: Any, builder: Any, ty: Any, p: Any, index: Any) -> Any:
        """The address of element `index`, as that of a vector of 16 bytes."""
        scalar = context.get_data_type(ty.dtype)
        if isinstance(ty, types.Array):
            p = context.make_array(ty)(context, builder, p).data
        address = _element(builder, p, index)
        vector = ir.VectorType(scalar, _LANES[ty.dtype])
        return builder.bitcast(address, ir.PointerType(vector, address.type.addrspace))

    @intrinsic  # type: ignore[untyped-decorator]
    def shared_array(typing: Any, n: Any, dtype: Any) -> Any:
        """A pointer to n elements of the block's shared memory, aligned to 16 bytes.

        n: a constant; all arrays of a kernel have at most 48 KB. A line of source has one call at
        most, which each thread reaches once: the simulator identifies arrays by the line. If
        elements are read one by one with constant subscripts, the caller must make n a multiple of
        16 bytes: the compiler may join the last ones to a read of 16 bytes.
        """
        if not isinstance(n, types.IntegerLiteral):
            return None  # tried again with the literal
        length, kind = n.literal_value, dtype.dtype

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = ir.ArrayType(context.get_data_type(kind), length)
            name = f"shared_array_{next(_numbers)}"  # unique among all functions that are linked
            variable = ir.GlobalVariable(builder.module, array, name, _SHARED_MEMORY)
            variable.align = 16
            variable.initializer = ir.Constant(array, ir.Undefined)
            pointer = context.get_data_type(signature.return_type)
            return builder.addrspacecast(variable, pointer)

        return types.CPointer(kind)(n, dtype), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def shifted(typing: Any, p: Any, n: Any) -> Any:
        """The pointer p + n."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _element(builder, args[0], args[1])

        return p(p, types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def load16(typing: Any, p: Any, i: Any) -> Any:
        """16 bytes from element i on, a multiple of 4 or 2: 4 float32, or 2 float64 or int64.

        p: a pointer, or a shared array aligned to 16 bytes. The address must be a multiple of 16.
        """
        lanes = _LANES[p.dtype]
        result = types.UniTuple(p.dtype, lanes)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            source = _vector_pointer(context, builder, signature.args[0], *args)
            vector = builder.load(source, align=16)
            lane = [builder.extract_element(vector, ir.IntType(32)(k)) for k in range(lanes)]
            return context.make_tuple(builder, signature.return_type, lane)

        return result(p, types.uint64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def store16(typing: Any, p: Any, i: Any, values: Any) -> Any:
        """A 16-byte store; `values` is a tuple of 4 float32 or 2 float64. See `load16`."""
        lanes = _LANES[p.dtype]
        given = types.UniTuple(p.dtype, lanes)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            target = _vector_pointer(context, builder, signature.args[0], args[0], args[1])
            vector = ir.Constant(target.type.pointee, ir.Undefined)
            for k in range(lanes):
                lane = builder.extract_value(args[2], k)
                vector = builder.insert_element(vector, lane, ir.IntType(32)(k))
            builder.store(vector, target, align=16)
            return context.get_dummy_value()

        return types.void(p, types.uint64, given), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def loads_started(typing: Any) -> Any:
        """The compiler moves no load past this point. Without it, a load whose value is used only
        in a branch may move into the branch, and start late."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], True)
            return context.get_dummy_value()

        return types.void(), generate

    _python: Any = math
    fused, divided_roughly = libdevice.fmaf, libdevice.fast_fdividef
    float_bits = libdevice.float_as_int
    erf, erfc, power = _python.erf, _python.erfc, _python.pow
    # To the nearest integer, half to even, by dtype.
    rint = {"float32": libdevice.rintf, "float64": libdevice.rint}

    @device
    def _difference(x: Any, y: Any) -> Any:
        """x - y of float64, for which libdevice has no function."""
        return libdevice.dadd_rn(x, -y)

    # x * y + z, rounded once, by dtype: where the compiler must not choose.
    multiply_adds = {"float32": libdevice.fmaf, "float64": libdevice.fma}
    # Sums, differences and products, by dtype. Each is rounded: the compiler fuses x * y + z to one
    # multiply-add, but not these.
    rounded = {
        "float32": {
            "add": libdevice.fadd_rn,
            "sub": libdevice.fsub_rn,
            "mul": libdevice.fmul_rn,
        },
        "float64": {
            "add": libdevice.dadd_rn,
            "sub": _difference,
            "mul": libdevice.dmul_rn,
        },
    }


def quad_loader(dtype: str) -> Function:
    """`load(p, i)`: elements i to i + 3 of float32 or float64 as a tuple, by 16-byte accesses; i is
    a multiple of four."""
    if dtype == "float32":
        return load16

    def load(p: Any, i: Any) -> Any:
        x, y = load16(p, i)
        z, w = load16(p, uint64(i) + uint64(2))  # of 64 bits: part of the instruction
        return x, y, z, w

    return device(load)


# Functions that take and return floats of one dtype. The simulator uses NumPy's: Python's raise
# errors where these return infinity or NaN, and they compute in float64.
_math: Any = np if SIMULATED else math
exp, exp2, expm1 = _math.exp, _math.exp2, _math.expm1
log, log2, log10, log1p = _math.log, _math.log2, _math.log10, _math.log1p
sqrt, fmod, copysign = _math.sqrt, _math.fmod, _math.copysign
sin, cos, tan = _math.sin, _math.cos, _math.tan
sinh, cosh, tanh = _math.sinh, _math.cosh, _math.tanh
asin, acos, atan, atan2 = _math.asin, _math.acos, _math.atan, _math.atan2
asinh, acosh, atanh = _math.asinh, _math.acosh, _math.atanh
floor, ceil, trunc = _math.floor, _math.ceil, _math.trunc


__all__ = [
    "SIMULATED",
    "TYPES",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "cuda",
    "device",
    "divided_roughly",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "float32",
    "float64",
    "float_bits",
    "floor",
    "fmod",
    "fused",
    "int8",
    "int16",
    "int32",
    "int64",
    "load16",
    "loads_started",
    "log",
    "log1p",
    "log2",
    "log10",
    "multiply_adds",
    "np",
    "power",
    "quad_loader",
    "rint",
    "rounded",
    "shared_array",
    "shifted",
    "sin",
    "sinh",
    "sqrt",
    "store16",
    "tan",
    "tanh",
    "trunc",
    "types",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]
