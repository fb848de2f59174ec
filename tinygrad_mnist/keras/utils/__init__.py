"""`keras.utils`: labels as one-hot rows, seeds, rows of length 1."""

from tinygrad_mnist.keras.utils.arrays import normalize, to_categorical
from tinygrad_mnist.keras.utils.seeds import set_random_seed

__all__ = ["normalize", "set_random_seed", "to_categorical"]
