"""What training needs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.variables import Variable


class Pass(Protocol):
    """What a model makes of a batch.

    output: of the last layer, in Keras's layout. updates: what a training step changes besides
    parameters, such as moving averages. penalties: scalars, those of regularizers.
    """

    @property
    def output(self) -> Variable: ...
    @property
    def updates(self) -> Sequence[tuple[SharedVariable, Variable]]: ...
    @property
    def penalties(self) -> Sequence[Variable]: ...


class TrainableModel(Protocol):
    """Layers with parameters.

    `forward` takes a batch in the layout in which `held_input` returns images; `build` makes the
    parameters for an input shape, in which the batch is None.
    """

    built: bool
    stop_training: bool

    @property
    def layers(self) -> Sequence[Any]: ...
    @property
    def output_shape(self) -> Any: ...
    @property
    def weights(self) -> list[SharedVariable]: ...
    @property
    def trainable_weights(self) -> list[SharedVariable]: ...
    def build(self, input_shape: Any = None) -> None: ...
    def held_input(self, x: Array) -> Array: ...
    def forward(self, x: Variable, training: bool) -> Pass: ...
