"""Several networks that vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.graph.values import several, shown
from tinygrad_mnist.network3.inference import Evaluation, evaluation, labels_of, pair_of
from tinygrad_mnist.network3.network import Network
from tinygrad_mnist.training.layers import declared


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
        n = len(self.networks)
        return (
            f"Ensemble of {n} {'network' if n == 1 else 'networks'}, the first {self.networks[0]!r}"
        )

    def predict(self, images: Any) -> NDArray[Any]:
        """The vote for each image, int64 (n,); a scalar for one image. images: as for a network."""
        outputs = [net.predict(images, probabilities=True) for net in self.networks]
        if len({output.shape for output in outputs}) > 1:
            numbers = ", ".join(str(output.shape[-1]) for output in outputs)
            raise ValueError(f"the networks know different numbers of classes: {numbers}")
        sums: Any = sum(outputs)
        votes: Any = sum(_one_hot(net.predict(images), sums.shape[-1]) for net in self.networks)
        has_most = votes == votes.max(axis=-1, keepdims=True)
        answers: NDArray[Any] = np.where(has_most, sums, -np.inf).argmax(axis=-1)[()]
        return answers

    def evaluate(self, data: Any) -> Evaluation:
        """How the networks vote for images with known labels. data: as for a network; the cost is
        None."""
        images, labels = pair_of(data)
        answers = np.atleast_1d(self.predict(images))
        classes = declared(self.networks[0].layers[-1], "n_out")
        known = labels_of(labels, classes)
        if len(known) != len(answers):
            raise ValueError(f"{len(answers)} images, but {len(known)} labels")
        if not len(answers):
            raise ValueError("there are no images to evaluate")
        return evaluation(answers, known, classes, None)


def _one_hot(answers: Any, classes: int) -> NDArray[Any]:
    found: NDArray[Any] = np.eye(classes)[answers]
    return found
