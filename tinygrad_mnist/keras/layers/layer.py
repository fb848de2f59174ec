"""`keras.layers.Layer`: weights in Keras's shapes, whatever the engine holds, and how a layer is
applied to a signal."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphError, GraphTypeError, ShapeError
from tinygrad_mnist.functions import function
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at, error_context, in_layer, located, user_source
from tinygrad_mnist.graph.traversal import substitute
from tinygrad_mnist.graph.values import flag, integer, plain_array, several
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras import initializers, regularizers
from tinygrad_mnist.keras.layers.arguments import (
    BatchShape,
    batch_shape_of,
    check_dtype,
    check_unsupported,
    given_shape,
    layer_name,
)
from tinygrad_mnist.keras.layers.keras_tensor import KerasTensor
from tinygrad_mnist.keras.layers.naming import auto_name
from tinygrad_mnist.keras.layers.signal import (
    Arrangement,
    Array,
    Shape,
    Signal,
    Update,
    known_input,
    known_shape,
)
from tinygrad_mnist.keras.objects import restored_arguments
from tinygrad_mnist.keras.tensors import tensor
from tinygrad_mnist.sharedvalue import shared

# Updates of the layers that a user's `call` applies; None outside of one.
_updates: ContextVar[list[Update] | None] = ContextVar("updates", default=None)


@dataclass(frozen=True, eq=False)
class Weight:
    """A weight of a layer: the variable that the engine holds, and how Keras shows it."""

    name: str
    variable: SharedVariable
    shape: Shape
    trainable: bool
    regularizer: Callable[[Any], Any] | None
    arrangement: Arrangement

    def value(self) -> Array:
        """A copy of the value, in Keras's shape and order."""
        return self.arrangement.shown(self.variable.get_value())

    def assign(self, value: Any) -> None:
        """Sets the value, an array of Keras's shape. Raises ShapeError."""
        array = plain_array(value, self.name)
        if array.shape != self.shape:
            raise ShapeError(f"{self.name} has the shape {self.shape}, not {array.shape}")
        self.variable.set_value(self.arrangement.held(array).astype(self.variable.dtype))

    def penalty(self) -> Variable | None:
        """The regularizer's term of the cost."""
        if self.regularizer is None:
            return None
        in_any_order = isinstance(self.regularizer, regularizers.Regularizer)
        v = self.variable if in_any_order else self.arrangement.variable(self.variable)
        return T.as_tensor_variable(self.regularizer(v))


# How many elements new weights may still have; None: any number.
_left: ContextVar[int | None] = ContextVar("weights left", default=None)


@contextmanager
def weights_within(n: int) -> Iterator[None]:
    """Layers that are built in the block have at most n elements of weights in all: a description
    in a file can ask for more than there is memory."""
    token = _left.set(n)
    try:
        yield
    finally:
        _left.reset(token)


def _spend_weights(name: str, n: int) -> None:
    left = _left.get()
    if left is None:
        return
    if n > left:
        raise ArgumentError(f"the layers have more weights than the file: {name} has {n:,}")
    _left.set(left - n)


