"""The mode of the GPU tests, and the backend and architectures that go with it."""

from __future__ import annotations

import os

#: sim: values, in the simulator; compile: machine code, without a GPU; ptx: values and races, of
#: the kernels' PTX on the CPU; gpu: values, on a GPU. None outside of the four, where tests/gpu
#: starts processes for each mode.
MODE = os.environ.get("TINYGRAD_MNIST_GPU_TESTS")
BACKEND = {"sim": "cudasim", "gpu": "cuda", "ptx": "ptx"}.get(MODE or "", "cuda")
CAPABILITIES = ((7, 5), (8, 0), (9, 0))
