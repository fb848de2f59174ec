"""A process that trains one of the examples' models, an epoch at a time, with one library.

    python worker.py LIBRARY EXAMPLE.py:FUNCTION[:ARGUMENT] DATA.npz BATCH

LIBRARY: `ours`; `tensorflow` or `tensorflow-jit`: Keras on TensorFlow, without and with XLA. There
`tinygrad_mnist` in the example's import lines stands for TensorFlow's `tf` and `keras`; nothing
else of the example is changed. So this file imports nothing of the project.

Requests and answers are lines of JSON on standard input and output:
    {"do": "epoch"}       one `fit` with epochs=1 -> its seconds and its logs
    {"do": "parameters"}  -> their number, and the library's version
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import types
from typing import Any
from unittest.mock import MagicMock

import numpy as np


def use_tensorflow() -> str:
    """Makes `tinygrad_mnist` mean TensorFlow; returns its version."""
    import tensorflow as tf

    count = len(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)
    stand_in: Any = types.ModuleType("tinygrad_mnist")
    stand_in.tf, stand_in.keras, stand_in.plots = tf, tf.keras, None
    sys.modules["tinygrad_mnist"], sys.modules["tinygrad_mnist.keras"] = stand_in, tf.keras
    for unused in ("config", "search"):  # by the models; an example imports them for the rest
        sys.modules[f"tinygrad_mnist.{unused}"] = MagicMock()
    return f"TensorFlow {tf.__version__}, Keras {tf.keras.__version__}"


def use_ours() -> str:
    import tinygrad_mnist

    return f"tinygrad_mnist {tinygrad_mnist.__version__}"


def model_of(place: str) -> Any:
    """The compiled model that a function in a file returns."""
    path, function, *argument = place.split(":")
    spec = importlib.util.spec_from_file_location("example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)(*argument)


def main() -> None:
    """Serves until standard input ends."""
    # What a library prints must not come between the answers.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    library, place, data, batch = sys.argv[1:]
    version = use_ours() if library == "ours" else use_tensorflow()
    model = model_of(place)
    if getattr(model, "loss", None) is None:  # an example that compiles it later
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    if library != "ours":
        model.jit_compile = library.endswith("-jit")
    with np.load(data) as arrays:
        x, y = arrays["x"], arrays["y"]
    if len(model.input_shape) == 2:
        x = x.reshape(len(x), -1)
    if "sparse" not in str(getattr(model.loss, "name", model.loss)):
        y = np.eye(10, dtype="float32")[y]
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "epoch":
            begin = time.perf_counter()
            history = model.fit(x, y, batch_size=int(batch), epochs=1, verbose=0)
            seconds = time.perf_counter() - begin
            logs = {name: float(values[-1]) for name, values in history.history.items()}
            answer: dict[str, Any] = {"seconds": seconds, "logs": logs}
        else:
            answer = {"parameters": int(model.count_params()), "version": version}
        channel.write(json.dumps(answer) + "\n")
        channel.flush()


if __name__ == "__main__":
    main()
