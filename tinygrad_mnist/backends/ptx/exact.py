"""What PTX's instructions compute, as functions of NumPy arrays or scalars.

The numbers of sections are those of NVIDIA's "PTX ISA". NumPy warns of nothing here: the caller
sets that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist import _native

Value = Any  # an array, or a NumPy scalar

_SUBNORMAL = np.float32(2**-126)  # the least normal number
_NAN = np.uint32(0x7FFFFFFF).view(np.float32)  # that float32 instructions return
_NAN64 = np.uint64(0xFFF8000000000000).view(np.float64)


def chosen(condition: Value, a: Value, b: Value) -> Value:
    """a where the condition is true, else b."""
    if condition.ndim == 0:
        return a if condition else b
    return np.where(condition, a, b)


def _plain(value: Any) -> Value:
    """An array without axes as a scalar."""
    return value[()]


def narrowed(value: Value, dtype: np.dtype[Any]) -> Value:
    """The low bits."""
    return value.view(f"u{value.dtype.itemsize}").astype(dtype)


# --- floats -------------------------------------------------------------------------------------


def _native_call(op: str, mode: int, *values: Value) -> Value:
    a, b, c = (np.atleast_1d(v) for v in (*values, *[values[0]] * (3 - len(values))))
    out = _native.rounded(op, mode, a, b, c)
    return out if any(v.ndim for v in values) else out[0]


def fma(a: Value, b: Value, c: Value, mode: int = 0) -> Value:
    """a * b + c, rounded once: to nearest, to zero, down or up."""
    return _native_call("fma", mode, a, b, c)


def directed(op: str, mode: int, *values: Value) -> Value:
    """add, sub, mul, div, sqrt or rcp, rounded to zero, down or up."""
    if op == "rcp":
        op, values = "div", (values[0].dtype.type(1), values[0])
    return _native_call(op, mode, *values)


def flushed(value: Value) -> Value:
    """Subnormal numbers as zeros of their sign (`.ftz`, section 5.2.3)."""
    zero = np.copysign(np.float32(0), value)
    return _plain(np.where(np.abs(value) < _SUBNORMAL, zero, value))


def saturated(value: Value) -> Value:
    """Clamped to [0, 1]; 0 of a NaN, and never -0 (`.sat`)."""
    one, zero = value.dtype.type(1), value.dtype.type(0)
    return _plain(np.where(value > 0, np.minimum(value, one), zero))


def _ordered(a: Value, b: Value, first: Value, propagate: bool) -> Value:
    nan = _NAN if a.dtype == np.float32 else _NAN64
    is_nan_a, is_nan_b = np.isnan(a), np.isnan(b)
    chosen_value = np.where(first, a, b)
    if propagate:
        return _plain(np.where(is_nan_a | is_nan_b, nan, chosen_value))
    one = np.where(is_nan_a, b, np.where(is_nan_b, a, chosen_value))
    return _plain(np.where(is_nan_a & is_nan_b, nan, one))


def lesser(a: Value, b: Value, propagate: bool) -> Value:
    """The minimum, with -0 < 0. Of a NaN and a number: the number, or NaN if it propagates."""
    return _ordered(a, b, (a < b) | ((a == b) & np.signbit(a)), propagate)


def greater(a: Value, b: Value, propagate: bool) -> Value:
    """The maximum; see `lesser`."""
    return _ordered(a, b, (a > b) | ((a == b) & ~np.signbit(a)), propagate)


def divided_roughly(a: Value, b: Value) -> Value:
    """div.approx.f32: 0 where |b| is above 2**126, NaN if a is infinite there."""
    huge = (np.abs(b) > np.float32(2.0**126)) & np.isfinite(b)
    special = np.where(np.isinf(a), _NAN, np.copysign(np.float32(0), a * np.sign(b)))
    return _plain(np.where(huge, special, a / b))


def _through_double(function: Any, value: Value) -> Value:
    return function(value.astype(np.float64)).astype(value.dtype)


def reciprocal_root(a: Value) -> Value:
    """1 / sqrt(a)."""
    return _through_double(lambda x: 1 / np.sqrt(x), a)


def power_of_two(a: Value) -> Value:
    """2 ** a."""
    return _through_double(np.exp2, a)


def binary_logarithm(a: Value) -> Value:
    """The logarithm to base 2."""
    return _through_double(np.log2, a)


def sine(a: Value) -> Value:
    """sin(a)."""
    return _through_double(np.sin, a)


def cosine(a: Value) -> Value:
    """cos(a)."""
    return _through_double(np.cos, a)


def tangent(a: Value) -> Value:
    """tanh.approx, a hyperbolic tangent."""
    return _through_double(np.tanh, a)


_HIGH_BITS = np.uint64(0xFFFFFFFF00000000)


def _high_bits(value: Value) -> Value:
    return (value.view(np.uint64) & _HIGH_BITS).view(np.float64)


def rough_rcp(a: Value) -> Value:
    """rcp.approx.ftz.f64: of the high 32 bits, to the high 32 bits (section 9.7.3.13)."""
    return _high_bits(_flushed_double(1 / _flushed_double(_high_bits(a))))


def rough_rsqrt(a: Value) -> Value:
    """rsqrt.approx.ftz.f64; see `rough_rcp`."""
    return _high_bits(_flushed_double(1 / np.sqrt(_flushed_double(_high_bits(a)))))


def _flushed_double(value: Value) -> Value:
    return _plain(np.where(np.abs(value) < 2.0**-1022, np.copysign(0.0, value), value))


# --- conversions --------------------------------------------------------------------------------

_WHOLE = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def to_integer(value: Value, dtype: np.dtype[Any], mode: str) -> Value:
    """A float as an integer, clamped to the range. A NaN is 0; from or to 64 bits only the highest
    bit is set (section 9.7.9.21)."""
    whole = _WHOLE[mode](value)
    limits = np.iinfo(dtype)
    low, high = value.dtype.type(limits.min), value.dtype.type(limits.max)  # high may be rounded up
    inside = (whole >= low) & (whole < high)
    result = np.where(inside, whole, 0).astype(dtype)
    result = np.where(whole >= high, dtype.type(limits.max), result)
    result = np.where(whole < low, dtype.type(limits.min), result)
    if value.dtype.itemsize == 8 or dtype.itemsize == 8:
        top = np.dtype(f"u{dtype.itemsize}").type(1 << (8 * dtype.itemsize - 1)).view(dtype)
        result = np.where(np.isnan(value), top, result)
    return result[()]


def clamped(value: Value, dtype: np.dtype[Any]) -> Value:
    """An integer clamped to the range of another type."""
    limits, own = np.iinfo(dtype), np.iinfo(value.dtype)
    low, high = max(limits.min, own.min), min(limits.max, own.max)
    return np.clip(value, value.dtype.type(low), value.dtype.type(high)).astype(dtype)


def rounded_to_tf32(value: Value) -> Value:
    """The nearest number with 10 bits of mantissa, ties away from zero (`.rna`)."""
    bits = value.view(np.uint32)
    rounded = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return _plain(np.where(np.isfinite(value), rounded, bits))


# --- integers -----------------------------------------------------------------------------------


def quotient(a: Value, b: Value) -> Value:
    """Rounded to zero. Of a division by zero all bits are set; INT_MIN / -1 wraps around."""
    if a.dtype.kind == "u":
        return _plain(np.where(b == 0, ~a.dtype.type(0), a // np.where(b == 0, b.dtype.type(1), b)))
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    size_a, size_b = np.abs(a).view(unsigned), np.abs(b).view(unsigned)
    size = quotient(size_a, size_b).view(a.dtype)
    signed = np.where((a < 0) != (b < 0), np.negative(size), size)
    return _plain(np.where(b == 0, a.dtype.type(-1), signed))


def remainder(a: Value, b: Value) -> Value:
    """With the sign of a; a itself of a division by zero."""
    return _plain(np.where(b == 0, a, a - quotient(a, b) * b))


_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def high_unsigned(a: Value, b: Value) -> Value:
    """The high 64 bits of a product."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _32, b & _LOW, b >> _32
    middle = a_high * b_low + ((a_low * b_low) >> _32)
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _32) + (other >> _32)


