"""Run beside the stand-in driver: a net is trained, whose kernels the PTX machine computes here.

It prints the results on the GPU and on the CPU as a line of JSON at the end.
"""

from __future__ import annotations

import ctypes
import json
from functools import cache
from typing import Any

import numpy as np
from launches import RUNNER, Launch, array, stand_in

import tinygrad_mnist as theano
from tinygrad_mnist import backends, network3
from tinygrad_mnist.backends.cuda.code import Listing, machine_code
from tinygrad_mnist.backends.cuda.workers import compile_codes
from tinygrad_mnist.backends.ptx.kernel import Kernel, Shape
from tinygrad_mnist.backends.ptx.machine import launch
from tinygrad_mnist.backends.ptx.memory import Allocation, Window, operand_window
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.errors import IndexOutOfRangeError
from tinygrad_mnist.network3 import FullyConnectedLayer, Network, SoftmaxLayer

BATCH, IMAGES, PIXELS, CLASSES = 2, 40, 20, 4
observer = Observer()
errors: list[str] = []
kernels: dict[int, Kernel] = {}  # by the driver's handles


def prepare(functions: list[Any]) -> None:
    """Compiles the kernels of functions once more, as PTX."""
    theano.functions.prepare(functions)
    loaded = backends.backend("cuda")._gpu._loaded
    codes = machine_code(map(Listing, loaded), compile_codes)
    for recipe, kept in loaded.items():
        for kernel, text in zip(kept.kernels, codes[Listing(recipe)].kernels, strict=True):
            made = Kernel(text.cubin.decode(), recipe.kernel, follows=True)
            kernels[int(kernel.handle.function)] = made


@RUNNER
def run(one: ctypes._Pointer[Launch]) -> None:
    """Runs the PTX of a launch, in the shape and with the parameters that the driver was given."""
    try:
        launched, kernel = one[0], kernels[one[0].function]
        *pointers, ahead = launched.parameters[: launched.n]
        allocations = cache(memory)
        windows = [window(k, pointer, allocations) for k, pointer in enumerate(pointers)]
        shape = Shape(tuple(launched.grid), tuple(launched.block), launched.shared_bytes)
        launch(kernel, shape, [*(w.base for w in windows), ahead], windows, observer)
    except Exception as error:  # an exception in a callback would be ignored
        errors.append(f"{type(error).__name__}: {error}")


def memory(begin: int, nbytes: int) -> Allocation:
    """A block of the stand-in's memory, which is longer than its bytes, to a multiple of 256."""
    made = Allocation(0)
    made.nbytes, made.data = nbytes, array(begin, nbytes + -nbytes % 16, np.uint8)
    return made


def window(number: int, pointer: int, allocations: Any) -> Window:
    begin = ctypes.c_uint64()
    nbytes = stand_in.stand_in_block(pointer, ctypes.byref(begin))
    start = pointer - begin.value
    reach = (-start, nbytes - start)
    return operand_window(
        number, f"parameter {number}", allocations(begin.value, nbytes), start, reach
    )


def trained(device: str) -> dict[str, Any]:
    """A net with dropout: costs of a graph of sixteen steps and of single ones, a step that fails,
    and the parameters."""
    theano.config.device = device
    net = Network(
        [FullyConnectedLayer(PIXELS, 5, p_dropout=0.5), SoftmaxLayer(5, CLASSES, p_dropout=0.25)],
        BATCH,
        seed=2,
    )
    rng = np.random.default_rng(5)
    labels = rng.integers(0, CLASSES, IMAGES)
    labels[-1] = CLASSES  # in the last mini-batch
    (data,) = network3.share_data([(rng.random((IMAGES, PIXELS)), labels)])
    step = net.training_function(data, 0.1, 0.1)
    accuracy = net._accuracy_function(data, "accuracy")
    if device == "cuda":
        prepare([(step, (0,)), (accuracy, (0,))])
    costs = [*step.sweep(range(18)), step(3)]
    before = [p.get_value() for p in net.params]
    try:
        step(IMAGES // BATCH - 1)
    except IndexOutOfRangeError as error:
        message = str(error)
    kept = all(np.array_equal(p.get_value(), b) for p, b in zip(net.params, before, strict=True))
    return {
        "costs": np.array(costs).tolist(),
        "parameters": [p.get_value().tolist() for p in net.params],
        "accuracies": np.array(accuracy.sweep(range(5))).tolist(),
        "message": message,
        "kept": kept,
    }


stand_in.stand_in_run(run)
found = {device: trained(device) for device in ("cuda", "cpu")}
stand_in.stand_in_run(RUNNER())
faults = [str(fault) for fault in observer.faults]
print(json.dumps({**found, "errors": errors, "faults": faults, "kernels": len(kernels)}))
