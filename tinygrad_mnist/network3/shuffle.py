"""Training data in a new order for every epoch."""

from __future__ import annotations

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.functions import function
from tinygrad_mnist.network3.data import Data, size
from tinygrad_mnist.network3.gpu import on_wanted_device
from tinygrad_mnist.sharedvalue import shared


class Shuffled:
    """A second copy of the data, which `draw` fills in a new order.

    data: the pair (x, y) of the copy. seed: of all orders, by default from `numpy.random`; an
    epoch's order depends on the seed and the epoch's number alone.
    """

    def __init__(self, data: Data, seed: int | None = None) -> None:
        x, y = data
        self.seed = np.random.randint(2**31) if seed is None else seed  # noqa: NPY002
        self._n = size(data)
        images = shared(np.zeros_like(x.get_value(borrow=True)), borrow=True)
        labels = shared(np.zeros(self._n, np.int32), borrow=True)
        self.data: Data = (images, labels)
        order = T.lvector("order")
        with on_wanted_device():
            self._gather = function(
                [order], updates=[(images, x[order]), (labels, y[order])], name="shuffle"
            )

    def draw(self, epoch: int) -> None:
        """Puts the data into the order of an epoch."""
        self._gather(np.random.default_rng((self.seed, epoch)).permutation(self._n))
