"""`fit`, `evaluate` and `predict` on generators, datasets and other iterables of batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers.small_sequential import CLASSES, classifier, samples, weights_equal

from tinygrad_mnist import keras
from tinygrad_mnist.functions import Function
from tinygrad_mnist.keras.training import batch_source

QUIET: dict[str, Any] = {"verbose": 0}
X, Y = samples(60)
SIZE = 10
ENDED = pytest.mark.filterwarnings("ignore:Your input ran out of data")


def batches(n: int = 6, size: int = SIZE) -> list[tuple[Any, Any]]:
    return [(X[i * size : (i + 1) * size], Y[i * size : (i + 1) * size]) for i in range(n)]


def endless(taken: list[int] | None = None) -> Iterator[tuple[Any, Any]]:
    while True:
        for number, batch in enumerate(batches()):
            if taken is not None:
                taken.append(number)
            yield batch


class Counted:
    """Batches by number, without `__iter__`."""

    ended = 0

    def __len__(self) -> int:
        return 6

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        return batches()[number]

    def on_epoch_end(self) -> None:
        self.ended += 1


class Dataset:
    """A dataset like TensorFlow's; -1 is an endless one."""

    def __init__(self, cardinality: int) -> None:
        self._cardinality = cardinality

    def cardinality(self) -> int:
        return self._cardinality

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return iter(batches()) if self._cardinality != -1 else endless()


