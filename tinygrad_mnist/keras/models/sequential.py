"""`keras.Sequential`: a stack of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.values import several, shown
from tinygrad_mnist.keras.layers.arguments import BatchShape, batch_shape_of
from tinygrad_mnist.keras.layers.input import InputLayer
from tinygrad_mnist.keras.layers.keras_tensor import KerasTensor
from tinygrad_mnist.keras.layers.layer import Layer
from tinygrad_mnist.keras.layers.serialization import deserialize, serialize
from tinygrad_mnist.keras.layers.signal import Shape, Signal
from tinygrad_mnist.keras.models.model import Model
from tinygrad_mnist.keras.saving import Saver
from tinygrad_mnist.keras.training import Trainer


class Sequential(Trainer, Saver, Model):
    """Layers, each applied to the outputs of the one before.

    layers: a list; more are added by `add`. The input's shape comes from an `Input` at the
    beginning, from the first layer's argument `input_shape`, from `build`, or from the first data.
    Layers get their weights as soon as it is known.
    """

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        self._layers: list[Layer] = []
        self._tensors: list[KerasTensor] = []  # the input, and the layers' outputs; if built
        super().__init__(name=name, trainable=trainable)
        if layers is not None:
            with self.arguments():
                given = (
                    [layers] if isinstance(layers, Layer) else several(layers, "layers", "layers")
                )
            for layer in given:
                self.add(layer)

    # --- its layers -------------------------------------------------------------------------------

    def add(self, layer: Any) -> None:
        """Adds a layer at the end. Raises GraphTypeError, ArgumentError, and ShapeError where it
        doesn't fit the layer before."""
        self._check_layer(layer)
        if isinstance(layer, InputLayer):
            if self._layers or self._tensors:
                raise ArgumentError(
                    f"model {self.name!r} has an input or layers already; an Input comes first"
                    f"{at(user_source())}"
                )
            self._begin(layer.shape)
            return
        before = self._tensors, self.input_shape
        if not self._layers and not self._tensors and (shape := _shape_for(layer)) is not None:
            self._begin((None, *shape))
        if self._tensors:
            try:
                self._tensors = [*self._tensors, layer.connect_in_model(self._tensors[-1])]
            except Exception:
                self._tensors, self.input_shape = before
                raise
        self._layers.append(layer)
        self._update()

    def _check_layer(self, layer: Any) -> None:
        if not isinstance(layer, Layer):
            hint = ""
            if isinstance(layer, type) and issubclass(layer, Layer):
                hint = f"; {layer.__name__} is a class, and {layer.__name__}(...) makes a layer"
            raise GraphTypeError(
                f"model {self.name!r} got {shown(layer)}, which is no layer{hint}"
                f"{at(user_source())}"
            )
        if layer is self:
            raise ArgumentError(
                f"model {self.name!r} can't be a layer of itself{at(user_source())}"
            )
        if any(layer.name == other.name for other in self._layers):
            raise ArgumentError(
                f"model {self.name!r} has a layer {layer.name!r} already; names are unique"
                f"{at(user_source())}"
            )

    def _begin(self, input_shape: BatchShape) -> None:
        """Sets the input's shape."""
        self.input_shape = input_shape
        begin = Signal.input(tuple(int(n or 0) for n in input_shape[1:]))
        self._tensors = [KerasTensor(replace(begin, order=self.input_order))]

    def _update(self) -> None:
        ends = zip(self._layers, self._tensors[:-1], self._tensors[1:], strict=bool(self._tensors))
        for layer, before, after in ends:
            layer.place(before, after)
        self.built = bool(self._tensors and self._layers)
        self.output_shape = self._tensors[-1].shape if self.built else None

    def pop(self) -> Layer:
        """Removes the last layer and returns it. Raises ArgumentError where there is none."""
        if not self._layers:
            raise ArgumentError(f"model {self.name!r} has no layers{at(user_source())}")
        if self._tensors:
            self._tensors.pop()
        layer = self._layers.pop()
        self._update()
        return layer

    # --- how it is applied ------------------------------------------------------------------------

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights for inputs of this shape, such as (None, 28, 28, 1); without a shape,
        of that which the model has. Raises GraphTypeError, ArgumentError, ShapeError."""
        if input_shape is None:
            self.check_built("can't be built")
            return
        with self.arguments():
            shape = batch_shape_of(input_shape, "input_shape")[1:]
        if self._tensors:
            if self._tensors[0].shape[1:] != shape:
                raise ArgumentError(
                    f"model {self.name!r} has inputs of shape {self.input_shape}, not {input_shape}"
                    f"{at(user_source())}"
                )
            return
        if not self._layers:
            raise ArgumentError(f"model {self.name!r} has no layers{at(user_source())}")
        self._begin((None, *shape))
        try:
            for layer in self._layers:
                self._tensors.append(layer.connect_in_model(self._tensors[-1]))
        except Exception:
            self._tensors = []
            raise
        self._update()

    def apply(self, signal: Signal, training: bool) -> Signal:
        shape = self._tensors[0].signal.shape
        if signal.shape != shape:
            raise self.misfit(signal.shape, f"its inputs have the shape {shape}")
        for layer in self._layers:
            signal = layer.connect(signal, training)
        return signal

    def ends(self, what: str) -> tuple[KerasTensor, KerasTensor]:
        """A model that is part of no other has its own input and output."""
        if self._ends is None and self.built:
            return self._tensors[0], self._tensors[-1]
        return super().ends(what)

    # --- as JSON ----------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The name, the layers and the input's shape, as JSON has them."""
        shape = None if self.input_shape is None else list(self.input_shape)
        return {
            "name": self.name,
            "layers": [serialize(layer) for layer in self._layers],
            "build_input_shape": shape,
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Sequential:
        """A model of the same layers, with new weights."""
        known = {"Sequential": cls, **(custom_objects or {})}
        model = cls(name=config.get("name"))
        shape = config.get("build_input_shape")
        if shape is not None:
            model._begin((None, *batch_shape_of(shape, "build_input_shape")[1:]))
        for described in config.get("layers", ()):
            if shape is not None:
                described = _unbuilt(described)
            model.add(deserialize(described, known))
        return model


def _unbuilt(described: Any) -> Any:
    """A model among the layers is built when it is added, so that it holds its weights in the order
    of the features before it."""
    if not isinstance(described, Mapping) or described.get("class_name") != "Sequential":
        return described
    config = described.get("config")
    inner = {**config, "build_input_shape": None} if isinstance(config, Mapping) else config
    return {**described, "config": inner}


def _shape_for(layer: Layer) -> Shape | None:
    """The shape of the input that a first layer gives."""
    if layer.given_shape is not None or not isinstance(layer, Model):
        return layer.given_shape
    return None if layer.input_shape is None else tuple(int(n or 0) for n in layer.input_shape[1:])
