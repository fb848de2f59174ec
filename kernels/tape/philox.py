"""Philox4x32-10 on the device: the bits of `contracts/core/philox.py`.

UNIFORM[dtype](i, step, key_low, key_high) is element i of draw number `step`: a float32 of 24
random bits, four from a block of 128, or a float64 of 53, two from a block. i, key_low, key_high:
uint32; step: int64. The arithmetic is that of 32-bit words; only the last step of a float64 is
float64.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Function
from ..core.device import device, float32, float64, int32, uint32, uint64

_ROUNDS = 10
_MULTIPLIER0, _MULTIPLIER1 = uint64(0xD2511F53), uint64(0xCD9E8D57)
_WEYL0, _WEYL1 = uint32(0x9E3779B9), uint32(0xBB67AE85)
_WORD = uint64(32)


@device
def philox4x32(c0: Any, c1: Any, c2: Any, c3: Any, key0: Any, key1: Any) -> Any:
    """Four random words of a counter, least significant word first; all are uint32."""
    for _ in range(_ROUNDS):
        product0 = uint64(uint64(c0) * _MULTIPLIER0)
        product1 = uint64(uint64(c2) * _MULTIPLIER1)
        c0 = uint32(uint32(uint32(product1 >> _WORD) ^ c1) ^ key0)
        c1 = uint32(product1)
        c2 = uint32(uint32(uint32(product0 >> _WORD) ^ c3) ^ key1)
        c3 = uint32(product0)
        key0 = uint32(key0 + _WEYL0)
        key1 = uint32(key1 + _WEYL1)
    return c0, c1, c2, c3


@device
def _block(number: Any, step: Any, key_low: Any, key_high: Any) -> Any:
    """The words of block `number` of a draw."""
    counter = uint64(step)
    low, high = uint32(counter), uint32(counter >> _WORD)
    return philox4x32(number, uint32(0), low, high, key_low, key_high)


@device
def single(word: Any) -> Any:
    """A float32 in [0, 1) from a random word."""
    # The word has 24 bits: as int32 it is converted by one instruction.
    return float32(float32(int32(word >> uint32(8))) * float32(2.0**-24))


@device
def uniform_float32(i: Any, step: Any, key_low: Any, key_high: Any) -> Any:
    """Element i of a draw of float32."""
    a, b, c, d = _block(uint32(i >> uint32(2)), step, key_low, key_high)
    lower = b if i & uint32(1) else a
    upper = d if i & uint32(1) else c
    return single(upper if i & uint32(2) else lower)


@device
def uniform_float64(i: Any, step: Any, key_low: Any, key_high: Any) -> Any:
    """Element i of a draw of float64."""
    a, b, c, d = _block(uint32(i >> uint32(1)), step, key_low, key_high)
    odd = i & uint32(1)
    high = float64(uint32((c if odd else a) >> uint32(5)))
    low = float64(uint32((d if odd else b) >> uint32(6)))
    return float64(float64(high * float64(2.0**26) + low) * float64(2.0**-53))


UNIFORM: dict[str, Function] = {"float32": uniform_float32, "float64": uniform_float64}
