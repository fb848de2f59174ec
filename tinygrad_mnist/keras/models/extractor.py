"""`keras.Model(inputs, outputs)`: what layers inside a model give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.functions import Function, function
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.traversal import leaves
from tinygrad_mnist.graph.values import integer, shown
from tinygrad_mnist.keras.layers.keras_tensor import KerasTensor
from tinygrad_mnist.keras.layers.signal import Array, Signal
from tinygrad_mnist.keras.models.model import Model
from tinygrad_mnist.keras.tensors import tensor
from tinygrad_mnist.keras.training.arguments import AbsentMethod


class FeatureExtractor(Model):
    """The outputs of some layers of a `Sequential`, whose weights it shares: for predictions and
    pictures. It isn't trained.

    inputs: `model.input`, or a list of it. outputs: `layer.output` of one layer, or a list or dict
    of several; `predict` and calls give an array for each, in the same form.

    Raises GraphTypeError for what is no input or output, ArgumentError for outputs that don't come
    from the input.
    """

    compile = AbsentMethod("isn't here: the Sequential is trained")
    fit = AbsentMethod("isn't here: the Sequential is trained")

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        begin = _tensors(inputs)
        if len(begin) != 1:
            raise ArgumentError(f"inputs has {len(begin)} entries; a model has one{_here()}")
        self._input, self._outputs = begin[0], outputs
        for output in _tensors(outputs):
            if self._input.signal.variable not in leaves([output.signal.variable]):
                raise ArgumentError(
                    f"{output} doesn't come from {self._input}; inputs has to be the input of the "
                    f"model that has the layer, model.input{_here()}"
                )
        longest = max(_tensors(outputs), key=lambda output: len(output.layers))
        self._layers = list(longest.layers)
        super().__init__(name=name)
        self.built = True
        self.input_shape = self._input.shape
        self.output_shape = longest.shape
        self._function: Function | None = None

    def apply(self, signal: Signal, training: bool) -> Signal:
        for layer in self._layers:
            signal = layer.connect(signal, training)
        return signal

    def __call__(self, inputs: Any, training: bool | None = False) -> Any:
        """The outputs for a batch of the model's input: Tensors."""
        return self._in_form([tensor(v) for v in self._compute(self.held_input(inputs))])

    def predict(self, x: Any, batch_size: int | None = None, **options: Any) -> Any:
        """The outputs for samples, computed in batches of `batch_size` (32): arrays. `verbose` and
        other options of `Sequential.predict` have no effect."""
        size = integer(32 if batch_size is None else batch_size, "batch_size", 1)
        held = self.held_input(x)
        if not len(held):
            raise ArgumentError(f"x has no samples; its shape is {held.shape}{_here()}")
        parts = [self._compute(held[i : i + size]) for i in range(0, len(held), size)]
        return self._in_form([np.concatenate(values) for values in zip(*parts, strict=True)])

    def _compute(self, batch: Array) -> list[Array]:
        if self._function is None:
            found = [output.signal.in_keras_order() for output in _tensors(self._outputs)]
            self._function = function([self._input.signal.variable], found, name=self.name)
        values: list[Array] = self._function(batch)
        return values

    def _in_form(self, values: list[Array]) -> Any:
        """The values in the form of `outputs`."""
        if isinstance(self._outputs, KerasTensor):
            return values[0]
        if isinstance(self._outputs, Mapping):
            return dict(zip(self._outputs, values, strict=True))
        return values


def _tensors(given: Any) -> list[KerasTensor]:
    """Those that are given, alone or in a list or dict."""
    entries = list(given.values()) if isinstance(given, Mapping) else given
    entries = list(entries) if isinstance(entries, list | tuple) else [entries]
    if not entries or not all(isinstance(entry, KerasTensor) for entry in entries):
        raise GraphTypeError(
            f"keras.Model got {shown(given)}; it takes inputs=model.input and outputs=layer.output "
            "of a keras.Sequential, or lists of them. A model to train is keras.Sequential(layers)"
            f"{_here()}"
        )
    return entries


def _here() -> str:
    return at(user_source())


Model.of_outputs = FeatureExtractor
