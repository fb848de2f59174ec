from __future__ import annotations

import numpy as np

from tinygrad_mnist.training import History


def test_an_empty_history() -> None:
    history = History()
    assert history.costs.shape == (0,)
    assert history.costs.dtype == np.float64
    assert (history.epochs, history.best_iteration, history.test_accuracy) == (0, None, None)


def test_costs_join_in_order_and_are_copies() -> None:
    history, costs = History(), np.array([1, 2], np.float32)
    history.record_costs(costs)
    costs[0] = 9
    history.record_costs([3.0])
    assert history.costs.tolist() == [1.0, 2.0, 3.0]


def test_the_latest_of_equal_accuracies_is_the_best() -> None:
    history = History()
    assert history.record_validation(0.5, 9)
    history.record_test(0.4)
    assert not history.record_validation(0.4, 19)
    assert (history.best_iteration, history.test_accuracy) == (9, 0.4)
    assert history.record_validation(0.5, 29)
    assert history.test_accuracy is None
    history.record_test(0.6)
    assert (history.best_validation_accuracy, history.best_iteration) == (0.5, 29)
    assert history.epochs == 3
    np.testing.assert_array_equal(history.test_accuracies, [0.4, np.nan, 0.6])
