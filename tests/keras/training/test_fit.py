# ruff: noqa: NPY002  (the order of an epoch comes from numpy.random, as in Keras)
"""`fit` on arrays: how it runs, what it trains on, what it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.interrupts import output_after_interrupt
from helpers.small_sequential import CLASSES, classifier, samples, weights_equal

from tinygrad_mnist import keras
from tinygrad_mnist.backends.cpu import CpuProgram
from tinygrad_mnist.functions import Function
from tinygrad_mnist.keras.training import functions

QUIET: dict[str, Any] = {"verbose": 0}


class Calls:
    """Counts of `Function.sweep`, of native sweeps and of functions and plans that are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.swept: list[str] = []
        self.native = self.made = 0
        sweep, native, make = Function.sweep, CpuProgram.sweep, functions.function

        def counted_sweep(function: Function, *args: Any, **kwargs: Any) -> Any:
            self.swept.append(str(function.name))
            return sweep(function, *args, **kwargs)

        def counted_native(*args: Any) -> Any:
            self.native += 1
            return native(*args)

        def counted_make(*args: Any, **kwargs: Any) -> Any:
            self.made += 1
            return make(*args, **kwargs)

        monkeypatch.setattr(Function, "sweep", counted_sweep)
        monkeypatch.setattr(CpuProgram, "sweep", counted_native)
        monkeypatch.setattr(functions, "function", counted_make)


@pytest.mark.parametrize(
    ("n", "options", "native"),
    [
        (100, {}, 1),
        (107, {}, 2),
        (107, {"shuffle": True}, 2),
        (7, {}, 1),
        (107, {"class_weight": {0: 2.0}}, 2),
        (107, {"sample_weight": np.ones(107)}, 2),
    ],
)
def test_an_epoch_is_one_sweep(
    monkeypatch: pytest.MonkeyPatch, n: int, options: dict[str, Any], native: int
) -> None:
    model = classifier()
    calls = Calls(monkeypatch)
    model.fit(*samples(n), batch_size=10, epochs=3, **{"shuffle": False, **options}, **QUIET)
    assert calls.swept == ["train"] * 3
    assert calls.native == 3 * native


def test_validation_is_one_sweep_more(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier()
    calls = Calls(monkeypatch)
    model.fit(*samples(50), epochs=2, validation_data=samples(33, 1), **QUIET)
    assert calls.swept == ["train", "test"] * 2


def test_a_second_fit_makes_no_function_and_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier()
    calls = Calls(monkeypatch)

    def plans() -> int:
        assert model._compiled_steps is not None
        steps = model._compiled_steps._made.values()
        return sum(len(step.on_resident.plans) for step in steps)

    counts = []
    for seed in range(3):
        model.fit(*samples(45, seed), validation_data=samples(20), **QUIET)
        counts.append((calls.made, plans()))
    assert counts == [(2, 3)] * 3


def test_the_memory_of_data_is_given_back() -> None:
    model = classifier()
    model.fit(*samples(45), validation_data=samples(20), **QUIET)
    model.evaluate(*samples(30), **QUIET)
    model.predict(samples(30)[0], **QUIET)
    assert model._compiled_steps is not None
    assert model._prediction_steps is not None
    made = [*model._compiled_steps._made.values(), *model._prediction_steps._made.values()]
    held = [v for s in made for v in (*s.resident.variables, *s.resident._source)]
    assert len(made) == 3
    assert len(held) == 2 * 2 + 2 + 1
    assert not any(v.get_value().size for v in held)


def test_users_arrays_are_only_read() -> None:
    model, (x, y) = classifier(), samples(40)
    before = x.copy(), y.copy()
    for shuffle in (False, True, "batch", True):
        model.fit(x, y, shuffle=shuffle, **QUIET)
    assert np.array_equal(x, before[0])
    assert np.array_equal(y, before[1])


# --- order ----------------------------------------------------------------------------------------


def test_a_shuffled_epoch_is_the_permuted_data_in_order() -> None:
    shuffled, ordered, (x, y) = classifier(), classifier(), samples(47)
    weights = np.linspace(0, 2, 47)
    np.random.seed(7)
    shuffled.fit(x, y, batch_size=10, epochs=3, sample_weight=weights, **QUIET)
    np.random.seed(7)
    for _ in range(3):
        p = np.random.permutation(47)
        ordered.fit(x[p], y[p], batch_size=10, sample_weight=weights[p], shuffle=False, **QUIET)
    assert weights_equal(shuffled, ordered)


def test_a_seed_repeats_a_run_bit_for_bit() -> None:
    runs = []
    for _ in range(2):
        np.random.seed(3)
        model = classifier(keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.5))
        history = model.fit(*samples(50), batch_size=8, epochs=2, validation_split=0.2, **QUIET)
        runs.append((history.history, model))
    assert runs[0][0] == runs[1][0]
    assert weights_equal(runs[0][1], runs[1][1])


