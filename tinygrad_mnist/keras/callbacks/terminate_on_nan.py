"""`TerminateOnNaN`: an end to training whose loss is no number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.graph.values import flag
from tinygrad_mnist.keras.callbacks.callback import Callback, Logs, overrides


class TerminateOnNaN(Callback):
    """Ends `fit` when the loss of a batch is NaN or infinite: after the batch where `fit` calls per
    batch, otherwise after the epoch. It doesn't make `fit` call per batch.

    raise_error: raises RuntimeError at once, so that no other callback is called any more.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = flag(raise_error, "raise_error")
        self._is_found = False

    def wants_batches_of(self, stage: str) -> bool:
        return overrides(self, TerminateOnNaN, stage)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._is_found = False

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            self._stop(batch, loss)

    def on_epoch_batches(self, epoch: int, values: Mapping[str, NDArray[np.float64]]) -> None:
        losses = np.asarray(values.get("loss", ()))
        wrong = np.flatnonzero(~np.isfinite(losses))
        if wrong.size and not self._is_found:
            self._stop(int(wrong[0]), float(losses[wrong[0]]))

    def _stop(self, batch: int, loss: float) -> None:
        self._is_found = True
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. Loss value: {loss}. "
                "Terminating training immediately."
            )
        print(f"Batch {batch}: Invalid loss, terminating training", flush=True)
        self.model.stop_training = True
