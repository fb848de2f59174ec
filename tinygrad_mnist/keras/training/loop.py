"""Passes over data: the steps of an epoch, an evaluation or a prediction, with their callbacks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.functions import swept
from tinygrad_mnist.keras.training.sources import Run, Source
from tinygrad_mnist.keras.training.totals import Totals


def make_steps(
    source: Source, totals: Totals, callbacks: Any, stage: str, is_stopped: Any = lambda: False
) -> None:
    """Makes the steps of one pass, and adds what they give to `totals`.

    callbacks: a CallbackList. stage: "train" or "test". Where no callback wants batches, a run of
    many steps is one sweep; else each step is a call, and `is_stopped()` is asked after it. If an
    exception ends a run, the whole steps before it are added.
    """
    is_single = callbacks.wants_batches_of(stage)
    for number, run in enumerate(source.runs(is_single)):
        if is_single:
            getattr(callbacks, f"on_{stage}_batch_begin")(number, {})
        _make_run(run, totals)
        if is_single:
            getattr(callbacks, f"on_{stage}_batch_end")(number, totals.logs())
            if is_stopped():
                break


def _make_run(run: Run, totals: Totals) -> None:
    try:
        outputs = run.make(partial(totals.watch, sizes=run.sizes))
    except BaseException as error:
        if (done := swept(error)) is not None:
            totals.add(done.outputs, run.sizes[: done.steps])
        raise
    totals.add(outputs, run.sizes)


class Predictions:
    """The outputs of a model for the batches of a pass."""

    def __init__(self) -> None:
        self._parts: list[Array] = []
        self._steps = 0
        self._live: Any = None

    def snapshot(self) -> tuple[int, dict[str, float]]:
        """How many batches are done; there are no means."""
        live = self._live
        return self._steps + (0 if live is None else live.steps), {}

    def make(self, source: Source, callbacks: Any) -> None:
        """Computes the outputs of a pass."""
        is_single = callbacks.wants_batches_of("predict")
        for number, run in enumerate(source.runs(is_single)):
            if is_single:
                callbacks.on_predict_batch_begin(number, {})
            (outputs,) = run.make(self._watch)
            self._live = None
            self._steps += len(outputs)
            self._parts.append(outputs.reshape(-1, *outputs.shape[2:]))
            if is_single:
                callbacks.on_predict_batch_end(number, {"outputs": self._parts[-1]})

    def _watch(self, live: Any) -> None:
        self._live = live

    @property
    def outputs(self) -> Array:
        """Those of all batches, (samples, ...)."""
        return self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)


def is_due(epoch: int, frequency: Any) -> bool:
    """Whether an epoch, counted from 0, ends with a validation. frequency: every so many epochs, or
    the numbers of the epochs, counted from 1."""
    if isinstance(frequency, int | np.integer):
        return (epoch + 1) % int(frequency) == 0
    return epoch + 1 in list(frequency)
