"""Models: layers that are applied one after another, as training, files and pictures see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError, GraphTypeError, ShapeError
from tinygrad_mnist.functions import function
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.values import flag, integer, plain_array, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras.layers.arguments import BatchShape
from tinygrad_mnist.keras.layers.keras_tensor import KerasTensor
from tinygrad_mnist.keras.layers.layer import Layer, Weight
from tinygrad_mnist.keras.layers.signal import IMAGE, Array, Signal, Update, held
from tinygrad_mnist.keras.models.summary import print_summary
from tinygrad_mnist.keras.tensors import tensor


@dataclass(frozen=True, eq=False)
class Pass:
    """What a pass through a model gives.

    output: in Keras's layout. updates: the new values of moving averages and the like, in training.
    penalties: the terms that regularizers add to the cost.
    """

    output: Variable
    updates: list[Update]
    penalties: list[Variable]


class Model(Layer):
    """What all models have: their layers' weights, passes and a summary. `Sequential` is the kind
    that is trained; `Model(inputs, outputs)` makes a `FeatureExtractor`, which reads one."""

    _layers: list[Layer]

    #: What `Model(inputs, outputs)` makes.
    of_outputs: ClassVar[type[Model]]

    def __new__(cls, *arguments: Any, **options: Any) -> Model:
        return super().__new__(Model.of_outputs if cls is Model else cls)

    def __init__(self, **options: Any) -> None:
        if type(self).apply is Layer.apply:
            raise GraphTypeError(
                f"{type(self).__name__} can't be a model by a method call: a model to train is "
                f"keras.Sequential(layers){at(user_source())}"
            )
        super().__init__(**options)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The input, in a list."""
        return [self.input]

    @property
    def outputs(self) -> list[KerasTensor]:
        """The output, in a list."""
        return [self.output]

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return list(self._layers)

    def sublayers(self) -> Iterator[Layer]:
        yield from self._layers

    @property
    def trainable(self) -> bool:
        """Whether training changes weights; setting it sets it for all layers."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: Any) -> None:
        self._trainable = flag(value, "trainable")
        for layer in self._layers:
            layer.trainable = self._trainable

    def compute_output_shape(self, input_shape: Any) -> BatchShape:
        for layer in self._layers:
            input_shape = layer.compute_output_shape(input_shape)
        return tuple(input_shape)

    # --- passes -----------------------------------------------------------------------------------

    def forward(self, x: Variable, training: bool) -> Pass:
        """The expression of a batch `x`, which is held as `held_input` gives it."""
        self.check_built("computes nothing yet")
        assert self.input_shape is not None
        result = self.connect(Signal(x, tuple(int(n or 0) for n in self.input_shape[1:])), training)
        return Pass(result.in_keras_order(), list(result.updates), self.penalties())

    def __call__(self, inputs: Any, training: bool | None = False) -> Any:
        """The outputs for a batch: of an array, as `held_input` takes it, a `Tensor`; of a variable
        in Keras's layout a variable."""
        if isinstance(inputs, Variable | Layer):
            return super().__call__(inputs, training)
        held_batch = self.held_input(inputs)
        x = T.TensorType(held_batch.dtype.name, (False,) * held_batch.ndim)()
        result = self.forward(x, training is not None and flag(training, "training"))
        return tensor(function([x], result.output, updates=result.updates)(held_batch))

    def held_input(self, x: Any) -> Array:
        """A batch of samples in floatX as the engine holds it, C-contiguous. A model without a
        shape is built for it. Raises GraphTypeError, ShapeError."""
        array = plain_array(x, f"the input of model {self.name!r}")
        if not self.built:
            if array.ndim < 2:
                raise ShapeError(f"x has the shape {array.shape}; it needs a batch and features")
            self.build((None, *array.shape[1:]))
        assert self.input_shape is not None
        shape = tuple(int(n or 0) for n in self.input_shape[1:])
        if array.shape[1:] == shape:
            return held(array, shape)
        if shape[-1:] == (1,) and array.shape[1:] == shape[:-1]:  # Keras adds the last axis, too
            return held(array[..., None], shape)
        hint = ""
        if array.shape == shape:
            hint = "; one sample is a batch, too: x[None]"
        elif len(shape) == IMAGE and array.size == len(array) * np.prod(shape):
            hint = f"; x.reshape((-1, {', '.join(map(str, shape))})) has it"
        raise ShapeError(
            f"x has the shape {array.shape}; model {self.name!r} takes {self.input_shape}{hint}"
            f"{at(user_source())}"
        )

    def check_built(self, why: str) -> None:
        """Raises ArgumentError for a model whose input's shape isn't known."""
        if not self.built:
            raise ArgumentError(
                f"model {self.name!r} {why}: its input's shape is not known. Give its first layer "
                "input_shape=..., begin with keras.Input(shape=...), or call model.build((None, "
                f"...)){at(user_source())}"
            )

    # --- weights ----------------------------------------------------------------------------------

    def named_weights(self) -> list[tuple[str, Weight]]:
        """The layers' weights, with their paths, such as 'dense/kernel'; below a model among the
        layers, its name comes first."""
        return [
            (f"{layer.name}/{path}" if isinstance(layer, Model) else path, weight)
            for layer in self._layers
            for path, weight in layer.named_weights()
        ]

    def named_streams(self) -> list[tuple[str, SharedVariable]]:
        return [
            (f"{layer.name}/{path}" if isinstance(layer, Model) else path, step)
            for layer in self._layers
            for path, step in layer.named_streams()
        ]

    # --- layers -----------------------------------------------------------------------------------

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name, or at this place among `layers`. Raises ArgumentError."""
        if (name is None) == (index is None):
            raise ArgumentError("get_layer takes a name or an index")
        if index is not None:
            at_index = integer(index, "index")
            if not -len(self._layers) <= at_index < len(self._layers):
                raise ArgumentError(
                    f"index is {index}; model {self.name!r} has {len(self._layers)} layers"
                )
            return self._layers[at_index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self._layers)
        raise ArgumentError(f"there is no layer {shown(name)}; model {self.name!r} has {names}")

    def summary(
        self,
        line_length: int | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
    ) -> None:
        """Prints a table of the layers, their outputs' shapes and their numbers of parameters.

        line_length: default the terminal's width, at most 88. print_fn: gets each line; default is
        to print it. expand_nested: also the layers of models among the layers. show_trainable: also
        whether training changes each layer.
        """
        print_summary(self, line_length, print_fn, expand_nested, show_trainable)
