"""`CallbackList`: who is called, in which order, with what, and who wants calls per batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.keras.callbacks import Callback, CallbackList, History
from tinygrad_mnist.keras.callbacks.callback import BATCH_METHODS

PLAIN = [name for name in dir(Callback) if name.startswith("on_")]
OF_BATCHES = [(stage, name) for stage, names in BATCH_METHODS.items() for name in names]


def recorder(name: str, calls: list[Any]) -> Callback:
    """A callback that notes the calls of one method."""

    def method(self: Callback, *args: Any, **options: Any) -> None:
        calls.append((name, *args, *options.values()))

    return type("Recorder", (Callback,), {name: method})()


@pytest.mark.parametrize("name", PLAIN)
def test_every_method_reaches_all_callbacks_with_the_same_logs(name: str) -> None:
    calls: list[Any] = []
    callbacks = CallbackList([recorder(name, calls), recorder(name, calls)])
    logs = {"loss": 0.5}
    number = [] if name.removeprefix("on_") in STAGES else [7]
    getattr(callbacks, name)(*number, logs)
    assert calls == [(name, *number, logs)] * 2
    assert calls[0][-1] is calls[1][-1] is logs


STAGES = {f"{stage}_{moment}" for stage in BATCH_METHODS for moment in ("begin", "end")}


def test_no_logs_are_an_empty_dict() -> None:
    calls: list[Any] = []
    CallbackList([recorder("on_epoch_end", calls)]).on_epoch_end(0)
    assert calls == [("on_epoch_end", 0, {})]


def test_logs_become_floats() -> None:
    logs: dict[str, Any] = {"loss": np.float32(0.5), "rows": np.ones(2), "name": "x", "n": 3}
    CallbackList().on_epoch_end(0, logs)
    assert type(logs["loss"]) is float
    assert type(logs["n"]) is float
    assert logs["name"] == "x"
    assert logs["rows"].shape == (2,)


@pytest.mark.parametrize(("stage", "name"), OF_BATCHES)
def test_one_that_overrides_a_method_for_batches_wants_batches(stage: str, name: str) -> None:
    callbacks = CallbackList([Callback(), recorder(name, [])])
    assert {other for other in BATCH_METHODS if callbacks.wants_batches_of(other)} == {stage}
    assert callbacks.wants_batches == (stage == "train")


@pytest.mark.parametrize("name", sorted(set(PLAIN) - {name for _, name in OF_BATCHES}))
def test_others_do_not(name: str) -> None:
    assert not CallbackList([recorder(name, []), History()]).wants_batches


def test_a_function_kept_in_the_object_counts_as_overriding() -> None:
    callback = Callback()
    vars(callback)["on_batch_end"] = lambda batch, logs: None
    assert CallbackList(callback).wants_batches


def test_old_names_are_called_for_batches() -> None:
    calls: list[Any] = []
    callbacks = CallbackList([recorder("on_batch_begin", calls), recorder("on_batch_end", calls)])
    callbacks.on_train_batch_begin(0)
    callbacks.on_train_batch_end(0, {"loss": 1.0})
    assert calls == [("on_batch_begin", 0, {}), ("on_batch_end", 0, {"loss": 1.0})]


def test_nested_lists_none_and_one_callback() -> None:
    a, b, c = Callback(), Callback(), Callback()
    assert CallbackList([a, (b, [c]), None]).callbacks == [a, b, c]
    assert CallbackList(a).callbacks == [a]
    assert CallbackList(None).callbacks == []


def test_model_and_params_reach_all_and_those_added_later() -> None:
    model = SimpleNamespace()
    a, b = Callback(), Callback()
    callbacks = CallbackList([a], model=model, params={"epochs": 3}, steps=2)
    callbacks.append(b)
    for callback in (a, b):
        assert callback.model is model
        assert callback.params == {"epochs": 3, "steps": 2}


def test_a_subclass_that_does_not_call_init() -> None:
    class Own(Callback):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seen.append(epoch)

    own = Own()
    assert own.model is None
    CallbackList(own, model=SimpleNamespace()).on_epoch_end(4)
    assert own.seen == [4]


def test_a_callback_of_another_library() -> None:
    """It has Keras's methods, and no others."""
    seen: list[Any] = []
    methods: dict[str, Any] = {
        name: lambda self, *args, **options: None
        for name in [*PLAIN, "set_model", "set_params"]
        if name != "on_epoch_batches"
    }
    methods["on_epoch_end"] = lambda self, epoch, logs: seen.append((epoch, logs))
    callbacks = CallbackList(type("Foreign", (), methods)())
    callbacks.on_epoch_batches(0, {"loss": np.ones(3)})
    callbacks.on_epoch_end(0, {"loss": 1.0})
    assert seen == [(0, {"loss": 1.0})]
    assert callbacks.wants_batches


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (History, r"class History; make an object of it: History\(\)"),
        ([Callback()], None),
        (lambda epoch: epoch, "no callback"),
        (["History"], "no callback"),
    ],
)
def test_what_is_no_callback_is_refused(given: Any, said: str | None) -> None:
    if said is None:
        assert len(CallbackList(given).callbacks) == 1
        return
    with pytest.raises(GraphTypeError, match=said):
        CallbackList(given)


def test_history_keeps_logs_of_all_epochs() -> None:
    model: Any = SimpleNamespace()
    callbacks = CallbackList([], add_history=True, model=model)
    callbacks.on_train_begin()
    callbacks.on_epoch_end(0, {"loss": 0.5, "accuracy": 0.25})
    callbacks.on_epoch_end(1, {"loss": 0.25, "accuracy": 0.5, "val_loss": 1.0})
    assert model.history is callbacks.history
    assert model.history.epoch == [0, 1]
    assert model.history.history == {
        "loss": [0.5, 0.25],
        "accuracy": [0.25, 0.5],
        "val_loss": [1.0],
    }
    assert repr(model.history) == "<History of 2 epochs, loss 0.25, accuracy 0.5, val_loss 1>"


def test_a_given_history_is_used() -> None:
    own = History()
    callbacks = CallbackList([own], add_history=True)
    assert callbacks.callbacks == [own]
    assert callbacks.history is own
    assert repr(own) == "<History of 0 epochs>"
