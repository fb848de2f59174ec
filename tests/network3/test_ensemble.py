"""Networks that vote."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays

from tinygrad_mnist.network3 import Ensemble, FullyConnectedLayer, Network, SoftmaxLayer, share_data


class Fixed:
    """A network with the same probabilities for all images."""

    layers = (SoftmaxLayer(2, 10),)

    def __init__(self, *rows: dict[int, float]) -> None:
        self.rows = np.zeros((len(rows), 10))
        for row, probabilities in zip(self.rows, rows, strict=True):
            for label, p in probabilities.items():
                row[label] = p

    def predict(self, images: Any, probabilities: bool = False) -> Any:
        return self.rows if probabilities else self.rows.argmax(axis=1)


VOTERS: list[Any] = [
    Fixed({1: 0.5, 2: 0.4}, {3: 0.6}, {7: 0.9}),
    Fixed({1: 0.5, 2: 0.4}, {4: 0.7}, {8: 0.8, 7: 0.1}),
    Fixed({2: 1.0}, {5: 0.5}, {8: 0.5, 7: 0.4}),
]


def test_most_votes_win_and_probabilities_decide_between_equals() -> None:
    np.testing.assert_array_equal(Ensemble(VOTERS).predict(None), [1, 4, 8])
    found = Ensemble(VOTERS).evaluate((None, [1, 4, 7]))
    assert found.accuracy == pytest.approx(2 / 3)
    np.testing.assert_array_equal(found.wrong, [2])
    assert found.confusion[7, 8] == 1
    assert found.cost is None


def test_an_ensemble_of_one_answers_as_its_network() -> None:
    net = Network([FullyConnectedLayer(12, 7), SoftmaxLayer(7, 5)], 4, seed=1)
    images, labels = arrays((9,))[0]
    one = Ensemble([net])
    np.testing.assert_array_equal(one.predict(images), net.predict(images))
    assert one.predict(images[0]) == net.predict(images[0])
    (data,) = share_data([(images, labels)])
    assert one.evaluate(data).accuracy == net.evaluate((images, labels)).accuracy


def test_what_cannot_vote() -> None:
    with pytest.raises(ValueError, match="an ensemble needs at least one"):
        Ensemble([])
    with pytest.raises(TypeError, match="networks has 5, which is no network"):
        Ensemble([5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="3 images, but 2 labels"):
        Ensemble(VOTERS).evaluate((None, [1, 4]))
