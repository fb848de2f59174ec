"""Parts of a training loop: checks of its arguments, its record, its progress bar."""

from tinygrad_mnist.training.checks import (
    check_data,
    check_seed,
    check_settings,
    float_pairs,
    pooled_shape,
    positive_integer,
    positive_integers,
    probability,
)
from tinygrad_mnist.training.device import check_gpu, on_gpu
from tinygrad_mnist.training.history import History
from tinygrad_mnist.training.layers import check_last_layer, check_layers
from tinygrad_mnist.training.progress import Reporter, chunks

__all__ = [
    "History",
    "Reporter",
    "check_data",
    "check_gpu",
    "check_last_layer",
    "check_layers",
    "check_seed",
    "check_settings",
    "chunks",
    "float_pairs",
    "on_gpu",
    "pooled_shape",
    "positive_integer",
    "positive_integers",
    "probability",
]
