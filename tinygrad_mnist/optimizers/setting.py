"""`Setting`: a shared scalar that programs for Keras read and set like a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.graph.pickling import keep_class
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.types import tensor_type


class Setting(SharedVariable):
    """A shared scalar: functions read it, and `float()` gives its present value."""

    __slots__ = ()

    def __init__(self, value: float, dtype: str, name: str) -> None:
        super().__init__(np.array(value, dtype), tensor_type(dtype, ()), name)

    def __float__(self) -> float:
        return float(self.get_value())

    def numpy(self) -> Array:
        """The present value, as TensorFlow's variables return it."""
        return self.get_value()

    def assign(self, value: Any) -> None:
        """Sets the value, as TensorFlow's variables do."""
        self.set_value(value)


keep_class(Setting)
