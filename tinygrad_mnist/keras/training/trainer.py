"""`Trainer`: Keras's `compile`, `fit`, `evaluate` and `predict`, for a model to inherit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import flag, integer, shown
from tinygrad_mnist.keras.callbacks import CallbackList
from tinygrad_mnist.keras.training.arguments import (
    AbsentMethod,
    check_frequency,
    refuse_former,
    steps_argument,
)
from tinygrad_mnist.keras.training.array_source import ArraySource
from tinygrad_mnist.keras.training.batch_source import BatchSource, is_iterable_of_batches
from tinygrad_mnist.keras.training.functions import Step, Steps
from tinygrad_mnist.keras.training.loop import Predictions, is_due, make_steps
from tinygrad_mnist.keras.training.objective import Objective
from tinygrad_mnist.keras.training.progress import Progress, verbosity
from tinygrad_mnist.keras.training.protocol import TrainableModel
from tinygrad_mnist.keras.training.samples import Kind, Reader, Samples, split
from tinygrad_mnist.keras.training.sources import Source
from tinygrad_mnist.keras.training.totals import Logs, Totals


class Trainer:
    """Training and evaluation, as Keras has them. A subclass is a `TrainableModel`, too.

    optimizer, loss, metrics: those of `compile`. history: the `History` of the last `fit`, or None.
    stop_training: a callback sets it to True to end `fit`.

    Data are NumPy arrays, or what NumPy makes arrays of, with samples along the first axis. Or x is
    an iterable of batches, (x, y) or (x, y, sample_weight) each: a generator, a dataset, a list of
    tuples.
    """

    optimizer: Any = None
    loss: Any = None
    compiled: bool = False
    stop_training: bool = False
    history: Any = None
    _objective: Objective | None = None
    _compile_arguments: Mapping[str, Any] = {}
    _compiled_steps: Steps | None = None
    _prediction_steps: Steps | None = None

    fit_generator = AbsentMethod("isn't in Keras since 3; fit takes generators")
    evaluate_generator = AbsentMethod("isn't in Keras since 3; evaluate takes generators")
    predict_generator = AbsentMethod("isn't in Keras since 3; predict takes generators")
    predict_classes = AbsentMethod("isn't in Keras since 3; use predict(x).argmax(axis=-1)")
    predict_proba = AbsentMethod("isn't in Keras since 3; use predict(x)")

    # --- compile ----------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Sets what `fit` minimises and measures.

        optimizer, loss, metrics: names, objects, or functions of (y_true, y_pred). "accuracy" is
        the accuracy that fits the shapes of the labels and of the output. Those in `metrics` count
        each sample once, those in `weighted_metrics` with its weight. run_eagerly,
        steps_per_execution, jit_compile, auto_scale_loss: have no effect; steps are always
        compiled, and many make one native call.

        Raises TypeError or ValueError for a name that there isn't; the message lists the names.
        """
        self._objective = Objective(optimizer, loss, loss_weights, metrics, weighted_metrics)
        self._compile_arguments = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self._compiled_steps = None
        self.optimizer, self.loss = self._objective.optimizer, loss
        self.stop_training = False
        self.compiled = True

    @property
    def compile_arguments(self) -> Mapping[str, Any]:
        """What `compile` was given."""
        return self._compile_arguments

    @property
    def metrics(self) -> list[Any]:
        """The metrics of `compile` as objects."""
        return [] if self._objective is None else list(self._objective.metrics)

    @property
    def metrics_names(self) -> list[str]:
        """Of what `evaluate` and `train_on_batch` return: "loss", then the metrics."""
        return [] if self._objective is None else self._objective.names

    # --- fit --------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        **former: Any,
    ) -> Any:
        """Trains for `epochs` passes over the data; returns the `History`.

        batch_size: 32 by default; the last batch of an epoch may be shorter. verbose: "auto" or 1
        for a line with a bar, 2 for one line per epoch, 0 for silence. validation_split: the share
        of the samples, the last ones before shuffling, that are kept to validate on.
        validation_data: (x, y), (x, y, sample_weight) or an iterable of batches. shuffle: arrays,
        in an order from `numpy.random`, so `numpy.random.seed` repeats a run. class_weight: the
        weight of each class; one that it lacks has weight 1. steps_per_epoch: ends an epoch after
        so many batches; the next one goes on where it stopped. validation_freq: epochs from one
        validation to the next, or a list of epochs.

        If an exception such as KeyboardInterrupt ends it, weights are as after the last whole step
        and `history` has the epochs until then.

        Raises TypeError or ValueError, before the first step, for arguments and arrays that don't
        fit the model or the loss.
        """
        refuse_former(self.fit, former)
        objective = self._require_compiled("fit")
        epochs, initial_epoch = (
            integer(epochs, "epochs", 0),
            integer(initial_epoch, "initial_epoch", 0),
        )
        steps_per_epoch = steps_argument(steps_per_epoch, "steps_per_epoch")
        validation_steps = steps_argument(validation_steps, "validation_steps")
        check_frequency(validation_freq)
        verbose = verbosity(verbose)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split(x, y, sample_weight, validation_split)
        reader = Reader(self._model, objective, class_weight)
        source = self._source(
            "train", reader, (x, y, sample_weight), batch_size, steps_per_epoch, shuffle
        )
        validation = self._validation(
            validation_data, validation_batch_size or batch_size, validation_steps
        )
        params = {"verbose": verbose, "epochs": epochs, "steps": source.n_steps}
        called = CallbackList(callbacks, add_history=True, model=self, params=params)
        self.stop_training = False
        logs: Logs = {}
        try:
            called.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                due = validation if is_due(epoch, validation_freq) else None
                ended = self._run_epoch(epoch, epochs, source, due, called, verbose)
                logs = ended or logs
                if not ended or self.stop_training:
                    break
            called.on_train_end(logs)
        finally:
            source.release()
            if validation is not None:
                validation.release()
        return self.history

    def _run_epoch(
        self,
        epoch: int,
        epochs: int,
        source: Source,
        validation: Source | None,
        callbacks: CallbackList,
        verbose: int,
    ) -> Logs | None:
        """One epoch and its validation; returns its logs, or None where no data are left."""
        callbacks.on_epoch_begin(epoch)
        if verbose and epochs > 1:
            print(f"Epoch {epoch + 1}/{epochs}", flush=True)
        totals = self._totals()
        with Progress(verbose, source.n_steps, totals.snapshot) as progress:
            make_steps(source, totals, callbacks, "train", self._is_stopped)
            if not totals.steps:
                return None
            progress.end_steps()
            logs = totals.logs()
            if validation is not None:
                measured = self._measure(validation, callbacks)
                logs.update((f"val_{name}", value) for name, value in measured.logs().items())
                logs = dict(sorted(logs.items()))
            callbacks.on_epoch_batches(epoch, totals.batches())
            callbacks.on_epoch_end(epoch, logs)
            progress.finish(logs)
        return logs

    def _validation(self, data: Any, batch_size: Any, steps: int | None) -> Source | None:
        if data is None:
            return None
        reader = Reader(self._model, self._objective)
        is_pair = isinstance(data, tuple | list) and len(data) in (2, 3)
        given: tuple[Any, ...] = (data,)
        if is_pair and not is_iterable_of_batches(data):
            given = tuple(data)
        elif hasattr(data, "shape") or not is_iterable_of_batches(data):
            raise ArgumentError(
                f"validation_data is {shown(data)}; it is (x, y), (x, y, sample_weight) or an "
                "iterable of batches"
            )
        return self._source("test", reader, given, batch_size, steps, False, "validation ")

    # --- evaluate and predict ---------------------------------------------------------------------

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **former: Any,
    ) -> Any:
        """The loss and the metrics of data, in inference mode: floats in the order of
        `metrics_names`, one alone where there are no metrics, or a dict. Arguments and errors are
        those of `fit`."""
        refuse_former(self.evaluate, former)
        reader = Reader(self._model, self._require_compiled("evaluate"))
        verbose, steps = verbosity(verbose), steps_argument(steps, "steps")
        source = self._source("test", reader, (x, y, sample_weight), batch_size, steps, False)
        params = {"verbose": verbose, "epochs": 1, "steps": source.n_steps}
        called = CallbackList(callbacks, model=self, params=params)
        try:
            totals = self._measure(source, called, verbose)
        finally:
            source.release()
        return self._returned(totals, return_dict)

    def _measure(self, source: Source, callbacks: Any, verbose: int = 0) -> Totals:
        """An evaluation on a source. Raises ValueError if it has run out of data."""
        source.restart()
        callbacks.on_test_begin()
        totals = self._totals()
        with Progress(verbose, source.n_steps, totals.snapshot) as progress:
            make_steps(source, totals, callbacks, "test")
            if not totals.steps:
                raise ArgumentError("there are no data left to evaluate")
            progress.finish(totals.logs())
        callbacks.on_test_end(totals.logs())
        return totals

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        **former: Any,
    ) -> Array:
        """The model's output for data, in inference mode: an array (samples, ...) of floatX.

        steps: how many batches are taken; an iterable without an end needs it.
        """
        refuse_former(self.predict, former)
        reader = Reader(self._model, None)
        verbose, steps = verbosity(verbose), steps_argument(steps, "steps")
        source = self._source("predict", reader, (x,), batch_size, steps, False)
        params = {"verbose": verbose, "epochs": 1, "steps": source.n_steps}
        called = CallbackList(callbacks, model=self, params=params)
        predictions = Predictions()
        try:
            called.on_predict_begin()
            with Progress(verbose, source.n_steps, predictions.snapshot) as progress:
                predictions.make(source, called)
                progress.finish({})
            called.on_predict_end()
        finally:
            source.release()
        return predictions.outputs

    # --- one batch --------------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; returns its loss and metrics before the step, as `evaluate`."""
        reader = Reader(self._model, self._require_compiled("train_on_batch"), class_weight)
        return self._on_batch("train", reader.read(x, y, sample_weight), return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and the metrics of one batch, in inference mode, as `evaluate`."""
        reader = Reader(self._model, self._require_compiled("test_on_batch"))
        return self._on_batch("test", reader.read(x, y, sample_weight), return_dict)

    def predict_on_batch(self, x: Any) -> Array:
        """The model's output for one batch, in inference mode."""
        samples = Reader(self._model, None).read(x)
        (outputs,) = self._step("predict", samples.kind).on_batch(*samples.arrays)
        return cast(Array, outputs)

    def _on_batch(self, stage: str, samples: Samples, return_dict: bool) -> Any:
        totals = self._totals()
        function = self._step(stage, samples.kind).on_batch
        outputs = [output[None] for output in function(*samples.arrays)]
        totals.add(outputs, np.array([len(samples)]))
        return self._returned(totals, return_dict)

    # --- what they share --------------------------------------------------------------------------

    @property
    def _model(self) -> TrainableModel:
        return cast(TrainableModel, self)

    def _require_compiled(self, method: str) -> Objective:
        if self._objective is None:
            raise ArgumentError(
                f"You must call `compile()` before `{method}()`: it sets the optimizer and the loss"
            )
        return self._objective

    def _step(self, stage: str, kind: Kind) -> Step:
        """A compiled step. Those of `predict` stay when `compile` is called again."""
        if stage == "predict":
            self._prediction_steps = self._prediction_steps or Steps(self._model, None)
            return self._prediction_steps.step(stage, kind)
        self._compiled_steps = self._compiled_steps or Steps(self._model, self._objective)
        return self._compiled_steps.step(stage, kind)

    def _source(
        self,
        stage: str,
        reader: Reader,
        data: tuple[Any, ...],
        batch_size: Any,
        steps: int | None,
        shuffle: bool | str,
        where: str = "",
    ) -> Source:
        """The data of a call: x, y and weights, or x alone."""
        if batch_size is not None:
            batch_size = integer(batch_size, f"{where}batch_size", 1)
        x, y, weights = (*data, None, None)[:3]
        step_for = partial(self._step, stage)
        if is_iterable_of_batches(x) and (y is None or not isinstance(x, list | tuple)):
            for name, given in (("y", y), ("sample_weight", weights)):
                if given is not None:
                    raise ArgumentError(f"{name} belongs in the batches of x, which is an iterable")
            read = reader.read_input if stage == "predict" else reader.read
            what = f"{where}x" if where == "" else "validation_data"
            return BatchSource(step_for, x, read, steps, bool(shuffle), what)
        samples = reader.read(x, y, weights, where)
        if shuffle != "batch":
            shuffle = flag(shuffle, "shuffle")
        step = step_for(samples.kind)
        return ArraySource(step, samples, batch_size, steps, shuffle, stage != "predict")

    def _totals(self) -> Totals:
        assert self._objective is not None
        return Totals(self._objective.names, self._objective.is_weighted)

    def _returned(self, totals: Totals, return_dict: bool) -> Any:
        if return_dict:
            return totals.logs()
        values = totals.values()
        return values[0] if len(values) == 1 else values

    def _is_stopped(self) -> bool:
        return self.stop_training
