"""`keras.utils.Sequence`: batches by number."""

from __future__ import annotations

from typing import Any


class Sequence:
    """The base of classes that have batches by number: `len(batches)` is how many, and `batches[i]`
    is (x, y) or (x, y, sample_weight). `fit` takes them in a new order in every epoch."""

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has to define __len__()")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has to define __getitem__(index)")

    def on_epoch_end(self) -> None:
        """Called after every epoch."""


PyDataset = Sequence  # Keras 3's name
