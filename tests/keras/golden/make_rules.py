"""Writes rules.json: what Keras computes for the cases of tests/helpers/keras_cases.py, in float64.

In an environment of its own:

    pip install keras jax scipy
    PYTHONPATH=tests KERAS_BACKEND=jax JAX_ENABLE_X64=1 python tests/keras/golden/make_rules.py
"""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import keras
import numpy as np
from helpers import keras_cases as cases
from keras.src.initializers import random_initializers

keras.config.set_floatx("float64")


def optimizer_values(name, options):
    variables = [keras.Variable(value) for value in cases.parameters()]
    optimizer = getattr(keras.optimizers, name)(**options)
    kept = []
    for step, gradients in enumerate(cases.gradients(), 1):
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
        if step in cases.KEPT:
            kept.append([np.asarray(v.value).tolist() for v in variables])
    return kept


def schedule_values(name, options):
    schedule = getattr(keras.optimizers.schedules, name)(**options)
    return [float(schedule(np.int64(step))) for step in cases.SCHEDULE_STEPS]


def loss_values(name, options, true, pred):
    data = cases.predictions()
    return [
        np.asarray(
            getattr(keras.losses, name)(**options, reduction=reduction)(
                data[true], data[pred], sample_weight=weights
            )
        ).tolist()
        for reduction in cases.REDUCTIONS
        for weights in (None, data["weights"])
    ]


def metric_values(name, options, true, pred):
    data, found = cases.predictions(), []
    for weights in (None, data["weights"]):
        metric = getattr(keras.metrics, name)(**options)
        metric.update_state(data[true], data[pred], sample_weight=weights)
        found.append(float(metric.result()))
    return found


def scale(name, shape):
    """The standard deviation or the limit that Keras asks its generator for."""
    with mock.patch.object(random_initializers, "random", wraps=keras.random) as random:
        random.make_default_seed = lambda: 1
        getattr(keras.initializers, name)()(shape)
    (call,) = random.truncated_normal.mock_calls or random.uniform.mock_calls
    return call.kwargs.get("stddev", call.kwargs.get("maxval"))


def main() -> None:
    weight = cases.parameters()[0]
    golden = {
        "keras": keras.__version__,
        "optimizers": [optimizer_values(*case) for case in cases.OPTIMIZERS],
        "schedules": [schedule_values(*case) for case in cases.SCHEDULES],
        "losses": [loss_values(*case) for case in cases.LOSSES],
        "metrics": [metric_values(*case) for case in cases.METRICS],
        "scales": {name: [scale(name, shape) for shape in cases.SHAPES] for name in cases.SCALED},
        "regularizers": [
            float(getattr(keras.regularizers, name)(**options)(keras.ops.array(weight)))
            for name, options in cases.REGULARIZERS
        ],
    }
    Path(__file__).with_name("rules.json").write_text(json.dumps(golden, indent=None) + "\n")


if __name__ == "__main__":
    main()