def high_signed(a: Value, b: Value) -> Value:
    """The high 64 bits of a signed product."""
    high = high_unsigned(a.view(np.uint64), b.view(np.uint64)).view(np.int64)
    zero = np.int64(0)
    return high - np.where(a < 0, b, zero) - np.where(b < 0, a, zero)


def sum_and_carry(a: Value, b: Value, carry: Value) -> tuple[Value, Value]:
    """a + b + carry of unsigned integers, and whether it has wrapped around."""
    part = a + b
    total = part + carry.astype(part.dtype)
    return total, (part < a) | (total < part)


def difference_and_borrow(a: Value, b: Value, borrow: Value) -> tuple[Value, Value]:
    """a - b - borrow of unsigned integers, and whether it has wrapped around."""
    part = a - b
    total = part - borrow.astype(part.dtype)
    return total, (part > a) | (total > part)


def shifted_left(value: Value, n: Value) -> Value:
    """Amounts beyond the width count as the width."""
    width = 8 * value.dtype.itemsize
    amount = np.minimum(n, np.uint32(width - 1)).astype(value.dtype)
    return _plain(np.where(n >= width, value.dtype.type(0), value << amount))


def shifted_right(value: Value, n: Value) -> Value:
    """See `shifted_left`; signed numbers keep their sign."""
    width = 8 * value.dtype.itemsize
    amount = np.minimum(n, np.uint32(width - 1)).astype(value.dtype)
    result = value >> amount
    return (
        result if value.dtype.kind == "i" else np.where(n >= width, value.dtype.type(0), result)[()]
    )


