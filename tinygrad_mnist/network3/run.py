"""A run of SGD: its epochs, what is measured after each, and when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.backends.interrupts import interrupts_deferred
from tinygrad_mnist.functions import Function, LiveSweep
from tinygrad_mnist.network3.checkpoint import RunState
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
    given the costs of some steps and the number of the first. before_epoch: are given the epoch's
    number. after_epoch: the same; when one returns True, the run ends. patience: it also ends after
    so many epochs without progress. begin: when it began, by `perf_counter`. state: what is written
    to a file now and then.
    """

    training: Batches
    validation: Batches
    test: Batches | None
    history: History
    report: Reporter
    check_costs: Callable[[NDArray[Any], int], None] | None = None
    before_epoch: Sequence[Callable[[int], None]] = ()
    after_epoch: Sequence[Callable[[int], Any]] = ()
    patience: int | None = None
    begin: float = 0.0
    state: RunState | None = None

    def epochs(self, last: int) -> None:
        """Runs what is left of the epochs before `last`, by the history. Where the last one was
        measured, but not all functions of `after_epoch` have ended, these are called again."""
        self.report.skip(self.history.steps)
        first = self.history.epochs if self.state is None else self.state.ended_epochs
        try:
            for epoch in range(first, last):
                if self.history.epochs == epoch:
                    if self._is_over():
                        break
                    self._epoch(epoch)
                if self._is_ended(epoch):
                    break
        except KeyboardInterrupt:
            self._write()
            raise
        self._conclude()

    def _epoch(self, epoch: int) -> None:
        self.report.status(f"Epoch {epoch}")
        for act in self.before_epoch:
            act(epoch)
        self._train(epoch * self.training.count)
        self._measure(epoch)

    def _is_ended(self, epoch: int) -> bool:
        """Whether one of the functions that an epoch is followed by says so, by True itself: other
        values, such as the number that `file.write` returns, mean nothing."""
        answers = [act(epoch) for act in self.after_epoch]
        if any(isinstance(answer, bool | np.bool_) and answer for answer in answers):
            return True
        if self.after_epoch and self.state is not None:
            self.state.ended_epochs = epoch + 1
            self._write()  # with what they have changed
        return False

    def _is_over(self) -> bool:
        return self.patience is not None and (self.history.epochs_without_progress >= self.patience)

    def _train(self, first: int) -> None:
        """The rest of a pass over the training data, whose first step has the number `first`."""
        every = self.state.every if self.state is not None else None
        for begin, end in chunks(self.history.steps, first + self.training.count, every):
            if begin % _LINE_EVERY == 0:
                self.report.line(f"Training mini-batch number {begin}")
            costs = self._steps(range(begin - first, end - first))
            if self.check_costs is not None:
                self.check_costs(costs, begin)
            self.report.advance(end - begin, float(costs[-1]))
            if every is not None and end % every == 0:
                self._write()

    def _steps(self, batches: range) -> NDArray[Any]:
        """Trains on mini-batches. The history gets the costs of all whole steps in any case."""
        before = self.history.steps
        running: list[LiveSweep] = []
        try:
            costs: NDArray[Any] = self.training.of.sweep(batches, watch=running.append)
            self.history.record_costs(costs)
        except BaseException:
            with interrupts_deferred():
                if running and self.history.steps == before:
                    self.history.record_costs(running[0].outputs)
            raise
        return costs

    def _measure(self, epoch: int) -> None:
        history, report = self.history, self.report
        report.status(f"Epoch {epoch}: validation")
        accuracy, test = self.validation.mean(), None
        report.line(f"Epoch {epoch}: validation accuracy {accuracy:.2%}")
        is_best = history.is_best(accuracy)
        if is_best:
            report.line("This is the best validation accuracy to date.")
            if self.test is not None:
                report.status(f"Epoch {epoch}: test")
                test = self.test.mean()
                report.line(f"The corresponding test accuracy is {test:.2%}")
        with interrupts_deferred():
            history.record_validation(accuracy, (epoch + 1) * self.training.count - 1)
            if test is not None:
                history.record_test(test)
            if self.state is not None:
                if is_best:
                    self.state.keep_best()
                if not self.after_epoch:
                    self.state.ended_epochs = epoch + 1
        self._write()

    def _write(self) -> None:
        if self.state is not None:
            self.history.seconds = time.perf_counter() - self.begin
            with interrupts_deferred():
                self.state.write()

    def _conclude(self) -> None:
        history, report = self.history, self.report
        report.line("Finished training network.")
        report.line(
            f"Best validation accuracy of {history.best_validation_accuracy:.2%}"
            f" obtained at iteration {history.best_iteration}"
        )
        if history.test_accuracy is not None:
            report.line(f"Corresponding test accuracy of {history.test_accuracy:.2%}")
