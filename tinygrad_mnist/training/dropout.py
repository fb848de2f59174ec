"""Dropout, as layers apply it to their inputs."""

from __future__ import annotations

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

# Every dropout layer's stream has this seed, the first of RandomState(0).randint(999999).
_MASK_SEED = 985772


def dropout_layer(layer: Variable, p_dropout: float) -> Variable:
    """`layer` with each entry zeroed with probability `p_dropout`, the others left as they are.

    The masks of a training run are the same in every run, and two layers of equal
    shape share theirs, as in the book's program; the values are not Theano's.
    """
    if p_dropout == 0:
        return layer
    stream = RandomStreams(_MASK_SEED)
    mask = stream.binomial(n=1, p=1 - p_dropout, size=layer.shape)
    return layer * T.cast(mask, config.floatX)
