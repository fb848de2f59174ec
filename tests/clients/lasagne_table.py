"""Lasagne 0.1, unchanged, on this package: a table of what builds, runs and differentiates.

It runs in an environment of its own, outside the suite:

    python -m venv lasagne-env
    lasagne-env/bin/pip install .
    lasagne-env/bin/pip install "setuptools<81" wheel  # Lasagne 0.1 imports pkg_resources
    lasagne-env/bin/pip install --no-deps --no-build-isolation lasagne==0.1
    lasagne-env/bin/python tests/clients/lasagne_table.py

A layer *builds* if its output is an expression, *runs* if the values are finite and of the shape
that Lasagne announces, and *differentiates* if central differences agree with its gradients. A rule
for updates runs if 20 steps make a loss smaller. The exit status is 1 where a layer that needs
neither `scan` nor a GPU library fails.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_mnist.theano as theano

T = theano.tensor
Made = tuple[Any, list[Any]]  # a layer, and the shapes of the inputs below it

NEEDS = {  # what a class waits for that this package doesn't have
    "CustomRecurrentLayer": "theano.scan",
    "RecurrentLayer": "theano.scan",
    "LSTMLayer": "theano.scan",
    "GRULayer": "theano.scan",
    "Conv2DMMLayer": "Theano's GpuCorrMM",
    "Conv2DCCLayer": "pylearn2's cuda-convnet",
    "MaxPool2DCCLayer": "pylearn2's cuda-convnet",
    "NINLayer_c01b": "pylearn2's cuda-convnet",
    "Pool2DDNNLayer": "cuDNN",
    "MaxPool2DDNNLayer": "cuDNN",
    "Conv2DDNNLayer": "cuDNN",
}


def layers() -> dict[str, Callable[[], Any]]:
    """A way to make each layer, over inputs of small shapes."""
    from lasagne import layers as L  # noqa: N812  # here, as the drop-in comes first

    def image(*shape: int) -> Any:
        return L.InputLayer(shape or (3, 4, 8, 8))

    rows = lambda: L.InputLayer((5, 12))  # noqa: E731
    line = lambda: L.InputLayer((3, 4, 9))  # noqa: E731
    return {
        "InputLayer": rows,
        "DenseLayer": lambda: L.DenseLayer(image(), 7),
        "NonlinearityLayer": lambda: L.NonlinearityLayer(rows(), np.tanh),
        "NINLayer": lambda: L.NINLayer(image(), 5),
        "Conv1DLayer": lambda: L.Conv1DLayer(line(), 5, 3, pad="same"),
        "Conv2DLayer": lambda: L.Conv2DLayer(image(), 5, (3, 3), stride=(2, 1), pad=1),
        "MaxPool1DLayer": lambda: L.MaxPool1DLayer(line(), 2),
        "Pool2DLayer": lambda: L.Pool2DLayer(image(), 2, mode="average_inc_pad"),
        "MaxPool2DLayer": lambda: L.MaxPool2DLayer(image(), (2, 2)),
        "FeaturePoolLayer": lambda: L.FeaturePoolLayer(image(), 2),
        "FeatureWTALayer": lambda: L.FeatureWTALayer(image(), 2),
        "GlobalPoolLayer": lambda: L.GlobalPoolLayer(image()),
        "FlattenLayer": lambda: L.FlattenLayer(image()),
        "ReshapeLayer": lambda: L.ReshapeLayer(image(), ([0], -1, 4)),
        "DimshuffleLayer": lambda: L.DimshuffleLayer(image(), (1, 0, 2, 3)),
        "PadLayer": lambda: L.PadLayer(image(), 2),
        "SliceLayer": lambda: L.SliceLayer(image(), slice(1, 3), axis=1),
        "ConcatLayer": lambda: L.ConcatLayer([rows(), rows()]),
        "ElemwiseMergeLayer": lambda: L.ElemwiseMergeLayer([rows(), rows()], T.mul),
        "ElemwiseSumLayer": lambda: L.ElemwiseSumLayer([rows(), rows()], coeffs=[2, -1]),
        "DropoutLayer": lambda: L.DropoutLayer(rows(), 0.4),
        "GaussianNoiseLayer": lambda: L.GaussianNoiseLayer(rows(), 0.1),
        "LocalResponseNormalization2DLayer": lambda: L.LocalResponseNormalization2DLayer(image()),
        "EmbeddingLayer": lambda: L.EmbeddingLayer(
            L.InputLayer((5, 3), input_var=T.imatrix()), 6, 4
        ),
        "RecurrentLayer": lambda: L.RecurrentLayer(line(), 5),
        "LSTMLayer": lambda: L.LSTMLayer(line(), 5),
        "GRULayer": lambda: L.GRULayer(line(), 5),
        "CustomRecurrentLayer": lambda: L.CustomRecurrentLayer(
            line(), L.DenseLayer((None, 9), 5), L.DenseLayer((None, 5), 5)
        ),
        "Conv2DMMLayer": lambda: __import__("lasagne.layers.corrmm"),
        "Conv2DCCLayer": lambda: __import__("lasagne.layers.cuda_convnet"),
        "MaxPool2DCCLayer": lambda: __import__("lasagne.layers.cuda_convnet"),
        "NINLayer_c01b": lambda: __import__("lasagne.layers.cuda_convnet"),
        "Pool2DDNNLayer": lambda: __import__("lasagne.layers.dnn"),
        "MaxPool2DDNNLayer": lambda: __import__("lasagne.layers.dnn"),
        "Conv2DDNNLayer": lambda: __import__("lasagne.layers.dnn"),
    }


def try_layer(make: Callable[[], Any]) -> tuple[str, str, str]:
    """Whether a layer builds, runs and differentiates: "yes", or what went wrong."""
    from lasagne import layers as L  # noqa: N812

    rng = np.random.default_rng(0)
    try:
        layer = make()
        output = L.get_output(layer)
    except Exception as error:
        return described(error), "", ""
    inputs = [below for below in L.get_all_layers(layer) if isinstance(below, L.InputLayer)]
    variables = [below.input_var for below in inputs]
    values = [
        rng.integers(0, 6, below.shape).astype("int32")
        if below.input_var.dtype.startswith("int")
        else rng.normal(size=below.shape).astype(theano.config.floatX)
        for below in inputs
    ]
    try:
        result = theano.function(variables, output)(*values)
        assert np.isfinite(result).all(), "a value is not finite"
        announced = L.get_output_shape(layer)
        fits = all(n in (None, m) for n, m in zip(announced, result.shape, strict=True))
        assert fits, f"the shape is {result.shape}, not {announced}"
    except Exception as error:
        return "yes", described(error), ""
    try:
        return "yes", "yes", differentiates(L, layer, variables, values)
    except Exception as error:
        return "yes", "yes", described(error)


def differentiates(L: Any, layer: Any, variables: list[Any], values: list[Any]) -> str:  # noqa: N803
    """Compares gradients with central differences along a random direction."""
    output = L.get_output(layer, deterministic=True)
    cost = (output * T.cos(output)).sum()
    of_floats = [v for v in variables if v.dtype.startswith("float")]
    wrt = [*L.get_all_params(layer, trainable=True), *of_floats]
    if not wrt:
        return "nothing to differentiate"
    gradients = theano.function(variables, T.grad(cost, wrt))(*values)
    compute = theano.function(variables, cost)
    rng = np.random.default_rng(1)
    for v, gradient in zip(wrt, gradients, strict=True):
        direction, step = rng.normal(size=gradient.shape), 1e-6

        def moved(sign: float, v: Any = v, direction: Any = direction, step: float = step) -> float:
            if v in variables:
                shifted = [
                    a + sign * step * direction if u is v else a
                    for u, a in zip(variables, values, strict=True)
                ]
                return float(compute(*shifted))
            before = v.get_value()
            v.set_value(before + sign * step * direction)
            result = float(compute(*values))
            v.set_value(before)
            return result

        slope = (moved(1) - moved(-1)) / (2 * step)
        exact = float((gradient * direction).sum())
        assert abs(slope - exact) <= 1e-5 * max(1.0, abs(exact)), f"{v}: {exact}, not {slope}"
    return "yes"


def try_updates(name: str) -> str:
    """Whether 20 steps of a rule make a loss smaller."""
    import lasagne

    w = theano.shared(np.array([3.0, -2.0, 1.0]))
    loss = T.sqr(w - np.array([1.0, 1.0, 1.0])).sum()
    rule = getattr(lasagne.updates, name)
    rate = {} if name in ("adadelta", "adagrad", "rmsprop", "adam") else {"learning_rate": 0.02}
    try:
        if name.startswith("apply_"):
            updates = rule(lasagne.updates.sgd(loss, [w], 0.02), [w])
        else:
            updates = rule(loss, [w], **rate)
        step = theano.function([], loss, updates=updates)
        losses = [float(step()) for _ in range(20)]
        assert losses[-1] < losses[0], f"the loss went from {losses[0]} to {losses[-1]}"
    except Exception as error:
        return described(error)
    return "yes"


def described(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:90]


RULES = (
    "sgd", "momentum", "apply_momentum", "nesterov_momentum", "apply_nesterov_momentum",
    "adagrad", "rmsprop", "adadelta", "adam",
)  # fmt: skip


def main() -> int:
    theano.config.floatX = "float64"
    failed = 0
    print(f"{'layer':36}{'builds':10}{'runs':10}differentiates")
    for name, make in layers().items():
        results = try_layer(make)
        fine = all(r in ("yes", "nothing to differentiate") for r in results)
        waits = f" (needs {NEEDS[name]})" if name in NEEDS and not fine else ""
        failed += not fine and name not in NEEDS
        print(f"{name:36}{results[0]:10}{results[1]:10}{results[2]}{waits}")
    print(f"\n{'updates':36}lowers the loss")
    for name in RULES:
        result = try_updates(name)
        failed += result != "yes"
        print(f"{name:36}{result}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
