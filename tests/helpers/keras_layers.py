"""Stacks of layers whose outputs Keras has computed: for golden/make_layers.py and its test."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layers = list[tuple[str, dict[str, Any]]]
IMAGE = (7, 6, 2)

KERNELS = [1, 2, 3, (2, 3), (4, 1), 5]
STRIDES = [1, 2, (3, 1)]


def _convolutions() -> list[Layers]:
    found: list[Layers] = []
    for kernel, stride, padding in product(KERNELS, STRIDES, ("valid", "same")):
        found.append([("Conv2D", {"filters": 2, "kernel_size": kernel, "strides": stride,
                                  "padding": padding})])  # fmt: skip
    for kernel, dilation, padding in product([2, 3, (1, 3)], [2, (2, 1)], ("valid", "same")):
        found.append([("Conv2D", {"filters": 2, "kernel_size": kernel, "dilation_rate": dilation,
                                  "padding": padding})])  # fmt: skip
    for options in (
        {"groups": 2, "filters": 4},
        {"use_bias": False, "activation": "relu"},
        {"activation": "softmax", "filters": 3},
        {"activation": "leaky_relu", "padding": "same", "groups": 2, "strides": 2},
    ):
        found.append([("Conv2D", {"filters": 2, "kernel_size": 3, **options})])
    return found


def _pools() -> list[Layers]:
    return [
        [(kind, {"pool_size": window, "strides": stride, "padding": padding})]
        for kind in ("MaxPooling2D", "AveragePooling2D")
        for window, stride, padding in product(
            [2, 3, (4, 1)], [None, 1, 2, (3, 2)], ("valid", "same")
        )
    ]


FLAT: Layers = [
    ("Conv2D", {"filters": 3, "kernel_size": 3, "activation": "relu", "padding": "same"}),
    ("MaxPooling2D", {}),
    ("Flatten", {}),
]
# Of images of the shape IMAGE.
ON_IMAGES: list[Layers] = [
    *_convolutions(),
    *_pools(),
    [("GlobalAveragePooling2D", {})],
    [("GlobalAveragePooling2D", {"keepdims": True})],
    [("GlobalMaxPooling2D", {})],
    [("GlobalMaxPooling2D", {"keepdims": True})],
    [("ZeroPadding2D", {})],
    [("ZeroPadding2D", {"padding": (0, 2)})],
    [("ZeroPadding2D", {"padding": ((1, 0), (2, 3))})],
    [("Flatten", {})],
    [("Flatten", {}), ("Reshape", {"target_shape": (7, 6, 2)})],
    [("Reshape", {"target_shape": (6, 7, 2)}), ("Flatten", {})],
    [("Reshape", {"target_shape": (-1, 4)})],
    [("Reshape", {"target_shape": (84, 1, 1)})],
    [("Reshape", {"target_shape": (2, 2, 3, 7)}), ("Flatten", {})],
    [("Dense", {"units": 3, "activation": "tanh"})],
    [("BatchNormalization", {})],
    [("BatchNormalization", {"axis": 1, "scale": False})],
    [("BatchNormalization", {"axis": 2, "center": False, "epsilon": 0.1})],
    [("PReLU", {})],
    [("PReLU", {"shared_axes": [1, 2]})],
    [("Softmax", {})],
    [("Softmax", {"axis": 1})],
    [*FLAT, ("Dense", {"units": 4, "activation": "softmax"})],
    [*FLAT, ("BatchNormalization", {}), ("Dense", {"units": 4})],
    [*FLAT, ("PReLU", {}), ("Dropout", {"rate": 0.5}), ("Dense", {"units": 4})],
    [*FLAT, ("BatchNormalization", {}), ("Activation", {"activation": "relu"}),
     ("Dense", {"units": 4}), ("BatchNormalization", {}), ("Dense", {"units": 2})],
    [*FLAT, ("BatchNormalization", {}), ("Softmax", {})],
    [*FLAT, ("Flatten", {}), ("Reshape", {"target_shape": (3, 3, 3)}),
     ("Conv2D", {"filters": 2, "kernel_size": 2})],
]  # fmt: skip
# Of vectors of 6 numbers.
ON_VECTORS: list[Layers] = [
    [("Dense", {"units": 3})],
    [("Rescaling", {"scale": 0.1, "offset": -1})],
    [("Dense", {"units": 1, "use_bias": False, "activation": "sigmoid"})],
    [("BatchNormalization", {})],
    [("ReLU", {})],
    [("ReLU", {"max_value": 0.5, "negative_slope": 0.1, "threshold": 0.2})],
    [("ReLU", {"max_value": 0.5, "negative_slope": 0.1})],
    [("ReLU", {"threshold": 0.2})],
    [("LeakyReLU", {})],
    [("LeakyReLU", {"negative_slope": 0.1})],
    [("ELU", {"alpha": 0.5})],
    [("PReLU", {})],
    [("Softmax", {})],
    [("Reshape", {"target_shape": (3, 2)}), ("Dense", {"units": 2}), ("BatchNormalization", {})],
    *(
        [("Activation", {"activation": name})]
        for name in (
            "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish",
            "sigmoid", "hard_sigmoid", "softmax", "log_softmax", "softplus", "softsign", "tanh",
            "exponential",
        )
    ),
]  # fmt: skip
CASES = [
    *((IMAGE, layers) for layers in ON_IMAGES),
    *(((6,), layers) for layers in ON_VECTORS),
]
# The outputs in training and the weights after it.
TRAINING = [
    (IMAGE, [("BatchNormalization", {"momentum": 0.9})]),
    (IMAGE, [("BatchNormalization", {"axis": 1, "scale": False, "center": False})]),
    ((6,), [("BatchNormalization", {"momentum": 0.5, "epsilon": 0.01})]),
    (IMAGE, [*FLAT, ("BatchNormalization", {}), ("Dense", {"units": 4})]),
]


def _normalised(filters: int, size: int, stride: int = 1) -> Layers:
    conv = {"filters": filters, "kernel_size": size, "strides": stride, "padding": "same"}
    return [
        ("Conv2D", {**conv, "use_bias": False}),
        ("BatchNormalization", {"scale": False}),
        ("Activation", {"activation": "relu"}),
    ]


# The tutorials' models, small and without dropout, whose first losses are compared.
LAST: Layers = [("Dense", {"units": 10, "activation": "softmax"})]
IMAGES = (12, 12, 1)
TRAINED: list[Layers] = [
    [("Flatten", {}), *LAST],
    [("Flatten", {}), ("Dense", {"units": 20, "activation": "sigmoid"}), *LAST],
    [
        ("Conv2D", {"filters": 4, "kernel_size": 3, "activation": "relu"}),
        ("MaxPooling2D", {"pool_size": 2}),
        ("Conv2D", {"filters": 5, "kernel_size": 3, "activation": "relu"}),
        ("MaxPooling2D", {"pool_size": 2}),
        ("Flatten", {}),
        ("Dense", {"units": 16, "activation": "relu"}),
        *LAST,
    ],
    [
        ("Conv2D", {"filters": 3, "kernel_size": 6, "padding": "same", "activation": "relu"}),
        ("Conv2D", {"filters": 4, "kernel_size": 5, "strides": 2, "padding": "same",
                    "activation": "relu"}),
        ("Conv2D", {"filters": 5, "kernel_size": 4, "strides": 2, "padding": "same",
                    "activation": "relu"}),
        ("Flatten", {}),
        ("Dense", {"units": 16, "activation": "relu"}),
        *LAST,
    ],
    [
        *_normalised(3, 3), *_normalised(4, 6, 2), ("Flatten", {}),
        ("Dense", {"units": 16, "use_bias": False}), ("BatchNormalization", {"scale": False}),
        ("Activation", {"activation": "relu"}), *LAST,
    ],
    [
        *_normalised(3, 3), ("AveragePooling2D", {"pool_size": 3, "padding": "same"}),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same",
                    "kernel_regularizer": "l2"}),
        ("LeakyReLU", {"negative_slope": 0.1}), ("GlobalAveragePooling2D", {}), *LAST,
    ],
]  # fmt: skip
RULES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.05}),
    ("Adam", {"learning_rate": 0.01}),
]
STEPS = 10


def training_data() -> tuple[Array, Array]:
    """Images and labels of all steps: (STEPS, 16, *IMAGES), (STEPS, 16)."""
    rng = np.random.default_rng(2)
    return rng.random((STEPS, 16, *IMAGES), "float32"), rng.integers(0, 10, (STEPS, 16))


def glorot(shapes: Sequence[Sequence[int]]) -> list[Array]:
    """First weights: kernels as Glorot's, small biases."""
    rng = np.random.default_rng(3)
    found = []
    for shape in shapes:
        size = (6 / (np.prod(shape[:-1]) + shape[-1])) ** 0.5 if len(shape) > 1 else 0.05
        low = -size if len(shape) > 1 else 0.01
        found.append(rng.uniform(low, size, shape).astype("float32"))
    return found


def batch(shape: Sequence[int]) -> Array:
    """Three samples, with negative numbers."""
    rng = np.random.default_rng(0)
    return rng.normal(0.1, 1.5, (3, *shape)).astype("float32")


def values(shapes: Sequence[Sequence[int]]) -> list[Array]:
    """Values for weights of these shapes; all are positive, as variances must be."""
    rng = np.random.default_rng(1)
    return [(rng.random(shape) + 0.05).astype("float32") * (-1) ** (len(shape) > 1)
            + np.float32(0.5 * (len(shape) > 1)) for shape in shapes]  # fmt: skip
