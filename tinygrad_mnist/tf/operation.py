"""Functions of arrays, of variables, and of the elements of a data set, under one name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_mnist.keras.tensors import has_variable, tensor
from tinygrad_mnist.tf.stack import Stack, by_row, elementwise, has_stack

Function = Callable[..., Any]


def operation(
    symbolic: Function | None = None, stacked: Function | None = None, exact: Function | None = None
) -> Callable[[Function], Function]:
    """A decorator for a function of arrays, which gives a Tensor.

    symbolic: the same of variables. stacked: the same of a Stack and plain arguments, for all rows
    at once; without it rows are computed in turn. exact: the same for elements in the same place,
    as `elementwise` takes it.

    The argument `name`, which TensorFlow's functions have, is accepted.
    """

    def decorate(plain: Function) -> Function:
        @functools.wraps(plain)
        def apply(*operands: Any, name: str | None = None, **options: Any) -> Any:
            if has_stack(*operands, *options.values()):
                if exact is not None and not options:
                    return elementwise(exact, *operands)
                others = (*operands[1:], *options.values())
                if stacked is not None and type(operands[0]) is Stack and not has_stack(*others):
                    return stacked(*operands, **options)
                return by_row(apply, *operands, **options)
            if has_variable(*operands, *options.values()):
                if symbolic is None:
                    raise TypeError(
                        f"tf.{plain.__name__} is a function of arrays, not of symbolic variables;"
                        " see tinygrad_mnist.tensor"
                    )
                return symbolic(*operands, **options)
            return tensor(plain(*operands, **options))

        return apply

    return decorate


def like(value: Any, other: Any) -> Any:
    """An operand beside another: Python's numbers stay, since NumPy gives them the other's dtype;
    a list gets it where that is a float's."""
    if not isinstance(other, np.ndarray | np.generic) or isinstance(value, np.ndarray | np.generic):
        return tensor(value)
    if isinstance(value, int | float | complex):
        return value
    return tensor(value, other.dtype if other.dtype.kind in "fc" else None)