def test_shuffling_within_batches_keeps_the_batches() -> None:
    """The order within a batch doesn't matter beyond rounding."""
    inside, ordered = classifier(), classifier()
    for model, shuffle in ((inside, "batch"), (ordered, False)):
        model.fit(*samples(47), batch_size=10, epochs=2, shuffle=shuffle, **QUIET)
    for a, b in zip(inside.get_weights(), ordered.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# --- the same in other words ----------------------------------------------------------------------

X, Y = samples(30)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X.tolist(), Y.tolist()),
        (X.astype("float64"), Y[:, None]),
        (X, Y.astype("uint8")),
        (X, Y.astype("int8")),
        (X, Y.astype("float32")),
        (X[::2].repeat(2, axis=0)[:30][::-1][::-1], Y[::2].repeat(2)),
        (np.asfortranarray(X), Y),
    ],
)
def test_forms_of_arrays(x: Any, y: Any) -> None:
    reference, model = classifier(), classifier()
    plain = np.ascontiguousarray(np.asarray(x, "float32"))
    reference.fit(plain, np.asarray(y, "int32").ravel(), shuffle=False, **QUIET)
    model.fit(x, y, shuffle=False, **QUIET)
    assert weights_equal(reference, model)


def test_one_hot_labels_and_truths() -> None:
    reference = classifier()
    losses = []
    for labels in (np.eye(CLASSES)[Y], np.eye(CLASSES)[Y] > 0, np.eye(CLASSES, dtype="int8")[Y]):
        model = classifier(loss="categorical_crossentropy")
        losses.append(model.fit(X, labels, shuffle=False, **QUIET).history)
    expected = reference.fit(X, Y, shuffle=False, **QUIET).history
    assert losses[0] == losses[1] == losses[2]
    assert losses[0]["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert losses[0]["accuracy"] == expected["accuracy"]


def test_weights_of_classes_are_those_of_samples() -> None:
    by_class, by_sample = classifier(), classifier()
    by_class.fit(X, Y, class_weight={0: 3.0, 2: 0.5}, shuffle=False, **QUIET)
    by_sample.fit(X, Y, sample_weight=np.array([3.0, 1.0, 0.5])[Y], shuffle=False, **QUIET)
    assert weights_equal(by_class, by_sample)


def test_integer_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 1), dtype=np.uint8)
    losses = []
    for x in (images, images.astype("float64"), images[..., 0]):
        np.random.seed(0)
        model = keras.Sequential(
            [keras.layers.Flatten(input_shape=(4, 4, 1)), keras.layers.Dense(3)]
        )
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        losses.append(model.fit(x, Y, epochs=2, **QUIET).history["loss"])
    assert losses[0] == losses[1] == losses[2]


