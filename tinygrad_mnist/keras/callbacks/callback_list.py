"""`CallbackList`: several callbacks that are called as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras.callbacks.callback import BATCH_METHODS, Callback, Logs, overrides
from tinygrad_mnist.keras.callbacks.history import History

_METHODS = [
    *(f"on_{stage}_{moment}" for stage in BATCH_METHODS for moment in ("begin", "end")),
    *(name for names in BATCH_METHODS.values() for name in names),
    *("on_epoch_begin", "on_epoch_end", "set_model", "set_params"),
]


class CallbackList(Callback):
    """Callbacks that are called in their order, for `fit` and for loops of your own.

    callbacks: a callback, or any nesting of lists of them; None is none. An object that isn't a
    `Callback` counts as one if it has Keras's methods. add_history: appends a `History` if there is
    none. params: what `set_params` gives them; further arguments are added to it.

    history: the `History` among them, or None.

    Raises GraphTypeError for what is no callback.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        model: Any = None,
        params: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self.callbacks = list(_flat(callbacks))
        histories = [callback for callback in self.callbacks if isinstance(callback, History)]
        if add_history and not histories:
            histories = [History()]
            self.callbacks += histories
        self.history = histories[-1] if histories else None
        self.set_model(model)
        self.set_params({**(params or {}), **more})

    def append(self, callback: Any) -> None:
        """Adds a callback at the end; it gets the model and the params."""
        for added in _flat(callback):
            self.callbacks.append(added)
            if self.model is not None:
                added.set_model(self.model)
            if self.params:
                added.set_params(self.params)

    def set_params(self, params: Mapping[str, Any]) -> None:
        self.params = params
        if params:
            self._call("set_params", params)

    def set_model(self, model: Any) -> None:
        if model is None:
            return
        self.model = model
        if self.history is not None:
            model.history = self.history
        self._call("set_model", model)

    def wants_batches_of(self, stage: str) -> bool:
        """Whether a callback must be called per batch. stage: "train", "test" or "predict"."""
        return any(
            callback.wants_batches_of(stage)
            if isinstance(callback, Callback)
            else overrides(callback, Callback, stage)
            for callback in self.callbacks
        )

    @property
    def wants_batches(self) -> bool:
        """Whether `fit` has to call per batch."""
        return self.wants_batches_of("train")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", _plain(logs))

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", _plain(logs))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, _plain(logs))

    def on_epoch_batches(self, epoch: int, values: Mapping[str, NDArray[np.float64]]) -> None:
        for callback in self.callbacks:
            if hasattr(callback, "on_epoch_batches"):
                callback.on_epoch_batches(epoch, values)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, _plain(logs))

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_batch_begin", batch, logs=_plain(logs))

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_batch_end", batch, logs=_plain(logs))

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_begin", batch, logs=_plain(logs))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_end", batch, logs=_plain(logs))

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._call("on_test_begin", _plain(logs))

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call("on_test_end", _plain(logs))

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_begin", batch, logs=_plain(logs))

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_end", batch, logs=_plain(logs))

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._call("on_predict_begin", _plain(logs))

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._call("on_predict_end", _plain(logs))

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_begin", batch, logs=_plain(logs))

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_end", batch, logs=_plain(logs))

    def _call(self, name: str, *args: Any, **options: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(*args, **options)


def _flat(callbacks: Any) -> Iterator[Any]:
    if callbacks is None:
        return
    if isinstance(callbacks, list | tuple):
        for callback in callbacks:
            yield from _flat(callback)
        return
    if isinstance(callbacks, type):
        raise GraphTypeError(
            f"callbacks has the class {callbacks.__name__}; make an object of it: "
            f"{callbacks.__name__}()"
        )
    missing = [name for name in _METHODS if not callable(getattr(callbacks, name, None))]
    if missing:
        raise GraphTypeError(
            f"callbacks has {shown(callbacks)}, which is no callback: it has no {missing[0]}"
        )
    yield callbacks


def _plain(logs: Logs | None) -> Logs:
    """The same dict, with Python's floats where a value can be one."""
    if logs is None:
        return {}
    for name, value in logs.items():
        if type(value) is not float and np.ndim(value) == 0:
            try:
                logs[name] = float(value)
            except (TypeError, ValueError):
                continue
    return logs
