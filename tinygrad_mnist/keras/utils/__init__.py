"""`keras.utils`: labels as one-hot rows, seeds, rows of length 1."""

from tinygrad_mnist.keras.utils import np_utils
from tinygrad_mnist.keras.utils.np_utils import normalize, to_categorical
from tinygrad_mnist.keras.utils.seeds import set_random_seed
from tinygrad_mnist.keras.utils.sequence import PyDataset, Sequence
from tinygrad_mnist.keras.utils.vis_utils import plot_model

__all__ = [
    "PyDataset",
    "Sequence",
    "normalize",
    "np_utils",
    "plot_model",
    "set_random_seed",
    "to_categorical",
]
