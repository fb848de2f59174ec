"""The callbacks, beyond what golden/callbacks.json has: arguments, warnings, errors and files."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.callback_cases import Model

from tinygrad_mnist import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.keras import callbacks as cb
from tinygrad_mnist.keras import losses, metrics, optimizers


def model_for(callback: cb.Callback, rate: Any = 0.1) -> Model:
    model = Model(optimizers.SGD(rate))
    callback.set_model(model)
    return model


# --- the learning rate ----------------------------------------------------------------------------


class Halving:
    def __call__(self, epoch: int, rate: float) -> float:
        return rate / 2


class Ignoring:
    def rate(self, epoch: int) -> float:
        return 0.1 / 2 ** (epoch + 1)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda epoch: 0.1 / 2 ** (epoch + 1),
        lambda epoch, lr: lr / 2,
        lambda epoch, lr=7.0: lr / 2,
        lambda epoch, *, base=0.1: base / 2 ** (epoch + 1),
        lambda *given: given[1] / 2,
        lambda epoch: np.float32(0.1 / 2 ** (epoch + 1)),
        lambda epoch: np.array(0.1 / 2 ** (epoch + 1)),
        Halving(),
        Ignoring().rate,
        optimizers.schedules.ExponentialDecay(0.05, 1, 0.5),
    ],
)
def test_schedules_of_the_epoch_and_of_the_rate(schedule: Any) -> None:
    callback = cb.LearningRateScheduler(schedule)
    model = model_for(callback)
    for epoch in range(3):
        callback.on_epoch_begin(epoch, {})
        logs = {"loss": 1.0}
        callback.on_epoch_end(epoch, logs)
        assert logs == {"loss": 1.0, "learning_rate": pytest.approx(0.1 / 2 ** (epoch + 1))}
        assert float(model.optimizer.learning_rate) == logs["learning_rate"]


def test_the_line_of_a_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    callback = cb.LearningRateScheduler(lambda epoch: 0.01 * 0.6**epoch, verbose=1)
    model_for(callback)
    callback.on_epoch_begin(0)
    callback.on_epoch_begin(1)
    assert capsys.readouterr().out == (
        "\nEpoch 1: LearningRateScheduler setting learning rate to 0.01.\n"
        "\nEpoch 2: LearningRateScheduler setting learning rate to 0.006.\n"
    )


def test_an_error_inside_a_schedule_is_shown_as_it_is() -> None:
    """Keras calls a schedule again, without the rate, after a TypeError."""
    calls = []

    def schedule(epoch: int, rate: float) -> float:
        calls.append(epoch)
        return rate * "2"  # type: ignore[operator, no-any-return]

    callback = cb.LearningRateScheduler(schedule)
    model_for(callback)
    with pytest.raises(TypeError, match="multiply"):
        callback.on_epoch_begin(0)
    assert calls == [0]


def test_what_a_schedule_may_not_return() -> None:
    callback = cb.LearningRateScheduler(lambda epoch: None)
    model_for(callback)
    with pytest.raises(GraphTypeError, match="returned for epoch 4 is None"):
        callback.on_epoch_begin(4)


def test_a_rate_that_is_a_schedule_can_not_be_set() -> None:
    callback = cb.LearningRateScheduler(lambda epoch: 0.1)
    model_for(callback, optimizers.schedules.ExponentialDecay(0.1, 10, 0.5))
    with pytest.raises(GraphTypeError, match="can't be set"):
        callback.on_epoch_begin(0)


def test_the_old_name_of_min_delta() -> None:
    assert cb.ReduceLROnPlateau(epsilon=0.25).min_delta == 0.25


@pytest.mark.parametrize("least", [0.1, 0.3, 0.7, 0.003])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_rate_that_is_the_least_is_not_reduced(
    dtype: str, least: float, capsys: pytest.CaptureFixture[str]
) -> None:
    config.floatX = dtype
    callback = cb.ReduceLROnPlateau(patience=1, min_lr=least, verbose=1)
    model = model_for(callback, 2 * least)
    callback.on_train_begin()
    for epoch in range(5):
        callback.on_epoch_end(epoch, {"val_loss": 1.0})
    assert float(model.optimizer.learning_rate) == np.dtype(dtype).type(least)
    assert capsys.readouterr().out.count("reducing") == 1


# --- what is better -------------------------------------------------------------------------------


def watching(monitor: str, model_metrics: list[Any] = []) -> cb.EarlyStopping:  # noqa: B006
    callback = cb.EarlyStopping(monitor)
    model_for(callback).metrics = model_metrics  # type: ignore[attr-defined]
    return callback


@pytest.mark.parametrize(
    ("monitor", "rises"),
    [
        ("loss", False),
        ("val_loss", False),
        *((f"{prefix}{name}", True) for prefix in ("", "val_") for name in ("accuracy", "acc")),
        ("val_sparse_categorical_accuracy", True),
        ("val_top_k_categorical_accuracy", True),
        ("mse", False),
        ("val_mean_absolute_error", False),
        ("val_binary_crossentropy", False),
    ],
)
def test_the_direction_by_the_name(monitor: str, rises: bool) -> None:
    callback = watching(monitor)
    assert callback.is_better(2.0, 1.0) == rises
    assert callback.is_better(1.0, 2.0) != rises
    assert not callback.is_better(1.0, 1.0)


@pytest.mark.parametrize(
    ("metric", "rises"),
    [
        (metrics.CategoricalAccuracy("mine"), True),
        (metrics.Metric(losses.mean_squared_error, "mine"), False),
    ],
)
def test_the_direction_by_the_models_metric(metric: Any, rises: bool) -> None:
    assert watching("val_mine", [metric]).is_better(2.0, 1.0) == rises


def test_an_unknown_direction_is_an_error_when_it_matters() -> None:
    callback = watching("val_mine")
    assert callback.is_better(1.0, None)
    with pytest.raises(ArgumentError, match="'val_mine' is better; give mode='max' or mode='min'"):
        callback.is_better(1.0, 2.0)


def test_an_unknown_mode_is_auto() -> None:
    with pytest.warns(UserWarning, match="mode is 'maximum'") as caught:
        callback = cb.EarlyStopping(mode="maximum")
    assert caught[0].filename == __file__
    assert callback.mode == "auto"


@pytest.mark.parametrize(("dtype", "better"), [("float32", False), ("float64", True)])
def test_values_are_compared_in_floatx(dtype: str, better: bool) -> None:
    config.floatX = dtype
    callback = cb.EarlyStopping(min_delta=0.1)
    assert callback.is_better(0.7, 0.8) == better


@pytest.mark.parametrize(
    "make",
    [
        cb.EarlyStopping,
        cb.ReduceLROnPlateau,
        lambda: cb.ModelCheckpoint("x", save_best_only=True),
    ],
)
def test_a_missing_value_is_warned_of_with_what_there_is(make: Any) -> None:
    callback = make()
    model = model_for(callback)
    callback.on_train_begin()
    for logs in ({"loss": 1.0, "accuracy": 0.5}, {}):
        with pytest.warns(UserWarning, match="'val_loss'.* have (loss, acc|learning_rate|nothing)"):
            callback.on_epoch_end(0, logs)
    assert not model.stop_training


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: cb.EarlyStopping(monitor=None), "monitor is None"),  # type: ignore[arg-type]
        (lambda: cb.EarlyStopping(patience=1.5), "patience is 1.5"),  # type: ignore[arg-type]
        (lambda: cb.EarlyStopping(min_delta="x"), "min_delta is 'x'"),  # type: ignore[arg-type]
        (lambda: cb.EarlyStopping(baseline="x"), "baseline is 'x'"),  # type: ignore[arg-type]
        (lambda: cb.ReduceLROnPlateau(factor=1.0), "factor is 1.0"),
        (lambda: cb.ReduceLROnPlateau(factor=-1.0), "factor is -1.0"),
        (lambda: cb.ReduceLROnPlateau(min_lr=-1.0), "min_lr is -1.0"),
        (lambda: cb.LearningRateScheduler(0.1), "schedule is 0.1"),  # type: ignore[arg-type]
        (lambda: cb.ModelCheckpoint(3), "filepath is 3"),  # type: ignore[arg-type]
        (lambda: cb.ModelCheckpoint("x", save_freq="batch"), "save_freq is 'batch'"),
        (lambda: cb.ModelCheckpoint("x", save_freq=0), "save_freq is 0"),
        (lambda: cb.CSVLogger("x", separator=", "), "separator is ', '"),
        (lambda: cb.LambdaCallback(on_epoch=print), "no argument 'on_epoch'"),
        (lambda: cb.LambdaCallback(on_epoch_end=3), "on_epoch_end is 3"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments(make: Any, said: str) -> None:
    with pytest.raises(GraphTypeError, match=f"^.*{re.escape(said)}"):
        make()


ARGUMENTS = {
    "EarlyStopping": "monitor min_delta patience verbose mode baseline restore_best_weights "
    "start_from_epoch",
    "ReduceLROnPlateau": "monitor factor patience verbose mode min_delta cooldown min_lr",
    "ModelCheckpoint": "filepath monitor verbose save_best_only save_weights_only mode save_freq "
    "initial_value_threshold",
    "CSVLogger": "filename separator append",
    "LearningRateScheduler": "schedule verbose",
    "TerminateOnNaN": "raise_error",
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_are_in_keras_s_order(name: str) -> None:
    found = inspect.signature(getattr(cb, name)).parameters.values()
    positional = [p.name for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == ARGUMENTS[name].split()


# --- files ----------------------------------------------------------------------------------------


class Saving(Model):
    def save(self, path: str, overwrite: bool = True) -> None:
        Path(path).write_text("model")


def test_a_checkpoints_folder_is_made(tmp_path: Path) -> None:
    callback = cb.ModelCheckpoint(tmp_path / "a" / "b" / "{epoch:02d}-{val_loss:.2f}.any")
    callback.set_model(Saving(None))
    callback.on_epoch_end(4, {"val_loss": 0.123})
    assert (tmp_path / "a" / "b" / "05-0.12.any").read_text() == "model"


def test_a_checkpoint_over_a_folder(tmp_path: Path) -> None:
    callback = cb.ModelCheckpoint(tmp_path)
    callback.set_model(Saving(None))
    with pytest.raises(IsADirectoryError, match="is a folder"):
        callback.on_epoch_end(0, {})


@pytest.mark.parametrize("field", ["{val_acc:.2f}", "{}"])
def test_a_field_that_is_not_in_the_logs(field: str) -> None:
    callback = cb.ModelCheckpoint(field)
    model_for(callback)
    with pytest.raises(ArgumentError, match="there are loss, val_accuracy, epoch"):
        callback.on_epoch_end(0, {"loss": 1.0, "val_accuracy": 0.5})


@pytest.mark.parametrize("every", range(1, 9))
@pytest.mark.parametrize("batches", [1, 3, 4])
def test_checkpoints_every_few_batches(every: int, batches: int) -> None:
    """They are counted on from epoch to epoch."""
    callback = cb.ModelCheckpoint("{epoch}-{batch}", save_freq=every)
    model = model_for(callback)
    for epoch in range(4):
        callback.on_epoch_begin(epoch)
        for batch in range(batches):
            callback.on_train_batch_end(batch, {"loss": 1.0})
    steps = range(every - 1, 4 * batches, every)
    assert model.saved == [f"{n // batches + 1}-{n % batches + 1}" for n in steps]


def test_rows_are_appended_by_the_columns_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for logs in ({"loss": 1.0, "val_loss": 2.0}, {"accuracy": 0.5, "val_loss": 3.0}):
        logger = cb.CSVLogger(path, append=True)
        logger.on_train_begin()
        logger.on_epoch_end(0, dict(logs))
    assert path.read_text().split() == ["epoch,loss,val_loss", "0,1.0,2.0", "0,NA,3.0"]


def test_rows_are_on_disk_after_every_epoch(tmp_path: Path) -> None:
    logger = cb.CSVLogger(tmp_path / "log.csv", separator=";")
    logger.on_train_begin()
    for epoch in range(3):
        logger.on_epoch_end(epoch, {"loss": 1.0, "val_loss": 2.0})
        assert len((tmp_path / "log.csv").read_text().split()) == epoch + 2


# --- batches --------------------------------------------------------------------------------------


def test_who_makes_fit_call_per_batch() -> None:
    def wants(callback: cb.Callback) -> bool:
        return cb.CallbackList(callback).wants_batches

    class Own(cb.TerminateOnNaN):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            pass

    assert not any(
        wants(callback)
        for callback in (
            cb.TerminateOnNaN(),
            cb.ModelCheckpoint("x"),
            cb.CSVLogger("x"),
            cb.EarlyStopping(),
            cb.ReduceLROnPlateau(),
            cb.LearningRateScheduler(lambda epoch: 0.1),
            cb.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        )
    )
    assert wants(Own())
    assert wants(cb.ModelCheckpoint("x", save_freq=10))
    assert wants(cb.LambdaCallback(on_batch_end=lambda batch, logs: None))
    assert wants(cb.LambdaCallback(on_train_batch_begin=lambda batch, logs: None))


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("per_batch", [True, False])
def test_a_loss_that_is_no_number(
    loss: float, per_batch: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = cb.TerminateOnNaN()
    model = model_for(callback)
    callback.on_train_begin()
    values = np.array([1.0, 2.0, loss, loss])
    if per_batch:
        for batch, value in enumerate(values):
            callback.on_train_batch_end(batch, {"loss": value})
            if model.stop_training:
                break
    callback.on_epoch_batches(0, {"loss": values})
    assert model.stop_training
    assert capsys.readouterr().out == "Batch 2: Invalid loss, terminating training\n"


def test_finite_losses_go_on() -> None:
    callback = cb.TerminateOnNaN(raise_error=True)
    model = model_for(callback)
    callback.on_epoch_batches(0, {"loss": np.ones(3)})
    callback.on_epoch_batches(0, {})
    callback.on_train_batch_end(0, {"loss": 1e30})
    callback.on_train_batch_end(0)
    assert not model.stop_training
    with pytest.raises(RuntimeError, match=r"at batch 1\. Loss value: nan"):
        callback.on_epoch_batches(0, {"loss": np.array([1.0, np.nan])})


def test_functions_of_a_lambda_callback() -> None:
    seen: list[Any] = []
    callback = cb.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)),
        on_batch_end=lambda batch, logs: seen.append((batch, logs)),
        on_train_end=lambda logs: seen.append(logs),
        on_train_begin=None,
    )
    callbacks = cb.CallbackList(callback)
    callbacks.on_train_begin()
    callbacks.on_train_batch_end(3, {"loss": 1.0})
    callbacks.on_epoch_end(2, {"loss": 2.0})
    callbacks.on_train_end({})
    assert seen == [(3, {"loss": 1.0}), (2, {"loss": 2.0}), {}]
