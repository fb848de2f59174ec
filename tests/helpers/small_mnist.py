"""Small data sets in MNIST's file formats."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def idx_bytes(values: NDArray[np.uint8]) -> bytes:
    """The IDX file that holds `values`."""
    header = struct.pack(f">I{values.ndim}I", 0x800 + values.ndim, *values.shape)
    return header + values.tobytes()


def small_arrays(training: int = 60, test: int = 20, seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    """Random images and labels under the names of the four IDX files."""
    rng = np.random.default_rng(seed)
    return {
        "train-images-idx3-ubyte": rng.integers(0, 256, (training, 28, 28), np.uint8),
        "train-labels-idx1-ubyte": rng.integers(0, 10, training, np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (test, 28, 28), np.uint8),
        "t10k-labels-idx1-ubyte": rng.integers(0, 10, test, np.uint8),
    }


def write_idx_folder(
    folder: Path, arrays: dict[str, NDArray[np.uint8]], packed: bool = True
) -> None:
    """The four files, gzipped or not."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        data = idx_bytes(values)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
