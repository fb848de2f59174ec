"""Activations as layers, and how layers apply the activation that they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.values import axis_number, number, several, shown
from tinygrad_mnist.keras import activations, initializers, regularizers
from tinygrad_mnist.keras.layers.arguments import BatchShape
from tinygrad_mnist.keras.layers.layer import Layer
from tinygrad_mnist.keras.layers.signal import (
    Arrangement,
    Signal,
    held_axes,
    held_axis,
)
from tinygrad_mnist.keras.objects import described


class Activation(Layer):
    """A function of each sample: a name, a function of a variable, or a layer without weights."""

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        with self.arguments():
            self.activation = activation_of(activation)

    def apply(self, signal: Signal, training: bool) -> Signal:
        return activated(signal, self.activation, training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": describe_activation(self.activation)}


class _Elementwise(Layer):
    """A layer that computes each element by itself, in any order."""

    def apply(self, signal: Signal, training: bool) -> Signal:
        return signal.of(self.call(signal.variable))


class ReLU(_Elementwise):
    """x from `threshold` on, at most `max_value`; below, negative_slope * (x - threshold)."""

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        with self.arguments():
            self.max_value = None if max_value is None else _not_negative(max_value, "max_value")
            self.negative_slope = _not_negative(negative_slope or 0.0, "negative_slope")
            self.threshold = _not_negative(threshold or 0.0, "threshold")

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        own = {"max_value": self.max_value, "negative_slope": self.negative_slope}
        return {**super().get_config(), **own, "threshold": self.threshold}


class LeakyReLU(_Elementwise):
    """x where it is positive, negative_slope * x elsewhere. alpha: an old name of
    `negative_slope`."""

    def __init__(
        self, negative_slope: float | None = None, *, alpha: float | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        with self.arguments():
            if negative_slope is not None and alpha is not None:
                raise ArgumentError("negative_slope and alpha are one argument; give one of them")
            slope = alpha if negative_slope is None else negative_slope
            self.negative_slope = _not_negative(0.3 if slope is None else slope, "negative_slope")

    def call(self, inputs: Any) -> Any:
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(_Elementwise):
    """x where it is positive, alpha * (exp(x) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        with self.arguments():
            self.alpha = number(alpha, "alpha")

    def call(self, inputs: Any) -> Any:
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class Rescaling(_Elementwise):
    """x * scale + offset, such as of pixels 0..255 with scale=1 / 255."""

    def __init__(self, scale: float, offset: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        with self.arguments():
            self.scale, self.offset = number(scale, "scale"), number(offset, "offset")

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale + self.offset

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


class PReLU(Layer):
    """x where it is positive, alpha * x elsewhere, with a trained alpha per element of a sample, or
    one for all along `shared_axes`, which count the batch as 0."""

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        shared_axes: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        with self.arguments():
            self.alpha_initializer = initializers.get(alpha_initializer)
            self.alpha_regularizer = regularizers.get(alpha_regularizer)
            axes = [shared_axes] if isinstance(shared_axes, int) else (shared_axes or ())
            self.shared_axes = [int(a) for a in several(axes, "shared_axes")]

    def build(self, input_shape: BatchShape) -> None:
        lengths = [n or 1 for n in input_shape[1:]]
        for axis in self.shared_axes:
            lengths[axis_number(axis, len(input_shape)) - 1] = 1
        self.alpha = self.add_weight(
            lengths,
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            name="alpha",
            arrangement=Arrangement(
                held_axes(len(lengths)), None if lengths[0] == 1 else self.input_order
            ),
        )
        self._broadcast = [a for a, n in enumerate(self.alpha.get_value().shape) if n == 1]

    def kept_lengths(self, shape: Any) -> Any:
        """The lengths along all axes that alpha differs along."""
        shared = {a % (len(shape) + 1) for a in self.shared_axes}
        return [n for a, n in enumerate(shape, 1) if a not in shared]

    def apply(self, signal: Signal, training: bool) -> Signal:
        x = signal.variable
        alpha = T.shape_padleft(T.addbroadcast(self.alpha, *self._broadcast))
        return signal.of(T.switch(T.gt(x, 0), x, alpha * x))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha_initializer": described(self.alpha_initializer),
            "alpha_regularizer": described(self.alpha_regularizer),
            "shared_axes": self.shared_axes or None,
        }


class Softmax(Layer):
    """exp(x) divided by its sum along an axis, which counts the batch as 0."""

    def __init__(self, axis: Any = -1, **options: Any) -> None:
        super().__init__(**options)
        with self.arguments():
            self.axis = int(number(axis, "axis"))

    def apply(self, signal: Signal, training: bool) -> Signal:
        return _along_axis(activations.softmax, signal, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


def _not_negative(value: Any, what: str) -> float:
    checked = number(value, what)
    if not 0 <= checked < inf:
        raise ArgumentError(f"{what} is {shown(value)}; it must be a finite number, 0 or more")
    return checked


# --- activations of other layers ------------------------------------------------------------------

_LAYERS: dict[str, type[Layer]] = {
    kind.__name__: kind for kind in (ReLU, LeakyReLU, ELU, Softmax, Activation)
}


def activation_of(identifier: Any) -> Callable[..., Any]:
    """The activation that a layer's argument means: what `activations.get` takes, or a layer
    without weights. Raises GraphTypeError, ArgumentError."""
    if isinstance(identifier, type) and issubclass(identifier, Layer):
        identifier = identifier()
    if isinstance(identifier, Layer) and not isinstance(identifier, tuple(_LAYERS.values())):
        raise ArgumentError(
            f"{identifier.label} can't be an activation; add it to the model as a layer"
        )
    if isinstance(identifier, Mapping) and identifier.get("class_name") in _LAYERS:
        return _LAYERS[identifier["class_name"]].from_config(identifier["config"])
    return activations.get(identifier)


def describe_activation(activation: Callable[..., Any]) -> Any:
    """An activation as JSON has it."""
    if isinstance(activation, Layer):
        return {"class_name": type(activation).__name__, "config": activation.get_config()}
    return activations.serialize(activation)


def activated(signal: Signal, activation: Callable[..., Any], training: bool) -> Signal:
    """A signal after an activation."""
    if activation is activations.linear:
        return signal
    if isinstance(activation, Layer):
        return activation.connect(signal, training)
    if activation in activations.ELEMENTWISE:
        return signal.of(activation(signal.variable))
    if activation in (activations.softmax, activations.log_softmax):
        return _along_axis(activation, signal, -1)
    if _is_elementwise(activation, signal.variable.ndim):
        return signal.of(T.as_tensor_variable(activation(signal.variable)))
    y = T.as_tensor_variable(activation(signal.in_keras_order()))
    return Signal.from_keras(y, signal.shape)


def _is_elementwise(activation: Callable[..., Any], ndim: int) -> bool:
    """Whether an expression certainly computes each element by itself: elementwise ops only, of its
    argument and of numbers. Then any order of the axes will do."""
    x = T.TensorType(config.floatX, (False,) * ndim)()
    y = T.as_tensor_variable(activation(x))
    dependent = {x}
    for node in toposort([y]):
        others = [v for v in node.inputs if v not in dependent]
        if len(others) < len(node.inputs):
            if node.op.tape_op is None or not all(all(v.broadcastable) for v in others):
                return False
            dependent.update(node.outputs)
    return y in dependent and y.ndim == ndim


def _along_axis(function: Callable[..., Any], signal: Signal, axis: int) -> Signal:
    ndim = len(signal.shape) + 1
    return signal.of(function(signal.variable, axis=held_axis(axis_number(axis, ndim), ndim)))
