"""Index arithmetic: numbers of 32 bits, and layouts of axes written with them.

**The rule.** An index is a `u32`: an unsigned number of 32 bits, whose arithmetic is modulo 2**32.
Its operators take another `u32`, or a Python integer: a constant of the factory, or the variable of
a loop over a range. The result is a `u32` again. So `row * width + column` is what it says. Of
Numba's own types it would be 64 bits wide, as all its operators on integers are, and a signed
subscript would cost a test for negative values.

* `u32(x)` makes an index of another number. A variable that begins with a constant needs it, too:
  `k = u32(0)`. Without it, Numba says that it doesn't understand the type 'u32'.
* `p[k][i]` takes a `u32` as it is. A sum with a constant may be written in 64 bits, of `uint64`:
  the constant then becomes part of the instruction that loads.
* A Python integer is from 0 to 2**32 - 1, also in a comparison: outside of these a device and the
  simulator differ. A negative stride or distance is a constant modulo 2**32: see `wrapped`. A
  number of 64 bits, such as int64(x), becomes an index by u32(x). A shift is by less than 32 bits.

In the simulator a `u32` is NumPy's uint32, which follows the same rule.

**Layouts.** `unravel` makes coordinates of a number, `ravel` a number of coordinates, `strided` is
both at once: the place of element number i of some axes. `at` is the place of an operand's element
by its coordinates; `Call.at` has the places of each operand's elements by number. Each returns a
device function; two calls with the same sizes return the same one, so it is compiled once.
"""

from __future__ import annotations

import operator
from functools import cache
from math import gcd
from typing import Any

from .call import Function, Operand
from .device import SIMULATED, cuda, device, np

if SIMULATED:
    u32: Any = np.uint32

    def counted(i: Any) -> Any:
        """i, the variable of a loop. On a device the compiler doesn't see that it is counted up."""
        return i

else:
    from llvmlite import ir
    from numba import types
    from numba.core.typeconv import Conversion
    from numba.cuda.cudadecl import registry as declarations
    from numba.cuda.cudaimpl import registry as implementations
    from numba.cuda.datamodel.models import IntegerModel
    from numba.cuda.extending import intrinsic
    from numba.cuda.models import register_model
    from numba.cuda.typing.templates import AbstractTemplate, signature

    _NARROW, _WIDE = ir.IntType(32), ir.IntType(64)

    class _U32(types.Integer):  # type: ignore[misc]
        """The type of indices; not uint32, whose operators the user's own kernels may rely on."""

        def __init__(self) -> None:
            super().__init__("u32", bitwidth=32, signed=False)

        def unify(self, context: Any, other: Any) -> Any:
            return self if other in _OPERANDS else None

        def can_convert_to(self, context: Any, other: Any) -> Any:
            return Conversion.safe if other == types.uint32 else None  # to store it in an array

    u32 = _U32()
    register_model(_U32)(IntegerModel)
    # What an operator takes beside a u32. Python integers are int64 on a device.
    _OPERANDS = (u32, types.uint32, types.int64)

    def _define(operation: Any, result: Any, write: Any, width: Any = _WIDE) -> None:
        """An operator of two u32: write(builder, x, y) writes its instructions for numbers of this
        width, and returns the results."""

        class Template(AbstractTemplate):  # type: ignore[misc]
            key = operation

            def generic(self, args: Any, kws: Any) -> Any:
                takes = u32 in args and len(args) == 2 and all(a in _OPERANDS for a in args)
                return signature(result, u32, u32) if takes else None

        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            # In 64 bits, then cut, as Numba does for its own types: the compiler makes 32 of them
            # again, but learns which bits of an address are zero, and joins adjacent loads.
            values = write(builder, *(builder.zext(x, width) for x in args))
            if result == types.boolean:
                return values[0]
            cut = [builder.trunc(value, _NARROW) for value in values]
            return cut[0] if result == u32 else context.make_tuple(builder, result, cut)

        declarations.register_global(operation)(Template)
        implementations.lower(operation, _U32, _U32)(lower)

    def _instruction(name: str) -> Any:
        return lambda builder, x, y: [getattr(builder, name)(x, y)]

    def _comparison(symbol: str) -> Any:
        return lambda builder, x, y: [builder.icmp_unsigned(symbol, x, y)]

    def _quotient_and_rest(builder: Any, x: Any, y: Any) -> Any:
        # Not urem: from it and x, LLVM makes quotient * y, of which it then knows no range.
        quotient = builder.udiv(x, y)
        return [quotient, builder.sub(x, builder.mul(quotient, y))]

    _ARITHMETIC = {
        "add": "add",
        "sub": "sub",
        "mul": "mul",
        "floordiv": "udiv",
        "mod": "urem",
        "and_": "and_",
        "or_": "or_",
        "xor": "xor",
        "lshift": "shl",
        "rshift": "lshr",
    }
    _COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
    for _name, _text in _ARITHMETIC.items():
        # The compiler doesn't narrow a shift of 64 bits by a variable number.
        _width = _NARROW if "shift" in _name else _WIDE
        for _operator in _name, f"i{_name.rstrip('_')}":  # as in x + y, x += y
            _define(getattr(operator, _operator), u32, _instruction(_text), _width)
    for _name, _text in _COMPARISONS.items():
        _define(getattr(operator, _name), types.boolean, _comparison(_text))
    _define(divmod, types.UniTuple(u32, 2), _quotient_and_rest)

    @intrinsic  # type: ignore[untyped-decorator]
    def counted(typing: Any, i: Any) -> Any:
        """i, the variable of a loop, as a number of which LLVM doesn't know that it grows.

        Otherwise LLVM counts in 64 bits, divides in 64 bits too, and keeps an address for each
        array, to which it adds.
        """

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(_NARROW, [_NARROW])
            return builder.call(ir.InlineAsm(kind, "mov.u32 $0, $1;", "=r,r", False), args)

        return u32(u32), generate


