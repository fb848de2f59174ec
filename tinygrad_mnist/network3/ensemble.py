"""Several networks that vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.graph.values import several, shown
from tinygrad_mnist.network3.inference import Evaluation, evaluation, labels_of, pair_of
from tinygrad_mnist.network3.network import Network


class Ensemble:
    """Networks whose answer is the one that most of them give.

    Of answers with equally many votes, that counts whose probabilities have the larger sum.

    Raises TypeError or ValueError for what are no networks, or none.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self.networks = list(several(networks, "networks", "networks"))
        for network in self.networks:
            if not callable(getattr(network, "predict", None)):
                raise TypeError(f"networks has {shown(network)}, which is no network")
        if not self.networks:
            raise ValueError("networks is empty: an ensemble needs at least one")

    def __repr__(self) -> str:
        return f"Ensemble of {len(self.networks)}: {self.networks[0]!r}, ..."

    def predict(self, images: Any) -> NDArray[Any]:
        """The vote for each image, int64 (n,); a scalar for one image. images: as for a network."""
        sums: Any = sum(net.predict(images, probabilities=True) for net in self.networks)
        votes = sum(_one_hot(net.predict(images), sums.shape[-1]) for net in self.networks)
        # A vote counts more than all probabilities together.
        total: Any = votes * (1.0 + len(self.networks)) + sums
        answers: NDArray[Any] = np.asarray(total.argmax(axis=-1))[()]
        return answers

    def evaluate(self, data: Any) -> Evaluation:
        """How the networks vote for images with known labels. data: as for a network; the cost is
        None."""
        images, labels = pair_of(data)
        answers = np.atleast_1d(self.predict(images))
        classes = getattr(self.networks[0].layers[-1], "n_out", None)
        known = labels_of(labels, classes)
        if len(known) != len(answers):
            raise ValueError(f"{len(answers)} images, but {len(known)} labels")
        count = classes or int(max(known.max(initial=0), answers.max(initial=0))) + 1
        return evaluation(answers, known, count, None)


def _one_hot(answers: Any, classes: int) -> NDArray[Any]:
    found: NDArray[Any] = np.eye(classes)[answers]
    return found
