"""Run beside the stand-in driver: functions and the GPU itself, whose kernels NumPy computes here.

It prints the results as a line of JSON at the end; tests/gpu/test_driver.py checks them.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading

import numpy as np
from launches import RUNNER, Launch, array, stand_in
from tinygrad_mnist.kernels.core.call import grid_1d

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import backends
from tinygrad_mnist.backends.cuda.gpu import Bound
from tinygrad_mnist.errors import DeviceError, DeviceMemoryError

STEPS, ROWS, WIDTH = 37, 4, 3


@RUNNER
def add_row(one: ctypes._Pointer[Launch]) -> None:
    """`w += data[i]`: operands are w, data and again w; the step's row of the table has i * WIDTH,
    counted in elements."""
    w, data, out, words, table, ahead = one[0].parameters[: one[0].n]
    row = array(words, 3, np.int64)[0] + ahead
    begin = int(array(table, int(row) + 1, np.int64)[row]) * WIDTH
    array(out, WIDTH)[:] = array(w, WIDTH) + array(data, ROWS * WIDTH)[begin : begin + WIDTH]


def sweeps() -> dict[str, object]:
    """A function whose kernel is computed above, against the CPU."""
    stand_in.stand_in_run(add_row)
    data = np.arange(ROWS * WIDTH, dtype=np.float32).reshape(ROWS, WIDTH)
    order = np.random.default_rng(0).integers(0, ROWS, STEPS)
    results = []
    for device in ("cuda", "cpu"):
        theano.config.device = device
        w, shared_data = theano.shared(np.ones(WIDTH, np.float32)), theano.shared(data)
        i = T.lscalar("i")
        step = theano.function([i], updates=[(w, w + shared_data[i : i + 1].reshape((WIDTH,)))])
        step.sweep(order)
        step(2)
        results.append(w.get_value().tolist())
    stand_in.stand_in_run(RUNNER())
    return {"calls": len(step.plan.calls), "cuda": results[0], "cpu": results[1]}


def memory() -> dict[str, object]:
    """Every block and graph of a function is released with it, also by another thread."""
    theano.config.device = "cuda"
    gc.collect()  # what `sweeps` used
    backends.backend("cuda")._gpu.synchronize()
    before = stand_in.stand_in_blocks(), stand_in.stand_in_handles()
    functions = []

    def use() -> None:
        w, x = theano.shared(np.ones(3, np.float32)), T.vector("x")
        f = theano.function([x], T.exp(x) * w, updates=[(w, w + x)])
        f(np.ones(3, np.float32))
        f.sweep(np.ones((40, 3), np.float32))
        functions.append(f)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    during = stand_in.stand_in_blocks(), stand_in.stand_in_handles()
    functions.clear()
    gc.collect()
    kept = stand_in.stand_in_blocks(), stand_in.stand_in_handles()
    backends.backend("cuda")._gpu.synchronize()
    after = stand_in.stand_in_blocks(), stand_in.stand_in_handles()
    return {"before": before, "during": during, "kept": kept, "after": after}


def contexts() -> dict[str, int]:
    """How many contexts are current in this thread after everything above."""
    backends.backend("cuda")._gpu.allocate(1)
    return {"left": stand_in.stand_in_contexts()}


def forked() -> str:
    """The error that a fork of this process gets when it uses the GPU."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            backends.backend("cuda")._gpu.allocate(1)
        except DeviceError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(read, 1000).decode()


def errors() -> dict[str, str]:
    """The messages of errors."""
    gpu = backends.backend("cuda")._gpu
    messages = {}
    stand_in.stand_in_limit(1000)
    try:
        gpu.allocate(1001)
    except DeviceMemoryError as error:
        messages["memory"] = str(error)
    stand_in.stand_in_limit(1 << 40)
    advance = gpu.load_advance()
    memory = gpu.allocate(64)
    place = gpu.pointer(memory, "int64", 0)
    attempts = {
        "address": lambda: gpu.record([Bound(advance, (), (0x1234, place), 0)]).replay(),
        "size": lambda: gpu.upload(memory, np.zeros(9)),
        "block": lambda: gpu.record(
            [Bound(advance._replace(shape=grid_1d(1, 2048)), (), (place, place), 0)]
        ),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except DeviceError as error:
            messages[name] = str(error)
    try:
        gpu.record([Bound(advance, (place,), (place, place), 0)])
    except ValueError as error:
        messages["pointers"] = str(error)
    return messages


def rates() -> dict[str, object]:
    """A launch takes a millisecond of the stand-in's clock, and so does a copy."""
    gpu = backends.backend("cuda")._gpu
    state = gpu.allocate(64)
    place = gpu.pointer(state, "int64", 0)
    launches = [Bound(gpu.load_advance(), (), (place, place), k) for k in (1, 2, 3)]
    return {
        "times": gpu.time(launches),
        "again": gpu.time(launches),
        "one": gpu.time(launches[:1]),
        "peak": [gpu.peak("float32"), gpu.peak("float64")],
        "bandwidth": gpu.bandwidth(1 << 20),
    }


def profiled() -> list[list[float]]:
    theano.config.device = "cuda"
    w, x = theano.shared(np.ones(3, np.float32)), T.vector("x")
    profile = theano.function([x], updates=[(w, w + x)]).profile(np.ones(3, np.float32), repeats=2)
    calls: list[list[float]] = profile.timings.calls.tolist()
    return calls


found = {f.__name__: f() for f in (sweeps, memory, contexts, forked, errors, rates, profiled)}
found["launches"] = stand_in.stand_in_launches()
found["numba"] = "numba" in sys.modules
print(json.dumps(found))
