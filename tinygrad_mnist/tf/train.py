"""`tf.train`: TensorFlow 1's names of optimizers."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.keras import optimizers


def GradientDescentOptimizer(learning_rate: Any, **options: Any) -> optimizers.SGD:  # noqa: N802
    """Keras's SGD."""
    return optimizers.SGD(learning_rate, **_plain(options))


def MomentumOptimizer(  # noqa: N802
    learning_rate: Any, momentum: float, use_nesterov: bool = False, **options: Any
) -> optimizers.SGD:
    """Keras's SGD with momentum."""
    return optimizers.SGD(learning_rate, momentum, use_nesterov, **_plain(options))


def AdamOptimizer(  # noqa: N802
    learning_rate: Any = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    **options: Any,
) -> optimizers.Adam:
    """Keras's Adam."""
    return optimizers.Adam(learning_rate, beta1, beta2, epsilon, **_plain(options))


def RMSPropOptimizer(  # noqa: N802
    learning_rate: Any,
    decay: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-10,
    centered: bool = False,
    **options: Any,
) -> optimizers.RMSprop:
    """Keras's RMSprop; `decay` is its `rho`."""
    return optimizers.RMSprop(learning_rate, decay, momentum, epsilon, centered, **_plain(options))


def AdagradOptimizer(  # noqa: N802
    learning_rate: Any, initial_accumulator_value: float = 0.1, **options: Any
) -> optimizers.Adagrad:
    """Keras's Adagrad."""
    return optimizers.Adagrad(learning_rate, initial_accumulator_value, **_plain(options))


def AdadeltaOptimizer(  # noqa: N802
    learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-8, **options: Any
) -> optimizers.Adadelta:
    """Keras's Adadelta."""
    return optimizers.Adadelta(learning_rate, rho, epsilon, **_plain(options))


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Without `use_locking`, which has no effect."""
    return {name: value for name, value in options.items() if name != "use_locking"}


__all__ = [
    "AdadeltaOptimizer",
    "AdagradOptimizer",
    "AdamOptimizer",
    "GradientDescentOptimizer",
    "MomentumOptimizer",
    "RMSPropOptimizer",
]