@device
def thread_index() -> Any:
    """The thread's number in its block, along x."""
    return u32(cuda.threadIdx.x)


@device
def block_index() -> Any:
    """The block's number, along x."""
    return u32(cuda.blockIdx.x)


@device
def grid_index() -> Any:
    """The thread's number in the grid, along x."""
    return u32(cuda.grid(1))


def wrapped(n: int) -> int:
    """n modulo 2**32: a negative number as a constant for index arithmetic."""
    return n & 0xFFFFFFFF


@cache
def unravel(*lengths: int) -> Function:
    """`coordinates(i)`: for element i, in C order, of an array (n, *lengths) its index along n and
    along each of `lengths`; as a tuple."""
    if not lengths:
        return device(lambda i: (i,))
    length = max(lengths[-1], 1)  # where one is 0, there is no element
    outer = unravel(*lengths[:-1])

    def coordinates(i: Any) -> Any:
        rest = i // length
        return outer(rest) + (i - rest * length,)  # noqa: RUF005

    return device(coordinates)


@cache
def ravel(*strides: int, base: int = 0) -> Function:
    """`place(i, j, ...)`: base + i * strides[0] + j * strides[1] + ..., of up to four axes.

    Strides may be negative; a negative result is a number modulo 2**32. ValueError for more axes,
    or none. If none is negative, their common factor is multiplied last: from it the compiler sees
    the alignment. The innermost axis comes first: what the outer ones add may depend on a loop.
    """
    if not 1 <= len(strides) <= 4:
        raise ValueError(f"ravel takes one to four strides, not {len(strides)}")
    unit = (gcd(base, *strides) or 1) if min(strides) >= 0 else 1
    s0, s1, s2, s3 = (wrapped(s // unit) for s in (*strides, *[0] * (4 - len(strides))))
    first = wrapped(base // unit)

    def one(i: Any) -> Any:
        return (u32(i) * s0 + first) * unit

    def two(i: Any, j: Any) -> Any:
        return (u32(j) * s1 + u32(i) * s0 + first) * unit

    def three(i: Any, j: Any, k: Any) -> Any:
        return (u32(k) * s2 + u32(j) * s1 + u32(i) * s0 + first) * unit

    def four(i: Any, j: Any, k: Any, m: Any) -> Any:
        return (u32(m) * s3 + u32(k) * s2 + u32(j) * s1 + u32(i) * s0 + first) * unit

    return device((one, two, three, four)[len(strides) - 1])


def at(operand: Operand, axes: int | None = None) -> Function:
    """`place(i, j, ...)`: the index of an operand's element, from its pointer, by its index along
    each axis, of up to four; or along the first `axes` of them, where it is 0 along the others."""
    return ravel(*operand.strides[:axes], base=operand.base)


@cache
def strided(*axes: tuple[int, int], base: int = 0, by_remainder: bool = False) -> Function:
    """`place(i)`: base + the distance from element 0 to element i, in C order, of axes (length,
    stride).

    by_remainder: whether the index along an axis is a remainder, of which the compiler knows the
    range; otherwise it comes from the quotient, which is shorter where a thread has many i.
    """
    length, stride = axes[-1] if axes else (1, 0)
    length, first, step = max(length, 1), wrapped(base), wrapped(stride)  # if 0: no element
    lowest, last = wrapped(base + (length - 1) * stride), length - 1

    def along_one(i: Any) -> Any:
        return first + u32(i) * step

    def backwards(i: Any) -> Any:
        return lowest + (last - u32(i)) * -stride  # nothing wraps: the compiler knows the range

    if len(axes) < 2:
        return device(backwards if stride < 0 else along_one)
    outer = strided(*axes[:-1], base=base, by_remainder=by_remainder)

    def along_several(i: Any) -> Any:
        rest = u32(i) // length
        k = u32(i) % length if by_remainder else u32(i) - rest * length
        return outer(rest) + k * step

    return device(along_several)
