"""Sizes of a GPU, for the models that choose how work is cut: those of an H100.

The choice depends on shapes alone, so sums are formed in the same order on every GPU.
"""

from __future__ import annotations

WARP = 32  # threads
MULTIPROCESSORS = 132
SCHEDULERS = 4  # of a multiprocessor; each issues an instruction of a warp per cycle
REGISTERS = 65536  # of a multiprocessor
RESIDENT_THREADS = 2048  # of a multiprocessor
SHARED_BYTES = 227 * 1024  # of a multiprocessor
STATIC_BYTES = 48 * 1024  # of shared memory that a block gets without asking for more
MAX_GRID_Y = 65535  # blocks along y or z
