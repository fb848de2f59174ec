"""How many blocks of a kernel run at once on a multiprocessor.

The limits are those of the table "Technical Specifications per Compute Capability" of the "CUDA C++
Programming Guide"; the rounding is that of NVIDIA's `cuda_occupancy.h`, which comes with the
toolkit. Shared memory has its largest share of the L1 cache.
"""

from __future__ import annotations

from typing import NamedTuple

WARP = 32
_REGISTERS = 65536  # of a multiprocessor, and the most of a block
_REGISTER_UNIT = 256  # registers that a warp gets at a time
_PARTITIONS = 4  # each has a quarter of the registers
MOST_THREADS = 1024  # of a block


class Limits(NamedTuple):
    """Of a multiprocessor. shared: its bytes; reserved: of each block, by the system; unit: shared
    memory is given out in multiples of it."""

    warps: int
    blocks: int
    shared: int
    reserved: int
    unit: int


LIMITS = {
    (7, 5): Limits(32, 16, 64 << 10, 0, 256),
    (8, 0): Limits(64, 32, 164 << 10, 1 << 10, 128),
    (9, 0): Limits(64, 32, 228 << 10, 1 << 10, 128),
}


class Occupancy(NamedTuple):
    """blocks: of a kernel at once on a multiprocessor; 0 if it can't be launched. share: of the
    warps that a multiprocessor can have. limit: what there are no more blocks for: 'warps',
    'blocks', 'registers' or 'shared'."""

    blocks: int
    share: float
    limit: str


def occupancy(
    capability: tuple[int, int], threads: int, registers: int, shared_bytes: int
) -> Occupancy:
    """Of a kernel with so many threads in a block, registers of a thread, and bytes of shared
    memory of a block. ValueError for a compute capability that isn't in LIMITS."""
    if capability not in LIMITS:
        major, minor = capability
        known = ", ".join(f"{a}.{b}" for a, b in LIMITS)
        raise ValueError(f"the limits of compute capability {major}.{minor} aren't known: {known}")
    of = LIMITS[capability]
    warps = -(-threads // WARP)
    rooms = {
        "warps": of.warps // warps if threads <= MOST_THREADS else 0,
        "blocks": of.blocks,
        "registers": _by_registers(registers, warps),
        "shared": _by_shared(of, shared_bytes),
    }
    limit = min(rooms, key=lambda name: rooms[name])
    return Occupancy(rooms[limit], rooms[limit] * warps / of.warps, limit)


def _by_registers(registers: int, warps: int) -> int:
    own = -(-max(registers, 1) * WARP // _REGISTER_UNIT) * _REGISTER_UNIT
    together = -(-warps // _PARTITIONS) * _PARTITIONS
    if own * together > _REGISTERS:
        return 0
    return _REGISTERS // _PARTITIONS // own * _PARTITIONS // warps


def _by_shared(of: Limits, nbytes: int) -> int:
    own = -(-(nbytes + of.reserved) // of.unit) * of.unit
    if nbytes > of.shared - of.reserved:
        return 0
    return of.shared // own if own else of.blocks