def test_a_model_without_a_shape_is_built_for_the_data() -> None:
    model = keras.Sequential([keras.layers.Dense(CLASSES, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, **QUIET)
    assert model.input_shape == (None, 6)


# --- compile --------------------------------------------------------------------------------------


def test_names_of_metrics() -> None:
    def own(y_true: Any, y_pred: Any) -> Any:
        return y_pred

    model = classifier(
        metrics=["acc", "mse", own, keras.metrics.SparseCategoricalAccuracy(name="sparse"), "acc"],
        weighted_metrics=["acc", "sparse_categorical_accuracy"],
        loss="sparse_categorical_crossentropy",
    )
    names = ["loss", "acc", "mse", "own", "sparse", "acc_1", "acc_2", "sparse_categorical_accuracy"]
    assert model.metrics_names == names
    model = classifier(metrics={"dense": ["acc", "accuracy"]}, weighted_metrics=["acc"])
    assert model.metrics_names == ["loss", "acc", "accuracy", "weighted_acc"]
    assert len(model.evaluate(X, Y, **QUIET)) == 4


def test_results_of_evaluate_and_of_one_batch() -> None:
    plain, measured = classifier(metrics=None), classifier(metrics=["accuracy"])
    loss = plain.evaluate(X, Y, **QUIET)
    assert isinstance(loss, float)
    assert measured.evaluate(X, Y, **QUIET) == [
        loss,
        pytest.approx(measured.test_on_batch(X, Y)[1]),
    ]
    logs = measured.evaluate(X, Y, return_dict=True, **QUIET)
    assert list(logs) == ["accuracy", "loss"]
    assert plain.train_on_batch(X, Y) == pytest.approx(loss, rel=1e-6)
    assert plain.test_on_batch(X, Y) < loss
    assert list(measured.train_on_batch(X, Y, return_dict=True)) == ["accuracy", "loss"]


def test_compiling_anew_starts_with_the_new_optimizer() -> None:
    model = classifier()
    model.fit(X, Y, **QUIET)
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    model.fit(X, Y, **QUIET)
    assert all(map(np.array_equal, before, model.get_weights()))
    model.optimizer.learning_rate = 0.1
    model.fit(X, Y, **QUIET)
    assert not np.array_equal(before[0], model.get_weights()[0])


def test_layers_that_are_not_trained() -> None:
    frozen = keras.layers.Dense(5, "relu", trainable=False)
    model = classifier(frozen)
    before = model.get_weights()
    model.fit(X, Y, **QUIET)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert sum(changed) == 2
    model.trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    with pytest.warns(UserWarning, match="does not have any trainable weights"):
        model.fit(X, Y, **QUIET)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_a_run_on_every_backend(device: str) -> None:
    model = classifier(keras.layers.BatchNormalization())
    history = model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, **QUIET).history
    with making_functions_for("cpu"):
        expected = classifier(keras.layers.BatchNormalization()).fit(
            X, Y, batch_size=8, epochs=2, shuffle=False, **QUIET
        )
    assert history == {
        name: pytest.approx(values, rel=1e-5) for name, values in expected.history.items()
    }


def test_a_layer_without_weights_that_is_added_later_counts() -> None:
    model = classifier()
    before = model.predict(X, **QUIET)
    loss = model.evaluate(X, Y, **QUIET)
    model.add(keras.layers.Activation("softmax"))
    assert not np.allclose(model.predict(X, **QUIET), before)
    assert model.evaluate(X, Y, **QUIET) != loss


def test_a_layer_that_is_added_later_is_trained() -> None:
    model = classifier()
    model.fit(X, Y, **QUIET)
    model.pop()
    model.add(keras.layers.Dense(CLASSES, activation="softmax", name="new"))
    before = model.get_weights()[0]
    model.fit(X, Y, **QUIET)
    assert not np.array_equal(before, model.get_weights()[0])


def test_losses_that_are_not_finite_do_not_stop() -> None:
    model = classifier(optimizer=keras.optimizers.SGD(1e38))
    history = model.fit(X, Y, epochs=4, **QUIET)
    assert len(history.history["loss"]) == 4
    assert not np.isfinite(history.history["loss"][-1])


# --- predict --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 5, 32, 64, 70])
def test_predictions_of_any_number_of_samples(n: int) -> None:
    model, (x, _) = classifier(), samples(n)
    predicted = model.predict(x, **QUIET)
    assert predicted.shape == (n, CLASSES)
    assert predicted.dtype == "float32"
    np.testing.assert_allclose(predicted, model.predict_on_batch(x), rtol=1e-6)
    np.testing.assert_array_equal(predicted, model.predict(x, batch_size=32, **QUIET))


def test_predictions_of_some_steps() -> None:
    model, (x, _) = classifier(), samples(50)
    whole = model.predict(x, **QUIET)
    found = model.predict(x, batch_size=8, steps=3, **QUIET)
    np.testing.assert_allclose(found, whole[:24], rtol=1e-6)
    assert model.predict(x, steps=3, **QUIET).shape == (50, CLASSES)  # of 17 samples each


# --- callbacks and interrupts ---------------------------------------------------------------------


def test_a_callback_for_batches_is_called_after_each_step() -> None:
    seen: list[tuple[int, dict[str, float]]] = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((batch, dict(logs)))

    one, other = classifier(), classifier()
    history = one.fit(X, Y, batch_size=8, shuffle=False, callbacks=[Watch()], **QUIET)
    other.fit(X, Y, batch_size=8, shuffle=False, **QUIET)
    assert weights_equal(one, other)
    assert [batch for batch, _ in seen] == [0, 1, 2, 3]
    assert seen[-1][1] == {name: values[0] for name, values in history.history.items()}


def test_a_callback_stops_training_after_a_batch() -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 1

    stopped, ordered = classifier(), classifier()
    history = stopped.fit(X, Y, batch_size=8, epochs=5, shuffle=False, callbacks=[Stop()], **QUIET)
    ordered.fit(X[:16], Y[:16], batch_size=8, shuffle=False, **QUIET)
    assert weights_equal(stopped, ordered)
    assert history.epoch == [0]


def test_evaluating_within_fit_does_not_disturb_it() -> None:
    class Evaluate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.evaluate(*samples(17, 5), verbose=0)
            self.model.predict(samples(9)[0], verbose=0)

    runs = []
    for callbacks in ([], [Evaluate()]):
        np.random.seed(0)
        model = classifier()
        history = model.fit(
            X, Y, epochs=3, validation_data=samples(20, 2), callbacks=callbacks, **QUIET
        )
        runs.append(history.history)
    assert runs[0] == runs[1]


def test_an_error_in_a_callback_leaves_a_model_that_trains() -> None:
    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise RuntimeError("stop here")

    model = classifier()
    with pytest.raises(RuntimeError, match="stop here"):
        model.fit(X, Y, callbacks=[Fail()], **QUIET)
    model.fit(X, Y, **QUIET)


INTERRUPTED = """
import numpy as np
from helpers.small_sequential import samples
from tinygrad_mnist import keras

layers = keras.layers
model = keras.Sequential([keras.Input((6,)), layers.Dense(300, "relu"), layers.Dense(3)])
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
x, y = samples(100_000)
model.fit(x[:64], y[:64], batch_size=2, verbose=0)
before = int(model.optimizer.iterations.get_value())
ready = keras.callbacks.LambdaCallback(
    on_epoch_begin=lambda epoch, logs: epoch == 1 and print("ready", flush=True)
)
try:
    settings = {"batch_size": 2, "steps_per_epoch": 5_000, "verbose": 0}
    model.fit(x, y, epochs=100_000, callbacks=[ready], **settings)
except KeyboardInterrupt:
    steps = int(model.optimizer.iterations.get_value()) - before
    epochs = len(model.history.history["loss"])
    finite = all(np.isfinite(w).all() for w in model.get_weights())
    print("interrupted", epochs >= 1, 5_000 * epochs <= steps <= 5_000 * (epochs + 1), finite)
model.fit(x[:64], y[:64], verbose=0)
print("went on")
"""


def test_an_interrupt_leaves_whole_steps_and_the_history() -> None:
    assert output_after_interrupt(INTERRUPTED).split("\n") == [
        "interrupted True True True",
        "went on",
        "",
    ]
