"""A run of SGD: its epochs, what is measured after each, and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.functions import Function, swept
from tinygrad_mnist.training import History, Reporter, chunks

_LINE_EVERY = 1000  # mini-batches


@dataclass(frozen=True)
class Batches:
    """A function of the number of a mini-batch, and how many mini-batches its data have."""

    of: Function
    count: int

    def mean(self) -> float:
        """Mean of the function's values over the mini-batches."""
        return float(np.mean(self.of.sweep(range(self.count))))


@dataclass(frozen=True)
class Run:
    """Epochs of training, each followed by a validation.

    training: steps; a value is the cost before the step. validation, test: fractions of right
    answers; the test is done where the validation was at least the best so far. check_costs: is
    given the costs of some steps and the number of the first. before_epoch: is given the epoch's
    number. after_epoch: the same; when it returns True, the run ends.
    """

    training: Batches
    validation: Batches
    test: Batches | None
    history: History
    report: Reporter
    check_costs: Callable[[NDArray[Any], int], None] | None = None
    before_epoch: Sequence[Callable[[int], None]] = ()
    after_epoch: Sequence[Callable[[int], bool | None]] = ()

    def epochs(self, first: int, last: int) -> None:
        """Runs the epochs from `first` on and before `last`."""
        for epoch in range(first, last):
            self.report.status(f"Epoch {epoch}")
            for act in self.before_epoch:
                act(epoch)
            self._train(epoch * self.training.count)
            self._measure(epoch)
            answers = [act(epoch) for act in self.after_epoch]
            if any(answers):
                break
        self._conclude()

    def _train(self, first: int) -> None:
        """One pass over the training data, whose first step has the number `first`."""
        for begin, end in chunks(first, first + self.training.count):
            if begin % _LINE_EVERY == 0:
                self.report.line(f"Training mini-batch number {begin}")
            try:
                costs = self.training.of.sweep(range(begin - first, end - first))
            except BaseException as error:
                if (done := swept(error)) is not None:
                    self.history.record_costs(done.outputs)
                raise
            self.history.record_costs(costs)
            if self.check_costs is not None:
                self.check_costs(costs, begin)
            self.report.advance(end - begin, float(costs[-1]))

    def _measure(self, epoch: int) -> None:
        history, report = self.history, self.report
        report.status(f"Epoch {epoch}: validation")
        accuracy = self.validation.mean()
        report.line(f"Epoch {epoch}: validation accuracy {accuracy:.2%}")
        if not history.record_validation(accuracy, (epoch + 1) * self.training.count - 1):
            return
        report.line("This is the best validation accuracy to date.")
        if self.test is not None:
            history.record_test(self.test.mean())
            report.line(f"The corresponding test accuracy is {history.test_accuracy:.2%}")

    def _conclude(self) -> None:
        history, report = self.history, self.report
        report.line("Finished training network.")
        report.line(
            f"Best validation accuracy of {history.best_validation_accuracy:.2%}"
            f" obtained at iteration {history.best_iteration}"
        )
        if self.test is not None:
            report.line(f"Corresponding test accuracy of {history.test_accuracy:.2%}")
