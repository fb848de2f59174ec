"""The end of a classifier's step: logits, softmax, cross-entropy, and the gradients of both.

    softmax_layer: x (n, k), w (k, c), b (1, c), labels (n,), g (n,), extras (n, k)
        -> dx (n, k), dlogits (n, c), loss (n,) [, probabilities (n, c)]

    logits = x @ w + b
    loss, probabilities = softmax_xent(logits, labels)
    dlogits = (probabilities - onehot(labels)) * g[:, None]
    dx = epilogue(dlogits @ w.T, extras...)

It replaces four calls that wait for each other, where a GPU has it: a small layer takes less time
than the launches. Rows are independent. All floats but the extras share one dtype. Labels have any
integer dtype; negative ones count from the end; their range is checked before, by check_range.
Every logit adds its k terms in one order, which depends on k and c alone, and then the bias; dx
adds its c terms in the order of the classes. Only layers that `fits` allows are computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register
from ..core.epilogue import apply_epilogue, epilogue_flops
from ..core.tape import Tape
from .softmax import softmax_flops, softmax_xent_grad_reference, softmax_xent_reference

MOST_ROWS = 512  # a block each: beyond that the layer's products take longer than launches
MOST_INPUTS = 1024  # threads of a block, each with an element of dx
CLASSES = range(2, 33)  # which a thread adds up without help
BLOCK_BYTES = 48 * 1024  # of shared memory, which holds all weights in rows of odd length
SUMS = 1024 + 128  # elements of that memory that are not for weights
LIMITS = (
    f"it has 1 to {MOST_ROWS} rows, 1 to {MOST_INPUTS} inputs, {CLASSES[0]} to {CLASSES[-1]}"
    " classes, and weights that fit a block's shared memory"
)


def fits(n: int, k: int, c: int, itemsize: int) -> bool:
    """Whether a block can have a row of n, with all weights (k, c) in its memory."""
    is_small = 1 <= n <= MOST_ROWS and 1 <= k <= MOST_INPUTS and c in CLASSES
    return is_small and (k * (c | 1) + SUMS) * itemsize <= BLOCK_BYTES


def softmax_layer_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """As in the module's docstring."""
    x, w, b, labels, g, *extras = inputs
    spec = outputs[1]
    plain = {"epilogue": Tape.identity(spec.dtype)}
    with np.errstate(all="ignore"):  # products with infinities
        loss, probabilities = softmax_xent_reference({}, [x @ w + b, labels], [outputs[2], spec])
        (dlogits,) = softmax_xent_grad_reference(plain, [probabilities, labels, g], [spec])
        dx = apply_epilogue(params, dlogits @ w.T, extras, outputs[0])
    return [dx, dlogits, loss, probabilities][: len(outputs)]


def softmax_layer_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """2 n k c for each product, the bias, the softmax, its gradient, and the epilogue."""
    products = 4 * outputs[0].size * inputs[1].shape[1]
    rows = softmax_flops({}, outputs[1:2], ()) + 2 * outputs[1].size
    return products + rows + epilogue_flops(params, outputs[0])


SOFTMAX_LAYER = register(
    Contract(
        "softmax_layer",
        softmax_layer_reference,
        softmax_layer_flops,
        tapes=("epilogue",),
        kernel_inputs=5,
        indices=slice(3, 4),
        base=False,
        gpu_only=True,
    )
)