def _mask(length: Value, dtype: np.dtype[Any]) -> Value:
    return ~shifted_left(~dtype.type(0), length.astype(np.uint32))


def inserted(a: Value, b: Value, position: Value, length: Value) -> Value:
    """bfi: the low bits of a in b."""
    position, length = position & np.uint32(255), length & np.uint32(255)
    mask = shifted_left(_mask(length, a.dtype), position)
    return (b & ~mask) | (shifted_left(a, position) & mask)


def extracted(a: Value, position: Value, length: Value) -> Value:
    """bfe: bits of a, extended with their sign if a is signed."""
    width = 8 * a.dtype.itemsize
    position, length = position & np.uint32(255), length & np.uint32(255)
    unsigned = a.view(f"u{a.dtype.itemsize}")
    field = shifted_right(unsigned, position) & _mask(length, unsigned.dtype)
    if a.dtype.kind == "u":
        return field
    last = np.minimum(position + length - np.uint32(1), np.uint32(width - 1))
    sign = shifted_right(unsigned, last) & unsigned.dtype.type(1)
    there = np.minimum(length, np.uint32(width) - np.minimum(position, np.uint32(width)))
    high = np.where((sign == 1) & (length > 0), ~_mask(there, unsigned.dtype), 0)
    return (field | high.astype(unsigned.dtype)).view(a.dtype)


def permuted(a: Value, b: Value, selector: Value) -> Value:
    """prmt: each byte is one of the eight of a and b, or its sign alone."""
    pair = a.astype(np.uint64) | (b.astype(np.uint64) << _32)
    result: Value = np.uint32(0)
    for k in range(4):
        nibble = (selector >> np.uint32(4 * k)) & np.uint32(15)
        byte = (pair >> (np.uint64(8) * (nibble & np.uint32(7)).astype(np.uint64))).astype(np.uint8)
        sign = np.where(byte & np.uint8(0x80), np.uint8(0xFF), np.uint8(0))
        byte = np.where(nibble & np.uint32(8), sign, byte)
        result = result | (byte.astype(np.uint32) << np.uint32(8 * k))
    return result


def three_way(a: Value, b: Value, c: Value, table: int) -> Value:
    """lop3: the bit of the table that the three bits choose."""
    result: Value = np.uint32(0)
    for k in range(8):
        if table >> k & 1:
            parts = [x if k >> (2 - n) & 1 else ~x for n, x in enumerate((a, b, c))]
            result = result | (parts[0] & parts[1] & parts[2])
    return result


def funnelled(a: Value, b: Value, n: Value, is_left: bool, wraps: bool) -> Value:
    """shf: 32 bits of the 64 of b and a."""
    amount = n & np.uint32(31) if wraps else np.minimum(n, np.uint32(32))
    pair = a.astype(np.uint64) | (b.astype(np.uint64) << _32)
    if is_left:
        return ((pair << amount.astype(np.uint64)) >> _32).astype(np.uint32)
    return (pair >> amount.astype(np.uint64)).astype(np.uint32)


def population(value: Value) -> Value:
    """How many bits are set."""
    return np.bitwise_count(value).astype(np.uint32)


def leading_zeros(value: Value) -> Value:
    """How many bits before the first one that is set."""
    width = 8 * value.dtype.itemsize
    spread = value
    for k in (1, 2, 4, 8, 16, 32)[: width.bit_length() - 1]:
        spread = spread | (spread >> value.dtype.type(k))
    return np.uint32(width) - population(spread)


def reversed_bits(value: Value) -> Value:
    """The bits in the opposite order."""
    width = 8 * value.dtype.itemsize
    result = value
    for k in (1, 2, 4, 8, 16, 32)[: width.bit_length() - 1]:
        mask = value.dtype.type(sum(((1 << k) - 1) << s for s in range(0, width, 2 * k)))
        shift = value.dtype.type(k)
        result = ((result >> shift) & mask) | ((result & mask) << shift)
    return result


def dot_of_two(a: Value, b: Value, c: Value, high: bool, a_signed: bool, b_signed: bool) -> Value:
    """dp2a: c plus the products of the 16-bit halves of a and two bytes of b, modulo 2**32."""
    shift = 16 if high else 0
    total = c
    for k in range(2):
        half = (a >> np.uint32(16 * k)) & np.uint32(0xFFFF)
        byte = (b >> np.uint32(shift + 8 * k)) & np.uint32(0xFF)
        if a_signed:
            half = (half ^ np.uint32(1 << 15)) - np.uint32(1 << 15)
        if b_signed:
            byte = (byte ^ np.uint32(1 << 7)) - np.uint32(1 << 7)
        total = total + half * byte
    return total


FUNCTIONS = {
    name: function
    for name, function in globals().items()
    if callable(function) and name[0].islower() and getattr(function, "__module__", "") == __name__
}
