"""The data of network3: pairs of shared variables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.datasets import BOOK_PLACE, Splits, as_path, load_data
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.network3.gpu import check_flag
from tinygrad_mnist.sharedvalue import shared
from tinygrad_mnist.training import float_pairs

Data = tuple[SharedVariable, Variable]


def load_data_shared(filename: str | os.PathLike[str] | None = None) -> list[Data]:
    """MNIST as shared variables: [(x, y), (x, y), (x, y)] to train, to validate, to test.

    x is a shared matrix (n, 784) of floatX, pixel = byte / 256; y an int32 vector (n,),
    cast from a shared vector of floatX.

    Without a name, or with the book's `"../data/mnist.pkl.gz"`, the data are searched for in the
    places that `tinygrad_mnist.datasets.locate` lists, and downloaded if they are in none. Another
    name (a pickle, an .npz, or a folder of IDX files) is the only place tried; "digits" means
    generated digits.

    Raises DatasetNotFoundError or DatasetError, naming the places or the file.
    """
    check_flag()
    search = filename is None or os.fspath(as_path(filename)) == BOOK_PLACE
    return share_data(load_data(None if search else filename))


def share_data(splits: Splits | Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> list[Data]:
    """Pairs of arrays, images (n, pixels) and labels (n,), as load_data_shared gives them.

    Raises TypeError or ValueError, naming the part and the image, for masked arrays, pixels that
    are NaN or infinite, and labels that are NaN, fractional or not exact in floatX.
    """
    check_flag()
    pairs = []
    for images, labels in float_pairs(splits):
        x, y = shared(images, borrow=True), shared(labels, borrow=True)
        pairs.append((x, T.cast(y, "int32")))
    return pairs


def size(data: Data) -> int:
    """Number of images in one of the pairs of load_data_shared."""
    return int(data[0].get_value(borrow=True).shape[0])
