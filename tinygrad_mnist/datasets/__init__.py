"""MNIST as NumPy arrays: finding, checking, reading and expanding it; generated digits."""

from tinygrad_mnist.datasets.augment import augment, augmented
from tinygrad_mnist.datasets.book_pickle import write_book_pickle
from tinygrad_mnist.datasets.digits import draw_digits, load_digits
from tinygrad_mnist.datasets.download import DOWNLOAD, cache_folder
from tinygrad_mnist.datasets.expand import expand_augmented, expand_mnist, shift_images
from tinygrad_mnist.datasets.pickles import read_pickle
from tinygrad_mnist.datasets.save import save_idx, save_splits
from tinygrad_mnist.datasets.search import read_folder as read_idx_folder
from tinygrad_mnist.datasets.sources import (
    BOOK_PLACE,
    DIGITS,
    EXPANDED_PLACE,
    FASHION,
    SEEN,
    Location,
    is_absent_expansion,
    load_data,
    load_mnist,
    locate,
)
from tinygrad_mnist.datasets.splits import (
    Attempt,
    DatasetError,
    DatasetNotFoundError,
    Images,
    Labels,
    Pair,
    Splits,
    as_bytes,
    as_path,
)

__all__ = [
    "BOOK_PLACE",
    "DIGITS",
    "DOWNLOAD",
    "EXPANDED_PLACE",
    "FASHION",
    "SEEN",
    "Attempt",
    "DatasetError",
    "DatasetNotFoundError",
    "Images",
    "Labels",
    "Location",
    "Pair",
    "Splits",
    "as_bytes",
    "as_path",
    "augment",
    "augmented",
    "cache_folder",
    "draw_digits",
    "expand_augmented",
    "expand_mnist",
    "is_absent_expansion",
    "load_data",
    "load_digits",
    "load_mnist",
    "locate",
    "read_idx_folder",
    "read_pickle",
    "save_idx",
    "save_splits",
    "shift_images",
    "write_book_pickle",
]