class Count(keras.callbacks.Callback):
    """Asks for batches."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(batch)


@pytest.mark.parametrize("callbacks", [0, 1])
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (batches, {}),
        (lambda: tuple(batches()), {}),
        (Counted, {"shuffle": False}),
        (lambda: Dataset(6), {}),
        (lambda: Dataset(-1), {"steps_per_epoch": 6}),
        (endless, {"steps_per_epoch": 6}),
        (lambda: [(x, y, np.ones(len(x))) for x, y in batches()], {}),
    ],
)
def test_batches_train_as_arrays_do(make: Any, options: dict[str, Any], callbacks: int) -> None:
    reference, model = classifier(), classifier()
    expected = reference.fit(X, Y, batch_size=SIZE, epochs=3, shuffle=False, **QUIET)
    found = model.fit(make(), epochs=3, callbacks=[Count()] * callbacks, **options, **QUIET)
    assert weights_equal(reference, model)
    assert found.history == {
        name: pytest.approx(values, rel=1e-9) for name, values in expected.history.items()
    }


@pytest.mark.parametrize("callbacks", [0, 1])
def test_no_batch_is_taken_that_no_epoch_needs(callbacks: int) -> None:
    taken: list[int] = []
    after_epochs: list[int] = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: after_epochs.append(len(taken))
    )
    called = [note, *[Count()] * callbacks]
    classifier().fit(endless(taken), steps_per_epoch=4, epochs=3, callbacks=called, **QUIET)
    assert after_epochs == [4, 8, 12]


@ENDED
def test_an_epoch_goes_on_where_the_last_one_stopped() -> None:
    reference, model = classifier(), classifier()
    reference.fit(X, Y, batch_size=SIZE, shuffle=False, **QUIET)
    model.fit(Dataset(6), steps_per_epoch=2, epochs=3, **QUIET)
    assert weights_equal(reference, model)


def test_batches_of_equal_shape_are_swept_together(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    sweep = Function.sweep

    def counted(function: Function, *args: Any, **kwargs: Any) -> Any:
        steps.append(len(args[0]))
        return sweep(function, *args, **kwargs)

    monkeypatch.setattr(Function, "sweep", counted)
    short = (X[:4], Y[:4])
    mixed = [*batches(3), short, short, *batches(1)]
    classifier().fit(mixed, **QUIET)
    assert steps == [3, 2, 1]
    steps.clear()
    monkeypatch.setattr(batch_source, "CHUNK_BYTES", 2 * (X[:SIZE].nbytes + 4 * SIZE))
    classifier().fit(batches(5), **QUIET)
    assert steps == [2, 2, 1]
    steps.clear()
    classifier().fit(batches(3), callbacks=[Count()], **QUIET)
    assert steps == []  # each step is a call


def test_a_generator_that_ends_early_ends_training_with_a_warning() -> None:
    reference, model = classifier(), classifier()
    reference.fit(X, Y, batch_size=SIZE, shuffle=False, **QUIET)
    with pytest.warns(UserWarning, match="Your input ran out of data; interrupting training"):
        history = model.fit(iter(batches()), steps_per_epoch=4, epochs=5, **QUIET)
    assert weights_equal(reference, model)
    assert history.epoch == [0, 1]


def test_a_generator_without_steps_is_one_epoch() -> None:
    model = classifier()
    history = model.fit((b for b in batches()), **QUIET)
    assert history.epoch == [0]
    assert int(model.optimizer.iterations.get_value()) == 6


def test_batches_before_an_error_are_trained_on() -> None:
    def failing() -> Iterator[Any]:
        yield from batches(3)
        raise OSError("no more")

    reference, model = classifier(), classifier()
    reference.fit(X[:30], Y[:30], batch_size=SIZE, shuffle=False, **QUIET)
    with pytest.raises(OSError, match="no more"):
        model.fit(failing(), **QUIET)
    assert weights_equal(reference, model)


def test_a_sequence_is_shuffled_and_hears_of_its_end() -> None:
    counted, model, reference = Counted(), classifier(), classifier()
    np.random.seed(5)  # noqa: NPY002
    model.fit(counted, epochs=2, **QUIET)
    assert counted.ended == 2
    np.random.seed(5)  # noqa: NPY002
    for _ in range(2):
        order = np.random.permutation(6)  # noqa: NPY002
        reference.fit([batches()[i] for i in order], **QUIET)
    assert weights_equal(model, reference)


def test_class_weights_of_batches() -> None:
    weights = {0: 3.0, 1: 0.25}
    arrays, iterable = classifier(), classifier()
    arrays.fit(X, Y, batch_size=SIZE, shuffle=False, class_weight=weights, **QUIET)
    iterable.fit(batches(), class_weight=weights, **QUIET)
    assert weights_equal(arrays, iterable)


def test_validation_on_an_iterable_begins_anew_each_time() -> None:
    model = classifier(optimizer=keras.optimizers.SGD(0.0))
    expected = model.evaluate(X[:20], Y[:20], batch_size=SIZE, return_dict=True, **QUIET)
    for data, steps in ((batches(2), None), (Dataset(6), 2), (Dataset(-1), 2)):
        history = model.fit(
            X, Y, epochs=3, validation_data=data, validation_steps=steps, **QUIET
        ).history
        for name, value in expected.items():
            assert history[f"val_{name}"] == pytest.approx([value] * 3)


def test_evaluating_and_predicting() -> None:
    model = classifier()
    expected = model.evaluate(X, Y, batch_size=SIZE, **QUIET)
    assert model.evaluate(batches(), **QUIET) == pytest.approx(expected)
    assert model.evaluate(endless(), steps=6, **QUIET) == pytest.approx(expected)
    predicted = model.predict(X, **QUIET)
    for data, steps, n in (
        (batches(), None, 60),
        (endless(), 3, 30),
        ((x for x, _ in batches(2)), None, 20),
        (((x,) for x, _ in batches(2)), None, 20),
        (Dataset(-1), 2, 20),
    ):
        found = model.predict(data, steps=steps, **QUIET)
        assert found.shape == (n, CLASSES)
        np.testing.assert_allclose(found, predicted[:n], rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (Dataset(-1), {}, "x repeats without end, so the number of steps has to be given"),
        (iter(()), {}, "x is an iterable without a batch"),
        ([(X, Y, Y, Y)], {}, "batch 0 of x: it has 4 parts"),
        ([(X,)], {}, "batch 0 of x: x comes without y"),
        ([(X[:5], Y)], {}, "batch 0 of x: x has 5 samples and batch 0 of x: y has 60"),
        ([(X, Y + 5)], {}, r"batch 0 of x: y\[0\] is"),
        ([(X[:0], Y[:0])], {}, "batch 0 of x: x has no samples"),
        (endless(), {"y": Y, "steps_per_epoch": 1}, "y belongs in the batches of x"),
        (endless(), {"validation_split": 0.5, "steps_per_epoch": 1}, "validation_split needs x"),
        (endless(), {"sample_weight": Y, "steps_per_epoch": 1}, "belongs in the batches of x"),
    ],
)
def test_wrong_batches_are_found_before_the_first_step(
    data: Any, options: dict[str, Any], message: str
) -> None:
    model = classifier()
    before = model.get_weights()
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(data, **options, **QUIET)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_a_subclass_of_sequence_is_batches_by_number() -> None:
    class Batches(keras.utils.Sequence):
        ends = 0

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            return np.full((2, 1), index, np.float32), np.zeros((2, 1))

        def on_epoch_end(self) -> None:
            self.ends += 1

    model = keras.Sequential([keras.layers.Dense(1, input_dim=1)])
    model.compile("sgd", "mse")
    batches = Batches()
    model.fit(batches, epochs=2, verbose=0)
    assert batches.ends == 2
    with pytest.raises(NotImplementedError, match="has to define __len__"):
        len(keras.utils.Sequence())
