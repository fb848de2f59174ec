"""Limits of the tiles of both gradients, and constants of the models that choose them."""

from __future__ import annotations

from ..core.hardware import STATIC_BYTES

QUAD = 4  # elements of a line in shared memory that are loaded together
SUMS = 48  # registers for the sums of a thread, at most; 512 threads have 128 in all, two blocks 64
THREADS = (128, 256, 512)  # of a block, about
WINNERS = 32  # positions of a pool's window, at most
STAGED_BYTES = STATIC_BYTES - 16  # of shared memory, without the flag for infinities and NaN
LATENCY = 900  # cycles that memory, then a barrier, take
WAIT = 30  # cycles for shared memory
