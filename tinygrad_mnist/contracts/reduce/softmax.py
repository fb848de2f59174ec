"""Softmax over the rows of a matrix, and the cross-entropy that is fused with it.

    softmax, log_softmax: x (n, c) -> (n, c)
    softmax_xent: logits (n, c), labels (n,) -> loss (n,), probabilities (n, c)
    softmax_xent_grad: probabilities (n, c), labels (n,), g (n,), extras (n, c) -> (n, c)

Rows are shifted by their greatest element, so nothing overflows. Labels have any integer dtype;
negative ones count from the end; their range is checked before, by check_range. softmax_xent_grad
is epilogue((probabilities - onehot(labels)) * g[:, None], extras...).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register
from ..core.epilogue import apply_epilogue, epilogue_flops


def _shifted(x: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(x - x.max(axis=1, keepdims=True, initial=-np.inf))


def softmax_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """exp(x) / sum(exp(x)) per row."""
    power = np.exp(_shifted(inputs[0]))
    return [power / power.sum(axis=1, keepdims=True)]


def log_softmax_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """Logarithm of the softmax: x - log(sum(exp(x))) per row."""
    shifted = _shifted(inputs[0])
    return [shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))]


def softmax_xent_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """-log(softmax(logits)[label]) and the softmax."""
    logits, labels = inputs
    (log_probabilities,) = log_softmax_reference(params, [logits], outputs[1:])
    (probabilities,) = softmax_reference(params, [logits], outputs[1:])
    return [-log_probabilities[np.arange(len(labels)), labels.astype(np.int64)], probabilities]


def softmax_xent_grad_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue((probabilities - onehot(labels)) * g, extras...)."""
    probabilities, labels, g, *extras = inputs
    difference = probabilities.copy()
    difference[np.arange(len(labels)), labels.astype(np.int64)] -= 1
    return [apply_epilogue(params, difference * g[:, None], extras, outputs[0])]


def softmax_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """Shift, exp, sum, and a division or subtraction per element; an exp counts as one."""
    return 4 * inputs[0].size


def softmax_xent_grad_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """A multiplication per element, and the epilogue."""
    return outputs[0].size + epilogue_flops(params, outputs[0])


SOFTMAX = register(Contract("softmax", softmax_reference, softmax_flops))
LOG_SOFTMAX = register(Contract("log_softmax", log_softmax_reference, softmax_flops))
SOFTMAX_XENT = register(
    Contract("softmax_xent", softmax_xent_reference, softmax_flops, indices=slice(1, 2), base=False)
)
SOFTMAX_XENT_GRAD = register(
    Contract(
        "softmax_xent_grad",
        softmax_xent_grad_reference,
        softmax_xent_grad_flops,
        tapes=("epilogue",),
        kernel_inputs=3,
        indices=slice(1, 2),
        base=False,
    )
)
