"""`tf.data`: data sets as chains of steps, on NumPy arrays."""

from types import SimpleNamespace

from tinygrad_mnist.tf.data.dataset import (
    AUTOTUNE,
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    Dataset,
)
from tinygrad_mnist.tf.data.files import FixedLengthRecordDataset

#: Older names of the same.
experimental = SimpleNamespace(
    AUTOTUNE=AUTOTUNE,
    INFINITE_CARDINALITY=INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY=UNKNOWN_CARDINALITY,
    cardinality=Dataset.cardinality,
    unbatch=lambda: Dataset.unbatch,
)

__all__ = [
    "AUTOTUNE",
    "INFINITE_CARDINALITY",
    "UNKNOWN_CARDINALITY",
    "Dataset",
    "FixedLengthRecordDataset",
    "experimental",
]
