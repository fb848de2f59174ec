"""What a run prints and records, interrupted or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.book_numpy import NumpyNet
from helpers.interrupts import output_after_interrupt
from helpers.small_nets import arrays, numpy_twin, small_fc

from tinygrad_mnist import network3
from tinygrad_mnist.network3 import (
    FullyConnectedLayer,
    Network,
    SoftmaxLayer,
    share_data,
)


def expected_lines(
    twin: NumpyNet, data: list[Any], epochs: int, batch: int, eta: float
) -> list[str]:
    """The lines of the book's schedule, from the NumPy implementation."""
    (x, y), validation, test = data
    batches, best, lines = len(x) // batch, 0.0, []
    for epoch in range(epochs):
        for k in range(batches):
            iteration = epoch * batches + k
            if iteration % 1000 == 0:
                lines.append(f"Training mini-batch number {iteration}")
            part = slice(k * batch, (k + 1) * batch)
            twin.step(x[part], y[part], eta, 0.0, batches)
        accuracy = twin.accuracy(*validation, batch)
        lines.append(f"Epoch {epoch}: validation accuracy {accuracy:.2%}")
        if accuracy >= best:
            best, at, corresponding = accuracy, iteration, twin.accuracy(*test, batch)
            lines.append("This is the best validation accuracy to date.")
            lines.append(f"The corresponding test accuracy is {corresponding:.2%}")
    return [
        *lines,
        "Finished training network.",
        f"Best validation accuracy of {best:.2%} obtained at iteration {at}",
        f"Corresponding test accuracy of {corresponding:.2%}",
    ]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("progress", [None, True])
def test_standard_output_is_exactly_that_of_the_book(
    progress: bool | None, capfd: pytest.CaptureFixture[str]
) -> None:
    data = arrays((2005, 83, 44), noise=2.5)
    net = Network([FullyConnectedLayer(12, 7), SoftmaxLayer(7, 5)], 4, seed=1)
    lines = expected_lines(numpy_twin(net, ("sigmoid", "linear")), data, 5, 4, 0.4)
    assert "Training mini-batch number 2000" in lines
    assert lines.count("This is the best validation accuracy to date.") < 5
    pairs = share_data(data)
    net.SGD(pairs[0], 5, 4, 0.4, pairs[1], pairs[2], progress=progress)
    out, err = capfd.readouterr()
    assert out == "".join(line + "\n" for line in lines)
    if progress is None:
        assert err == ""


def test_quiet_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = share_data(arrays((40, 8, 8)))
    small_fc().SGD(data[0], 2, 4, 0.5, data[1], data[2], quiet=True)
    assert capfd.readouterr() == ("", "")


def test_history() -> None:
    data = share_data(arrays((43, 8, 12)))
    net = small_fc()
    history = net.SGD(data[0], 6, 4, 0.5, data[1], data[2], quiet=True)
    assert history is net.history
    assert history.costs.shape == (60,)
    assert history.epochs == 6
    validation = history.validation_accuracies
    assert history.best_validation_accuracy == max(validation)
    last_best = max(k for k in range(6) if validation[k] == max(validation))
    assert history.best_iteration == 10 * last_best + 9
    assert history.test_accuracy == history.test_accuracies[last_best]
    measured = [validation[k] >= max(validation[: k + 1]) for k in range(6)]
    assert [not np.isnan(a) for a in history.test_accuracies] == measured
    assert history.seconds > 0


def test_without_test_data(capsys: pytest.CaptureFixture[str]) -> None:
    data = share_data(arrays((40, 8)))
    history = small_fc().SGD(data[0], 1, 4, 0.5, data[1], None)
    assert history.test_accuracy is None
    assert "test accuracy" not in capsys.readouterr().out


def test_ctrl_c_leaves_the_parameters_of_a_whole_step(monkeypatch: pytest.MonkeyPatch) -> None:
    data = share_data(arrays((4 * 150, 8, 8)))
    first, second = Network([SoftmaxLayer(12, 5)], 4), Network([SoftmaxLayer(12, 5)], 4)
    chunks = []

    def interrupt(self: Any, steps: int, cost: float) -> None:
        chunks.append(steps)
        if len(chunks) == 3:
            raise KeyboardInterrupt

    second.SGD(data[0], 1, 4, 0.5, data[1], data[2], quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(network3.Reporter, "advance", interrupt)
        with pytest.raises(KeyboardInterrupt):
            first.SGD(data[0], 2, 4, 0.5, data[1], data[2], quiet=True)
    steps = sum(chunks)
    assert first.history.costs.shape == (steps,)
    assert len(first.history.validation_accuracies) == steps // 150
    for i in range(150, steps):
        second.train_mb(i - 150)
    for p, q in zip(first.params, second.params, strict=True):
        np.testing.assert_array_equal(p.get_value(), q.get_value())
    assert first.history.seconds > 0


# Two networks: one is interrupted some time within a sweep, the other does the same steps whole.
INTERRUPTED = """
import numpy as np
from tinygrad_mnist import network3
from tinygrad_mnist.network3 import Network, SoftmaxLayer

rng = np.random.default_rng(0)
data = network3.share_data([(rng.normal(size=(4000, 12)), rng.integers(0, 5, 4000))])[0]
first, second = Network([SoftmaxLayer(12, 5)], 4), Network([SoftmaxLayer(12, 5)], 4)
advance = network3.Reporter.advance
network3.Reporter.advance = lambda *arguments: (
    setattr(network3.Reporter, "advance", advance), print("ready", flush=True))
try:
    first.SGD(data, 2000, 4, 0.5, data, None, quiet=True)
except KeyboardInterrupt:
    costs = first.history.costs
    train = second.training_function(data, 0.5, 0.0)
    expected = train.sweep([i % 1000 for i in range(len(costs))])
    print(len(costs) > 100, np.array_equal(costs, expected),
          *(np.array_equal(p.get_value(), q.get_value())
            for p, q in zip(first.params, second.params)))
"""


def test_the_costs_of_interrupted_steps_are_kept() -> None:
    """History and parameters have the same steps after a real Ctrl-C."""
    assert output_after_interrupt(INTERRUPTED, wait=0.1) == "True True True True\n"
