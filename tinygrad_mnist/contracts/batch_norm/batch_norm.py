"""Batch normalisation and its gradient, over the first and the last of three axes.

    batch_norm:      x (A, C, B), gamma (C), beta (C), epsilon (), extras
                         -> y (A, C, B), mean (C), invstd (C), variance (C)
    batch_norm_grad: x, g (A, C, B), gamma, mean, invstd (C)
                         -> dx (A, C, B), dgamma (C), dbeta (C)

The A * B = m values of each channel are normalised together:

    mean = sum(x) / m,  variance = sum((x - mean)**2) / m,  invstd = 1 / sqrt(variance + epsilon)
    y = epilogue((x - mean) * invstd * gamma + beta, extras...)

Extras have y's shape. An implementation must subtract a mean before it squares, the channel's or
that of a part, because mean(x**2) - mean(x)**2 cancels where the mean is large relative to the
deviation.

The gradient of y, through mean and invstd too, for g and xhat = (x - mean) * invstd:

    dbeta = sum(g),  dgamma = sum(g * xhat)
    dx = gamma * invstd * (g - dbeta / m - xhat * dgamma / m)

Without values (m = 0) the statistics are NaN. All floats of a call share one dtype.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register
from ..core.epilogue import apply_epilogue, epilogue_flops

_AXES = (0, 2)


def _values(x: Array) -> int:
    """Values of one channel."""
    return int(x.shape[0] * x.shape[2])


def _along_channels(v: Array) -> Array:
    return v[:, None]


def batch_norm_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue(y, extras...), mean, invstd, variance."""
    x, gamma, beta, epsilon, *extras = inputs
    with np.errstate(all="ignore"):
        mean = x.sum(_AXES) / x.dtype.type(_values(x))
        centred = x - _along_channels(mean)
        variance = np.square(centred).sum(_AXES) / x.dtype.type(_values(x))
        invstd = 1 / np.sqrt(variance + epsilon)
        y = centred * _along_channels(invstd * gamma) + _along_channels(beta)
    return [apply_epilogue(params, y, extras, outputs[0]), mean, invstd, variance]


def batch_norm_grad_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """dx, dgamma, dbeta."""
    x, g, gamma, mean, invstd = inputs
    xhat = (x - _along_channels(mean)) * _along_channels(invstd)
    dgamma, dbeta = (g * xhat).sum(_AXES), g.sum(_AXES)
    m = max(_values(x), 1)
    projected = g - _along_channels(dbeta / m) - xhat * _along_channels(dgamma / m)
    return [projected * _along_channels(gamma * invstd), dgamma, dbeta]


def batch_norm_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """Four for each value's part in mean and deviation, three to normalise it, the epilogue."""
    return 7 * inputs[0].size + epilogue_flops(params, outputs[0])


def batch_norm_grad_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """Four for each value's part in the two sums, five to project it."""
    return 9 * inputs[0].size


BATCH_NORM = register(
    Contract(
        "batch_norm",
        batch_norm_reference,
        batch_norm_flops,
        tapes=("epilogue",),
        kernel_inputs=4,
        base=False,
    )
)
BATCH_NORM_GRAD = register(
    Contract("batch_norm_grad", batch_norm_grad_reference, batch_norm_grad_flops, base=False)
)