class Layer:
    """A layer, which a user's class can extend: `build(input_shape)` makes weights by `add_weight`,
    and `call(inputs)`, or `call(inputs, training)`, is an expression of a variable in Keras's
    layout, which may apply layers that are its attributes. `get_config` gives the arguments of its
    constructor.

    name: default the class's name with a number. trainable: whether training changes the weights.
    input_shape, batch_input_shape, input_dim: the shape of a model's input, for its first layer;
    without the batch, with it, and of one axis. Other keywords of Keras's that this package doesn't
    have raise GraphTypeError or ArgumentError.

    The package's own layers define `apply`, a function of signals, instead of `call`.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        input_shape: Any = None,
        batch_input_shape: Any = None,
        batch_shape: Any = None,
        batch_size: Any = None,
        input_dim: Any = None,
        **others: Any,
    ) -> None:
        self.source = user_source()
        self._weights: list[Weight] = []
        self.built = False
        self.input_shape: BatchShape | None = None
        self.output_shape: BatchShape | None = None
        self.input_order: Array | None = None
        self._ends: tuple[KerasTensor, KerasTensor] | None = None
        with self.arguments():
            self.name = auto_name(type(self).__name__) if name is None else layer_name(name)
            self.trainable = flag(trainable, "trainable")
            check_unsupported(others)
            check_dtype(dtype)
            if batch_size is not None:
                integer(batch_size, "batch_size", 1)
            batch = batch_input_shape if batch_shape is None else batch_shape
            self.given_shape = given_shape(input_shape, batch, input_dim)

    @property
    def label(self) -> str:
        """How messages name the layer."""
        kind = type(self).__name__
        return f"layer {self.name!r} ({kind})"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def arguments(self) -> AbstractContextManager[None]:
        """A context whose errors name this layer's class and the user's line."""
        return error_context(type(self).__name__, user_source())

    # --- weights ----------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Any = (),
        initializer: Any = "glorot_uniform",
        dtype: Any = None,
        trainable: bool = True,
        *,
        regularizer: Any = None,
        name: str | None = None,
        arrangement: Arrangement | None = None,
    ) -> SharedVariable:
        """A new weight: a shared variable in floatX.

        shape: Keras's. arrangement: how the engine holds it; default as Keras. Raises
        GraphTypeError, ArgumentError.
        """
        check_dtype(dtype)
        lengths = tuple(integer(n, "a length", 0) for n in several(shape, "the shape of a weight"))
        name = name or f"weight{len(self._weights) or ''}"
        _spend_weights(name, prod(lengths))
        value = np.asarray(initializers.get(initializer)(lengths, dtype=config.floatX))
        if value.shape != lengths:
            raise ShapeError(
                f"the initializer of {name} gives the shape {value.shape}, not {lengths}"
            )
        arrangement = arrangement or Arrangement()
        array = arrangement.held(value.astype(config.floatX))
        variable = shared(array, f"{self.name}/{name}")
        found = regularizers.get(regularizer)
        self._weights.append(
            Weight(name, variable, lengths, flag(trainable, "trainable"), found, arrangement)
        )
        return variable

    def named_weights(self) -> list[tuple[str, Weight]]:
        """The weights in Keras's order, those that training changes first; each with its path, such
        as 'dense/kernel'."""
        first = [(w.name, w) for w in self._weights if w.trainable]
        rest = [(w.name, w) for w in self._weights if not w.trainable]
        inner = [named for layer in self.sublayers() for named in layer.named_weights()]
        return [(f"{self.name}/{path}", w) for path, w in (*first, *rest, *inner)]

    def named_streams(self) -> list[tuple[str, SharedVariable]]:
        """The variables that count the steps of the layer's random streams; each with its path,
        such as 'dropout/step'. They are saved with a model, but are no weights."""
        inner = [named for layer in self.sublayers() for named in layer.named_streams()]
        return [(f"{self.name}/{path}", step) for path, step in inner]

    @property
    def weights(self) -> list[SharedVariable]:
        """The variables of all weights, in Keras's order but as the engine holds them."""
        return [w.variable for _, w in self.named_weights()]

    @property
    def variables(self) -> list[SharedVariable]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_weights(self) -> list[SharedVariable]:
        """The variables that training changes; none if `trainable` is False."""
        if not self.trainable:
            return []
        own = [w.variable for w in self._weights if w.trainable]
        return own + [v for layer in self.sublayers() for v in layer.trainable_weights]

    @property
    def trainable_variables(self) -> list[SharedVariable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_weights(self) -> list[SharedVariable]:
        """The other variables, such as moving averages."""
        trained = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in trained]

    @property
    def non_trainable_variables(self) -> list[SharedVariable]:
        """The same as `non_trainable_weights`."""
        return self.non_trainable_weights

    def get_weights(self) -> list[Array]:
        """Copies of the weights' values, in Keras's shapes and orders."""
        return [w.value() for _, w in self.named_weights()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets all weights to arrays as `get_weights` gives them. Raises ArgumentError, ShapeError;
        then no weight has changed."""
        named = self.named_weights()
        given = list(weights)
        if len(given) != len(named):
            why = "" if self.built else ", as it is not built"
            raise ArgumentError(
                f"{self.label} has {len(named)} weights{why}; set_weights got {len(given)} "
                f"arrays{at(user_source())}"
            )
        arrays = [plain_array(value, path) for value, (path, _) in zip(given, named, strict=True)]
        for array, (path, weight) in zip(arrays, named, strict=True):
            if array.shape != weight.shape:
                raise ShapeError(
                    f"{path} has the shape {weight.shape}, not {array.shape}{at(user_source())}"
                )
        for array, (_, weight) in zip(arrays, named, strict=True):
            weight.assign(array)

    def count_params(self) -> int:
        """The number of elements of all weights. Raises ArgumentError before the layer is built."""
        if not (self.built or self._weights):
            raise ArgumentError(
                f"{self.label} has no weights yet: its input's shape is not known"
                f"{at(user_source())}"
            )
        return sum(prod(w.shape) for _, w in self.named_weights())

    def penalties(self) -> list[Variable]:
        """The terms that regularizers add to the cost; none for a layer that isn't trained."""
        if not self.trainable:
            return []
        own = [term for w in self._weights if (term := w.penalty()) is not None]
        return own + [term for layer in self.sublayers() for term in layer.penalties()]

    # --- how it is applied ------------------------------------------------------------------------

    def build(self, input_shape: BatchShape) -> None:
        """Makes the weights, for inputs of Keras's shape `input_shape`, with None for the batch."""

    def call(self, inputs: Variable) -> Any:
        """The layer's expression of a variable in Keras's layout."""
        raise NotImplementedError(f"{type(self).__name__} has to define call(inputs)")

    def compute_output_shape(self, input_shape: Any) -> BatchShape:
        """The shape of the outputs for inputs of Keras's shape; both with the batch."""
        shape = batch_shape_of(input_shape, "input_shape")[1:]
        layer = copy(self)
        if not (self.built or self._weights):  # weights of the copy's own
            layer._weights = []
        return (None, *layer.connect(Signal.input(shape), False).shape)

    def apply(self, signal: Signal, training: bool) -> Signal:
        """The layer's expression of a signal. training: whether it is for a training step."""
        sample = known_input(signal.shape)  # its shape tells those of what `call` makes of it
        token = _updates.set([])
        try:
            takes_training = "training" in inspect.signature(self.call).parameters
            options = {"training": training} if takes_training else {}
            y = T.as_tensor_variable(self.call(sample, **options))
            updates = _updates.get() or []
        finally:
            _updates.reset(token)
        if type(self).compute_output_shape is Layer.compute_output_shape:
            shape = known_shape(y)
        else:
            given = self.compute_output_shape((None, *signal.shape))
            shape = batch_shape_of(given, "the shape of the outputs")[1:]
        if shape is None:
            raise ArgumentError("what `call` gives doesn't depend on its inputs")
        values = [y, *(value for _, value in updates)]
        y, *new = substitute(values, {sample: signal.in_keras_order()})
        pairs = zip((v for v, _ in updates), new, strict=True)
        return replace(Signal.from_keras(y, shape), updates=tuple(pairs))

    def connect(self, signal: Signal, training: bool) -> Signal:
        """Applies the layer, which is built first if it isn't. Raises ShapeError where the signal
        doesn't fit; the message names the layer."""
        before = signal.updates
        with self._named_errors(), in_layer(self.name, self.source):
            result = self.apply(self._prepared(signal), training)
        self.output_shape = (None, *result.shape)
        return replace(result, updates=before + result.updates)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """A context whose errors, if they are the engine's, name the layer and its line."""
        try:
            yield
        except GraphError as error:
            raise located(error, self.label, (self.source,)) from None

    def _prepared(self, signal: Signal) -> Signal:
        signal = replace(signal, updates=())
        self.check_input(signal.shape)
        batch_shape = (None, *signal.shape)
        if not (self.built or self._weights):
            self.input_order, self.input_shape = signal.order, batch_shape
            self.build(batch_shape)
        self.built = True
        if not self._weights or self.input_shape is None:  # None: the user has called `build`
            self.input_shape = batch_shape
        if not self._weights:
            return signal
        known = self.kept_lengths(self.input_shape[1:])
        if self.kept_lengths(signal.shape) != known:
            raise self.misfit(signal.shape, f"it was built for {self.input_shape[1:]}")
        return signal.in_order(self.input_order) if len(signal.shape) == 1 else signal

    def check_input(self, shape: Shape) -> None:
        """Raises ShapeError where samples of this shape are not what the layer takes."""

    def kept_lengths(self, shape: Sequence[int | None]) -> Sequence[int | None]:
        """The lengths of a sample that the weights depend on."""
        return shape[-1:]

    def misfit(self, shape: Shape, why: str) -> ShapeError:
        """An error for inputs of a shape that the layer can't take."""
        return ShapeError(
            f"{self.label} got samples of shape {shape}; {why}{at(self.source or user_source())}"
        )

    def __call__(self, inputs: Any, training: bool | None = False) -> Any:
        """The outputs for a batch in Keras's layout: of an array a `Tensor`, of a variable a
        variable."""
        is_training = training is not None and flag(training, "training")
        if isinstance(inputs, Variable):
            return self._on_variable(inputs, is_training)
        if isinstance(inputs, Layer | KerasTensor):
            raise GraphTypeError(
                f"{self.label} got {inputs!r}; models are stacks of layers here: "
                f"keras.Sequential([{inputs.name}, {self.name}, ...]){at(user_source())}"
            )
        array = plain_array(inputs, f"the input of {self.label}").astype(config.floatX)
        x = T.TensorType(config.floatX, (False,) * array.ndim)()
        result = self.connect(Signal.from_keras(x, array.shape[1:]), is_training)
        compiled = function([x], result.in_keras_order(), updates=list(result.updates))
        return tensor(compiled(array))

    def _on_variable(self, x: Variable, training: bool) -> Variable:
        shape = known_shape(x)
        if shape is None and self.input_shape is not None:
            shape = batch_shape_of(self.input_shape, "input_shape")[1:]
        if shape is None:
            raise ArgumentError(
                f"{self.label} can't know the shape of the symbolic {x}; build the layer first"
                f"{at(user_source())}"
            )
        result = self.connect(Signal.from_keras(x, shape), training)
        collected = _updates.get()
        if collected is not None:
            collected.extend(result.updates)
        return result.in_keras_order()

    # --- its place in a model ---------------------------------------------------------------------

    @property
    def input(self) -> KerasTensor:
        """What the layer gets in the first built model that it was added to. AttributeError if
        there is none."""
        return self.ends("input")[0]

    @property
    def output(self) -> KerasTensor:
        """What the layer gives there: `keras.Model(inputs=model.input, outputs=layer.output)`
        computes it."""
        return self.ends("output")[1]

    def ends(self, what: str) -> tuple[KerasTensor, KerasTensor]:
        """`input` and `output`; what: which of them is missing, for the error."""
        if self._ends is None:
            raise AttributeError(
                f"{self.label} has no {what}: it is part of no model whose input's shape is known"
                f"{at(user_source())}"
            )
        return self._ends

    def connect_in_model(self, before: KerasTensor) -> KerasTensor:
        """Applies the layer to what a model has so far."""
        return before.behind(self, self.connect(before.signal, False))

    def place(self, before: KerasTensor, after: KerasTensor) -> None:
        """Says where in a model the layer is; of several places the first stays."""
        self._ends = self._ends or (before, after)

    # --- its arguments ----------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments with which a layer like this one is made, as JSON has them."""
        found: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if self.given_shape is not None:
            found["batch_input_shape"] = [None, *self.given_shape]
        return found

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Layer:
        """A layer made with these arguments; custom_objects: a user's own functions and classes, by
        the names that they have there."""
        return cls(**restored_arguments(config, custom_objects))

    def sublayers(self) -> Iterator[Layer]:
        """The layers inside this one: those that are its attributes, alone or in lists."""
        for value in vars(self).values():
            for one in value if isinstance(value, list | tuple) else (value,):
                if isinstance(one, Layer):
                    yield one
