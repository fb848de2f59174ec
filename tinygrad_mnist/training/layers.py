"""What a network asks of its layers, the book's and a reader's own."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import is_integer, shown
from tinygrad_mnist.graph.variables import Variable


def check_layers(layers: Any, mini_batch_size: int) -> None:
    """Whether these are layers, made for mini-batches of this size.

    Raises TypeError or ValueError, naming the layer by its number and class.
    """
    if not isinstance(layers, list | tuple):
        raise TypeError(f"layers is {shown(layers)}; it must be a list of layers")
    if not layers:
        raise ValueError("layers is empty: a network needs at least one layer")
    for number, layer in enumerate(layers):
        if isinstance(layer, type) or not callable(getattr(layer, "set_inpt", None)):
            raise TypeError(
                f"layer {number} is {shown(layer)}; a layer is an object with params and a method"
                " set_inpt(inpt, inpt_dropout, mini_batch_size)"
            )
        image_shape = getattr(layer, "image_shape", None)
        if hasattr(layer, "filter_shape") and image_shape and image_shape[0] != mini_batch_size:
            raise ValueError(
                f"{title(number, layer)} has image_shape {image_shape}, but mini_batch_size is"
                f" {mini_batch_size}"
            )


def declared(layer: Any, name: str) -> int | None:
    """The number of values that a layer takes or gives for an image by its attribute `n_in` or
    `n_out`; None where it has none, or something else of that name."""
    value: Any = getattr(layer, name, None)
    return int(value) if is_integer(value) else None


def check_fit(number: int, layer: Any, given: int | None) -> None:
    """Whether a layer takes as many values of an image as it is given, as far as both are known.

    Raises ValueError, naming the layer.
    """
    n_in = declared(layer, "n_in")
    if given is not None and n_in is not None and n_in != given:
        raise ValueError(
            f"{title(number, layer)} takes {n_in} values, the layer before gives {given}"
        )


def check_last_layer(layer: Any) -> None:
    """Whether a network can be trained with this as its last layer.

    Raises TypeError, naming the layer's class and what it lacks.
    """
    for method in ("cost", "accuracy"):
        if not callable(getattr(layer, method, None)):
            raise TypeError(
                f"the last layer, a {type(layer).__name__}, has no method `{method}`; to train, it"
                " needs cost(net), accuracy(y) and y_out, as SoftmaxLayer has them"
            )


def params_of(layer: Any) -> list[SharedVariable]:
    """The parameters of a layer; a layer without the attribute has none.

    Raises TypeError, naming the layer's class, for what are no shared variables.
    """
    params = getattr(layer, "params", ())
    if not isinstance(params, list | tuple):
        raise TypeError(f"{_of(layer)} has params {shown(params)}; they must be a list")
    for param in params:
        if not isinstance(param, SharedVariable):
            raise TypeError(f"{_of(layer)} has {shown(param)} in params; it is no shared variable")
    return list(params)


def outputs_of(number: int, layer: Any) -> tuple[Variable, Variable]:
    """What a layer gives for inference and for training; these are the same where it has no
    `output_dropout`.

    Raises TypeError, naming the layer, where `set_inpt` has left no variable.
    """
    output = getattr(layer, "output", None)
    outputs = output, getattr(layer, "output_dropout", output)
    for name, value in zip(("output", "output_dropout"), outputs, strict=True):
        if not isinstance(value, Variable):
            raise TypeError(
                f"{title(number, layer)} has {shown(value)} as `{name}` after its set_inpt; it"
                " must be a symbolic variable"
            )
    return outputs  # type: ignore[return-value]


def shown_layer(layer: Any) -> str:
    """A layer's own repr; where it has none, its class."""
    text = repr(layer)
    return f"<{type(layer).__name__}>" if text == object.__repr__(layer) else text


def _of(layer: Any) -> str:
    return f"a layer of class {type(layer).__name__}"


def title(number: int, layer: Any) -> str:
    """A layer in a message: `layer 2 (SoftmaxLayer)`."""
    return f"layer {number} ({type(layer).__name__})"
