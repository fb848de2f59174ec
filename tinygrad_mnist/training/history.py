"""The record of a training run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(repr=False)
class History:
    """The measurements of a training run. If an exception ends the run, the costs of all steps
    until then are here.

    validation_accuracies: fraction of right answers on the validation data, per epoch.
    test_accuracies: the same on the test data; NaN for an epoch in which they were not
        evaluated, because the validation accuracy was below an earlier one.
    best_validation_accuracy: the best so far (the latest of equal ones), 0.0 before the first. The
        first is the best so far also where a layer of one's own gives less than 0; NaN never is.
    best_iteration: number of the last mini-batch before it was measured, or None.
    test_accuracy: the test accuracy measured with it, or None.
    seconds: duration of the run, compilation and evaluation included.
    """

    validation_accuracies: list[float] = field(default_factory=list)
    test_accuracies: list[float] = field(default_factory=list)
    best_validation_accuracy: float = 0.0
    best_iteration: int | None = None
    test_accuracy: float | None = None
    seconds: float = 0.0
    _costs: list[NDArray[np.float64]] = field(default_factory=list, repr=False)
    _ends: list[int] = field(default_factory=list, repr=False)  # number of steps, per epoch

    def __repr__(self) -> str:
        best, test = self.best_validation_accuracy, self.test_accuracy
        figures = [f"{self.epochs} {'epoch' if self.epochs == 1 else 'epochs'}"]
        if self.best_iteration is not None:
            figures.append(f"validation {best:.2%} at iteration {self.best_iteration}")
        if test is not None:
            figures.append(f"test {test:.2%}")
        if self.seconds:
            figures.append(f"{self.seconds:.1f} s")
        return f"History({', '.join(figures)})"

    @property
    def epochs_without_progress(self) -> int:
        """Number of epochs after the first of those with the best validation accuracy."""
        best, first = -math.inf, 0
        for epoch, accuracy in enumerate(self.validation_accuracies):
            if accuracy > best:
                best, first = accuracy, epoch
        return max(self.epochs - 1 - first, 0)

    @property
    def costs(self) -> NDArray[np.float64]:
        """Cost of each mini-batch before its step, of shape (steps,)."""
        return np.concatenate([np.empty(0), *self._costs])

    @property
    def epochs(self) -> int:
        """Number of epochs that ended."""
        return len(self.validation_accuracies)

    def to_csv(self) -> str:
        """A line per epoch that ended: its number, the mean of its costs, and the accuracies. The
        names of the columns are those of Keras's logs."""
        costs, begin = self.costs, 0
        lines = ["epoch,loss,val_accuracy,test_accuracy"]
        rows = zip(self._ends, self.validation_accuracies, self.test_accuracies, strict=True)
        for epoch, (end, validation, test) in enumerate(rows):
            loss = float(np.mean(costs[begin:end]))
            lines.append(f"{epoch},{loss!r},{validation!r},{test!r}")
            begin = end
        return "\n".join(lines) + "\n"

    @property
    def steps(self) -> int:
        """Number of steps that ended."""
        return sum(len(costs) for costs in self._costs)

    def is_best(self, accuracy: float) -> bool:
        """Whether a validation accuracy is at least the best so far."""
        if self.best_iteration is None:
            return not math.isnan(accuracy)
        return accuracy >= self.best_validation_accuracy

    def record_costs(self, costs: ArrayLike) -> None:
        """Note the costs of the next steps."""
        self._costs.append(np.array(costs, dtype=np.float64))

    def record_validation(self, accuracy: float, iteration: int) -> bool:
        """Note an epoch's validation accuracy; True when it is at least the best so far."""
        is_best = self.is_best(accuracy)
        self.validation_accuracies.append(accuracy)
        self.test_accuracies.append(float("nan"))
        self._ends.append(iteration + 1)
        if not is_best:
            return False
        self.best_validation_accuracy = accuracy
        self.best_iteration = iteration
        self.test_accuracy = None
        return True

    def record_test(self, accuracy: float) -> None:
        """Note the test accuracy of the epoch whose validation accuracy came last."""
        self.test_accuracies[-1] = accuracy
        self.test_accuracy = accuracy
