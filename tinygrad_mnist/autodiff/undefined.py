"""Gradients that are no values: undefined ones, and those of what the cost doesn't depend on.

As in Theano, each is a variable whose type says so. `known_grads` may have them, an op's `vjp` may
return an undefined one, and `grad` returns them where the caller asks for that.
"""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Variable


class _NoValue(TensorType):
    """The type of a variable that no function can compute."""

    def __init__(self, dtype: str) -> None:
        for field, value in (("dtype", dtype), ("broadcastable", ()), ("shape", ())):
            object.__setattr__(self, field, value)

    def __call__(self, name: str | None = None) -> Variable:
        """A variable of this type."""
        return Variable(self, name=name)

    def __str__(self) -> str:
        return self.dtype


class DisconnectedType(_NoValue):
    """The type of the gradient of what the cost does not depend on."""

    def __init__(self) -> None:
        super().__init__("disconnected")


class NullType(_NoValue):
    """The type of an undefined gradient. why_null: the reason, for messages."""

    why_null: str

    def __init__(self, why_null: str = "no reason was given") -> None:
        super().__init__("undefined")
        object.__setattr__(self, "why_null", why_null)


def is_undefined(gradient: Variable | None) -> bool:
    """Whether a gradient is there, and has no value."""
    return gradient is not None and isinstance(gradient.type, NullType)


def grad_undefined(op: Any, x_pos: int, x: Any, comment: str = "") -> Variable:
    """The gradient of an op's input number `x_pos`, `x`, that is mathematically undefined.

    comment: the reason. `grad` raises a NullTypeGradError with it where this gradient is needed.
    """
    return _null(op, x_pos, "the gradient is undefined", comment)


def grad_not_implemented(op: Any, x_pos: int, x: Any, comment: str = "") -> Variable:
    """As `grad_undefined`, for a gradient that the op can't compute."""
    return _null(op, x_pos, "no gradient is implemented", comment)


def _null(op: Any, x_pos: int, what: str, comment: str) -> Variable:
    name = getattr(op, "name", op)
    return NullType(f"{what} for input {x_pos} of {name}{': ' if comment else ''}{comment}")()
