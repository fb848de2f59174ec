"""Arguments that all layers have, checked: names, dtypes, shapes, and those of Keras's that are not
supported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import integer, several, shown
from tinygrad_mnist.keras.layers.signal import Shape

BatchShape = tuple[int | None, ...]
# Arguments of Keras's layers that are accepted if they change nothing.
_UNSUPPORTED = (
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
    "beta_constraint",
    "gamma_constraint",
    "alpha_constraint",
    "lora_rank",
    "lora_alpha",
    "quantization_config",
    "autocast",
    "synchronized",
    "sparse",
    "ragged",
)
# Keras 1's names of arguments.
_FORMER = {
    "border_mode": "padding",
    "subsample": "strides",
    "nb_filter": "filters",
    "nb_row": "kernel_size",
    "nb_col": "kernel_size",
    "dim_ordering": "data_format",
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "bias": "use_bias",
    "output_dim": "units",
    "p": "rate",
    "mode": "nothing",
}


def layer_name(name: Any) -> str:
    """The name of a layer. Raises GraphTypeError."""
    if not isinstance(name, str) or not name:
        raise GraphTypeError(f"name is {shown(name)}; it must be text")
    return name


def check_unsupported(others: Mapping[str, Any]) -> None:
    """Raises for keywords that no layer has, and for those of Keras's that are not supported unless
    they are None or False, their defaults."""
    for name, value in others.items():
        if name not in _UNSUPPORTED:
            hint = f"; in its place is {_FORMER[name]}" if name in _FORMER else ""
            raise GraphTypeError(f"there is no argument {name!r}{hint}")
        if value is not None and value is not False:
            raise ArgumentError(f"{name} is {shown(value)}; it is not supported, so leave it out")


def check_dtype(dtype: Any) -> None:
    """Raises ArgumentError for a dtype that is not floatX."""
    if dtype is not None and getattr(dtype, "name", dtype) != config.floatX:
        raise ArgumentError(
            f"dtype is {shown(dtype)}; layers compute in floatX, which is {config.floatX!r}"
        )


def given_shape(input_shape: Any, batch_shape: Any, input_dim: Any) -> Shape | None:
    """The shape of a sample that the arguments of a first layer give; None if they don't."""
    given = [v for v in (input_shape, batch_shape, input_dim) if v is not None]
    if len(given) > 1:
        raise ArgumentError(
            "input_shape, batch_input_shape and input_dim are one; give one of them"
        )
    if input_dim is not None:
        return (integer(input_dim, "input_dim", 1),)
    if batch_shape is not None:
        return batch_shape_of(batch_shape, "batch_input_shape")[1:]
    if input_shape is None:
        return None
    if not isinstance(input_shape, list | tuple):
        input_shape = (input_shape,)
    return sample_shape(input_shape, "input_shape")


def sample_shape(shape: Any, what: str) -> Shape:
    """A shape without the batch, all of it known. Raises GraphTypeError, ArgumentError."""
    lengths = several(shape, what)
    if any(n is None for n in lengths):
        raise ArgumentError(f"{what} is {shown(shape)}; only the batch's length can be None")
    return tuple(integer(n, f"a length in {what}", 1) for n in lengths)


def batch_shape_of(shape: Any, what: str) -> Shape:
    """A shape with the batch, whose length counts as 0. Raises GraphTypeError, ArgumentError."""
    lengths = several(shape, what)
    if not lengths:
        raise ArgumentError(f"{what} is {shown(shape)}; it begins with the batch's length, or None")
    return (0, *sample_shape(lengths[1:], what))
